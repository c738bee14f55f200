"""Tables of values with time stamps, and data sets whose rows are whole series → `Series`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.grid import Series, fixed_step, to_grid
from hf_ssl.modalities.timeseries.split import arrays_of

STAMPS = ("timestamp", "timestamps", "datetime", "date_time", "date", "time", "ds", "ts", "start")
NAMES = ("item_id", "unique_id", "series_id", "series_name", "id", "item", "series")
VALUES = ("target", "value", "values", "y")
SERIES_ALIASES = ("series", "target", "past_values", "values", "signal", "x")
FREQUENCIES = ("freq", "frequency")
LEFT_OUT = ("label", "labels", "class", "category", "split", "path")


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


@dataclass
class Table:
    """All series of a source, their step, and what their channels are called."""

    series: list[Series]
    frequency: str | None
    channels: list[str] = field(default_factory=list)
    targets: int = 0
    stamped: bool = True


def series_column(dataset: datasets.Dataset, given: str | None = None) -> str | None:
    """The column whose every value is a whole series, or None when rows are single moments."""
    lists = [name for name, feature in dataset.features.items() if isinstance(feature, datasets.List)]
    if given is not None:
        return given if given in lists else None
    lower = {name.lower(): name for name in lists}
    return next((lower[alias] for alias in SERIES_ALIASES if alias in lower), None)


def read_rows(
    dataset: datasets.Dataset, column: str, columns: Columns, frequency: str | None, report: Notes, origin: str
) -> Table:
    """Rows that are whole series: GluonTS (`start`, `target`, `feat_*`) and fev (`timestamp`, `target`) schemas too."""
    values = arrays_of(dataset, column)
    there = {name.lower(): name for name in dataset.column_names}
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
    for group in (extra, known):
        for covariate in group:
            more = arrays_of(dataset, covariate)
            values = [
                _beside(value, other, name, covariate) for value, other, name in zip(values, more, names, strict=True)
            ]
            channels.append(covariate)
    listed = _listed_stamps(dataset, there, columns)
    if listed is not None:
        series, frequency = _on_grid(names, list(dataset[listed]), values, frequency, report, origin)
        return Table(_with_static(series, dataset, columns), frequency, channels, targets)
    starts, frequency = _starts(dataset, there, columns, frequency)
    series = [Series(name, value) for name, value in zip(names, values, strict=True)]
    if starts is not None:
        ticks = np.array(starts, dtype="datetime64[ns]").astype(np.int64)
        step = _approximate_step(frequency)
        for item, tick in zip(series, ticks, strict=True):
            item.place, item.start = int(tick // step), str(np.datetime64(int(tick), "ns").astype("datetime64[s]"))
    return Table(_with_static(series, dataset, columns), frequency, channels, targets, starts is not None)


def _with_static(series: list[Series], dataset: datasets.Dataset, columns: Columns) -> list[Series]:
    static = list(columns.static) or [name for name in dataset.column_names if name.startswith("feat_static")]
    for place, item in enumerate(series):
        item.static = {name: dataset[place][name] for name in static} or None
    return series


def _listed_stamps(dataset: datasets.Dataset, there: dict[str, str], columns: Columns) -> str | None:
    """The column with a time stamp for every value (the fev schema), if there is one."""
    column = columns.stamp or next((there[alias] for alias in STAMPS if alias in there), None)
    return column if column is not None and isinstance(dataset.features[column], datasets.List) else None


def _on_grid(
    names: list[str],
    stamps: list[list[Any]],
    values: list[np.ndarray],
    frequency: str | None,
    report: Notes,
    origin: str,
) -> tuple[list[Series], str]:
    import pandas as pd

    for name, own, value in zip(names, stamps, values, strict=True):
        if len(own) != value.shape[1]:
            raise DataError(f"Series {name!r} of {origin} has {value.shape[1]} values and {len(own)} time stamps.")
    flat = pd.to_datetime(np.concatenate([np.asarray(own, dtype="datetime64[ns]") for own in stamps])).to_numpy(
        "datetime64[ns]"
    )
    owner = np.repeat(np.arange(len(names)), [value.shape[1] for value in values])
    series, frequency = to_grid(
        owner,
        flat,
        np.concatenate([value.T for value in values]),
        frequency=frequency,
        duplicates="last",
        report=report,
    )
    for item in series:
        item.name = names[int(item.name)]
    return series, frequency


def _beside(value: np.ndarray, other: np.ndarray, name: str, covariate: str) -> np.ndarray:
    """Covariates under the target; a known one is longer and keeps its future in `known_future`."""
    if other.shape[1] < value.shape[1]:
        raise DataError(
            f"Series {name!r}: covariate {covariate} has {other.shape[1]} steps, the target {value.shape[1]}. A covariate "
            "must have a value (or a missing value) for every step of the target."
        )
    return np.concatenate([value, other[:, : value.shape[1]]])


def _starts(
    dataset: datasets.Dataset, there: dict[str, str], columns: Columns, frequency: str | None
) -> tuple[list[Any] | None, str | None]:
    import pandas as pd

    named = next((there[alias] for alias in FREQUENCIES if alias in there), None)
    if frequency is None and named is not None and len(dataset):
        frequency = str(dataset[0][named])
        frequency = {"H": "h", "T": "min", "M": "MS", "Q": "QS", "Y": "YS", "A": "YS"}.get(frequency, frequency)
    column = columns.stamp or next((there[alias] for alias in STAMPS if alias in there), None)
    if column is None:
        return None, frequency
    return [_utc(pd.Timestamp(value)) for value in dataset[column]], frequency


def _utc(stamp: Any) -> Any:
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo is not None else stamp


def _approximate_step(frequency: str | None) -> int:
    days = {"W": 7.0, "MS": 30.436875, "QS": 91.310625, "YS": 365.2425}
    if frequency in days:
        return int(days[frequency] * 86400 * 10**9)
    return fixed_step(frequency) if frequency else 86400 * 10**9


def read_moments(
    dataset: datasets.Dataset, columns: Columns, frequency: str | None, duplicates: str, report: Notes, origin: str
) -> Table:
    """Rows that are single moments: long (a column says which series) or wide (every column is a channel).

    Raises:
        DataError: no time stamps, values that are no numbers, or stamps without a common step.
    """
    dataset = _with_stamp(dataset, columns, report)
    there = dataset.column_names
    lower = {name.lower(): name for name in reversed(there)}
    stamp = _given(columns.stamp, there, "timestamp_column", origin) or next(
        (lower[a] for a in STAMPS if a in lower), None
    )
    if stamp is None:
        raise DataError(
            f"No column of {origin} is known to hold time stamps; its columns: {', '.join(there[:30])}. Say which one: "
            f"timestamp_column={there[0]!r}."
        )
    name = _given(columns.name, there, "item_column", origin) or next((lower[a] for a in NAMES if a in lower), None)
    covariates = [*columns.past, *columns.known]
    for option, given in (
        ("past_covariates", columns.past),
        ("known_covariates", columns.known),
        ("static_columns", columns.static),
    ):
        for column in given:
            _given(column, there, option, origin)
    not_values = {stamp, name, columns.label, *covariates, *columns.static}
    targets = [_given(column, there, "target_columns", origin) or column for column in columns.targets]
    if not targets:
        usual = [lower[alias] for alias in VALUES if alias in lower and lower[alias] not in not_values]
        rest = [c for c in there if c not in not_values and c.lower() not in LEFT_OUT and not c.startswith("Unnamed")]
        targets = usual[:1] or rest
        report.decide(
            f"values: {', '.join(targets[:8])}{' ...' if len(targets) > 8 else ''} (target_columns chooses others)"
        )
    frame = dataset.with_format("arrow")[:]
    values = np.stack([_numbers(frame.column(c), c, origin) for c in [*targets, *covariates]], axis=1)
    names = _strings(frame.column(name)) if name is not None else np.zeros(len(frame), np.int8)
    stamps = _stamps(frame.column(stamp), stamp, report)
    usable = ~_missing(stamps)
    if not usable.all():
        report.dropped["no time stamp"] += int((~usable).sum())
    series, step = to_grid(
        names[usable], stamps[usable], values[usable], frequency=frequency, duplicates=duplicates, report=report
    )
    if name is None:
        series[0].name = "series"
    if columns.static:
        _add_static(series, frame, names, columns.static)
    report.decide(f"{len(series):,} series with a step of {step}")
    return Table(series, step, [*targets, *covariates], len(targets))


def _with_stamp(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """Year, month, day (and hour, minute) columns joined to one time stamp, where there is no other."""
    import pandas as pd

    there = set(dataset.column_names)
    parts = [part for part in ("year", "month", "day", "hour", "minute", "second") if part in there]
    named = columns.stamp or any(name.lower() in STAMPS for name in there)
    if named or not {"year", "month", "day"} <= set(parts):
        return dataset
    report.decide(f"time stamps are made of the columns {', '.join(parts)}")
    frame = dataset.select_columns(parts).with_format("pandas")[:].apply(pd.to_numeric)
    kept = dataset.remove_columns(parts)
    return kept.add_column("timestamp", pd.to_datetime(frame).dt.strftime("%Y-%m-%d %H:%M:%S").to_numpy())


def _given(column: str | None, there: Sequence[str], option: str, origin: str) -> str | None:
    if column is None or column in there:
        return column
    raise DataError(
        f"{option}={column!r}, but the columns of {origin} are {', '.join(there[:30])}.{nearest(column, there)}"
    )


def _strings(column: Any) -> np.ndarray:
    return column.to_pandas().astype(str).to_numpy()


def _numbers(column: Any, name: str, origin: str) -> np.ndarray:
    """A column as float32; `?`, `NA` and empty fields are missing values.

    Raises:
        DataError: other text, with its row.
    """
    import pandas as pd
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if not (
            pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
        ):
            raise DataError(
                f"Column {name!r} of {origin} holds {column.type}, not numbers. Choose with target_columns=[...]."
            )
        return column.to_numpy().astype(np.float32)
    text = column.to_pandas()
    numbers = pd.to_numeric(text, errors="coerce")
    wrong = numbers.isna() & text.notna() & ~text.isin(["?", "", "NA", "NaN", "nan", "N/A", "null", "None"])
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise DataError(
            f"Column {name!r} of {origin} holds text such as {text.iloc[row]!r} (row {row}), not numbers. Choose the columns "
            "with target_columns=[...], or name what tells series apart with item_column."
        )
    return numbers.to_numpy(np.float32)


def _stamps(column: Any, name: str, report: Notes) -> np.ndarray:
    """datetime64[ns] in UTC, or whole numbers."""
    import pandas as pd

    values = column.to_pandas()
    if pd.api.types.is_integer_dtype(values):
        return values.to_numpy(np.int64)
    if not pd.api.types.is_datetime64_any_dtype(values):
        text = values.dropna().astype(str)
        if len(text) and text.str.fullmatch(r"-?\d{1,9}").all():
            return values.astype(np.int64).to_numpy()
        zoned = len(text) and text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).iloc[0] and ":" in text.iloc[0]
        try:
            values = pd.to_datetime(values, utc=bool(zoned))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"Column {name!r} holds time stamps such as {text.iloc[0]!r} that cannot be read: {error}. Write them as "
                "2024-03-31 01:00, or name another column with timestamp_column."
            ) from error
    if getattr(values.dt, "tz", None) is not None:
        # A zone with summer time repeats an hour and skips one; UTC does neither.
        report.decide("time stamps with a zone are put on the UTC time line")
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    return values.to_numpy("datetime64[ns]")


def _missing(stamps: np.ndarray) -> np.ndarray:
    return np.isnat(stamps) if np.issubdtype(stamps.dtype, np.datetime64) else np.zeros(len(stamps), bool)


def _add_static(series: list[Series], frame: Any, names: np.ndarray, static: Sequence[str]) -> None:
    first = {str(name): row for row, name in reversed(list(enumerate(names)))}
    columns = {column: frame.column(column).to_pandas() for column in static}
    for item in series:
        row = first.get(item.name, 0)
        item.static = {column: str(values.iloc[row]) for column, values in columns.items()}


def shift_known(table: Table, known: int, horizon: int) -> None:
    """Move the last `known` channels `horizon` steps to the past: a window then carries what is known of its future.

    A covariate known in advance (a holiday, a price) is of use at the steps to be forecast, which a model that sees only
    the past would never read.

    Raises:
        DataError: such a value is missing at a step that is to be forecast from observed values.
    """
    for item in table.series:
        moved = np.full_like(item.values[-known:], np.nan)
        moved[:, :-horizon] = item.values[-known:, horizon:]
        gaps = np.isnan(item.values[-known:]).any(axis=0) & ~np.isnan(item.values[: table.targets]).all(axis=0)
        if gaps.any():
            raise DataError(
                f"Series {item.name!r}: a known covariate ({', '.join(table.channels[-known:])}) has no value at {int(gaps.sum()):,} "
                "steps that have a target. What is called known must be known for every step to be forecast; give it as "
                "past_covariates if it is only known afterwards."
            )
        item.values[-known:] = moved
