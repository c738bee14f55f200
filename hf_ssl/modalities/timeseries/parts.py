"""Time stamps whose parts stand in columns of their own: year and month, year and day of the year, day and hour and minute."""

from __future__ import annotations

import calendar
from collections.abc import Collection

import datasets
import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import STAMPS, Columns

NAMES = {
    "year": ("year", "yr", "yyyy", "jahr", "año", "ano", "année", "annee", "anno", "jaar"),
    "month": ("month", "mon", "mo", "mm", "mnth", "monat", "mes", "mois"),
    "day": ("day", "dy", "dd", "dom", "mday", "day_of_month", "dayofmonth", "tag"),
    "day of the year": ("doy", "day_of_year", "dayofyear", "yday", "jday", "julian_day"),
    "hour": ("hour", "hr", "hh", "hour_of_day", "stunde", "hora", "heure"),
    "minute": ("minute", "minutes", "min", "mi", "mn", "minuto"),
    "second": ("second", "seconds", "sec", "ss"),
}
RANGES = {
    "year": (1678, 2261),
    "month": (1, 12),
    "day": (1, 31),
    "day of the year": (1, 366),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 59),
}
"""What the numbers of a part may be: a column called `min` with 72 in it is no minute."""
SECONDS = {"hour": 3600, "minute": 60, "second": 1}


def part_of(dataset: datasets.Dataset, part: str, taken: Collection[str | None] = ()) -> str | None:
    """The column with this part of a time stamp, by name and by what is in it; None: there is none."""
    lower = {name.strip().lower(): name for name in reversed(dataset.column_names)}
    for alias in NAMES[part]:
        column = lower.get(alias)
        if column is not None and column not in taken and numbers_of(dataset, column, part) is not None:
            return column
    return None


def numbers_of(dataset: datasets.Dataset, column: str, part: str) -> np.ndarray | None:
    """The whole numbers of a part; None: some are none, or too small or large for it. Months may be names."""
    import pandas as pd

    values = dataset.select_columns([column]).with_format("pandas")[:][column]
    if part == "month" and not pd.api.types.is_numeric_dtype(values):
        short = values.astype(str).str.strip().str[:3].str.title()
        places = {name: str(place) for place, name in enumerate(calendar.month_abbr) if name}
        values = pd.Series([places.get(name, value) for name, value in zip(short, values, strict=True)])
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
    lower = {name.strip().lower(): name for name in reversed(dataset.column_names)}
    taken = {columns.name, columns.label, *columns.targets, *columns.past, *columns.known, *columns.static}
    year = part_of(dataset, "year", taken)
    aliases = {alias for names in NAMES.values() for alias in names}
    whole = next((unit for unit in ("quarter", "week") if unit in lower), None)
    if (
        columns.stamp is not None
        or year is None
        or [n for n in lower if n in STAMPS and n not in aliases and n != whole]
    ):
        return dataset
    if whole and not [name for name in lower if name in ("month", "day")]:
        return _with_part_of_year(dataset, year, lower[whole], whole, report)
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
    mark = "Q" if what == "quarter" else "-W"
    made = []
    for row, (first, second) in enumerate(zip(dataset[year], dataset[part], strict=True)):
        try:
            number = int(float(str(second).strip().lstrip("QqWw")))
            made.append(f"{int(float(first))}{mark}{number:02d}" if mark == "-W" else f"{int(float(first))}Q{number}")
        except (TypeError, ValueError):
            raise DataError(
                f"Columns {year!r} and {part!r} hold {first!r} and {second!r} (row {row}), which make no date. Say timestamp_column=..."
            ) from None
    return dataset.remove_columns([year, part]).add_column("timestamp", made)
