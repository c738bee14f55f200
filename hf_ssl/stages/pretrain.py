"""The stages, each about a screen long: what happens in which order. `hf-ssl VERB` and Python call the same functions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import checking, peft, processes
from hf_ssl.assembly import (
    StageResult,
    build_objective,
    build_task,
    continuation,
    fresh_start,
    note_lineage,
    open_stage,
    output_of,
    pool_of,
    pooler_of,
    read_data,
    save_model,
    start_of,
    task_name,
    task_rows,
)
from hf_ssl.comparing import compare
from hf_ssl.config import split_sections
from hf_ssl.data import labelled_subset, open_test
from hf_ssl.embedding import embed, search
from hf_ssl.evaluation.monitor import Monitor, mean_loss
from hf_ssl.fitting import finished_model, fit_task, open_pool
from hf_ssl.objectives.base import ViewRows, view_pairs
from hf_ssl.pushing import push
from hf_ssl.recipe import plan, resolve_stage
from hf_ssl.run import remove, say, write_json
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
    opening = open_stage("pretrain", options)
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    name = config.objective or modality.default_objective
    with opening.running() as (entry, folder):
        if config.from_config:
            model_id, revision = fresh_start(config, modality, data, run), None
        else:
            model_id, revision = start_of(config, run)
        say(f"pretrain: {name} on {len(data.get('unlabeled', ())):,} examples, from {model_id}")
        pool, held = pool_of(data, config.eval_fraction, config.seed, modality)
        objective, report, added = build_objective(config, opening.resolved.plugin, modality, model_id, revision, pool)
        note_lineage(run, model_id, report)
        write_json(folder / "load_report.json", report.to_dict())
        if added is not None:
            entry["vocabulary"] = {"new_words": list(added.words), "tokens_per_word": added.tokens_per_word}
        rows = objective.rows(pool, seed=config.seed, training=True)
        held_rows = objective.rows(held, seed=config.seed, training=False)
        defaults = {**objective.training_defaults, "save_strategy": "steps", "save_steps": 0.2}
        if isinstance(rows, ViewRows):
            defaults["dataloader_num_workers"] = processes.loader_workers()
        if config.peft != "full":
            defaults["learning_rate"] = peft.learning_rate(config.peft)
        args = arguments(folder, seed=config.seed, defaults=defaults, overrides=opening.resolved.training)
        monitor = _monitor(objective, modality, data, held, held_rows, args, folder, config)
        schedule = continuation(objective, report.missing, config, args.learning_rate, added)
        result = train(objective, rows, args, folder, schedule=schedule, measure=monitor, resume=config.resume)
        summary = processes.share(monitor.finish() if processes.is_main() else None)
        if hasattr(objective.model, "peft_config") and processes.is_main():
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
        remove(folder / "checkpoints")
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
    opening = open_stage("finetune", options, after="pretrain", unless="model")
    if opening.done is not None:
        return opening.done
    config, run, data = opening.config, opening.run, opening.data
    plugin = dataclasses.asdict(opening.resolved.plugin)
    with opening.running() as (entry, folder):
        model_id, revision = start_of(config, run, output_of(run, "pretrain"))
        task = build_task(config.task, plugin, opening.modality, data)
        split = data["train"]
        if config.per_class:
            split = split.select(labelled_subset(split, config.per_class, config.seed))
        say(f"finetune: {config.peft} on {len(split):,} labelled examples, from {model_id}")
        fit = fit_task(
            task, model_id, revision, split, data.get("validation"), config, opening.resolved.training, folder, seed=config.seed,
            patience=config.patience, balanced=config.balanced_sampling, resume=config.resume,
            pool=open_pool(task, model_id, revision, data, config),
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
            if processes.is_main():
                peft.save_adapter(fit.module.model, folder / "adapter", adapter_base, revision)
        save_model(
            opening.modality.finish_model(peft.merge(fit.module.model)),
            task.saved_processor(fit.processor),
            folder / "model",
            run,
            stage="finetune",
            task=task_name(config, data),
        )
        remove(folder / "checkpoints")
        entry["outputs"] = {
            "model": str(folder / "model"),
            "task": task_name(config, data),
            "task_options": dataclasses.asdict(task.config),
            "labels": [str(name) for name in task.label_names or ()],
        }
        say(f"finetune: {_numbers(entry['metrics'].get('validation', {}))}. Model: {folder / 'model'}")
    return StageResult(folder, entry["metrics"])


def evaluate(**options: Any) -> StageResult:
    """Open the test split once and measure the fine-tuned model.

    Returns:
        metrics, and `path/predictions.parquet` with one row per example (ids, no content).
    """
    opening = open_stage("evaluate", options, after="finetune")
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    tuned = run.need("finetune", "Run `hf-ssl finetune` with the same --output first.")["outputs"]
    if opening.done is not None:
        return opening.done
    with opening.running() as (entry, folder):
        task = build_task(config.task or tuned["task"], tuned["task_options"], modality, data)
        model_id, revision = (config.model, config.revision) if config.model else (tuned["model"], None)
        model, processor = finished_model(task, model_id, revision), modality.load_processor(model_id, revision)
        model = modality.prepare_model(model, processor)
        split = open_test(data, f"evaluate {config.output}") if config.split == "test" else data[config.split]
        from hf_ssl.tasks.base import TaskModule

        module = TaskModule(model, task, processor)
        args = arguments(folder, seed=config.seed, defaults=dict(task.training_defaults), overrides={})
        logits, labels = predict(module, task_rows(task, processor, split), args)
        entry["metrics"] = task.metrics(logits, labels) | task.cheap_metrics(data, config.split)
        _write_predictions(folder / "predictions.parquet", split, task.predictions(logits, split, processor))
        if processes.is_main():
            for name, svg in task.figures(logits, labels, split, processor).items():
                (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        write_json(folder / "metrics.json", {"split": config.split, "examples": len(split), **entry["metrics"]})
        opening.save_data_report()
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
    results: dict[str, StageResult] = {}
    loaded: Any = None
    for stage, options in plan(recipe).items():
        if "data" not in split_sections(recipe)[1][stage] and loaded is not None:
            options["data"] = loaded
        elif "data" in options:
            loaded = options["data"] = read_data(resolve_stage(stage, options).config)
        results[stage] = VERBS[stage](**options)
    return results


def check(recipe: dict[str, Any]) -> dict[str, Any]:
    """Try every stage of a recipe for a step or a batch, then say what the whole would take: `hf_ssl.checking.check`."""
    return checking.check(recipe, _monitor)


def _monitor(
    objective: Any, modality: Any, data: Any, held: Any, held_rows: Any, args: Any, folder: Path, config: Any
) -> Monitor:
    pooling = modality.native_pooling(str(config.model or ""))
    sample = modality.examples(held, config.monitor_examples)

    def features(values: Any) -> np.ndarray:
        return modality.embed(
            objective.backbone, objective.processor, values, pooling=pooling, max_length=128, bf16=args.bf16
        )

    def two_views() -> tuple[np.ndarray, np.ndarray]:
        return view_pairs(objective, held_rows, pooling, config.monitor_examples, args.bf16)

    labelled, targets, problem_type = _probed(data, modality)
    return Monitor(
        objective, folder, embed=lambda: features(sample),
        evaluate=lambda: mean_loss(objective, held_rows, args.per_device_train_batch_size, args.bf16),
        embed_labelled=(lambda: features(labelled)) if labelled is not None else None, targets=targets,
        problem_type=problem_type,
        embed_views=two_views if isinstance(held_rows, ViewRows) else None,
        points=config.monitor_points, keep=config.keep, patience=config.patience, seed=config.seed, resume=config.resume,
    )  # fmt: skip


def _probed(data: Any, modality: Any) -> tuple[Any, np.ndarray | None, str]:
    """What the probes along the way are fitted on: at most 2,000 labelled training examples and their targets."""
    kinds = {"class": "single_label_classification", "multilabel": "multi_label_classification"}
    problem_type = kinds.get(str(data.label_kind), "regression")
    if data.label_kind not in (*kinds, "regression") or "train" not in data:
        return None, None, problem_type
    train = data["train"].select(range(min(2000, len(data["train"]))))
    targets = np.asarray(train["label"])
    counts = np.bincount(targets) if data.label_kind == "class" else np.array([len(targets) // 2])
    if counts[counts > 0].min(initial=len(targets)) < 2:
        say("  no probe along the way: a class has a single label, or there are fewer than four labelled examples")
        return None, None, problem_type
    return train[modality.column], targets, problem_type


def _numbers(metrics: dict[str, float]) -> str:
    return (
        ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))
        or "no validation data"
    )


def _write_predictions(path: Path, split: Any, predictions: list[dict[str, Any]]) -> None:
    if not processes.is_main():
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = "id" in predictions[0]  # several predictions may belong to one row
    columns: dict[str, Any] = {"id": list(split["id"])} if "id" in split.column_names and not own else {}
    columns.update({name: [row[name] for row in predictions] for name in predictions[0]})
    pq.write_table(pa.table(json.loads(json.dumps(columns))), path)
