"""Cross-validated probe scores on the labeled training split, and the difference of two checkpoints.

This is the signal watched during pretraining: it needs no validation or test data, and two checkpoints are scored on
identical folds, so that their difference is paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.core.threads import one_blas_thread
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.probes.probes import (
    PROBLEM_TYPES,
    check_problem,
    clean_features,
    fixed_c,
    knn_probe,
    linear_model,
    smallest_class,
    splitter,
)


@dataclass(frozen=True)
class ProbeScore:
    """Cross-validated score of one set of features.

    Args:
        scores: one score per fold and repeat, in a fixed order.
        n_train, n_test: mean sizes of the two sides of a fold.
        metric: name of the score.
        folds_id: digest of labels, folds and seed; only scores with the same one can be paired.
    """

    scores: np.ndarray
    n_train: float
    n_test: float
    metric: str
    folds_id: str

    @property
    def mean(self) -> float:
        return float(self.scores.mean())

    @property
    def standard_error(self) -> float:
        """Corrected for the overlap of training sets, as in `paired_difference`."""
        return corrected_standard_error(self.scores, self.n_train, self.n_test)


def corrected_standard_error(scores: np.ndarray, n_train: float, n_test: float) -> float:
    """Standard error of a mean over resampled train/test splits: sqrt((1 / J + n_test / n_train) * s^2).

    Folds share training data, so the usual s / sqrt(J) is far too small (Nadeau & Bengio 2003, "Inference for the
    generalization error", section 3.3). NaN for a single score.
    """
    if len(scores) < 2:
        return float("nan")
    return float(np.sqrt((1 / len(scores) + n_test / n_train) * np.var(scores, ddof=1)))


def paired_difference(a: ProbeScore, b: ProbeScore) -> tuple[float, float]:
    """Mean of b - a over identical folds, and its corrected standard error.

    Args:
        a: the earlier or base checkpoint.
        b: the later or adapted one.

    Raises:
        DataError: the two were not measured on the same labels, folds and seed.
    """
    if a.folds_id != b.folds_id or a.metric != b.metric:
        raise DataError(
            "These probe scores come from different labels, folds, seeds or metrics; they cannot be paired."
        )
    difference = b.scores - a.scores
    return float(difference.mean()), corrected_standard_error(difference, a.n_train, a.n_test)


PROBES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, str], np.ndarray]] = {
    "linear": lambda x, y, test, kind: linear_model("l2", fixed_c(x.shape[1]), kind).fit(x, y).predict(test),
    "knn": lambda x, y, test, kind: knn_probe(x, y, test, problem_type=kind).predictions,
}
"""Probes of `cross_validated_probe`: without selection, so that checkpoints are compared at one setting."""


def _folds(
    y: np.ndarray, groups: np.ndarray | None, problem_type: str, folds: int, repeats: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Train and test rows; a function of labels, groups and seed, never of the features."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    folds = min(folds, smallest_class(y, problem_type) if groups is None else len(np.unique(groups)))
    if folds < 2:
        raise DataError("Cross-validation needs at least 2 labeled examples of every class (or 2 groups).")
    splits = []
    for repeat in range(repeats):
        chosen = splitter(problem_type, folds, seed + repeat)
        if groups is not None:
            kind = StratifiedGroupKFold if problem_type == PROBLEM_TYPES[0] else GroupKFold
            chosen = kind(folds, shuffle=True, random_state=seed + repeat)
        splits += list(chosen.split(np.zeros((len(y), 1)), y, groups))
    return splits


@one_blas_thread()
def cross_validated_probe(
    x: np.ndarray,
    y: np.ndarray,
    *,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
    probe: str = "linear",
    metric: str | None = None,
    problem_type: str = "single_label_classification",
    groups: Sequence[Any] | None = None,
) -> ProbeScore:
    """Score of features on the labeled training split alone: at step 0 and along pretraining.

    The folds depend on labels, groups and seed only, so two checkpoints are scored on identical folds and can be
    compared with `paired_difference`. Rows are scaled to equal length and the penalty is `fixed_c`: fast,
    and on equal terms.

    Args:
        x: `(n, d)` features of the labeled training items.
        y: their labels, as in `linear_probe`.
        folds: cut to the size of the smallest class.
        probe: `"linear"` or `"knn"`.
        metric: a name in `evaluation.additive.DECOMPOSABLE`; by default macro-F1, or negative mean absolute error.
        groups: items of one group (speaker, patient, recording) stay on one side.
    """
    (x,) = clean_features(x)
    y = np.asarray(y)
    check_problem(problem_type, y, len(x))
    if probe not in PROBES:
        raise ConfigError(f"Unknown probe {probe!r}.{nearest(probe, PROBES)} Known: {', '.join(PROBES)}.")
    default = dict(zip(PROBLEM_TYPES, ("f1_macro", "multilabel_f1_macro", "mae"), strict=True))
    name = metric or default[problem_type]
    if name not in DECOMPOSABLE:
        raise ConfigError(
            f"Unknown probe metric {name!r}.{nearest(name, DECOMPOSABLE)} Known: {', '.join(DECOMPOSABLE)}."
        )
    sign = 1 if DECOMPOSABLE[name].higher_is_better else -1
    group_numbers = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    splits = _folds(y, group_numbers, problem_type, folds, repeats, seed)
    digest = hashlib.sha256(f"{probe} {y.tolist()}".encode())
    for _, test in splits:
        digest.update(test.tobytes())
    scores = [
        sign * DECOMPOSABLE[name](PROBES[probe](x[train], y[train], x[test], problem_type), y[test])
        for train, test in splits
    ]
    n_test = float(np.mean([len(test) for _, test in splits]))
    return ProbeScore(np.array(scores), len(y) - n_test, n_test, ("-" if sign < 0 else "") + name, digest.hexdigest())
