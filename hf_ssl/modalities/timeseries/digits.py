"""Whole numbers as time stamps: digits of a date, seconds to nanoseconds since 1970, days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.centuries import full_years

if TYPE_CHECKING:
    import pandas as pd

DAY = 86_400 * 10**9
NANO = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EXCEL = np.datetime64("1899-12-30", "ns").astype(np.int64)
SHORT = ("%y%m", "%m%y")
"""Readings of numbers that may as well be counters with holes."""
WEEKS, QUARTERS = "%G%V", "%Y%q"
OWN_FORMS = (WEEKS, QUARTERS)
"""Years with an ISO week or a quarter behind them, for which `strptime` has no reading."""
_DIGITS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%j": 3}


def option_of(how: str) -> str:
    return f"timestamp_format={how!r}" if "%" in how else f"timestamp_unit={how!r}"


def since(values: np.ndarray, missing: np.ndarray, unit: str, name: str) -> np.ndarray:
    """Numbers of a unit since 1970 (or of Excel's days) as datetime64[ns].

    Raises:
        DataError: they lie beyond the years that can be kept.
    """
    filled = np.where(missing, 0, values)
    far = np.abs(filled.astype(np.float64)) * (DAY if unit in ("excel", "days") else NANO[unit]) > 9.2e18
    if far.any():
        row = int(np.argmax(far))
        raise DataError(
            f"Column {name!r} holds {filled[row]} (row {row}): as {unit} that is beyond the years 1678 to 2261. "
            + (
                "Are they Julian days: timestamp_unit='julian'?"
                if abs(filled[row] - 2_440_588) < 60_000
                else f"Is another unit meant{_likely_unit(filled[~missing])}?"
            )
        )
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


def refuse_years_with_fraction(values: pd.Series, name: str) -> None:
    """2012.0417 may be a day of the year or a month without its zero.

    Raises:
        DataError: all are years.
    """
    if 1678 <= values.min() and values.max() <= 2261:
        raise DataError(
            f"Column {name!r} holds years with a fraction, such as {values.dropna().iloc[0]}: they have to be written as dates (2012-01-16), as "
            "nobody can say which day or month is meant; timestamp_column=... names another."
        )


def _likely_unit(numbers: np.ndarray) -> str:
    fits = [
        unit
        for unit, nano in NANO.items()
        if 10**18 // 2 <= numbers.min() * float(nano) and numbers.max() * float(nano) <= 41 * 10**17
    ]
    return f": timestamp_unit={fits[0]!r}" if fits else ", timestamp_unit=..."


def tell_other_unit(numbers: np.ndarray, unit: str, name: str, notes: Notes) -> None:
    """Warn where the unit that the user gives puts all stamps into the first days of 1970 or beyond 2100, and another into our years."""
    if unit not in NANO or not len(numbers):
        return
    first, last = float(numbers.min()), float(numbers.max())
    if 10**16 < first * NANO[unit] and last * NANO[unit] < 41 * 10**17:  # from May 1970 on
        return
    others = [
        other
        for other, nano in NANO.items()
        if other != unit and 10**18 // 2 <= first * nano and last * nano <= 41 * 10**17
    ]
    if others:
        when = str(np.datetime64(int(first) * NANO[others[0]], "ns").astype("datetime64[s]")).replace("T", " ")
        notes.warn(
            f"column {name!r} holds {first:.0f}: as timestamp_unit={unit!r} far from our years, and {when} by timestamp_unit={others[0]!r}"
        )


def readings(numbers: np.ndarray) -> dict[str, np.ndarray]:
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
    for digits, forms in (
        (4, ("%y%m", "%m%y")), (6, ("%y%m%d", "%d%m%y", "%m%d%y")), (8, ("%d%m%Y", "%m%d%Y")), (10, ("%y%m%d%H%M",)), (12, ("%y%m%d%H%M%S",)),
    ):  # fmt: skip
        # With their zeros in front they are one width; without, the widest says it.
        if not found and 10 ** (digits - 2) <= high < 10**digits and low >= (0 if digits == 4 else 10 ** (digits - 4)):
            found |= {form: stamps for form in forms if (stamps := _short_years(numbers, form)) is not None}
    if (
        10**6 <= low
        and high < 10**7
        and (numbers % 1000 >= 1).all()
        and (numbers % 1000 <= 366).all()
        and 1700 <= low // 1000 <= high // 1000 <= 2200
    ):
        years = (numbers // 1000 - 1970).astype("datetime64[Y]").astype("datetime64[D]")
        found["%Y%j"] = (years + (numbers % 1000 - 1)).astype("datetime64[ns]")
    if not found or "%Y%m" not in found and int((numbers % 100).max()) > 31:
        if (stamps := of_year_parts(numbers, WEEKS)) is not None:
            found[WEEKS] = stamps
    if (stamps := of_year_parts(numbers, QUARTERS)) is not None:
        found[QUARTERS] = stamps
    for unit, nano in NANO.items():
        first, last = 10**18 // nano // 2, 41 * 10**17 // nano  # 1985 to 2099
        if first <= low and high <= last:
            found[unit] = (numbers * nano).astype("datetime64[ns]")
    return found


def of_year_parts(numbers: np.ndarray, form: str) -> np.ndarray | None:
    """`201801` (year and ISO week) or `20181` (year and quarter) → the day on which each begins; None: one of them is no such number."""
    year, part = np.divmod(numbers, 100 if form == WEEKS else 10)
    if not len(numbers) or year.min() < 1700 or year.max() > 2200 or part.min() < 1:
        return None
    if form == QUARTERS:
        months = (year - 1970) * 12 + 3 * (part - 1)
        return None if part.max() > 4 else months.astype("datetime64[M]").astype("datetime64[ns]")
    first, following = (_first_week(year + more) for more in (0, 1))
    days = first + 7 * (part - 1)
    return None if (days >= following).any() else days.astype("datetime64[D]").astype("datetime64[ns]")


def as_year_parts(numbers: np.ndarray, form: str, name: str) -> np.ndarray:
    """`of_year_parts` of a column whose format the user gives.

    Raises:
        DataError: it holds other numbers.
    """
    made = of_year_parts(numbers.astype(np.int64), form) if (numbers % 1 == 0).all() else None
    if made is None:
        like = "201801 (year and ISO week)" if form == WEEKS else "20181 (year and quarter)"
        raise DataError(
            f"Column {name!r} holds more than numbers such as {like}, which timestamp_format={form!r} is for. Give another, or leave it out."
        )
    return made


def _first_week(year: np.ndarray) -> np.ndarray:
    """Monday of the first ISO week of years, in days since 1970: the week in which the 4th of January lies."""
    fourth = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) + 3
    return fourth - (fourth + 3) % 7


def in_units(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Moments where some rows are seconds since 1970 and others milliseconds (or finer), and the unit of each; None: they are not."""
    units = np.full(len(numbers), "", dtype="<U2")
    made = np.full(len(numbers), np.datetime64("NaT"), "datetime64[ns]")
    for unit, nano in NANO.items():
        fits = (numbers >= 10**18 // nano // 2) & (numbers <= 41 * 10**17 // nano)
        units[fits], made[fits] = unit, (numbers[fits] * nano).astype("datetime64[ns]")
    return (made, units) if (units != "").all() and len(np.unique(units)) > 1 else None


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
        late = value == 24 if limit == 24 else np.zeros(len(value), bool)  # 24:00 is the midnight at the end of a day
        if value.min() < 0 or (value[~late] >= limit).any() or any(part[late].any() for part in below[2:]):
            return None
        ticks = ticks + value * seconds
    return ticks.astype("datetime64[ns]")


def _short_years(numbers: np.ndarray, form: str) -> np.ndarray | None:
    """Dates whose year does not come first, or has two digits; None: one of them is no date."""
    rest, parts = numbers, {}
    for place in range(len(form) - 2, -1, -2):
        what = form[place : place + 2]
        rest, parts[what] = np.divmod(rest, 10 ** _DIGITS[what])
    if rest.any():
        return None
    year = parts["%Y"] if "%Y" in parts else full_years(parts["%y"])
    made, digits = year * 100 + parts["%m"], 6
    for what in ("%d", "%H", "%M", "%S"):
        if what in parts:
            made, digits = made * 100 + parts[what], digits + 2
    return _digits(made, digits) if parts["%m"].max() < 100 else None


def padded(numbers: np.ndarray, form: str) -> list[str]:
    """Digits with the zeros in front that a table of numbers lost, where a format of digits alone says how many there are."""
    whats = [form[place : place + 2] for place in range(0, len(form), 2)]
    width = sum(_DIGITS[what] for what in whats) if set(whats) <= set(_DIGITS) else 0
    return [str(number).zfill(width) for number in numbers]
