"""Numbers as people write them: decimal comma, thousands, units of nothing; refused where two readings are possible."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence

from hf_ssl.core.errors import DataError

MISSING = frozenset(
    {
        "?",
        "",
        "NA",
        "NaN",
        "nan",
        "N/A",
        "n/a",
        "null",
        "NULL",
        "None",
        "none",
        "<NA>",
        "#N/A",
        "-",
        "--",
        ".",
        "NaT",
        "NAN",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#NUM!",
        "\\N",
        "...",
        "…",
        "***",
        "missing",
        "No data",
        "no data",
    }
)
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
_COMMA_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_DOT_THOUSANDS = re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d+)?")
_SPACE_THOUSANDS = re.compile(r"[-+]?\d{1,3}([ \u00a0\u202f']\d{3})+([.,]\d+)?")


class NotNumbers(DataError):
    """A value that is no number; `row` is its place."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


def read_numbers(values: Sequence[str | None], what: str) -> tuple[list[float], str | None]:
    """Text → numbers, NaN for missing values.

    Args:
        values: text; None and words such as `NA` and `?` are missing.
        what: name of the column, for messages.

    Returns:
        The numbers, and a note when they were written with a decimal comma or with thousands.

    Raises:
        NotNumbers: a value is no number.
        DataError: `1,234` or `1.234` may be one thousand or one.
    """
    stripped = [
        None if value is None or value.strip() in MISSING else value.strip().replace("\u2212", "-") for value in values
    ]
    made: list[float] = []
    row = 0
    for row, value in enumerate(stripped):  # noqa: B007  # where it stops, is what the message names
        try:
            made.append(math.nan if value is None else float(value))
        except ValueError:
            break
    else:
        return made, refuse_dot_thousands(stripped, what)
    rewritten, note = _rewritten([value for value in stripped if value is not None], what)
    if rewritten is None:
        raise NotNumbers(
            f"Column {what!r} holds text such as {str(stripped[row])[:60]!r} (row {row}), not numbers", row
        )
    numbers = iter(rewritten)
    made = [math.nan if value is None else float(next(numbers)) for value in stripped]
    return made, f"column {what!r}: {note} ({stripped[row]!r} is {made[row]:g})"


def _rewritten(present: list[str], what: str) -> tuple[list[str] | None, str]:
    """Numbers in Python's own spelling, and how they were spelled; None: they are no numbers."""

    def all_fit(*patterns: re.Pattern[str]) -> bool:
        return all(any(pattern.fullmatch(value) for pattern in patterns) for value in present)

    if all_fit(_SPACE_THOUSANDS, _PLAIN, _COMMA):
        return [
            re.sub("[ \u00a0\u202f']", "", value).replace(",", ".") for value in present
        ], "blanks separate thousands"
    commas = [value for value in present if "," in value]
    dots = [value for value in present if "." in value]
    both = [value for value in present if "," in value and "." in value]
    if both and all_fit(_COMMA_THOUSANDS, _PLAIN):
        return [value.replace(",", "") for value in present], "commas separate thousands"
    if both and all_fit(_DOT_THOUSANDS, _COMMA, re.compile(r"[-+]?\d+")):
        return [
            value.replace(".", "").replace(",", ".") for value in present
        ], "decimal comma, dots separate thousands"
    if dots or not all_fit(_COMMA, re.compile(r"[-+]?\d+"), _COMMA_THOUSANDS):
        if dots and not both and all_fit(_COMMA_THOUSANDS, _PLAIN):
            return [value.replace(",", "") for value in present], "commas separate thousands"
        return None, ""
    several = any(value.count(",") > 1 for value in commas)
    three = all(len(value.rsplit(",", 1)[1]) == 3 for value in commas)
    zero = any(re.match(r"[-+]?0\d*,", value) for value in commas)
    if several and three and not zero:
        return [value.replace(",", "") for value in present], "commas separate thousands"
    if not three or zero:
        return [value.replace(",", ".") for value in present], "decimal comma"
    raise DataError(
        f"Column {what!r} holds values such as {commas[0]!r}: {commas[0].replace(',', '')} or {commas[0].replace(',', '.')}? Say which: "
        "csv_options={'thousands': ','} or csv_options={'decimal': ','}."
    )


def refuse_dot_thousands(values: Iterable[str | None], what: str) -> str | None:
    """`1.234` beside `987`: three digits after every dot, and whole numbers without one, are thousands as a rule.

    Returns:
        what to tell where all have three digits after the dot, which may be decimals.

    Args:
        values: text of numbers; the first 5,000 are looked at.
        what: name of the column, for the message.

    Raises:
        DataError: these are such numbers.
    """
    known = [value for value in itertools.islice(values, 5000) if value is not None]
    dots = [value for value in known if "." in value]
    if len(dots) < 5:
        return None
    shaped = all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(\.\d{3})+", value) for value in dots)
    if len(dots) == len(known):
        told = f"column {what!r}: all values have three digits after the dot, such as {dots[0]}, and are read as decimals; "
        return f"{told}csv_options={{'thousands': '.'}} if the dot separates thousands" if shaped else None
    whole = [value for value in known if "." not in value]
    if shaped and all(re.fullmatch(r"[-+]?\d{1,3}", value) for value in whole):
        raise DataError(
            f"Column {what!r} holds values such as {dots[0]!r} beside {whole[0]!r}: {dots[0].replace('.', '')} or {dots[0]}? Say which: "
            "csv_options={'thousands': '.'} or csv_options={'decimal': '.'}."
        )
    return None


def respelled(values: Sequence[str | None], decimal: str | None, thousands: str | None) -> list[str | None] | None:
    """Numbers of a column in Python's spelling when all of its values are numbers as the options say; None: they are not."""
    digits = r"\d+" if thousands is None else rf"(?:\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    shape = re.compile(rf"\s*[-+]?{digits}(?:{re.escape(decimal or '.')}\d+)?(?:[eE][-+]?\d+)?\s*")
    present = [value for value in values if value is not None and value.strip() not in MISSING]
    if not present or not all(shape.fullmatch(value) for value in present):
        return None
    made: list[str | None] = []
    for value in values:
        if value is not None and thousands is not None:
            value = value.replace(thousands, "")
        made.append(value if value is None or decimal in (None, ".") else value.replace(str(decimal), "."))
    return made
