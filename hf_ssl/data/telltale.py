"""Properties of files that say the class: one class in gray and the others in color, other sizes, lengths or kinds of file.

A model may learn such a property instead of what is in the pictures or sounds ("Clever Hans"; Lapuschkin et al. 2019, "Unmasking Clever Hans
predictors and assessing what machines really learn"), and what is measured does not hold where all files are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hf_ssl.data.columns import each_value
from hf_ssl.data.report import DataReport
from hf_ssl.data.rows import Rows

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

FEWEST = 20
"""Rows of train that share a property, at the least."""
PURE, WHOLE = 0.95, 0.9
"""Rows with the property that are of the class, and rows of the class that have it."""


def tell_traits(train: Rows, modality: Modality, report: DataReport) -> None:
    """Warn where a class of train is known by a property of its files.

    Args:
        train: rows whose labels are names of classes.
        modality: gives `traits` of each value.
        report: is warned, once for a property.
    """
    columns: dict[str, list[str | None]] = {}
    for row, traits in enumerate(_traits(train, modality)):
        for name, value in traits.items():
            columns.setdefault(name, [None] * len(train))[row] = value
    for name, values in columns.items():
        found = _known_by(values, train.labels)
        if not found:
            continue
        value, label, with_it, of_class = found[0]
        more = f" (and {len(found) - 1} more by theirs)" if len(found) > 1 else ""
        way = "channels=1 reads all pictures as gray" if name == "color" else "make all files in one way"
        report.warn(
            f"class {label!r} is known by the {name} of its files{more}: {with_it:,} of {of_class:,} rows of train have {value}, and hardly any "
            "row of another class has. A model may learn that instead of what the files show, and then fails where files are made otherwise: "
            f"{way}, unless files will differ like that in use, too"
        )


def _traits(train: Rows, modality: Modality) -> Iterator[Mapping[str, str]]:
    there = train.dataset.column_names
    if modality.column not in there:
        return
    paths = list(train.dataset["path"][:]) if "path" in there else [None] * len(train)
    for value, path in zip(each_value(train.dataset, modality.column), paths, strict=True):
        traits = modality.traits(value)
        if not traits:  # a kind of data that has none
            return
        yield {**traits, "kind": f".{path.rpartition('.')[2].lower()}"} if path else traits


def _known_by(values: Sequence[str | None], labels: Sequence[object]) -> list[tuple[str, object, int, int]]:
    """Value, class, rows of the class with it and rows of the class, of each class that a value tells from the others."""
    pairs = Counter(zip(values, labels, strict=True))
    rows, classes = Counter(values), Counter(labels)
    return [
        (value, label, count, classes[label])
        for (value, label), count in pairs.items()
        if value is not None and FEWEST <= count < len(labels) and count >= max(PURE * rows[value], WHOLE * classes[label])
        and classes[label] < len(labels)
    ]  # fmt: skip
