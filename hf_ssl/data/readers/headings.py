"""Rows that head or sign a part of a table and are no examples: `Ward 10,,`, `Checked by M. Meier,,`, a second header in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.data.readers.sums import lines_of

FEWEST, MOST = 10, 0.25
"""Rows of a table from which on it is looked at, and the share of rows that may be headings."""


def headings_in(data: pa.Table, file: Path) -> list[str]:
    """What to tell of rows that hold one short value where all others hold several, and of a first row that reads as a header.

    Args:
        data: all rows, as text.
        file: where they stand.

    Returns:
        []: there are none.
    """
    texts = [name for name, kind in zip(data.column_names, data.schema.types, strict=True) if pa.types.is_string(kind)]
    if len(data) < FEWEST or not 1 < data.num_columns <= 200 or not texts:
        return []
    words = {name: _words(data.column(name)) for name in texts[:6]}
    return [told for told in (_alone(data, words, file), _first(data, words, file)) if told]


def _alone(data: pa.Table, words: dict[str, np.ndarray], file: Path) -> str:
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
            f"as rows without a label: {_way(short, len(data), file)}"
        )
    return ""


def _first(data: pa.Table, words: dict[str, np.ndarray], file: Path) -> str:
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
            return f"its first row ({shown}) reads as a second header, and is read as a row: {_way(np.array([0]), len(data), file)}"
    return ""


def _way(rows: np.ndarray, count: int, file: Path) -> str:
    numbers = [int(row) + 1 for row in rows]
    known = len(rows) <= 20 and lines_of(file) == count + 1
    return f"csv_options={{'skiprows': {numbers}}} leaves them out" if known else "take them out of the file"


def _words(column: pa.ChunkedArray) -> np.ndarray:
    """Words of each value; 0 where there is none."""
    counts = pc.list_value_length(pc.utf8_split_whitespace(column))
    return np.asarray(pc.fill_null(counts, 0).combine_chunks(), dtype=np.int64)
