"""Time stamps as people write them → moments. Where two readings are possible, the one that gives an even grid, or a question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.clock import clock_of
from hf_ssl.modalities.timeseries.formats import ZONE, by_known_format, days_of, guessed, in_utc
from hf_ssl.modalities.timeseries.grid import unevenness
from hf_ssl.modalities.timeseries.spellings import periods

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 2000
NANO = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EXCEL = np.datetime64("1899-12-30", "ns").astype(np.int64)
DAY = 86_400 * 10**9
_NUMERIC_DATE = re.compile(r"(\d{1,2})([/.\- ])(\d{1,2})\2(\d{4}|\d{2})(?:[ T,]+(.+))?")
_SPAN = re.compile(r"(\d.{7,}\d)\s+[-–—]\s+(?:\d.{7,}\d)")
_ISO = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T].*)?")


@dataclass(frozen=True)
class StampOptions:
    """What the user says about time stamps; None: found out.

    Attributes:
        day_first: whether `05/01/2023` is the 5th of January.
        format: as for `datetime.strptime`.
        unit: of numbers since 1970 (`excel`: days since 1899-12-30).
    """

    day_first: bool | None = None
    format: str | None = None
    unit: Literal["s", "ms", "us", "ns", "days", "excel"] | None = None


def read_stamps(column: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes) -> np.ndarray:
    """Moments as datetime64[ns] (UTC where they had a zone, NaT where there is none), or plain counters as int64.

    Args:
        column: an Arrow column.
        name: what it is called.
        options: what the user says.
        owner: `(rows,)` number of the series of each row: a reading is judged by how even it makes each.
        notes: told about every reading that was not the only one.

    Raises:
        DataError: they cannot be read, or can be read in two ways (both are shown, with the option for each).
    """
    import pandas as pd

    values = column.to_pandas()
    if pd.api.types.is_datetime64_any_dtype(values):
        return in_utc(values, notes)
    if (
        values.dtype == object
        and len(values)
        and not isinstance(values.dropna().iloc[0] if values.notna().any() else "", str)
    ):
        values = pd.to_datetime(values, errors="coerce")  # dates
        return in_utc(values, notes)
    if pd.api.types.is_bool_dtype(values):
        raise DataError(f"Column {name!r} holds true and false, no time stamps. Say which does: timestamp_column=...")
    if pd.api.types.is_numeric_dtype(values):
        return _numbers(values, name, options, owner, notes)
    text = values.where(values.notna(), None)
    known = values.dropna()
    if not len(known):
        raise DataError(f"Column {name!r} holds no time stamps. Say which does: timestamp_column=...")
    if options.format is not None:
        return _by_format(text, name, options.format, notes)
    sample = known.iloc[:: max(1, len(known) // SAMPLE)].str.strip()
    if sample.str.fullmatch(r"-?\d+(\.0)?").all():
        stripped = text.str.strip()
        numbers = pd.to_numeric(stripped, errors="coerce")
        return _numbers(numbers, name, options, owner, notes)
    if (
        sample.str.fullmatch(r"(?:0[1-9]|1[0-2])\.\d{4}|(?:19|20)\d\d\.(?:0[1-9]|1[0-2])").all()
        and sample.str.len().nunique() == 1
    ):
        return by_known_format(text.str.strip(), known.iloc[0], name, notes, owner)
    if sample.str.fullmatch(r"-?\d+\.\d+(e[+-]?\d+)?", case=False).all():
        return _numbers(pd.to_numeric(text, errors="coerce"), name, options, owner, notes)
    return _text(text, sample, name, options, owner, notes)


def _by_format(text: pd.Series, name: str, form: str, notes: Notes) -> np.ndarray:
    import pandas as pd

    try:
        return in_utc(
            pd.to_datetime(text.astype(object).map(lambda v: v if v is None else str(v).strip()), format=form), notes
        )
    except (ValueError, TypeError) as error:
        raise DataError(
            f"Column {name!r} does not hold time stamps of timestamp_format={form!r}: {str(error).splitlines()[0]}"
        ) from error


# -- numbers ------------------------------------------------------------------------------------------------------------


def _numbers(values: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes) -> np.ndarray:
    import pandas as pd

    missing = values.isna().to_numpy()
    if options.format is not None:
        text = values.map(lambda v: None if pd.isna(v) else str(int(v)))
        return _by_format(text, name, options.format, notes)
    if options.unit is not None:
        return _since(values.to_numpy(np.float64 if values.dtype.kind == "f" else np.int64), missing, options.unit)
    if not missing.all() and values.dtype.kind == "f" and (values.dropna() % 1 != 0).any():
        raise DataError(
            f"Column {name!r} holds numbers with a fraction, such as {values.dropna().iloc[0]}: seconds, milliseconds or days? Say which: "
            "timestamp_unit='s', 'ms', 'days' (since 1970, or since the beginning) or 'excel'; years with a fraction have to be written as dates."
        )
    if missing.any():
        values = values.fillna(0)
    numbers = values.to_numpy(np.int64)
    readings = _readings(numbers[~missing])
    if not readings:
        if missing.any():
            raise DataError(
                f"{int(missing.sum()):,} rows have no {name}, and counters have no gaps to see them by. Leave those rows out."
            )
        _tell_counters(numbers, name, notes)
        return numbers
    plain = unevenness(numbers[~missing], owner[~missing])
    judged = {how: unevenness(stamps, owner[~missing]) for how, stamps in readings.items()}
    best = min(judged, key=lambda how: judged[how])
    rivals = [how for how in judged if how != best and judged[how] <= judged[best] + 0.05]
    shown = {how: str(stamps[0].astype("datetime64[s]")).replace("T", " ") for how, stamps in readings.items()}
    if rivals:
        raise DataError(
            f"Column {name!r} holds numbers such as {numbers[~missing][0]}: {' or '.join(f'{shown[h]} ({_option(h)})' for h in (best, *rivals))}? "
            "Say which."
        )
    if judged[best] > plain + 0.02 and plain < 0.05 and len(numbers) > 2 and not best.startswith("%Y%m%d"):
        _tell_counters(numbers, name, notes)
        return numbers
    notes.warn(
        f"column {name!r} holds numbers such as {numbers[~missing][0]}: read as {shown[best]} ({_option(best)} says so)"
    )
    made = np.full(len(numbers), np.datetime64("NaT"), "datetime64[ns]")
    made[~missing] = readings[best]
    return made


def _option(how: str) -> str:
    return f"timestamp_format={how!r}" if "%" in how else f"timestamp_unit={how!r}"


def _since(values: np.ndarray, missing: np.ndarray, unit: str) -> np.ndarray:
    filled = np.where(missing, 0, values)
    if unit in ("excel", "days"):
        # A day with six decimals is known to a tenth of a second; steps are of whole ones.
        ticks = np.rint(filled.astype(np.float64) * 86_400).astype(np.int64) * 10**9 + (
            EXCEL if unit == "excel" else 0
        )
    elif filled.dtype.kind == "f":
        ticks = np.rint(filled * NANO[unit]).astype(np.int64)
    else:
        ticks = filled.astype(np.int64) * NANO[unit]
    made = ticks.astype("datetime64[ns]")
    made[missing] = np.datetime64("NaT")
    return made


def _readings(numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Every way in which all of these whole numbers are moments between 1900 and 2100."""
    found: dict[str, np.ndarray] = {}
    if not len(numbers):
        return found
    low, high = int(numbers.min()), int(numbers.max())
    for digits, form in ((6, "%Y%m"), (8, "%Y%m%d"), (10, "%Y%m%d%H"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")):
        if 10 ** (digits - 1) <= low and high < 10**digits:
            stamps = _digits(numbers, digits)
            if stamps is not None:
                found[form] = stamps
    for digits, forms in ((6, ("%y%m%d",)), (8, ("%d%m%Y", "%m%d%Y"))):
        if not found and high < 10**digits and low >= 10 ** (digits - 2):
            found |= {form: stamps for form in forms if (stamps := _other_digits(numbers, form)) is not None}
    if (
        10**6 <= low
        and high < 10**7
        and (numbers % 1000 >= 1).all()
        and (numbers % 1000 <= 366).all()
        and 1700 <= low // 1000 <= high // 1000 <= 2200
    ):
        years = (numbers // 1000 - 1970).astype("datetime64[Y]").astype("datetime64[D]")
        found["%Y%j"] = (years + (numbers % 1000 - 1)).astype("datetime64[ns]")
    for unit, nano in NANO.items():
        first, last = 10**18 // nano // 2, 41 * 10**17 // nano  # 1985 to 2099
        if first <= low and high <= last:
            found[unit] = (numbers * nano).astype("datetime64[ns]")
    return found


def _digits(numbers: np.ndarray, digits: int) -> np.ndarray | None:
    """Year, month, day … written without anything between them; None: one of them is no date."""
    rest, parts = numbers.copy(), []
    for _ in range((digits - 4) // 2):
        rest, part = np.divmod(rest, 100)
        parts.append(part)
    year, (month, *below) = rest, parts[::-1]
    if year.min() < 1700 or year.max() > 2200 or month.min() < 1 or month.max() > 12:
        return None
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]")
    if below:
        day = below[0]
        length = ((months + 1).astype("datetime64[M]").astype("datetime64[D]") - days).astype(np.int64)
        if day.min() < 1 or (day > length).any():
            return None
        days = days + (day - 1)
    ticks = days.astype("datetime64[s]")
    for value, limit, seconds in zip(below[1:], (24, 60, 60), (3600, 60, 1), strict=False):
        if value.min() < 0 or value.max() >= limit:
            return None
        ticks = ticks + value * seconds
    return ticks.astype("datetime64[ns]")


def _other_digits(numbers: np.ndarray, form: str) -> np.ndarray | None:
    """Days whose year does not come first, or has two digits; None: one of them is no date."""
    first, second, third = (
        numbers // 10 ** (6 if "Y" in form else 4),
        numbers // 10 ** (4 if "Y" in form else 2) % 100,
        numbers % (10_000 if "Y" in form else 100),
    )
    year, month, day = {
        "%y%m%d": (first + 2000, second, third),
        "%d%m%Y": (third, second, first),
        "%m%d%Y": (third, first, second),
    }[form]
    return _digits(year * 10_000 + month * 100 + day, 8) if day.max() < 100 and month.max() < 100 else None


def _tell_counters(numbers: np.ndarray, name: str, notes: Notes) -> None:
    """Whole numbers in a column that is called as one of dates is: years and counters from 0 or 1 are what they are, others are told."""
    if not len(numbers) or not re.search(r"date|day|week|month|year|quarter|stamp|^ds$|^time$", name, re.IGNORECASE):
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low in (0, 1) or 1700 <= low and high <= 2200:
        return
    excel = 30_000 <= low and high <= 60_000
    notes.warn(
        f"column {name!r} holds numbers such as {numbers[0]}, taken for counters; "
        + ("if they are Excel's days: timestamp_unit='excel'" if excel else "if they are dates: timestamp_unit='days' (since 1970), 's', 'ms' ... or "
           "timestamp_format='%Y%j' and the like")
    )  # fmt: skip


# -- text -----------------------------------------------------------------------------------------------------------------


def _text(
    text: pd.Series, sample: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes
) -> np.ndarray:
    import pandas as pd

    if sample.str.fullmatch(r"\d{1,2}\. \d{1,2}\. \d{2,4}.*").all():
        text, sample = (column.str.strip().str.replace(r"\.\s+", ".", n=2, regex=True) for column in (text, sample))
    if sample.str.fullmatch(_SPAN.pattern).all():
        notes.decide(f"column {name!r} holds spans such as {sample.iloc[0]!r}: read by their beginnings")
        first = text.str.extract(_SPAN.pattern)[0]
        return _text(first, first.dropna().iloc[:SAMPLE], name, options, owner, notes)
    if (late := text.str.contains(r"[ T]24:00(?::00)?$", regex=True, na=False)).any():
        return _with_midnight(text, sample, late, name, options, owner, notes)
    if sample.str.fullmatch(_ISO.pattern).all():
        try:
            zoned = bool(sample.str.contains(ZONE.pattern, regex=True).any())
            return in_utc(pd.to_datetime(text, format="ISO8601", utc=zoned), notes)
        except (ValueError, TypeError):
            return guessed(text.str.strip(), name, notes, owner)
    if sample.str.fullmatch(_NUMERIC_DATE.pattern).mean() > 0.5:
        return _day_or_month(text, name, options, owner, notes)
    if (made := periods(text, sample, name)) is not None:
        return made
    return guessed(text.str.strip(), name, notes, owner)


def _with_midnight(
    text: pd.Series,
    sample: pd.Series,
    late: pd.Series,
    name: str,
    options: StampOptions,
    owner: np.ndarray,
    notes: Notes,
) -> np.ndarray:
    """`24:00` is the midnight at the end of its day."""
    text, sample = (column.str.replace(r"([ T])24:00", r"\g<1>00:00", regex=True) for column in (text, sample))
    made = _text(text, sample, name, options, owner, notes)
    made[late.to_numpy(bool)] += np.timedelta64(1, "D")
    notes.decide(f"24:00 in column {name!r} is the midnight at the end of that day")
    return made


def _day_or_month(text: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes) -> np.ndarray:
    """`05/01/2023`: the 5th of January or the 1st of May?"""
    import pandas as pd

    parts = text.str.strip().str.extract(_NUMERIC_DATE.pattern)
    bad = parts[0].isna() & text.notna()
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise DataError(
            f"Column {name!r} holds {text.iloc[row]!r} (row {row}) among time stamps such as "
            f"{text.dropna().iloc[0]!r}. Leave those rows out, or write all stamps alike."
        )
    known = text.notna().to_numpy()
    first, second, year = (pd.to_numeric(parts[place]).to_numpy(np.float64) for place in (0, 2, 3))
    if np.nanmax(year) < 100:
        if max(np.nanmax(first), np.nanmax(second)) > 31 or (
            np.nanmax(first) > 12 and np.nanmax(year) <= 31 and len(np.unique(first[known])) < 3
        ):
            raise DataError(
                f"Column {name!r} holds {text.dropna().iloc[0]!r}: which is the year? Say {_two_digit_years(parts)}."
            )
        year = np.where(year < 70, year + 2000, year + 1900)
    clock = clock_of(parts[4], known, name)
    ways = {}
    for day_first in (True, False):
        day, month = (first, second) if day_first else (second, first)
        stamps = _dates(year, month, day, known)
        if stamps is not None:
            ways[day_first] = stamps + clock
    if options.day_first is not None:
        if options.day_first not in ways:
            raise DataError(f"day_first={options.day_first}, but column {name!r} then holds dates that do not exist.")
        return ways[options.day_first]
    if not ways:
        raise DataError(
            f"Column {name!r} holds dates that do not exist, such as {text.dropna().iloc[0]!r}, whether day or month comes first."
        )
    if len(ways) == 1:
        day_first, stamps = next(iter(ways.items()))
        notes.decide(
            f"dates such as {text.dropna().iloc[0]} have the {'day' if day_first else 'month'} first: the other way some do not exist"
        )
        return stamps
    judged = {day_first: unevenness(stamps[known], owner[known]) for day_first, stamps in ways.items()}
    best = min(judged, key=lambda way: judged[way])
    other = not best
    example = text.dropna().iloc[0]
    if np.array_equal(ways[True][known], ways[False][known]):
        return ways[best]
    if judged[best] <= 0.1 and judged[other] >= judged[best] + 0.2:
        notes.warn(
            f"dates such as {_telling(text, ways)} have the {'day' if best else 'month'} first: that way the steps are even, the other way "
            f"{judged[other]:.0%} of them are missing or repeated. day_first={str(other)} reads them the other way"
        )
        return ways[best]
    raise DataError(
        f"Column {name!r} holds dates such as {example!r}: day or month first? Both are possible. Say day_first=True (then they begin "
        f"{days_of(ways[True])}) or day_first=False ({days_of(ways[False])})."
    )


def _two_digit_years(parts: pd.DataFrame) -> str:
    """`timestamp_format='%y/%m/%d' or ...`: the formats with a year of two digits that dates such as these have."""
    mark = parts[1].dropna().iloc[0]
    clock = str(parts[4].dropna().iloc[0]) if parts[4].notna().any() else ""
    after = {0: "", 1: " %H:%M", 2: " %H:%M:%S"}[min(clock.count(":"), 2)]
    forms = [mark.join(order) + after for order in (("%y", "%m", "%d"), ("%d", "%m", "%y"), ("%m", "%d", "%y"))]
    return " or ".join(f"timestamp_format={form!r}" for form in forms)


def _telling(text: pd.Series, ways: dict[bool, np.ndarray]) -> str:
    differing = np.flatnonzero(ways[True] != ways[False])
    return str(text.iloc[int(differing[0])] if len(differing) else text.dropna().iloc[0])


def _dates(year: np.ndarray, month: np.ndarray, day: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    if np.nanmax(month) > 12 or np.nanmin(month) < 1 or np.nanmin(day) < 1:
        return None
    months = ((np.where(known, year, 1970) - 1970) * 12 + np.where(known, month, 1) - 1).astype(np.int64)
    days = months.astype("datetime64[M]").astype("datetime64[D]")
    length = ((months + 1).astype("datetime64[M]").astype("datetime64[D]") - days).astype(np.int64)
    whole = np.where(known, day, 1).astype(np.int64)
    if (whole > length).any():
        return None
    made = (days + (whole - 1)).astype("datetime64[ns]")
    made[~known] = np.datetime64("NaT")
    return made
