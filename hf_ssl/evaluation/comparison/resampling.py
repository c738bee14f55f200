"""Bootstrap and permutation replicates of the difference between two arms.

Three resamplers with the same three methods: one for additive metrics, where a whole set of replicates is a matrix
product; one for correlations, where it is a few; and a loop for any other function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE, Additive, shared_classes
from hf_ssl.evaluation.metrics.ranking import SCORES

if TYPE_CHECKING:
    from hf_ssl.evaluation.metrics import Answers

Metric = str | Callable[[Any, Any], float]
CHUNK_CELLS = 4_000_000  # resampling weights held at once: 32 MB


class Resampler(Protocol):
    """Replicates of the mean over draws of metric(b) - metric(a)."""

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores of both arms on all items, one per draw."""
        ...

    def bootstrap(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """`n` differences, each on units drawn with replacement, the same ones for both arms and all draws."""
        ...

    def permute(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """`n` differences, each with the arms swapped on a random half of the units, in all draws alike."""
        ...


def metric_function(metric: Metric) -> Callable[[Any, Any], float]:
    """The function behind a metric name; functions pass through.

    Raises:
        ConfigError: unknown name, with the nearest one.
    """
    if not isinstance(metric, str):
        return metric
    known: dict[str, Callable[[Any, Any], float]] = {**DECOMPOSABLE, **SCORES}
    if metric not in known:
        raise ConfigError(f"Unknown metric {metric!r}.{nearest(metric, known)} Known: {', '.join(known)}.")
    return known[metric]


def make_resampler(
    metric: Metric,
    predictions_a: Sequence[Any],
    predictions_b: Sequence[Any],
    references: Answers,
    groups: Sequence[Any] | None = None,
) -> Resampler:
    """The faster resampler that the metric allows.

    Args:
        predictions_a, predictions_b: one array per draw, paired in order.
        groups: one value per item; equal values are one unit.

    Raises:
        DataError: unpaired draws, unequal lengths, or fewer than two units.
    """
    if len(predictions_a) != len(predictions_b) or not len(predictions_a):
        raise DataError(f"The arms must be paired draw by draw; found {len(predictions_a)} and {len(predictions_b)}.")
    lengths = sorted({len(values) for values in (*predictions_a, *predictions_b)})
    if lengths != [len(references)]:
        raise DataError(f"Found predictions of length {lengths} for {len(references)} references.")
    unit_of = np.arange(len(references))
    if groups is not None:
        unit_of = np.unique(np.asarray(groups), return_inverse=True)[1]
        if len(unit_of) != len(references):
            raise DataError(f"Found {len(unit_of)} groups for {len(references)} items.")
    if len(references) == 0 or unit_of.max() == 0:
        raise DataError("A comparison needs at least 2 test items, from at least 2 groups where groups are given.")
    if isinstance(metric, str) and metric in DECOMPOSABLE:
        return AdditiveResampler(DECOMPOSABLE[metric], predictions_a, predictions_b, references, unit_of)
    if metric in ("spearman", "pearson"):
        return CorrelationResampler(metric == "spearman", predictions_a, predictions_b, references, unit_of)
    return LoopResampler(metric_function(metric), predictions_a, predictions_b, references, unit_of)


def _chunks(n: int, width: int) -> Iterator[int]:
    """Sizes that add up to `n`, each small enough for its weights to fit."""
    size = max(1, CHUNK_CELLS // max(width, 1))
    return (min(size, n - start) for start in range(0, n, size))


def _weights(rng: np.random.Generator, n: int, units: int) -> np.ndarray:
    """How often each unit is drawn in each of `n` resamples with replacement, `(n, units)`."""
    drawn = rng.integers(0, units, (n, units)) + np.arange(n)[:, None] * units
    return np.bincount(drawn.ravel(), minlength=n * units).reshape(n, units).astype(np.float64)


def bootstrap_scores(
    metric: Metric,
    predictions: Answers,
    references: Answers,
    groups: Sequence[Any] | None,
    rng: np.random.Generator,
    n: int,
) -> np.ndarray:
    """`n` scores of one model, each on units drawn with replacement.

    Raises:
        DataError: as `make_resampler`.
    """
    sampler = make_resampler(metric, [predictions], [predictions], references, groups)
    if isinstance(sampler, AdditiveResampler):
        sizes = _chunks(n, sampler.units)
        return np.concatenate([sampler.finish(_weights(rng, size, sampler.units) @ sampler.a[0]) for size in sizes])
    unit_of = np.arange(len(references)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    members = np.split(np.argsort(unit_of, kind="stable"), np.cumsum(np.bincount(unit_of))[:-1])
    score, guesses, truth = metric_function(metric), _rows(predictions), _rows(references)
    drawn = (np.concatenate([members[unit] for unit in rng.integers(0, len(members), len(members))]) for _ in range(n))
    return np.array([score(guesses[items], truth[items]) for items in drawn], np.float64)


class AdditiveResampler:
    """Sums the rows of each unit once; replicates are weights times these sums."""

    def __init__(
        self,
        metric: Additive,
        predictions_a: Sequence[Any],
        predictions_b: Sequence[Any],
        references: Answers,
        unit_of: np.ndarray,
    ):
        self.finish = metric.finish
        self.units = int(unit_of.max()) + 1
        # Both arms need the same columns, so classes are those of all predictions together.
        classes = shared_classes(references, *predictions_a, *predictions_b) if metric.by_class else None

        def by_unit(predictions: Answers) -> np.ndarray:
            rows = metric.rows(predictions, references, classes)
            sums = np.zeros((self.units, rows.shape[1]))
            np.add.at(sums, unit_of, rows)
            return sums

        self.a = [by_unit(predictions) for predictions in predictions_a]
        self.b = [by_unit(predictions) for predictions in predictions_b]

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        a, b = ([self.finish(sums.sum(axis=0)) for sums in arm] for arm in (self.a, self.b))
        return np.array(a, np.float64), np.array(b, np.float64)

    def bootstrap(self, rng: np.random.Generator, n: int) -> np.ndarray:
        replicates = []
        for size in _chunks(n, self.units):
            weights = _weights(rng, size, self.units)
            each = [self.finish(weights @ b) - self.finish(weights @ a) for a, b in zip(self.a, self.b, strict=True)]
            replicates.append(np.mean(each, axis=0))
        return np.concatenate(replicates)

    def permute(self, rng: np.random.Generator, n: int) -> np.ndarray:
        replicates = []
        for size in _chunks(n, self.units):
            swap = rng.integers(0, 2, (size, self.units)).astype(np.float64)
            each = []
            for a, b in zip(self.a, self.b, strict=True):
                moved = swap @ (b - a)
                each.append(self.finish(b.sum(axis=0) - moved) - self.finish(a.sum(axis=0) + moved))
            replicates.append(np.mean(each, axis=0))
        return np.concatenate(replicates)


class CorrelationResampler:
    """Pearson's and Spearman's correlation, all replicates of a chunk at once: an item drawn twice has weight 2."""

    def __init__(
        self,
        ranked: bool,
        predictions_a: Sequence[Any],
        predictions_b: Sequence[Any],
        references: Answers,
        unit_of: np.ndarray,
    ):
        self.ranked = ranked
        self.score = SCORES["spearman" if ranked else "pearson"]
        self.a = [np.asarray(values, np.float64) for values in predictions_a]
        self.b = [np.asarray(values, np.float64) for values in predictions_b]
        self.references = np.asarray(references, np.float64)
        self.unit_of, self.units = unit_of, int(unit_of.max()) + 1

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        a, b = ([self.score(values, self.references) for values in arm] for arm in (self.a, self.b))
        return np.array(a, np.float64), np.array(b, np.float64)

    def bootstrap(self, rng: np.random.Generator, n: int) -> np.ndarray:
        replicates = []
        for size in _chunks(n, len(self.references)):
            weights = _weights(rng, size, self.units)[:, self.unit_of]
            truth = self._place(self.references, weights)
            each = [
                weighted_correlation(self._place(b, weights), truth, weights)
                - weighted_correlation(self._place(a, weights), truth, weights)
                for a, b in zip(self.a, self.b, strict=True)
            ]
            replicates.append(np.mean(each, axis=0))
        return np.concatenate(replicates)

    def permute(self, rng: np.random.Generator, n: int) -> np.ndarray:
        from scipy.stats import rankdata

        def place(values: np.ndarray) -> np.ndarray:
            return rankdata(values, axis=-1) if self.ranked else values

        truth = place(self.references)
        replicates = []
        for size in _chunks(n, len(self.references)):
            swap = rng.integers(0, 2, (size, self.units)).astype(bool)[:, self.unit_of]
            even = np.ones(swap.shape)
            each = [
                weighted_correlation(place(np.where(swap, a, b)), truth, even)
                - weighted_correlation(place(np.where(swap, b, a)), truth, even)
                for a, b in zip(self.a, self.b, strict=True)
            ]
            replicates.append(np.mean(each, axis=0))
        return np.concatenate(replicates)

    def _place(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return weighted_ranks(values, weights) if self.ranked else values


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rank of each value when it occurs `weight` times, ties getting their mean rank; `(replicates, items)`.

    The order of the values is the same in every replicate, so they are sorted once.
    """
    _, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    together = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(together, axis=1) - together + (together + 1) / 2
    return middle[:, inverse]


def weighted_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation along the last axis with items weighted; NaN where one side does not vary."""
    total = weights.sum(axis=-1, keepdims=True)
    x = x - (weights * x).sum(axis=-1, keepdims=True) / total
    y = y - (weights * y).sum(axis=-1, keepdims=True) / total
    covariance = (weights * x * y).sum(axis=-1)
    spread = (weights * x * x).sum(axis=-1) * (weights * y * y).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-24, covariance / np.sqrt(spread), np.nan)


class LoopResampler:
    """Calls the metric on every replicate, for metrics that need the items themselves."""

    def __init__(
        self,
        metric: Callable[[Any, Any], float],
        predictions_a: Sequence[Any],
        predictions_b: Sequence[Any],
        references: Answers,
        unit_of: np.ndarray,
    ):
        self.metric = metric
        self.a = [_rows(predictions) for predictions in predictions_a]
        self.b = [_rows(predictions) for predictions in predictions_b]
        self.references = _rows(references)
        self.unit_of = unit_of
        order = np.argsort(unit_of, kind="stable")
        self.members = np.split(order, np.cumsum(np.bincount(unit_of))[:-1])

    def _mean_difference(self, arms: list[tuple[Any, Any]], references: Answers) -> float:
        return float(np.mean([self.metric(b, references) - self.metric(a, references) for a, b in arms]))

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        a, b = ([self.metric(predictions, self.references) for predictions in arm] for arm in (self.a, self.b))
        return np.array(a, np.float64), np.array(b, np.float64)

    def bootstrap(self, rng: np.random.Generator, n: int) -> np.ndarray:
        replicates = np.empty(n)
        for i in range(n):
            drawn = rng.integers(0, len(self.members), len(self.members))
            items = np.concatenate([self.members[unit] for unit in drawn])
            arms = [(a[items], b[items]) for a, b in zip(self.a, self.b, strict=True)]
            replicates[i] = self._mean_difference(arms, self.references[items])
        return replicates

    def permute(self, rng: np.random.Generator, n: int) -> np.ndarray:
        replicates = np.empty(n)
        for i in range(n):
            swap = rng.integers(0, 2, len(self.members)).astype(bool)[self.unit_of]
            arms = []
            for a, b in zip(self.a, self.b, strict=True):
                mask = swap.reshape(-1, *[1] * (a.ndim - 1))
                arms.append((np.where(mask, b, a), np.where(mask, a, b)))
            replicates[i] = self._mean_difference(arms, self.references)
        return replicates


def _rows(values: Answers) -> np.ndarray:
    """Indexable by item: an array, or for ragged rows (tags of sentences) an array of objects."""
    if isinstance(values, np.ndarray):
        return values
    if len({len(row) if isinstance(row, (list, tuple)) else -1 for row in values}) == 1:
        return np.asarray(values)
    rows = np.empty(len(values), object)
    rows[:] = list(values)
    return rows
