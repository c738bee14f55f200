"""The stage before the stages: each of them for a few steps, and what the whole would take."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.compare_options import CompareConfig
from hf_ssl.core.fields import Options
from hf_ssl.core.log import quietly
from hf_ssl.core.run import RunDir
from hf_ssl.data import DomainData
from hf_ssl.data.examples import as_text
from hf_ssl.evaluation.monitor.monitor import POINTS
from hf_ssl.stages.inputs import read_data
from hf_ssl.stages.plan import plan, resolve_recipe
from hf_ssl.stages.recipe import VERBS
from hf_ssl.stages.resolve import Resolved
from hf_ssl.training.limit import LimitedFit, Trial, limited
from hf_ssl.training.trainer import peak_memory

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

STEPS = 3
POOL = 1024  # unlabeled examples that are read: the pool's tokens are counted on these
LABELED = 5000
EXAMPLES = 2  # of every split and class that are shown
ASIDE = 64  # labeled training examples that stand in for the test split, which stays closed


@dataclass
class Sample:
    """A part of the data, and how much more the whole is."""

    parts: dict[str, Any]
    whole: DomainData

    def share(self, split: str) -> float:
        """The whole split over its part."""
        return len(self.whole[split]) / max(1, len(self.parts[split])) if split in self.parts else 1.0


def check(recipe: dict[str, Any]) -> dict[str, Any]:
    """Run every stage of a recipe for a few steps in a folder that is thrown away, then say what the whole would take.

    All options of all stages are checked first. Nothing is written into the run folder, and the test split stays closed:
    labeled training examples stand in for it.

    Args:
        recipe: as in `run_recipe`.

    Returns:
        For every stage: rows, seconds per step or example, estimated minutes, measured peak memory and disk in GB;
        `total`: their sum, memory and free disk of this machine, and whether it fits.

    Raises:
        HfSslError: what the stage itself would raise.
    """
    resolved, planned = resolve_recipe(recipe), plan(recipe)
    samples: dict[str, Sample] = {}
    found: dict[str, dict[str, Any]] = {}
    output = Path(next(iter(resolved.values())).config.output)
    with tempfile.TemporaryDirectory(prefix="hf_ssl_check_") as place:
        run = Path(place) / "run"
        _take_over(output, run, resolved)
        for stage, one in resolved.items():
            options: dict[str, Any] = {**planned[stage], "output": str(run), "resume": False, "overwrite": False}
            sample = None
            if hasattr(one.config, "data"):
                source = str(one.config.data)
                if source not in samples:
                    whole = read_data(one.config)
                    if shown := whole.examples(EXAMPLES):
                        logger.info("examples:\n" + as_text(shown))
                    samples[source] = Sample(_parts(whole, resolved), whole)
                sample = samples[source]
                report = {**sample.whole.report, "test_opened": []}
                options["data"] = DomainData(sample.parts, report, sample.whole.modality_name)
                options["data"].stream = sample.whole.stream
            logger.info(f"check: {stage}")
            began = time.monotonic()
            with limited(STEPS) as trial, quietly():
                VERBS[stage](**{**options, **_shortened(stage, one.config)})
            found[stage] = _estimate(stage, one, sample, trial, time.monotonic() - began)
            found[stage]["peak_memory_gb"] = round(peak_memory() / 1e9, 2)
            found[stage]["disk_gb"] = round(found[stage]["disk_gb"] + _size(run / stage) / 1e9, 3)
            logger.info("  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found[stage].items()))
    found["total"] = _total(found, output)
    return found


def _take_over(output: Path, run: Path, resolved: Mapping[str, Resolved]) -> None:
    """What the run folder holds of stages that are not tried now: their models are what later stages start from."""
    before, own = RunDir(output), RunDir(run)
    own.stages = {name: record for name, record in before.stages.items() if record.done and name not in resolved}
    own.base, own.facts = before.base, dict(before.facts)
    if own.stages or own.base:
        own.save()


def _parts(whole: DomainData, resolved: Mapping[str, Resolved]) -> dict[str, Any]:
    """At most so many examples of each split that the stages behave as with all of them."""
    pool = POOL
    for one in resolved.values():
        batch = one.training.get("per_device_train_batch_size", 0) * one.training.get("gradient_accumulation_steps", 1)
        pool = max(pool, 8 * batch, getattr(one.config, "self_training", 0))
    wanted = any(getattr(one.config, "labels_per_class", None) for one in resolved.values())
    sizes = {"unlabeled": pool, "validation": LABELED, "train": len(whole.get("train", ())) if wanted else LABELED}
    splits = {name: _some(split, sizes[name]) for name, split in whole.items() if name != "test"}
    if "test" in whole:
        splits["test"] = _some(whole["train"] if "train" in whole else whole["unlabeled"], ASIDE)
    return splits


def _some(split: datasets.Dataset, count: int) -> datasets.Dataset:
    """A random part, the same every time."""
    if len(split) <= count:
        return split
    return split.select(np.sort(np.random.default_rng(0).permutation(len(split))[:count]))


def _shortened(stage: str, config: Options) -> dict[str, Any]:
    """Of stages that do one thing many times: once, the largest."""
    if isinstance(config, CompareConfig):
        asked = [one for one in config.labels_per_class or () if str(one).isdigit()]
        largest = (
            {"labels_per_class": [max(asked, key=int)]}
            if asked and len(asked) == len(config.labels_per_class or ())
            else {}
        )
        return {**largest, "num_seeds": 1, "probe_draws": 1, "budget": None}
    return {"dry_run": True} if stage == "push" else {}


def _estimate(stage: str, one: Resolved, sample: Sample | None, trial: Trial, seconds: float) -> dict[str, Any]:
    """Minutes of the whole: what comes before and after training as it was, steps and examples as many as there will be."""
    config, fits = one.config, trial.fits
    apart = max(0.0, seconds - sum(fit.seconds for fit in fits) - trial.seconds)
    each = trial.seconds / max(1, trial.rows)
    if sample is None:
        return {"estimated_minutes": round(seconds / 60, 1), "disk_gb": 0.0}
    if stage == "compare":
        repeats = config.num_seeds * (
            len(config.labels_per_class) if _shortened(stage, config).get("labels_per_class") else 1
        )
        tests = min(len(sample.whole["test"]), config.test_limit or len(sample.whole["test"]))
        once = apart + len(fits) * tests * each + sum(fit.planned * fit.per_step for fit in fits)
        minutes = round(repeats * once / 60, 1)
        return {"test_examples": tests, "fits": repeats * len(fits), "estimated_minutes": minutes, "disk_gb": 0.01}
    if fits:
        split = "unlabeled" if stage == "pretrain" else "train"
        several = (
            1.0
            if one.training.get("max_steps", 0) > 0 or getattr(config, "labels_per_class", None)
            else sample.share(split)
        )
        points = (config.monitor_points or POINTS) if stage == "pretrain" else 0
        return _trained(fits[0], several, apart + trial.seconds, points)
    splits = [config.split] if config.split else list(sample.whole)
    rows = sum(len(sample.whole[name]) for name in splits)
    return {
        "rows": rows, "seconds_per_example": round(each, 4), "estimated_minutes": round((apart + rows * each) / 60, 1), "disk_gb": 0.0,
    }  # fmt: skip


def _trained(fit: LimitedFit, several: float, apart: float, points: int) -> dict[str, Any]:
    steps = round(fit.planned * several)
    seconds = apart + steps * fit.per_step + max(0, points - 1) * fit.measured
    checkpoints = 3 * 12 * fit.trained  # weights and two moments, two kept and one being written
    return {
        "rows": round(fit.rows * several), "steps": steps, "seconds_per_step": round(fit.per_step, 3),
        **({"seconds_per_measurement": round(fit.measured, 2)} if points else {}), **({"batch": fit.batch} if fit.batch else {}),
        "estimated_minutes": round(seconds / 60, 1), "parameters": fit.parameters, "trained_parameters": fit.trained,
        "disk_gb": checkpoints / 1e9,
    }  # fmt: skip


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _total(found: Mapping[str, Mapping[str, Any]], output: Path) -> dict[str, Any]:
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
