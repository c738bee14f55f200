"""Putting a stage together: options → data, checkpoint, objective or task. No order of stages here."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl import peft, plugins, processes
from hf_ssl.anatomy import layer_index, num_layers
from hf_ssl.checkpoint import Tensors, find_weights
from hf_ssl.config import DataOptions, Resolved
from hf_ssl.data import DomainData, load_data
from hf_ssl.errors import CheckpointError, ConfigError, DataError
from hf_ssl.load_report import shortened
from hf_ssl.models import LoadReport, check_vocabulary, quiet
from hf_ssl.recipe import resolve_stage
from hf_ssl.run import RunDir, inputs_hash, say, write_json
from hf_ssl.tasks.base import Task, TaskRows
from hf_ssl.training import Schedule
from hf_ssl.vocabulary import Extension, adopt, new_rows

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel

    from hf_ssl.modalities.base import Modality
    from hf_ssl.objectives.base import Objective

LINEAGE = "hf_ssl.json"


def modality_of(config: DataOptions) -> Modality:
    """The modality object that the options name."""
    kind = plugins.find("modalities", config.modality)
    shared = {"encoding": config.encoding, "txt": config.txt}  # of every modality that reads text files
    known = {item.name for item in dataclasses.fields(kind.Config)}
    given = {**{name: value for name, value in shared.items() if name in known}, **config.modality_options}
    return kind(kind.Config(**given))


def read_data(config: DataOptions) -> DomainData:
    """Load the data a stage works on (or take them as they are).

    Raises:
        DataError: they cannot be used, or several processes read different ones.
    """
    if config.data is None:
        raise ConfigError("No data were named. Give --data: a folder, a file, or a Hub id.")
    if isinstance(config.data, DomainData):
        data = config.data
    else:
        names = ("unlabeled", "validation", "test", "labels", "input_column", "text_pair_column", "label_column",
                 "tokens_column", "tags_column", "id_column", "group_column", "label_kind", "validation_fraction",
                 "test_fraction", "leakage", "near_duplicates", "near_threshold", "dedup", "max_examples", "encoding",
                 "txt", "folder_labels", "csv_options", "streaming", "seed")  # fmt: skip
        given = {name: getattr(config, name) for name in names}
        given.update(config_name=config.data_config, revision=config.data_revision)
        columns = config.conll_columns
        if columns is not None and len(columns) != 2:
            raise ConfigError(f"conll_columns names two columns, the word's and the tag's; found {columns}.")
        given["conll_columns"] = None if columns is None else (columns[0], columns[1])
        data = load_data(config.data, modality_of(config), **given, verbose=False)
        say(data.report_text())
    if len(set(processes.gather(data.fingerprint))) > 1:
        raise DataError("The processes read different data from the same source. Save it as files, and give those.")
    return data


def start_of(config: Any, run: RunDir, default: str | None = None) -> tuple[str, str | None]:
    """Checkpoint a stage starts from: the one named, or the result of the run's earlier stage (said aloud)."""
    if config.model is not None:
        if config.revision and Path(str(config.model)).expanduser().is_dir():
            raise ConfigError(
                f"{config.model} is a folder, and a folder has no revisions. Take --revision away, or give the Hub id."
            )
        if default is not None and str(config.model) != default:
            say(
                f"  model: {config.model}, as asked; what this run has pre-trained is left aside. Leave --model away to use it"
            )
        return str(config.model), config.revision
    if default is not None:
        say(f"  model: {default} (from this run)")
        return default, None
    base = run.ledger.get("base")
    if base:
        say(f"  model: {base['source']} (the one this run started from)")
        return base["source"], base.get("revision")
    raise ConfigError("No checkpoint was named. Give --model: a Hub id or a local folder.")


def note_lineage(run: RunDir, model_id: str, report: LoadReport) -> None:
    """Remember which released checkpoint everything descends from, through local folders too."""
    parent = lineage(model_id)
    base = parent or {
        "id": report.model_id,
        "revision": report.revision,
        "licence": report.licence,
        "weights_sha": report.weights_sha,
    }
    if "base" not in run.ledger:
        run.record(base={**base, "source": str(model_id)})


def lineage(model_id: str) -> dict[str, Any] | None:
    """What a folder saved by hf_ssl says it descends from."""
    file = Path(model_id) / LINEAGE
    return json.loads(file.read_text(encoding="utf-8"))["base"] if file.is_file() else None


def pooler_of(model: PreTrainedModel, model_id: str, revision: str | None, report: LoadReport) -> dict[str, Any]:
    """The start checkpoint's pooler, when the objective's class has none: `BertForMaskedLM` drops it (transformers#8793).

    Without it a classifier made from the adapted model would start from a random pooler where one made from the start
    has a trained one, and comparing the two would not be fair.
    """
    names = [name for name in report.unexpected if "pooler." in name]
    if not names:
        return {}
    tensors, prefix = Tensors.open(find_weights(model_id, revision)), f"{model.base_model_prefix}."
    return {prefix + name.removeprefix(prefix): tensors[name].float().clone() for name in names}


def save_model(
    model: PreTrainedModel,
    processor: Any,
    folder: Path,
    run: RunDir,
    carried: dict[str, Any] | None = None,
    **facts: Any,
) -> Path:
    """A plain transformers folder (safetensors, config, processor), tensors carried over, and where it comes from."""
    if not processes.is_main():
        return folder
    with quiet():
        model.save_pretrained(folder, state_dict={**model.state_dict(), **carried} if carried else None)
    if processor is not None:
        processor.save_pretrained(folder)
    base = {key: value for key, value in run.ledger.get("base", {}).items() if key != "source"}
    write_json(folder / LINEAGE, {"base": base, **facts})
    return folder


def pool_of(
    data: DomainData, fraction: float, seed: int, modality: Modality | None = None
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """The unlabelled pool, and a part of it (at most 1,000 examples) held out to measure the objective on.

    Raises:
        DataError: there is no pool, or it is too small to hold anything out.
    """
    if "unlabeled" not in data:
        raise DataError(
            f"There is no unlabelled data to pre-train on; the splits are {', '.join(data)}. Give --unlabeled."
        )
    pool = data["unlabeled"]
    apart = modality.hold_out(pool, fraction, seed) if modality is not None else None
    if apart is not None:
        return apart
    held = min(1000, max(2, round(fraction * len(pool))))  # the spread of features needs two
    if len(pool) < 4:
        raise DataError(f"The pool has {len(pool)} examples; at least 4 are needed, 2 of them to measure on.")
    order = np.random.default_rng(seed).permutation(len(pool))
    return pool.select(np.sort(order[held:])), pool.select(np.sort(order[:held]))


def fresh_start(config: Any, modality: Modality, data: DomainData, run: RunDir) -> str:
    """Random weights to start from, saved like any checkpoint, so that what follows cannot tell the difference.

    `--model` names a folder (or Hub id) whose configuration is taken, or a model family such as `patchtst`, for which the
    modality chooses a configuration that suits the data.
    """
    from transformers import AutoConfig, AutoModel, set_seed

    folder = run.folder("start")
    if (folder / "model.safetensors").is_file() and not config.overwrite:
        return str(folder)
    if config.model is None:
        raise ConfigError("from_config needs --model: a checkpoint's configuration, or a model family.")
    named = Path(config.model).is_dir() or "/" in config.model
    if named:
        try:
            chosen = AutoConfig.from_pretrained(
                config.model, revision=config.revision or "main", trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"The configuration of {config.model} cannot be used: {error}") from error
        processor = modality.load_processor(config.model, config.revision)
    else:
        chosen, processor = modality.fresh_config(config.model, data), None
    set_seed(config.seed)
    model = AutoModel.from_config(chosen)
    if processes.is_main():
        with quiet():
            model.save_pretrained(folder)
            if processor is not None:
                processor.save_pretrained(folder)
    processes.share(None)  # the others wait for the file
    say(f"  random weights: {config.model}, {sum(p.numel() for p in model.parameters()):,} parameters, in {folder}")
    return str(folder)


def build_objective(
    config: Any, plugin: Any, modality: Modality, model_id: str, revision: str | None, pool: datasets.Dataset
) -> tuple[Objective, LoadReport, Extension | None]:
    """Load the checkpoint for an objective, prove it, add new words and wrap it with adapters when asked."""
    kind = plugins.find("objectives", config.objective or modality.default_objective)
    if not kind.fits(modality):
        works = ", ".join(sorted(kind.modalities)) if kind.modalities else "kinds of data with random views"
        raise ConfigError(f"{config.objective} works on {works}, not on {modality.name}.")
    loaded, report = modality.load_model(
        model_id, kind.auto_class, dataset=pool, revision=revision, dtype=config.dtype
    )  # fmt: skip
    model: Any = loaded
    processor = modality.load_processor(model_id, revision)
    if modality.processor == "text":
        for note in check_vocabulary(model, processor):
            say(f"  {note}")
    say(report.summary())
    added = None
    if config.new_words:
        if modality.processor != "text":
            raise ConfigError(f"new_words are for text; {modality.name} has no vocabulary.")
        added = adopt(model, processor, list(pool[modality.column]), config.new_words)
        report.new_words = list(added.words)
        before, after = added.tokens_per_word or (0.0, 0.0)
        say(
            f"  {len(added.words)} new words: {shortened(added.words, 12)}; tokens per word {before:.3f} -> {after:.3f}"
        )
    model = modality.prepare_model(model, processor, from_config=config.from_config)
    model = peft.apply(model, config.peft, missing=report.missing, rank=config.rank, alpha=config.alpha,
                       dropout=config.adapter_dropout, target_modules=config.target_modules,
                       train_embeddings=added is not None, train_bare=("*masked_spec_embed",))  # fmt: skip
    return kind(model, processor, modality, plugin), report, added


def continuation(
    objective: Objective, missing: list[str], config: Any, learning_rate: float, added: Extension | None = None
) -> Schedule:
    """Safe continuation: which parameter belongs to which layer or to the new head, and when each moves.

    New rows of the embedding warm up with the head, while the old ones stand still.
    """
    new = frozenset(missing)
    layers, top = layer_index(objective.model), num_layers(objective.model)
    depth: dict[str, int | None] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            inner = name.removeprefix("model.")
            depth[name] = None if objective.is_head(name, new) else layers.get(inner, top)
    rows = new_rows(objective.model, added.ids) if added is not None else {}
    has_head = bool(rows) or any(layer is None for layer in depth.values())
    return Schedule(
        depth=depth, layers=top, head_warmup=config.head_warmup if has_head else 0.0, ramp=config.ramp,
        decay=config.decay, layer_decay=config.layer_decay, head_learning_rate=max(5e-4, learning_rate),
        rows={f"model.{name}": ids for name, ids in rows.items()},
    )  # fmt: skip


def build_task(name: str | None, plugin: dict[str, Any], modality: Modality, data: DomainData) -> Task:
    """The task that fits the labels, its labels learned from the training split.

    Raises:
        DataError: there are no labels, or they are not what the task needs.
    """
    given, name = name, name or plugins.TASK_OF.get(str(data.label_kind))
    if name is None or "train" not in data:
        raise DataError(f"There are no labels to learn from; the splits are {', '.join(data)}. Give --label_column.")
    kind = plugins.find("tasks", name)
    fits = modality.labelled_class is not None if kind.modalities is None else modality.name in kind.modalities
    if not fits:
        raise ConfigError(
            f"{name} works on {', '.join(sorted(kind.modalities or ())) or 'other kinds of data'}, not on {modality.name}."
        )
    if data.label_kind != kind.label_kind:
        raise DataError(
            f"{name} needs labels of kind {kind.label_kind!r}, the data have {data.label_kind!r}. See --label_kind."
        )
    if given is None:  # the options were resolved as classification's, before the labels were seen
        plugin = {
            key: value
            for key, value in plugin.items()
            if key in {item.name for item in dataclasses.fields(kind.Config)}
        }
    task = kind(kind.Config(**plugin), modality)
    task.fit_labels(data["train"], data.label_names)
    return task


@dataclasses.dataclass
class StageResult:
    """What a stage leaves behind.

    Args:
        path: the stage's folder.
        metrics: its numbers, as in run.json.
        skipped: the stage had run before with the same inputs.
    """

    path: Path
    metrics: dict[str, Any]
    skipped: bool = False


@dataclasses.dataclass
class Opening:
    """What every stage starts with: checked options, the run folder, the data, and whether anything is left to do.

    Args:
        done: the stage's earlier result, when it has already run with the same inputs.
    """

    stage: str
    resolved: Resolved
    config: Any
    run: RunDir
    data: DomainData
    modality: Modality
    inputs: str
    done: StageResult | None

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[dict[str, Any], Path]]:
        """Bracket the stage's work; nothing is written into the run folder before.

        Yields:
            the stage's ledger entry, and its folder.
        """
        resume, overwrite = getattr(self.config, "resume", False), self.config.overwrite
        if self.stage in ("evaluate", "embed"):  # seconds of work: done anew, never resumed
            resume, overwrite = False, True
        with self.run.running(
            self.stage, self.inputs, self.resolved.to_dict(), resume=resume, overwrite=overwrite
        ) as entry:
            self.run.record(data={"fingerprint": self.data.fingerprint, "modality": self.config.modality})
            self.save_data_report()
            yield entry, self.run.folder(self.stage)

    def save_data_report(self) -> None:
        """Write the data report (again, when the test split has been opened since)."""
        if processes.is_main():
            self.data.save_report(self.run.folder("data") / "report")


def open_stage(stage: str, options: dict[str, Any], *, after: str | None = None, unless: str = "") -> Opening:
    """Check a stage's options, read its data, and see whether it has already run with the same.

    Args:
        stage: one of `hf_ssl.config.STAGES`.
        options: as given by the user.
        after: the stage of the same run whose result it works on.
        unless: the option that names something else to work on.
    """
    resolved = resolve_stage(stage, options)
    config, run = resolved.config, RunDir(resolved.config.output)
    data = read_data(config)
    described = resolved.to_dict()
    for name in ("output", "resume", "overwrite", "data"):
        described["options"].pop(name, None)
    before = () if after is None or getattr(config, unless, None) else (run.stage(after).get("inputs"),)
    inputs, done = inputs_hash(stage, described, data.fingerprint, *before), None
    if run.finished(stage, inputs) and not config.overwrite:
        say(f"{stage}: already done with these inputs, skipped")
        done = StageResult(run.path / stage, run.stage(stage).get("metrics", {}), skipped=True)
    return Opening(stage, resolved, config, run, data, modality_of(config), inputs, done)


def task_name(config: Any, data: Any) -> str:
    return config.task or plugins.TASK_OF[data.label_kind]


def output_of(run: RunDir, stage: str) -> str | None:
    """Model folder that a finished stage left, or None."""
    entry = run.stage(stage)
    return entry["outputs"]["model"] if entry.get("status") == "done" else None


def inputs_of(split: datasets.Dataset, modality: Modality) -> list[Any]:
    """What a split's rows hold; words that carry tags are joined to text."""
    if modality.column in split.column_names or "tokens" not in split.column_names:
        return list(split[modality.column])
    return [" ".join(words) for words in split["tokens"]]


def task_rows(task: Any, processor: Any, split: Any) -> Any:
    """Encoded rows of a split."""
    return TaskRows(task.encode(processor, split))
