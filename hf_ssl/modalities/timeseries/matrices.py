"""A row per year, month or week and a column per part of it (Jan ... Dec, Q1 ... Q4, 1 ... 31, Mon ... Sun) -> a row per part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import NotNumbers, read_numbers
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.calendar_words import COLUMNS, DAYS, MONTHS, place_among, plain
from hf_ssl.modalities.timeseries.eras import BUDDHIST, SPLIT_YEAR, moments_of, refuse_strangers
from hf_ssl.modalities.timeseries.stamps import StampOptions
from hf_ssl.modalities.timeseries.table import NAMES, STAMPS, Columns, GridOptions

YEARS = (*COLUMNS["year"], "years", "season", "fy", "fiscal year", "water year")
_YEAR = re.compile(r"((?:1[5-9]|2[012456])\d\d)(?:\.0+|-01-01(?:[ T]00:00(?::00)?)?)?")
NO_DAY = ""
"""Stamp of the 30th of February, of week 53 in years that have 52."""


@dataclass(frozen=True)
class Kind:
    """One way to lay a series out in rows and columns.

    Attributes:
        row, part: what a row and what a column is.
        counts: how many columns there may be.
        number: the place of a column in its row, from 1, by its name; None: it is no such column.
        stamp: `(year, place)` -> the stamp of a part, as `moments_of` reads it; None: rows have dates, and parts are days.
    """

    row: str
    part: str
    counts: range
    number: Callable[[str], int | None]
    stamp: Callable[[int, int], str] | None = None


def _numbered(pattern: str, last: int) -> Callable[[str], int | None]:
    known = re.compile(pattern, re.IGNORECASE)

    def number(name: str) -> int | None:
        match = known.fullmatch(name.strip())
        place = int(match[1]) if match else 0
        return place if 1 <= place <= last else None

    return number


def _month(year: int, place: int) -> str:
    return f"{year}-{place:02d}-01"


def _week(year: int, place: int) -> str:
    return f"{year}-W{place:02d}" if place < 53 or date(year, 12, 28).isocalendar().week == 53 else NO_DAY


_KINDS = (
    Kind("year", "month", range(6, 13), partial(place_among, MONTHS), _month),
    Kind("year", "month", range(12, 13), _numbered(r"(?:m|month)?[ _-]?0?(\d{1,2})", 12), _month),
    Kind("year", "quarter", range(4, 5), _numbered(r"(?:q|qtr|quarter|quartal|trim|trimestre)[ _.-]?(\d)", 4), lambda y, n: f"{y}Q{n}"),
    Kind("year", "quarter", range(4, 5), _numbered(r"(\d)[. ]?(?:q|qtr|quarter|quartal)", 4), lambda y, n: f"{y}Q{n}"),
    Kind("year", "half", range(2, 3), _numbered(r"(?:h|s|half)[ _.-]?(\d)", 2), lambda y, n: f"{y}H{n}"),
    Kind("year", "week", range(52, 54), _numbered(r"(?:w|wk|kw|week|woche|semaine)?[ _.-]?0?(\d{1,2})", 53), _week),
    Kind("month", "day", range(28, 32), _numbered(r"(?:d|day|tag)?[ _-]?0?(\d{1,2})", 31)),
    Kind("week", "day", range(5, 8), partial(place_among, DAYS)),
)  # fmt: skip


def turned(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """A row per month, quarter or week and a column per year -> a row per year, for `with_parts`; other tables as they are."""
    if columns.targets or columns.name or columns.stamp:
        return dataset
    years = [name for name in dataset.column_names if _YEAR.fullmatch(name.strip())]
    others = [name for name in dataset.column_names if name not in years]
    if len(years) < 2 or len(others) != 1 or not 2 <= len(dataset) <= 53:
        return dataset
    parts = ["" if value is None else str(value).strip() for value in dataset[others[0]]]
    for kind in _KINDS:
        places = [kind.number(part) for part in parts]
        if kind.stamp is None or None in places or len(places) not in kind.counts or len(set(places)) < len(places):
            continue
        report.account("rows").found += len(years) - len(dataset)
        report.warn(
            f"rows are called {parts[0]}, {parts[1]} ... and columns {years[0]}, {years[1]} ...: read as one series, a row for each year; if every "
            "row is a series, give each a name that is no part of a year"
        )
        rows = {part: [dataset[year][row] for year in years] for row, part in enumerate(parts)}
        return datasets.Dataset.from_dict({"year": years, **rows})
    return dataset


def with_parts(
    dataset: datasets.Dataset, columns: Columns, grid: GridOptions, report: Notes
) -> tuple[datasets.Dataset, Columns, GridOptions]:
    """The table with a row per part, its time stamps in a column `timestamp`, its values in `value`; other tables as they are.

    Raises:
        DataError: the rows are years whose parts do not begin in January, and nothing says which year the others are of.
    """
    if columns.targets:
        return dataset, columns, grid
    there = dataset.column_names
    taken = {columns.name, columns.label, columns.stamp, *columns.past, *columns.known, *columns.static}
    for kind in _KINDS:
        found = {name: place for name in there if name not in taken and (place := kind.number(name)) is not None}
        places = list(found.values())
        if len(places) not in kind.counts or len(set(places)) < len(places):
            continue
        stamps = _stamped(dataset, found, kind, columns, grid, report)
        if stamps is None:
            continue
        stamp, made = stamps
        rest = [name for name in there if name not in found and name != stamp]
        return (
            _long(dataset, list(found), kind, made, rest, (columns, stamp, report)),
            replace(columns, stamp="timestamp", label=columns.label if columns.label in rest else None),
            replace(grid, stamps=StampOptions()),
        )
    return dataset, columns, grid


def _stamped(
    dataset: datasets.Dataset, found: dict[str, int], kind: Kind, columns: Columns, grid: GridOptions, report: Notes
) -> tuple[str, list[list[str | None]]] | None:
    """The column that says which year, month or week a row is of, and the stamp of each part of each row."""
    others = [name for name in dataset.column_names if name not in found]
    usual = [name for name in others if plain(name) in (*YEARS, *STAMPS)]
    asked = [name for name in others if name == columns.stamp] or usual
    if kind.stamp is None:
        return next((made for name in asked if (made := _days(dataset, name, found, kind, grid, report))), None)
    # A year is known by its values: what its column is called in other languages does not matter.
    named = columns.stamp in others or any(plain(name) in (*YEARS, "date") for name in usual)
    candidates = asked if named else others if kind.counts.stop > 6 and not _is_count(found) else usual
    for name in candidates:
        years = _years(dataset[name], name)
        if years is not None:
            return name, _parts_of_years(_of_our_era(years, name, report), found, kind, name)
    return None


def _of_our_era(years: list[tuple[int, bool] | None], name: str, report: Notes) -> list[tuple[int, bool] | None]:
    known = [year for year, _ in filter(None, years)]
    if min(known) < 2400:
        return years
    report.warn(
        f"column {name!r} holds years such as {known[0]}: read as the Buddhist era, {known[0] - BUDDHIST}; write them in our years if "
        "that is wrong"
    )
    return [None if year is None else (year[0] - BUDDHIST, year[1]) for year in years]


def _is_count(found: Iterable[str]) -> bool:
    return all(name.strip().isdigit() for name in found)


def _years(values: list[Any], name: str) -> list[tuple[int, bool] | None] | None:
    """The year of each row and whether it is one of two (1960/61); None: these are no years.

    Raises:
        DataError: words, such as of a mean below, stand among them.
    """
    made: list[tuple[int, bool] | None] = []
    texts = [None if value is None or not str(value).strip() else str(value).strip() for value in values]
    for text in texts:
        plain, split = _YEAR.fullmatch(text or ""), SPLIT_YEAR.fullmatch(text or "")
        if split and int(split[2]) % 100 == (int(split[1]) + 1) % 100:
            made.append((int(split[1]), True))
        else:
            made.append((int(plain[1]), False) if plain else None)
    read, known = sum(year is not None for year in made), sum(text is not None for text in texts)
    if read < max(2, 0.8 * known):
        return None
    if read < known:
        refuse_strangers(pa.array(texts, pa.string()), name)
        return None
    return made


def _parts_of_years(
    years: list[tuple[int, bool] | None], found: dict[str, int], kind: Kind, name: str
) -> list[list[str | None]]:
    order = list(found.values())
    begin = order.index(min(order))
    turned = order != sorted(order) and order[begin:] + order[:begin] == sorted(order)
    known = [year for year in years if year is not None]
    halves = {split for _, split in known}
    if turned and halves != {True} or not turned and True in halves:
        first, shown = next(iter(found)), known[0][0]
        raise DataError(
            f"Column {name!r} holds years such as {shown} and the columns of the {kind.part}s begin with {first!r}: of which year is "
            f"each? Write years as {shown}/{(shown + 1) % 100:02d} and begin with the first {kind.part} of that span, or write "
            f"them as {shown} and order the columns from the first {kind.part} of the calendar year; or take them for channels: "
            f"target_columns={list(found)}."
        )
    stamp = kind.stamp
    if stamp is None:
        return []
    return [
        [None if year is None else stamp(year[0] + (year[1] and place < order[0]), place) for place in order]
        for year in years
    ]


def _days(
    dataset: datasets.Dataset, name: str, found: dict[str, int], kind: Kind, grid: GridOptions, report: Notes
) -> tuple[str, list[list[str | None]]] | None:
    """Days of months (rows begin on the first) or of weeks (rows begin or end with the first or last of the columns)."""
    try:
        column = dataset.with_format("arrow")[:].column(name)
        read = moments_of(column, name, grid.stamps, np.arange(len(dataset)), report)
    except DataError:
        return None
    if read.dtype.kind != "M":
        return None
    days = read.astype("datetime64[D]")
    seen = days[~np.isnat(days)]
    order = list(found.values())
    if not len(seen):
        return None
    if kind.row == "month":
        if (seen != seen.astype("datetime64[M]").astype("datetime64[D]")).any():
            return None
        ends = days.astype("datetime64[M]") + 1
        days_of: list[list[str | None]] = [
            [str(day + place - 1) if not day + place - 1 >= end.astype("datetime64[D]") else NO_DAY for place in order]
            for day, end in zip(days, ends, strict=True)
        ]
        return name, days_of
    weekdays = np.unique((seen.astype(np.int64) + 3) % 7 + 1)  # 1970-01-01 was a Thursday, the fourth
    steps = [(place - order[0]) % 7 for place in order]
    if len(weekdays) > 1 or steps != sorted(steps):
        return None
    first = int(weekdays[0])
    if first not in (order[0], order[-1]):
        raise DataError(
            f"Rows of column {name!r} are weeks such as that of {seen[0]}, {list(found)[order.index(first)] if first in order else 'another day'}"
            f", and their columns begin with {next(iter(found))!r}. Write the date of the day of the first column, or take the "
            f"columns for channels: target_columns={list(found)}."
        )
    begins = days if first == order[0] else days - steps[-1]
    return name, [[None if np.isnat(day) else str(day + step) for step in steps] for day in begins]


def _long(
    dataset: datasets.Dataset,
    parts: list[str],
    kind: Kind,
    stamps: list[list[str | None]],
    rest: list[str],
    how: tuple[Columns, str, Notes],
) -> datasets.Dataset:
    """A row per part; what belongs to a whole row (a sum, a mean) is left out, and said."""
    columns, stamp, report = how
    frame = dataset.with_format("arrow")[:].to_pydict()
    kept = {columns.name, columns.label, *columns.past, *columns.known, *columns.static}
    whole = [name for name in rest if name not in kept and plain(name) not in NAMES and _is_numbers(frame[name])]
    dropped = [name for name in whole if _sums_up(frame, name, parts) or name == "value"]
    others = [name for name in whole if name not in dropped]
    report.warn(
        f"{len(parts)} columns are {kind.part}s ({parts[0]}, {parts[1]} ...): every row is taken for a {kind.row} (by {stamp!r}) of {len(parts)} "
        "steps"
        + (f"; {', '.join(map(repr, dropped))}: left out, sums or means of them" if dropped else "")
        + (f"; {', '.join(map(repr, others))}: one value per {kind.row}, not used" if others else "")
        + f". target_columns={parts} takes them for channels"
    )
    long: dict[str, list[Any]] = {name: [] for name in rest if name not in dropped}
    long["timestamp"], long["value"] = [], []
    cells = 0
    for row, own in enumerate(stamps):
        for name, when in zip(parts, own, strict=True):
            value = frame[name][row]
            if when == NO_DAY:
                if value is not None and str(value).strip():
                    raise DataError(
                        f"Column {name!r} holds {value!r} in row {row}, a {kind.row} that has no such {kind.part}. Leave it empty."
                    )
                continue
            cells += 1
            long["timestamp"].append(when)
            long["value"].append(value)
            for other in long.keys() - {"timestamp", "value"}:
                long[other].append(frame[other][row])
    report.account("rows").found += cells - len(dataset)
    if any(isinstance(value, str) for value in long["value"]):
        long["value"] = [None if value is None else str(value) for value in long["value"]]
    return datasets.Dataset.from_dict(long)


def _is_numbers(values: list[Any]) -> bool:
    present = [None if value is None else str(value) for value in values]
    try:
        numbers, _ = read_numbers(present, "")
    except NotNumbers:
        return False
    except DataError:
        return True
    return bool(np.isfinite(numbers).any())


def _sums_up(frame: dict[str, list[Any]], name: str, parts: list[str]) -> bool:
    """Whether a column is the sum or the mean of the parts, as far as its digits say."""
    try:
        own = np.array(read_numbers([None if v is None else str(v) for v in frame[name]], "")[0])
        cells = np.array([read_numbers([None if v is None else str(v) for v in frame[part]], "")[0] for part in parts])
    except DataError:
        return False
    whole = ~np.isnan(own) & ~np.isnan(cells).any(axis=0)
    if whole.sum() < 2:
        return False
    own, cells = own[whole], cells[:, whole]
    for made in (cells.sum(axis=0), cells.mean(axis=0)):
        near = np.abs(made - own) <= 0.01 * np.abs(cells).max(axis=0) + 1e-9
        if near.mean() >= 0.9:
            return True
    return False
