"""Advice is tried before it is given: what an error about a table says to type, and what comes of it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_ssl.core.textfiles import SAMPLE, UnusableFile, encoding_of_file, open_text
from hf_ssl.data.readers.delimited import read_delimited
from hf_ssl.data.readers.shape import OTHERS, Table
from hf_ssl.data.readers.strays import NUMBER

Options = dict[str, Any]
ADVICE = re.compile(r"csv_options=(\{(?:[^{}]|\{[^{}]*\})*\})")
LARGEST = 64 << 20
"""Bytes of a file that is read again for each advice."""
DRAWN = re.compile(r"[-+=|: ]*[-=]{2}[-+=|: ]*")
"""A line that is drawn: `----`, `+---+`."""
KNOWN = {
    "sep",
    "names",
    "header",
    "skiprows",
    "skipfooter",
    "quoting",
    "engine",
    "na_values",
    "decimal",
    "thousands",
    "comment",
    "encoding",
}
"""What is advised; anything else in braces is not ours."""
DEEPEST, LINES, ABOVE = 4, 400, 100
"""Pieces of advice that follow each other; lines that say where a table begins, and how many may stand above it."""


def read_with_advice(path: Path, encoding: str, options: Options | None) -> Table:
    """`read_delimited`, whose advice in an error has been tried: where it leads to more of it, all of it is given at once.

    Raises:
        UnusableFile: with the options by which the file is read, where there are some.
    """
    try:
        read = read_delimited(path, encoding, options)
    except UnusableFile as error:
        raise UnusableFile(tried(str(error), path, encoding, options or {})) from error
    better = begins_at(path, encoding, options or {}, sure=True) if _holds_columns(read) else None
    if better is None and (mark := _barred(read)) and "sep" not in (options or {}):
        better = begins_at(path, encoding, {**(options or {}), "sep": mark})
    if better is None:
        return read
    raise UnusableFile(
        f"begins with {better['skiprows']} lines ({read.data.column_names[0][:40]!r} ...) above a table of several columns; leave them out with "
        f"csv_options={better}"
    )


def _advised(text: str) -> Options | None:
    """Options as an error writes them; None where it leaves a value to the user (`...`), or quotes a file that only looks like advice."""
    try:
        advice = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return advice if isinstance(advice, dict) and set(advice) <= KNOWN and ... not in advice.values() else None


def _holds_columns(read: Table) -> bool:
    """Whether one column was read, and most of its values hold the same number of marks that separate columns."""
    if read.data.num_columns != 1:
        return False
    values = [value for value in read.data.column(0).slice(0, LINES).to_pylist() if value]
    counts = [Counter(value.count(mark) for value in values).most_common(1) for mark in OTHERS]
    return any(found and found[0][0] and found[0][1] > 0.5 * len(values) for found in counts)


def _barred(read: Table) -> str:
    """The bar or tab that stands as often in nearly every value of the only column, twice or more; "": none does."""
    if read.data.num_columns != 1:
        return ""
    values = [
        value
        for value in read.data.column(0).slice(0, LINES).to_pylist()
        if value and not DRAWN.fullmatch(value.strip())
    ]
    for mark in "|\t":
        found = Counter(value.count(mark) for value in values).most_common(1)
        if len(values) > 8 and found[0][0] > 1 and found[0][1] > 0.9 * len(values):
            return mark
    return ""


def tried(text: str, path: Path, encoding: str, options: Options) -> str:
    """The text of an error, in which advice that leads to an error is replaced by what it leads to in the end."""
    if path.stat().st_size > LARGEST:
        return text

    def ended(found: re.Match[str]) -> str:
        advice = _advised(found[1])
        end = None if advice is None else _follow(advice, path, encoding, options)
        return found[0] if end is None or end == advice else f"csv_options={end} (found by trying)"

    return ADVICE.sub(ended, text)


def begins_at(path: Path, encoding: str, options: Options, sure: bool = False) -> Options | None:
    """Options that leave out what stands above a table, where its lines are even from some line on; None: there are none.

    They have been tried: all but a few rows are read with them. `sure`: some columns have to hold numbers.
    """
    if path.stat().st_size > LARGEST:
        return None
    try:
        with open_text(path, encoding_of_file(path, encoding).name) as stream:
            lines = stream.read(SAMPLE).splitlines()[:LINES]
    except UnusableFile:
        return None
    for mark in [given] if (given := options.get("sep")) else OTHERS:
        first = _first_line(lines, mark, sure)
        if not 0 < first <= ABOVE or first == options.get("skiprows"):
            continue
        if (made := _led({"skiprows": first}, path, encoding, options)) is not None:
            return made
    return None


def _first_line(lines: Sequence[str], mark: str, sure: bool) -> int:
    """The line above those that are of one width down to the end, and hold numbers in the same columns; 0: there are none."""
    rows = [
        (number, line.split(mark))
        for number, line in enumerate(lines)
        if line.strip() and not DRAWN.fullmatch(line.strip())
    ]
    body = [row for _, row in rows[len(rows) // 2 :]]
    usual = Counter(map(len, body)).most_common(1)
    if not usual or usual[0][0] < 2:
        return 0
    columns = list(zip(*(row for row in body if len(row) == usual[0][0]), strict=True))
    numbers = [
        place for place, column in enumerate(columns) if any(column) and all(not v or _is_number(v) for v in column)
    ]

    def fits(row: Sequence[str]) -> bool:
        return len(row) == usual[0][0] and all(not row[place] or _is_number(row[place]) for place in numbers)

    run = next((place for place, (_, row) in enumerate(reversed(rows)) if not fits(row)), len(rows))
    above = len(rows) - run - 1
    if run < 4 or above < 0 or sure and not numbers:
        return 0
    named = len(rows[above][1]) == usual[0][0] and (numbers or run > 4)
    return rows[above if named else above + 1][0]


def _is_number(value: str) -> bool:
    return re.fullmatch(NUMBER, value.strip(' "')) is not None


def _follow(advice: Options, path: Path, encoding: str, options: Options) -> Options | None:
    """Advice and what it leads to, until the file is read; None: it leads nowhere."""
    made = _led(advice, path, encoding, options)
    if "skiprows" not in advice or made is not None and not read_delimited(path, encoding, {**options, **made}).bad:
        return made
    better = begins_at(path, encoding, options, sure=made is not None)
    return made if better is None else {**advice, **better}


def _led(advice: Options, path: Path, encoding: str, options: Options) -> Options | None:
    done: list[Options] = []
    made = dict(advice)
    for _ in range(DEEPEST):
        if made in done:
            break
        done.append(made)
        try:
            return made if _is_right(read_delimited(path, encoding, {**options, **made})) else None
        except UnusableFile as error:
            found = ADVICE.search(str(error))
            if found is None or (more := _advised(found[1])) is None:
                break
            made = {**made, **more}
    return None


def _is_right(read: Table) -> bool:
    """Whether all but a few rows are read, and no column is called by a number."""
    return sum(read.bad.values()) <= 0.1 * read.rows and not any(map(_is_number, read.data.column_names))
