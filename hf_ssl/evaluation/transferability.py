"""How good may features be, before anything is trained on them? Hints, each with what it would be by chance.

None of these decides: over hundreds of thousands of setups no such number wins everywhere (Agostinelli et al. 2022,
arXiv:2204.01403). The cross-validated probe beside them is the one to believe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_ssl.core.errors import DataError


@dataclass(frozen=True)
class LogMe:
    """Log evidence of a Bayesian linear model, per example, and its floor.

    Args:
        value: higher is better; compare equal numbers of examples only.
        floor: the same with shuffled labels.
    """

    value: float
    floor: float


def spectrum_decay(features: np.ndarray) -> float:
    """alpha of the power law `eigenvalue_i ~ i^-alpha` of the covariance (alpha-ReQ, Agrawal et al. 2022, NeurIPS).

    Near 1 for good representations; far above 1 few directions carry everything, far below 1 it is noise. Fitted by least
    squares on the logarithms of eigenvalues 5 to 95 % of the rank: the first and the last bend away.

    Raises:
        DataError: fewer than twenty examples or eight dimensions.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) < 20 or x.shape[1] < 8 or not np.isfinite(x).all():
        raise DataError(f"The decay of a spectrum needs 20 examples of 8 finite numbers or more; found {x.shape}.")
    values = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    values = values[values > values[0] * 1e-10]
    first, last = int(0.05 * len(values)), max(int(0.95 * len(values)), 4)
    ranks = np.arange(1, len(values) + 1)[first:last]
    return float(-np.polyfit(np.log(ranks), np.log(values[first:last]), 1)[0])


def logme(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> LogMe:
    """LogME (You et al. 2021, arXiv:2102.11005) of centered features, the mean over classes, with its floor.

    Raises:
        DataError: there are not more examples than dimensions (the evidence then explodes and says nothing), or one class.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels)
    if x.ndim != 2 or len(x) != len(y) or len(x) <= x.shape[1]:
        raise DataError(f"LogME needs more examples than dimensions; found {x.shape}.")
    if len(np.unique(y)) < 2:
        raise DataError("LogME needs two classes or more.")
    x = x - x.mean(0)
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    shuffled = np.random.default_rng(seed).permutation(y)
    found = [_evidence(left, values**2, one, x.shape) for one in (y, shuffled)]
    return LogMe(*found)


def _evidence(left: np.ndarray, squares: np.ndarray, labels: np.ndarray, shape: tuple[int, ...]) -> float:
    """Mean over classes of the maximized log evidence per example, by fixed-point iteration."""
    examples, width = shape
    total = []
    for value in np.unique(labels):
        target = (labels == value).astype(np.float64)
        along = (left.T @ target) ** 2
        rest = max(float(target @ target - along.sum()), 1e-12)
        alpha, beta = 1.0, 1.0
        for _ in range(50):
            shrunk = squares * beta / (alpha + squares * beta)
            gamma = shrunk.sum()
            size = (along * squares * beta**2 / (alpha + squares * beta) ** 2).sum()
            error = (along * (alpha / (alpha + squares * beta)) ** 2).sum() + rest
            before, alpha, beta = alpha / beta, gamma / max(size, 1e-12), (examples - gamma) / max(error, 1e-12)
            if abs(alpha / beta - before) <= 1e-4 * before:
                break
        size = (along * squares * beta**2 / (alpha + squares * beta) ** 2).sum()
        error = (along * (alpha / (alpha + squares * beta)) ** 2).sum() + rest
        evidence = width / 2 * np.log(alpha) + examples / 2 * np.log(beta) - beta / 2 * error - alpha / 2 * size
        evidence -= 0.5 * (np.log(alpha + squares * beta).sum() + (width - len(squares)) * np.log(alpha))
        total.append((evidence - examples / 2 * np.log(2 * np.pi)) / examples)
    return float(np.mean(total))
