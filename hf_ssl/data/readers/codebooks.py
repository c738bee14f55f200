"""What stands in and beside tables and is no example: lists of what labels are called, sums between rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.one_column import values_of
from hf_ssl.core.paths import stem
from hf_ssl.data.label_words import as_float
from hf_ssl.data.report import DataReport

MOST_ROWS, MOST_COLUMNS, FEWEST_TIMES = 100, 4, 3
"""Rows and columns of a codebook, and how many times as many rows the other tables have."""
_SAYS = frozenset(
    "names map mapping dict dictionary legend codebook codes id2label label2id metadata meta info config schema description stats summary vocab "
    "glossary key keys".split()
)
_MAY_STAND_BESIDE = frozenset(
    "label labels class classes category categories target targets tag tags name to id ids idx index column columns data".split()
)
_SUM = r"^\s*(?:(?:grand|sub)[ -]?totals?|totals?|sum|summe|zwischensumme|gesamt|sous-total|subtotales|somme)\b[^.!?]{0,30}$"


class Held(Protocol):
    """A table as it was read."""

    path: Path
    dataset: datasets.Dataset


Table = TypeVar("Table", bound=Held)


def without_codebooks(tables: list[Table], report: DataReport) -> list[Table]:
    """Tables without small ones beside them that say what labels or columns mean (`label_names.csv`): their rows are no examples.

    Args:
        tables: of one split.
        report: is warned, and gets their rows into the account of what is left out.
    """
    total = sum(len(one.dataset) for one in tables)
    found = []
    for one in tables:
        others = [other.dataset for other in tables if other is not one]
        small = FEWEST_TIMES * len(one.dataset) <= total - len(one.dataset) and _lists_values(one.dataset)
        if small and (_called_as_codebook(one.path) or _says_classes(one, others)):
            found.append(one)
    for one in found:
        count, name = len(one.dataset), one.path.name
        report.account("rows").found += count
        report.leave_out("rows", f"of {name}, which says what others mean", count, total, warn=False)
        report.warn(
            f"{name} is called as a list of what labels or columns mean, and holds every value once: its {count:,} rows are left out; if they are "
            "examples, rename it"
        )
    return [one for one in tables if not any(one is other for other in found)]


def _called_as_codebook(path: Path) -> bool:
    parts = [part for part in re.split(r"[^a-z0-9]+", stem(path).lower()) if part]
    return bool(set(parts) & _SAYS) and set(parts) <= _SAYS | _MAY_STAND_BESIDE


def _says_classes(one: Held, others: Sequence[datasets.Dataset]) -> bool:
    """Whether a table called `classes` or the like has a row of a few words for each label of another (`0,negative`), and no more."""
    parts = [part for part in re.split(r"[^a-z0-9]+", stem(one.path).lower()) if part]
    if not parts or not set(parts) <= _MAY_STAND_BESIDE or len(one.dataset) < 2:
        return False
    held = {
        name: {str(value) for value in values_of(one.dataset, name) if value is not None}
        for name in one.dataset.column_names
    }
    if any(len(value.split()) > 3 for values in held.values() for value in values):
        return False
    return any(
        {str(value) for value in values_of(other, name) if value is not None} == values
        for other in others
        for name, values in held.items()
        if name in other.column_names and isinstance(other.features[name], datasets.Value)
    )


def _lists_values(dataset: datasets.Dataset) -> bool:
    """Whether every value of a few columns of plain short values stands there once."""
    if not 0 < len(dataset) <= MOST_ROWS or len(dataset.column_names) > MOST_COLUMNS:
        return False
    for name, feature in dataset.features.items():
        if not isinstance(feature, datasets.Value):
            return False
        values = [str(value) for value in values_of(dataset, name) if value is not None]
        if len(set(values)) < len(values) or any(len(value.split()) > 8 or "/" in value for value in values):
            return False
    return True


def _lacks(column: pa.ChunkedArray, rows: Sequence[int]) -> bool:
    """Whether rows have nothing in a column, or a number, where nearly all others have something, or words."""
    inside = column.take(pa.array(rows)).to_pylist()
    filled = [value for value in column.to_pylist() if value is not None]
    numbers = sum(as_float(value) is not None for value in filled)
    if all(value is None for value in inside):
        return len(filled) >= 0.9 * (len(column) - len(rows))
    return all(value is not None and as_float(value) is not None for value in inside) and numbers <= len(
        rows
    ) + 0.05 * len(filled)


def sums_between(data: pa.Table, file: Path) -> str:
    """What to tell of rows in the middle of a table that sum up those above (`Subtotal pos,,30`); "": there are none.

    Args:
        data: all rows, as text.
        file: where they stand.
    """
    texts = [
        name for name, kind in zip(data.column_names, data.schema.types, strict=True) if pa.types.is_string(kind)
    ][:4]
    if data.num_columns < 2 or len(data) < 10:
        return ""
    held = {name: pc.match_substring_regex(data.column(name), _SUM, ignore_case=True).to_pylist() for name in texts}
    rows = [place for place in range(len(data)) if any(found[place] for found in held.values())]
    if len(rows) < 2 or len(rows) > 0.2 * len(data):
        return ""
    said = next(name for name, found in held.items() if found[rows[0]])
    others = [name for name in data.column_names if name != said and _lacks(data.column(name), rows)]
    if not others:
        return ""
    numbers = [row + 1 for row in rows]
    way = (
        f"csv_options={{'skiprows': {numbers}}} leaves them out"
        if len(rows) <= 20 and _lines(file) == len(data) + 1
        else "take them out of the file"
    )
    example = str(data.column(said)[rows[0]].as_py())[:40]
    return (
        f"{len(rows)} rows, such as {example!r} (row {rows[0]}), look like sums of those above, by what they have in {others[0]!r}, and are read as "
        f"rows: {way}"
    )


def _lines(file: Path) -> int:
    """Lines of a small file of text that are not empty; 0: it is packed or large, or some are."""
    if file.suffix.lower() == ".gz" or file.stat().st_size > 1 << 24:
        return 0
    lines = file.read_bytes().splitlines()
    return len(lines) if all(line.strip() for line in lines) else 0


def tell_uneven_classes(found: Sequence[tuple[str, datasets.Dataset]], column: str, report: DataReport) -> None:
    """A class per file where tables have different columns, so that no part of the data has more than one.

    Args:
        found: where each part comes from, and its rows.
        column: of what the files are called.
        report: is warned.
    """
    held = [set(values_of(dataset, column)) for _, dataset in found if column in dataset.column_names]
    if len(held) < len(found) or len(found) < 2 or any(len(one) > 1 for one in held):
        return
    names = sorted({str(name) for one in held for name in one})
    if len(names) > 1:
        report.warn(
            f"tables without a label are called {', '.join(names[:4])}, and their columns differ: label_column={column!r} if those are classes, "
            "folder_labels=False says that they are none"
        )
