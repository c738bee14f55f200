"""Tables of values with time stamps, and data sets whose rows are whole series → `Series`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.one_column import whole_names
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.eras import moments_of
from hf_ssl.modalities.timeseries.grid import MAX_MISSING, Series, to_grid
from hf_ssl.modalities.timeseries.split import arrays_of
from hf_ssl.modalities.timeseries.stamps import StampOptions
from hf_ssl.modalities.timeseries.steps import MONTHS, canonical_frequency, fixed_step

STAMPS = (
    "timestamp",
    "timestamps",
    "datetime",
    "date_time",
    "date",
    "time",
    "ds",
    "ts",
    "day",
    "month",
    "week",
    "period",
    "start",
    "_time",
)
NAMES = ("item_id", "unique_id", "series_id", "series_name", "id", "item", "series")
VALUES = ("target", "value", "values", "y", "_value")
SERIES_ALIASES = ("series", "target", "past_values", "values", "signal", "x")
FREQUENCIES = ("freq", "frequency")
FILE = "file"
"""Column that says which of several files a row is of."""
LEFT_OUT = (FILE, "label", "labels", "class", "category", "split", "path", "recording")


@dataclass(frozen=True)
class Columns:
    """Which column is what; None or empty: found by usual names, and every other numeric column is a value."""

    stamp: str | None = None
    name: str | None = None
    targets: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    label: str | None = None
    time: str | None = None
    skip: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    na: tuple[str, ...] = ()
    """Words and numbers that mean a missing value."""

    def in_full(self, there: Sequence[str]) -> Columns:
        """With the names that hold commas in one piece, which a command line cuts there."""
        names = (self.targets, self.past, self.known, self.static)
        targets, past, known, static = (whole_names(some, there) for some in names)
        return replace(self, targets=targets, past=past, known=known, static=static)


@dataclass(frozen=True)
class GridOptions:
    """How stamps become a grid; see `hf_ssl.modalities.timeseries.options`."""

    frequency: str | None = None
    duplicates: str | None = None
    max_missing: float = MAX_MISSING
    stamps: StampOptions = StampOptions()


@dataclass
class Table:
    """All series of a source, their step, and what their channels are called.

    Args:
        targets: how many of the channels, the first ones, are to be forecast.
        known: how many, the last ones, are known in advance.
    """

    series: list[Series]
    frequency: str | None
    channels: list[str] = field(default_factory=list)
    targets: int = 0
    stamped: bool = True
    known: int = 0


def series_column(dataset: datasets.Dataset, given: str | None = None) -> str | None:
    """The column whose every value is a whole series, or None when rows are single moments."""
    lists = [name for name, feature in dataset.features.items() if _holds_numbers(feature)]
    if given is not None:
        return given if given in lists else None
    lower = {name.lower(): name for name in lists}
    return next((lower[alias] for alias in SERIES_ALIASES if alias in lower), None)


def _holds_numbers(feature: Any) -> bool:
    """Whether a column has lists of numbers, or lists of those (channels); words and records are no series."""
    depth = 0
    while isinstance(feature, (datasets.List, datasets.LargeList)):
        feature, depth = feature.feature, depth + 1
    dtype = str(getattr(feature, "dtype", ""))
    return depth in (1, 2) and dtype.startswith(("float", "int", "uint", "bool", "decimal", "null"))


def given_column(column: str | None, there: Sequence[str], option: str, origin: str) -> str | None:
    """The column that an option names, in its own spelling.

    Raises:
        DataError: there is none.
    """
    if column is None or column in there:
        return column
    same = [name for name in there if name.strip().lower() == column.strip().lower()]
    if len(same) == 1:
        return same[0]
    raise DataError(
        f"{option}={column!r}, but the columns of {origin} are {', '.join(there[:30])}.{nearest(column, there)}"
    )


def read_rows(
    dataset: datasets.Dataset, column: str, columns: Columns, grid: GridOptions, report: Notes, origin: str
) -> Table:
    """Rows that are whole series: GluonTS (`start`, `target`, `feat_*`) and fev (`timestamp`, `target`) schemas too."""
    values = arrays_of(dataset, column)
    there = {name.lower(): name for name in dataset.column_names}
    columns = _known(columns, dataset, origin)
    name_column = columns.name or next(
        (there[alias] for alias in NAMES if alias in there and there[alias] != column), None
    )
    names = (
        [str(name) for name in dataset[name_column]]
        if name_column
        else [f"series {row}" for row in range(len(values))]
    )
    extra = list(columns.past) or [n for n in ("past_feat_dynamic_real",) if n in there]
    known = list(columns.known) or [n for n in ("feat_dynamic_real",) if n in there]
    targets, channels = values[0].shape[0] if values else 0, [column]
    if len({item.shape[0] for item in values}) > 1:
        raise DataError(
            f"The series of {origin} have different numbers of channels: {sorted({v.shape[0] for v in values})}."
        )
    listed, advance = _listed_stamps(dataset, there, columns), 0
    for covariate in [*extra, *known]:
        more = arrays_of(dataset, covariate)
        ahead = covariate in known and listed is None
        values = [_beside(*each, covariate, ahead) for each in zip(values, more, names, strict=True)]
        width = more[0].shape[0] if more else 1
        channels += [covariate] if width == 1 else [f"{covariate} {number}" for number in range(width)]
        advance += width * (covariate in known)
    if listed is not None:
        report.account("rows").used += len(dataset)
        series, step_name = _on_grid(names, list(dataset[listed]), values, grid, report, origin)
        return Table(_with_static(series, dataset, columns), step_name, channels, targets, known=advance)
    report.account("rows").used += len(dataset)
    starts, frequency = _starts(dataset, there, columns, grid, report)
    series = [Series(name, value) for name, value in zip(names, values, strict=True)]
    if starts is not None:
        moments = np.array(starts)
        step = _approximate_step(frequency) if moments.dtype.kind == "M" else 1
        for item, moment in zip(series, moments, strict=True):
            item.place = int(moment.astype(np.int64) // step)
            item.start = str(moment.astype("datetime64[s]") if moments.dtype.kind == "M" else moment)
    return Table(_with_static(series, dataset, columns), frequency, channels, targets, starts is not None, advance)


def _known(columns: Columns, dataset: datasets.Dataset, origin: str) -> Columns:
    """The columns that options name, as they are spelled here.

    Raises:
        DataError: one is not there, or a covariate is no list of numbers.
    """
    there = dataset.column_names

    def all_of(names: Sequence[str], option: str) -> tuple[str, ...]:
        return tuple(str(given_column(name, there, option, origin)) for name in names)

    found = replace(
        columns, stamp=given_column(columns.stamp, there, "timestamp_column", origin), name=given_column(columns.name, there, "item_column", origin),
        past=all_of(columns.past, "past_covariates"), known=all_of(columns.known, "known_covariates"),
        static=all_of(columns.static, "static_columns"),
    )  # fmt: skip
    for option, names in (("past_covariates", found.past), ("known_covariates", found.known)):
        if odd := next((name for name in names if not _holds_numbers(dataset.features[name])), None):
            lists = [name for name in there if _holds_numbers(dataset.features[name])]
            raise DataError(
                f"{option}={list(names)}, but column {odd!r} of {origin} holds no list of numbers, as rows that are whole series need; those that "
                f"do: {', '.join(lists)}. Leave {option} out, or name them."
            )
    return found


def _with_static(series: list[Series], dataset: datasets.Dataset, columns: Columns) -> list[Series]:
    static = list(columns.static) or [name for name in dataset.column_names if name.startswith("feat_static")]
    for place, item in enumerate(series):
        item.static = {name: dataset[place][name] for name in static} or None
    return series


def _listed_stamps(dataset: datasets.Dataset, there: dict[str, str], columns: Columns) -> str | None:
    """The column with a time stamp for every value (the fev schema), if there is one."""
    column = columns.stamp or next((there[alias] for alias in STAMPS if alias in there), None)
    return (
        column
        if column is not None and isinstance(dataset.features[column], (datasets.List, datasets.LargeList))
        else None
    )


def _on_grid(
    names: list[str],
    stamps: list[list[Any]],
    values: list[np.ndarray],
    grid: GridOptions,
    report: Notes,
    origin: str,
) -> tuple[list[Series], str]:
    import pyarrow as pa

    for name, own, value in zip(names, stamps, values, strict=True):
        if len(own) != value.shape[1]:
            raise DataError(f"Series {name!r} of {origin} has {value.shape[1]} values and {len(own)} time stamps.")
    owner = np.repeat(np.arange(len(names)), [value.shape[1] for value in values])
    flat = moments_of(pa.array([stamp for own in stamps for stamp in own]), "timestamp", grid.stamps, owner, report)
    series, frequency = to_grid(
        owner,
        flat,
        np.concatenate([value.T for value in values]),
        frequency=grid.frequency,
        duplicates=grid.duplicates or "last",
        report=report,
        max_missing=grid.max_missing,
    )
    for item in series:
        item.name = names[int(item.name)]
    return series, frequency


def _beside(value: np.ndarray, other: np.ndarray, name: str, covariate: str, known: bool) -> np.ndarray:
    """Covariates under the target; one known in advance may be longer, and the target is missing there."""
    if other.shape[1] < value.shape[1]:
        raise DataError(
            f"Series {name!r}: covariate {covariate} has {other.shape[1]} steps, the target {value.shape[1]}. A covariate "
            "must have a value (or a missing value) for every step of the target."
        )
    if known and other.shape[1] > value.shape[1]:
        missing = np.full((len(value), other.shape[1] - value.shape[1]), np.nan, np.float32)
        value = np.hstack([value, missing])
    return np.concatenate([value, other[:, : value.shape[1]]])


def _starts(
    dataset: datasets.Dataset, there: dict[str, str], columns: Columns, grid: GridOptions, report: Notes
) -> tuple[list[Any] | None, str | None]:
    """Time of the first value of each series, and the step that they share."""
    frequency = grid.frequency
    named = next((there[alias] for alias in FREQUENCIES if alias in there), None)
    if frequency is None and named is not None and len(dataset):
        found = sorted({str(value) for value in dataset[named]})
        if len({canonical_frequency(value) for value in found}) > 1:
            raise DataError(
                f"Series have different steps in column {named!r} ({', '.join(found[:5])}); give each kind as data of its own, or one step for all: "
                "frequency=..."
            )
        frequency = found[0]
    frequency = canonical_frequency(frequency) if frequency is not None else None
    column = columns.stamp or next((there[alias] for alias in STAMPS if alias in there), None)
    if column is None:
        return None, frequency
    if frequency is None:
        report.warn(
            f"series begin at the times of column {column!r}, and no column says their step: frequency='h' (or "
            f"another) says it; now no season is known"
        )
    starts = dataset.with_format("arrow")[:].column(column)
    return list(moments_of(starts, column, grid.stamps, np.arange(len(dataset)), report)), frequency


def _approximate_step(frequency: str | None) -> int:
    if frequency in MONTHS:
        return int(30.436875 * MONTHS[frequency] * 86400 * 10**9)
    if frequency == "B":
        frequency = "D"
    return fixed_step(frequency) if frequency else 86400 * 10**9
