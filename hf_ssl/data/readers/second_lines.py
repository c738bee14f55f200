"""A second line of a table that says what its columns hold (types, units, marks for "nothing") and is no row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hf_ssl.core.textfiles import UnusableFile

TYPES = {"string", "text", "str", "varchar", "char", "category", "categorical", "int", "integer", "int64", "float", "float64", "double",
         "number", "numeric", "object", "bool", "boolean", "date", "datetime", "timestamp", "discrete", "continuous", "class", "meta",
         "ignore", "time", "nominal", "real"}  # fmt: skip
"""What a second header says about columns."""
_SIZED = re.compile(
    r"(?:(?:n?var)?char2?|text|string|decimal|number|numeric|u?int|float|real|double|bit)(?:\s?\(\d+(?:,\s?\d+)?\)|\d{1,2})"
    r"|bigint|smallint|tinyint"
)
_UNITS = frozenset(
    """
    v mv µv kv a ma µa w mw kw kwh wh hz khz mhz ghz s sec secs ms µs us ns min mins h hr hrs d days m cm mm km µm um nm g kg mg µg ug t l
    ml µl ul °c degc °f degf k pa kpa hpa mpa bar mbar psi n kn j kj ohm ohms ω kω % ppm ppb db dbm dba rpm rad deg degrees ° m/s km/h kmh
    mph m/s2 m/s^2 m/s² g/l mg/l mg/dl µg/l mmol/l mol/l mmhg bpm 1/min counts count a.u. au arb arb.u. usd eur gbp € $ £ px pixel pixels
    bit bits byte bytes kb mb gb lux lx cd mol unit units utc local yyyy-mm-dd dd.mm.yyyy hh:mm:ss iso8601 pct percent ug/m3 µg/m³ µg/m3 m3
    m² m2 mm/h w/m2 w/m² volt volts ampere amperes amps watt watts hertz second seconds minutes hours meters metres grams celsius kelvin
    """.split()
)
_DRAWN = re.compile(r"[-\u2013*._]|={2,}|_{2,}|~{2,}|\*{2,}")
_BRACKETS = re.compile(r"\(.{0,20}\)|\[.{0,20}\]|<.{1,20}>|\{.{0,20}\}")
_NUMBER = re.compile(r"\s*[-+]?[\d.,]*\d[\d.,]*(?:[eE][-+]?\d+)?\s*")
FEWEST_BELOW = 3


def refuse_second_header(rows: Sequence[Sequence[str]], skip: int) -> None:
    """A second header that says what columns hold would become an example.

    Args:
        rows: the first rows of a table, the header among them.
        skip: lines above that are left out already.

    Raises:
        UnusableFile: with the lines to leave out.
    """
    said = 0
    for row in rows[1:3]:
        if not _of_types(row):
            break
        said += 1
    if not said and len(rows) > 1 and _of_kinds(rows[1], rows[2:]):
        said = 1
    if said and len(rows) > said + 1:
        raise UnusableFile(
            f"has {said + 1} lines of header (the second is {', '.join(rows[1])[:60]!r}); leave the others out with "
            f"csv_options={{'skiprows': {list(range(skip + 1, skip + 1 + said))}}}; csv_options={{'engine': 'python'}} reads every line as a row"
        )


def _of_types(row: Sequence[str]) -> bool:
    words = [value.strip().lower() for value in row if value.strip()]
    return bool(words) and all(word in TYPES for word in words)


def _of_kinds(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether every value of a row is a type, a unit, in brackets or a drawn line, and its columns hold no other such values below."""
    values = {place: value.strip() for place, value in enumerate(row) if value.strip()}
    rows = [other for other in below if len(other) == len(row)]
    if not values or len(rows) < FEWEST_BELOW or not all(map(_is_kind, values.values())):
        return False
    columns = {place: [other[place].strip() for other in rows if other[place].strip()] for place in values}
    if any(_is_kind(value) for column in columns.values() for value in column):
        return False
    numbers = {place for place, column in columns.items() if column and all(map(_NUMBER.fullmatch, column))}
    if len(values) == 1:
        return bool(numbers) and not _DRAWN.fullmatch(next(iter(values.values())))
    sure = [place for place, value in values.items() if _BRACKETS.fullmatch(value) or _is_type(value)]
    return bool(sure) or all(map(_DRAWN.fullmatch, values.values())) or bool(numbers)


def _is_type(value: str) -> bool:
    bare = value.strip("()[]<>{}# ").lower()
    return bare in TYPES or _SIZED.fullmatch(value.lower().lstrip("#")) is not None


def _is_kind(value: str) -> bool:
    bare = value.strip("()[]<>{}# ").lower().replace("μ", "µ")
    return (
        _is_type(value)
        or bare in _UNITS
        or _BRACKETS.fullmatch(value) is not None
        or _DRAWN.fullmatch(value) is not None
    )
