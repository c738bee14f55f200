"""The model card: from the run's ledger and tables to a README.md. Reads files, never models, never rows of data."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hf_ssl.core.errors import HubError
from hf_ssl.core.options import STAGES, DataOptions, RunOptions
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.evaluation.figures.label_efficiency import figure_name

BEGIN, END = "<!-- hf_ssl: your own text -->", "<!-- hf_ssl: end of your own text -->"
INVITATION = "*Between these two comments you may write what you like: it is kept when the model is pushed again.*"
LONGEST = 200_000  # characters; the Hub refuses far larger ones, readers far smaller ones
FRONT = re.compile(r"\s*---[ \t]*\n(?P<fields>.*?)\n---[ \t]*(\n|$)", re.DOTALL)
# Identifiers of the Hub's license list that occur with encoders; any other name is written as `other` with its name.
LICENCES = set(
    """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl
    gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1
    ncsa unlicense zlib pddl unknown other llama2 llama3 gemma""".split()
)  # fmt: skip


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
        description, purpose: the user's words.
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
    report = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    stages = run.stages
    own, fields = kept_text(existing), _metadata(facts)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    body = environment.get_template("card.md.j2").render(
        title=facts.title or facts.repo.partition("/")[2].replace("-", " ").replace("_", " "),
        lead=_lead(facts, stages), description=facts.description, usage=facts.usage, printed=facts.printed, adapter=facts.adapter,
        purpose=facts.purpose or _purpose(facts), limits=_limits(facts, tables), kept=f"{BEGIN}\n{own}\n{END}",
        metrics=_metrics(stages, report) if facts.kind == "model" else None, tables=tables, stages=_stages(stages, facts),
        data=_data(report, run, facts), cost=_cost(stages, facts),
        versions=", ".join(f"{name} {version}" for name, version in sorted(run.facts.get("versions", {}).items())),
        citations=[facts.paper] if facts.paper and facts.kind != "embeddings" else [],
    )  # fmt: skip
    text = f"---\n{yaml.safe_dump(merge_metadata(existing, fields), sort_keys=True, allow_unicode=True)}---\n\n{_tidy(body)}"
    if len(text) > LONGEST:
        raise HubError(
            f"The card has {len(text):,} characters; at most {LONGEST:,} are published. Shorten your own text in it."
        )
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def kept_text(existing: str | None) -> str:
    """What the user wrote between the markers; the whole body of a card that is not ours."""
    if existing is None:
        return INVITATION
    body = existing[match.end() :] if (match := FRONT.match(existing)) else existing
    if BEGIN in body and END in body:
        return body.partition(BEGIN)[2].rpartition(END)[0].strip() or INVITATION
    return body.strip() or INVITATION


def merge_metadata(existing: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Our fields over those of the card that is there; its other fields, and its further tags, stay."""
    match = FRONT.match(existing or "")
    try:
        before = yaml.safe_load(match["fields"]) if match else {}
    except yaml.YAMLError as error:
        raise HubError(
            f"The card on the Hub has metadata that are not YAML ({error}). Repair or delete it there."
        ) from error
    before = before if isinstance(before, dict) else {}
    tags = list(dict.fromkeys([*fields["tags"], *(before.get("tags") or [])]))
    return {**before, **fields, "tags": tags}


def split_license(license: str) -> dict[str, str]:
    """The Hub's fields for a license: an identifier of its list, else `other` and the name."""
    known = license.strip().lower()
    return (
        {"license": known} if known in LICENCES else {"license": "other", "license_name": re.sub(r"\s+", "-", known)}
    )


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


def _lead(facts: CardFields, stages: dict[str, StageRecord]) -> str:
    """What was done to what; nothing that did not happen, and nothing that was tried and not kept."""
    entry = stages.get("pretrain", StageRecord())
    tried = entry.done
    scratch = tried and entry.options.get("from_config", False)
    base = (
        f"[{facts.base_id}](https://huggingface.co/{facts.base_id})"
        if facts.base_id
        else f"The TensorFlow model `{facts.origin}` (imported, every tensor compared)"
        if facts.origin
        else "A checkpoint of its own maker"
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


def _limits(facts: CardFields, tables: list[dict[str, Any]]) -> list[str]:
    limits = [
        f"License: {facts.license}"
        + (", that of the start checkpoint unless its authors say otherwise." if facts.base_id else ".")
    ]
    if facts.kind != "embeddings":
        limits.append(
            "Nothing is known of data from elsewhere than the domain described below; errors and biases of the start checkpoint remain."
        )
    if tables and not any("helped" in table["verdict"] for table in tables):
        limits.append("Adapting the checkpoint to the domain was not shown to help here (table below).")
    return limits


def _tables(path: Path, folder: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    markdown = _markdown_tables((path.parent / "table.md").read_text(encoding="utf-8"))
    found = []
    for title, table in json.loads(path.read_text(encoding="utf-8")).items():
        drawn = path.parent / figure_name(title)
        figure = None
        if drawn.is_file():
            (folder / "figures").mkdir(exist_ok=True)
            shutil.copyfile(drawn, folder / "figures" / drawn.name)
            figure = f"figures/{drawn.name}"
        found.append(
            {"title": title, "verdict": table["overall"]["word"], "sentence": table["overall"]["sentence"], "figure": figure,
             "markdown": markdown.get(title, ""), "alt": f"{table['metric']} of base and adapted over the number of labels"}
        )  # fmt: skip
    return found


def _markdown_tables(text: str) -> dict[str, str]:
    pieces = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def _metrics(stages: dict[str, StageRecord], report: dict[str, Any]) -> dict[str, Any] | None:
    """Numbers of the test split when it was measured, else of validation, and how they came about."""
    for stage in ("evaluate", "finetune"):
        entry = stages.get(stage, StageRecord())
        values = entry.metrics if stage == "evaluate" else entry.metrics.get("validation", {})
        split = entry.options.get("split", "test") if stage == "evaluate" else "validation"
        numbers = [(name, f"{value:.4f}") for name, value in values.items() if isinstance(value, float)]
        if numbers:
            opened = [name for name in ("evaluate", "compare") if name in stages and stages[name].done]
            said = f"The test split was opened by {' and by '.join(f'`{name}`' for name in opened)}."
            if split == "validation":
                patience = entry.options.get("early_stopping_patience")
                said = (
                    "These numbers chose the checkpoint and are better than those on unseen data."
                    if patience
                    else "The training did not look at them; whoever chose its settings may have."
                )
            return {
                "split": split,
                "examples": report.get("rows", {}).get(split, "the"),
                "values": numbers,
                "said": said,
            }
    return None


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
            text = f"Method `{entry.options.get('peft')}`: {metrics.get('trainable', '')}. {text}"
        found.append({"title": title, "text": text, "settings": _settings(stage, entry)})
    return found


def _settings(stage: str, entry: StageRecord) -> str:
    """Options that differ from their defaults, without those that name places or data."""
    unsaid = {item.name for kind in (DataOptions, RunOptions) for item in dataclasses.fields(kind)} - {"seed"} | {
        "model",
        "revision",
    }
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


def _plain_word(value: Any) -> bool:
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
            f"{len(leaks)} kinds of overlap were found and handled (`{report.get('leakage')}`)"
            if leaks
            else "no overlap was found"
        )
        parts.append(f"Pool and training data were compared with validation and test, exactly and nearly: {found}.")
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
