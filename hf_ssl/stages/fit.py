"""Fine-tuning one checkpoint on one set of labels, and on the pool beside them: what `finetune` and `compare` share."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_ssl.core import distributed
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.options import CompareConfig, FinetuneConfig
from hf_ssl.core.run import remove, write_json
from hf_ssl.models import adapters, quantized, structure
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.load_report import shortened
from hf_ssl.models.loading import load_config
from hf_ssl.models.pooling import Pooling
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.build import learning_rate, without_padding
from hf_ssl.stages.candidates import Findings, Fold, study
from hf_ssl.stages.forecast_answer import ForecastFindings
from hf_ssl.stages.reading import settable_layer
from hf_ssl.stages.rehearsal import Rehearsal
from hf_ssl.stages.rehearsal import rehearse as rehearsal_of
from hf_ssl.tasks.base import Task, TaskModule, TaskRows
from hf_ssl.tasks.heads import softmax
from hf_ssl.training.self_training import POOL_WEIGHT, Pool
from hf_ssl.training.trainer import TrainResult, arguments, predict, train

if TYPE_CHECKING:
    import datasets
    from transformers import EvalPrediction, TrainingArguments

    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder, Features
    from hf_ssl.stages.domains import Domains

logger = logging.getLogger(__name__)

TAUGHT_ROWS = 200
"""Pool examples in the network's training, or as many as there are labels."""
WATCHED = 200
"""Validation rows from which on they alone say whether training beats its start."""
SEEN, SEEN_FROM_THE_START = 800, 1600
"""Examples that training sees at least, where epochs are not given: from a head that is taught already, and from none."""
MOST_EPOCHS = 20


@dataclasses.dataclass
class Fit:
    """A fine-tuned module with what its training said, of the domains too where it adapted to one."""

    module: TaskModule
    result: TrainResult
    args: TrainingArguments
    domains: dict[str, Any] | None = None
    found: Findings | ForecastFindings | None = None

    @property
    def encoder(self) -> Encoder:
        """The checkpoint as it is now, adapters in it."""
        return self.module.encoder


def fit_task(
    task: Task[Any], ref: CheckpointRef, train_split: datasets.Dataset, validation: datasets.Dataset | None,
    config: FinetuneConfig | CompareConfig, training: dict[str, Any], folder: Path, *, seed: int, patience: int = 0,
    balanced: bool = False, resume: bool = False, resumable: bool = False, pool: Pool | None = None,
    pooling: Pooling | None = None, domains: Domains | None = None, known: Findings | None = None, rehearse: bool = False,
) -> Fit:  # fmt: skip
    """Fine-tune a checkpoint on labeled rows. Used by `finetune` and, for each arm and draw, by `compare`.

    Args:
        resumable: save checkpoints where nothing else asks for them.
        pooling: instead of the checkpoint's own.
        domains: make their features alike on the way, and pick the best point by a rule that sees no target labels.
        known: what the simple ways said already.
        rehearse: train the network only where that pays, when nothing else would say so.
    """
    from transformers import set_seed

    set_seed(seed)  # the new head and the adapters start from this, so two arms start alike
    encoder = _with_a_head(task, ref, train_split, config, pooling)
    module = TaskModule(encoder, task)
    features, found = task.encode(encoder, train_split), None
    peft, watched = config.peft, len(validation) if validation is not None and patience else 0
    if config.warm_start and task.learns_from_pool:
        wanted = rehearse and domains is None and is_unwatched(peft, training, watched)
        found, features = studied(task, module, train_split, features, pool, seed, known, wanted)
        found.teacher.head_pooling = config.head_pooling
        if domains is not None:
            found = found.for_another_domain()
        if found.folds and found.head is not None:
            again = functools.partial(
                fit_task, task, ref, config=config, training=training, seed=seed, balanced=balanced, pooling=pooling
            )
            peft = peft if rehearsed(task, found, train_split, pool, again, folder, resume) else "linear-probe"
            set_seed(seed)
    rows = TaskRows(features, seed=seed, balanced=balanced)
    if validation is not None and len(validation) and patience:
        module.held = TaskRows(task.encode(encoder, validation))
    note = task.warm_start(module, rows) if config.warm_start and found is None else None
    if note:
        logger.info(f"  {note}")
    module.wrap(adapters.apply(encoder.model, peft, missing=encoder.report.missing, rank=config.lora_r, alpha=config.lora_alpha,
                               dropout=config.lora_dropout, target_modules=config.target_modules, train_head=True,
                               train_bare=("*layer_weights",), frozen_ok=("*masked_spec_embed",)))  # fmt: skip
    adapting = domains.adapt(task, module, rows, train_split, folder, seed, resume) if domains is not None else None
    seen, least = (SEEN_FROM_THE_START, 3) if found is None else (SEEN, 1)
    epochs = int(np.clip(math.ceil(seen / max(1, len(rows))), least, MOST_EPOCHS))
    rate = learning_rate(peft, task, task.modality, training)
    defaults = {"num_train_epochs": epochs, **task.training_defaults, "learning_rate": rate}
    grouped = "input_ids" in features[0] and not balanced and "train_sampling_strategy" not in training
    if grouped:
        defaults["train_sampling_strategy"] = "sequential"  # the rows shuffle themselves
    eval_rows = module.held
    if eval_rows is not None:
        defaults |= _watching(task, found is not None) | (adapting.defaults if adapting is not None else {})
    else:
        defaults["save_strategy"] = "epoch" if resumable else "no"
    args = arguments(folder, seed=seed, defaults=defaults, overrides=training)
    if grouped:
        rows.group(args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
    if found is not None and found.head is not None and peft == "linear-probe" and adapting is None:
        # The head is the optimum already, found on vectors that were computed once: nothing is left to be trained.
        logger.info("  the head is fitted in closed form and no step is taken; options of training have no effect")
        module.eval()
        return Fit(module, TrainResult(0, 0.0, 0, module.unit, None), args, found=found)
    measured = functools.partial(_metrics_of, task)
    trained, drawn = (module, rows) if adapting is None else (adapting.module, adapting.rows)
    result = train(
        trained, drawn, args, folder, eval_rows=eval_rows, patience=patience if eval_rows is not None else 0, resume=resume,
        elastic=getattr(config, "elastic", False), auto_batch_size=getattr(config, "auto_batch_size", False),
        profile=getattr(config, "profile", False),
        compute_metrics=measured if adapting is None else adapting.scored(measured, args),
    )  # fmt: skip
    quantized.restore(module.model)  # what is measured from here on is what is saved
    note = task.calibrate(module, lambda: predict(module, eval_rows, args)) if eval_rows is not None else None
    if note:
        logger.info(f"  {note}")
    return Fit(module, result, args, adapting.report(args) if adapting is not None else None, found)


def _with_a_head(
    task: Task[Any], ref: CheckpointRef, split: datasets.Dataset, config: FinetuneConfig | CompareConfig, pooling: Pooling | None
) -> Encoder:  # fmt: skip
    encoder = task.modality.load(
        ref, task.auto_class, dataset=split, pooling=task.pooling or pooling, dtype=config.dtype, new_head=True,
        attn_implementation=getattr(config, "attn_implementation", None), **task.model_options(),
    )  # fmt: skip
    without_padding(encoder, getattr(config, "padding_free", False))
    if config.head_pooling == "encoder":
        encoder.adapt_head()
    return encoder


def _watching(task: Task[Any], from_a_head: bool) -> dict[str, Any]:
    """Training arguments that keep the best point on validation data, the start among them where it is one."""
    return {
        "eval_strategy": "epoch", "save_strategy": "best", "load_best_model_at_end": True, "metric_for_best_model": task.primary_metric,
        "greater_is_better": task.greater_is_better, "eval_on_start": task.keeps_start or from_a_head,
    }  # fmt: skip


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


def open_pool(task: Task[Any], data: DomainData, config: FinetuneConfig | CompareConfig) -> Pool | None:
    """The part of the unlabeled pool that fine-tuning learns from too, or None."""
    if not (config.self_training and task.learns_from_pool and "unlabeled" in data):
        return None
    order = np.random.default_rng(config.seed).permutation(len(data["unlabeled"]))[: config.self_training]
    return Pool(data["unlabeled"].select(np.sort(order)))


def studied(
    task: Task[Any],
    module: TaskModule,
    split: datasets.Dataset,
    features: list[Features],
    pool: Pool | None,
    seed: int,
    known: Findings | None = None,
    rehearses: bool = False,
) -> tuple[Findings, list[Features]]:
    """Try the simple ways, set the head to the best one, and put what the teacher believes of the pool beside the labels.

    Returns:
        what was found, and the rows to train on.
    """
    # Once, for all processes: were they to disagree on anything here, they would train on different rows.
    if known is None and distributed.is_main():
        known = study(task, module, split, features, pool, seed, rehearses)
        for name, way in known.ways.items():
            logger.info(
                f"  {name:<16} accuracy {way['accuracy']:.3f}  macro-F1 {way['macro_f1']:.3f}  log loss {way['log_loss']:.3f}"
            )
        told = logger.info if known.ways else logger.warning
        told(f"  start: {known.saved}, {known.reason}")
    found: Findings = distributed.broadcast(known)
    module.model.load_state_dict(found.teacher.extra, strict=False)  # new layers below the last one, as they were read
    layer = settable_layer(module, len(task.label_names))
    if layer is not None and found.head is not None:
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(found.head.weight))
            layer.bias.copy_(torch.from_numpy(found.head.bias))
    if pool is None or not len(found.kept):
        return found, features
    return found, [*features, *_believed(task, module.encoder, split, features, pool, found, seed)]


def is_unwatched(peft: str, training: dict[str, Any], watched: int) -> bool:
    """Whether nothing else says if training pays: no steps that were asked for, and too few validation rows to stop by."""
    asked = "max_steps" in training or "num_train_epochs" in training
    return peft != "linear-probe" and not asked and watched < WATCHED


def rehearsed(
    task: Task[Any], found: Findings, split: datasets.Dataset, pool: Pool | None, again: Callable[..., Fit], folder: Path, resume: bool
) -> bool:  # fmt: skip
    """Whether training the network pays (`hf_ssl.stages.rehearsal`); notes it in `found`, and in a file for a resumed run.

    Args:
        again: `fit_task` with all that stays the same.
    """
    file, rest = folder / "rehearsal.json", Pool(pool.without(split["id"])) if pool is not None else None

    def trained(known: Findings, fold: Fold) -> np.ndarray:
        fit = again(split.select(fold.kept), None, folder=folder / "rehearsal", pool=rest, known=known)
        logits, _ = predict(fit.module, TaskRows(task.encode(fit.encoder, split.select(fold.held))), fit.args)
        return softmax(logits)

    if not (resume and file.is_file()):
        verdict = rehearsal_of(found, np.asarray(split[task.label_column]), trained)
        write_json(file, dataclasses.asdict(verdict))
        remove(folder / "rehearsal")
    said = Rehearsal(**read_json(file))
    logger.info(f"  {said.reason}: {'it is trained on all labels now' if said.pays else 'the start stays as it is'}")
    found.network, found.teacher.model_share = said.scores, said.share
    return said.pays


def _believed(
    task: Task[Any],
    encoder: Encoder,
    split: datasets.Dataset,
    features: list[Features],
    pool: Pool,
    found: Findings,
    seed: int,
) -> list[Features]:
    """Features of the pool with what the teacher believes of them; the labeled ones get soft labels, too."""
    # Some of the pool keeps the network from forgetting what the head was taught on all of it; more would cost more
    # than it brings.
    most = max(TAUGHT_ROWS, len(features))
    some = np.sort(np.random.default_rng(seed).permutation(len(found.kept))[:most])
    examples = pool.without(split["id"]).select(found.kept[some])
    more = task.encode(encoder, examples)
    believed = (POOL_WEIGHT * found.believed[some]).astype(np.float32)
    known = np.eye(len(task.label_names), dtype=np.float32)[np.asarray(split[task.label_column])]
    for feature, target in zip([*features, *more], [*known, *believed], strict=True):
        feature["soft_labels"] = target
    for feature, belief in zip(more, believed, strict=True):
        feature["labels"] = int(belief.argmax())
    return more
