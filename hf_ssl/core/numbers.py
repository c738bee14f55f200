"""Numbers as people write them: decimal comma, thousands, units of nothing; refused where two readings are possible."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence

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
_SPACE_THOUSANDS = re.compile(r"[-+]?\d{1,3}([ \u00a0\u202f'\u2019]\d{3})+([.,]\d+)?")


def rounded_up(share: float) -> float:
    """A share that is allowed if it is given back as the limit."""
    return min(1.0, -(-share * 100 // 1) / 100)


class NotNumbers(DataError):
    """A value that is no number; `row` is its place, `word` what stands there."""

    def __init__(self, message: str, row: int, word: str) -> None:
        super().__init__(message)
        self.row, self.word = row, word


def is_amount(text: str) -> bool:
    """Whether a text is a number in one of the ways that people write them, whatever the others of its column are."""
    return any(
        form.fullmatch(text.strip()) for form in (_PLAIN, _COMMA, _COMMA_THOUSANDS, _DOT_THOUSANDS, _SPACE_THOUSANDS)
    )


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
    present, powers, shortened = _without_powers([value for value in stripped if value is not None])
    present, marked = _without_marks(present)
    rewritten, note = _rewritten(present, what)
    note = "; ".join(text for text in (shortened, marked, note) if text)
    if rewritten is None:
        row = next((place for place, value in enumerate(stripped) if value is not None and not is_amount(value)), row)
        word = str(stripped[row])[:60]
        raise NotNumbers(f"Column {what!r} holds text such as {word!r} (row {row}), not numbers", row, word)
    numbers = (float(value) * power for value, power in zip(rewritten, powers, strict=True))
    made = [math.nan if value is None else next(numbers) for value in stripped]
    return made, f"column {what!r}: {note} ({stripped[row]!r} is {made[row]:g})"


def _how_spaced(present: list[str]) -> str:
    """What was done to numbers that blanks or apostrophes may stand in."""
    done = []
    if any(" " in value or "\u00a0" in value or "\u202f" in value for value in present):
        done.append("blanks separate thousands")
    if any("'" in value or "\u2019" in value for value in present):
        done.append("apostrophes separate thousands")
    if any("," in value for value in present):
        done.append("decimal comma")
    return ", ".join(done)


_POWERS = {"k": 1e3, "K": 1e3, "M": 1e6, "Mio": 1e6, "mn": 1e6, "B": 1e9, "bn": 1e9, "Mrd": 1e9}
_SHORTENED = re.compile(r"([-+(]?\s?[$€£¥₹]?\s?[\d.,]*\d)\s?(Mio|mn|bn|Mrd|[kKMB])\.?(\s?[$€£¥₹]|\))?")


def _without_powers(present: list[str]) -> tuple[list[str], list[float], str]:
    """`8.1k`, `1.2M` and `950` as numbers before their powers of ten.

    Returns:
        the values without them, what each is to be multiplied by, and what was done (empty: nothing).
    """
    found = [_SHORTENED.fullmatch(value) for value in present]
    if not any(found) or not all(
        match or re.search(r"\d\W*$", value) for match, value in zip(found, present, strict=True)
    ):
        return present, [1.0] * len(present), ""
    if all(value.endswith(" K") for value in present):  # kelvins
        return present, [1.0] * len(present), ""
    used = sorted({match[2] for match in found if match})
    values = [
        value if match is None else match[1] + (match[3] or "") for match, value in zip(found, present, strict=True)
    ]
    powers = [1.0 if match is None else _POWERS[match[2]] for match in found]
    return values, powers, " and ".join(f"{word} means {_POWERS[word]:,.0f}" for word in used)


_MARKED = re.compile(r"([-+]?)\s*([$€£¥₹]|[A-Z]{3}\s)?\s*([-+]?[\d.,'\u00a0\u202f ]*\d)\s*([%‰€$£¥₹]|\s[A-Z]{3})?")
_LOSS = re.compile(r"\(\s*(?P<inside>[^()-]*\d[^()-]*)\)|(?P<ahead>[^()-]*\d)\s?-")


def _without_marks(present: list[str]) -> tuple[list[str], str]:
    """Amounts without their currency or percent sign, where all have the same one; accountants' parentheses, and a minus behind, become one.

    Returns:
        the values, and what was done (empty: nothing).
    """
    losses = [_LOSS.fullmatch(value.strip()) for value in present]
    plain = [
        f"-{(loss['inside'] or loss['ahead']).strip()}" if loss else value
        for loss, value in zip(losses, present, strict=True)
    ]
    found = [_MARKED.fullmatch(value) for value in plain]
    marks = {(match[2], match[4]) for match in found if match is not None}
    behind = any(loss is not None and loss["ahead"] for loss in losses)
    done = f"{'a mark behind means' if behind else 'parentheses mean'} a minus" if any(losses) else ""
    if not all(found) or len(marks) != 1:
        return (plain, done) if any(losses) else (present, "")
    mark = next((one.strip() for one in marks.pop() if one), "")
    if mark:
        plain = [f"{match[1]}{match[3]}" for match in found if match is not None]
        done = "; ".join(filter(None, (done, f"{mark} is left away, as if it were the unit")))
    return (plain, done) if done else (present, "")


def _rewritten(present: list[str], what: str) -> tuple[list[str] | None, str]:
    """Numbers in Python's own spelling, and how they were spelled; None: they are no numbers."""

    def all_fit(*patterns: re.Pattern[str]) -> bool:
        return all(any(pattern.fullmatch(value) for pattern in patterns) for value in present)

    if all_fit(_PLAIN):  # nothing but a unit was in the way
        return present, ""
    if all_fit(_SPACE_THOUSANDS, _PLAIN, _COMMA) and any(map(_SPACE_THOUSANDS.fullmatch, present)):
        return [re.sub("[ \u00a0\u202f'\u2019]", "", value).replace(",", ".") for value in present], _how_spaced(
            present
        )
    if any("," in value and "." in value for value in present):
        return _of_both_marks(present, all_fit)
    commas = [value for value in present if "," in value]
    dots = [value for value in present if "." in value]
    if not commas or not all_fit(_COMMA, _PLAIN, _COMMA_THOUSANDS):
        return None, ""
    thousands = [value.replace(",", "") for value in present]
    decimals = [value.replace(",", ".") for value in present]
    other = "; csv_options={'decimal': ','} if it is the decimal comma"
    if not all_fit(_COMMA_THOUSANDS, _PLAIN) or any(re.match(r"[-+]?0\d*,", value) for value in commas):
        if any(value.count(",") > 1 for value in commas):
            return None, ""
        if dots and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(\.\d{3})+", value) for value in dots):
            return [value.replace(".", "").replace(",", ".") for value in present], (
                "decimal comma, dots separate thousands (csv_options={'thousands': '.', 'decimal': ','} says so)"
            )
        return decimals, "decimal comma beside dots" if dots else "decimal comma"
    if any(value.count(",") > 1 for value in commas):
        return thousands, "commas separate thousands"
    # Decimals that were written without their last zeros are short now and then; whole numbers below 1,000 need no comma.
    if dots and any(len(value.rpartition(".")[2]) != 3 for value in dots):
        return thousands, f"commas separate thousands, dots decimals{other}"
    if (
        not dots
        and len(commas) < len(present)
        and all(len(value.lstrip("+-")) <= 3 for value in present if "," not in value)
    ):
        return thousands, f"commas separate thousands{other}"
    raise DataError(
        f"Column {what!r} holds values such as {commas[0]!r}: {commas[0].replace(',', '')} or {commas[0].replace(',', '.')}? Say which: "
        "csv_options={'thousands': ','} or csv_options={'decimal': ','} (in other files than tables of text: write numbers)."
    )


def _of_both_marks(present: list[str], all_fit: Callable[..., bool]) -> tuple[list[str] | None, str]:
    """Numbers of which some have a comma and a dot: the mark that comes last is the decimal one."""
    if all_fit(_COMMA_THOUSANDS, _PLAIN):
        return [value.replace(",", "") for value in present], "commas separate thousands"
    if all_fit(_DOT_THOUSANDS, _COMMA, re.compile(r"[-+]?\d+")):
        return [
            value.replace(".", "").replace(",", ".") for value in present
        ], "decimal comma, dots separate thousands"
    return None, ""


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
    known = [value for value in itertools.islice(values, 5000) if isinstance(value, str)]
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
    known = [value is not None and value.strip() not in MISSING for value in values]
    present = [str(value).strip() for value, there in zip(values, known, strict=True) if there]
    if any((decimal or thousands or "") in value for value in present):
        present, _ = _without_marks(present)
    if not present or not all(shape.fullmatch(value) for value in present):
        return None
    if decimal == "." and any(
        "." in value for value in present
    ):  # beside `1.234` then, `543` is no count of thousands
        present = [f"{value}.0" if value.isdigit() else value for value in present]
    numbers = iter(present)
    made: list[str | None] = []
    for value, there in zip(values, known, strict=True):
        text = next(numbers) if there else value
        if text is not None and thousands is not None:
            text = text.replace(thousands, "")
        made.append(text if text is None or decimal in (None, ".") else text.replace(str(decimal), "."))
    return made
