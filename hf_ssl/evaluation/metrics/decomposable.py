"""Metrics that are functions of sums over test items.

Accuracy, F1, Matthews correlation, mean errors and span F1 all have this form: each test item contributes a row of
numbers, the rows are summed, and a formula turns the sums into the score. Writing them this way gives one definition
for the reported value *and* for resampling: a bootstrap of 2,000 resamples is one matrix product of resampling weights
with the rows (see `paired`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.metrics import speech
from hf_ssl.evaluation.metrics.spans import span_counts

if TYPE_CHECKING:
    from hf_ssl.evaluation.metrics import Answers

NOT_COUNTED = -100  # truth of a pixel that is not scored
Statistics = Callable[[Any, Any, np.ndarray | None], np.ndarray]


@dataclass(frozen=True)
class Additive:
    """One metric.

    Args:
        statistics: `(predictions, references, classes)` → float64 rows of shape `(items, k)`.
        finish: sums of shape `(..., k)` → scores of shape `(...)`.
        kind: what one prediction is: `"class"`, `"labels"` (multi-label row of 0/1), `"number"`, `"tags"` (span tags of
            a sentence), `"words"` (one class per word of a sentence) or `"pixels"` (one class per pixel of a picture).
        higher_is_better: `False` for errors.
    """

    statistics: Statistics
    finish: Callable[[np.ndarray], np.ndarray]
    kind: str
    higher_is_better: bool = True

    @property
    def by_class(self) -> bool:
        """Whether the columns of the rows belong to classes."""
        return self.kind in ("class", "words", "pixels")

    def rows(self, predictions: Answers, references: Answers, classes: np.ndarray | None = None) -> np.ndarray:
        """Per-item rows; `classes` must be shared by the two models that are to be compared."""
        if self.by_class and classes is None:
            classes = shared_classes(predictions, references)
        return self.statistics(predictions, references, classes)

    def __call__(self, predictions: Answers, references: Answers) -> float:
        rows = self.rows(predictions, references)
        if not len(rows):
            raise DataError("There are no test items to score.")
        return float(self.finish(rows.sum(axis=0)))


def shared_classes(*labels: Answers) -> np.ndarray:
    """Sorted classes that occur in any of the arrays, or lists of sentences."""
    return np.unique(np.concatenate([_flat(part) for part in labels]))


def _flat(labels: Answers) -> np.ndarray:
    ragged = not isinstance(labels, np.ndarray) or labels.dtype == object
    return np.concatenate([np.atleast_1d(row) for row in labels]) if ragged and len(labels) else np.ravel(labels)


def check_shapes(predictions: Answers, references: Answers, ndim: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of the same shape and the asked number of axes.

    Raises:
        DataError: names what was found and what is wanted.
    """
    predictions, references = np.asarray(predictions), np.asarray(references)
    if references.ndim != ndim or predictions.shape != references.shape:
        hint = " For multi-label targets use the multilabel_* metrics." if references.ndim > ndim else ""
        raise DataError(
            f"Expected predictions and references of equal shape, {what}; "
            f"found {predictions.shape} and {references.shape}.{hint}"
        )
    return predictions, references


def _class_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    """Shape `(n, 3 C)`: true positives, predicted and true occurrences, each per class."""
    predictions, references = check_shapes(predictions, references, 1, "one class per item")
    if classes is None:
        classes = shared_classes(predictions, references)
    predicted = (predictions[:, None] == classes).astype(np.float64)
    true = (references[:, None] == classes).astype(np.float64)
    return np.hstack([predicted * true, predicted, true])


def _label_rows(predictions: Answers, references: Answers, classes: np.ndarray | None = None) -> np.ndarray:
    """Shape `(n, 3 L)`, as `_class_rows`, from rows of zeros and ones."""
    predictions, references = check_shapes(predictions, references, 2, "one row of 0/1 labels per item")
    for name, values in (("predictions", predictions), ("references", references)):
        if not np.isin(values, (0, 1)).all():
            raise DataError(f"Multi-label {name} must be 0 or 1; threshold the scores first.")
    predicted, true = predictions.astype(np.float64), references.astype(np.float64)
    return np.hstack([predicted * true, predicted, true])


def _words(predictions: Answers, references: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All words' classes on both sides, and the number of the sentence of each."""
    lengths = [len(row) for row in references]
    if [len(row) for row in predictions] != lengths:
        raise DataError("Predictions and references must have one tag for every word of the same sentences.")
    return _flat(predictions), _flat(references), np.repeat(np.arange(len(lengths)), lengths)


def _word_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    """Shape `(sentences, 3 C)`, as `_class_rows`: a sentence is the item, because its words are not independent."""
    predicted, true, sentence = _words(predictions, references)
    words = _class_rows(predicted, true, classes)
    rows = np.zeros((len(references), words.shape[1]))
    np.add.at(rows, sentence, words)
    return rows


def _correct_word_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    predicted, true, sentence = _words(predictions, references)
    right = np.bincount(sentence, weights=predicted == true, minlength=len(references))
    return np.column_stack([right, np.bincount(sentence, minlength=len(references))]).astype(np.float64)


def _correct_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    predictions, references = check_shapes(predictions, references, 1, "one class per item")
    return np.column_stack([predictions == references, np.ones(len(references))]).astype(np.float64)


def _all_correct_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    predictions, references = check_shapes(predictions, references, 2, "one row of 0/1 labels per item")
    return np.column_stack([(predictions == references).all(axis=1), np.ones(len(references))]).astype(np.float64)


def _errors(predictions: Answers, references: Answers) -> np.ndarray:
    """Errors of shape `(n, targets)`, float64."""
    predictions, references = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    if predictions.shape != references.shape:
        raise DataError(
            f"Expected predictions and references of equal shape; found {predictions.shape} and {references.shape}."
        )
    if not (np.isfinite(predictions).all() and np.isfinite(references).all()):
        raise DataError("Predictions or references hold NaN or infinity; a regression score would be meaningless.")
    return (predictions - references).reshape(len(references), -1)


def _absolute_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    errors = _errors(predictions, references)
    return np.column_stack([np.abs(errors).sum(axis=1), np.full(len(errors), errors.shape[1], np.float64)])


def _observed_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    """Absolute error of what was observed (the truth is no NaN), and how much that is."""
    predictions, references = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    if predictions.shape != references.shape:
        raise DataError(
            f"Expected predictions and references of equal shape; found {predictions.shape} and {references.shape}."
        )
    there = ~np.isnan(references.reshape(len(references), -1))
    errors = np.abs(predictions - references).reshape(len(references), -1)
    if not np.isfinite(errors[there]).all():
        raise DataError("Predictions hold NaN or infinity; an error of them would be meaningless.")
    return np.column_stack([np.where(there, errors, 0.0).sum(axis=1), there.sum(axis=1)]).astype(np.float64)


def _squared_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    errors = _errors(predictions, references)
    return np.column_stack([(errors**2).sum(axis=1), np.full(len(errors), errors.shape[1], np.float64)])


def _moment_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    """Shape `(n, 5)`: one, prediction, truth, squared error, and the sum of both squares."""
    errors = _errors(*check_shapes(predictions, references, 1, "one grade per item"))[:, 0]
    predicted, true = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    return np.column_stack([np.ones(len(errors)), predicted, true, errors**2, predicted**2 + true**2])


def _pixel_rows(predictions: Answers, references: Answers, classes: np.ndarray | None) -> np.ndarray:
    """Shape `(pictures, 3 C)`, as `_class_rows`: a picture is the item. Pixels whose truth is -100 are not counted."""
    predictions, references = check_shapes(
        predictions, references, 3, "one class per pixel, (pictures, rows, columns)"
    )
    if classes is None:
        classes = shared_classes(predictions, references)
    rows = np.zeros((len(references), 3, len(classes)))
    for row, guess, truth in zip(rows, predictions, references, strict=True):
        guess, truth = (np.searchsorted(classes, part[truth != NOT_COUNTED]) for part in (guess, truth))
        for place, chosen in enumerate((truth[guess == truth], guess, truth)):
            row[place] = np.bincount(chosen, minlength=len(classes))
    return rows.reshape(len(rows), -1)


def _span_rows(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], classes: np.ndarray | None
) -> np.ndarray:
    """Shape `(sentences, 3)`: correct, predicted and true spans, the scheme read off the tags."""
    sentences = span_counts(predictions, references)
    return np.array([np.sum(list(counts.values()) or [[0, 0, 0]], axis=0) for counts in sentences], np.float64)


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _root_mean(sums: np.ndarray) -> np.ndarray:
    return np.sqrt(_mean(sums))


def _thirds(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = sums.shape[-1] // 3
    return sums[..., :width], sums[..., width : 2 * width], sums[..., 2 * width :]


def f1_per_class(sums: np.ndarray) -> np.ndarray:
    """F1 of each class from `(..., 3 C)` sums: 2 TP / (predicted + true), NaN for a class that never occurs."""
    correct, predicted, true = _thirds(sums)
    with np.errstate(invalid="ignore"):
        return 2 * correct / (predicted + true)


def _macro(sums: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur among predictions or references.

    A class that occurs in neither (possible in a resample, or for a rare label) is left out rather than counted as
    zero: scikit-learn's `zero_division=nan`. With single-label data this is its default macro-F1.
    """
    f1 = f1_per_class(sums)
    occurs = ~np.isnan(f1)
    count = occurs.sum(axis=-1)
    return np.where(count > 0, np.where(occurs, f1, 0.0).sum(axis=-1) / np.maximum(count, 1), 0.0)


def _macro_present(sums: np.ndarray) -> np.ndarray:
    """Mean over the classes that the references hold: a class that is only predicted costs the precision of the others, no more."""
    correct, predicted, true = _thirds(sums)
    there = true > 0
    f1 = np.where(there, 2 * correct / np.maximum(predicted + true, 1), 0.0)
    return f1.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)


def _micro(sums: np.ndarray) -> np.ndarray:
    """Pooled over classes; 0 when nothing is predicted and nothing is true."""
    correct, predicted, true = (part.sum(axis=-1) for part in _thirds(sums))
    return 2 * correct / np.maximum(predicted + true, 1)


def _weighted(sums: np.ndarray) -> np.ndarray:
    """Mean over classes, each weighted by its true occurrences; 0 when nothing is true."""
    true = _thirds(sums)[2]
    return (np.nan_to_num(f1_per_class(sums)) * true).sum(axis=-1) / np.maximum(true.sum(axis=-1), 1)


def _matthews(sums: np.ndarray) -> np.ndarray:
    """Multi-class Matthews correlation (Gorodkin 2004, eq. 8); 0 when one side is constant."""
    correct, predicted, true = _thirds(sums)
    total = true.sum(axis=-1)
    covariance = correct.sum(axis=-1) * total - (predicted * true).sum(axis=-1)
    spread = (total**2 - (predicted**2).sum(axis=-1)) * (total**2 - (true**2).sum(axis=-1))
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


def _overlap(sums: np.ndarray) -> np.ndarray:
    """Intersection over union, mean over the classes that occur among predictions or references; 0 where none does."""
    correct, predicted, true = _thirds(sums)
    union = predicted + true - correct
    occurs = union > 0
    share = np.where(occurs, correct / np.where(occurs, union, 1.0), 0.0)
    return share.sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1)


def _quadratic_kappa(sums: np.ndarray) -> np.ndarray:
    """1 - squared error over that of the same answers dealt out at random (Cohen 1968); 0 where both are constant."""
    count, predicted, true, wrong, squares = np.moveaxis(sums, -1, 0)
    by_chance = squares - 2 * predicted * true / np.maximum(count, 1)
    possible = by_chance > 1e-9 * np.maximum(squares, 1e-300)
    return np.where(possible, 1 - wrong / np.where(possible, by_chance, 1.0), 0.0)


DECOMPOSABLE: dict[str, Additive] = {
    "accuracy": Additive(_correct_rows, _mean, "class"),
    "f1_macro": Additive(_class_rows, _macro, "class"),
    "f1_macro_present": Additive(_class_rows, _macro_present, "class"),
    "f1_micro": Additive(_class_rows, _micro, "class"),
    "f1_weighted": Additive(_class_rows, _weighted, "class"),
    "matthews_correlation": Additive(_class_rows, _matthews, "class"),
    "multilabel_accuracy": Additive(_all_correct_rows, _mean, "labels"),
    "multilabel_f1_macro": Additive(_label_rows, _macro, "labels"),
    "multilabel_f1_micro": Additive(_label_rows, _micro, "labels"),
    "multilabel_f1_weighted": Additive(_label_rows, _weighted, "labels"),
    "mae": Additive(_absolute_rows, _mean, "number", higher_is_better=False),
    "observed_mae": Additive(_observed_rows, _mean, "number", higher_is_better=False),
    "rmse": Additive(_squared_rows, _root_mean, "number", higher_is_better=False),
    "quadratic_kappa": Additive(_moment_rows, _quadratic_kappa, "number"),
    "mean_iou": Additive(_pixel_rows, _overlap, "pixels"),
    "word_accuracy": Additive(_correct_word_rows, _mean, "words"),
    "word_f1_macro": Additive(_word_rows, _macro, "words"),
    "span_f1": Additive(_span_rows, _micro, "tags"),
    **{
        f"{name}{end}": Additive(
            partial(speech.error_rows, words=name == "wer", normalize=normalize),
            speech.rate,
            "text",
            higher_is_better=False,
        )
        for name in ("wer", "cer")
        for end, normalize in speech.NORMALIZERS.items()
    },
}


def precision_recall_f1(counts: Sequence[float]) -> tuple[float, float, float]:
    """From `[correct, predicted, true]`; each is 0 where its denominator is 0."""
    correct, predicted, true = counts
    return (
        correct / predicted if predicted else 0.0,
        correct / true if true else 0.0,
        2 * correct / (predicted + true) if predicted + true else 0.0,
    )
