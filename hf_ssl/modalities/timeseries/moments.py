"""Tables whose rows are moments: long (a column says which series) or wide (every column is a channel) → `Series`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.channels import number_columns, value_columns
from hf_ssl.modalities.timeseries.clock import PERIODS, counts_to_25, period_clock, read_clock
from hf_ssl.modalities.timeseries.eras import moments_of
from hf_ssl.modalities.timeseries.grid import Series, to_grid
from hf_ssl.modalities.timeseries.likely_stamp import likely_stamp, no_header
from hf_ssl.modalities.timeseries.marks import tell_marks
from hf_ssl.modalities.timeseries.matrices import turned, with_parts
from hf_ssl.modalities.timeseries.measured import Asked, read_values
from hf_ssl.modalities.timeseries.names import (
    names_rows,
    tell_apart,
    tell_files,
    with_joined_name,
    without_items,
)
from hf_ssl.modalities.timeseries.parts import SECONDS, numbers_of, part_of, with_stamp
from hf_ssl.modalities.timeseries.shapes import melted, refuse_wide_rows, with_hours
from hf_ssl.modalities.timeseries.steps import in_words, of_days
from hf_ssl.modalities.timeseries.table import (
    NAMES,
    STAMPS,
    Columns,
    GridOptions,
    Table,
    given_column,
)
from hf_ssl.modalities.timeseries.totals import tell_total_channels, tell_total_series
from hf_ssl.modalities.timeseries.unused import tell_labels_as_channels, tell_unused
from hf_ssl.modalities.timeseries.zones import on_the_wall

if TYPE_CHECKING:
    import pandas as pd

CLOCKS = ("time", "hour", "time_of_day", "time of day", "clock", "hh:mm", "hr", "timeofday")
MUCH_EMPTY = 0.02
"""Share of a column's rows; as of steps without a row."""
DAYS = re.compile(r"day|date|datum|^ds$", re.IGNORECASE)


def read_moments(dataset: datasets.Dataset, columns: Columns, grid: GridOptions, report: Notes, origin: str) -> Table:
    """Read a table of moments.

    Raises:
        DataError: no time stamps, values that are no numbers, stamps that can be read in two ways, or a grid that does not fit.
    """
    dataset = with_stamp(melted(turned(dataset, columns, report), columns, report), columns, report)
    dataset, columns, grid = with_parts(with_hours(dataset, columns, report), columns, grid, report)
    refuse_wide_rows(dataset, columns, origin)
    there = dataset.column_names
    lower = {name.strip().lower(): name for name in reversed(there)}
    stamp = _stamp_column(dataset, columns, origin)
    dataset, columns = with_joined_name(
        dataset, columns, {stamp, columns.label, *columns.targets, *columns.past, *columns.known}
    )
    there = dataset.column_names
    name = given_column(columns.name, there, "item_column", origin) or next(
        (lower[a] for a in NAMES if a in lower and not names_rows(dataset, lower[a], report)), None
    )
    covariates = [*columns.past, *columns.known]
    _refuse_roles(columns, stamp, there, origin)
    clock = _clock_column(dataset, columns, stamp, name, origin)
    not_values = {stamp, name, columns.label, clock, *covariates, *columns.static}
    clocks = _clock_columns(dataset, stamp, name, clock, not_values | set(columns.targets))
    not_values |= set(clocks)
    frame = dataset.with_format("arrow")[:]
    owner = np.zeros(len(frame), np.int64) if name is None else _codes(frame.column(name))
    written = on_the_wall(frame.column(stamp)) if of_days(grid.frequency) else frame.column(stamp)
    stamps = moments_of(written, stamp, grid.stamps, owner, report)
    stamps = _with_clock(stamps, frame, stamp, clocks, report)
    targets = [given_column(c, there, "target_columns", origin) or c for c in dict.fromkeys(columns.targets)]
    targets = targets or value_columns(frame, not_values, stamps, owner, report, columns.ignore)
    if not targets:
        raise DataError(f"{origin} has no column of values beside {stamp!r}. Say which: target_columns=[...].")
    frame, stamps, rows = _usable(frame, stamps, stamp, origin, report)
    names = _strings(frame.column(name)) if name is not None else np.zeros(len(frame), np.int8)
    if columns.skip:
        kept = without_items(names, columns.skip, report)
        frame, names, stamps, rows = frame.filter(pa.array(kept)), names[kept], stamps[kept], rows[kept]
    tell_files(frame, name, stamps, report)
    apart = "" if columns.name is not None else tell_apart(frame, stamps, not_values, name)
    others = [c for c in there if c not in not_values or c in columns.targets] if columns.targets else targets
    numeric = partial(number_columns, frame, others, changing=True)
    values = np.stack(
        [
            read_values(frame.column(c), c, origin, Asked(apart, numeric, columns.na), report)
            for c in [*targets, *covariates]
        ],
        axis=1,
    )
    _tell_of_values(values, targets, columns, report)
    before = report.account("rows").left_out.total()
    series, step = to_grid(
        names, stamps, values, frequency=grid.frequency, duplicates=grid.duplicates, report=report,
        max_missing=grid.max_missing, hint=apart, written=partial(_written, frame.column(stamp), rows),
    )  # fmt: skip
    joined = report.account("rows").left_out.total() - before
    report.account("rows").used += len(stamps) - joined
    if name is None:
        series[0].name = "series"
    tell_total_series(series, report)
    tell_unused(frame, names, {*not_values, *targets}, columns, report)
    if columns.static:
        _add_static(series, frame, names, columns.static)
    more = " ..." if len(targets) > 8 else ""
    report.decide(f"values: {', '.join(targets[:8])}{more} (target_columns chooses others)")
    report.decide(f"{len(series):,} series with a step of {in_words(step, stamps)}")
    return Table(series, step, [*targets, *covariates], len(targets), known=len(columns.known))


def _stamp_column(dataset: datasets.Dataset, columns: Columns, origin: str) -> str:
    """The column that the user names, one that is called as stamps are, or one of years.

    Raises:
        DataError: there is none.
    """
    there = dataset.column_names
    if columns.stamp is not None:
        return str(given_column(columns.stamp, there, "timestamp_column", origin))
    filled = [name for name in there if dataset.data.column(name).null_count <= 0.5 * len(dataset)]
    lower = {name.strip().lower(): name for name in reversed(filled or there)}
    stamp = next((lower[alias] for alias in STAMPS if alias in lower), None)
    stamp = stamp or part_of(dataset, "year", (columns.name, columns.label, *columns.targets))
    if stamp is None:
        raise DataError(
            f"No column of {origin} is known to hold time stamps; its columns: {', '.join(there[:30])}. "
            f"{likely_stamp(dataset, columns)}." + no_header(there)
        )
    return stamp


def _tell_of_values(values: np.ndarray, targets: list[str], columns: Columns, report: Notes) -> None:
    """Warn of marks for what is missing, labels and totals among the channels `(rows, channels)`, the targets first."""
    tell_marks(values, [*targets, *columns.past, *columns.known], report)
    tell_labels_as_channels(values, targets, columns, report)
    tell_total_channels(values[:, : len(targets)], targets, bool(columns.targets), report)
    empty = np.isnan(values[:, : len(targets)]).sum(axis=0)
    worst = int(empty.argmax())
    if empty[worst] > MUCH_EMPTY * len(values):
        more = int((empty > MUCH_EMPTY * len(values)).sum()) - 1
        others = f" ({more:,} other columns likewise)" if more else ""
        report.warn(
            f"column {targets[worst]!r} has no number in {empty[worst]:,} of {len(values):,} rows{others}: they are missing values, which nothing is "
            "learned from; fill them in the file if they mean 0 or the value before"
        )


def _usable(
    frame: pa.Table, stamps: np.ndarray, stamp: str, origin: str, report: Notes
) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The rows that have a time stamp, their stamps and places; in others stand units, sums and notes, and no values.

    Raises:
        DataError: there are none, or too many have no stamp.
    """
    usable = ~_missing(stamps)
    report.leave_out(
        "rows", "no time stamp", int((~usable).sum()), len(usable), example=f"row {int(np.argmin(usable))}"
    )
    if not usable.any():
        raise DataError(f"No row of {origin} has a time stamp in column {stamp!r}.")
    rows = np.flatnonzero(usable)
    return (frame if usable.all() else frame.filter(pa.array(usable))), stamps[usable], rows


def _refuse_roles(columns: Columns, stamp: str, there: Sequence[str], origin: str) -> None:
    """Refuse columns that are not there, and those that are to be two things: a target that is known in advance is no forecast.

    Raises:
        DataError: names the column and the options.
    """
    roles: dict[str | None, str] = {stamp: "timestamp_column"}
    for option, given in (
        ("item_column", () if columns.name is None else (columns.name,)), ("target_columns", columns.targets),
        ("past_covariates", columns.past), ("known_covariates", columns.known), ("static_columns", columns.static),
    ):  # fmt: skip
        for name in dict.fromkeys(given):
            column = given_column(name, there, option, origin)
            if column in roles and option != "static_columns":
                raise DataError(
                    f"Column {column!r} of {origin} is named by {option} and is {roles[column]} already. Leave it out of one of them: {option}=..."
                )
            roles[column] = option


def _written(column: pa.ChunkedArray, rows: np.ndarray, place: int) -> tuple[str, int]:
    return str(column[place].as_py()), int(rows[place])


def _codes(names: pa.ChunkedArray) -> np.ndarray:
    import pandas as pd

    values = names.to_pandas()
    return pd.factorize(values.astype(str) if pa.types.is_nested(names.type) else values, use_na_sentinel=False)[
        0
    ].astype(np.int64)


def _clock_column(
    dataset: datasets.Dataset, columns: Columns, stamp: str, name: str | None, origin: str
) -> str | None:
    """The column with the time of day, beside one that holds days only."""
    there = dataset.column_names
    if columns.time is not None:
        return given_column(columns.time, there, "time_column", origin)
    if not DAYS.search(stamp.strip()):
        return None
    lower = {
        column.strip().lower(): column
        for column in there
        if column not in (stamp, name, *columns.targets, *columns.past, *columns.known)
    }
    found = next((lower[alias] for alias in CLOCKS if alias in lower), None)
    if found is None:
        numbered = [column for column in lower.values() if PERIODS.fullmatch(column.strip())]
        found = next(
            (column for column in numbered if period_clock(dataset.with_format("pandas")[:][column]) is not None), None
        )
    if found is None:
        return None
    days = [value for value in dataset[:200][stamp] if value is not None]
    only_days = all(not re.search(r"\d:\d", str(value)) or str(value).endswith("00:00:00") for value in days)
    return found if only_days else None


def _clock_columns(
    dataset: datasets.Dataset, stamp: str, name: str | None, clock: str | None, taken: set[str | None]
) -> list[str]:
    """The column of the time of day, and those of minutes (and seconds) beside one of hours: without them, rows of one hour repeat."""
    if clock is None or numbers_of(dataset, clock, "hour") is None:
        return [] if clock is None else [clock]
    found = [column for part in ("minute", "second") if (column := part_of(dataset, part, taken)) is not None]
    keys = [stamp, clock, *([name] if name is not None else [])]
    frame = dataset.select_columns([*keys, *found]).with_format("pandas")[:]
    while found and len(frame[[*keys, *found]].drop_duplicates()) == len(
        frame[[*keys, *found[:-1]]].drop_duplicates()
    ):
        found.pop()
    return [clock, *found]


def _with_clock(stamps: np.ndarray, frame: pa.Table, stamp: str, clocks: list[str], report: Notes) -> np.ndarray:
    """Days and the time of day in other columns: a clock, or hours, minutes and seconds."""
    if not clocks:
        return stamps
    name, *finer = clocks
    if stamps.dtype.kind != "M":
        raise DataError(
            f"Columns {stamp!r} and {name!r} look like a day and a time, but the days are counters. Say timestamp_format=... for them."
        )
    clock = frame.column(name).to_pandas()
    known = clock.notna().to_numpy()
    made = stamps.copy()
    parts = period_clock(clock[known]) if PERIODS.fullmatch(name.strip()) or counts_to_25(clock[known]) else None
    made[known] = stamps[known] + (read_clock(clock[known], name) if parts is None else parts)
    for column, seconds in zip(finer, list(SECONDS.values())[1:], strict=False):
        numbers = np.array(frame.column(column).to_pylist(), np.float64)
        made += (numbers * seconds).astype(np.int64).astype("timedelta64[s]")
    made[~known] = np.datetime64("NaT")
    report.warn(
        f"time stamps are made of the columns {stamp!r} (day) and {', '.join(map(repr, clocks))} (time of day); timestamp_column names another"
    )
    return made


def _strings(column: pd.Series) -> np.ndarray:
    values = column.to_pandas()
    if values.isna().any():
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        raise DataError(
            f"{int(values.isna().sum()):,} rows have no name of a series (item_column), the first is row {row}. Name them, or leave them out."
        )
    if values.dtype.kind == "f" and (values % 1 == 0).all():
        values = values.astype(np.int64)
    return values.astype(str).to_numpy()


def _missing(stamps: np.ndarray) -> np.ndarray:
    return np.isnat(stamps) if np.issubdtype(stamps.dtype, np.datetime64) else np.zeros(len(stamps), bool)


def _add_static(series: list[Series], frame: pd.DataFrame, names: np.ndarray, static: Sequence[str]) -> None:
    first = {str(name): row for row, name in reversed(list(enumerate(names)))}
    columns = {column: frame.column(column).to_pandas() for column in static}
    for item in series:
        row = first.get(item.name, 0)
        item.static = {column: str(values.iloc[row]) for column, values in columns.items()}
