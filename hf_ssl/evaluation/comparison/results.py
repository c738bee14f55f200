"""What a comparison is made from: one trained model's answers to the test set, and pairs of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.comparison.paired import PairedDifference, Spread, paired_bootstrap_draws, spread
from hf_ssl.evaluation.comparison.resampling import Metric, metric_function
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hf_ssl.evaluation.metrics import Answers

NO_LABELS = "no"
"""Budget of what learns from no labels at all."""


@dataclass(frozen=True)
class ResultRow:
    """One trained model on the test set.

    Args:
        arm: `"base"`, `"adapted"`, or any other name.
        budget: labels per class, or any number or name by which rows are compared.
        seed: of the labeled subset and of training; rows of two arms with equal budget and seed are a pair.
        predictions: what the metric reads, or the path of a `.npy` file with it.
        protocol: how the arm learned from the labels, such as `"linear-probe"`.
        probabilities: `(items, classes)`, where the model gives some.
        seconds: that learning and answering took, without what is shared (frozen features).
        trainable: parameters that learned from the labels.
    """

    arm: str
    budget: Any
    seed: int
    predictions: Any
    protocol: str = ""
    probabilities: np.ndarray | None = None
    seconds: float = math.nan
    trainable: int | None = None

    @property
    def contender(self) -> tuple[str, str]:
        """Arm and protocol: rows with the same are draws of one thing."""
        return self.arm, self.protocol

    def load(self) -> Any:
        """The predictions.

        Raises:
            DataError: their file is not there.
        """
        if not isinstance(self.predictions, (str, Path)):
            return self.predictions
        if not Path(self.predictions).is_file():
            raise DataError(f"There is no predictions file at {self.predictions}.")
        return np.load(self.predictions, allow_pickle=False)


class PairedResults:
    """Scores of every contender, and paired differences between any two, each computed once.

    Args:
        rows: results.
        references: the truth of the test items.
        metric: as in `paired_bootstrap_draws`.
        groups: one value per test item; equal values are resampled together.
        n_resamples: of bootstrap and of permutations.

    Raises:
        DataError: a result occurs twice.
    """

    def __init__(
        self, rows: Iterable[ResultRow], references: Answers, metric: Metric, groups: Sequence[Any] | None = None, *,
        n_resamples: int = 1000,
    ) -> None:  # fmt: skip
        self.references, self.metric, self.groups, self.n_resamples = references, metric, groups, n_resamples
        self.rows: dict[tuple[str, str], dict[Any, dict[int, ResultRow]]] = {}
        for row in rows:
            draws = self.rows.setdefault(row.contender, {}).setdefault(row.budget, {})
            if row.seed in draws:
                raise DataError(f"Two results for {_told(row.contender)}, budget {row.budget}, seed {row.seed}.")
            draws[row.seed] = row
        self._scores: dict[tuple[Any, Any], dict[int, float]] = {}
        self._pairs: dict[tuple[Any, Any, Any], PairedDifference | None] = {}

    @property
    def budgets(self) -> list[Any]:
        """In the order they were met."""
        return list(dict.fromkeys(budget for draws in self.rows.values() for budget in draws))

    def at(self, budget: Hashable) -> list[tuple[str, str]]:
        """Contenders that have results at a budget."""
        return [contender for contender, draws in self.rows.items() if draws.get(budget)]

    def draws(self, contender: tuple[str, str], budget: Hashable) -> dict[int, ResultRow]:
        """Results by seed."""
        return self.rows.get(contender, {}).get(budget, {})

    def scores(self, contender: tuple[str, str], budget: Hashable) -> dict[int, float]:
        """The metric by seed."""
        if (contender, budget) not in self._scores:
            score = metric_function(self.metric)
            self._scores[contender, budget] = {
                seed: float(score(row.load(), self.references)) for seed, row in self.draws(contender, budget).items()
            }
        return self._scores[contender, budget]

    def spread(self, contender: tuple[str, str], budget: Hashable) -> Spread:
        """Mean and spread over all draws."""
        return spread(list(self.scores(contender, budget).values()))

    def difference(self, first: tuple[str, str], second: tuple[str, str], budget: Hashable) -> PairedDifference | None:
        """Second minus first, on the seeds that both have; None where they share none, or an interval cannot be had."""
        key = (first, second, budget)
        if key not in self._pairs:
            both = sorted(self.draws(first, budget).keys() & self.draws(second, budget).keys())
            self._pairs[key] = self._compare(first, second, budget, both) if both else None
        return self._pairs[key]

    def _compare(
        self, first: tuple[str, str], second: tuple[str, str], budget: Hashable, seeds: list[int]
    ) -> PairedDifference | None:
        a, b = ([self.draws(one, budget)[seed].load() for seed in seeds] for one in (first, second))
        try:
            return paired_bootstrap_draws(
                self.metric, a, b, self.references, self.groups, n_resamples=self.n_resamples
            )
        except DataError:  # a constant answer has no correlation, one group has no other
            return None

    @property
    def higher_is_better(self) -> bool:
        """Of the metric."""
        known = DECOMPOSABLE.get(self.metric) if isinstance(self.metric, str) else None
        return known.higher_is_better if known is not None else self.metric != "calibration_error"


def _told(contender: tuple[str, str]) -> str:
    arm, protocol = contender
    return f"arm {arm!r}" + (f" by {protocol}" if protocol else "")
