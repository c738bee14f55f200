"""What `adapt` has tried: a journal that a stopped call goes on from, and how good each attempt was on the labels."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hf_ssl.core import distributed, plugins
from hf_ssl.core.jsonfiles import read_json
from hf_ssl.core.run import RunDir, StageRecord, write_json

RELEASED, LEFT_OUT = "as-released", "not tried: "
BECOMES = ("pretrain", "finetune")
"""Stages of the best attempt, which become the run's own."""


@dataclass
class Attempt:
    """One way that was tried, in a run folder of its own.

    Args:
        name: `as-released`, or the objective that the pre-training was continued with.
        steps: of pre-training (0: none), decided when it was begun.
        score: of its fine-tuned model on the labels, by cross-validation where there is one, else on validation data.
        measured: what the score is.
        seconds: that it took.
        outcome: `done`, or why there is no score.
        kept: what pre-training said of its result.
        tuning: options of the fine-tuning that fits into the time.
    """

    name: str
    steps: int = 0
    score: float | None = None
    measured: str = ""
    seconds: float = 0.0
    outcome: str = ""
    kept: str = ""
    tuning: dict[str, Any] = field(default_factory=dict)

    @property
    def left_out(self) -> bool:
        """Whether there was no time for it."""
        return self.outcome.startswith(LEFT_OUT)


@dataclass
class Journal:
    """All attempts, written down as they end, so that a call that is stopped can go on."""

    file: Path
    attempts: dict[str, Attempt] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path, resume: bool) -> Journal:
        """What an earlier call tried, or an empty one; what it had no time for may be tried now."""
        entries = [Attempt(**entry) for entry in read_json(file)] if file.is_file() and resume else []
        return cls(file, {one.name: one for one in entries if not one.left_out})

    def note(self, attempt: Attempt) -> None:
        self.attempts[attempt.name] = attempt
        write_json(self.file, [asdict(one) for one in self.attempts.values()])

    @property
    def best(self) -> Attempt | None:
        """The start as it was released, or the best continued one that its own measurements and its score both speak for."""
        scores = {one.name: one.score for one in self.attempts.values() if one.score is not None}
        if not scores:
            return None
        bar = scores.get(RELEASED, float("-inf"))
        ahead = [name for name in scores if scores[name] > bar and "no better" not in self.attempts[name].kept]
        chosen = max(ahead, key=lambda name: scores[name]) if ahead else RELEASED
        return self.attempts[chosen if chosen in scores else max(scores, key=lambda name: scores[name])]


def score_of(record: StageRecord) -> tuple[float | None, str]:
    """How good a fine-tuned model is on its labels: cross-validated where that was done, else on validation data."""
    found = record.outputs.get("candidates") or {}
    way = (found.get("candidates") or {}).get(found.get("answer", found.get("start")))
    if way and "mae" in way:
        return -float(way["mae"]), "mean absolute error of what it answers with, on validation data"
    if way:
        return (
            float(way["accuracy"]) + float(way["macro_f1"])
        ) / 2, "mean of accuracy and macro-F1, cross-validated on the labels"
    held = record.metrics.get("validation") or {}
    name = next((name for name in ("f1_macro", "accuracy", *held) if name in held), None)
    if name is None:
        return None, ""
    kind = plugins.find("tasks", str(record.outputs["task"]))
    name = kind.primary_metric if kind.primary_metric in held else name
    return float(held[name]) * (1 if kind.greater_is_better else -1), f"{name} on validation data"


def promote(trial: Path, run: RunDir) -> None:
    """Make a trial's stages the run's own; files are linked, so that a model does not take its place twice."""
    if not distributed.is_main():
        return
    own = RunDir(trial)
    for name in BECOMES:
        shutil.rmtree(run.path / name, ignore_errors=True)
        run.stages.pop(name, None)
        if own.stage(name).done:
            shutil.copytree(trial / name, run.path / name, copy_function=_linked)
            moved = json.loads(
                json.dumps(asdict(own.stages[name])).replace(
                    json.dumps(str(trial))[1:-1], json.dumps(str(run.path))[1:-1]
                )
            )
            run.stages[name] = StageRecord(**moved)
    run.base = own.base
    run.facts = {**own.facts, **run.facts}
    run.save()


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(source, target)
