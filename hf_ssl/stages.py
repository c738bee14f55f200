"""The stages, each about a screen long: what happens in which order. `hf-ssl VERB` and Python call the same functions."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import peft, plugins
from hf_ssl.assembly import (
    StageResult,
    build_objective,
    build_task,
    continuation,
    fit_task,
    modality_of,
    note_lineage,
    output_of,
    pool_of,
    pooler_of,
    read_data,
    save_model,
    stage_inputs,
    start_of,
    task_config,
    task_name,
    task_rows,
)
from hf_ssl.checking import check
from hf_ssl.comparing import compare
from hf_ssl.config import STAGES, modality_fields, resolve, split_sections
from hf_ssl.data import few_label_subset, open_test
from hf_ssl.embedding import embed, search
from hf_ssl.errors import ConfigError
from hf_ssl.evaluation.monitor import Monitor, mean_loss
from hf_ssl.models import load_model
from hf_ssl.pushing import push
from hf_ssl.run import RunDir, say, write_json
from hf_ssl.training import arguments, predict, train


def pretrain(**options: Any) -> StageResult:
    """Continue self-supervised pre-training in your domain.

    Args:
        options: those of `hf_ssl.config.PretrainConfig`, of the objective, and of `transformers.TrainingArguments`.

    Returns:
        `path/model` is a plain transformers folder; `metrics["outcome"]` says whether it got better than the start.

    Example:
        >>> pretrain(data="reviews/", model="answerdotai/ModernBERT-base", objective="mlm", output="runs/reviews")
    """
    name = options.get("objective") or plugins.find("modalities", options.get("modality", "text")).default_objective
    resolved = resolve("pretrain", options, plugins.find("objectives", name).Config)
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = stage_inputs("pretrain", resolved, data.fingerprint, run)
    if done is not None:
        return done
    with run.running(
        "pretrain", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite
    ) as entry:
        folder = run.folder("pretrain")
        model_id, revision = start_of(config, run)
        say(f"pretrain: {name} on {len(data.get('unlabeled', ())):,} examples, from {model_id}")
        objective, report = build_objective(config, resolved.plugin, modality, model_id, revision)
        note_lineage(run, model_id, report)
        write_json(folder / "load_report.json", report.to_dict())
        pool, held = pool_of(data, config.eval_fraction, config.seed)
        rows = objective.rows(pool, seed=config.seed, training=True)
        held_rows = objective.rows(held, seed=config.seed, training=False)
        defaults = {**objective.training_defaults, "save_strategy": "steps", "save_steps": 0.2}
        if config.peft != "full":
            defaults["learning_rate"] = peft.learning_rate(config.peft)
        args = arguments(folder, seed=config.seed, defaults=defaults, overrides=resolved.training)
        monitor = _monitor(objective, modality, data, held, held_rows, args, folder, config)
        schedule = continuation(objective, report.missing, config, args.learning_rate)
        result = train(objective, rows, args, folder, schedule=schedule, measure=monitor, resume=config.resume)
        summary = monitor.finish()
        if hasattr(objective.model, "peft_config"):
            peft.save_adapter(objective.model, folder / "adapter", run.ledger["base"]["id"], report.revision)
        model = objective.export()
        carried = pooler_of(model, model_id, revision, report)
        save_model(
            model,
            objective.processor,
            folder / "model",
            run,
            carried,
            stage="pretrain",
            objective=name,
            kept_step=summary["kept_step"],
        )
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        entry["metrics"] = {**result.to_dict(), **summary}
        entry["outputs"] = {"model": str(folder / "model")}
        say(f"pretrain: kept step {summary['kept_step']}, {summary['outcome']}. Model: {folder / 'model'}")
    return StageResult(folder, entry["metrics"])


def finetune(**options: Any) -> StageResult:
    """Fine-tune on the labels, with adapters by default.

    Args:
        options: those of `hf_ssl.config.FinetuneConfig`, of the task, and of `transformers.TrainingArguments`.
            Without `model`, the run's pre-training result is taken.

    Returns:
        `path/model` is a plain transformers folder with the adapter merged; `path/adapter` the adapter alone.
    """
    resolved = resolve("finetune", options, task_config(options))
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = stage_inputs("finetune", resolved, data.fingerprint, run)
    if done is not None:
        return done
    with run.running(
        "finetune", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite
    ) as entry:
        folder = run.folder("finetune")
        model_id, revision = start_of(config, run, output_of(run, "pretrain"))
        task = build_task(config.task, dataclasses.asdict(resolved.plugin), modality, data)
        split = data["train"]
        if config.per_class:
            split = split.select(few_label_subset(split, config.per_class, config.seed))
        say(f"finetune: {config.peft} on {len(split):,} labelled examples, from {model_id}")
        fit = fit_task(
            task, model_id, revision, split, data.get("validation"), config, resolved.training, folder, seed=config.seed,
            patience=config.patience, balanced=config.balanced_sampling, resume=config.resume,
        )  # fmt: skip
        note_lineage(run, model_id, fit.report)
        write_json(folder / "load_report.json", fit.report.to_dict())
        entry["metrics"] = {**fit.result.to_dict(), "trainable": str(peft.trainable_report(fit.module.model))}
        if "validation" in data:
            logits, labels = predict(fit.module, task_rows(task, fit.processor, data["validation"]), fit.args)
            entry["metrics"]["validation"] = task.metrics(logits, labels)
        if hasattr(fit.module.model, "peft_config"):
            base = run.ledger["base"]
            adapter_base = model_id if output_of(run, "pretrain") == model_id else base["id"]
            peft.save_adapter(fit.module.model, folder / "adapter", adapter_base, revision)
        save_model(
            peft.merge(fit.module.model),
            fit.processor,
            folder / "model",
            run,
            stage="finetune",
            task=task_name(config, data),
        )
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        entry["outputs"] = {
            "model": str(folder / "model"),
            "task": task_name(config, data),
            "task_options": dataclasses.asdict(resolved.plugin),
        }
        say(f"finetune: {_numbers(entry['metrics'].get('validation', {}))}. Model: {folder / 'model'}")
    return StageResult(folder, entry["metrics"])


def evaluate(**options: Any) -> StageResult:
    """Open the test split once and measure the fine-tuned model.

    Returns:
        metrics, and `path/predictions.parquet` with one row per example (ids, no content).
    """
    resolved = resolve("evaluate", options)
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    tuned = run.need("finetune", "Run `hf-ssl finetune` with the same --output first.")["outputs"]
    inputs, done = stage_inputs("evaluate", resolved, data.fingerprint, run, run.stage("finetune").get("inputs"))
    if done is not None:
        return done
    with run.running("evaluate", inputs, resolved.to_dict(), resume=False, overwrite=True) as entry:
        folder = run.folder("evaluate")
        task = build_task(config.task or tuned["task"], tuned["task_options"], modality, data)
        model_id = str(config.model or tuned["model"])
        model, _ = load_model(model_id, task.auto_class, **task.model_options())
        processor = modality.load_processor(model_id)
        split = open_test(data, f"evaluate {config.output}") if config.split == "test" else data[config.split]
        from hf_ssl.tasks.base import TaskModule

        module = TaskModule(model, task, processor)
        args = arguments(folder, seed=config.seed, defaults=dict(task.training_defaults), overrides={})
        logits, labels = predict(module, task_rows(task, processor, split), args)
        entry["metrics"] = task.metrics(logits, labels)
        _write_predictions(folder / "predictions.parquet", split, task.predictions(logits, split, processor))
        write_json(folder / "metrics.json", {"split": config.split, "examples": len(split), **entry["metrics"]})
        data.save_report(run.folder("data") / "report")
        say(f"evaluate: {_numbers(entry['metrics'])} on {len(split):,} {config.split} examples")
    return StageResult(folder, entry["metrics"])


__all__ = ["check", "compare", "embed", "evaluate", "finetune", "pretrain", "push", "run_recipe", "search"]

VERBS = {
    "pretrain": pretrain, "finetune": finetune, "evaluate": evaluate, "compare": compare, "embed": embed, "search": search,
    "push": push,
}  # fmt: skip


def run_recipe(recipe: dict[str, Any]) -> dict[str, StageResult]:
    """Run the stages of a recipe in order; a stage that has finished with the same inputs is skipped.

    Args:
        recipe: shared options at the top, one mapping per stage (`pretrain:`, `finetune:` …), as in a recipe's YAML.
    """
    shared, sections = split_sections(recipe)
    if not sections:
        raise ConfigError(f"The recipe names no stage. Add sections such as `pretrain:`; stages: {', '.join(STAGES)}.")
    of_data = modality_fields(shared)
    known = {stage: {*of_data, *(item.name for item in dataclasses.fields(STAGES[stage]))} for stage in sections}
    stray = {key: value for key, value in shared.items() if not any(key in names for names in known.values())}
    if stray:
        resolve(next(iter(sections)), stray)  # raises, naming each one and its nearest
    results: dict[str, StageResult] = {}
    loaded: Any = None
    for stage, given in sections.items():
        # After a pre-training in the same recipe, its result is the model, not the checkpoint it started from.
        passed = (
            {"model", "revision"} if "pretrain" in sections and stage in ("finetune", "evaluate", "embed") else set()
        )
        options = {**{key: value for key, value in shared.items() if key in known[stage] - passed}, **given}
        if "data" not in given and loaded is not None:
            options["data"] = loaded
        elif "data" in options:
            resolved = resolve(stage, {k: v for k, v in options.items() if k in known[stage]})
            loaded = options["data"] = read_data(resolved.config, RunDir(resolved.config.output))
        results[stage] = VERBS[stage](**options)
    return results


def _monitor(
    objective: Any, modality: Any, data: Any, held: Any, held_rows: Any, args: Any, folder: Path, config: Any
) -> Monitor:
    pooling = modality.native_pooling(str(config.model or ""))
    sample = held[modality.column][: config.monitor_examples]

    def features(values: Any) -> np.ndarray:
        return modality.embed(
            objective.backbone, objective.processor, values, pooling=pooling, max_length=128, bf16=args.bf16
        )

    labelled, targets = None, None
    if data.label_kind == "class" and "train" in data:
        labelled, targets = data["train"][modality.column][:2000], np.asarray(data["train"]["label"])[:2000]
        if np.bincount(targets)[np.bincount(targets) > 0].min() < 2:
            labelled, targets = None, None
            say("  no probe along the way: a class has a single label")
    return Monitor(
        objective, folder, embed=lambda: features(sample),
        evaluate=lambda: mean_loss(objective, held_rows, args.per_device_train_batch_size, args.bf16),
        embed_labelled=(lambda: features(labelled)) if labelled is not None else None, targets=targets,
        points=config.monitor_points, keep=config.keep, patience=config.patience, seed=config.seed, resume=config.resume,
    )  # fmt: skip


def _numbers(metrics: dict[str, float]) -> str:
    return (
        ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))
        or "no validation data"
    )


def _write_predictions(path: Path, split: Any, predictions: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"id": list(split["id"])} if "id" in split.column_names else {}
    columns.update({name: [row[name] for row in predictions] for name in predictions[0]})
    pq.write_table(pa.table(json.loads(json.dumps(columns))), path)
