"""The model card: from the run's ledger and tables to a README.md. Reads files, never models, never rows of data."""

from __future__ import annotations

import dataclasses
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hf_ssl.core.errors import HubError
from hf_ssl.core.jsonfiles import read_json
from hf_ssl.core.option_groups import DataOptions, RunOptions
from hf_ssl.core.options import STAGES
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.evaluation.figures import figure_name
from hf_ssl.hub.metadata import BEGIN, END, kept_text, merge_metadata, split_license

LONGEST = 200_000  # characters; the Hub refuses far larger ones, readers far smaller ones
SHOWN_LABELS, SHOWN_MODULES = 40, 6


@dataclass
class CardFields:
    """What a card says, beside the ledger.

    Args:
        repo: `owner/name`.
        kind, auto_class, pipeline_tag, modality, task: of the artifact.
        license: identifier or name; never empty.
        base_id, base_revision: the released checkpoint, None when its own makers publish it here for the first time.
        usage: lines of code, already executed; `printed` is what they printed.
        datasets: Hub ids the user named.
        origin: the TensorFlow model that the start checkpoint was imported from.
        labels: names of the classes or symbols, in the order of the outputs.
        inputs: what the model takes, such as `224 × 224 pixels, 3 channels`.
        description, purpose: the user's words.
        answer: who answers in the folder answer/, and the lines that load it; None: the plain model is all there is.
    """

    repo: str
    kind: str
    auto_class: str
    pipeline_tag: str | None
    modality: str
    task: str | None
    license: str
    base_id: str | None
    base_revision: str | None
    usage: str
    printed: str = ""
    datasets: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    title: str | None = None
    description: str | None = None
    purpose: str | None = None
    adapter: dict[str, Any] | None = None
    objective: str = "default"
    objective_text: str = ""
    paper: str | None = None
    origin: str | None = None
    labels: list[str] = field(default_factory=list)
    inputs: str = ""
    answer: dict[str, str] | None = None


def write_card(folder: Path, run: RunDir, facts: CardFields, existing: str | None = None) -> str:
    """Write README.md (and the figures it shows) into a staged folder.

    Args:
        run: its record; its `compare/table.json` and `data/report.json` are read.
        existing: the card that is on the Hub now; its kept text and foreign metadata go on.

    Raises:
        HubError: the card would be longer than anybody can read.
    """
    tables = (
        _tables(run.path / "compare" / "table.json", folder) if facts.kind in ("model", "backbone", "adapter") else []
    )
    described = run.path / "data" / "report.json"
    report = read_json(described) if described.is_file() else {}
    stages = run.stages
    own, fields = kept_text(existing), _metadata(facts)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    body = environment.get_template("card.md.j2").render(
        title=facts.title or _title(facts),
        lead=_lead(facts, stages), description=facts.description, usage=facts.usage, printed=facts.printed,
        adapter=facts.adapter, answer=facts.answer,
        purpose=facts.purpose or _purpose(facts), limits=_limits(facts, tables, stages), shape=_shape(facts), kept=f"{BEGIN}\n{own}\n{END}",
        metrics=_metrics(stages, report, facts.answer is not None) if facts.kind == "model" else None, tables=tables, stages=_stages(stages, facts),
        data=_data(report, run, facts), cost=_cost(stages, facts),
        versions=", ".join(f"{name} {version}" for name, version in sorted(run.facts.get("versions", {}).items())),
        citations=[facts.paper] if facts.paper and facts.kind != "embeddings" else [],
    )  # fmt: skip
    fields = merge_metadata(existing, fields)
    head = ModelCardData(ignore_metadata_errors=True, **fields).to_yaml(original_order=sorted(fields))
    text = f"---\n{head}\n---\n\n{_tidy(body)}"
    if len(text) > LONGEST:
        raise HubError(
            f"The card has {len(text):,} characters; at most {LONGEST:,} are published. Shorten your own text in it."
        )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def _metadata(facts: CardFields) -> dict[str, Any]:
    relation = {"model": "finetune", "backbone": "finetune", "adapter": "adapter"}.get(facts.kind)
    fields: dict[str, Any] = split_license(facts.license)
    fields["tags"] = ["hf_ssl", "self-supervised", facts.modality, *([facts.task] if facts.task else []), facts.kind]
    if facts.kind != "embeddings":
        fields["library_name"] = "peft" if facts.kind == "adapter" else "transformers"
        if facts.pipeline_tag:
            fields["pipeline_tag"] = facts.pipeline_tag
        if facts.base_id:
            fields |= {"base_model": facts.base_id, "base_model_relation": relation}
    if facts.datasets and facts.kind != "embeddings":
        fields["datasets"] = facts.datasets
    if facts.language:
        fields["language"] = facts.language
    return fields


def _title(facts: CardFields) -> str:
    """What it is, after the repository's name: that alone may say nothing."""
    name = facts.repo.partition("/")[2]
    start = (facts.base_id or facts.origin or "").rpartition("/")[2]
    what = {
        "model": f"{facts.task} of {facts.modality}",
        "backbone": f"{facts.modality} backbone",
        "adapter": f"adapter for {facts.task or facts.modality}",
        "embeddings": f"{facts.modality} embeddings",
    }[facts.kind]
    return f"{name}: {what}{f', from {start}' if start else ''}"


def _lead(facts: CardFields, stages: dict[str, StageRecord]) -> str:
    """What was done to what; nothing that did not happen, and nothing that was tried and not kept."""
    entry = stages.get("pretrain", StageRecord())
    tried = entry.done
    scratch = _from_scratch(stages)
    base = (
        f"[{facts.base_id}](https://huggingface.co/{facts.base_id})"
        if facts.base_id
        else f"The TensorFlow model `{facts.origin}` (imported, every tensor compared)"
        if facts.origin
        else "A checkpoint that is not on the Hub"
    )
    if facts.base_id and facts.base_revision:
        base += f" (revision `{facts.base_revision}`)"
    base = "A model with random weights" if scratch else base
    if facts.kind == "adapter":
        return f"An adapter for {base[0].lower() + base[1:]}."
    if facts.kind == "embeddings":
        return f"Vectors made with {base[0].lower() + base[1:]}. The data behind them are not here."
    kept = tried and entry.metrics.get("kept_step") != 0
    done = [
        "trained on data of a domain without labels"
        if scratch
        else "adapted to a domain by self-supervised training on unlabeled data"
    ]
    done = (done if kept else []) + ([f"fine-tuned for {facts.task}"] if facts.kind == "model" else [])
    told = f"{base}, {' and '.join(done) or 'unchanged'}."
    if tried and not kept:
        told += " Self-supervised training on unlabeled data was tried first; nothing was better than the start, which was kept."
    return told if facts.kind == "model" else f"{told} It has no task head."


def _purpose(facts: CardFields) -> str:
    return {
        "model": f"For {facts.task} of data like those it was trained on.",
        "backbone": "A start for fine-tuning, and for embeddings, in the domain it was adapted to.",
        "adapter": f"For {facts.task or 'data of the domain it was adapted to'}, together with its base model.",
        "embeddings": "For nearest-neighbor search and for classifiers on vectors, with queries from the same model and pooling.",
    }[facts.kind]


def _limits(facts: CardFields, tables: list[dict[str, Any]], stages: dict[str, StageRecord]) -> list[str]:
    limits = [
        f"License: {facts.license}"
        + (", that of the start checkpoint unless its authors say otherwise." if facts.base_id else ".")
    ]
    if facts.kind != "embeddings":
        inherited = "" if _from_scratch(stages) else "; errors and biases of the start checkpoint remain"
        limits.append(f"Nothing is known of data from elsewhere than the domain described below{inherited}.")
    if tables and not any("helped" in table["verdict"] for table in tables):
        limits.append("Adapting the checkpoint to the domain was not shown to help here (table below).")
    return limits + [table["rivals"] for table in tables if table["rivals"]]


def _from_scratch(stages: dict[str, StageRecord]) -> bool:
    first = next(
        (stages[name] for name in ("pretrain", "finetune") if name in stages and stages[name].done), StageRecord()
    )
    return bool(first.options.get("from_config", False))


def _shape(facts: CardFields) -> list[str]:
    """What goes in and what comes out."""
    lines = [f"Input: {facts.inputs}."] if facts.inputs else []
    if facts.labels:
        shown = ", ".join(f"`{name}`" for name in facts.labels[:SHOWN_LABELS])
        rest = len(facts.labels) - SHOWN_LABELS
        lines.append(
            f"Labels ({len(facts.labels)}): {shown}{f', and {rest} more in config.json' if rest > 0 else ''}."
        )
    return lines


def _tables(path: Path, folder: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    markdown = _markdown_tables((path.parent / "table.md").read_text(encoding="utf-8"))
    found = []
    for title, table in read_json(path).items():
        drawn = path.parent / figure_name(title)
        figure = None
        if drawn.is_file():
            (folder / "figures").mkdir(exist_ok=True)
            shutil.copyfile(drawn, folder / "figures" / drawn.name)
            figure = f"figures/{drawn.name}"
        overall = table["overall"]
        found.append(
            {
                "title": title,
                "verdict": overall["word"],
                "sentence": overall["sentence"],
                "figure": figure,
                "alt": f"{table['metric']} of base and adapted over the number of labels",
                "markdown": markdown.get(title, ""),
                "rivals": _rivals(title, table),
            }
        )
    return found


def _rivals(title: str, table: dict[str, Any]) -> str:
    """What was better than the adapted model where the most labels were given: a verdict against the start leaves it out."""
    line = table["lines"][-1]
    sign = 1 if line.get("difference", {}).get("higher_is_better", True) else -1
    own = line["adapted"]["mean"]
    better = [name for name, arm in line["others"].items() if sign * (arm["mean"] - own) > 0]
    if not better:
        return ""
    told = ", ".join(f"{name} ({line['others'][name]['mean']:.3f})" for name in better)
    return (
        f"{title}, {line['budget']} labels: {told} did better than the adapted model ({own:.3f}) in {table['metric']}."
    )


def _markdown_tables(text: str) -> dict[str, str]:
    pieces = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def _metrics(stages: dict[str, StageRecord], report: dict[str, Any], answered: bool = False) -> dict[str, Any] | None:
    """Numbers of the test split when it was measured, else of validation, and how they came about.

    Args:
        answered: what the run answers with is published, too, and gets a row of its own.
    """
    for stage in ("evaluate", "finetune"):
        entry = stages.get(stage, StageRecord())
        own = entry.outputs.get("model") or entry.metrics  # of the model alone, where a teacher answers in the run
        values = own if stage == "evaluate" else entry.metrics.get("validation", {})
        split = entry.options.get("split", "test") if stage == "evaluate" else "validation"
        names = [name for name, value in values.items() if isinstance(value, float)]
        if not names:
            continue
        opened = [name for name in ("evaluate", "compare") if name in stages and stages[name].done]
        said = f"The test split was opened by {' and by '.join(f'`{name}`' for name in opened)}."
        if split == "validation":
            patience = entry.options.get("early_stopping_patience")
            said = "These numbers chose the checkpoint and are better than those on unseen data."
            said = said if patience else "The training did not look at them; whoever chose its settings may have."
        measured = [("the plain model", values, _interval(entry))]
        if "answer" in entry.outputs and answered:
            whole = entry.outputs.get("interval")
            measured.insert(0, ("the answer in `answer/`", entry.metrics, _told(whole) if whole else ""))
        elif "answer" in entry.outputs:
            best = next(value for value in entry.metrics.values() if isinstance(value, float))
            said += f" The run itself answers with {entry.outputs['answer']} ({names[0]} {best:.4f}), which is not part of this repository."
        elif answered:
            said += " They are those of the plain model; what lies in `answer/` was not measured."
        return {
            "split": split,
            "interval": " ".join(f"{who[0].upper()}{who[1:]}: {told}" for who, _, told in measured if told),
            "examples": report.get("rows", {}).get(split, "the"),
            "names": names,
            "rows": [
                (who, [f"{found[name]:.4f}" if name in found else "" for name in names]) for who, found, _ in measured
            ],
            "said": said,
        }
    return None


def _interval(entry: StageRecord) -> str:
    """Of the metric that models are compared by, over the examples that were measured."""
    found = entry.outputs.get("model_interval" if "model" in entry.outputs else "interval")
    return _told(found) if found else ""


def _told(found: dict[str, Any]) -> str:
    return f"{found['confidence']:.0%} interval of {found['metric']} over {found['units']}: {found['low']:.4f} to {found['high']:.4f}."


def _stages(stages: dict[str, StageRecord], facts: CardFields) -> list[dict[str, str]]:
    found = []
    for stage, title in (("pretrain", "Adaptation (no labels)"), ("finetune", "Fine-tuning (labels)")):
        entry = stages.get(stage)
        if entry is None or not entry.done or (stage == "finetune" and facts.kind == "backbone"):
            continue
        metrics = entry.metrics
        seen = next((f"{metrics[key]:,} {key.removesuffix('_seen')}" for key in metrics if key.endswith("_seen")), "")
        text = f"{metrics.get('steps', 0):,} optimizer steps, {seen} seen, {entry.seconds:.0f} s."
        if stage == "pretrain":
            objective = entry.options.get("objective") or facts.objective
            text = f"Objective `{objective}`. {facts.objective_text} {text} Outcome: {metrics.get('outcome', 'not measured')}."
        else:
            way = f"Method `{entry.options.get('peft')}`: {_shortened(str(metrics.get('trainable', '')))}. {text}"
            text = f"No step was taken: {entry.outputs['untrained']}." if "untrained" in entry.outputs else way
        found.append({"title": title, "text": text, "settings": _settings(stage, entry)})
    return found


def _shortened(trainable: str) -> str:
    """The count of what is trained, and its whole modules where they are few enough to be read."""
    count, found, modules = trainable.partition("; whole modules: ")
    names = modules.split(", ")
    few = not found or len(names) <= SHOWN_MODULES
    return trainable if few else f"{count}; {len(names)} modules as a whole"


def _settings(stage: str, entry: StageRecord) -> str:
    """Options that differ from their defaults, without those that name places or data."""
    places = {item.name for kind in (DataOptions, RunOptions) for item in dataclasses.fields(kind)}
    unsaid = places - {"seed"} | {"model", "revision"}
    changed = dict(entry.training)
    for item in dataclasses.fields(STAGES[stage]):
        value = entry.options.get(item.name, default := _default(item))
        if item.name not in unsaid and value != default:
            changed[item.name] = value
    safe = {
        name: value for name, value in changed.items() if isinstance(value, (int, float, bool)) or _plain_word(value)
    }
    return ", ".join(f"`{name}={value}`" for name, value in sorted(safe.items()))


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _plain_word(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.+-]+", value) is not None


def _data(report: dict[str, Any], run: RunDir, facts: CardFields) -> str:
    rows = ", ".join(f"{count:,} {split}" for split, count in report.get("rows", {}).items())
    named = ", ".join(f"[{name}](https://huggingface.co/datasets/{name})" for name in facts.datasets)
    print_ = run.facts.get("data", {}).get("fingerprint", "unknown")
    parts = [
        f"{named or 'Not published.'} Rows: {rows or 'unknown'}.",
        f"Fingerprint of the content of all splits: `{print_}`.",
    ]
    leaks = report.get("leaks")
    if leaks is not None:
        found = (
            f"overlap was found in {len(leaks)} way{'s' * (len(leaks) > 1)} and handled (`{report.get('leakage')}`)"
            if leaks
            else "no overlap was found"
        )
        how = "for equal and for similar content" if report.get("near_checked") else "for equal content only"
        parts.append(f"Pool and training data were compared with validation and test, {how}: {found}.")
    if facts.kind == "embeddings":
        parts.append("`id` is a hash; whoever has the data can make it again, nobody can read the data out of it.")
    return " ".join(parts)


def _cost(stages: dict[str, StageRecord], facts: CardFields) -> str:
    names = {"model": ("pretrain", "finetune"), "backbone": ("pretrain",)}.get(
        facts.kind, ("pretrain", "finetune", "embed")
    )
    spent = {name: stages[name].seconds for name in names if name in stages and stages[name].done}
    each = ", ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in spent.items())
    return f"Wall time: {each or 'not recorded'}."


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
