"""Which column tells series apart: two of them together, the file's name, none because it counts rows."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.calendar_words import COLUMNS, plain
from hf_ssl.modalities.timeseries.table import FILE, VALUES, Columns

_PARTS = {alias for part in COLUMNS.values() for alias in part} | {
    "weekday", "dow", "day of week", "shift", "half", "am pm", "ampm", "am/pm", "meridiem", "ms", "msec", "millis", "millisecond",
    "milliseconds", "us", "microsecond", "microseconds", "schicht", "halbjahr", "semestre",
}  # fmt: skip
"""What columns are called that say when within a day, hour, second or year a row was."""


def with_joined_name(
    dataset: datasets.Dataset, columns: Columns, taken: Collection[str | None]
) -> tuple[datasets.Dataset, Columns]:
    """`item_column="store,family"`: a series for every store and family.

    Args:
        taken: columns that are something else: time stamps, values, labels.

    Raises:
        DataError: one of them is among the names.
    """
    there = dataset.column_names
    if columns.name is None or columns.name in there or "," not in columns.name:
        return dataset, columns
    parts = list(dict.fromkeys(named(part.strip(), there) for part in columns.name.split(",")))
    if None in parts:
        return dataset, columns
    if other := next((part for part in parts if part in taken), None):
        rest = ",".join(str(part) for part in parts if part not in taken)
        raise DataError(
            f"item_column={columns.name!r}, but {other!r} holds time stamps, values or labels and tells no series apart. "
            + (f"Name the others alone: item_column={rest!r}." if rest else "Leave item_column out.")
        )
    if len(parts) == 1:
        return dataset, replace(columns, name=parts[0])
    joined = [" ".join(map(str, row)) for row in zip(*(dataset[str(part)] for part in parts), strict=True)]
    kept = dataset.remove_columns([str(part) for part in parts])
    return kept.add_column(columns.name, joined), columns


def named(name: str, there: Sequence[str]) -> str | None:
    return next((other for other in there if other.strip().lower() == name.strip().lower()), None)


def names_rows(dataset: datasets.Dataset, name: str, report: Notes) -> bool:
    """Whether a column called `id` counts the rows of a table, and tells no series apart."""
    head = dataset[:1000][name]
    if len(head) < 3 or len(set(map(str, head))) < len(head):
        return False
    column = dataset.with_format("arrow")[:].column(name)
    if pc.count_distinct(column, mode="all").as_py() < len(column):
        return False
    report.warn(
        f"column {name!r} has another value in every row: it counts rows and names no series (item_column={name!r} takes it all the same)"
    )
    return True


def tell_apart(frame: pa.Table, stamps: np.ndarray, known: set[str | None], name: str | None = None) -> str:
    """What to say when stamps repeat: the column (or two) with which none does; `name`: one that was taken and is not enough."""
    import pandas as pd

    ticks = stamps.astype(np.int64)
    rows = pd.DataFrame({"tick": ticks})
    if name is not None:
        rows["name"] = pd.factorize(frame.column(name).to_pandas())[0]
    if rows.duplicated().mean() < 0.1:
        return ""
    known = known | {column for column in frame.column_names if column.strip().lower() in VALUES}
    if name is not None:
        return _two_tell_apart(frame, ticks, known - {name}, name)
    found = []
    for column in frame.column_names:
        kind = frame.column(column).type
        if column in known or pa.types.is_floating(kind) or pa.types.is_nested(kind):
            continue
        codes = pd.factorize(frame.column(column).to_pandas())[0]
        several = len(np.unique(codes))
        if 2 <= several <= len(ticks) // 2:
            pairs = pd.DataFrame({"a": codes, "b": ticks})
            if pairs.duplicated().mean() < 0.02:
                found.append((several, column))
    if not found:
        return _two_tell_apart(frame, ticks, known)
    several, column = min(found, key=lambda pair: (_is_part(frame, pair[1]), *pair))
    if several in (24, 48, 96) and stamps.dtype.kind == "M" and bool((ticks % (86_400 * 10**9) == 0).all()):
        return (
            f"Column {column!r} ({several} values a day) seems to number parts of the day: write those as times (13:30) and name "
            "their column, time_column=..."
        )
    if _is_part(frame, column):
        return _write_in_one([column])
    return f"Column {column!r} ({several:,} values) tells them apart: item_column={column!r}."


def _is_part(frame: pa.Table, column: str) -> bool:
    """Whether a column is called as parts of the time are, or holds AM and PM."""
    if plain(column) in _PARTS:
        return True
    head = {str(value).strip().lower().replace(".", "") for value in frame.column(column).slice(0, 50).to_pylist()}
    return head <= {"am", "pm", "a", "p"} and len(head) == 2


def _write_in_one(columns: Sequence[str]) -> str:
    names = " and ".join(map(repr, columns))
    return (
        f"{names} may be part of the time: then write the whole moment into one column (2024-05-01 13:30:05) and name it, "
        f"timestamp_column=...; only if every value of it is a series of its own: item_column={','.join(columns)!r}."
    )


def tell_files(frame: pa.Table, name: str | None, stamps: np.ndarray, report: Notes) -> None:
    """Several files without a column of names: parts of one series (years), or a series each (sensors)?

    Raises:
        DataError: their times overlap, so that they cannot be parts of one.
    """
    import pandas as pd

    if name is not None or FILE not in frame.column_names:
        return
    files = frame.column(FILE).to_pandas()
    ticks = pd.Series(stamps.astype(np.int64))
    spans = ticks.groupby(files.to_numpy()).agg(["min", "max"]).sort_values("min")
    if len(spans) < 2:
        return
    overlap = (spans["min"].to_numpy()[1:] <= spans["max"].to_numpy()[:-1]).any()
    if overlap:
        raise DataError(
            f"{len(spans):,} files hold values of the same times and no column names their series. A series each, "
            f"named by its file: item_column={FILE!r}."
        )
    report.warn(
        f"{len(spans):,} files follow each other in time and are joined to one series; if each is a series of its own: item_column={FILE!r}"
    )


def _two_tell_apart(frame: pa.Table, ticks: np.ndarray, known: set[str | None], name: str | None = None) -> str:
    """Two columns that tell series apart together: store and family.

    Args:
        name: one of them; None: any.
    """
    import pandas as pd

    codes: dict[str, np.ndarray] = {}
    for column in frame.column_names:
        kind = frame.column(column).type
        if column not in known and not pa.types.is_floating(kind) and not pa.types.is_nested(kind):
            own = pd.factorize(frame.column(column).to_pandas())[0]
            if 2 <= len(np.unique(own)) <= max(2, len(ticks) // 20):
                codes[column] = own
    for one, two in itertools.combinations(list(codes)[:8], 2):
        if name not in (None, one, two):
            continue
        pairs = pd.DataFrame({"a": codes[one], "b": codes[two], "c": ticks})
        if pairs.duplicated().mean() < 0.02:
            if parts := [column for column in (one, two) if _is_part(frame, column)]:
                return _write_in_one(parts)
            several = len(pairs[["a", "b"]].drop_duplicates())
            return f"Columns {one!r} and {two!r} ({several:,} pairs) tell them apart: item_column='{one},{two}'."
    return ""


def without_items(names: np.ndarray, skip: Sequence[str], report: Notes) -> np.ndarray:
    """Which rows are of other series than those of `skip_items`.

    Raises:
        DataError: there is no such series, or none beside them.
    """
    there = list(dict.fromkeys(map(str, names.tolist())))
    for name in skip:
        if name not in there:
            raise DataError(
                f"skip_items={name!r}, but the series are {', '.join(there[:20])} (item_column names their column).{nearest(name, there)}"
            )
    kept = ~np.isin(names, list(skip))
    if not kept.any():
        raise DataError(f"skip_items={list(skip)} leaves no series.")
    report.leave_out("rows", "series named in skip_items", int((~kept).sum()), len(kept), warn=False)
    return kept
