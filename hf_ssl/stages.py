"""The stages, each about a screen long: what happens in which order. `hf-ssl VERB` and Python call the same functions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import checking, peft, processes
from hf_ssl.assembly import (
    StageResult,
    build_objective,
    build_task,
    continuation,
    inputs_of,
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
from hf_ssl.errors import ConfigError, DataError
from hf_ssl.evaluation.monitor import Monitor, mean_loss
from hf_ssl.fitting import fit_task, open_pool
from hf_ssl.models import load_model
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
        model_id, revision = start_of(config, run)
        say(f"pretrain: {name} on {len(data.get('unlabeled', ())):,} examples, from {model_id}")
        pool, held = pool_of(data, config.eval_fraction, config.seed)
        objective, report, added = build_objective(config, opening.resolved.plugin, modality, model_id, revision, pool)
        note_lineage(run, model_id, report)
        write_json(folder / "load_report.json", report.to_dict())
        if added is not None:
            entry["vocabulary"] = {"new_words": list(added.words), "tokens_per_word": added.tokens_per_word}
        rows = objective.rows(pool, seed=config.seed, training=True)
        held_rows = objective.rows(held, seed=config.seed, training=False)
        defaults = {**objective.training_defaults, "save_strategy": "steps", "save_steps": 0.2}
        if config.peft != "full":
            defaults["learning_rate"] = peft.learning_rate(config.peft)
        args = arguments(folder, seed=config.seed, defaults=defaults, overrides=opening.resolved.training)
        monitor = _monitor(objective, modality, data, held, held_rows, args, folder, config)
        schedule = continuation(objective, report.missing, config, args.learning_rate, added)
        result = train(objective, rows, args, folder, schedule=schedule, measure=monitor, resume=config.resume)
        summary = processes.share(monitor.finish() if processes.is_main() else None)
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
            "task_options": plugin,
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
        model_id = str(config.model or tuned["model"])
        model, _ = load_model(model_id, task.auto_class, **task.model_options())
        processor = modality.load_processor(model_id)
        model = modality.prepare_model(model, processor)
        split = open_test(data, f"evaluate {config.output}") if config.split == "test" else data[config.split]
        from hf_ssl.tasks.base import TaskModule

        module = TaskModule(model, task, processor)
        args = arguments(folder, seed=config.seed, defaults=dict(task.training_defaults), overrides={})
        logits, labels = predict(module, task_rows(task, processor, split), args)
        entry["metrics"] = task.metrics(logits, labels)
        _write_predictions(folder / "predictions.parquet", split, task.predictions(logits, split, processor))
        write_json(folder / "metrics.json", {"split": config.split, "examples": len(split), **entry["metrics"]})
        opening.save_data_report()
        say(f"evaluate: {_numbers(entry['metrics'])} on {len(split):,} {config.split} examples")
    return StageResult(folder, entry["metrics"])


def embed(**options: Any) -> StageResult:
    """Turn data into vectors: `path/embeddings.parquet` with `id`, `split`, `vector` (and `label`)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    opening = open_stage("embed", options, after="pretrain", unless="model")
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    with opening.running() as (entry, folder):
        model_id, revision = start_of(config, run, output_of(run, "pretrain"))
        model, report = load_model(model_id, "AutoModel", revision=revision)
        note_lineage(run, model_id, report)
        processor = modality.load_processor(model_id, revision)
        model = modality.prepare_model(model, processor)
        pooling = config.pooling or modality.native_pooling(model_id)
        if config.split and config.split not in data:
            raise ConfigError(f"There is no split {config.split!r}; the splits are {', '.join(data)}.")
        tables = []
        for split in [config.split] if config.split else list(data):
            vectors = _embed_together(
                lambda values: modality.embed(model, processor, values, pooling=pooling, max_length=config.max_length),
                inputs_of(data[split], modality),
            )
            if config.normalize:
                vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            if not np.isfinite(vectors).all():
                raise DataError(
                    f"{int((~np.isfinite(vectors).all(1)).sum())} vectors of {split} are not finite; nothing was written."
                )
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            tables.append(pa.table({"id": list(data[split]["id"]), "split": [split] * len(vectors), "vector": flat}))
        stamp = {
            "model": model_id,
            "weights_sha": report.weights_sha,
            "pooling": pooling,
            "normalized": str(config.normalize),
        }
        table = pa.concat_tables(tables).replace_schema_metadata({f"hf_ssl.{k}": str(v) for k, v in stamp.items()})
        if processes.is_main():
            pq.write_table(table, folder / "embeddings.parquet")
        entry["metrics"] = {"vectors": len(table), "dimensions": len(table["vector"][0]), **stamp}
        say(
            f"embed: {len(table):,} vectors of {entry['metrics']['dimensions']} numbers in {folder / 'embeddings.parquet'}"
        )
    return StageResult(folder, entry["metrics"])


__all__ = ["check", "compare", "embed", "evaluate", "finetune", "pretrain", "run_recipe"]

VERBS = {"pretrain": pretrain, "finetune": finetune, "evaluate": evaluate, "compare": compare, "embed": embed}


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


def _embed_together(embed: Callable[[Any], np.ndarray], values: Any) -> np.ndarray:
    """Vectors of all values in their order; each process takes every n-th value."""
    mine, count = processes.rank(), processes.world()
    own = list(values)[mine::count]
    parts = processes.gather(embed(own) if own else None)
    width = next(part.shape[1] for part in parts if part is not None)
    vectors = np.empty((len(values), width), dtype=np.float32)
    for start, part in enumerate(parts):
        if part is not None:
            vectors[start::count] = part
    return vectors


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

    columns: dict[str, Any] = {"id": list(split["id"])} if "id" in split.column_names else {}
    columns.update({name: [row[name] for row in predictions] for name in predictions[0]})
    pq.write_table(pa.table(json.loads(json.dumps(columns))), path)
