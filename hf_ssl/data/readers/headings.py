"""Rows that head or sign a part of a table and are no examples: `Ward 10,,`, `Checked by M. Meier,,`, a second header in words."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.data.readers.sums import lines_of

FEWEST, MOST = 10, 0.25
"""Rows of a table from which on it is looked at, and the share of rows that may be headings."""


def headings_in(data: pa.Table, file: Path, below: int = 0) -> list[str]:
    """What to tell of rows that hold one short value where all others hold several, and of a first row that reads as a header.

    Args:
        data: all rows, as text.
        file: where they stand.
        below: last rows that are told of as sums or notes.

    Returns:
        []: there are none.
    """
    known = 0 < lines_of(file) == len(data) + 1
    data = data.slice(0, len(data) - below)
    texts = [name for name, kind in zip(data.column_names, data.schema.types, strict=True) if pa.types.is_string(kind)]
    if len(data) < FEWEST or not data.num_columns <= 200 or not texts:
        return []
    if data.num_columns == 1:
        told = _between(data.column(0).to_pylist(), known)
        return [told] if told else []
    words = {name: _words(data.column(name)) for name in texts[:6]}
    return [told for told in (_alone(data, words, known), _first(data, words, known)) if told]


def _between(values: list[str | None], known: bool) -> str:
    """Short lines written alike (`Ward 10` and `Ward 11`, `Section A`, dates, `Night shift:`) between longer texts, in a table of one column."""
    lengths = [len((value or "").split()) for value in values]
    least = float(np.median(lengths)) / 2
    short = {row: value.strip() for row, value in enumerate(values) if value and lengths[row] <= min(5, least)}
    writings = Counter(writing for value in short.values() if (writing := _writing(value)))
    if not writings:
        return ""
    usual, count = writings.most_common(1)[0]
    found = {row: value for row, value in short.items() if _writing(value) == usual}
    rest = [row for row in range(len(values)) if row not in found and values[row]]
    if not 1 < count <= MOST * len(values) or len({*found.values()}) < 2 or not rest:
        return ""
    if min(lengths[row] for row in rest) < 4 or any(_writing(str(values[row]).strip()) == usual for row in rest):
        return ""
    rows = np.array(list(found))
    return (
        f"{len(rows)} short rows are written alike, such as {found[rows[0]][:40]!r} (row {rows[0]}), between longer texts: headings? Read as "
        f"texts: {_way(rows, known)}"
    )


def _writing(text: str) -> str:
    """What headings share but for the number or letter in them, or the mark that makes them headings; else nothing."""
    masked = re.sub(r"\d+|(?<=\s)(?:[A-Z]|[IVX]+)(?=[.:)]?$)", "0", text)
    if masked != text:
        return masked
    if marked := re.match(r"#+\s|[=*_-]{2,}(?=.*[=*_-]{2}$)|\[(?=.*\]$)", text):
        return marked.group()[0]
    return ":" if text.endswith(":") else ""


def _alone(data: pa.Table, words: dict[str, np.ndarray], known: bool) -> str:
    filled = np.stack([np.asarray(pc.is_valid(data.column(name)).combine_chunks()) for name in data.column_names])
    alone = filled.sum(axis=0) == 1
    if not 0 < alone.sum() <= MOST * len(data):
        return ""
    whole = filled[:, ~alone].mean(axis=1)
    for name, counts in words.items():
        place = data.column_names.index(name)
        rows = np.flatnonzero(alone & filled[place])
        others = counts[~alone & filled[place]]
        usual = float(np.median(others)) if len(others) else 0.0
        short = rows[counts[rows] <= min(5.0, usual / 2)]
        if (
            not len(short)
            or len(short) < 0.9 * len(rows)
            or len(rows) < alone.sum()
            or whole[np.arange(len(whole)) != place].min() < 0.9
        ):
            continue
        example = str(data.column(name)[int(short[0])].as_py())[:40]
        several = f"{len(short)} rows hold" if len(short) > 1 else "1 row holds"
        return (
            f"{several} a few words in {name!r} and nothing else, such as {example!r} (row {short[0]}): headings or signatures? Read "
            f"as rows without a label: {_way(short, known)}"
        )
    return ""


def _first(data: pa.Table, words: dict[str, np.ndarray], known: bool) -> str:
    """A first row whose values say what the columns hold: none of them comes again in a column of few values, and its text is short."""
    row = {name: data.column(name)[0].as_py() for name in data.column_names}
    if any(not isinstance(value, str) or any(letter.isdigit() for letter in value) for value in row.values()):
        return ""
    usual = {name: float(np.median(counts[1:])) for name, counts in words.items()}
    long = [name for name, count in usual.items() if count >= 5]
    if not long or any(words[name][0] > usual[name] / 2 for name in long):
        return ""
    for name in words:
        counts = Counter(data.column(name).to_pylist()) if name not in long else Counter[str]()
        rest = {value: count for value, count in counts.items() if value is not None and value != row[name]}
        if counts[row[name]] == 1 and 2 <= len(rest) <= 20 and min(rest.values()) > 1:
            shown = ", ".join(map(str, row.values()))[:60]
            return (
                f"its first row ({shown}) reads as a second header, and is read as a row: {_way(np.array([0]), known)}"
            )
    return ""


def _way(rows: np.ndarray, known: bool) -> str:
    """`known`: each row is a line of the file."""
    numbers = [int(row) + 1 for row in rows]
    return (
        f"csv_options={{'skiprows': {numbers}}} leaves them out"
        if known and len(rows) <= 20
        else "take them out of the file"
    )


def _words(column: pa.ChunkedArray) -> np.ndarray:
    """Words of each value; 0 where there is none."""
    counts = pc.list_value_length(pc.utf8_split_whitespace(column))
    return np.asarray(pc.fill_null(counts, 0).combine_chunks(), dtype=np.int64)
