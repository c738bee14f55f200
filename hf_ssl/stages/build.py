"""Putting a stage together: options → data, checkpoint, objective or task. No order of stages here."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError
from hf_ssl.core.fields import Options
from hf_ssl.core.options import FinetuneConfig, PretrainConfig
from hf_ssl.core.run import RunDir, write_json
from hf_ssl.data import DomainData
from hf_ssl.data.readers.files import CONLL, TABLES
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.modalities.text.tokens import Preparation
from hf_ssl.models import adapters
from hf_ssl.models.load_report import shortened
from hf_ssl.models.loading import check_vocabulary, quiet
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.structure import layer_index, num_layers
from hf_ssl.models.vocabulary import Extension, adopt, new_rows
from hf_ssl.tasks.base import Task, TaskRows
from hf_ssl.training.schedule import Schedule

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.objectives.base import Objective

logger = logging.getLogger(__name__)


def init_from_config(
    config: PretrainConfig | FinetuneConfig, modality: Modality, data: DomainData, run: RunDir
) -> CheckpointRef:
    """Random weights to start from, saved like any checkpoint, so that what follows cannot tell the difference.

    `--model` names a folder (or Hub id) whose configuration is taken, or a model family such as `patchtst`, for which the
    modality chooses a configuration that suits the data.
    """
    from transformers import AutoConfig, AutoModel, set_seed

    folder = run.folder("start")
    if (folder / "model.safetensors").is_file() and not config.overwrite:
        return CheckpointRef(str(folder))
    assert config.model is not None, "from_config without model is refused with the options"
    named = Path(config.model).is_dir() or "/" in config.model
    if named:
        try:
            chosen = AutoConfig.from_pretrained(
                config.model, revision=config.revision or "main", trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"The configuration of {config.model} cannot be used: {error}") from error
        processor = modality.load_processor(CheckpointRef(config.model, config.revision))
    else:
        chosen, processor = modality.default_config(config.model, data), None
    set_seed(config.seed)
    model = AutoModel.from_config(chosen)
    if distributed.is_main():
        with quiet():
            model.save_pretrained(folder)
            if processor is not None:
                processor.save_pretrained(folder)
        write_json(folder / LINEAGE, {"untrained": True})
    distributed.broadcast(None)  # the others wait for the file
    logger.info(
        f"  random weights: {config.model}, {sum(p.numel() for p in model.parameters()):,} parameters, in {folder}"
    )
    return CheckpointRef(str(folder))


def build_objective(
    config: PretrainConfig, plugin: Options, modality: Modality, ref: CheckpointRef, pool: datasets.Dataset
) -> tuple[Objective, Extension | None]:
    """Load the checkpoint for an objective, prove it, add new words and wrap it with adapters when asked."""
    kind = plugins.find("objectives", config.objective or modality.default_objective)
    if not kind.fits(modality):
        raise ConfigError(f"{config.objective} works on {_fitting(kind)}, not on {modality.name}.")
    encoder = modality.load(
        ref, kind.auto_class, dataset=pool, dtype=config.dtype, attn_implementation=config.attn_implementation
    )
    if isinstance(encoder, TextEncoder):
        encoder.preparation = Preparation(config.preprocessing_num_workers, config.cache_dir)
        for note in check_vocabulary(encoder.model, encoder.processor):
            logger.info(f"  {note}")
    logger.info(encoder.report.summary())
    added = None
    if config.new_words:
        if not isinstance(encoder, TextEncoder):
            raise ConfigError(f"new_words are for text; {modality.name} has no vocabulary.")
        added = adopt(encoder.model, encoder.processor, list(pool[modality.column]), config.new_words)
        encoder.report.new_words = list(added.words)
        before, after = added.tokens_per_word or (0.0, 0.0)
        logger.info(
            f"  {len(added.words)} new words: {shortened(added.words, 12)}; tokens per word {before:.3f} -> {after:.3f}"
        )
    encoder = encoder.replace(
        model=adapters.apply(encoder.model, config.peft, missing=encoder.report.missing, rank=config.lora_r, alpha=config.lora_alpha,
                             dropout=config.lora_dropout, target_modules=config.target_modules,
                             train_embeddings=added is not None, train_bare=("*masked_spec_embed",))
    )  # fmt: skip
    return kind(encoder, kind.Config(**dataclasses.asdict(plugin))), added


def without_padding(encoder: Encoder, wanted: bool) -> None:
    """Leave padding out of the model's work where that was asked for and gives the same."""
    if wanted and not encoder.leave_padding_out():
        logger.warning(
            f"{type(encoder.model).__name__} gives other answers when texts stand side by side: padding stays, and costs time"
        )


def learning_rate(method: str, plugin: Objective | Task, modality: Modality, training: dict[str, Any]) -> float:
    """One rule for every stage: the user's rate, else that of the objective or task, else the modality's, times the adapter's multiple."""
    if training.get("learning_rate") is not None:
        logger.info(f"  learning rate {training['learning_rate']:g} (as given)")
        return float(training["learning_rate"])
    default = float(plugin.training_defaults.get("learning_rate", modality.learning_rate))
    rate = adapters.learning_rate(method, default)
    multiple = "" if rate == default else f" x {rate / default:g} ({method})"
    logger.info(f"  learning rate {default:g}{multiple}")
    return rate


def continuation(
    objective: Objective,
    missing: list[str],
    config: PretrainConfig,
    learning_rate: float,
    added: Extension | None = None,
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
        depth=depth, layers=top, head_warmup=config.head_warmup if has_head else 0.0, ramp=config.backbone_warmup_ratio,
        decay=config.lr_schedule, layer_decay=config.layer_decay, head_learning_rate=max(5e-4, learning_rate),
        rows={f"model.{name}": ids for name, ids in rows.items()},
    )  # fmt: skip


def _where_labels_are(data: DomainData) -> str:
    """What says the labels: a column of a table; of files that no table names, their folders or a table with a row per file."""
    files = set(data.report.get("files") or ())
    if not files or files & {*TABLES, *CONLL}:
        return "Give --label_column."
    return (
        "Put the files of a class into a folder of its own (--folder_labels true, where folders do not look like classes; --folder_level "
        "last, where the class is the folder that a file lies in), or write a table with a row per file: --labels_file TABLE.csv --label_column "
        "label."
    )


def build_task(name: str | None, plugin: dict[str, Any], modality: Modality, data: DomainData) -> Task[Any]:
    """The task that fits the labels, its labels learned from the training split.

    Raises:
        DataError: there are no labels, or they are not what the task needs.
    """
    given, name = name, name or plugins.task_for(data.label_kind)
    if name is None or "train" not in data:
        spoken = " Where they say what is spoken: --label_kind transcript." if modality.name == "audio" else ""
        raise DataError(
            f"There are no labels to learn from; the splits are {', '.join(data)}. {_where_labels_are(data)}{spoken}"
        )
    kind = plugins.find("tasks", name)
    if not kind.fits(modality):
        raise ConfigError(f"{name} works on {_fitting(kind)}, not on {modality.name}.")
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


def _fitting(kind: type[Objective | Task[Any]]) -> str:
    """Kinds of data that come along and that an objective or a task works on."""
    found = [name for name in plugins.names("modalities") if kind.fits(plugins.find("modalities", name))]
    return ", ".join(found) or "other kinds of data"


def task_rows(task: Task[Any], encoder: Encoder, split: datasets.Dataset) -> TaskRows:
    """Encoded rows of a split."""
    return TaskRows(task.encode(encoder, split))
