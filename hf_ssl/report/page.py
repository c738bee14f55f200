"""`report.html`: collects what the stages left in a run folder and renders it as one file that needs no network and no script."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.jsonfiles import parse, read_lines
from hf_ssl.core.run import RunDir
from hf_ssl.evaluation.advice import CHOICES, Advice
from hf_ssl.report import drawings
from hf_ssl.report.drawings import Drawing
from hf_ssl.report.notices import Notice, notices
from hf_ssl.report.repeat import command_lines
from hf_ssl.report.tables import (
    Table,
    attempts_tables,
    attribution_table,
    contest_table,
    numbers,
    split_table,
    stage_table,
)

FILE = "report.html"
LARGEST = 2_000_000
"""Bytes of the page; figures are left out, the largest first, until it is smaller."""
MISTAKES, EXAMPLES = "mistakes.json", "report.examples.json"


@dataclass
class Section:
    """A part of the page: heading, sentences, tables, figures, and lists of rows of the data, in this order.

    Args:
        key: its anchor.
        items: rows of the data (mistakes, examples), which `content=False` leaves out.
    """

    key: str
    title: str
    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    items_title: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lines or self.tables or self.drawings or self.items or self.commands)


def write_report(run: str | Path | RunDir, *, content: bool = True) -> Path:
    """Write `report.html` into a run folder.

    Args:
        run: the folder.
        content: show rows of the data (the most confident mistakes, examples). They stay on this machine either way: nothing
            publishes the page.

    Returns:
        the file.

    Raises:
        RunFolderError: no stage has run there.

    Example:
        >>> write_report("runs/reviews", content=False)
    """
    opened = run if isinstance(run, RunDir) else RunDir(run)
    if not opened.stages:
        raise RunFolderError(f"{opened.path} holds no run. Name the folder that a stage wrote with --output.")
    text = render(opened, content=content)
    file = opened.path / FILE
    half = file.with_name(f".{FILE}.part")
    half.write_text(text, encoding="utf-8")
    os.replace(half, file)
    return file


def render(run: RunDir, *, content: bool = True) -> str:
    """The page as text, smaller than 2 MB."""
    sections, found = collect(run, content=content)
    while True:
        text = _rendered(run, sections, found, content)
        if len(text.encode("utf-8")) < LARGEST or not _without_the_largest(sections):
            return text


def _rendered(run: RunDir, sections: list[Section], found: list[Notice], content: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    newest = max((record.started for record in run.stages.values()), default="")
    return environment.get_template("page.html.j2").render(
        name=run.path.resolve().name, lead=_lead(run), sections=[section for section in sections if section], notices=found,
        written=_date(newest), content=content,
    )  # fmt: skip


def _without_the_largest(sections: list[Section]) -> bool:
    """Leave out the largest figure, and say so; False when there is none."""
    known = [(len(drawing.svg), section, drawing) for section in sections for drawing in section.drawings]
    if not known:
        return False
    _, section, drawing = max(known, key=lambda one: one[0])
    section.drawings.remove(drawing)
    section.lines.append(f"The figure “{drawing.caption}” is too large for this page; it lies in the run folder.")
    return True


def _lead(run: RunDir) -> str:
    """The run in a sentence: the verdict, or as much of it as is known."""
    compared = run.stage("compare")
    if compared.done and compared.metrics.get("use"):
        told = "; ".join(f"{budget} labels: {word}" if budget != "no" else f"without labels: {word}"
                         for budget, word in compared.metrics["use"].items())  # fmt: skip
        return f"{told}."
    if adapted := _adapted(run):
        return adapted
    measured = run.stage("evaluate")
    if measured.done:
        return f"Measured, but not compared: {numbers(measured.metrics)}."
    return (
        "Nothing is measured yet: run hf-ssl compare, or hf-ssl finetune and hf-ssl evaluate, with the same --output."
    )


def collect(run: RunDir, *, content: bool) -> tuple[list[Section], list[Notice]]:
    """All sections (empty ones too) and all warnings of a run."""
    folder = run.path
    data, contest = _json(folder / "data" / "report.json", {}), _json(folder / "compare" / "contest.json", {})
    tables, monitor = (
        _json(folder / "compare" / "table.json", {}),
        read_lines(folder / "pretrain" / "monitor.jsonl"),
    )
    compared = run.stage("compare").done
    contest, tables = (contest, tables) if compared else ({}, {})
    sections = [
        _verdict(run, contest, tables), _attempts(run),
        _comparison(folder, contest) if compared else Section("comparison", ""), _measured(run, folder, content),
        _gap(folder), _pretraining(run, folder, monitor), _fine_tuning(run, folder), _vectors(run, folder), _data(data, folder, content),
        _provenance(run),
    ]  # fmt: skip
    return sections, notices(run, data, contest, tables, monitor)


def _adapted(run: RunDir) -> str:
    """What `adapt` kept, why, and how good it is."""
    if not (metrics := run.stage("adapt").metrics):
        return ""
    tested = f"on test {numbers(metrics['test'])}" if metrics.get("test") else ""
    parts = [f"Kept {metrics['kept']}: {metrics['why']}", metrics.get("training", ""), tested]
    return f"{'; '.join(part for part in parts if part)}."


def _attempts(run: RunDir) -> Section:
    """Every way that `adapt` tried."""
    return Section("attempts", "What adapt tried", tables=attempts_tables(run.stage("adapt").metrics))


def _verdict(run: RunDir, contest: dict[str, Any], tables: dict[str, Any]) -> Section:
    section = Section("verdict", "Verdict")
    if adapted := _adapted(run):
        section.lines.append(adapted)
    for choice in contest.get("choices", []):
        where = "Without labels" if choice["budget"] == "no" else f"{choice['budget']} labels"
        section.lines.append(f"{where}: {choice['word']}. {choice['sentence']}")
    for title, table in tables.items():
        section.lines.append(f"Did adapting help? {title}: {table['overall']['word']}. {table['overall']['sentence']}")
    return section


def _comparison(folder: Path, contest: dict[str, Any]) -> Section:
    section = Section("comparison", "Comparison")
    section.lines += [text for text in (contest.get("units", ""), contest.get("classes", "")) if text]
    if contest:
        section.tables.append(contest_table(contest))
    steps = _json(folder / "compare" / "attribution.json", [])
    if steps:
        section.tables.append(attribution_table(steps))
    for file, caption in (
        ("label_efficiency.svg", "Score over the number of labels; bands are the spread over draws of labels"),
        ("map_base.svg", "Test vectors of the start checkpoint by label, in their two main directions"),
        ("map_adapted.svg", "The same after adapting"),
        ("map_base_domains.svg", "Labeled and test vectors of the start checkpoint by domain"),
        ("map_adapted_domains.svg", "The same after adapting"),
    ):
        section.drawings += _some(drawings.from_file(folder / "compare" / file, caption))
    return section


def _measured(run: RunDir, folder: Path, content: bool) -> Section:
    section, record = Section("test", "Measured on test data"), run.stage("evaluate")
    if not record.done:
        return section
    facts = _json(folder / "evaluate" / "metrics.json", {})
    split = facts.get("split", "test")
    section.title = f"Measured on {split} data"
    section.lines.append(
        f"{facts.get('examples', '?'):,} {split} examples." if isinstance(facts.get("examples"), int) else ""
    )
    interval = record.outputs.get("interval")
    if interval:
        section.lines.append(
            f"{interval['metric']}: {interval['low']:.3f} to {interval['high']:.3f}, {interval['confidence']:.0%} interval over "
            f"{interval['units']}."
        )
    answer = record.outputs.get("answer")
    if answer:
        section.lines.append(
            f"The run answers with {answer}; the plain model alone, which needs transformers only, stands beside it."
        )
    alone = record.outputs.get("model", {})
    rows = []
    for name, value in record.metrics.items():
        if isinstance(value, float):
            beside = [f"{alone[name]:.4f}" if name in alone else ""] if answer else []
            rows.append([name, f"{value:.4f}", *beside])
    section.tables.append(Table("Metrics", ["metric", "value", *(["the model alone"] if answer else [])], rows))
    captions = {"confusion_matrix": "Which classes are taken for which", "forecast": "Forecast of the middle window",
                "error_by_step": "Error of every step ahead"}  # fmt: skip
    for path in sorted((folder / "evaluate").glob("*.svg")):
        caption = captions.get(path.stem, path.stem.replace("_", " ").capitalize())
        section.drawings += _some(drawings.from_file(path, caption))
    if content:
        section.items_title = "Most confident mistakes"
        section.items = _json(folder / "evaluate" / MISTAKES, [])
    return section


def _gap(folder: Path) -> Section:
    section = Section("gap", "Distance between domains")
    found = _json(folder / "gap" / "gap.json", None) or _json(folder / "gap.json", {})
    if not found:
        return section
    advice = found.get("advice") or {}
    if advice.get("choice") in CHOICES:
        section.lines += [line.strip() for line in Advice(**advice).text().splitlines()]
    rows = [[name, shown] for name, value in found.items() if name != "advice" and (shown := _flat(value))]
    if rows:
        section.tables.append(Table("What was measured", ["measure", "value"], rows))
    return section


def _flat(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown}" for name, one in value.items() if (shown := _flat(one)))
    if isinstance(value, list):
        return "; ".join(shown for one in value[:10] if (shown := _flat(one)))
    return str(value)


def _pretraining(run: RunDir, folder: Path, monitor: list[dict[str, Any]]) -> Section:
    section, record = Section("pretraining", "Pre-training, without labels"), run.stage("pretrain")
    if record.status == "absent":
        return section
    outcome = record.metrics.get("outcome")
    section.lines.append(f"{record.status}{f': {outcome}' if outcome else ''}. {numbers(record.metrics)}")
    curve = read_lines(folder / "pretrain" / "curve.jsonl")
    section.drawings += _some(drawings.history("pretrain-loss", "Training loss", curve, {"loss": "loss"}, "loss"))
    if monitor:
        section.tables.append(_monitor_table(monitor))
    errors = {"probe": "probe_standard_error", "knn": "knn_standard_error"}
    metric = str(next((entry["probe_metric"] for entry in monitor if "probe_metric" in entry), "score"))
    for name, caption, keys, label in (
        (
            "pretrain-probe",
            "Probes on the labels along the way",
            {"probe": "linear probe", "knn": "nearest neighbors"},
            metric,
        ),
        ("pretrain-heldout", "Loss on held-out examples", {"eval_loss": "held-out loss"}, "loss"),
        ("pretrain-drift", "Drift from the start", {"cosine_drift": "cosine distance"}, "mean cosine distance"),
        ("pretrain-rank", "Effective rank of the features", {"effective_rank": "effective rank"}, "dimensions"),
    ):
        section.drawings += _some(drawings.history(name, caption, monitor, keys, label, errors))
    return section


def _monitor_table(monitor: list[dict[str, Any]]) -> Table:
    known = {
        "step": "step",
        "eval_loss": "held-out loss",
        "probe": "probe",
        "knn": "neighbors",
        "cosine_drift": "drift",
        "effective_rank": "rank",
    }
    shown = {key: title for key, title in known.items() if any(key in entry for entry in monitor)}
    rows = [
        [f"{entry[key]:.3f}" if isinstance(entry.get(key), float) else str(entry.get(key, "–")) for key in shown]
        for entry in monitor
    ]
    return Table("Along the way", list(shown.values()), rows)


def _fine_tuning(run: RunDir, folder: Path) -> Section:
    section, record = Section("finetuning", "Fine-tuning, on labels"), run.stage("finetune")
    if record.status == "absent":
        return section
    section.lines.append(
        f"{record.status}. {record.metrics.get('trainable', '')}. {numbers(record.metrics)}".replace("..", ".")
    )
    section.lines = [
        f"{record.status}. {said}." for said in [record.outputs.get("untrained")] if said
    ] or section.lines
    validation = record.metrics.get("validation")
    if validation:
        section.lines.append(f"On validation data, which chose the checkpoint: {numbers(validation)}.")
    curve = read_lines(folder / "finetune" / "curve.jsonl")
    section.drawings += _some(drawings.history("finetune-loss", "Training loss", curve, {"loss": "loss"}, "loss"))
    domains = record.metrics.get("domains")
    if domains:
        section.tables.append(
            Table("Domains", ["measure", "value"], [[name, _flat(value)] for name, value in domains.items()])
        )
        for when in ("before", "after"):
            caption = f"Source and target as the last layer reads them, {when} the domains were made alike"
            section.drawings += _some(drawings.from_file(folder / "finetune" / f"map_{when}.svg", caption))
    return section


def _vectors(run: RunDir, folder: Path) -> Section:
    section, record = Section("vectors", "Vectors"), run.stage("embed")
    if record.done:
        section.lines.append(
            f"{record.metrics.get('vectors', 0):,} vectors of {record.metrics.get('dimensions')} numbers."
        )
        section.drawings += _some(
            drawings.from_file(folder / "embed" / "map.svg", "Vectors by their two main directions, colored by label")
        )
    return section


def _data(data: dict[str, Any], folder: Path, content: bool) -> Section:
    section = Section("data", "Data")
    if not data:
        return section
    section.lines.append(f"Source: {data.get('source')} ({data.get('modality')}).")
    section.tables.append(split_table(data))
    section.lines += [f"Decided: {text}." for text in data.get("decisions", [])]
    for unit, account in data.get("accounts", {}).items():
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in account["left_out"].items())
        section.lines.append(
            f"{account['found']:,} {unit} found, {account['used']:,} used{f', left out: {reasons}' if reasons else ''}."
        )
    if content:
        section.items_title = "Examples"
        section.items = _json(folder / "data" / EXAMPLES, [])
    return section


def _provenance(run: RunDir) -> Section:
    section, base = Section("provenance", "Provenance, and how to repeat it"), run.base
    if base is not None:
        revision = f", revision {base.revision}" if base.revision else ""
        section.lines.append(f"Start checkpoint: {base.id}{revision}. License: {base.license or 'not known'}.")
        if base.weights_sha:
            section.lines.append(f"sha256 of its weights: {base.weights_sha}.")
    print_ = run.facts.get("data", {}).get("fingerprint")
    if print_:
        section.lines.append(f"Fingerprint of the data: {print_}.")
    versions = run.facts.get("versions", {})
    section.lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    section.tables.append(stage_table(run))
    section.commands = command_lines(run)
    return section


def _some(drawing: Drawing | None) -> list[Drawing]:
    return [] if drawing is None else [drawing]


def _json(path: Path, default: Any) -> Any:
    """Content of a file that a stage wrote; the default where it is not there, or was cut short."""
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError):
        return default


def _date(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").strftime("%d %B %Y, %H:%M %Z")
    except ValueError:
        return text
