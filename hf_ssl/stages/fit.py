"""Fine-tuning one checkpoint on one set of labels, and on the pool beside them: what `finetune` and `compare` share."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.options import CompareConfig, FinetuneConfig
from hf_ssl.models import adapters, structure
from hf_ssl.models.load_report import shortened
from hf_ssl.models.loading import load_config
from hf_ssl.models.pooling import Pooling
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.build import learning_rate
from hf_ssl.stages.teacher import soft_labels
from hf_ssl.tasks.base import Task, TaskModule, TaskRows
from hf_ssl.training.self_training import POOL_WEIGHT, Pool
from hf_ssl.training.trainer import TrainResult, arguments, bf16_is_fast, predict, train

if TYPE_CHECKING:
    import datasets
    from transformers import EvalPrediction, TrainingArguments

    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder, Features
    from hf_ssl.stages.domains import Domains

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Fit:
    """A fine-tuned module with what its training said, of the domains too where it adapted to one."""

    module: TaskModule
    result: TrainResult
    args: TrainingArguments
    domains: dict[str, Any] | None = None

    @property
    def encoder(self) -> Encoder:
        """The checkpoint as it is now, adapters in it."""
        return self.module.encoder


def fit_task(
    task: Task[Any], ref: CheckpointRef, train_split: datasets.Dataset, validation: datasets.Dataset | None,
    config: FinetuneConfig | CompareConfig, training: dict[str, Any], folder: Path, *, seed: int, patience: int = 0,
    balanced: bool = False, resume: bool = False, resumable: bool = False, pool: Pool | None = None,
    pooling: Pooling | None = None, domains: Domains | None = None,
) -> Fit:  # fmt: skip
    """Fine-tune a checkpoint on labeled rows. Used by `finetune` and, for each arm and draw, by `compare`.

    Args:
        resumable: save checkpoints where nothing else asks for them.
        pooling: instead of the checkpoint's own.
        domains: make their features alike on the way, and pick the best point by a rule that sees no target labels.
    """
    from transformers import set_seed

    set_seed(seed)  # the new head and the adapters start from this, so two arms start alike
    encoder = task.modality.load(
        ref, task.auto_class, dataset=train_split, pooling=task.pooling or pooling, dtype=config.dtype, new_head=True,
        **task.model_options(),
    )  # fmt: skip
    if config.head_pooling == "encoder":
        encoder.adapt_head()
    module = TaskModule(encoder, task)
    features = task.encode(encoder, train_split)
    if pool is not None:
        features = with_pool(task, encoder, train_split, features, pool, seed)
    rows = TaskRows(features, seed=seed, balanced=balanced)
    if validation is not None and len(validation) and patience:
        module.held = TaskRows(task.encode(encoder, validation))
    note = task.warm_start(module, rows) if config.warm_start else None
    if note:
        logger.info(f"  {note}")
    module.wrap(adapters.apply(encoder.model, config.peft, missing=encoder.report.missing, rank=config.lora_r, alpha=config.lora_alpha,
                               dropout=config.lora_dropout, target_modules=config.target_modules, train_head=True,
                               train_bare=("*layer_weights",), frozen_ok=("*masked_spec_embed",)))  # fmt: skip
    adapting = domains.adapt(task, module, rows, train_split, folder, seed, resume) if domains is not None else None
    epochs = int(np.clip(math.ceil(1600 / max(1, len(rows))), 3, 20))
    rate = learning_rate(config.peft, task, task.modality, training)
    defaults = {"num_train_epochs": epochs, **task.training_defaults, "learning_rate": rate}
    grouped = "input_ids" in features[0] and not balanced and "train_sampling_strategy" not in training
    if grouped:
        defaults["train_sampling_strategy"] = "sequential"  # the rows shuffle themselves
    eval_rows = module.held
    if eval_rows is not None:
        defaults.update(eval_strategy="epoch", save_strategy="best", load_best_model_at_end=True,
                        metric_for_best_model=task.primary_metric, greater_is_better=task.greater_is_better,
                        eval_on_start=task.keeps_start)  # fmt: skip
        defaults.update(adapting.defaults if adapting is not None else {})
    else:
        defaults["save_strategy"] = "epoch" if resumable else "no"
    args = arguments(folder, seed=seed, defaults=defaults, overrides=training)
    if grouped:
        rows.group(args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
    measured = functools.partial(_metrics_of, task)
    trained, drawn = (module, rows) if adapting is None else (adapting.module, adapting.rows)
    result = train(
        trained, drawn, args, folder, eval_rows=eval_rows, patience=patience if eval_rows is not None else 0, resume=resume,
        elastic=getattr(config, "elastic", False), auto_batch_size=getattr(config, "auto_batch_size", False),
        compute_metrics=measured if adapting is None else adapting.scored(measured, args),
    )  # fmt: skip
    note = task.calibrate(module, lambda: predict(module, eval_rows, args)) if eval_rows is not None else None
    if note:
        logger.info(f"  {note}")
    return Fit(module, result, args, adapting.report(args) if adapting is not None else None)


def _metrics_of(task: Task[Any], output: EvalPrediction) -> dict[str, float]:
    logits: Any = output.predictions
    labels: Any = output.label_ids
    return task.metrics(logits, labels)


def finished_model(task: Task[Any], ref: CheckpointRef) -> Encoder:
    """Load a model whose head has been trained for the task's labels.

    Raises:
        CheckpointError: the head is not in the checkpoint, so its answers would be random.
        ConfigError: it was trained for other labels, or for these in another order.
    """
    options = task.model_options()
    encoder = task.modality.load(ref, task.auto_class, pooling=task.pooling, **options)
    inside = structure.in_backbone(encoder.model)
    absent = [name for name in encoder.report.missing if not inside(name)]
    if absent:
        raise CheckpointError(
            f"{ref.id} is no fine-tuned model: {shortened(absent)} are not in the checkpoint and would be random. Leave "
            "--model away to measure what finetune made."
        )
    known = load_config(ref.weights(), token=ref.token).id2label
    theirs, ours = ([*names.values()] if names else [] for names in (known, options.get("id2label")))
    named = not all(str(name).startswith("LABEL_") for name in theirs)
    if ours and named and theirs != ours:
        raise ConfigError(
            f"{ref.id} was trained for the labels {_listed(theirs)}; those of the data are {_listed(ours)}. They must be the "
            "same, in the same order."
        )
    return encoder


def _listed(names: list[str]) -> str:
    return ", ".join(map(str, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def open_pool(
    task: Task[Any], ref: CheckpointRef, data: DomainData, config: FinetuneConfig | CompareConfig, pooling: Pooling | None = None
) -> Pool | None:  # fmt: skip
    """The part of the unlabeled pool that fine-tuning learns from too, or None; `pooling` instead of the checkpoint's own."""
    if not (config.self_training and task.learns_from_pool and "unlabeled" in data):
        return None
    order = np.random.default_rng(config.seed).permutation(len(data["unlabeled"]))[: config.self_training]

    @functools.cache
    def frozen() -> Encoder:
        return task.modality.load(ref, dataset=data["unlabeled"], pooling=pooling)

    def embed(values: list[Any]) -> np.ndarray:
        return frozen().embed(values, max_length=task.max_length(frozen()), bf16=bf16_is_fast())

    return Pool(data["unlabeled"].select(np.sort(order)), task.modality.column, embed)


def with_pool(
    task: Task[Any], encoder: Encoder, split: datasets.Dataset, features: list[Features], pool: Pool, seed: int
) -> list[Features]:
    """Labeled features and those of the pool, all with soft labels; the labeled ones alone when they advise so."""
    classes = len(task.label_names)
    labels = np.asarray(split[task.label_column])
    # Once, for all processes: were they to disagree on whether the pool takes part, they would train on different rows.
    own = soft_labels(task.modality, pool, split, labels, classes, seed) if distributed.is_main() else None
    taught = distributed.broadcast(own)
    logger.info(f"  {taught.note}")
    if taught.examples is None or taught.probabilities is None:
        return features
    known = np.eye(classes, dtype=np.float32)[labels]
    believed = (POOL_WEIGHT * taught.probabilities).astype(np.float32)
    more = task.encode(encoder, taught.examples)
    for feature, belief in zip(more, believed, strict=True):
        feature["labels"] = int(belief.argmax())
    together = [*features, *more]
    for feature, target in zip(together, [*known, *believed], strict=True):
        feature["soft_labels"] = target
    return together
