"""The stage before the stages: a few real steps of each, and what the whole would take."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import RunDir
from hf_ssl.data import DomainData, labeled_subset
from hf_ssl.modalities.base import Modality
from hf_ssl.stages.base import start_of
from hf_ssl.stages.build import build_objective, build_task, continuation, task_rows
from hf_ssl.stages.fit import Fit, fit_task, open_pool
from hf_ssl.stages.inputs import inputs_of, modality_of, pool_of, read_data
from hf_ssl.stages.monitoring import build_monitor
from hf_ssl.stages.plan import plan, resolve_recipe
from hf_ssl.stages.resolve import Resolved
from hf_ssl.tasks.base import Task, TaskModule
from hf_ssl.training.trainer import TrainResult, arguments, peak_memory, predict, train

logger = logging.getLogger(__name__)

STEPS = 2
SAMPLE = 64
SHORT: dict[str, Any] = {"max_steps": STEPS, "save_strategy": "no", "eval_strategy": "no"}


@dataclasses.dataclass
class Look:
    """A stage about to be tried.

    Args:
        resolved: its options.
        data: what it works on.
        start: the checkpoint it works on, or the one that this will be made from: both have the same shape.
        folder: thrown away afterwards.
        labeled: options of the stage that says what the task is.
    """

    resolved: Resolved
    data: DomainData
    modality: Modality
    start: tuple[str, str | None]
    folder: Path
    labeled: Resolved

    @property
    def config(self) -> Any:
        return self.resolved.config

    def task(self) -> Task:
        plugin = dataclasses.asdict(self.labeled.plugin) if self.labeled.plugin is not None else {}
        return build_task(self.labeled.config.task, plugin, self.modality, self.data)


def check(recipe: dict[str, Any]) -> dict[str, Any]:
    """Try every stage of a recipe for real, for a step or a batch each, then say what the whole would take.

    All options are checked first. Nothing is written into the run folder, and the test split stays closed.

    Args:
        recipe: as in `run_recipe`.

    Returns:
        For every stage: rows, seconds per step or example, estimated minutes, measured peak memory and disk in GB;
        `total`: their sum, memory and free disk of this machine, and whether it fits.

    Raises:
        HfSslError: what the stage itself would raise.
    """
    planned = plan(recipe)
    resolved = resolve_recipe(recipe)
    sources: dict[str, DomainData] = {}
    found: dict[str, Any] = {}
    start: tuple[str, str | None] | None = None
    for stage, one in resolved.items():
        source = str(planned[stage].get("data"))
        if source not in sources:
            sources[source] = read_data(one.config)
        data = sources[source]
        run = RunDir(one.config.output)
        before = run.output("finetune" if stage == "evaluate" else "pretrain")
        named = start if one.config.model is None and start else start_of(one.config, run, before)
        start = start or named
        logger.info(f"check: {stage}")
        with tempfile.TemporaryDirectory(prefix="hf_ssl_check_") as folder:
            labeled = resolved.get("finetune", one) if stage == "evaluate" else one
            look = Look(one, data, modality_of(one.config), named, Path(folder), labeled)
            found[stage] = {**TRY[stage](look), "peak_memory_gb": round(peak_memory() / 1e9, 2)}
        logger.info("  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found[stage].items()))
    found["total"] = _total(found, Path(next(iter(resolved.values())).config.output))
    return found


def _try_pretrain(look: Look) -> dict[str, Any]:
    config, training = look.config, look.resolved.training
    pool, held = pool_of(look.data, config.eval_fraction, config.seed, look.modality)
    objective, report, added = build_objective(config, look.resolved.plugin, look.modality, *look.start, pool)
    rows = objective.rows(pool, seed=config.seed, training=True)
    args = arguments(
        look.folder, seed=config.seed, defaults=dict(objective.training_defaults), overrides={**training, **SHORT}
    )
    batch = objective.collate([rows[i] for i in range(min(args.per_device_train_batch_size, len(rows)))])
    schedule = continuation(objective, report.missing, config, args.learning_rate, added)
    result = train(objective, rows, args, look.folder, schedule=schedule)
    found = _trained(objective, result, _steps(args, len(rows), training))
    held_rows = objective.rows(held, seed=config.seed, training=False)
    watch = build_monitor(objective, look.modality, look.data, held, held_rows, args, look.folder, config)
    began = time.monotonic()
    watch.at(0, STEPS)
    measuring = time.monotonic() - began
    found["seconds_per_measurement"] = round(measuring, 2)
    found["estimated_minutes"] = round(found["estimated_minutes"] + measuring * (config.monitor_points + 1) / 60, 1)
    return {"batch": objective.describe(batch), "rows": len(rows), **found}


def _try_finetune(look: Look) -> dict[str, Any]:
    split, config = look.data["train"], look.config
    if config.labels_per_class:
        split = split.select(labeled_subset(split, config.labels_per_class, config.seed))
    fit, steps, before = _fit(look, look.task(), split)
    found = _trained(fit.module, fit.result, steps)
    found["estimated_minutes"] = round(found["estimated_minutes"] + before / 60, 1)
    return {"rows": len(split), **found}


def _try_evaluate(look: Look) -> dict[str, Any]:
    task = look.task()
    model, _ = look.modality.load_model(
        look.start[0], task.auto_class, dataset=look.data["train"], revision=look.start[1], **task.model_options()
    )
    processor = look.modality.load_processor(*look.start)
    model = look.modality.prepare_model(model, processor)
    args = arguments(look.folder, seed=0, defaults=dict(task.training_defaults), overrides={})
    seconds = _seconds_to_predict(TaskModule(model, task, processor), look, args)
    return _without_training(look.data, [look.config.split], seconds)


def _try_compare(look: Look) -> dict[str, Any]:
    config, task = look.config, look.task()
    if "test" not in look.data:
        raise ConfigError("compare needs a test split. Give --test, or --test_fraction above 0.")
    tests = min(len(look.data["test"]), config.test_limit or len(look.data["test"]))
    found: dict[str, Any] = {"test_examples": tests, "fits": 0, "estimated_minutes": 0.0}
    for budget in config.labels_per_class:
        split = look.data["train"].select(labeled_subset(look.data["train"], budget, config.seed))
        if config.finetune_arms:
            fit, steps, before = _fit(look, task, split)
            seconds = before + steps * _per_step(fit.result) + tests * _seconds_to_predict(fit.module, look, fit.args)
            found["fits"] += 2 * config.num_seeds
            found["estimated_minutes"] += round(2 * config.num_seeds * seconds / 60, 2)
    if task.label_kind != "tags":  # those have no frozen probe
        embedding = _try_embed(look, ["train", "test"])
        found["estimated_minutes"] += 2 * embedding["estimated_minutes"]
    found["estimated_minutes"] = round(found["estimated_minutes"], 1)
    return {**found, "disk_gb": 0.01}


def _try_embed(look: Look, splits: list[str] | None = None) -> dict[str, Any]:
    options = {name: getattr(look.config, name, None) for name in ("pooling", "max_length")}
    splits = splits or ([look.config.split] if look.config.split else list(look.data))
    some = next(iter(look.data.values()))
    model, _ = look.modality.load_model(look.start[0], "AutoModel", dataset=some, revision=look.start[1])
    processor = look.modality.load_processor(*look.start)
    model = look.modality.prepare_model(model, processor)
    split = look.data["train" if "train" in look.data else "unlabeled"]
    values = inputs_of(split.select(range(min(SAMPLE, len(split)))), look.modality)
    pooling = options["pooling"] or look.modality.default_pooling(look.start[0])
    began = time.monotonic()
    vectors = look.modality.embed(model, processor, values, pooling=pooling, max_length=options["max_length"])
    seconds = (time.monotonic() - began) / len(vectors)
    found = _without_training(look.data, splits, seconds)
    return {**found, "disk_gb": round(4 * found["rows"] * vectors.shape[1] / 1e9, 3)}


TRY = {
    "pretrain": _try_pretrain, "finetune": _try_finetune, "evaluate": _try_evaluate, "compare": _try_compare,
    "embed": _try_embed,
}  # fmt: skip


def _fit(look: Look, task: Task, split: Any) -> tuple[Fit, int, float]:
    """Two real steps of fine-tuning (without the warm start).

    Returns:
        the fit, how many steps the whole would take, and the seconds of what comes before them (reading the checkpoint,
        labels for the pool).
    """
    training = look.resolved.training
    config = dataclasses.replace(look.config, warm_start=False)
    began = time.monotonic()
    pool = open_pool(task, *look.start, look.data, config)
    fit = fit_task(
        task, *look.start, split, None, config, {**training, **SHORT}, look.folder, seed=config.seed, pool=pool
    )
    before = time.monotonic() - began - fit.result.seconds
    rows = len(task_rows(task, fit.processor, split)) + (len(pool.dataset) if pool is not None else 0)
    return fit, _steps(fit.args, rows, training), before


def _steps(args: Any, rows: int, training: dict[str, Any]) -> int:
    """Optimizer steps of the whole stage."""
    if training.get("max_steps", -1) > 0:
        return int(training["max_steps"])
    batches = math.ceil(rows / args.train_batch_size)
    return math.ceil(args.num_train_epochs * max(1, batches // args.gradient_accumulation_steps))


def _per_step(result: TrainResult) -> float:
    return result.seconds / max(1, result.steps)


def _trained(module: Any, result: TrainResult, steps: int) -> dict[str, Any]:
    parameters = sum(p.numel() for p in module.parameters())
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    checkpoints = 3 * 12 * trained  # weights and two moments, two kept and one being written
    return {
        "loss": round(float(result.loss), 4) if result.loss is not None else None, "steps": steps,
        "seconds_per_step": round(_per_step(result), 3), "estimated_minutes": round(_per_step(result) * steps / 60, 1),
        "parameters": parameters, "trained_parameters": trained, "disk_gb": round((4 * parameters + checkpoints) / 1e9, 3),
    }  # fmt: skip


def _without_training(data: DomainData, splits: list[str], seconds: float) -> dict[str, Any]:
    absent = [split for split in splits if split not in data]
    if absent:
        raise ConfigError(f"There is no split {absent[0]!r}; the splits are {', '.join(data)}.")
    rows = sum(len(data[split]) for split in splits)
    minutes = round(rows * seconds / 60, 1)
    return {"rows": rows, "seconds_per_example": round(seconds, 4), "estimated_minutes": minutes, "disk_gb": 0.001}


def _seconds_to_predict(module: TaskModule, look: Look, args: Any) -> float:
    """Per example, measured on labeled training data: the test split stays closed."""
    split = look.data["train"].select(range(min(SAMPLE, len(look.data["train"]))))
    rows = task_rows(module.task, module.processor, split)
    began = time.monotonic()
    predict(module, rows, args)
    return (time.monotonic() - began) / len(split)


def _total(found: dict[str, Any], output: Path) -> dict[str, Any]:
    """Sum up, and say in one sentence whether the machine is large enough."""
    existing = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    total = {
        "estimated_minutes": round(sum(one["estimated_minutes"] for one in found.values()), 1),
        "peak_memory_gb": max(one["peak_memory_gb"] for one in found.values()),
        "machine_memory_gb": round(memory, 1),
        "disk_gb": round(sum(one["disk_gb"] for one in found.values()), 2),
        "free_disk_gb": round(shutil.disk_usage(existing).free / 1e9, 1),
    }
    total["fits"] = total["disk_gb"] < total["free_disk_gb"]
    logger.info(
        f"check: every stage ran. About {total['estimated_minutes']} minutes in all; {total['peak_memory_gb']} GB of "
        f"memory at the most (this machine has {total['machine_memory_gb']}); {total['disk_gb']} GB of disk "
        f"({total['free_disk_gb']} free)."
        + ("" if total["fits"] else " The disk is too small: name another --output, or free some space.")
    )
    return total
