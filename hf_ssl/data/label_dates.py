"""Labels that a spreadsheet took for dates: `5-6` becomes `05-Jun`, the gene `SEPT1` becomes `1-Sep`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hf_ssl.core.errors import DataError
from hf_ssl.data.report import DataReport

_MONTH = (
    "(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec|mär|mrz|mai|juni?|juli?|okt|dez|janv|févr|mars|avr|juin|juil|août|déc|ene|abr|ago|dic|gen|mag|giu"
    r"|lug|ott|fev|maj|mei|янв|фев|мар|апр|май|июн|июл|авг|сен|окт|ноя|дек)\.?"
)
_DAMAGED = re.compile(rf"\d{{1,2}}(?:-|\. |\.-){_MONTH}|{_MONTH}-\d\d(?:\d\d)?", re.IGNORECASE)
_PERHAPS = re.compile(
    rf"\d{{1,2}}[ .]{_MONTH}|{_MONTH} \d\d(?:\d\d)?|\d{{4}}-\d\d-\d\d(?:[ T]00:00(?::00(?:\.0+)?)?)?|\d{{1,2}}[/.]\d{{1,2}}[/.](?:19|20)\d\d",
    re.IGNORECASE,
)
"""The same with a blank, and whole dates: such beside others that are ranges of numbers."""
_DAY = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d\d|\d{4}))"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?"
_WHEN = re.compile(
    rf"{_DAY}(?:[ T]{_CLOCK}(?:Z|[-+]\d\d:?\d\d)?)?|{_CLOCK}(?:\s?(?:Uhr|h))?|\d{{1,2}}\s?[ap]\.?m\.?|\d{{1,2}}[. -]+{_MONTH}[. -]+\d{{2,4}}"
    rf"|{_MONTH}[a-z]* \d{{1,2}},? \d{{4}}",
    re.IGNORECASE,
)
"""A day, a time of day, or both."""
_FORMULA = re.compile(r"=\s*(?:[A-Z]{1,3}\$?\d|[A-Z][A-Z.]+\(|-?\d+\s*[-+*/]).*", re.DOTALL)
FEWEST = 3
"""Of fewer different ones nothing is said: `9:00` and `17:00` are two shifts."""
_RANGE = re.compile(r"\d{1,4}\s?(?:-|\u2013|/|\.|to|bis|:)\s?\d{1,4}\+?")
MOST = 40


def tell_dates(labels: Iterable[Any], given: str | None, column: str, report: DataReport) -> None:
    """Warn about classes that are dates without a year, or dates beside ranges of numbers, as spreadsheets make of `5-6`.

    Classes that are all whole dates, times of day or formulas are another column as a rule.

    Args:
        labels: classes, None where there is none.
        given: the user's `label_kind`: the classes are what they are.
        column: column of the labels.
        report: is warned.

    Raises:
        DataError: they are, and nobody has said `label_kind='class'`.
    """
    counts = Counter(label for label in labels if isinstance(label, str))
    if given is not None or len(counts) < 2:
        return
    for pattern, what, least in (
        (_FORMULA, "formulas of a spreadsheet, whose values are not in the file", 1),
        (_WHEN, "dates or times of day", FEWEST),
    ):
        odd = [name for name in counts if pattern.fullmatch(name)]
        if len(odd) >= max(least, 0.9 * len(counts)):
            raise DataError(
                f"The labels of {column!r} are {what}, such as {odd[0]!r}: {len(odd):,} different ones in {counts.total():,} rows. Which column is "
                "the label? label_column=...; label_kind='class' takes each for a class."
            )
    ranges = any(map(_RANGE.fullmatch, counts))
    found = [name for name in counts if _DAMAGED.fullmatch(name) or ranges and _PERHAPS.fullmatch(name)]
    if found and len(found) <= MOST:
        rest: Sequence[str] = [name for name in counts if name not in found]
        beside = f" beside {', '.join(map(repr, sorted(rest)[:3]))}" if rest else ""
        report.warn(
            f"{sum(counts[name] for name in found):,} of {counts.total():,} labels of {column!r} are dates such as {found[0]!r}{beside}, as "
            "spreadsheets make of 5-6 or of names: classes as they stand. Write back what was there (columns as text); "
            "label_kind='class' says that they are meant"
        )
