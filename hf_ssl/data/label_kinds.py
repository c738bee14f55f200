"""Kinds of labels: what each says of itself, so that splits, checks and counts need not ask for a kind by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

REGRESSION_BINS = 5


def _no_strata(labels: Sequence[Any]) -> np.ndarray:
    return np.zeros(len(labels), dtype=np.int64)


def _by_name(labels: Sequence[Any]) -> np.ndarray:
    return np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)[1]


def _by_rarest(labels: Sequence[Any]) -> np.ndarray:
    counts = Counter(name for row in labels for name in row)
    return _by_name([min(row, key=lambda name: (counts[name], name), default="") for row in labels])


def _by_quintile(labels: Sequence[Any]) -> np.ndarray:
    if len(labels) < 10 * REGRESSION_BINS:
        return _no_strata(labels)
    amounts = np.asarray(labels, dtype=np.float64)
    return np.digitize(amounts, np.quantile(amounts, np.linspace(0, 1, REGRESSION_BINS + 1)[1:-1]))


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Args:
        holds: what the label of a row is: one `"name"`, several `"names"`, or None where there are no names.
        strata: number of the stratum of each row, int64 `(rows,)`; a split spreads the strata evenly.
        split: how that is told.
        needs_two: a single name in training is nothing to learn.
        whole: rows of one label stay on one side of a split, because others are met later.
        unseen: what a name is that only validation or test has: an `"error"`, a `"warning"`, or `"meant"`.
        problem_type: what a probe on one vector per row solves; None: no one vector answers.
        shapes_input: it decides how the input itself is read (words, recordings as a whole), so it is asked before reading.
        schemed: labels are tags of spans, of which several spellings (IOB1, BILOU) exist.
        pictures: a label is a picture, whose values are classes.
    """

    holds: Literal["name", "names"] | None = None
    strata: Callable[[Sequence[Any]], np.ndarray] = _no_strata
    split: str = "at random"
    needs_two: bool = False
    whole: bool = False
    unseen: Literal["error", "warning", "meant"] = "warning"
    problem_type: str | None = None
    shapes_input: bool = False
    schemed: bool = False
    pictures: bool = False

    @property
    def in_classes(self) -> bool:
        """Whether a row has one class out of those that training knows, so that labels per class can be counted."""
        return self.problem_type == "single_label_classification"

    def names_in(self, labels: Sequence[Any]) -> list[str]:
        """All names, as often as they occur."""
        if self.holds is None:
            return []
        return list(labels) if self.holds == "name" else [name for row in labels for name in row]


KINDS = {
    "class": LabelKind(
        "name", _by_name, "by class", needs_two=True, unseen="error", problem_type="single_label_classification"
    ),
    "multilabel": LabelKind("names", _by_rarest, "by rarest label", problem_type="multi_label_classification"),
    "regression": LabelKind(strata=_by_quintile, split="by quintile", problem_type="regression"),
    "tags": LabelKind("names", needs_two=True, shapes_input=True, schemed=True),
    "mask": LabelKind(pictures=True),
    "identity": LabelKind("name", split="in whole identities", needs_two=True, whole=True, unseen="meant"),
    "transcript": LabelKind(shapes_input=True),
}
"""`mask`: a picture of class numbers. `identity`: who it is; validation and test hold identities that training never saw.
`transcript`: what is said."""


def kind_of(name: str | None) -> LabelKind:
    """What a kind says of itself; of what is not written in a row (the future of a series, nothing), the plain kind."""
    return KINDS.get(str(name), LabelKind())
