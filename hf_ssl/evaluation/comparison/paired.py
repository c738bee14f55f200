"""Paired statistics of two models on the same test items.

Pairing matters: for two classifiers that agree on most items the interval of the *difference* is several times
narrower than the two separate intervals suggest. Items that belong together (a patient, a recording) are resampled
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.comparison.resampling import Metric, bootstrap_scores, make_resampler
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE

if TYPE_CHECKING:
    from hf_ssl.evaluation.metrics import Answers


SHARES = frozenset({"accuracy", "f1_macro", "f1_macro_present", "f1_micro", "f1_weighted", "multilabel_accuracy", "multilabel_f1_macro",
                    "multilabel_f1_micro", "multilabel_f1_weighted", "mean_iou", "word_accuracy", "word_f1_macro", "span_f1"})  # fmt: skip
"""Metrics that are 1 where every unit is right and 0 where every one is wrong."""


@dataclass(frozen=True)
class PairedDifference:
    """metric(b) - metric(a) and its uncertainty over test items (or groups of them).

    Args:
        difference: mean over draws of b - a, on all items. For errors such as `mae`, negative means b is better.
        low, high: percentile bootstrap interval.
        standard_error: standard deviation of the bootstrap differences.
        p_value: two-sided, paired sign-flip permutation; exact McNemar where that applies (see `test`).
        score_a, score_b: mean over draws.
        per_draw: b - a of each label draw or seed.
        items, units: test items, and what was resampled: items, or groups.
        test: name of the test behind `p_value`.
        higher_is_better: of the metric.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    score_a: float
    score_b: float
    per_draw: tuple[float, ...]
    items: int
    units: int
    test: str
    higher_is_better: bool = True
    confidence: float = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over label draws or seeds; the deviation of one value is NaN."""

    mean: float
    sd: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.sd:.3f}" if self.n > 1 else f"{self.mean:.3f}"


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread of a score over label draws or seeds."""
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        raise DataError("There are no values to summarize.")
    return Spread(
        float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else float("nan"), len(numbers)
    )


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment: p values that stay valid when several budgets are looked at (Holm 1979)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted


def mcnemar_exact(predictions_a: Answers, predictions_b: Answers, references: Answers) -> float:
    """Exact McNemar p value: are the items that only one model gets right split evenly? For accuracy, single items."""
    from scipy.stats import binomtest

    a, b, references = (np.asarray(values) for values in (predictions_a, predictions_b, references))
    if not a.shape == b.shape == references.shape:
        raise DataError(f"Found {a.shape} and {b.shape} predictions for {references.shape} references.")
    right_a, right_b = a == references, b == references
    only_b, only_a = int((right_b & ~right_a).sum()), int((right_a & ~right_b).sum())
    return float(binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0


def paired_bootstrap(
    metric: Metric,
    predictions_a: Answers,
    predictions_b: Answers,
    references: Answers,
    groups: Sequence[Any] | None = None,
    **options: Any,
) -> PairedDifference:
    """`paired_bootstrap_draws` for one pair of models."""
    return paired_bootstrap_draws(metric, [predictions_a], [predictions_b], references, groups, **options)


def paired_bootstrap_draws(
    metric: Metric,
    predictions_a: Sequence[Any],
    predictions_b: Sequence[Any],
    references: Answers,
    groups: Sequence[Any] | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    higher_is_better: bool | None = None,
) -> PairedDifference:
    """Difference of two arms on the same test items, with bootstrap interval and test.

    Every resample draws test items (or whole groups) with replacement, *the same ones for both arms and all draws*,
    and takes the mean over draws of metric(b) - metric(a). The interval tells how the difference would vary over
    test sets, for these trained models; how it varies over label draws is `per_draw`.

    Args:
        metric: a name in `DECOMPOSABLE` (resampled as one matrix product), in `SCORES`, or a function
            `(predictions, references) → float` (called once per resample, arm and draw: slower).
        predictions_a, predictions_b: one array per label draw or seed, paired in order; scores for ranking metrics.
        references: the truth, shared by all.
        groups: one value per item; equal values are resampled together.
        n_resamples: of bootstrap and of permutations.
        higher_is_better: read off the metric; give it for a function that is an error.

    Raises:
        DataError: unpaired draws, unequal lengths, or a metric that is not finite on the full test set.
    """
    sampler = make_resampler(metric, predictions_a, predictions_b, references, groups)
    rng = np.random.default_rng(seed)
    score_a, score_b = sampler.scores()
    per_draw = score_b - score_a
    if not np.isfinite(per_draw).all():
        raise DataError(f"The metric is not finite on the test set (a: {score_a}, b: {score_b}): nothing to compare.")
    boot = sampler.bootstrap(rng, n_resamples)
    undefined = int((~np.isfinite(boot)).sum())
    if undefined > 0.05 * n_resamples:
        raise DataError(
            f"The metric is undefined on {undefined} of {n_resamples} resamples: a class is too rare in the test set "
            "to give an interval over test items."
        )
    boot = boot[np.isfinite(boot)]
    low, high = np.quantile(boot, [(1 - confidence) / 2, (1 + confidence) / 2])
    if metric == "accuracy" and groups is None and len(per_draw) == 1:
        p_value, test = mcnemar_exact(predictions_a[0], predictions_b[0], references), "exact McNemar"
    else:
        p_value, test = _permutation_p(per_draw.mean(), sampler.permute(rng, n_resamples)), "paired permutation"
    return PairedDifference(
        difference=float(per_draw.mean()),
        low=float(low),
        high=float(high),
        standard_error=float(boot.std(ddof=1)),
        p_value=p_value,
        score_a=float(score_a.mean()),
        score_b=float(score_b.mean()),
        per_draw=tuple(per_draw.tolist()),
        items=len(references),
        units=len(references) if groups is None else len(np.unique(np.asarray(groups))),
        test=test,
        higher_is_better=_higher_is_better(metric) if higher_is_better is None else higher_is_better,
        confidence=confidence,
    )


def bootstrap_interval(
    metric: Metric,
    predictions: Answers,
    references: Answers,
    groups: Sequence[Any] | None = None,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of one model's score over test items (or whole groups of them).

    Where every unit is right, or every one wrong, resampling sees no spread at all; a share of right answers then gets the
    exact binomial bound (Clopper and Pearson 1934): 45 of 45 right are between .921 and 1.

    Raises:
        DataError: fewer than two units, or the score is not finite on the resamples.
    """
    boot = bootstrap_scores(metric, predictions, references, groups, np.random.default_rng(seed), n_resamples)
    if not np.isfinite(boot).mean() > 0.95:
        raise DataError("The metric is undefined on too many resamples to give an interval over test items.")
    low, high = np.quantile(boot[np.isfinite(boot)], [(1 - confidence) / 2, (1 + confidence) / 2])
    if low == high and metric in SHARES and low in (0.0, 1.0):
        units = len(references) if groups is None else len(set(groups))
        bound = ((1 - confidence) / 2) ** (1 / units)
        return (bound, 1.0) if low else (0.0, 1 - bound)
    return float(low), float(high)


def _higher_is_better(metric: Metric) -> bool:
    if isinstance(metric, str) and metric in DECOMPOSABLE:
        return DECOMPOSABLE[metric].higher_is_better
    return metric != "calibration_error"


def _permutation_p(difference: float, permuted: np.ndarray) -> float:
    # Where a swap leaves the metric undefined it counts as extreme, which errs on the cautious side.
    extreme = ~(np.abs(permuted) < abs(difference) - 1e-12)
    return float((extreme.sum() + 1) / (len(permuted) + 1))
