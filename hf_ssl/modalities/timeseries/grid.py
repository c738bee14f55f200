"""Values with time stamps → evenly spaced series, NaN where nothing was observed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import rounded_up
from hf_ssl.modalities.base import Notes

# Seasonal period of a step, as a forecaster would name it: MASE changes with it, so the table is published.
SEASONS = {"s": 60, "min": 60, "5min": 288, "10min": 144, "15min": 96, "30min": 48, "h": 24, "D": 7, "B": 5, "W": 52,
           "28D": 13, "MS": 12, "2MS": 6, "4MS": 3, "QS": 4, "2QS": 2, "YS": 1}  # fmt: skip
DUPLICATES = ("last", "first", "mean", "fail")
MAX_MISSING = 0.3
MONTHS = {"MS": 1, "2MS": 2, "QS": 3, "4MS": 4, "2QS": 6, "YS": 12}
"""Steps of whole months: no fixed number of days. Whether a month is dated by its first or last day does not matter."""
_DAYS_OF = (("MS", 28, 31), ("2MS", 59, 62), ("QS", 89, 92), ("4MS", 120, 123), ("2QS", 181, 184), ("YS", 365, 366))
_WORDS = {"H": "h", "T": "min", "S": "s", "hourly": "h", "daily": "D", "weekly": "W", "monthly": "MS", "quarterly": "QS", "yearly": "YS",
          "4W": "28D", "6MS": "2QS", "3MS": "QS", "12MS": "YS"}  # fmt: skip
_NANO = {"us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": 86400 * 10**9}


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
    """Steps in a season: by the table, else a day's for steps of five minutes or more that divide it; 1 where there is none."""
    if frequency in SEASONS or not frequency or frequency.isdigit() or not re.fullmatch(r"\d+(min|h)", frequency):
        return SEASONS.get(frequency or "", 1)
    step = fixed_step(frequency)
    return _NANO["D"] // step if step >= 5 * _NANO["min"] and _NANO["D"] % step == 0 else 1


def canonical_frequency(given: str) -> str:
    """The spelling used here of a step as pandas, GluonTS or a person writes it: `M`, `ME` → `MS`, `W-SUN` → `W`, `H` → `h`."""
    text = _WORDS.get(given, given)
    if older := re.fullmatch(r"(\d*)([TSHLU])", text):  # pandas' names of before 2.2
        text = older[1] + {"T": "min", "S": "s", "H": "h", "L": "ms", "U": "us"}[older[2]]
    text = "B" if text == "C" else re.sub(r"^B(?=[MQYA])", "", text)
    match = re.fullmatch(r"(\d*)(MS|ME|M|QS|QE|Q|YS|YE|Y|AS|A|W)(?:-[A-Z]{3})?", text)
    if match is None:
        return text
    unit = {"M": "MS", "Q": "QS", "Y": "YS", "A": "YS", "W": "W"}[match[2][0]]
    text = unit if match[1] in ("", "1") else f"{match[1]}{unit}"
    return _WORDS.get(text, text)


def to_grid(
    names: np.ndarray,
    stamps: np.ndarray,
    values: np.ndarray,
    *,
    frequency: str | None,
    duplicates: str | None,
    report: Notes,
    max_missing: float = MAX_MISSING,
    hint: str = "",
) -> tuple[list[Series], str]:
    """Sort, join repeated stamps, fill gaps with NaN.

    Args:
        names: `(rows,)` which series a row belongs to.
        stamps: `(rows,)` datetime64[ns] (in UTC when they had a zone) or whole numbers.
        values: `(rows, channels)` float32.
        frequency: pandas alias such as `"h"`; None: found from the stamps. When given, rows that fall into one step
            are averaged.
        duplicates: what to take of rows with the same name and stamp: `"last"`, `"first"`, `"mean"`, or `"fail"`; None: the
            last, unless they are so many that something else is wrong.
        report: gets what was decided.
        max_missing: largest share of steps without a row.
        hint: what may be wrong when the grid does not fit, as the caller sees it.

    Returns:
        The series in the order of their first row, and the frequency (`"1"` for whole numbers).

    Raises:
        DataError: the stamps have no common step, repeat, or leave more of the grid empty than `max_missing`.
    """
    codes, order_of = _codes(names)
    resample = frequency is not None
    frequency = canonical_frequency(frequency) if frequency is not None else None
    integer = np.issubdtype(stamps.dtype, np.integer)
    sort = np.lexsort((np.arange(len(stamps)), stamps.astype(np.int64), codes))
    if (sort[1:] < sort[:-1]).any():
        report.decide("rows were not in order of time: sorted")
    codes, stamps, values = codes[sort], stamps[sort], values[sort]
    frequency = frequency or _step(codes, stamps, order_of, integer)
    places, exact, shift = places_of(stamps, frequency)
    if not exact:
        report.warn(f"stamps off the {frequency} grid are put into the step they fall into")
    joined = "mean" if resample and not exact and duplicates is None else duplicates
    places, values, codes = _join(codes, places, values, joined, report, hint)
    _refuse_holes(codes, places, frequency, resample, max_missing, hint)
    found, missing = [], 0
    for code, name in enumerate(order_of):
        low, high = np.searchsorted(codes, [code, code + 1])
        mine = places[low:high]
        grid = np.full((values.shape[1], int(mine[-1] - mine[0]) + 1), np.nan, np.float32)
        grid[:, mine - mine[0]] = values[low:high].T
        missing += grid.shape[1] - len(mine)
        found.append(Series(name, grid, _time_of(int(mine[0]), frequency, shift), int(mine[0])))
    if missing:
        steps = sum(item.values.shape[1] for item in found)
        tell = report.warn if missing > 0.02 * steps else report.decide
        tell(f"{missing:,} of {steps:,} steps have no row and are missing values")
    return found, frequency


def _refuse_holes(
    codes: np.ndarray, places: np.ndarray, frequency: str, given: bool, max_missing: float, hint: str
) -> None:
    """A grid that is mostly empty is the wrong grid.

    Raises:
        DataError: with what else the stamps may mean.
    """
    first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    last = np.append(first[1:], len(codes)) - 1
    steps = int((places[last] - places[first] + 1).sum())
    share = 1 - len(places) / steps
    if steps - len(places) > 2 and share > max_missing:
        what = f"frequency={frequency!r} does not fit" if given else f"the most common step is {frequency}"
        raise DataError(
            f"{what}, and {share:.0%} of the steps have no row ({len(places):,} rows, {steps:,} steps). "
            f"{hint or 'Are the time stamps read right (day_first, timestamp_format, timestamp_unit)? Is another step meant (frequency)?'} "
            f"If the gaps are real: max_missing={rounded_up(share):g}."
        )


def _codes(names: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers for names, in order of first appearance."""
    import pandas as pd

    codes, unique = pd.factorize(names, use_na_sentinel=False)
    return codes.astype(np.int64), [str(name) for name in unique]


def frequency_of(codes: np.ndarray, stamps: np.ndarray) -> str | None:
    """The most frequent distance between neighbors of one series, sorted; None: there are no two different stamps.

    Months, quarters and years are no fixed number of days, and days without weekends are business days.
    """
    gaps, _ = _gaps(codes, stamps)
    if not len(gaps):
        return None
    sizes, counts = np.unique(gaps, return_counts=True)
    step = int(sizes[counts.argmax()])
    if np.issubdtype(stamps.dtype, np.integer):
        return str(int(np.gcd.reduce(sizes)) if len(sizes) > 1 else step)
    calendar = _calendar(sizes, counts)
    if calendar:
        return calendar
    if step == _NANO["D"] and _is_business(stamps):
        return "B"
    return _alias(step)


def _gaps(codes: np.ndarray, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances between neighbors of one series that differ, and whose they are."""
    within = codes[1:] == codes[:-1]
    gaps = (stamps[1:].astype(np.int64) - stamps[:-1].astype(np.int64))[within]
    return gaps[gaps > 0], codes[1:][within][gaps > 0]


_NO_GRID = (
    "No even grid fits: bring them to one (a mean or sum by day, week or month), or, if every row is one step, name a column that "
    "counts them 0, 1, 2 ...: timestamp_column=..."
)


def _step(codes: np.ndarray, stamps: np.ndarray, names: list[str], integer: bool) -> str:
    """`frequency_of`, or why there is none.

    Raises:
        DataError: series have different steps, or most distances are no multiple of the step.
    """
    found = frequency_of(codes, stamps)
    if found is None:
        raise DataError(
            "No series has two different time stamps; which step it has cannot be seen. Give frequency='h'."
        )
    if integer or found in MONTHS or found in ("B", "W"):
        return found
    gaps, owner = _gaps(codes, stamps)
    step = fixed_step(found)
    share = float((gaps % step == 0).mean())
    if share < 0.9:
        steps = Counter()  # type: Counter[str]
        for code in np.unique(owner):
            own, times = np.unique(gaps[owner == code], return_counts=True)
            steps[_alias(int(own[times.argmax()]))] += 1
        example = names[int(owner[(gaps % step != 0)][0])]
        near = _near_step(gaps)
        # A grid is named only where following the advice puts nearly every row on a step of its own.
        fits = near is not None or share >= 0.8
        shown = ", ".join(f"{count:,} series with {name}" for name, count in steps.most_common(4))
        raise DataError(
            f"The time stamps have no common step ({shown}; {1 - share:.0%} of the distances are no multiple of "
            f"the most common one, for example in series {example!r}). "
            + (f"Say which grid to put them on: frequency={near or found!r}." if fits else _NO_GRID)
        )
    return found


def _near_step(gaps: np.ndarray) -> str | None:
    """The usual step that most distances are within two percent of: clocks that drift by a second."""
    middle = float(np.median(gaps))
    for alias in ("s", "10s", "min", "5min", "10min", "15min", "30min", "h", "6h", "12h", "D", "W"):
        step = 7 * _NANO["D"] if alias == "W" else fixed_step(alias)
        if abs(middle - step) < 0.02 * step and (np.abs(gaps - step) < 0.02 * step).mean() > 0.8:
            return alias
    return None


def _calendar(sizes: np.ndarray, counts: np.ndarray) -> str | None:
    """Months, quarters and years are no fixed number of days; four weeks are, and never follow each other as months."""
    if len(sizes) == 1 and counts[0] >= 3 and sizes[0] < 365 * _NANO["D"]:
        return "W" if sizes[0] == 7 * _NANO["D"] else None
    days = np.round(sizes / _NANO["D"]).astype(int)
    for alias, low, high in _DAYS_OF:
        if counts[(days >= low) & (days <= high)].sum() > 0.5 * counts.sum():
            usual = days[counts.argmax()]
            if usual == 28 and counts.max() >= 0.8 * counts.sum() and counts.sum() >= 4:
                return None
            return alias
    return "W" if sizes[counts.argmax()] == 7 * _NANO["D"] else None


def _is_business(stamps: np.ndarray) -> bool:
    """Whether days are Mondays to Fridays only, over two weeks at least, and most of those."""
    days = np.unique(stamps.astype("datetime64[D]"))
    if len(days) < 10 or len(days) > 200_000:
        return False
    weekdays = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    if (weekdays > 4).any():
        return False
    return bool(len(days) >= 0.8 * np.busday_count(days[0], days[-1] + 1))


def _alias(nanoseconds: int) -> str:
    """`3_600_000_000_000` → `"h"`, `900_000_000_000` → `"15min"`."""
    for unit in ("D", "h", "min", "s", "ms", "us"):
        if nanoseconds % _NANO[unit] == 0:
            count = nanoseconds // _NANO[unit]
            return unit if count == 1 else f"{count}{unit}"
    return f"{nanoseconds}ns"


def fixed_step(frequency: str) -> int:
    """Length of a step in nanoseconds.

    Raises:
        DataError: pandas does not know it, or it is no fixed step.
    """
    import pandas as pd

    if frequency == "W":
        return 7 * _NANO["D"]
    try:
        return int(pd.Timedelta(pd.tseries.frequencies.to_offset(frequency)).value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"frequency={frequency!r} is no known step (h, 15min, D, MS ...). Or leave it out.") from error


def places_of(stamps: np.ndarray, frequency: str) -> tuple[np.ndarray, bool, int]:
    """Number of the step each stamp falls into (from 1970, or from 0), whether all are on the grid, the grid's offset."""
    if np.issubdtype(stamps.dtype, np.integer):
        step = int(frequency)
        rest = int(stamps[0]) % step
        return (stamps - rest) // step, bool(((stamps - rest) % step == 0).all()), rest
    if frequency in MONTHS:
        months = stamps.astype("datetime64[M]").astype(np.int64)
        phases, counts = np.unique(months % MONTHS[frequency], return_counts=True)
        phase = int(phases[counts.argmax()])  # a year may begin in July
        return (months - phase) // MONTHS[frequency], len(phases) == 1, phase
    if frequency == "B":
        days = stamps.astype("datetime64[D]")
        weekend = (days.astype(np.int64) + 3) % 7 > 4
        return np.busday_count(np.datetime64("1970-01-01"), days), not weekend.any(), 0
    step = 7 * _NANO["D"] if frequency == "W" else fixed_step(frequency)
    ticks = stamps.astype("datetime64[ns]").astype(np.int64)
    # Hourly readings at ten past are on a grid of their own: the most common offset is the grid's.
    offsets, counts = np.unique(ticks % step, return_counts=True)
    shift = int(offsets[counts.argmax()])
    return (ticks - shift) // step, bool(((ticks - shift) % step == 0).all()), shift


def _time_of(place: int, frequency: str, shift: int) -> str:
    if frequency.isdigit():
        return str(place * int(frequency) + shift)
    if frequency in MONTHS:
        return str(np.datetime64(place * MONTHS[frequency] + shift, "M"))
    if frequency == "B":
        return str(np.busday_offset("1970-01-01", place, roll="forward"))
    step = 7 * _NANO["D"] if frequency == "W" else fixed_step(frequency)
    return str(np.datetime64(place * step + shift, "ns").astype("datetime64[s]"))


def _join(
    codes: np.ndarray, places: np.ndarray, values: np.ndarray, duplicates: str | None, report: Notes, hint: str
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
    if duplicates is None and repeated > 2 and repeated > report.max_left_out * len(codes):
        raise DataError(
            f"{repeated:,} of {len(codes):,} rows repeat the time stamp of another row of the same series. "
            f"{hint or 'Which column tells series apart? item_column=...'} If one series really has several rows a step: duplicates='last', "
            "'first' or 'mean'."
        )
    duplicates = duplicates or "last"
    report.leave_out(
        "rows", f"joined with another row of the same step ({duplicates})", repeated, len(codes), warn=False
    )
    report.warn(
        f"{repeated:,} of {len(codes):,} rows repeat a time stamp: took their {duplicates} (duplicates=... takes another)"
    )
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


def unevenness(stamps: np.ndarray, owner: np.ndarray) -> float:
    """Share of steps that are missing or repeated on the grid that these stamps make, months being even; 0: none."""
    keep = np.ones(len(stamps), bool) if stamps.dtype.kind == "i" else ~np.isnat(stamps)
    stamps, owner = stamps[keep], owner[keep]
    order = np.lexsort((stamps.astype(np.int64), owner))
    stamps, owner = stamps[order], owner[order]
    step = frequency_of(owner, stamps)
    if step is None:
        return 1.0
    places, _, _ = places_of(stamps, step)
    first = np.ones(len(owner), bool)
    first[1:] = owner[1:] != owner[:-1]
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(owner)) - 1
    steps = int((places[ends] - places[starts] + 1).sum())
    repeated = int(((places[1:] == places[:-1]) & ~first[1:]).sum())
    seen = len(places) - repeated
    return (steps - seen + repeated) / max(1, steps + repeated)


def times_from(start: str, frequency: str, first: int, count: int) -> np.ndarray | None:
    """Times of `count` steps of a series, datetime64, from the step number `first`; None: it is counted, not dated."""
    import pandas as pd

    if not start or not frequency or frequency.isdigit():
        return None
    steps, begin = range(first, first + count), pd.Timestamp(start)
    if begin.tzinfo is not None:
        begin = begin.tz_convert(None)
    if frequency in MONTHS:
        found = [begin + pd.DateOffset(months=MONTHS[frequency] * step) for step in steps]
    elif frequency == "B":
        found = [begin + pd.offsets.BusinessDay(step) for step in steps]
    else:
        length = pd.Timedelta(7 * _NANO["D"] if frequency == "W" else fixed_step(frequency), unit="ns")
        found = [begin + step * length for step in steps]
    return np.array(found, dtype="datetime64[ns]")
