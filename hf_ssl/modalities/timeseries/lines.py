"""Lines of numbers without a header, a series each: the `.tsv` of the UCR archive (label first), csv files like it (first, last or none)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from hf_ssl.core.paths import suffix

Position = Literal["first", "last", "none"]
MISSING = frozenset({"?", "", "NaN"})


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def fields_of(line: str, file: Path) -> list[str]:
    """The values of a line: between tabs in `.tsv`, blanks in `.txt`; a `.csv` may have semicolons or tabs for its commas."""
    if suffix(file) == ".csv":
        return line.split(next((mark for mark in ("\t", ";") if mark in line), ","))
    return line.split("\t" if suffix(file) == ".tsv" else None)


def are_places(fields: Sequence[str]) -> bool:
    """Whether a first line counts columns (0, 1, 2 ... or 1, 2, 3 ...), as programs write for a header that nobody gave."""
    if len(fields) < 8 or not all(field.strip().isdigit() for field in fields):
        return False
    numbers = [int(field) for field in fields]
    return numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def label_position(rows: Sequence[Sequence[str]]) -> tuple[Position, str]:
    """Which column of lines of numbers is the label, by what is in the outer two, and what the user should be told ("": beyond doubt).

    Args:
        rows: fields of every line.

    Raises:
        ValueError: both may be; with the option for each.
    """
    width = max(map(len, rows))
    first, second, last = (_column(rows, place) for place in (0, 1, -1))
    whole = {"first": _whole(first), "last": _whole(last)}
    several = {"first": len(np.unique(first)), "last": len(np.unique(last))}
    few = {name: 1 < count <= max(2, len(rows) // 2) for name, count in several.items()}
    shown = {"first": f"the first of {width} columns", "last": f"the last of {width} columns"}
    if not whole["first"] and not whole["last"]:
        return "none", (
            f"lines of {width} numbers without a header: neither the first nor the last column holds whole numbers, as classes are: every "
            "number is taken for a value, and there are no labels. label_position='first' or 'last' says where the label is"
        )
    if whole["first"] and whole["last"]:
        if few["first"] == few["last"] and (few["first"] or several["first"] > 1 or several["last"] > 1):
            both = " and ".join(f"{shown[name]} ({_sample(col)})" for name, col in (("first", first), ("last", last)))
            raise ValueError(
                f"lines of numbers without a header: {both} hold whole numbers: which is the label? label_position='first' or 'last', "
                "or 'none' if all are values"
            )
        position: Position = "last" if few["last"] else "first"
        sure = False
    else:
        position = "first" if whole["first"] else "last"
        sure = position == "first" and (len(rows) < 4 or few["first"]) and not _whole(second)
        if position == "last" and several["last"] == 1 and len(rows) > 1 and _ends_alike(rows):
            return "none", (
                f"lines of {width} numbers without a header, whose ends are all {last[0]:g}: taken for values, and there are no labels. "
                "label_position='last' says that the last column is the label, label_position='first' that the first is"
            )
    if sure:
        return position, ""
    other = "last" if position == "first" else "first"
    column = first if position == "first" else last
    return position, (
        f"lines of numbers without a header: {shown[position]} ({_sample(column)}) is taken for the label. label_position={other!r} takes "
        f"the {other}, label_position='none' takes all for values, label_position={position!r} says that this is right"
    )


def _column(rows: Sequence[Sequence[str]], place: int) -> np.ndarray:
    fields = (row[place].strip() if len(row) > abs(place) else "" for row in rows)
    return np.array([np.nan if text in MISSING or not is_number(text) else float(text) for text in fields])


def _whole(column: np.ndarray) -> bool:
    """Whether a column holds a whole number in every line."""
    return bool(np.isfinite(column).all() and (column % 1 == 0).all())


def _ends_alike(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the last value is the one before it nearly everywhere, as where series are filled up."""
    return float((_column(rows, -1) == _column(rows, -2)).mean()) > 0.5


def _sample(column: np.ndarray) -> str:
    different = np.unique(column)
    return f"{', '.join(f'{value:g}' for value in different[:5])}{' ...' if len(different) > 5 else ''}"
