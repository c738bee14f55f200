"""Time stamps as people write them → moments. Where two readings are possible, the one that gives an even grid, or a question."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.centuries import full_years, in_their_century, tell_centuries
from hf_ssl.modalities.timeseries.clock import clock_of
from hf_ssl.modalities.timeseries.digits import (
    OWN_FORMS,
    SHORT,
    as_year_parts,
    in_units,
    option_of,
    padded,
    readings,
    refuse_years_with_fraction,
    since,
    tell_other_unit,
)
from hf_ssl.modalities.timeseries.formats import (
    by_given_format,
    by_known_format,
    days_of,
    guessed,
    turned,
    two_digit_years,
)
from hf_ssl.modalities.timeseries.grid import unevenness
from hf_ssl.modalities.timeseries.spellings import is_period, periods
from hf_ssl.modalities.timeseries.zones import ZONE, by_named_zones, in_utc, parsed, refuse_far_years

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 2000
_NUMERIC_DATE = re.compile(r"^(\d{1,2})([/.\- ])(\d{1,2})\2(\d{4}|\d{2})(?:[ T,]+(.+))?$")
_SPAN = re.compile(r"(\d.{7,}\d)\s+[-–—]\s+(?:\d.{7,}\d)")
_ELAPSED = re.compile(r"-?\d+ days?,?(?: [+-]?\d{1,2}:\d\d:\d\d(?:\.\d+)?)?")
_ISO = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T].*)?")


@dataclass(frozen=True)
class StampOptions:
    """What the user says about time stamps; None: found out.

    Attributes:
        day_first: whether `05/01/2023` is the 5th of January.
        format: as for `datetime.strptime`.
        unit: of numbers since 1970 (`excel`: days since 1899-12-30; `julian`, `mjd`: as astronomers count days).
    """

    day_first: bool | None = None
    format: str | None = None
    unit: Literal["s", "ms", "us", "ns", "days", "excel", "julian", "mjd"] | None = None


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
        return in_utc(values, name, notes)
    if (
        values.dtype == object
        and len(values)
        and not isinstance(values.dropna().iloc[0] if values.notna().any() else "", str)
    ):
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise DataError(
                f"Column {name!r} holds {column.type}, no time stamps. Say which does: timestamp_column=..."
            )
        values = pd.to_datetime(values, errors="coerce")  # dates
        return in_utc(values, name, notes)
    if pd.api.types.is_timedelta64_dtype(values):
        return _elapsed(values, name, notes)
    if pd.api.types.is_bool_dtype(values):
        raise DataError(f"Column {name!r} holds true and false, no time stamps. Say which does: timestamp_column=...")
    if pd.api.types.is_numeric_dtype(values):
        return _numbers(values, name, options, owner, notes)
    text = values.where(values.notna(), None)
    known = values.dropna()
    if not len(known):
        raise DataError(f"Column {name!r} holds no time stamps. Say which does: timestamp_column=...")
    if options.format is None or "%Z" in options.format:
        plain = replace(options, format=(options.format or "").replace("%Z", "").strip() or None)
        read = partial(read_stamps, name=name, options=plain, owner=owner, notes=notes)
        if (made := by_named_zones(text, name, read, notes)) is not None:
            return made
    if options.format is not None:
        if options.format not in OWN_FORMS or not known.str.strip().str.fullmatch(r"\d+(\.0)?").all():
            return _by_format(text, name, options.format, notes, owner)
    if options.unit is not None and not re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", known.iloc[0].strip(), re.IGNORECASE):
        notes.warn(
            f"timestamp_unit={options.unit!r} is for numbers, and column {name!r} holds {known.iloc[0]!r}: it is not used"
        )
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
    if sample.str.fullmatch(r"-?\d+\.\d+(e[+-]?\d+)?", case=False).all() and not is_period(sample.iloc[0]):
        return _numbers(pd.to_numeric(text, errors="coerce"), name, options, owner, notes)
    return _text(text, sample, name, options, owner, notes)


def _elapsed(values: pd.Series, name: str, notes: Notes) -> np.ndarray:
    """Durations are times since a beginning that nobody named."""
    notes.warn(
        f"column {name!r} holds durations such as {values.dropna().iloc[0] if values.notna().any() else None}: taken for the time since a beginning "
        "that is called 1970-01-01 here; timestamp_column=... names another"
    )
    return np.datetime64("1970-01-01", "ns") + values.to_numpy("timedelta64[ns]")


def _by_format(text: pd.Series, name: str, form: str, notes: Notes, owner: np.ndarray) -> np.ndarray:
    text = text.astype(object).map(lambda v: v if v is None else str(v).strip())
    try:
        stamps = by_given_format(text, form, name, notes, owner)
    except (ValueError, TypeError) as error:
        first = str(error).splitlines()[0].partition(" You might")[0].rstrip(".")
        raise DataError(
            f"Column {name!r} does not hold time stamps of timestamp_format={form!r}: {first}. {turned(text, form)}"
        ) from error
    if "%y" in form:
        stamps = in_their_century(stamps)
        tell_centuries(stamps, name, text.dropna().iloc[0], notes)
    return stamps


# -- numbers ------------------------------------------------------------------------------------------------------------


def _numbers(values: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes) -> np.ndarray:
    import pandas as pd

    missing = values.isna().to_numpy()
    if missing.all():
        raise DataError(f"Column {name!r} holds no time stamps. Say which does: timestamp_column=...")
    if values.dtype.kind == "f" and (endless := np.abs(values.to_numpy(np.float64)) > 9.2e18).any():
        raise DataError(
            f"Column {name!r} holds {values[endless].iloc[0]} (row {int(np.argmax(endless))}), which is no time stamp. Leave the field empty, or say "
            "which column holds them: timestamp_column=..."
        )
    if options.format in OWN_FORMS:
        return _spread(as_year_parts(values[~missing].to_numpy(np.float64), options.format, name), missing)
    if options.format is not None:
        text = pd.Series(None, index=values.index, dtype=object)
        text[~missing] = padded(values[~missing].to_numpy(np.int64), options.format)
        return _by_format(text, name, options.format, notes, owner)
    if options.unit is not None:
        numbers = values.to_numpy(np.float64 if values.dtype.kind == "f" else np.int64)
        tell_other_unit(numbers[~missing], options.unit, name, notes)
        return since(numbers, missing, options.unit, name)
    if values.dtype.kind == "f" and (values.dropna() % 1 != 0).any():
        refuse_years_with_fraction(values, name)
        raise DataError(
            f"Column {name!r} holds numbers with a fraction, such as {values.dropna().iloc[0]}: seconds, milliseconds or days? Say which: "
            "timestamp_unit='s', 'ms' or 'days' (since 1970-01-01; a time since the beginning is then dated from that day on), or 'excel'."
        )
    if missing.any():
        values = values.fillna(0)
    numbers = values.to_numpy(np.int64)
    found = _found(numbers[~missing], owner[~missing], name, notes)
    if isinstance(found, np.ndarray):
        return _spread(found, missing)
    if not found:
        if missing.any():
            raise DataError(
                f"{int(missing.sum()):,} rows have no {name}, and counters have no gaps to see them by. Leave those rows out."
            )
        _tell_counters(numbers, name, notes)
        return numbers
    plain = unevenness(numbers[~missing], owner[~missing])
    judged = {how: unevenness(stamps, owner[~missing]) for how, stamps in found.items()}
    best = min(judged, key=lambda how: judged[how])
    rivals = [how for how in judged if how != best and judged[how] <= judged[best] + 0.05]
    shown = {how: str(stamps[0].astype("datetime64[s]")).replace("T", " ") for how, stamps in found.items()}
    if rivals:
        raise DataError(
            f"Column {name!r} holds numbers such as {numbers[~missing][0]}: {' or '.join(f'{shown[h]} ({option_of(h)})' for h in (best, *rivals))}? "
            "Say which."
        )
    if judged[best] > plain + 0.02 and plain < 0.05 and len(numbers) > 2 and not best.startswith("%Y%m%d"):
        _tell_counters(numbers, name, notes)
        return numbers
    notes.warn(
        f"column {name!r} holds numbers such as {numbers[~missing][0]}: read as {shown[best]} ({option_of(best)} says so)"
    )
    return _spread(found[best], missing)


def _found(numbers: np.ndarray, owner: np.ndarray, name: str, notes: Notes) -> dict[str, np.ndarray] | np.ndarray:
    """`readings` without those that only counters with holes would have, or the moments where rows have different units.

    Raises:
        DataError: rows have different units, and are uneven.
    """
    found = readings(numbers)
    if unevenness(numbers, owner) <= 0.02:
        found = {form: stamps for form, stamps in found.items() if form not in OWN_FORMS}
    short = [form for form in found if form in SHORT]
    if short and unevenness(numbers, owner) <= 0.3:
        found = {form: stamps for form, stamps in found.items() if form not in short}
    found = {form: stamps for form, stamps in found.items() if form not in short or unevenness(stamps, owner) <= 0.05}
    if found or (mixed := in_units(numbers)) is None:
        return found
    stamps, units = mixed
    what = " and ".join(
        f"{int((units == unit).sum()):,} in {unit} ({numbers[units == unit][0]})" for unit in np.unique(units)
    )
    if unevenness(stamps, owner) > 0.1:
        raise DataError(
            f"Column {name!r} holds times since 1970 in different units: {what}. Write all stamps in one unit."
        )
    notes.warn(
        f"column {name!r} holds times since 1970 in different units, {what}: each is read in its own; write all in one if that is wrong"
    )
    return stamps


def _spread(stamps: np.ndarray, missing: np.ndarray) -> np.ndarray:
    made = np.full(len(missing), np.datetime64("NaT"), "datetime64[ns]")
    made[~missing] = stamps
    return made


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
    if sample.str.fullmatch(_ELAPSED.pattern).all():
        return _elapsed(pd.to_timedelta(text), name, notes)
    if sample.str.fullmatch(_SPAN.pattern).all():
        notes.decide(f"column {name!r} holds spans such as {sample.iloc[0]!r}: read by their beginnings")
        first = text.str.extract(_SPAN.pattern)[0]
        return _text(first, first.dropna().iloc[:SAMPLE], name, options, owner, notes)
    if (late := text.str.contains(r"[ T]24:00(?::00)?$", regex=True, na=False)).any():
        return _with_midnight(text, sample, late, name, options, owner, notes)
    if sample.str.fullmatch(_ISO.pattern).all():
        try:
            zoned = bool(sample.str.contains(ZONE.pattern, regex=True).any())
            return parsed(text, "ISO8601", name, notes, owner, zoned)
        except (ValueError, TypeError):
            return guessed(text.str.strip(), name, notes, owner)
    if sample.str.fullmatch(_NUMERIC_DATE.pattern).mean() > 0.5:
        return _day_or_month(text, name, options, owner, notes)
    if (made := periods(text, sample, name, notes)) is not None:
        return made
    return guessed(text.str.strip(), name, notes, owner)


def _with_midnight(
    text: pd.Series, sample: pd.Series, late: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes
) -> np.ndarray:  # fmt: skip
    """`24:00` is the midnight at the end of its day."""
    text, sample = (column.str.replace(r"([ T])24:00", r"\g<1>00:00", regex=True) for column in (text, sample))
    made = _text(text, sample, name, options, owner, notes)
    made[late.to_numpy(bool)] += np.timedelta64(1, "D")
    notes.decide(f"24:00 in column {name!r} is the midnight at the end of that day")
    return made


def _day_or_month(text: pd.Series, name: str, options: StampOptions, owner: np.ndarray, notes: Notes) -> np.ndarray:
    """`05/01/2023`: the 5th of January or the 1st of May? And years of two digits in their century."""
    parts = text.str.strip().str.extract(_NUMERIC_DATE.pattern)
    bad = (parts[0].isna() & text.notna()).to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"Column {name!r} holds {text.iloc[row]!r} (row {row}) among time stamps such as {text[parts[0].notna()].iloc[0]!r} "
            f"({int(bad.sum()):,} such rows). Leave those rows out, or write all stamps alike."
        )
    stamps = _ordered(text, parts, name, options, owner, notes)
    if parts[3].str.len().min() == 2:
        tell_centuries(stamps, name, text.dropna().iloc[0], notes)
    return stamps


def _ordered(
    text: pd.Series, parts: pd.DataFrame, name: str, options: StampOptions, owner: np.ndarray, notes: Notes
) -> np.ndarray:
    import pandas as pd

    known = text.notna().to_numpy()
    first, second, year = (pd.to_numeric(parts[place]).to_numpy(np.float64) for place in (0, 2, 3))
    if np.nanmax(year) < 100:
        if max(np.nanmax(first), np.nanmax(second)) > 31 or (
            np.nanmax(first) > 12 and np.nanmax(year) <= 31 and len(np.unique(first[known])) < 3
        ):
            raise DataError(
                f"Column {name!r} holds {text.dropna().iloc[0]!r}: which is the year? Say {two_digit_years(text, parts)}."
            )
    if (short := known & (year < 100)).any():
        year[short] = full_years(year[short].astype(np.int64))
    refuse_far_years(year, text, name)
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
