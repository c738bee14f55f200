"""Values with time stamps → evenly spaced series, NaN where nothing was observed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes

# Seasonal period of a step, as a forecaster would name it: MASE changes with it, so the table is published.
SEASONS = {"s": 60, "min": 60, "5min": 288, "10min": 144, "15min": 96, "30min": 48, "h": 24, "D": 7, "B": 5, "W": 52,
           "MS": 12, "QS": 4, "YS": 1}  # fmt: skip
DUPLICATES = ("last", "first", "mean", "fail")
_CALENDAR = {"W": 7, "MS": 30.4, "QS": 91.3, "YS": 365.25}
_NANO = {"s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": 86400 * 10**9}


@dataclass
class Series:
    """One evenly spaced series.

    Args:
        name: which series.
        values: `(channels, length)` float32, NaN where nothing was observed.
        start: time of the first value, ISO text, or None without time stamps.
        place: number of the first step on the grid that all series share.
    """

    name: str
    values: np.ndarray
    start: str | None = None
    place: int = 0
    static: dict[str, Any] | None = None


def season_of(frequency: str | None) -> int:
    """Steps in a season (1 when the frequency has none or is not known)."""
    return SEASONS.get(frequency or "", 1)


def to_grid(
    names: np.ndarray,
    stamps: np.ndarray,
    values: np.ndarray,
    *,
    frequency: str | None,
    duplicates: str,
    report: Notes,
) -> tuple[list[Series], str]:
    """Sort, join repeated stamps, fill gaps with NaN.

    Args:
        names: `(rows,)` which series a row belongs to.
        stamps: `(rows,)` datetime64[ns] (in UTC when they had a zone) or whole numbers.
        values: `(rows, channels)` float32.
        frequency: pandas alias such as `"h"`; None: found from the stamps. When given, rows that fall into one step
            are averaged.
        duplicates: what to take of rows with the same name and stamp: `"last"`, `"first"`, `"mean"`, or `"fail"`.
        report: gets what was decided.

    Returns:
        The series in the order of their first row, and the frequency (`"1"` for whole numbers).

    Raises:
        DataError: the stamps have no common step, or repeat and `duplicates="fail"`.
    """
    codes, order_of = _codes(names)
    resample = frequency is not None
    integer = np.issubdtype(stamps.dtype, np.integer)
    sort = np.lexsort((np.arange(len(stamps)), stamps.astype(np.int64), codes))
    if (sort[1:] < sort[:-1]).any():
        report.decide("rows were not in order of time: sorted")
    codes, stamps, values = codes[sort], stamps[sort], values[sort]
    frequency = frequency or _step(codes, stamps, order_of, integer)
    places, exact, shift = _places(stamps, frequency)
    if not exact:
        report.decide(f"stamps off the {frequency} grid are put into the step they fall into")
    places, values, codes = _join(codes, places, values, "mean" if resample and not exact else duplicates, report)
    found, missing = [], 0
    for code, name in enumerate(order_of):
        low, high = np.searchsorted(codes, [code, code + 1])
        mine = places[low:high]
        grid = np.full((values.shape[1], int(mine[-1] - mine[0]) + 1), np.nan, np.float32)
        grid[:, mine - mine[0]] = values[low:high].T
        missing += grid.shape[1] - len(mine)
        found.append(Series(name, grid, _time_of(int(mine[0]), frequency, shift), int(mine[0])))
    if missing:
        report.decide(f"{missing:,} steps without a row are missing values")
    return found, frequency


def _codes(names: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers for names, in order of first appearance."""
    import pandas as pd

    codes, unique = pd.factorize(names, use_na_sentinel=False)
    return codes.astype(np.int64), [str(name) for name in unique]


def _step(codes: np.ndarray, stamps: np.ndarray, names: list[str], integer: bool) -> str:
    """The most frequent distance between neighbors of one series.

    Raises:
        DataError: series have different steps, or most distances are no multiple of the step.
    """
    within = codes[1:] == codes[:-1]
    gaps = (stamps[1:].astype(np.int64) - stamps[:-1].astype(np.int64))[within]
    owner, gaps = codes[1:][within][gaps > 0], gaps[gaps > 0]
    if not len(gaps):
        raise DataError(
            "No series has two different time stamps; which step it has cannot be seen. Give frequency='h'."
        )
    sizes, counts = np.unique(gaps, return_counts=True)
    step = int(sizes[counts.argmax()])
    if integer:
        step = int(np.gcd.reduce(sizes)) if len(sizes) > 1 else step
        return str(step)
    calendar = _calendar(sizes, counts)
    if calendar:
        return calendar
    share = float(counts[sizes % step == 0].sum() / counts.sum())
    if share < 0.9:
        steps = Counter()  # type: Counter[str]
        for code in np.unique(owner):
            own, times = np.unique(gaps[owner == code], return_counts=True)
            steps[_alias(int(own[times.argmax()]))] += 1
        example = names[int(owner[(gaps % step != 0)][0])]
        shown = ", ".join(f"{count:,} series with {name}" for name, count in steps.most_common(4))
        raise DataError(
            f"The time stamps have no common step ({shown}; {1 - share:.0%} of the distances are no multiple of "
            f"{_alias(step)}, for example in series {example!r}). Say which grid to put them on: frequency={_alias(step)!r}."
        )
    return _alias(step)


def _calendar(sizes: np.ndarray, counts: np.ndarray) -> str | None:
    """Months, quarters and years are no fixed number of days."""
    days = np.round(sizes / _NANO["D"]).astype(int)
    for alias, low, high in (("MS", 28, 31), ("QS", 90, 92), ("YS", 365, 366)):
        if counts[(days >= low) & (days <= high)].sum() > 0.5 * counts.sum():
            return alias
    return "W" if sizes[counts.argmax()] == 7 * _NANO["D"] else None


def _alias(nanoseconds: int) -> str:
    """`3_600_000_000_000` → `"h"`, `900_000_000_000` → `"15min"`."""
    for unit in ("D", "h", "min", "s"):
        if nanoseconds % _NANO[unit] == 0:
            count = nanoseconds // _NANO[unit]
            return unit if count == 1 else f"{count}{unit}"
    return f"{nanoseconds}ns"


def fixed_step(frequency: str) -> int:
    """Length of a step in nanoseconds.

    Raises:
        DataError: pandas does not know it.
    """
    import pandas as pd

    try:
        return int(pd.Timedelta(pd.tseries.frequencies.to_offset(frequency)).value)
    except ValueError as error:
        raise DataError(f"frequency={frequency!r} is no step that pandas knows, such as h, 15min, D, MS.") from error


def _places(stamps: np.ndarray, frequency: str) -> tuple[np.ndarray, bool, int]:
    """Number of the step each stamp falls into (from 1970, or from 0), whether all are on the grid, the grid's offset."""
    if np.issubdtype(stamps.dtype, np.integer):
        step = int(frequency)
        rest = int(stamps[0]) % step
        return (stamps - rest) // step, bool(((stamps - rest) % step == 0).all()), rest
    if frequency in ("MS", "QS", "YS"):
        months = stamps.astype("datetime64[M]").astype(np.int64)
        return months // {"MS": 1, "QS": 3, "YS": 12}[frequency], True, 0
    step = 7 * _NANO["D"] if frequency == "W" else fixed_step(frequency)
    ticks = stamps.astype("datetime64[ns]").astype(np.int64)
    # Hourly readings at ten past are on a grid of their own: the most common offset is the grid's.
    offsets, counts = np.unique(ticks % step, return_counts=True)
    shift = int(offsets[counts.argmax()])
    return (ticks - shift) // step, bool(((ticks - shift) % step == 0).all()), shift


def _time_of(place: int, frequency: str, shift: int) -> str:
    if frequency.isdigit():
        return str(place * int(frequency) + shift)
    if frequency in ("MS", "QS", "YS"):
        return str(np.datetime64(place * {"MS": 1, "QS": 3, "YS": 12}[frequency], "M"))
    step = 7 * _NANO["D"] if frequency == "W" else fixed_step(frequency)
    return str(np.datetime64(place * step + shift, "ns").astype("datetime64[s]"))


def _join(
    codes: np.ndarray, places: np.ndarray, values: np.ndarray, duplicates: str, report: Notes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row per series and step."""
    first = np.ones(len(codes), bool)
    first[1:] = (codes[1:] != codes[:-1]) | (places[1:] != places[:-1])
    repeated = int((~first).sum())
    if not repeated:
        return places, values, codes
    if duplicates == "fail":
        row = int(np.flatnonzero(~first)[0])
        raise DataError(
            f"{repeated:,} rows repeat the time stamp of another row of the same series (for example row {row} in order of "
            "time). Say what to take of them: duplicates='last', 'first' or 'mean'."
        )
    report.decide(f"{repeated:,} rows repeat a time stamp: took their {duplicates}")
    starts = np.flatnonzero(first)
    if duplicates == "mean":
        group = np.cumsum(first) - 1
        seen = ~np.isnan(values)
        sums = np.stack(
            [np.bincount(group, np.where(s, v, 0), len(starts)) for v, s in zip(values.T, seen.T, strict=True)]
        )
        counts = np.stack([np.bincount(group, s, len(starts)) for s in seen.T])
        with np.errstate(invalid="ignore"):
            joined = (sums / counts).T.astype(np.float32)
    else:
        chosen = starts if duplicates == "first" else np.append(starts[1:], len(codes)) - 1
        joined = values[chosen]
    return places[starts], joined, codes[starts]
