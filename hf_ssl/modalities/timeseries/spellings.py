"""Quarters, weeks, months and halves of years as people write them -> the day on which they begin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.centuries import in_their_century, tell_centuries

if TYPE_CHECKING:
    import pandas as pd


_QUARTER = re.compile(
    r"(?:(?P<y1>\d{4})[ .:/-]?[QqTtKk](?P<q1>[1-4])|[Qq](?P<q2>[1-4])[ /-]*'?(?P<y2>\d{4}|\d{2})|(?P<q3>[1-4])[Qq][ '-]?(?P<y3>\d{4}|\d{2})"
    r"|[TtKk](?P<q4>[1-4])[ /-]*'?(?P<y4>\d{4})|(?P<q5>[1-4])(?:\. ?Quartal|[TtKk]|(?:er|e|º|o|°)? ?[Tt]rim(?:estre)?) ?(?P<y5>\d{4}))"
)
_HALF = re.compile(r"(?:(\d{4})[ -]?[HhSs]([12])|[HhSs]([12])[ -]?(\d{4}))")
_WEEK_WORD = r"(?:W|KW|CW|WK|Week|Woche|Semaine|Semana|Settimana|Uke|Uge|Vecka|Sem\.?)"
_WEEK = re.compile(
    rf"(?i:(?P<y1>\d{{4}})[ /-]?{_WEEK_WORD}[ .-]?(?P<w1>\d{{1,2}})(?:-?(?P<d>[1-7]))?|{_WEEK_WORD}[ .-]?(?P<w2>\d{{1,2}})[ -/](?P<y2>\d{{4}})"
    rf"|(?P<w3>\d{{1,2}})\.? ?{_WEEK_WORD}[ /-](?P<y3>\d{{4}}))"
)
_RANGE = re.compile(r"(\d{4}-\d\d-\d\d)/\d{4}-\d\d-\d\d")
_MONTH = re.compile(r"(?P<y1>\d{4})[ /-]?[Mm](?P<m1>\d{1,2})|[Mm](?P<m2>\d{1,2})[ /-](?P<y2>\d{4})")
_PERIOD = re.compile(
    r"(?:FY ?)?(?P<y1>\d{4})[ /.-]?[Pp]0?(?P<m1>\d\d)|[Pp]0?(?P<m2>\d\d)[ /.-](?:FY ?)?(?P<y2>\d{4})"
    r"|(?P<m3>0(?:0[1-9]|1[0-2]))[./](?P<y3>\d{4})|(?P<y4>\d{4})[./](?P<m4>0(?:0[1-9]|1[0-2]))"
)
"""Periods of an accounting year, as SAP and others number them: `001.2019`, `2019-P01`."""


def periods(text: pd.Series, sample: pd.Series, name: str, notes: Notes) -> np.ndarray | None:
    """The first day of every quarter, week, month, half of a year or range of days; None: they are none of these.

    Args:
        text: the stamps.
        sample: some of them, stripped.
        name: of their column.
        notes: told about years of two digits.

    Raises:
        DataError: one of them is of another kind.
    """
    for pattern, read in _KINDS:
        if sample.str.fullmatch(pattern.pattern).all():
            made = _each(text, pattern, read, name)
            short = pattern is _QUARTER and not sample.str.contains(r"\d{4}", regex=True).any()
            if pattern is _QUARTER and sample.str.contains(r"[TtKk]", regex=True).any():
                notes.warn(
                    f"column {name!r} holds time stamps such as {sample.iloc[0]!r}: read as quarters of years (trimestre, kvartal)"
                )
            if pattern is _PERIOD:
                notes.warn(
                    f"column {name!r} holds periods such as {sample.iloc[0]!r}: the first is read as January. If your year begins in another month, "
                    "write months (2019-01) instead"
                )
            if short:
                made = in_their_century(made)
                tell_centuries(made, name, sample.iloc[0], notes)
            return made
    return None


def _each(text: pd.Series, pattern: re.Pattern[str], read: Callable[[re.Match[str]], str], name: str) -> np.ndarray:
    made = np.full(len(text), np.datetime64("NaT"), "datetime64[ns]")
    for row, value in enumerate(text):
        if value is not None and value == value:
            match = pattern.fullmatch(value.strip())
            if match is None:
                raise DataError(
                    f"Column {name!r} holds {value!r} (row {row}) among time stamps such as "
                    f"{text.dropna().iloc[0]!r}. Leave those rows out, or write all stamps alike."
                )
            try:
                made[row] = np.datetime64(read(match), "ns")
            except ValueError as error:
                known = (
                    "Weeks are counted as ISO 8601 does (a year has 52 or 53); write the first day of each if yours are others"
                    if pattern is _WEEK
                    else "A year has 12 months: leave rows of other periods out"
                )
                raise DataError(
                    f"Column {name!r} holds {value!r} (row {row}): {str(error).lower()}. {known}."
                ) from None
    return made


def _quarter(match: re.Match[str]) -> str:
    year, quarter = (next(filter(None, (match[f"{letter}{place}"] for place in range(1, 6)))) for letter in "yq")
    return f"{_full_year(year)}-{3 * int(quarter) - 2:02d}-01"


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + 2000


def _half(match: re.Match[str]) -> str:
    return f"{match[1] or match[4]}-{'01' if (match[2] or match[3]) == '1' else '07'}-01"


def _range(match: re.Match[str]) -> str:
    return match[1]


def _week(match: re.Match[str]) -> str:
    from datetime import date

    year, week = (int(match[f"{letter}1"] or match[f"{letter}2"] or match[f"{letter}3"]) for letter in "yw")
    return date.fromisocalendar(year, week, int(match["d"] or 1)).isoformat()


def _month(match: re.Match[str]) -> str:
    found = match.groupdict()
    year, month = (next(value for name, value in found.items() if name[0] == letter and value) for letter in "ym")
    return f"{year}-{int(month):02d}-01"


_KINDS = (
    (_QUARTER, _quarter), (_WEEK, _week), (_MONTH, _month), (_PERIOD, _month), (_HALF, _half), (_RANGE, _range),
)  # fmt: skip


def is_period(text: object) -> bool:
    """Whether this is a quarter, a week, a month, half a year or a range of days, as `periods` reads them."""
    return isinstance(text, str) and any(pattern.fullmatch(text.strip()) for pattern, _ in _KINDS)
