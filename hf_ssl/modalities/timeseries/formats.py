"""Time stamps whose format is found by trying: what pandas makes of the first, else the formats that people use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.calendar_words import english_month
from hf_ssl.modalities.timeseries.centuries import in_their_century, tell_centuries
from hf_ssl.modalities.timeseries.grid import unevenness
from hf_ssl.modalities.timeseries.zones import ZONE, parsed

if TYPE_CHECKING:
    import pandas as pd


_FORMS = ("%b %Y", "%B %Y", "%Y %b", "%Y %B", "%b-%Y", "%B-%Y", "%b/%Y", "%d%b%Y", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p",
          "%Y/%m/%d %I:%M:%S %p", "%Y/%m/%d %I:%M %p", "%d-%b-%Y %I:%M %p", "%d %b %Y %I:%M %p")  # fmt: skip
"""What pandas does not guess and can be read in one way only."""
_RARER = (
    "%m/%Y", "%Y/%m", "%m-%Y", "%Y %m", "%m/%y", "%y/%m", "%m-%y", "%y-%m", "%m.%y", "%b '%y", "%B, %Y", "%b, %Y",
    "%b. %Y", "%b'%y", "%b-%y", "%y-%b", "%b %y", "%b/%y", "%B-%y", "%B %y",
    "%m.%Y", "%Y.%m", "%d-%b-%y", "%d %b %y", "%Y_%m_%d", "%Y年%m月%d日", "%Y년 %m월 %d일", "%Y-%j", "%d/%b/%Y:%H:%M:%S %z",
    "%H:%M %d/%m/%Y", "%H:%M:%S %d/%m/%Y", "%H:%M %m/%d/%Y", "%d-%b-%Y:%H:%M", "%Y-%m-%d %Hh", "%d-%m-%Y %H.%M", "%d.%m.%Y %H.%M",
    "%Y-%m-%d_%H-%M-%S", "%Y%m%d_%H%M%S", "%Y-%d-%m", "%Y/%d/%m", "%Y-%d-%m %H:%M", "%Y-%d-%m %H:%M:%S", "%Y/%d/%m %H:%M", "%Y/%d/%m %H:%M:%S",
)  # fmt: skip
"""Formats that are tried where nothing else reads, and taken where the grid is even."""


def guessed(text: pd.Series, name: str, notes: Notes, owner: np.ndarray | None = None) -> np.ndarray:
    """What pandas makes of the first stamp holds for all: month names, slashes after the year and the like."""
    import warnings

    first = text.dropna().iloc[0]
    for form in (None, *_FORMS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # pandas says so when it would guess anew for every row
                return parsed(text, form, name, notes, owner, bool(ZONE.search(first)))
        except (ValueError, TypeError, UserWarning):
            continue
    english = in_english(text)
    if english.notna().sum() == text.notna().sum() and (english != text)[text.notna()].any():
        row = int((english != text).to_numpy().argmax())
        notes.decide(
            f"months in column {name!r} are read by their names, such as {text.iloc[row]!r} as {english.iloc[row]!r}"
        )
        return guessed(english, name, notes, owner)
    return by_known_format(text, first, name, notes, owner)


def by_given_format(text: pd.Series, form: str, name: str, notes: Notes, owner: np.ndarray) -> np.ndarray:
    """`parsed`, with the names of months as other languages than English have them, too."""
    try:
        return parsed(text, form, name, notes, owner)
    except ValueError:
        if not re.search(r"%[yYGcxs]", form) and "%d" in form:
            return by_given_format(_in_leap_year(text), f"%Y {form}", name, notes, owner)
        if not re.search("%[bB]", form):
            raise
        return parsed(in_english(text), form.replace("%B", "%b"), name, notes, owner)


def _in_leap_year(text: pd.Series) -> pd.Series:
    """Days whose year is not said, of a year that has the 29th of February."""
    return ("2000 " + text).where(text.notna())


def turned(text: pd.Series, form: str) -> str:
    """What to say where a format does not fit: the one with day and month the other way round, if that does."""
    import pandas as pd

    other = form.translate(str.maketrans("dm", "md"))
    if other != form and (pd.to_datetime(text, format=other, errors="coerce").notna() == text.notna()).all():
        return f"With day and month turned it fits: timestamp_format={other!r}."
    return "Say how the stamps are written, or leave timestamp_format out: then it is found out."


def in_english(text: pd.Series) -> pd.Series:
    """Stamps with the names of their months in English; None where there is no name of a month."""
    return text.map(lambda value: None if value is None or value != value else english_month(value))


def _refuse_strangers(text: pd.Series, name: str) -> None:
    """A sum or a note below the table among time stamps that can be read.

    Raises:
        DataError: names it and its row.
    """
    import pandas as pd

    known = text.notna()
    for form in ("ISO8601", "mixed"):
        read = pd.to_datetime(text, format=form, errors="coerce", utc=True)
        strange = known & read.isna()
        if 0 < strange.sum() <= 0.5 * known.sum():
            row = int(np.flatnonzero(strange.to_numpy())[0])
            raise DataError(
                f"Column {name!r} holds {text.iloc[row]!r} (row {row}) among time stamps such as "
                f"{text[known & ~strange].iloc[0]!r} ({int(strange.sum()):,} such rows). "
                "Leave those rows out, or write all stamps alike."
            )


def by_known_format(text: pd.Series, first: str, name: str, notes: Notes, owner: np.ndarray | None) -> np.ndarray:
    """The format, of those that people use, with which all stamps can be read and make an even grid.

    Raises:
        DataError: there is none, or several do (each is named).
    """
    fits: dict[str, np.ndarray] = {}
    for form in _RARER:
        try:
            fits[form] = parsed(text, form, name, notes, owner)
        except (ValueError, TypeError):
            continue
        if "%y" in form:
            fits[form] = in_their_century(fits[form])
    if not fits:
        _refuse_strangers(text, name)
    known = text.notna().to_numpy()
    owner = np.zeros(len(text), np.int64) if owner is None else owner
    even = [form for form, stamps in fits.items() if unevenness(stamps[known], owner[known]) <= 0.1]
    if not even and re.search(
        r"[^\W\d_]{3,}", first
    ):  # a month's name; what tells several series apart is asked for next
        _refuse_days_without_year(text, list(fits), first, name, owner)
        even = list(fits)
    if len(even) == 1 and "%y" in even[0] and np.median(np.diff(fits[even[0]][known])) > np.timedelta64(300, "D"):
        _refuse_days_without_year(text, even, first, name, owner)
    if len(even) == 1:
        notes.warn(
            f"column {name!r} holds time stamps such as {first!r}: read as {days_of(fits[even[0]])} (timestamp_format={even[0]!r} says so)"
        )
        if "%y" in even[0]:
            tell_centuries(fits[even[0]], name, first, notes)
        return fits[even[0]]
    which = (
        " or ".join(f"timestamp_format={form!r}" for form in even)
        or "timestamp_format=... (as strptime has it: %d.%m.%Y %H:%M)"
    )
    _refuse_times_of_day(text[known], first, name)
    weeks = text[known].astype(str).str.fullmatch(r"\d{4}[-/ ]?\d{1,2}").all()
    if weeks:
        which = f"years and weeks as {first[:4]}-W{first[-2:].strip('-/ '):0>2} (ISO), or in two columns year and week"
    elif re.search(r"[^\W\d_]{3,}", first):
        which += "; names of days are read in English alone, those of months in the languages of western Europe"
    raise DataError(
        f"Column {name!r} holds time stamps such as {first!r} that cannot be read. Say how they are written: {which}, or name another column with "
        "timestamp_column."
    )


def _refuse_days_without_year(text: pd.Series, forms: list[str], first: str, name: str, owner: np.ndarray) -> None:
    """`Jan-01 ... Jan-31`: days, and no year is said.

    Raises:
        DataError: read so they are even.
    """
    import pandas as pd

    for form in [form for form in forms if "%y" in form]:
        days = form.replace("%y", "%d")
        stamps = pd.to_datetime(text, format=days, errors="coerce").to_numpy("datetime64[ns]")
        if np.isnat(stamps[text.notna()]).any():
            leap = pd.to_datetime(_in_leap_year(text), format=f"%Y {days}", errors="coerce")
            stamps = leap.to_numpy("datetime64[ns]")
        if not np.isnat(stamps[text.notna()]).any() and unevenness(stamps, owner) <= 0.1:
            raise DataError(
                f"Column {name!r} holds time stamps such as {first!r}: days, or years? Say which: timestamp_format={days!r} (days of a year that "
                f"is not named) or timestamp_format={form!r}."
            )


def _refuse_times_of_day(text: pd.Series, first: str, name: str) -> None:
    """`13:05`, or the `05:00.0` that Excel leaves of a moment.

    Raises:
        DataError: no value has a day.
    """
    if not text.astype(str).str.fullmatch(r"\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?").all():
        return
    if text.astype(str).str.fullmatch(r"\d{1,2}:\d\d\.\d").all():
        raise DataError(
            f"Column {name!r} holds minutes and seconds alone, such as {first!r}: so Excel saves moments as .csv. They have to be written as dates: "
            "give the cells the format yyyy-mm-dd hh:mm:ss and save the table again, or name another column: timestamp_column=..."
        )
    raise DataError(
        f"Column {name!r} holds times of day such as {first!r}, and no day. Name the column of days beside it: timestamp_column=... and "
        f"time_column={name!r}; without any the moments have to be written as dates (2024-05-01 13:05)."
    )


def days_of(stamps: np.ndarray) -> str:
    return " ".join(str(stamp.astype("datetime64[D]")) for stamp in stamps[:3])


def two_digit_years(text: pd.Series, parts: pd.DataFrame) -> str:
    """`timestamp_format='%y/%m/%d' or ...`: the formats with a year of two digits that all of these dates have."""
    import pandas as pd

    mark = parts[1].dropna().iloc[0]
    clock = str(parts[4].dropna().iloc[0]) if parts[4].notna().any() else ""
    after = {0: "", 1: " %H:%M", 2: " %H:%M:%S"}[min(clock.count(":"), 2)]
    forms = [mark.join(order) + after for order in (("%y", "%m", "%d"), ("%d", "%m", "%y"), ("%m", "%d", "%y"))]
    fits = [form for form in forms if pd.to_datetime(text.dropna(), format=form, errors="coerce").notna().all()]
    return " or ".join(f"timestamp_format={form!r}" for form in fits or forms)
