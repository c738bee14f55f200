"""Are the features still alive? Cheap numbers that show collapse and drift while pretraining runs.

Everything is numpy in float64 on a feature matrix of shape `(examples, dimensions)`. Several of these numbers depend
on the number of examples, so `health` caps the rows and `collapsed` compares only reports of equal size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError

MAX_EXAMPLES = 1000
MIN_SPREAD = 0.01
"""Features are constant when `feature_spread` is below this: all pairs have cosine similarity above about .9999.
Healthy but anisotropic encoders (mean-pooled speech) reach .2, isotropic features 1."""
MIN_SPREAD_OF_START = 0.1
"""… or when it fell to this share of the start checkpoint's."""
MIN_RANK = 3.0
MIN_RANK_SHARE = 0.02
"""Dimensions collapsed when the effective rank is below 3 or 2 % of its bound (half the bound, where that is less)."""
MIN_RANK_OF_START = 0.25
"""… or when it fell to this share of the start checkpoint's."""


def _matrix(features: np.ndarray, name: str = "features") -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[0] < 2 or features.shape[1] < 1:
        raise DataError(f"Health needs {name} of shape (2 or more examples, dimensions); found {features.shape}.")
    return features


def _unit_rows(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def feature_std(features: np.ndarray) -> float:
    """Mean over dimensions of the standard deviation of L2-normalized features.

    It is 1 / sqrt(dimensions) for isotropic features and 0 for constant ones (SimSiam, Chen & He 2021, section 4.1).
    """
    return float(_unit_rows(_matrix(features)).std(axis=0).mean())


def effective_rank(features: np.ndarray) -> float:
    """exp of the entropy of the normalized singular values (RankMe, Garrido et al. 2023, eq. 1), of centered features.

    Centring differs from the paper: a common offset would halve the value without any loss of information. Bounded by
    min(examples - 1, dimensions) and growing with the number of examples: compare equal numbers only. 0 for constant
    features.
    """
    features = _matrix(features)
    centered = features - features.mean(axis=0)
    scale = np.abs(features).max()
    values = np.linalg.svd(centered / scale, compute_uv=False) if scale > 0 else np.zeros(1)
    values = values[values > 1e-12 * max(centered.shape)]  # what is left of constant features is rounding error
    if not len(values):
        return 0.0
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def alignment(features: np.ndarray, positives: np.ndarray) -> float:
    """Mean squared distance of positive pairs on the unit sphere (Wang & Isola 2020, alpha = 2); 0 is best."""
    features, positives = _matrix(features), _matrix(positives, "positives")
    if features.shape != positives.shape:
        raise DataError(f"Each example needs one positive; found {features.shape} and {positives.shape}.")
    return float(((_unit_rows(features) - _unit_rows(positives)) ** 2).sum(axis=1).mean())


def uniformity(features: np.ndarray, t: float = 2.0) -> float:
    """log of the mean of exp(-t * squared distance) over distinct pairs on the unit sphere (Wang & Isola 2020).

    0 for constant features; about -2 t for features spread evenly in many dimensions.
    """
    unit = _unit_rows(_matrix(features))
    squared = np.clip(2 - 2 * (unit @ unit.T), 0, 4)
    return float(np.log(np.exp(-t * squared[np.triu_indices(len(unit), 1)]).mean()))


def cosine_drift(features: np.ndarray, start_features: np.ndarray) -> float:
    """Mean of 1 - cosine between the features now and at the start, example by example; 0 means unchanged."""
    features, start = _same_examples(features, start_features)
    if features.shape[1] != start.shape[1]:
        raise DataError(f"Cosine drift needs equal dimensions; found {features.shape[1]} and {start.shape[1]}.")
    return float(1 - (_unit_rows(features) * _unit_rows(start)).sum(axis=1).mean())


def linear_cka(features: np.ndarray, other: np.ndarray) -> float:
    """Linear centered kernel alignment (Kornblith et al. 2019, eq. 5, linear kernels); 1 is equal up to rotation.

    Blind to rotation and overall scale, unlike `cosine_drift`. Biased upwards when dimensions exceed examples. NaN
    when one side is constant.
    """
    features, other = _same_examples(features, other)
    a, b = features - features.mean(axis=0), other - other.mean(axis=0)
    norm = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(b.T @ a) ** 2 / norm) if norm > 0 else float("nan")


def _same_examples(features: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, other = _matrix(features), _matrix(other, "start features")
    if len(features) != len(other):
        raise DataError(f"Drift compares the same examples; found {len(features)} now and {len(other)} at the start.")
    return features, other


def health(
    features: np.ndarray, start_features: np.ndarray | None = None, positives: np.ndarray | None = None
) -> dict[str, float]:
    """All numbers at once, on the first `MAX_EXAMPLES` rows (give a shuffled, fixed set of examples).

    Args:
        features: `(examples, dimensions)`.
        start_features: features of the *same* examples from the start checkpoint; adds the drift numbers.
        positives: features of another view of the same examples; adds `alignment`.

    Returns:
        `examples`, `dimensions`, `nonfinite` (share of values that are NaN or infinite), `feature_std`,
        `feature_spread` (`feature_std` times sqrt(dimensions): 1 is isotropic), `effective_rank`,
        `effective_rank_bound`, `uniformity`, and when asked `cosine_drift`, `linear_cka`, `alignment`. With any value
        not finite, the measures are NaN: nothing raises, so that the training loop can report it.
    """
    features = _matrix(features)[:MAX_EXAMPLES]
    examples, dimensions = features.shape
    measures: dict[str, Any] = {
        "feature_std": lambda: feature_std(features),
        "feature_spread": lambda: feature_std(features) * np.sqrt(dimensions),
        "effective_rank": lambda: effective_rank(features),
        "uniformity": lambda: uniformity(features),
    }
    finite = np.isfinite(features)
    usable = bool(finite.all())
    if start_features is not None:
        start = _matrix(start_features, "start features")[:MAX_EXAMPLES]
        usable &= bool(np.isfinite(start).all())
        measures["cosine_drift"] = lambda: cosine_drift(features, start)
        measures["linear_cka"] = lambda: linear_cka(features, start)
    if positives is not None:
        views = _matrix(positives, "positives")[:MAX_EXAMPLES]
        usable &= bool(np.isfinite(views).all())
        measures["alignment"] = lambda: alignment(features, views)
    report = {
        "examples": float(examples),
        "dimensions": float(dimensions),
        "nonfinite": float(1 - finite.mean()),
        "effective_rank_bound": float(min(examples - 1, dimensions)),
    }
    return report | {name: float(measure()) if usable else float("nan") for name, measure in measures.items()}


def collapsed(report: Mapping[str, float], start_report: Mapping[str, float] | None = None) -> str | None:
    """Why the features count as collapsed, or `None`.

    Three failures are told apart: values that are not finite, constant features (all examples look the same), and
    dimensional collapse (examples differ along a few directions only). The absolute thresholds are meant never to fire
    on a healthy encoder; the comparison with the start checkpoint catches the rest. A start that is itself hardly above
    the bar for the rank (random weights on pictures that look alike: a masked autoencoder passes through rank 2 while it
    learns) is only compared with.

    Args:
        report: from `health`.
        start_report: from `health` on the same examples with the start checkpoint.

    Raises:
        DataError: the two reports were made from different numbers of examples.
    """
    if report["nonfinite"] > 0:
        return f"{report['nonfinite']:.1%} of the feature values are NaN or infinite."
    spread, rank, bound = (report[name] for name in ("feature_spread", "effective_rank", "effective_rank_bound"))
    if spread < MIN_SPREAD:
        return f"Features are constant: their spread is {spread:.4f}, where evenly spread features have 1."
    least = min(max(MIN_RANK, MIN_RANK_SHARE * bound), 0.5 * bound + 1e-9)
    poor_start = start_report is not None and start_report["effective_rank"] < 2 * least
    if rank < least and not poor_start:
        return f"Dimensions collapsed: effective rank {rank:.1f} of at most {bound:.0f}."
    if start_report is None or start_report["nonfinite"] > 0:
        return None
    if start_report["examples"] != report["examples"]:
        raise DataError(
            f"Collapse compares reports on the same examples; found {report['examples']:.0f} now and "
            f"{start_report['examples']:.0f} at the start."
        )
    if spread < MIN_SPREAD_OF_START * start_report["feature_spread"]:
        return f"Feature spread fell from {start_report['feature_spread']:.3f} at the start to {spread:.3f}."
    if rank < MIN_RANK_OF_START * start_report["effective_rank"]:
        return f"Effective rank fell from {start_report['effective_rank']:.1f} at the start to {rank:.1f}."
    return None
