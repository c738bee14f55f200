"""Rows and names of a table of text lines, cleaned of what nobody means: blank lines, marks that nobody sees."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

SNIFFED = 300
RETURN = "\ue00d"
"""Stands for a carriage return that ends no line."""
BACKSLASH = re.compile(r"\\(.?)", re.DOTALL)
"""A backslash and what follows it."""
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def without_blank(data: Rows) -> Rows:
    """Rows that hold nothing in any column are blank lines (spreadsheets write hundreds below their data)."""
    if not len(data) or len(data.schema) < 2 or not data.column(0).null_count:
        return data
    there = pc.is_valid(data.column(0))
    for column in data.columns[1:]:
        there = pc.or_(there, pc.is_valid(column))
    return data.filter(there)


def cleaned(names: list[str], rows: list[list[str]]) -> list[str]:
    """Names without blanks, marks that nobody sees, and the `#` in front of a header that begins as a comment."""
    found = [re.sub("[\ufeff\u200b\u200e\u2060]", "", name).strip() for name in names]
    if (
        found
        and found[0].startswith("#")
        and len(names) > 1
        and not any(row[0].startswith("#") for row in rows[:SNIFFED])
    ):
        if all(re.fullmatch(r"#?\s*[^\W\d]\w*", name) for name in found):
            found[0] = found[0].lstrip("# ")
    return found


def counts_up(values: Sequence[str]) -> bool:
    """Whether these are row numbers: whole numbers that rise by one."""
    if len(values) < 2 or not all(value.isascii() and value.isdigit() for value in values):
        return False
    numbers = list(map(int, values))
    return numbers[0] in (0, 1) and all(b - a == 1 for a, b in itertools.pairwise(numbers))


def with_backslashes(line: str, escaped: str) -> str:
    """A line whose backslashes are doubled, and so read as they are, unless what follows is among the `escaped`."""
    if "\\" not in line:
        return line
    return BACKSLASH.sub(
        lambda found: found[0] if found[1] and found[1] in escaped else found[0].replace("\\", "\\\\"), line
    )


def with_doubled(line: str, separator: str, quote: str) -> str:
    """A line whose quotes inside of values are doubled, if a quote stands there that is not; separators end all values.

    `1,"a 5" screen",x` becomes `1,"a 5"" screen",x`.
    """
    if quote not in line:
        return line
    try:
        next(csv.reader([line], delimiter=separator, quotechar=quote, strict=True), None)
    except csv.Error:
        body = line.rstrip("\r\n")
        plain = (
            value.replace(quote * 2, quote).replace(quote, quote * 2)
            for value in _by_outer_quotes(body, separator, quote)
        )
        return separator.join(f"{quote}{value}{quote}" for value in plain) + line[len(body) :]
    return line


def joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines that were cut at carriage returns without a line feed, whole."""
    held = ""
    for line in lines:
        if line.endswith("\r"):
            held += line[:-1] + RETURN
        else:
            yield held + line
            held = ""
    if held:
        yield held


def _by_outer_quotes(line: str, separator: str, quote: str) -> list[str]:
    """Values of a line: a quote at its beginning or behind a separator opens one, and the next before a separator or the end closes it."""
    values, place = [], 0
    while place <= len(line):
        end, close = line.find(separator, place), -1
        if line.startswith(quote, place):
            closing = re.compile(f"{re.escape(quote)}(?={re.escape(separator)}|$)").search(line, place + 1)
            close = -1 if closing is None else closing.start()
        if close >= 0:
            values.append(line[place + 1 : close])
            place = close + 2
        else:
            end = len(line) if end < 0 else end
            values.append(line[place:end])
            place = end + 1
    return values
