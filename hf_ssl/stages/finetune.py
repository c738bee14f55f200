"""The stage that fine-tunes on a few labels."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from hf_ssl.core import distributed
from hf_ssl.core.run import remove, write_json
from hf_ssl.data import labeled_subset
from hf_ssl.models import adapters
from hf_ssl.stages.base import (
    StageResult,
    metrics_line,
    note_lineage,
    prepare_stage,
    save_model,
    start_of,
    task_name,
)
from hf_ssl.stages.build import build_task, init_from_config, task_rows
from hf_ssl.stages.candidates import Findings
from hf_ssl.stages.domains import open_domains
from hf_ssl.stages.fit import fit_task, open_pool
from hf_ssl.stages.forecast_answer import ForecastFindings, asked_for, mixed_forecasts
from hf_ssl.stages.published import reading
from hf_ssl.stages.reference import keep_reference
from hf_ssl.stages.teacher import FOLDER
from hf_ssl.training.trainer import predict

logger = logging.getLogger(__name__)


def finetune(**options: object) -> StageResult:
    """Fine-tune on the labels, with adapters by default.

    Args:
        options: those of `hf_ssl.core.options.FinetuneConfig`, of the task, and of `transformers.TrainingArguments`.
            Without `model`, the run's pre-training result is taken.

    Returns:
        `path/model` is a plain transformers folder with the adapter merged; `path/adapter` the adapter alone.
    """
    opening = prepare_stage("finetune", options, after="pretrain", unless="model")
    if opening.done is not None:
        return opening.done
    config, run, data = opening.config, opening.run, opening.data
    domains = open_domains(config, data, opening.target, opening.modality)
    data = data if domains is None else domains.data
    plugin = dataclasses.asdict(opening.resolved.plugin)
    with opening.running() as (record, folder):
        if config.from_config:
            ref = init_from_config(config, opening.modality, data, run)
        else:
            ref = start_of(config, run, run.output("pretrain"))
        task = build_task(config.task, plugin, opening.modality, data)
        split = data["train"]
        if config.labels_per_class:
            split = split.select(labeled_subset(split, config.labels_per_class, config.seed))
        asked_for(task)  # what is wrong with them is said before anything is trained
        logger.info(f"finetune: {config.peft} on {len(split):,} labeled examples, from {ref.id}")
        fit = fit_task(
            task, ref, split, data.get("validation"), config, opening.resolved.training, folder, seed=config.seed,
            patience=config.early_stopping_patience, balanced=config.balanced_sampling, resume=config.resume, resumable=True,
            pool=open_pool(task, data, config) if domains is None else None, domains=domains, rehearse=config.rehearse,
        )  # fmt: skip
        note_lineage(run, ref, fit.encoder.report)
        write_json(folder / "load_report.json", fit.encoder.report.to_dict())
        record.metrics = {**fit.result.to_dict(), "trainable": str(adapters.trainable_report(fit.module.model))}
        if fit.domains is not None:
            record.metrics["domains"] = fit.domains
        held = None
        if "validation" in data:
            held = predict(fit.module, task_rows(task, fit.encoder, data["validation"]), fit.args)
            record.metrics |= {"validation": task.metrics(*held), "validation_examples": len(data["validation"])}
            fit.found = fit.found or mixed_forecasts(task, data, split, *held)
        if fit.found is not None:
            keep_findings(fit.found, folder)
        if hasattr(fit.module.model, "peft_config") and not fit.encoder.stands_on_its_start:
            logger.info(
                "  the model is saved merged; an adapter alone needs --head_pooling stock, which reads the first token"
            )
        elif hasattr(fit.module.model, "peft_config"):
            released = ref.id if run.base is None else run.base.id
            adapter_base = ref.id if run.output("pretrain") == ref.id else released
            if distributed.is_main():
                adapters.save_adapter(fit.module.model, folder / "adapter", adapter_base, ref.revision)
        save_model(
            fit.encoder,
            folder / "model",
            run,
            processor=task.saved_processor(fit.encoder),
            stage="finetune",
            task=task_name(config, data),
            **reading(opening.modality, task),
        )
        if held is not None and fit.found is not None and fit.found.teacher_ahead and distributed.is_main():
            # What predict says of its own errors is about what it answers with.
            own = fit.found.teacher.answers(task, data["validation"])
            held = fit.found.teacher.together(held[0], own), held[1]
        keep_reference(folder, task, fit.encoder, data, held, config.seed)
        remove(folder / "checkpoints")
        record.outputs = {
            "model": str(folder / "model"),
            "task": task_name(config, data),
            "task_options": dataclasses.asdict(task.config),
            "labels": [str(name) for name in task.label_names or ()],
            **({} if fit.found is None else {"candidates": fit.found.to_dict()}),
            **({} if fit.result.steps else {"untrained": untrained(fit.found)}),
        }
        logger.info(f"finetune: {metrics_line(record.metrics.get('validation', {}))}. Model: {folder / 'model'}")
    return StageResult(folder, record.metrics)


def untrained(found: Findings | ForecastFindings | None) -> str:
    """Why the network was left as it was."""
    scores = found.network if isinstance(found, Findings) else {}
    if "accuracy_of_start" not in scores:
        return "a head on frozen features was fitted in closed form"
    against = f"{scores['accuracy']:.3f} against {scores['accuracy_of_start']:.3f}"
    return f"the frozen probe was kept: training was not worth it (accuracy {against} on labels held out)"


def keep_findings(found: Findings | ForecastFindings, folder: Path) -> None:
    """What the candidates' comparison found, and the teacher where it is ahead of what the model can carry."""
    write_json(folder / "candidates.json", found.to_dict())
    remove(folder / FOLDER)
    if not found.teacher_ahead:
        return
    logger.info(
        f"  answer: {found.teacher.told()}, ahead of {found.compared}; evaluate and predict ask it. It lies in "
        f"{folder / FOLDER}; the model beside it is a plain one, measured by evaluate, too"
    )
    if distributed.is_main():
        found.teacher.save(folder / FOLDER)
