"""Which columns are values: not those that count rows, name series, or say again when a row was."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.numbers import NotNumbers, read_numbers
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import LEFT_OUT, VALUES
from hf_ssl.modalities.timeseries.unused import HEAD, label_words

if TYPE_CHECKING:
    import pandas as pd

ROW_NUMBERS = ("index", "", "row", "row_number", "rownum", "no", "nr", "#", "level_0")
LIKE_NAMES = re.compile(r"(.*[_ ])?(id|ids|code|name|store|shop|sku|sensor|meter|station|device|machine|symbol|ticker|product|region|site|"
                        r"country|item|series|customer|household|building|room|channel|table|location|zip|post|postal)", re.IGNORECASE)  # fmt: skip
OF_ROWS = re.compile(r"(.*_)?(record|order|ticket|invoice|receipt|transaction|booking|barcode|ean|gtin|isbn|phone|telephone|hash|"
                     r"checksum|serial|uid|[a-z]{3,}_(no|nr|num|number))", re.IGNORECASE)  # fmt: skip
"""What numbers are called that name what a row is of; how many there are of something is called so, too."""
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[ .-]")


def value_columns(
    frame: pa.Table,
    not_values: Collection[str | None],
    stamps: np.ndarray,
    owner: np.ndarray,
    report: Notes,
    ignored: Collection[str] = (),
) -> list[str]:
    """The column called as values are, else every other one that is no row number, no name, and does not say the time again.

    Args:
        frame: the table.
        not_values: its columns that are something else.
        stamps: `(rows,)` datetime64[ns] or whole numbers.
        owner: `(rows,)` number of the series of each row.
        report: told what is left out.
        ignored: columns that the user leaves aside.
    """
    lower = {name.strip().lower(): name for name in reversed(frame.column_names)}
    not_values = {*not_values, *ignored}
    rest = [c for c in frame.column_names if c not in not_values and c.strip().lower() not in LEFT_OUT]
    for column in [c for c in rest if frame.column(c).null_count == len(frame) > 0]:
        rest.remove(column)
        report.decide(f"column {column!r} is empty: no values")
    usual = [lower[alias] for alias in VALUES if alias in lower and lower[alias] not in not_values]
    times = stamps.astype(np.int64)
    sorted_already = (
        owner[0] == owner[-1] and not owner.any() and bool((np.diff(times) >= 0).all()) if len(owner) else True
    )
    order = np.arange(len(times)) if sorted_already else np.lexsort((times, owner))
    if usual:
        others = [c for c in rest if c != usual[0] and _says_more(frame, c, stamps, owner, order)]
        if others:
            shown = ", ".join(_with_few(frame.column(c), c) for c in others[:5])
            report.warn(
                f"values are {usual[0]!r} alone; {shown} {'holds' if len(others) == 1 else 'hold'} numbers, too, not used: "
                f"target_columns={[usual[0], *others]} takes them as channels, ignore_columns={others} says that this is meant"
            )
        return usual[:1]
    kept, again, doubtful = [], [], []
    for column in rest:
        if column.startswith("Unnamed") or column.strip().lower() in ROW_NUMBERS or _counts_rows(frame.column(column)):
            report.warn(f"column {column!r} counts rows: no values (target_columns=[...] takes it all the same)")
        elif (named := _as_names(frame.column(column), column)) == "few":
            report.warn(
                f"column {column!r} holds numbers that look like names: no values (target_columns=[...] takes it, "
                f"item_column={column!r} tells series apart by it)"
            )
        elif named == "all":
            again.append((column, "is called as names are, and holds another whole number in nearly every row"))
        elif named == "some":
            doubtful.append(column)
            kept.append(column)
        elif why := _says_again(frame.column(column), column, stamps, owner, order):
            again.append((column, why))
        else:
            kept.append(column)
    if not kept:
        return [column for column, _ in again]
    if others := [column for column in kept if column not in doubtful]:
        for column in doubtful:
            report.warn(
                f"column {column!r} is called as names are, and is taken for values: target_columns={others[:5]} leaves it out, and with it they "
                "are said to be values"
            )
    for column, why in again:
        report.warn(f"column {column!r} {why}: no values (target_columns=[...] takes it all the same)")
    return kept


def _says_more(frame: pa.Table, name: str, stamps: np.ndarray, owner: np.ndarray, order: np.ndarray) -> bool:
    """Whether a column holds numbers that change, and do not count or name rows, or say the time again."""
    column = frame.column(name)
    if name.startswith("Unnamed") or name.strip().lower() in ROW_NUMBERS or not number_columns(frame, [name]):
        return False
    if not _many(column, 1) or _counts_rows(column):
        return False
    if label_words(column, name) is not None:
        return False  # told as labels
    return _as_names(column, name) in ("", "some") and not _says_again(column, name, stamps, owner, order)


def _many(column: pa.ChunkedArray, count: int) -> bool:
    """Whether a column holds more than so many different values; the first rows say so as a rule."""
    return any(len(pc.unique(part.drop_null())) > count for part in (column.slice(0, HEAD), column))


def _with_few(column: pa.ChunkedArray, name: str) -> str:
    """A column's name, with its values and how often each comes where they are few, as those of marks for quality are."""
    import pandas as pd

    if _many(column, 3):
        return repr(name)
    counts = pd.Series(column.to_pandas()).value_counts()
    return f"{name!r} ({', '.join(f'{value}: {count:,} times' for value, count in counts.items())})"


def _says_again(column: pa.ChunkedArray, name: str, stamps: np.ndarray, owner: np.ndarray, order: np.ndarray) -> str:
    """How a column of numbers says nothing but which row it is, or when; empty: it says more.

    Args:
        order: rows in order of series and time.
    """
    import pandas as pd

    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or is_text(column)):
        return ""
    said = ""
    for rows in (order[:200], order):  # most columns are told by the first rows
        some = pd.to_numeric(column.take(pa.array(rows)).to_pandas(), errors="coerce").to_numpy(np.float64)
        if not (said := _again(some, name, stamps[rows], owner[rows], rows is order)):
            break
    return said


def _again(numbers: np.ndarray, name: str, stamps: np.ndarray, owner: np.ndarray, all_rows: bool) -> str:
    """`_says_again` of rows in order of series and time; of the first alone, whatever may come of all."""
    within = owner[1:] == owner[:-1]
    steps = np.diff(numbers)[within]
    if len(numbers) < 4 or len(steps) < 3 or not np.isfinite(numbers).all() or not (numbers % 1 == 0).all():
        return ""
    if steps[0] != 0 and (steps == steps[0]).all():
        return f"goes on by {steps[0]:g} from row to row"
    if stamps.dtype.kind != "M" or np.isnat(stamps).any():
        return ""
    times = np.diff(stamps.astype(np.int64))[within].astype(np.float64)
    if steps.any() and times.any():
        longest = int(np.argmax(np.abs(times)))
        rate = steps[longest] / times[longest]
        if rate != 0 and np.allclose(steps, rate * times, rtol=1e-9, atol=0.5):
            return "is the time once more"
    return _part_of_time(numbers, name, stamps, all_rows)


def _part_of_time(numbers: np.ndarray, name: str, stamps: np.ndarray, all_rows: bool) -> str:
    """`year`, `month`, `hour` ... of the stamps: the whole column has to agree, and vary or be called so."""
    import pandas as pd

    parts: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
        "year": lambda t: t.year, "quarter": lambda t: t.quarter, "month": lambda t: t.month, "week": lambda t: t.isocalendar().week.to_numpy(),
        "day": lambda t: t.day, "weekday": lambda t: t.day_of_week, "weekday from 1": lambda t: t.day_of_week + 1,
        "weekday from Sunday": lambda t: (t.day_of_week + 1) % 7, "day of the year": lambda t: t.day_of_year, "hour": lambda t: t.hour,
        "minute": lambda t: t.minute,
    }  # fmt: skip
    for part, of_times in parts.items():
        called = part in name.strip().lower()
        for rows in (slice(100), slice(None)):  # most columns are told by the first rows
            times = pd.DatetimeIndex(stamps[rows])
            if not np.array_equal(numbers[rows], np.asarray(of_times(times), np.float64)):
                break
        else:
            if called or not all_rows or len(np.unique(numbers)) > 1:
                return f"is the {part.split(' from')[0]} of the time stamps"
    return ""


def _counts_rows(column: pa.ChunkedArray) -> bool:
    """Whether a column is 0, 1, 2 … or 1, 2, 3 … in the order of the rows."""
    if not pa.types.is_integer(column.type):
        head = column.slice(0, 50).to_pylist()
        if not all(isinstance(value, str) and value.isdigit() for value in head):
            return False
    import pandas as pd

    numbers = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(np.float64)
    return len(numbers) > 2 and numbers[0] in (0, 1) and bool((np.diff(numbers) == 1).all())


def _as_names(column: pa.ChunkedArray, name: str) -> str:
    """How many names the whole numbers of a column that is called as names are would be: `few`, `some`, `all` (nearly another in
    every row); empty: they are no names."""
    import pandas as pd

    words = _WORDS.sub("_", name.strip())
    if not (LIKE_NAMES.fullmatch(words) or OF_ROWS.fullmatch(words)):
        return ""
    numbers = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(np.float64)
    known = numbers[~np.isnan(numbers)]
    if not len(known) or not (known % 1 == 0).all():
        return ""
    several = len(np.unique(known))
    if several <= max(1, min(1000, len(known) // 5)):
        return "few" if LIKE_NAMES.fullmatch(words) or several == 1 else ""
    return "all" if len(known) >= 20 and several >= 0.98 * len(known) else "some"


def number_columns(frame: pa.Table, columns: Sequence[str], changing: bool = False) -> list[str]:
    """Columns whose first values can be read as numbers; `changing`: without those of one number alone, if others are left."""
    found = []
    for name in columns:
        column = frame.column(name)
        first = [value for value in column.slice(0, 200).to_pylist() if value is not None]
        if not first or pa.types.is_nested(column.type) or pa.types.is_temporal(column.type):
            continue
        try:
            read_numbers([str(value) for value in first], name)
        except NotNumbers:
            continue
        found.append(name)
    several = [name for name in found if len(frame.column(name).unique()) > 1] if changing else []
    return several or found


def is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))
