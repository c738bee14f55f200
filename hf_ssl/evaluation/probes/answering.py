"""From views of labels and pool to who answers: which head a model starts from, and what answers better than it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.evaluation.probes.selection import clearly_more, not_judged
from hf_ssl.evaluation.probes.soft import Coordinates, Head
from hf_ssl.evaluation.probes.taught import (
    FROZEN,
    TAUGHT,
    TEACHER,
    Lesson,
    Trial,
    is_refused,
    learn,
    try_all,
    vote_is_better,
)

UNTRAINED = 0.05
"""Share of the readings of a network that has learned nothing yet."""


@dataclass(frozen=True)
class Material:
    """Views of labeled examples, and of the pool behind them.

    Args:
        scaled: coordinates of each view, in one or several scalings, its own first.
        read: the view that the model's head reads.
        frozen: names of those that are readings of the checkpoint; the others are cheap features.
        weights: of each among those of its sort.
        ridged: views that are answered by ridge regression, too.
        frozen_share: of the checkpoint's readings in a vote with cheap features, before labels move it.
        untrained: whether the checkpoint is random weights.
    """

    scaled: Mapping[str, tuple[Coordinates, ...]]
    read: str
    frozen: frozenset[str]
    weights: Mapping[str, float]
    ridged: frozenset[str]
    frozen_share: float
    untrained: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """`"frozen"` or `"cheap"` by view."""
        return {name: "frozen" if name in self.frozen else "cheap" for name in self.scaled}

    @property
    def prior(self) -> dict[str, float]:
        """Share of every view in the vote before the labels are asked."""
        return prior_of(self.kinds, self.weights, UNTRAINED if self.untrained else self.frozen_share)


@dataclass(frozen=True)
class Conclusion:
    """What was found.

    Args:
        trial: cross-validation of all ways.
        spaces, views: coordinates of every view in the scaling that was taken, and its rows.
        lesson: all heads, fitted on all labels.
        saved, reason: the way that the model's head answers, and why.
        asked: the best way of all.
        is_ahead: whether it answers instead of the head.
    """

    trial: Trial
    spaces: dict[str, Coordinates]
    views: dict[str, np.ndarray]
    lesson: Lesson
    saved: str
    reason: str
    asked: str
    is_ahead: bool

    @property
    def head(self) -> Head:
        """Of the model."""
        return self.lesson.head if self.saved == TAUGHT else self.lesson.vote[self.trial.recipe.read]

    def heads(self, lesson: Lesson) -> dict[str, Head]:
        """Of the views that answer together, as they came out of a lesson."""
        return lesson.teacher if self.asked == TEACHER else lesson.vote


def concluded(
    material: Material, y: np.ndarray, pooled: np.ndarray, classes: int, groups: Sequence[Any] | None = None, seed: int = 0
) -> Conclusion:  # fmt: skip
    """Try every way on the labels, and say which one the model carries and which one answers.

    Args:
        material: views; the first `len(y)` items are the labeled ones.
        y: `(labels,)` classes.
        pooled: item numbers of the pool.
        classes: number of classes.
        groups: of the labeled examples.
        seed: of the folds.
    """
    rows = {name: tuple(space.rows for space in each) for name, each in material.scaled.items()}
    trial = try_all(
        rows, material.prior, material.read, y, pooled, classes, groups=groups, seed=seed, ridged=material.ridged
    )
    spaces = {name: each[trial.recipe.scalings.get(name, 0)] for name, each in material.scaled.items()}
    views = trial.recipe.rows(rows)
    lesson = learn(views, trial.recipe, np.arange(len(y)), y, pooled, classes)
    saved, reason = _decided(trial, len(pooled), "" if trial.ways else not_judged(y, groups))
    # Views that no network helps seldom teach each other anything (`tests/benchmarks/bench_vote.py`).
    asked = TEACHER if saved == TAUGHT and not material.untrained and not vote_is_better(trial) else trial.best
    return Conclusion(
        trial, spaces, views, lesson, saved, reason, asked, _is_ahead(trial, saved, asked, material.untrained)
    )


def scalings(rows: Any, standardize: bool) -> tuple[Coordinates, ...]:
    """Columns as they are and of equal spread, the view's own way first; sparse rows stay as they are."""
    own = Coordinates(rows, standardize=standardize)
    return (own,) if hasattr(rows, "toarray") else (own, Coordinates(rows, standardize=not standardize))


def prior_of(kinds: Mapping[str, str], weights: Mapping[str, float], frozen: float) -> dict[str, float]:
    """Share of every view in the vote before the labels are asked: so much for the frozen ones together, the rest for the cheap ones."""
    totals = {kind: sum(weights[name] for name in kinds if kinds[name] == kind) for kind in set(kinds.values())}
    of_kind = {"frozen": frozen, "cheap": 1 - frozen} if len(totals) > 1 else dict.fromkeys(totals, 1.0)
    return {name: of_kind[kind] * weights[name] / totals[kind] for name, kind in kinds.items()}


def _decided(trial: Trial, pooled: int, unjudged: str) -> tuple[str, str]:
    """Which head the fine-tuning starts from, and why.

    Args:
        unjudged: why the labels say nothing, where that is so.
    """
    if not trial.ways:
        taken = TAUGHT if pooled else FROZEN
        return taken, f"cannot judge: {unjudged}. What is best on most development sets is taken"
    simple = trial.ways[FROZEN]
    told = f"accuracy {simple.accuracy:.1%}, macro-F1 {simple.macro_f1:.3f}"
    if not pooled:
        return FROZEN, f"no pool to learn from; {told} in cross-validation"
    offered = trial.ways[TAUGHT]
    refused = is_refused(offered, simple, trial.y)
    if refused is not None:
        return FROZEN, f"the pool is left out: a head taught on it has {refused} in cross-validation"
    return TAUGHT, (
        f"taught on {pooled:,} pool examples by the vote of frozen vectors and cheap features: accuracy "
        f"{offered.accuracy:.1%}, macro-F1 {offered.macro_f1:.3f} in cross-validation, the frozen probe {told}"
    )


def _is_ahead(trial: Trial, saved: str, asked: str, untrained: bool) -> bool:
    """Whether the run answers with the teacher (or the vote: `asked`), which the model cannot carry: unless the labels prefer the
    start beyond one standard error, or the two say the same of all of them; neither counts for random weights.

    On the development sets the teacher is nearly always better, and a handful of labels would often say otherwise by chance.
    """
    if untrained:  # a head on random weights that is as right or more on a handful of labels is so by luck
        return True
    if not trial.ways:
        return False
    start, best = trial.ways[saved], trial.ways[asked]
    if TEACHER == asked or saved == TAUGHT:  # the pool was tried in the first round alone
        start, best = start.first, best.first
    return not clearly_more(start.right, best.right) and bool((start.guesses != best.guesses).any())
