"""Formulas for speech: edit distance, word and character error rate, equal error rate of verification."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError


def edit_distance(found: Sequence[Any], wanted: Sequence[Any]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein 1966).

    One row of the table at a time: deletions and substitutions are element-wise, and the insertions along the row are
    a running minimum.
    """
    numbers = {item: place for place, item in enumerate(dict.fromkeys([*found, *wanted]))}
    a = np.array([numbers[item] for item in found], dtype=np.int64)
    b = np.array([numbers[item] for item in wanted], dtype=np.int64)
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for place, item in enumerate(a, start=1):
        best = np.empty_like(row)
        best[0] = place
        best[1:] = np.minimum(row[:-1] + (b != item), row[1:] + 1)
        row = np.minimum.accumulate(best - steps) + steps
    return int(row[-1])


def plain(text: str) -> str:
    """Lower case, composed letters, single spaces, no punctuation: what error rates are usually counted on."""
    text = unicodedata.normalize("NFC", text).lower()
    kept = (c if unicodedata.category(c)[0] in "LNM" or c == "'" else " " for c in text)
    return " ".join("".join(kept).split())


def _error_rows(predictions: Any, references: Any, words: bool) -> np.ndarray:
    """`(items, 2)`: errors, and length of the reference; summed, their quotient is the corpus error rate."""
    if len(predictions) != len(references):
        raise DataError(f"Found {len(predictions)} transcripts for {len(references)} references.")
    rows = np.zeros((len(references), 2))
    for place, (found, wanted) in enumerate(zip(predictions, references, strict=True)):
        if not isinstance(found, str) or not isinstance(wanted, str):
            raise DataError("Error rates compare texts; predictions and references must be strings.")
        a, b = (text.split() if words else list(text) for text in (plain(found), plain(wanted)))
        rows[place] = edit_distance(a, b), len(b)
    return rows


def word_error_rows(predictions: Any, references: Any, classes: Any = None) -> np.ndarray:
    """Word errors and words, `(items, 2)`."""
    return _error_rows(predictions, references, words=True)


def character_error_rows(predictions: Any, references: Any, classes: Any = None) -> np.ndarray:
    """Character errors and characters (spaces between words count), `(items, 2)`."""
    return _error_rows(predictions, references, words=False)


def rate(sums: np.ndarray) -> np.ndarray:
    """Errors over length; NaN when all references are empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


def equal_error_rate(scores: Any, references: Any) -> float:
    """Rate at which as many different pairs are accepted as same ones are refused (verification).

    Args:
        scores: `(trials,)`, higher for more alike.
        references: `(trials,)`, 1 for a pair of the same identity, 0 for different ones.

    Returns:
        In [0, 1], interpolated between thresholds where the two rates cross; NaN with a warning when all trials are
        of one kind.
    """
    scores, references = np.asarray(scores, np.float64), np.asarray(references)
    if scores.shape != references.shape or scores.ndim != 1 or not len(scores):
        raise DataError(f"Expected one score per trial; found {scores.shape} and {references.shape}.")
    if not np.isfinite(scores).all() or not np.isin(references, (0, 1)).all():
        raise DataError("Scores must be finite, and references 0 (different) or 1 (same).")
    same = references == 1
    if same.all() or not same.any():
        warnings.warn("The equal error rate needs pairs of both kinds. The metric is reported as NaN.", stacklevel=2)
        return float("nan")
    order = np.argsort(scores, kind="stable")
    ordered, kinds = scores[order], same[order]
    last_of_tie = np.append(np.diff(ordered) != 0, True)
    # Threshold just above each distinct score: what lies at or below it is refused.
    refused = np.concatenate([[0.0], np.cumsum(kinds)[last_of_tie] / same.sum()])
    accepted = np.concatenate([[1.0], 1 - np.cumsum(~kinds)[last_of_tie] / (~same).sum()])
    gap = refused - accepted
    after = int(np.argmax(gap >= 0))
    if gap[after] == 0:
        return float(refused[after])
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(refused[before] + share * (refused[after] - refused[before]))


def trials(vectors: np.ndarray, identities: Any, limit: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of clips (a fixed random part when they are more than `limit`), and whether they match.

    Returns:
        `(trials,)` scores and `(trials,)` zeros and ones.
    """
    unit = np.asarray(vectors, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    names = np.unique(np.asarray(identities), return_inverse=True)[1]
    left, right = np.triu_indices(len(unit), 1)
    if len(left) > limit:
        chosen = np.sort(np.random.default_rng(0).choice(len(left), limit, replace=False))
        left, right = left[chosen], right[chosen]
    return (unit[left] * unit[right]).sum(1), (names[left] == names[right]).astype(int)
