"""The one time split: what lies before a moment trains, what lies after it measures. Scalers see the training span only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.grid import Series

SERIES = datasets.Features({"series": datasets.List(datasets.List(datasets.Value("float32")))})
SPAN = {
    "id": datasets.Value("string"), "history": datasets.Value("int64"), "offset": datasets.Value("int64"), "start": datasets.Value("string"),
    "frequency": datasets.Value("string"), "season": datasets.Value("int64"), "targets": datasets.Value("int64"),
    "known": datasets.Value("int64"),
    "loc": datasets.List(datasets.Value("float32")), "scale": datasets.List(datasets.Value("float32")),
    "naive_error": datasets.List(datasets.Value("float64")), "naive_square": datasets.List(datasets.Value("float64")),
}  # fmt: skip


NEAR_THE_CUT = "series end or begin too near the cut to train on"


@dataclass(frozen=True)
class TimeSplit:
    """Where the splits of a set of series begin.

    Args:
        horizon: steps to forecast.
        context: steps of history in front of a split's first forecast.
        validation, test: parts of the span.
        train_fraction: the latest part of the training span that `train` keeps (the pool keeps all of it).
        aligned: the series share a time line, so one moment cuts them all; else each is cut by its own length.
    """

    horizon: int
    context: int
    validation: float
    test: float
    train_fraction: float = 1.0
    aligned: bool = True

    def bounds(self, series: Sequence[Series]) -> list[tuple[int, int, int]]:
        """First step of validation, of test, and the end, per series and counted from its own first step."""
        if not self.aligned:
            return [self._places(0, item.values.shape[1]) for item in series]
        low = min(item.place for item in series)
        high = max(item.place + item.values.shape[1] for item in series)
        shared = self._places(low, high)
        return [(shared[0] - item.place, shared[1] - item.place, shared[2] - item.place) for item in series]

    def _places(self, low: int, high: int) -> tuple[int, int, int]:
        length = high - low
        test = max(self.horizon, round(self.test * length)) if self.test else 0
        validation = max(self.horizon, round(self.validation * length)) if self.validation else 0
        return high - test - validation, high - test, high


def cut_in_time(
    series: Sequence[Series],
    cut: TimeSplit,
    *,
    frequency: str | None,
    season: int,
    targets: int,
    report: Notes,
    known: int = 0,
) -> dict[str, datasets.Dataset]:
    """Splits `unlabeled`, `train`, `validation`, `test`; each row is a span of one series.

    A row of validation or test begins with `history` steps that lie before the split: they are there to forecast from,
    never to be forecast. Rows of train and of the pool hold nothing from after the cut, so neither can anything made
    from them. `loc` and `scale` (mean and standard deviation), and the seasonal-naive errors that MASE and RMSSE divide
    by, are those of the pool's span, and come with every row.

    Args:
        known: of the channels are known in advance, the last ones; they lie `horizon` steps too early.

    Raises:
        DataError: series too short, or a channel without a value to train on.
    """
    series = [replace(item, values=item.values[:, : _observed(item, targets) or None]) for item in series]
    named: dict[str, list[dict[str, Any]]] = {"unlabeled": [], "train": [], "validation": [], "test": []}
    short = [item.name for item in series if item.values.shape[1] < 2 * cut.horizon]
    if len(short) == len(series):
        longest = max(item.values.shape[1] for item in series)
        raise DataError(
            f"horizon={cut.horizon} is too long: the longest series has {longest} steps, and training and measuring need "
            f"at least {2 * cut.horizon}. {_shorter(series, cut)}"
        )
    unusable: dict[str, int] = {}
    for item, (validation, test, end) in zip(series, cut.bounds(series), strict=True):
        past = item.values[:, : max(0, min(validation, item.values.shape[1]))]
        problem = _problem(item, past, targets, cut)
        if problem:
            unusable[problem] = unusable.get(problem, 0) + 1
            continue
        facts = _facts(item, past, frequency, season, targets, known)
        kept = max(cut.horizon + 1, round(cut.train_fraction * past.shape[1]))
        named["unlabeled"].append({**facts, "series": past, "history": 0, "offset": 0})
        first = max(0, past.shape[1] - kept)
        named["train"].append({**facts, "series": past[:, first:], "history": 0, "offset": first})
        for split, low, high in (("validation", validation, test), ("test", test, end)):
            high = min(high, item.values.shape[1])
            if high - low >= cut.horizon:
                start = max(0, low - cut.context)
                named[split].append(
                    {**facts, "series": item.values[:, start:high], "history": low - start, "offset": start}
                )
    report.account("series").found += len(series)
    report.account("series").used += len(named["unlabeled"])
    for problem, count in unusable.items():
        report.dropped[problem] += count
        if named["train"]:
            report.leave_out("series", problem, count, len(series))
    if not named["train"]:
        whys = "; ".join(f"{count:,} {why}" for why, count in unusable.items())
        near = all(why.startswith(NEAR_THE_CUT) for why in unusable)
        what = (
            _shorter(series, cut)
            if near
            else "target_columns=[...] names the columns of values, the first is channel 0."
        )
        raise DataError(f"No series can be used: {whys}. {what}")
    made = {split: spans(rows) for split, rows in named.items() if rows and split != "train"}
    # Where train is the whole span, it is the pool: one buffer serves both.
    made["train"] = spans(named["train"]) if cut.train_fraction < 1 else made["unlabeled"]
    return made


def latest(dataset: datasets.Dataset, share: float, least: int) -> datasets.Dataset:
    """The latest part of every span; scalers stay those of the whole.

    Args:
        dataset: spans without history, such as `train`.
        share: of each span's steps, above 0.
        least: steps that are kept in any case.
    """
    facts = dataset.remove_columns("series").to_list()
    rows = []
    for row, values in zip(facts, arrays_of(dataset), strict=True):
        first = max(0, values.shape[1] - max(least, math.ceil(share * values.shape[1])))
        rows.append({**row, "series": values[:, first:], "offset": row["offset"] + first})
    return spans(rows)


def to_forecast(
    series: Sequence[Series],
    horizon: int,
    *,
    frequency: str | None,
    season: int,
    targets: int,
    report: Notes,
    known: int = 0,
) -> datasets.Dataset:
    """Rows whose `history` is all that is known of a series, and which have `horizon` unknown steps behind it.

    History ends with the last step at which a target was observed: rows that only say what is known of the future (covariates)
    are no history. Scalers are those of the whole history.

    Raises:
        DataError: no series has any value.
    """
    rows = []
    for item in series:
        past = item.values[:, : _observed(item, targets)]
        if not past.shape[1]:
            continue
        unknown = np.full((past.shape[0], horizon), np.nan, np.float32)
        facts = _facts(item, past, frequency, season, targets, known)
        rows.append({**facts, "series": np.hstack([past, unknown]), "history": past.shape[1], "offset": 0})
    lacking = sum(
        bool(known) and bool(np.isnan(row["series"][-known:, row["history"] - horizon : row["history"]]).any())
        for row in rows
    )
    if lacking:
        report.warn(
            f"{lacking:,} of {len(rows):,} series have no known covariates for some of the {horizon} steps to be forecast; "
            "they are taken for missing. Rows with time and covariates, without a target, say them (predict: --future TABLE)"
        )
    report.account("series").found += len(series)
    report.account("series").used += len(rows)
    if not rows:
        raise DataError("No series has a value to forecast from.")
    report.leave_out("series", "no observed value", len(series) - len(rows), len(series))
    return spans(rows)


def _observed(item: Series, targets: int) -> int:
    """Steps up to the last one with a target. What is known in advance of later ones was moved to where it is of use."""
    seen = np.flatnonzero(~np.isnan(item.values[:targets]).all(axis=0))
    return int(seen[-1]) + 1 if len(seen) else 0


def _shorter(series: Sequence[Series], cut: TimeSplit) -> str:
    """The longest horizon for which the cut leaves enough of one series to train on, or what else helps where there is none."""
    for horizon in range(min(cut.horizon - 1, max(item.values.shape[1] for item in series) // 2), 0, -1):
        bounds = replace(cut, horizon=horizon).bounds(series)
        if any(min(first, item.values.shape[1]) > horizon for item, (first, _, _) in zip(series, bounds, strict=True)):
            return f"The longest that these series allow: horizon={horizon}."
    return "They are too short for any: were steps joined by a frequency that is too coarse, or does a wrong item_column cut them?"


def _problem(item: Series, past: np.ndarray, targets: int, cut: TimeSplit) -> str | None:
    if past.shape[1] < cut.horizon + 1:
        return f"{NEAR_THE_CUT} (fewer than {cut.horizon + 1} steps before it)"
    empty = np.isnan(past).all(axis=1)
    if empty[:targets].any():
        channel = int(np.flatnonzero(empty[:targets])[0])
        return f"series without any value before the cut in channel {channel}"
    return None


def _facts(
    item: Series, past: np.ndarray, frequency: str | None, season: int, targets: int, known: int
) -> dict[str, Any]:  # fmt: skip
    loc, scale = standardize(past)
    lag = season if past.shape[1] > 2 * season else 1
    change = past[:, lag:].astype(np.float64) - past[:, :-lag]
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = (~np.isnan(change)).sum(axis=1)
        error = np.nansum(np.abs(change), axis=1) / seen
        square = np.nansum(change**2, axis=1) / seen
    ours = {*SPAN, "series"}
    static = {f"static_{name}" if name in ours else name: value for name, value in (item.static or {}).items()}
    return {
        "id": item.name, "start": item.start or "", "frequency": frequency or "", "season": lag, "targets": targets, "known": known,
        "loc": loc, "scale": scale, "naive_error": error, "naive_square": square, **static,
    }  # fmt: skip


def standardize(past: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the observed values of each channel; a constant (or empty) one gets scale 1.

    Args:
        past: `(channels, length)`, NaN where missing: the training span and nothing else.
    """
    seen = ~np.isnan(past)
    count = np.maximum(seen.sum(axis=1), 1)
    filled = np.where(seen, past, 0.0).astype(np.float64)
    loc = filled.sum(axis=1) / count
    variance = (np.where(seen, filled - loc[:, None], 0.0) ** 2).sum(axis=1) / count
    # Relative to the level: adding 1e6 to a constant series must not leave rounding noise to divide by.
    constant = variance <= 1e-10 * np.maximum(loc**2, 1e-12)
    return loc.astype(np.float32), np.where(constant, 1.0, np.sqrt(variance)).astype(np.float32)


def spans(rows: list[dict[str, Any]]) -> datasets.Dataset:
    """Rows with arrays → a dataset, the values in one Arrow buffer."""
    static = {name: value for name, value in rows[0].items() if name not in {*SPAN, "series"}}
    columns: dict[str, Any] = {"series": nested([row["series"] for row in rows])}
    features: dict[str, Any] = {"series": SERIES["series"]}
    for name, feature in SPAN.items():
        given = [row[name].tolist() if isinstance(row[name], np.ndarray) else row[name] for row in rows]
        columns[name], features[name] = given, feature
    for name in static:
        columns[name], features[name] = [str(row[name]) for row in rows], datasets.Value("string")
    schema = datasets.Features(features).arrow_schema
    arrays = [c if isinstance(c, pa.Array) else pa.array(c, schema.field(name).type) for name, c in columns.items()]
    table = pa.Table.from_arrays(arrays, names=list(columns))
    info = datasets.DatasetInfo(features=datasets.Features(features))
    return datasets.Dataset(datasets.table.InMemoryTable(table), info=info)


def nested(series: Sequence[np.ndarray]) -> pa.ListArray:
    """Arrays `(channels, length)` → Arrow lists of lists of float32, copied once."""
    flat = (
        np.concatenate([np.ascontiguousarray(item, np.float32).ravel() for item in series]) if series else np.zeros(0)
    )
    lengths = np.concatenate([np.full(item.shape[0], item.shape[1]) for item in series]) if series else np.zeros(0)
    inner = pa.ListArray.from_arrays(_offsets(lengths), pa.array(flat.astype(np.float32, copy=False)))
    return pa.ListArray.from_arrays(_offsets(np.array([item.shape[0] for item in series])), inner)


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def arrays_of(dataset: datasets.Dataset, column: str = "series") -> list[np.ndarray]:
    """Every row's values as `(channels, length)` views of the Arrow buffer; a row of one flat list is one channel."""
    found: list[np.ndarray] = []
    for chunk in dataset.select_columns([column]).with_format("arrow")[:].column(column).chunks:
        chunk = chunk.cast(_of_any_length(chunk.type))
        outer = chunk.offsets.to_numpy()
        inner = chunk.values
        if not pa.types.is_list(inner.type):
            values = _floats(inner)
            found += [values[low:high][None] for low, high in zip(outer[:-1], outer[1:], strict=True)]
            continue
        bounds, values = inner.offsets.to_numpy(), _floats(inner.values)
        for low, high in zip(outer[:-1], outer[1:], strict=True):
            edges = bounds[low : high + 1]
            lengths = np.diff(edges)
            if len(lengths) and (lengths == lengths[0]).all():
                found.append(values[edges[0] : edges[-1]].reshape(len(lengths), -1))
            else:
                longest = int(lengths.max()) if len(lengths) else 0
                padded = np.full((len(lengths), longest), np.nan, np.float32)
                for row, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
                    padded[row, : last - first] = values[first:last]
                found.append(padded)
    return found


def _of_any_length(kind: pa.DataType) -> pa.DataType:
    """The type of lists that say where each begins, as lists of one given length do not."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_of_any_length(kind.value_type))
    return kind


def _floats(values: pa.Array) -> np.ndarray:
    """float32, None as NaN; a view when the buffer is float32 already."""
    array = values.to_numpy(zero_copy_only=False)
    return array if array.dtype == np.float32 else array.astype(np.float32)
