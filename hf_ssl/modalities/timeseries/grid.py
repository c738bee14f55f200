"""Values with time stamps → evenly spaced series, NaN where nothing was observed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.holes import Rows, refuse_holes
from hf_ssl.modalities.timeseries.repeats import repeated_at
from hf_ssl.modalities.timeseries.rounded import on_even_steps
from hf_ssl.modalities.timeseries.steps import (
    DAYS_OF,
    MONTHS,
    NANO,
    alias_of,
    canonical_frequency,
    counted,
    fixed_step,
    other_anchor,
    places_of,
)

DUPLICATES = ("last", "first", "mean", "fail")
MAX_MISSING = 0.3


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
    written: Callable[[int], tuple[str, int]] | None = None,
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
        written: what stands in the file for a row's stamp, and in which row of it.

    Returns:
        The series in the order of their first row, and the frequency (`"1"` for whole numbers).

    Raises:
        DataError: the stamps have no common step, repeat, or leave more of the grid empty than `max_missing`.
    """
    codes, order_of = _codes(names)
    resample = frequency is not None
    integer = np.issubdtype(stamps.dtype, np.integer)
    if frequency is not None and integer:
        stamps, frequency = counted(stamps, frequency)
        integer = np.issubdtype(stamps.dtype, np.integer)
    if frequency is not None:
        if told := other_anchor(frequency, stamps):
            report.warn(told)
        frequency = canonical_frequency(frequency)
    sort = np.lexsort((np.arange(len(stamps)), stamps.astype(np.int64), codes))
    if (sort[1:] < sort[:-1]).any():
        report.decide("rows were not in order of time: sorted")
    codes, stamps, values = codes[sort], stamps[sort], values[sort]
    rows = Rows(codes, stamps, None if written is None else lambda place: written(int(sort[place])))
    if frequency is None and not integer:
        frequency, stamps = _rounded(codes, stamps, report)
    frequency = frequency or _step(codes, stamps, order_of, integer)
    places, exact, shift = places_of(stamps, frequency)
    if not exact:
        report.warn(f"stamps off the {frequency} grid are put into the step they fall into")
    joined = "mean" if resample and not exact and duplicates is None else duplicates
    example = repeated_at(codes, stamps, order_of)
    if duplicates is None and joined is None:
        _refuse_uneven(codes, places, stamps, frequency, report)
    places, values, codes = _join(codes, places, values, joined, report, hint, example)
    refuse_holes(
        codes, places, frequency, given=resample, max_missing=max_missing, hint=hint, names=order_of, rows=rows,
        channels=values.shape[1], report=report,
    )  # fmt: skip
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
    if step == NANO["D"] and _is_business(stamps):
        return "B"
    return alias_of(step)


def _gaps(codes: np.ndarray, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances between neighbors of one series that differ, and whose they are."""
    within = codes[1:] == codes[:-1]
    gaps = (stamps[1:].astype(np.int64) - stamps[:-1].astype(np.int64))[within]
    return gaps[gaps > 0], codes[1:][within][gaps > 0]


_NO_GRID = (
    "No even grid fits: bring them to one (a mean or sum by day, week or month), or, if every row is one step, name a column that "
    "counts them 0, 1, 2 ...: timestamp_column=..."
)


def _rounded(codes: np.ndarray, stamps: np.ndarray, report: Notes) -> tuple[str | None, np.ndarray]:
    """The step, and stamps on it, where most gaps are none of the most frequent one because stamps were rounded; None: they were not."""
    gaps, _ = _gaps(codes, stamps)
    sizes, counts = np.unique(gaps, return_counts=True)
    if not len(gaps) or not (gaps % sizes[counts.argmax()]).any() or sizes[counts.argmax()] >= NANO["min"]:
        return None, stamps
    found = on_even_steps(codes, stamps)
    if found is None:
        return None, stamps
    made, step, unit = found
    report.warn(
        f"time stamps are rounded to {alias_of(unit)}, and lie beside even steps of {step / NANO['s']:.10g} s ({NANO['s'] / step:.6g} a second) by "
        f"less than that: put on those; frequency={alias_of(int(sizes[counts.argmax()]))!r} joins rows by another step"
    )
    return alias_of(step), made


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
            steps[alias_of(int(own[times.argmax()]))] += 1
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


def _refuse_uneven(codes: np.ndarray, places: np.ndarray, stamps: np.ndarray, frequency: str, report: Notes) -> None:
    """Different dates in one step are no repeats: steps are uneven, as months of 4, 4 and 5 weeks are.

    Raises:
        DataError: more than two rows, and more than `max_left_out`; fewer are told by date.
    """
    if frequency not in MONTHS:
        return  # other steps are held against the distances before
    same = (codes[1:] == codes[:-1]) & (places[1:] == places[:-1])
    apart = np.flatnonzero(same & (stamps[1:] != stamps[:-1]))
    if not len(apart):
        return
    pair = " and ".join(str(stamps[row].astype("datetime64[D]")) for row in (apart[0], apart[0] + 1))
    text = f"{len(apart):,} of {len(codes):,} rows are of other dates than the row before and fall into the same step ({frequency}), such as {pair}"
    if len(apart) <= 2 or len(apart) <= report.max_left_out * len(codes):
        report.warn(f"{text}: of each step the last row is taken, duplicates='mean' takes the mean, 'fail' refuses")
        return
    days = np.unique(_gaps(codes, stamps)[0] // NANO["D"], return_counts=True)
    usual = sorted(days[0][np.argsort(-days[1])][:3].tolist())
    weeks = " (whole weeks, such as a calendar of 4-4-5 weeks)" if not (days[0] % 7).any() else ""
    raise DataError(
        f"{text}. Rows are {', '.join(map(str, usual))} days apart{weeks}: uneven steps, and no repeated ones. {_NO_GRID}"
    )


def _near_step(gaps: np.ndarray) -> str | None:
    """The usual step that most distances are within two percent of: clocks that drift by a second."""
    middle = float(np.median(gaps))
    for alias in ("s", "10s", "min", "5min", "10min", "15min", "30min", "h", "6h", "12h", "D", "W"):
        step = 7 * NANO["D"] if alias == "W" else fixed_step(alias)
        if abs(middle - step) < 0.02 * step and (np.abs(gaps - step) < 0.02 * step).mean() > 0.8:
            return alias
    return None


def _calendar(sizes: np.ndarray, counts: np.ndarray) -> str | None:
    """Months, quarters and years are no fixed number of days; four weeks are, and never follow each other as months."""
    if len(sizes) == 1 and counts[0] >= 3 and sizes[0] < 365 * NANO["D"]:
        return "W" if sizes[0] == 7 * NANO["D"] else None
    days = np.round(sizes / NANO["D"]).astype(int)
    for alias, low, high in DAYS_OF:
        if counts[(days >= low) & (days <= high)].sum() > 0.5 * counts.sum():
            usual = days[counts.argmax()]
            if usual == 28 and counts.max() >= 0.8 * counts.sum() and counts.sum() >= 4:
                return None
            return alias
    return "W" if sizes[counts.argmax()] == 7 * NANO["D"] else None


def _is_business(stamps: np.ndarray) -> bool:
    """Whether days are Mondays to Fridays only, over two weeks at least, and most of those."""
    days = np.unique(stamps.astype("datetime64[D]"))
    if len(days) < 10 or len(days) > 200_000:
        return False
    weekdays = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    if (weekdays > 4).any():
        return False
    return bool(len(days) >= 0.8 * np.busday_count(days[0], days[-1] + 1))


def _time_of(place: int, frequency: str, shift: int) -> str:
    if frequency.isdigit():
        return str(place * int(frequency) + shift)
    if frequency in MONTHS:
        return str(np.datetime64(place * MONTHS[frequency] + shift, "M"))
    if frequency == "B":
        return str(np.busday_offset("1970-01-01", place, roll="forward"))
    step = 7 * NANO["D"] if frequency == "W" else fixed_step(frequency)
    return str(np.datetime64(place * step + shift, "ns").astype("datetime64[s]"))


def _join(
    codes: np.ndarray,
    places: np.ndarray,
    values: np.ndarray,
    duplicates: str | None,
    report: Notes,
    hint: str,
    example: str,
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
        f"{repeated:,} of {len(codes):,} rows repeat a time stamp: took their {duplicates} (duplicates=... takes another){example}"
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
        length = pd.Timedelta(7 * NANO["D"] if frequency == "W" else fixed_step(frequency), unit="ns")
        found = [begin + step * length for step in steps]
    return np.array(found, dtype="datetime64[ns]")
