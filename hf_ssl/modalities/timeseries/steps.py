"""Steps of time: how they are spelled, how long they are, and the season that each has."""

from __future__ import annotations

import re

import numpy as np

from hf_ssl.core.errors import DataError

# Seasonal period of a step, as a forecaster would name it: MASE changes with it, so the table is published.
SEASONS = {"s": 60, "min": 60, "5min": 288, "10min": 144, "15min": 96, "30min": 48, "h": 24, "D": 7, "B": 5, "W": 52,
           "28D": 13, "MS": 12, "2MS": 6, "4MS": 3, "QS": 4, "2QS": 2, "YS": 1}  # fmt: skip
MONTHS = {"MS": 1, "2MS": 2, "QS": 3, "4MS": 4, "2QS": 6, "YS": 12}
"""Steps of whole months: no fixed number of days. Whether a month is dated by its first or last day does not matter."""
DAYS_OF = (("MS", 28, 31), ("2MS", 59, 62), ("QS", 89, 92), ("4MS", 120, 123), ("2QS", 181, 184), ("YS", 365, 366))
_WORDS = {"H": "h", "T": "min", "S": "s", "hourly": "h", "daily": "D", "weekly": "W", "monthly": "MS", "quarterly": "QS", "yearly": "YS",
          "4W": "28D", "6MS": "2QS", "3MS": "QS", "12MS": "YS"}  # fmt: skip
NANO = {"us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": 86400 * 10**9}


def season_of(frequency: str | None) -> int:
    """Steps in a season: by the table, else a day's for steps of five minutes or more that divide it; 1 where there is none."""
    if frequency in SEASONS or not frequency or frequency.isdigit() or not re.fullmatch(r"\d+(min|h)", frequency):
        return SEASONS.get(frequency or "", 1)
    step = fixed_step(frequency)
    return NANO["D"] // step if step >= 5 * NANO["min"] and NANO["D"] % step == 0 else 1


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


_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def other_anchor(given: str, stamps: np.ndarray) -> str:
    """What to tell where a step is anchored to another day or month than the dates are: `W-MON` for Sundays; "": they agree.

    Args:
        given: the user's frequency.
        stamps: `(rows,)` datetime64[ns].
    """
    found = re.fullmatch(r"(\d*B?(W|QS|QE|Q|YS|YE|Y|AS|A))-([A-Z]{3})", given)
    if found is None or stamps.dtype.kind != "M" or not len(stamps):
        return ""
    names, cycle = (_DAYS, 7) if found[2] == "W" else (_MONTHS, 3 if found[2][0] == "Q" else 12)
    if found[3] not in names:
        return ""
    of_days, of_months = (
        stamps.astype("datetime64[D]").astype(np.int64),
        stamps.astype("datetime64[M]").astype(np.int64),
    )
    own = (of_days + 3) % 7 if found[2] == "W" else of_months % 12  # 1970-01-01 was a Thursday
    counts = np.bincount(own % cycle, minlength=cycle)
    usual = int(counts.argmax())
    if counts[usual] < 0.6 * len(stamps) or usual == names.index(found[3]) % cycle:
        return ""
    written = str(stamps[int(np.argmax(own % cycle == usual))].astype("datetime64[D]"))
    return (
        f"frequency={given!r} says {found[3].title()}, and {int(counts[usual]):,} of {len(stamps):,} stamps are of {names[usual].title()}, such as "
        f"{written}: steps are taken as the stamps have them; frequency='{found[1]}-{names[usual]}' says so"
    )


def alias_of(nanoseconds: int) -> str:
    """`3_600_000_000_000` → `"h"`, `900_000_000_000` → `"15min"`."""
    for unit in ("D", "h", "min", "s", "ms", "us"):
        if nanoseconds % NANO[unit] == 0:
            count = nanoseconds // NANO[unit]
            return unit if count == 1 else f"{count}{unit}"
    return f"{nanoseconds}ns"


def fixed_step(frequency: str) -> int:
    """Length of a step in nanoseconds.

    Raises:
        DataError: pandas does not know it, or it is no fixed step, or one that does not go forward.
    """
    import pandas as pd

    if frequency == "W":
        return 7 * NANO["D"]
    try:
        step = int(pd.Timedelta(pd.tseries.frequencies.to_offset(frequency)).value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"frequency={frequency!r} is no known step (h, 15min, D, MS ...). Or leave it out.") from error
    if step <= 0:
        raise DataError(
            f"frequency={frequency!r} is no known step, because it does not go forward (h, 15min, D, MS ... do). Or leave it out."
        )
    return step


def of_days(frequency: str | None) -> bool:
    """Whether a step is days or longer, and so begins where a clock on the wall says."""
    step = canonical_frequency(frequency or "")
    return step in MONTHS or bool(re.fullmatch(r"\d*D|B|W", step))


def counted(stamps: np.ndarray, given: str) -> tuple[np.ndarray, str]:
    """Whole numbers and the step that a user gives for them: so many of them, or years.

    Returns:
        stamps (datetime64[ns] where they are years), and the step.

    Raises:
        DataError: another step of time, which counters have not; or none at all.
    """
    if given.isdigit() and int(given) > 0:
        return stamps, str(int(given))
    if canonical_frequency(given) == "YS" and 1678 <= stamps.min() and stamps.max() <= 2261:
        return (stamps - 1970).astype("datetime64[Y]").astype("datetime64[ns]"), "YS"
    shown = ", ".join(str(stamp) for stamp in stamps[:3])
    raise DataError(
        f"The time stamps are counters ({shown} ...), and frequency={given!r} is no number of them. Leave frequency out, give a whole number above "
        "0 such as frequency='1', or say that they are moments: timestamp_unit=..., or timestamp_format=..."
    )


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
    step = 7 * NANO["D"] if frequency == "W" else fixed_step(frequency)
    ticks = stamps.astype("datetime64[ns]").astype(np.int64)
    # Hourly readings at ten past are on a grid of their own: the most common offset is the grid's.
    offsets, counts = np.unique(ticks % step, return_counts=True)
    shift = int(offsets[counts.argmax()])
    return (ticks - shift) // step, bool(((ticks - shift) % step == 0).all()), shift


_NAMED = {"s": "second", "min": "minute", "h": "hour", "D": "day", "B": "business day", "W": "week", "28D": "four weeks", "MS": "month",
          "2MS": "two months", "QS": "quarter", "4MS": "four months", "2QS": "half a year", "YS": "year"}  # fmt: skip


def in_words(step: str, stamps: np.ndarray) -> str:
    """`MS (month, dated by its last day), from 2020-01-31 to 2024-12-31`: a step and what it spans; counters alone as they are.

    Args:
        stamps: `(rows,)` datetime64[ns] or whole numbers, at least one.
    """
    first, last = stamps.min(), stamps.max()
    if stamps.dtype.kind != "M":
        return f"{step}, from {first} to {last}"
    days = stamps.astype("datetime64[D]")
    ends = step in MONTHS and bool((days.astype("datetime64[M]") != (days + 1).astype("datetime64[M]")).all())
    whole = bool((stamps == days).all())
    shown = [
        str(one.astype("datetime64[D]") if whole else one.astype("datetime64[s]")).replace("T", " ")
        for one in (first, last)
    ]
    name = _NAMED.get(step, "")
    words = f" ({name}{', dated by its last day' if ends else ''})" if name else ""
    return f"{step}{words}, from {shown[0]} to {shown[1]}"
