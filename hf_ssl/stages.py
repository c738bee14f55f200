"""The stages, each about a screen long: what happens in which order. `hf-ssl VERB` and Python call the same functions."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import peft, plugins
from hf_ssl.assembly import (
    build_objective,
    build_task,
    continuation,
    fit_task,
    modality_of,
    note_lineage,
    pool_of,
    read_data,
    save_model,
    start_of,
)
from hf_ssl.config import STAGES, Resolved, resolve, split_sections
from hf_ssl.data import few_label_subset, open_test
from hf_ssl.errors import ConfigError, DataError
from hf_ssl.evaluation import comparison, probes
from hf_ssl.evaluation.monitor import Monitor, mean_loss
from hf_ssl.models import load_model, load_processor
from hf_ssl.run import RunDir, inputs_hash, say, write_json
from hf_ssl.training import arguments, predict, train


@dataclass
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
    inputs, done = _inputs("pretrain", resolved, data.fingerprint, run)
    if done is not None:
        return done
    with run.running("pretrain", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite) as entry:
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
        model = objective.export()
        save_model(model, objective.processor, folder / "model", run, stage="pretrain", objective=name, kept_step=summary["kept_step"])
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
    resolved = resolve("finetune", options, _task_config(options))
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = _inputs("finetune", resolved, data.fingerprint, run)
    if done is not None:
        return done
    with run.running("finetune", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite) as entry:
        folder = run.folder("finetune")
        model_id, revision = start_of(config, run, _output(run, "pretrain"))
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
            logits, labels = predict(fit.module, _rows(task, fit.processor, data["validation"]), fit.args)
            entry["metrics"]["validation"] = task.metrics(logits, labels)
        if hasattr(fit.module.model, "peft_config"):
            base = run.ledger["base"]
            adapter_base = model_id if _output(run, "pretrain") == model_id else base["id"]
            peft.save_adapter(fit.module.model, folder / "adapter", adapter_base, revision)
        save_model(peft.merge(fit.module.model), fit.processor, folder / "model", run, stage="finetune", task=_task_name(config, data))
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        entry["outputs"] = {"model": str(folder / "model"), "task": _task_name(config, data), "task_options": dataclasses.asdict(resolved.plugin)}
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
    inputs, done = _inputs("evaluate", resolved, data.fingerprint, run, run.stage("finetune").get("inputs"))
    if done is not None:
        return done
    with run.running("evaluate", inputs, resolved.to_dict(), resume=False, overwrite=True) as entry:
        folder = run.folder("evaluate")
        task = build_task(config.task or tuned["task"], tuned["task_options"], modality, data)
        model_id = str(config.model or tuned["model"])
        model, _ = load_model(model_id, task.auto_class, **task.model_options())
        processor = load_processor(model_id, modality.name)
        split = open_test(data, f"evaluate {config.output}") if config.split == "test" else data[config.split]
        from hf_ssl.tasks.base import TaskModule

        module = TaskModule(model, task, processor)
        args = arguments(folder, seed=config.seed, defaults=dict(task.training_defaults), overrides={})
        logits, labels = predict(module, _rows(task, processor, split), args)
        entry["metrics"] = task.metrics(logits, labels)
        _write_predictions(folder / "predictions.parquet", split, task.predictions(logits, split, processor))
        write_json(folder / "metrics.json", {"split": config.split, "examples": len(split), **entry["metrics"]})
        data.save_report(run.folder("data") / "report")
        say(f"evaluate: {_numbers(entry['metrics'])} on {len(split):,} {config.split} examples")
    return StageResult(folder, entry["metrics"])


def compare(**options: Any) -> StageResult:
    """Did adapting help? Base against adapted: same labelled subsets, seeds and steps, one test set.

    Returns:
        `path/table.md`, `table.json`, and the test predictions of every arm; `metrics["verdict"]` in words.
    """
    resolved = resolve("compare", options, _task_config(options))
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = _inputs("compare", resolved, data.fingerprint, run, run.stage("pretrain").get("inputs"))
    if done is not None:
        return done
    adapted = config.adapted or _output(run, "pretrain")
    if adapted is None:
        raise ConfigError("There is nothing adapted to compare. Run `hf-ssl pretrain` with this --output, or give --adapted.")
    with run.running("compare", inputs, resolved.to_dict(), resume=config.resume, overwrite=config.overwrite) as entry:
        folder = run.folder("compare")
        model_id, revision = start_of(config, run)
        task = build_task(config.task, dataclasses.asdict(resolved.plugin), modality, data)
        if data.label_kind != "class":
            raise ConfigError("compare measures one class per example for now; fine-tune and evaluate both models instead.")
        test = _limited(open_test(data, f"compare {config.output}"), config.test_limit, config.seed)
        truth = task.probe_targets(test)
        subsets = {(k, d): few_label_subset(data["train"], k, config.seed + d) for k in config.budgets for d in range(config.draws)}
        arms = {"base": (model_id, revision), "adapted": (adapted, None)}
        probed = _probe_arms(arms, modality, data["train"], test, subsets, task, config)
        tuned = []
        for arm, (source, arm_revision) in arms.items() if config.finetune_arms else ():
            for (budget, draw), subset in subsets.items():
                say(f"compare: {arm}, {budget} labels per class, draw {draw + 1} of {config.draws}")
                work = run.folder("compare", "work")
                fit = fit_task(task, source, arm_revision, data["train"].select(subset), None, config, resolved.training, work, seed=config.seed + draw)
                logits, _ = predict(fit.module, _rows(task, fit.processor, test), fit.args)
                tuned.append(comparison.ResultRow(arm, budget, draw, logits.argmax(-1)))
                np.save(folder / f"finetuned-{arm}-{budget}-{draw}.npy", logits.argmax(-1))
        shutil.rmtree(folder / "work", ignore_errors=True)
        entry["metrics"] = _report_comparison(folder, tuned, probed, truth, task.primary_metric)
        data.save_report(run.folder("data") / "report")
        say(f"{(folder / 'table.md').read_text(encoding='utf-8')}\ncompare: table in {folder / 'table.md'}")
    return StageResult(folder, entry["metrics"])


def embed(**options: Any) -> StageResult:
    """Turn data into vectors: `path/embeddings.parquet` with `id`, `split`, `vector` (and `label`)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    resolved = resolve("embed", options)
    config, run = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, run), modality_of(config)
    inputs, done = _inputs("embed", resolved, data.fingerprint, run, run.stage("pretrain").get("inputs"))
    if done is not None:
        return done
    with run.running("embed", inputs, resolved.to_dict(), resume=False, overwrite=True) as entry:
        folder = run.folder("embed")
        model_id, revision = start_of(config, run, _output(run, "pretrain"))
        model, report = load_model(model_id, "AutoModel", revision=revision)
        note_lineage(run, model_id, report)
        processor = load_processor(model_id, modality.name, revision)
        pooling = config.pooling or modality.native_pooling(model_id)
        if config.split and config.split not in data:
            raise ConfigError(f"There is no split {config.split!r}; the splits are {', '.join(data)}.")
        tables = []
        for split in [config.split] if config.split else list(data):
            vectors = modality.embed(model, processor, data[split][modality.column], pooling=pooling, max_length=config.max_length)
            if config.normalize:
                vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            if not np.isfinite(vectors).all():
                raise DataError(f"{int((~np.isfinite(vectors).all(1)).sum())} vectors of {split} are not finite; nothing was written.")
            flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            tables.append(pa.table({"id": list(data[split]["id"]), "split": [split] * len(vectors), "vector": flat}))
        stamp = {"model": model_id, "weights_sha": report.weights_sha, "pooling": pooling, "normalized": str(config.normalize)}
        table = pa.concat_tables(tables).replace_schema_metadata({f"hf_ssl.{k}": str(v) for k, v in stamp.items()})
        pq.write_table(table, folder / "embeddings.parquet")
        entry["metrics"] = {"vectors": len(table), "dimensions": len(table["vector"][0]), **stamp}
        say(f"embed: {len(table):,} vectors of {entry['metrics']['dimensions']} numbers in {folder / 'embeddings.parquet'}")
    return StageResult(folder, entry["metrics"])


VERBS = {"pretrain": pretrain, "finetune": finetune, "evaluate": evaluate, "compare": compare, "embed": embed}


def run_recipe(recipe: dict[str, Any]) -> dict[str, StageResult]:
    """Run the stages of a recipe in order; a stage that has finished with the same inputs is skipped.

    Args:
        recipe: shared options at the top, one mapping per stage (`pretrain:`, `finetune:` …), as in a recipe's YAML.
    """
    shared, sections = split_sections(recipe)
    if not sections:
        raise ConfigError(f"The recipe names no stage. Add sections such as `pretrain:`; stages: {', '.join(STAGES)}.")
    known = {stage: {item.name for item in dataclasses.fields(STAGES[stage])} for stage in sections}
    stray = {key: value for key, value in shared.items() if not any(key in names for names in known.values())}
    if stray:
        resolve(next(iter(sections)), stray)  # raises, naming each one and its nearest
    results: dict[str, StageResult] = {}
    loaded: Any = None
    for stage, given in sections.items():
        # After a pre-training in the same recipe, its result is the model, not the checkpoint it started from.
        passed = {"model", "revision"} if "pretrain" in sections and stage in ("finetune", "evaluate", "embed") else set()
        options = {**{key: value for key, value in shared.items() if key in known[stage] - passed}, **given}
        if "data" not in given and loaded is not None:
            options["data"] = loaded
        elif "data" in options:
            resolved = resolve(stage, {k: v for k, v in options.items() if k in known[stage]})
            loaded = options["data"] = read_data(resolved.config, RunDir(resolved.config.output))
        results[stage] = VERBS[stage](**options)
    return results


def check(recipe: dict[str, Any]) -> dict[str, Any]:
    """Read the data and take one real training step of the pre-training, then say what the whole would take.

    Returns:
        rows, steps, seconds per step, estimated minutes, parameters, and free disk space in GB.
    """
    import torch

    shared, sections = split_sections(recipe)
    options = {**shared, **sections.get("pretrain", {})}
    names = {item.name for item in dataclasses.fields(STAGES["pretrain"])}
    options = {k: v for k, v in options.items() if k in names or k in sections.get("pretrain", {})}
    name = options.get("objective") or "mlm"
    resolved = resolve("pretrain", options, plugins.find("objectives", name).Config)
    config, folder = resolved.config, RunDir(resolved.config.output)
    data, modality = read_data(config, folder), modality_of(config)
    objective, _ = build_objective(config, resolved.plugin, modality, *start_of(config, folder))
    pool, _ = pool_of(data, config.eval_fraction, config.seed)
    rows = objective.rows(pool, seed=config.seed, training=True)
    args = arguments(folder.path / "check", seed=config.seed, defaults=dict(objective.training_defaults), overrides=resolved.training)
    batch = objective.collate([rows[i] for i in range(min(args.per_device_train_batch_size, len(rows)))])
    device = args.device
    objective.to(device).train()
    batch = {key: value.to(device) for key, value in batch.items()}
    seconds = []
    for _ in range(2):  # the first step warms up
        began = time.monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
            loss = objective(**batch).loss
        loss.backward()
        objective.zero_grad()
        seconds.append(time.monotonic() - began)
    steps = args.max_steps if args.max_steps > 0 else int(args.num_train_epochs * -(-len(rows) // args.train_batch_size))
    parameters = sum(p.numel() for p in objective.parameters())
    trained = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    found = {
        "batch": objective.describe(batch), "loss": float(loss), "rows": len(rows), "steps": steps, "seconds_per_step": round(seconds[1], 3),
        "estimated_minutes": round(seconds[1] * steps / 60, 1), "parameters": parameters,
        "weights_and_optimizer_gb": round((4 * parameters + 12 * trained) / 1e9, 2),
        "checkpoints_gb": round(3 * 12 * trained / 1e9, 2), "free_disk_gb": round(shutil.disk_usage(folder.path).free / 1e9, 1),
    }  # fmt: skip
    for key, value in found.items():
        say(f"  {key.replace('_', ' ')}: {value}")
    return found


def _inputs(stage: str, resolved: Resolved, fingerprint: str, run: RunDir, *before: Any) -> tuple[str, StageResult | None]:
    described = resolved.to_dict()
    for name in ("output", "resume", "overwrite", "data"):
        described["options"].pop(name, None)
    inputs = inputs_hash(stage, described, fingerprint, *before)
    if run.finished(stage, inputs) and not resolved.config.overwrite:
        say(f"{stage}: already done with these inputs, skipped")
        return inputs, StageResult(run.path / stage, run.stage(stage).get("metrics", {}), skipped=True)
    return inputs, None


def _monitor(objective: Any, modality: Any, data: Any, held: Any, held_rows: Any, args: Any, folder: Path, config: Any) -> Monitor:
    pooling = modality.native_pooling(str(config.model or ""))
    sample = held[modality.column][: config.monitor_examples]

    def features(values: Any) -> np.ndarray:
        return modality.embed(objective.backbone, objective.processor, values, pooling=pooling, max_length=128, bf16=args.bf16)

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


def _probe_arms(arms: dict, modality: Any, train_split: Any, test: Any, subsets: dict, task: Any, config: Any) -> list[comparison.ResultRow]:
    """Frozen linear probes of both arms, and TF-IDF beside them: the cheap baselines."""
    needed = sorted({int(i) for subset in subsets.values() for i in subset})
    place = {row: number for number, row in enumerate(needed)}
    texts, targets = train_split.select(needed)[modality.column], task.probe_targets(train_split)
    rows = []
    for arm, (source, revision) in arms.items():
        model, _ = load_model(source, "AutoModel", revision=revision)
        processor = load_processor(source, modality.name, revision)
        pooling = modality.native_pooling(str(arms["base"][0]))
        have, ask = (modality.embed(model, processor, values, pooling=pooling, max_length=256) for values in (texts, test[modality.column]))
        for (budget, draw), subset in subsets.items():
            known = have[[place[int(i)] for i in subset]]
            rows.append(comparison.ResultRow(arm, budget, draw, probes.linear_probe(known, targets[subset], ask, seed=draw).predictions))
    if modality.name == "text":
        everything = list(train_split[modality.column])
        for (budget, draw), subset in subsets.items():
            guess = probes.tfidf_probe([everything[int(i)] for i in subset], targets[subset], list(test["text"]), seed=draw)
            rows.append(comparison.ResultRow("TF-IDF", budget, draw, guess.predictions))
    return rows


def _report_comparison(folder: Path, tuned: list, probed: list, truth: np.ndarray, metric: str) -> dict[str, Any]:
    tables = {"Frozen probe": comparison.compare_arms(probed, truth, metric=metric)}
    if tuned:
        beside = [row for row in probed if row.arm not in ("base", "adapted")]
        tables = {"Fine-tuned": comparison.compare_arms([*tuned, *beside], truth, metric=metric), **tables}
    text = "\n\n".join(f"### {title}\n\n{table.to_markdown()}" for title, table in tables.items())
    (folder / "table.md").write_text(text, encoding="utf-8")
    write_json(folder / "table.json", {title: table.to_dict() for title, table in tables.items()})
    return {"verdict": {title: table.overall.word for title, table in tables.items()}, "metric": metric, "test_examples": len(truth)}


def _rows(task: Any, processor: Any, split: Any) -> Any:
    from hf_ssl.tasks.base import TaskRows

    return TaskRows(task.encode(processor, split))


def _limited(split: Any, limit: int | None, seed: int) -> Any:
    """A fixed random part of the test split."""
    if limit is None or limit >= len(split):
        return split
    return split.select(np.sort(np.random.default_rng(seed).permutation(len(split))[:limit]))


def _task_config(options: dict[str, Any]) -> type:
    """Options of the named task; of classification when the labels are to decide."""
    return plugins.find("tasks", options.get("task") or "classification").Config


def _task_name(config: Any, data: Any) -> str:
    from hf_ssl.assembly import TASK_OF

    return config.task or TASK_OF[data.label_kind]


def _output(run: RunDir, stage: str) -> str | None:
    entry = run.stage(stage)
    return entry["outputs"]["model"] if entry.get("status") == "done" else None


def _numbers(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float)) or "no validation data"


def _write_predictions(path: Path, split: Any, predictions: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"id": list(split["id"])} if "id" in split.column_names else {}
    columns.update({name: [row[name] for row in predictions] for name in predictions[0]})
    pq.write_table(pa.table(json.loads(json.dumps(columns))), path)
