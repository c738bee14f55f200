"""Formulas for speech: word and character error rate under a named normalizer, equal error rate of verification."""

from __future__ import annotations

import functools
import unicodedata
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError, HfSslWarning, require

if TYPE_CHECKING:
    from hf_ssl.evaluation.metrics import Answers


def plain(text: str) -> str:
    """Lower case, composed letters, single spaces, no punctuation but apostrophes: works for every script."""
    text = unicodedata.normalize("NFC", text).lower()
    kept = (c if unicodedata.category(c)[0] in "LNM" or c == "'" else " " for c in text)
    return " ".join("".join(kept).split())


def unchanged(text: str) -> str:
    """The text as it is, but for space at its ends and doubled spaces."""
    return " ".join(text.split())


def basic(text: str) -> str:
    """Whisper's normalizer for every language, transformers' `BasicTextNormalizer`: no brackets, no symbols, lower case."""
    return unchanged(_basic_normalizer()(text))


@functools.cache
def _basic_normalizer() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer

    normalizer: Callable[[str], str] = BasicTextNormalizer()
    return normalizer


NORMALIZERS: dict[str, Callable[[str], str]] = {"": unchanged, "_plain": plain, "_basic": basic}
"""What a text goes through before errors are counted, by the end of the metric's name: `wer` changes nothing."""


def error_rows(
    predictions: Answers,
    references: Answers,
    classes: object = None,
    *,
    words: bool,
    normalize: Callable[[str], str] = unchanged,
) -> np.ndarray:
    """Errors, and length of the reference, `(items, 2)`; summed, their quotient is the error rate of the corpus.

    An error is an insertion, a deletion or a substitution (Levenshtein 1966) of a word, or of a character (spaces between
    words count).
    """
    Levenshtein = require("rapidfuzz.distance", "audio").Levenshtein
    if len(predictions) != len(references):
        raise DataError(f"Found {len(predictions)} transcripts for {len(references)} references.")
    rows = np.zeros((len(references), 2))
    for place, (found, wanted) in enumerate(zip(predictions, references, strict=True)):
        if not isinstance(found, str) or not isinstance(wanted, str):
            raise DataError("Error rates compare texts; predictions and references must be strings.")
        a, b = (text.split() if words else list(text) for text in (normalize(found), normalize(wanted)))
        rows[place] = Levenshtein.distance(a, b), len(b)
    return rows


def rate(sums: np.ndarray) -> np.ndarray:
    """Errors over length; NaN when all references are empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


def equal_error_rate(scores: Answers, references: Answers) -> float:
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
        warnings.warn(
            HfSslWarning("The equal error rate needs pairs of both kinds. The metric is reported as NaN."),
            stacklevel=2,
        )
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


def trials(vectors: np.ndarray, identities: Answers, limit: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of clips (a fixed random part when they are more than `limit`), and whether they match.

    Returns:
        `(trials,)` scores and `(trials,)` zeros and ones.
    """
    from sklearn.preprocessing import normalize

    unit = normalize(np.asarray(vectors, np.float64))
    names = np.unique(np.asarray(identities), return_inverse=True)[1]
    left, right = np.triu_indices(len(unit), 1)
    if len(left) > limit:
        chosen = np.sort(np.random.default_rng(0).choice(len(left), limit, replace=False))
        left, right = left[chosen], right[chosen]
    return (unit[left] * unit[right]).sum(1), (names[left] == names[right]).astype(int)
