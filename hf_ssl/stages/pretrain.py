"""The stage that continues self-supervised pre-training in the user's domain."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from transformers import set_seed

from hf_ssl.core import distributed
from hf_ssl.core.run import remove, write_json
from hf_ssl.models import adapters
from hf_ssl.models.tuned import ADVICE, tuned_with_labels
from hf_ssl.stages.auto_objective import ObjectiveChoice, is_auto, with_objective
from hf_ssl.stages.base import (
    StageResult,
    note_lineage,
    pooler_of,
    prepare_stage,
    save_model,
    start_of,
)
from hf_ssl.stages.build import build_objective, continuation, init_from_config, learning_rate
from hf_ssl.stages.inputs import described, pool_of, stream_rows
from hf_ssl.stages.monitoring import build_monitor
from hf_ssl.training.preserve import Preservation
from hf_ssl.training.trainer import arguments, train

logger = logging.getLogger(__name__)


def pretrain(**options: object) -> StageResult:
    """Continue self-supervised pre-training in your domain.

    Args:
        options: those of `hf_ssl.core.options.PretrainConfig`, of the objective, and of `transformers.TrainingArguments`.
            With `objective="auto"` the objective is chosen first (`hf_ssl.stages.auto_objective`).

    Returns:
        `path/model` is a plain transformers folder; `metrics["outcome"]` says whether it got better than the start.

    Example:
        >>> pretrain(data="reviews/", model="answerdotai/ModernBERT-base", objective="mlm", output="runs/reviews")
    """
    if is_auto(options):
        return _pretrain(*with_objective(options, pretrain))
    return _pretrain(options)


def _pretrain(options: dict[str, Any], choice: ObjectiveChoice | None = None) -> StageResult:
    """With the objective that the options name; `choice` is noted in the ledger."""
    opening = prepare_stage("pretrain", options)
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    name = config.objective or modality.default_objective
    with opening.running() as (record, folder):
        if config.from_config:
            ref = init_from_config(config, modality, data, run)
        else:
            ref = start_of(config, run)
        logger.info(f"pretrain: {name} on {described(data)}, from {ref.id}")
        tuned = None if config.from_config else tuned_with_labels(ref)
        if tuned is not None:
            logger.warning(f"The start was tuned with labels: {tuned}. {ADVICE}")
        set_seed(config.seed)  # new heads and adapters start from this, in every process alike
        pool, held = pool_of(data, config.eval_fraction, config.seed, modality)
        objective, added = build_objective(config, opening.resolved.plugin, modality, ref, pool)
        if config.preserve:
            Preservation(objective, objective.encoder.backbone, config.preserve)
        report = objective.encoder.report
        note_lineage(run, ref, report)
        write_json(folder / "load_report.json", report.to_dict())
        if added is not None:
            record.outputs["vocabulary"] = {"new_words": list(added.words), "tokens_per_word": added.tokens_per_word}
        rows = objective.rows(pool, seed=config.seed, training=True)
        held_rows = objective.rows(held, seed=config.seed, training=False)
        defaults = {
            **objective.training_defaults, "save_strategy": "steps", "save_steps": 0.2,
            "dataloader_num_workers": distributed.loader_workers(),
        }  # fmt: skip
        training = opening.resolved.training
        defaults["learning_rate"] = learning_rate(config.peft, objective, modality, training)
        args = arguments(folder, seed=config.seed, defaults=defaults, overrides=training)
        monitor = build_monitor(objective, data, held, held_rows, args, folder, config)
        schedule = continuation(objective, report.missing, config, args.learning_rate, added)
        result = train(
            objective,
            rows if data.stream is None else stream_rows(objective, data.stream, config.seed, args),
            args,
            folder,
            schedule=schedule,
            measure=monitor,
            resume=config.resume,
            elastic=config.elastic,
            auto_batch_size=config.auto_batch_size,
            profile=config.profile,
            views_on=config.views_on,
        )
        summary = distributed.broadcast(monitor.finish() if distributed.is_main() else None)
        if hasattr(objective.model, "peft_config") and distributed.is_main():
            released = ref.id if run.base is None else run.base.id
            adapters.save_adapter(objective.model, folder / "adapter", released, report.revision)
        model = objective.export()
        save_model(
            objective.adapted,
            folder / "model",
            run,
            model=model,
            carried=pooler_of(model, objective.encoder),
            stage="pretrain",
            objective=name,
            kept_step=summary["kept_step"],
        )
        remove(folder / "checkpoints")
        record.metrics = {**result.to_dict(), **summary}
        record.outputs |= {} if choice is None else {"objective_choice": dataclasses.asdict(choice)}
        record.outputs |= {"model": str(folder / "model"), "start_tuned_with_labels": tuned}
        logger.info(f"pretrain: kept step {summary['kept_step']}, {summary['outcome']}. Model: {folder / 'model'}")
    return StageResult(folder, record.metrics)
