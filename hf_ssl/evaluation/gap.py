"""How far apart are two domains, seen through features? The proxy A-distance, done so that zero means zero.

Measured on the training set, the distance of two samples of the *same* distribution comes out near its maximum of 2 in
a few hundred dimensions; so does a random split of crops of the same photographs; and unequal sample sizes alone give
1.6. Hence: held-out items, groups kept together, balanced error, and the values under shuffled domains beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError


@dataclass(frozen=True)
class DomainGap:
    """Proxy A-distance and what it is when there is no gap.

    Args:
        distance: 2 (1 - 2 error), 0 for indistinguishable and 2 for perfectly separable domains.
        balanced_error: held-out error of the domain classifier, mean of both domains.
        null_mean, null_high: mean and 95th percentile of the distance with shuffled domains.
        p_value: share of shuffles with at least this distance, (count + 1) / (shuffles + 1).
    """

    distance: float
    balanced_error: float
    null_mean: float
    null_high: float
    p_value: float


def proxy_a_distance(
    source: np.ndarray,
    target: np.ndarray,
    *,
    source_groups: Sequence[Any] | None = None,
    target_groups: Sequence[Any] | None = None,
    folds: int = 5,
    n_permutations: int = 200,
    seed: int = 0,
) -> DomainGap:
    """Proxy A-distance (Ben-David et al. 2007) between two sets of features, cross-fitted.

    The classifier is a ridge-regularized linear discriminant: closed form, so that all shuffles are solved at once.

    Args:
        source, target: `(n, d)` and `(m, d)` features.
        source_groups, target_groups: items of one group (photograph, recording, document) stay together, in the folds
            and in the shuffles. Group names are read apart: a group belongs to one domain.
        folds: of the cross-fitting; at least this many groups are needed in each domain.
        n_permutations: shuffles of the domain labels (of whole groups).

    Raises:
        DataError: widths differ, values are not finite, or there are too few groups.
    """
    x, groups, domain = _stack(source, target, source_groups, target_groups)
    if min(np.bincount(domain.astype(int))) < folds:
        raise DataError(f"A domain has fewer than {folds} groups; the gap cannot be cross-fitted in {folds} folds.")
    rng = np.random.default_rng(seed)
    shuffled = np.stack([domain] + [rng.permutation(domain) for _ in range(n_permutations)], axis=1)
    fold_of = np.empty(len(domain), int)
    for value in (0, 1):  # stratified: each fold has its share of both domains
        members = rng.permutation(np.flatnonzero(domain == value))
        fold_of[members] = np.arange(len(members)) % folds
    labels = shuffled[groups]
    guesses = np.empty(labels.shape, bool)
    for fold in range(folds):
        test = fold_of[groups] == fold
        guesses[test] = _discriminate(x[~test], labels[~test], x[test])
    wrong = guesses != labels
    errors = np.array([(wrong & (labels == value)).sum(axis=0) / (labels == value).sum(axis=0) for value in (0, 1)])
    distances = 2 * (1 - 2 * errors.mean(axis=0))
    null = distances[1:]
    return DomainGap(
        distance=float(distances[0]),
        balanced_error=float(errors.mean(axis=0)[0]),
        null_mean=float(null.mean()),
        null_high=float(np.quantile(null, 0.95)),
        p_value=float(((null >= distances[0] - 1e-12).sum() + 1) / (n_permutations + 1)),
    )


def _stack(
    source: np.ndarray, target: np.ndarray, source_groups: Sequence[Any] | None, target_groups: Sequence[Any] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of both domains, the group number of each row, and the domain of each group."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise DataError(f"Expected two feature matrices of one width; found {source.shape} and {target.shape}.")
    numbers = []
    for x, groups in ((source, source_groups), (target, target_groups)):
        values = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        if len(values) != len(x) or not len(x) or not np.isfinite(x).all():
            raise DataError("A domain is empty, holds NaN or infinity, or has not one group per row.")
        numbers.append(values)
    n_source = int(numbers[0].max()) + 1
    domain = np.repeat([False, True], [n_source, int(numbers[1].max()) + 1])
    return np.vstack([source, target]), np.concatenate([numbers[0], numbers[1] + n_source]), domain


def _discriminate(train_x: np.ndarray, train_labels: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Guesses `(tests, shuffles)` of a linear discriminant whose covariance is shrunk half-way to the identity."""
    mean, deviation = train_x.mean(axis=0), np.maximum(train_x.std(axis=0), 1e-12)
    train_x, test_x = (train_x - mean) / deviation, (test_x - mean) / deviation
    positive = train_labels.astype(np.float64)
    share = positive / positive.sum(axis=0), (1 - positive) / (1 - positive).sum(axis=0)
    means = [train_x.T @ weights for weights in share]  # (d, shuffles)
    covariance = train_x.T @ train_x / len(train_x) + np.eye(train_x.shape[1])
    direction = np.linalg.solve(covariance, means[0] - means[1])
    # The threshold lies half-way between the domains' means, whatever their sizes.
    return test_x @ direction > ((means[0] + means[1]) / 2 * direction).sum(axis=0)
