"""Labels: which kind they are, how they are named, how they are stored. The kind is never guessed from a dtype."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsFloat

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.numbers import NotNumbers, read_numbers
from hf_ssl.data.label_doubts import refuse_amounts, what_to_do, without_unit
from hf_ssl.data.label_kinds import KINDS
from hf_ssl.data.label_separators import enclosed, in_brackets, other_separator, separator_of
from hf_ssl.data.label_words import as_float
from hf_ssl.data.report import DataReport
from hf_ssl.data.written_lists import are_lists, only_one, read_list, tell_lists

if TYPE_CHECKING:
    from datasets.features.features import FeatureType

_UNSEEN = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")
"""Marks that nobody sees, and that would make one class two."""


@dataclass(frozen=True)
class Encoding:
    """How labels are stored.

    Attributes:
        kind: one of `KINDS`.
        names: class or tag names in the order of their numbers; empty for regression and transcripts.
    """

    kind: str
    names: tuple[str, ...] = ()

    @property
    def feature(self) -> Any:
        if KINDS[self.kind].holds == "name":
            return datasets.ClassLabel(names=list(self.names))
        if self.kind == "tags":
            return datasets.List(datasets.ClassLabel(names=list(self.names)))
        if self.kind == "mask":
            return datasets.Image(decode=False)
        if self.kind == "transcript":
            return datasets.Value("string")
        value = datasets.Value("float32")
        return datasets.List(value) if self.kind == "multilabel" else value

    def encode(self, labels: Iterable[Any]) -> list[Any]:
        """Named labels to numbers; None stays None."""
        number = {name: place for place, name in enumerate(self.names)}
        if KINDS[self.kind].holds is None:
            return list(labels)
        if KINDS[self.kind].holds == "name":
            return [None if label is None else number[label] for label in labels]
        if self.kind == "tags":
            return [None if label is None else [number[tag] for tag in label] for label in labels]
        return [None if label is None else self._multi_hot(label, number) for label in labels]

    def _multi_hot(self, label: Sequence[str], number: dict[str, int]) -> list[float]:
        row = [0.0] * len(self.names)
        for name in label:
            row[number[name]] = 1.0
        return row


def raw_labels(column: Iterable[Any], feature: FeatureType) -> tuple[list[Any], list[str] | None]:
    """A label column with None for "no label" and with names in place of `ClassLabel` numbers.

    Returns:
        The labels, and the names that a `ClassLabel` lists in their order (None for every other feature).
    """
    inner = feature.feature if isinstance(feature, (datasets.List, datasets.LargeList)) else feature
    if not isinstance(inner, datasets.ClassLabel):
        return [None if _is_missing(value) else value for value in column], None
    names = list(inner.names)
    if inner is feature:
        # -1 is the Hub's way to say that a row (of a test or an "unsupervised" split) has no label.
        return [None if value is None or value < 0 else names[value] for value in column], names
    return [None if row is None else [names[value] for value in row] for row in column], names


def resolve_kind(labels: Iterable[Any], given: str | None, report: DataReport) -> str:
    """The kind of label, by a rule that is printed.

    `label_kind` when it is given. Else strings, integers and booleans are classes, and lists are several labels per
    row. Numbers with a fraction can be ratings or class ids: that has to be said.

    Raises:
        DataError: the kind is open, or no such kind exists.
    """
    if given is not None:
        if given not in KINDS:
            raise DataError(f"label_kind={given!r} does not exist.{nearest(given, KINDS)} Known: {', '.join(KINDS)}.")
        report.decide(f"label_kind={given}, as given")
        return given
    present = [label for label in labels if label is not None]
    if all(isinstance(label, (list, tuple, np.ndarray)) for label in present):
        report.decide("label_kind=multilabel, because the labels are lists")
        tell_lists(present, report)
        return "multilabel"
    if present and all(isinstance(label, dict) and {"bytes", "path"} <= label.keys() for label in present):
        report.decide("label_kind=mask, because the labels are pictures")
        return "mask"
    if any(isinstance(label, (float, np.floating)) for label in present):
        raise DataError(
            "The labels are floating-point numbers, which leaves open what they mean: say label_kind='regression' for "
            "amounts, or label_kind='class' for class numbers (pandas turns 0, 1 into 0.0, 1.0 beside empty cells)."
        )
    if present and all(isinstance(label, (datetime.date, datetime.time)) for label in present):
        raise DataError(
            f"The labels are dates or times, such as {present[0]}; which column is the label? label_column=..."
        )
    if not all(isinstance(label, (str, int, bool, np.integer, np.bool_)) for label in present):
        kinds = sorted({type(label).__name__ for label in present})
        raise DataError(
            f"Labels of type {', '.join(kinds)} are not understood; use text, whole numbers or lists of text."
        )
    texts = {str(label) for label in present}
    if texts and all(re.match(r"\[\s*[\[{(]", text.strip()) for text in texts):
        raise DataError(
            f"The labels are lists of lists, such as {min(texts)[:60]!r}: spans of characters? For those write "
            f"words and tags: columns tokens and tags."
        )
    if all(as_float(text) is not None for text in texts) and not all(_as_int(text) is not None for text in texts):
        raise DataError(
            "The labels are numbers with a fraction: say label_kind='regression' for amounts, or label_kind='class'."
        )
    if len(texts) > 50 and len(texts) > 0.3 * len(present) and all(_as_int(text) is not None for text in texts):
        raise DataError(
            f"The labels are {len(texts):,} different whole numbers in {len(present):,} rows, such as {min(texts)}: say "
            "label_kind='regression' for amounts, or label_kind='class' for class numbers."
        )
    if (lists := are_lists([str(label) for label in present])) and len(lists) >= 0.5 * len(present):
        raise DataError(
            f"{len(lists):,} of {len(present):,} labels are lists written as text, such as {lists[0][:60]!r}: say label_kind='multilabel' for "
            "several labels per row, or label_kind='class' if each text is a class of its own."
        )
    refuse_amounts(present, report)
    report.decide("label_kind=class, because the labels are text or whole numbers")
    if any("|" in text for text in texts):
        report.warn("labels contain '|'; if that separates several labels of one row, say label_kind='multilabel'")
    elif enclosed(texts):
        example = max(texts, key=len)
        report.warn(
            f"labels such as {example[:60]!r} are several in brackets, and each text is taken for a class of its own: label_kind='multilabel' "
            "reads them as several labels of a row, label_kind='class' says that this is meant"
        )
    elif mark := separator_of(texts):
        example = next(text for text in sorted(texts) if mark in text)
        report.warn(
            f"labels such as {example!r} hold others with {mark!r} between them; if they are several labels of one row: "
            f"label_kind='multilabel' and label_separator={mark!r}{other_separator(texts, mark)}"
        )
    return "class"


def named_labels(
    labels: Sequence[Any],
    kind: str,
    separator: str | None = None,
    report: DataReport | None = None,
    column: str = "label",
) -> list[Any]:
    """Labels as names: `str`, list of `str` (several labels, tags), or `float` (regression).

    Args:
        labels: raw labels, None where there is none.
        kind: one of `KINDS`.
        separator: between several labels in one text (`|` when not given).
        report: warned about numbers in another than Python's spelling.
        column: what their column is called.

    Raises:
        DataError: a label does not fit the kind.
    """
    if KINDS[kind].holds == "name":
        return [None if label is None else _name(label, kind) for label in map(only_one, labels)]
    if kind == "mask":
        return list(labels)
    if kind == "transcript":
        return [None if label is None else " ".join(str(label).split()) for label in labels]
    if kind == "regression":
        return _amounts(labels, report, column)
    if kind == "multilabel":
        lists = set(are_lists([label for label in labels if isinstance(label, str)]))
        labels = [read_list(label) if isinstance(label, str) and label in lists else label for label in labels]
        texts = [label for label in labels if isinstance(label, str)]
        if separator is None and enclosed(texts):
            labels = [in_brackets(label) if isinstance(label, str) else label for label in labels]
        _check_separator(labels, separator)
    rows = [None if label is None else _as_list(label, kind, separator) for label in labels]
    if kind == "multilabel" and report is not None and separator:
        names = {name for row in rows if row for name in row if isinstance(name, str)}
        if told := other_separator(names, separator):
            report.warn(f"{len(names):,} labels are separated by {separator!r}{told}")
    if kind == "multilabel" and _are_multi_hot(rows):
        rows = [None if row is None else [place for place, value in enumerate(row) if value] for row in rows]
    return [None if row is None else [_name(label, kind) for label in row] for row in rows]


def encoding_of(labels: Iterable[Any], kind: str, given_names: Sequence[list[str] | None]) -> Encoding:
    """Names and their order, from the data: sorted, numbers by their value, the tag `O` first.

    A `ClassLabel` that all parts share keeps its own order.
    """
    if KINDS[kind].holds is None:
        return Encoding(kind)
    present = [label for label in labels if label is not None]
    found = set(KINDS[kind].names_in(present))
    listed = [names for names in given_names if names is not None]
    if listed and len(listed) == len(given_names) and all(names == listed[0] for names in listed):
        if found <= set(listed[0]):
            return Encoding(kind, tuple(listed[0]))
    return Encoding(kind, tuple(sort_names(found, kind)))


def sort_names(names: Iterable[str], kind: str = "class") -> list[str]:
    """Stable order of class names: by value when all are numbers, else alphabetical; the tag `O` comes first."""
    found = sorted(set(names))
    if found and all(as_float(name) is not None for name in found):
        return sorted(found, key=lambda name: (as_float(name), name))
    return sorted(found, key=lambda name: (name != "O", name)) if kind == "tags" else found


def _is_missing(value: object) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def _name(label: object, kind: str) -> str:
    if isinstance(label, (float, np.floating)):
        if not float(label).is_integer():
            raise DataError(
                f"label_kind={kind!r}, but a label is {float(label)}; for amounts say label_kind='regression'."
            )
        label = int(label)
    if isinstance(label, decimal.Decimal) and label == label.to_integral_value():
        label = int(label)
    return _UNSEEN.sub("", str(label)).strip()


def _amounts(labels: Sequence[Any], report: DataReport | None, column: str) -> list[float | None]:
    if any(isinstance(label, str) for label in labels):
        try:
            texts, unit = [None if label is None else str(label) for label in labels], ""
            try:
                values, note = read_numbers(texts, column)
            except NotNumbers:
                texts, unit = without_unit(texts)
                if not unit:
                    raise
                values, note = read_numbers(texts, column)
        except NotNumbers as error:
            words = [label for label in labels if isinstance(label, str) and as_float(label) is None]
            what = what_to_do([label for label in labels if label is not None], words)
            raise NotNumbers(f"{error}. {what}", error.row, error.word) from error
        if unit:
            note = "; ".join(filter(None, (note, f"column {column!r}: {unit!r} is left away, as if it were the unit")))
        if note and report is not None:
            report.warn(note)
        gone = Counter(
            str(label).strip()
            for label, value in zip(labels, values, strict=True)
            if label is not None and math.isnan(value)
        )
        if gone and report is not None:
            said = list(gone)[:5]
            report.warn(
                f"{sum(gone.values()):,} of {len(labels):,} labels are {' or '.join(map(repr, said))}: taken for no amount, so that their "
                f"rows are unlabeled; na_values={said} says so"
            )
        amounts: list[float | None] = [None if math.isnan(value) else float(value) for value in values]
    else:
        odd = next((label for label in labels if isinstance(label, (list, tuple, dict))), None)
        if odd is not None:
            raise DataError(f"label_kind='regression', but a label is {odd!r}, which is not a finite number.")
        amounts = [None if label is None else _amount(label) for label in labels]
    wrong = next((value for value in amounts if value is not None and not math.isfinite(value)), None)
    if wrong is not None:
        raise DataError(f"label_kind='regression', but a label is {wrong!r}, which is not a finite number.")
    return amounts


def _amount(label: SupportsFloat) -> float:
    try:
        return float(label)
    except (TypeError, ValueError):
        raise DataError(
            f"label_kind='regression' needs numbers, and a label is {str(label)[:40]!r} ({type(label).__name__}). Write numbers into that "
            "column, such as days or seconds, or name another: label_column=..."
        ) from None


def _check_separator(labels: Sequence[Any], given: str | None) -> None:
    texts = [label for label in labels if isinstance(label, str)]
    if given is not None or not texts or any("|" in text for text in texts):
        return
    for mark in (";", ","):
        if sum(mark in text for text in texts) >= 0.1 * len(texts):
            example = next(text for text in texts if mark in text)
            raise DataError(
                f"label_kind='multilabel', but labels such as {example!r} hold no '|' between them. Give what separates them: "
                f"label_separator={mark!r}."
            )


def _as_list(label: object, kind: str, given: str | None = None) -> list[Any]:
    if isinstance(label, str):
        separator = (given or "|") if kind == "multilabel" else None
        return [part.strip() for part in label.split(separator) if part.strip()]
    if isinstance(label, (list, tuple, np.ndarray)):
        return list(label)
    if kind == "multilabel":
        return [label]
    raise DataError(f"label_kind='tags' needs one list of tags per row, found {type(label).__name__}.")


def _are_multi_hot(rows: Sequence[list[Any] | None]) -> bool:
    """Rows of zeros and ones of one length, where a list of class ids would have to repeat an id or use floats."""
    present = [row for row in rows if row is not None]
    if len({len(row) for row in present}) != 1 or not all(_is_bit(value) for row in present for value in row):
        return False
    return any(isinstance(value, (float, bool, np.bool_, np.floating)) for row in present for value in row) or any(
        len(set(row)) < len(row) for row in present
    )


def _is_bit(value: object) -> bool:
    return not isinstance(value, str) and value in (0, 1)


def _as_int(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
