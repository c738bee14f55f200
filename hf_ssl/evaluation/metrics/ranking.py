"""Metrics that are not sums over items: ranking, correlation and calibration.

All return NaN with a warning, never a made-up number, when the data leave the metric undefined (one class only, a
constant column); see each function.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError, HfSslWarning
from hf_ssl.evaluation.metrics.speech import equal_error_rate

if TYPE_CHECKING:
    from hf_ssl.evaluation.metrics import Answers


def _undefined(message: str) -> float:
    warnings.warn(HfSslWarning(f"{message} The metric is reported as NaN."), stacklevel=4)
    return float("nan")


def _scores_and_targets(scores: Answers, references: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Scores and 0/1 targets, both `(n, columns)`: binary has one column, multi-class one against the rest."""
    scores, references = np.asarray(scores, np.float64), np.asarray(references)
    if len(scores) != len(references) or not len(references):
        raise DataError(
            f"Expected as many scores as references, at least one; found {len(scores)}, {len(references)}."
        )
    if not np.isfinite(scores).all():
        raise DataError("The scores hold NaN or infinity.")
    if references.ndim == 2:
        if scores.shape != references.shape or not np.isin(references, (0, 1)).all():
            raise DataError(
                f"Multi-label references must be 0/1 rows shaped like the scores; found {references.shape} "
                f"references and {scores.shape} scores."
            )
        return scores, references.astype(bool)
    if references.ndim != 1 or scores.ndim > 2:
        raise DataError(f"Cannot rank {scores.shape} scores against {references.shape} references.")
    if not np.issubdtype(references.dtype, np.integer) or references.min() < 0:
        raise DataError("References must be class numbers 0, 1, 2, … that index the columns of the scores.")
    columns = 2 if scores.ndim == 1 else scores.shape[1]
    if references.max() >= columns:
        raise DataError(f"Found class {references.max()} but scores for {columns} classes only.")
    if columns == 2:  # the score of class 1 says everything
        return (scores if scores.ndim == 1 else scores[:, 1]).reshape(-1, 1), references.reshape(-1, 1) == 1
    return scores, references[:, None] == np.arange(columns)


def _mean_over_columns(
    scores: Answers,
    references: Answers,
    score: Callable[[np.ndarray, np.ndarray], float],
    needs_negatives: bool,
    name: str,
) -> float:
    scores, targets = _scores_and_targets(scores, references)
    defined = np.asarray(targets.any(axis=0))
    if needs_negatives:
        defined &= ~targets.all(axis=0)
    if not defined.any():
        return _undefined(f"{name} needs examples of more than one class; the references hold only one.")
    if not defined.all():
        warnings.warn(
            HfSslWarning(
                f"{name} averages {defined.sum()} of {len(defined)} classes: the others have no examples to rank."
            ),
            stacklevel=3,
        )
    return float(np.mean([score(scores[:, column], targets[:, column]) for column in np.flatnonzero(defined)]))


def roc_auc(scores: Answers, references: Answers) -> float:
    """Area under the ROC curve: binary, multi-class (mean of one-vs-rest) or multi-label (mean over labels).

    Args:
        scores: `(n,)` scores of class 1, or `(n, classes)`. Only the order within a column matters, so for two classes
            and multi-label logits and probabilities are the same; for more classes pass probabilities.
        references: `(n,)` class numbers, or `(n, labels)` zeros and ones.

    Returns:
        Classes without positives, or without negatives, are left out with a warning; NaN when none is left.
    """
    from sklearn.metrics import roc_auc_score

    def area(scores: np.ndarray, positive: np.ndarray) -> float:
        return float(roc_auc_score(positive, scores))

    return _mean_over_columns(scores, references, area, True, "roc_auc")


def average_precision(scores: Answers, references: Answers) -> float:
    """Mean average precision over classes or labels (macro mAP); inputs as in `roc_auc`.

    Classes without positives are left out of the mean with a warning; NaN when none is left.
    """
    from sklearn.metrics import average_precision_score

    def precision(scores: np.ndarray, positive: np.ndarray) -> float:
        return float(average_precision_score(positive, scores))

    return _mean_over_columns(scores, references, precision, False, "average_precision")


def _pair_of_columns(predictions: Answers, references: Answers) -> tuple[np.ndarray, np.ndarray]:
    predictions, references = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    if predictions.shape != references.shape or references.ndim != 1:
        raise DataError(f"Expected two equal columns; found {predictions.shape} and {references.shape}.")
    if not (np.isfinite(predictions).all() and np.isfinite(references).all()):
        raise DataError("Predictions or references hold NaN or infinity.")
    return predictions, references


def pearson(predictions: Answers, references: Answers) -> float:
    """Pearson correlation of two `(n,)` columns; NaN with a warning when one is constant or n < 2."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predictions, references)


def spearman(predictions: Answers, references: Answers) -> float:
    """Spearman rank correlation (ties get their mean rank); NaN as in `pearson`."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predictions, references)


def _correlation(of: Callable[..., Any], predictions: Answers, references: Answers) -> float:
    predictions, references = _pair_of_columns(predictions, references)
    if len(references) < 2 or np.ptp(predictions) == 0 or np.ptp(references) == 0:
        return _undefined("Correlation needs two columns that both vary; one of them is constant.")
    return float(of(predictions, references).statistic)


def calibration_error(scores: Answers, references: Answers, bins: int = 15) -> float:
    """Expected calibration error of the top label (Guo et al. 2017, eq. 3): 15 equal-width bins of confidence.

    Args:
        scores: probabilities, `(n, classes)` with rows that sum to 1, or `(n,)` for class 1 of two.
        references: `(n,)` class numbers.
        bins: bin b holds confidences in (b / bins, (b + 1) / bins].

    Raises:
        DataError: the scores are logits, or otherwise not probabilities.
    """
    scores, references = np.asarray(scores, np.float64), np.asarray(references)
    if scores.ndim == 1:
        scores = np.column_stack([1 - scores, scores])
    if references.shape != scores.shape[:1] or not len(references):
        raise DataError(f"Expected one class per row of scores; found {references.shape} and {scores.shape}.")
    if not (scores >= 0).all() or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise DataError("Calibration needs probabilities that sum to 1 in each row; apply softmax to logits first.")
    confidence = scores.max(axis=1)
    correct = scores.argmax(axis=1) == references
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(references))


SCORES: dict[str, Callable[[Any, Any], float]] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "pearson": pearson,
    "spearman": spearman,
    "calibration_error": calibration_error,
    "eer": equal_error_rate,
}
"""By name; the first argument is scores, for `pearson` and `spearman` predictions."""
