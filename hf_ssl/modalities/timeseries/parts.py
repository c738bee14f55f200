"""Time stamps whose parts stand in columns of their own: year and month, year and day of the year, day and hour and minute."""

from __future__ import annotations

from collections.abc import Collection

import datasets
import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.calendar_words import COLUMNS, MONTHS, place_among, plain
from hf_ssl.modalities.timeseries.table import STAMPS, Columns

RANGES = {
    "year": (1678, 2261),
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (1, 53),
    "day": (1, 31),
    "day of the year": (1, 366),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 59),
}
"""What the numbers of a part may be: a column called `min` with 72 in it is no minute."""
_LETTERED = {
    "quarter": r"(?i)^(?:q|t|k|qtr|quartal|trim|trimestre)?[ ._-]?([1-4])(?:q|t|k|\.? ?quartal|(?:er|e|o)? ?trim(?:estre)?)?$",
    "week": r"(?i)^(?:w|kw|cw|wk|s|sem|v|week|woche|semaine|semana|settimana|uke|uge|vecka)?[ ._-]*(\d{1,2})(?:\. ?(?:kw|woche))?$",
}
"""How the number of a quarter or of a week is written beside its letter (Q1, T1, KW 01, 1er trimestre)."""
SECONDS = {"hour": 3600, "minute": 60, "second": 1}


def part_of(dataset: datasets.Dataset, part: str, taken: Collection[str | None] = ()) -> str | None:
    """The column with this part of a time stamp, by name and by what is in it; None: there is none."""
    there = {plain(name): name for name in reversed(dataset.column_names)}
    for alias in COLUMNS[part]:
        column = there.get(alias)
        if column is not None and column not in taken and numbers_of(dataset, column, part) is not None:
            return column
    return None


def numbers_of(dataset: datasets.Dataset, column: str, part: str) -> np.ndarray | None:
    """The whole numbers of a part; None: some are none, or too small or large for it. Months may be names."""
    import pandas as pd

    values = dataset.select_columns([column]).with_format("pandas")[:][column]
    if part == "month" and not pd.api.types.is_numeric_dtype(values):
        words = values.astype(str)
        values = words.map({word: str(place_among(MONTHS, word) or word) for word in words.unique()})
    if part in _LETTERED and not pd.api.types.is_numeric_dtype(values):
        values = values.astype(str).str.strip().str.replace(_LETTERED[part], r"\1", regex=True)
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_string_dtype(values)):
        return None
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    low, high = RANGES[part]
    fits = len(numbers) > 0 and bool(np.isfinite(numbers).all()) and (numbers % 1 == 0).all()
    return numbers.astype(np.int64) if fits and low <= numbers.min() and numbers.max() <= high else None


def with_stamp(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """Year, month, day (and hour, minute) columns joined to one time stamp, where there is no other.

    Raises:
        DataError: they make no dates.
    """
    taken = {columns.name, columns.label, *columns.targets, *columns.past, *columns.known, *columns.static}
    year = part_of(dataset, "year", taken)
    if columns.stamp is not None or year is None:
        return dataset
    _refuse_sums(dataset, taken)
    parts = {part: part_of(dataset, part, {*taken, year}) for part in ("quarter", "week", "month", "day")}
    whole = next((part for part in ("quarter", "week") if parts[part] is not None), None)
    aliases = {alias for names in COLUMNS.values() for alias in names} - ({"week"} if parts["week"] is None else set())
    if [name for name in dataset.column_names if name.strip().lower() in STAMPS and plain(name) not in aliases]:
        return dataset
    if whole is not None and parts["month"] is None and parts["day"] is None:
        return _with_part_of_year(dataset, year, str(parts[whole]), whole, report)
    found = {"year": year}
    for part in ("month", "day", "hour", "minute", "second"):
        if (column := part_of(dataset, part, {*taken, *found.values()})) is None:
            break
        found[part] = column
    of_year = part_of(dataset, "day of the year", taken)
    if "month" not in found and of_year is None:
        return dataset
    if "month" not in found or (of_year is not None and "day" not in found):
        hour = part_of(dataset, "hour", taken)
        found = {"year": year, "day of the year": str(of_year)} | ({} if hour is None else {"hour": hour})
    report.warn(f"time stamps are made of the columns {', '.join(found.values())}")
    kept = dataset.remove_columns(list(found.values()))
    if not kept.column_names:
        raise DataError(f"The table has no column beside {', '.join(found.values())}.")
    return kept.add_column(
        "timestamp", _joined({part: numbers_of(dataset, name, part) for part, name in found.items()})
    )


def _refuse_sums(dataset: datasets.Dataset, taken: Collection[str | None]) -> None:
    """A thirteenth month, or a fifth quarter, is a sum of the year as a rule.

    Raises:
        DataError: names the column and the rows to leave out.
    """
    there = {plain(name): name for name in reversed(dataset.column_names) if name not in taken}
    for part, last in (("month", 12), ("quarter", 4)):
        for column in [there[alias] for alias in COLUMNS[part] if alias in there]:
            held = {str(value).strip() for value in dataset.unique(column) if value is not None}
            if (
                held >= {str(number) for number in range(1, last + 1)}
                and (others := sorted(held - {str(n) for n in range(1, last + 1)}))[:1]
            ):
                if len(others) == 1 and (others[0] == str(last + 1) or others[0].isalpha()):
                    raise DataError(
                        f"Column {column!r} holds {others[0]!r} beside the {part}s 1 to {last}: sums of the years? Leave those rows out."
                    )


def _joined(parts: dict[str, np.ndarray | None]) -> np.ndarray:
    import pandas as pd

    frame = {part: numbers for part, numbers in parts.items() if numbers is not None}
    if "day of the year" in frame:
        days = pd.Series(pd.to_datetime(frame["year"].astype(str), format="%Y"))
        days += pd.to_timedelta(frame["day of the year"] - 1, unit="D")
    else:
        day = frame.get("day", np.ones(len(frame["year"]), np.int64))
        try:
            days = pd.to_datetime(pd.DataFrame({"year": frame["year"], "month": frame["month"], "day": day}))
        except ValueError as error:
            raise DataError(
                f"The columns {', '.join(frame)} make no dates: {str(error).splitlines()[0]}. Say timestamp_column=..."
            ) from error
    for part, seconds in SECONDS.items():
        if part in frame:
            days += pd.to_timedelta(frame[part] * seconds, unit="s")
    return days.dt.strftime("%Y-%m-%d %H:%M:%S").to_numpy()


def _with_part_of_year(dataset: datasets.Dataset, year: str, part: str, what: str, report: Notes) -> datasets.Dataset:
    """`2015` and `3` in columns of year and quarter (or ISO week)."""
    report.warn(f"time stamps are made of the columns {year} and {part}; timestamp_column names another")
    form = "{}Q{}" if what == "quarter" else "{}-W{:02d}"
    pairs = zip(_known(numbers_of(dataset, year, "year")), _known(numbers_of(dataset, part, what)), strict=True)
    made = [form.format(first, second) for first, second in pairs]
    return dataset.remove_columns([year, part]).add_column("timestamp", made)


def _known(numbers: np.ndarray | None) -> list[int]:
    """Of a column that `part_of` has found."""
    return [] if numbers is None else numbers.tolist()
