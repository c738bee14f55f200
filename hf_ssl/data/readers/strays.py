"""Lines of a table that are as wide as it is, and no rows of it: questions under the header, a second table, rows that are shifted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.textfiles import UnusableFile

if TYPE_CHECKING:
    from hf_ssl.data.readers.shape import Table

NUMBER = r"\s*[-+]?[\d.,]*\d[\d.,]*(?:[eE][-+]?\d+)?\s*"
MOMENT = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?"
ANSWER = re.compile(r"(open-ended )?response|other \(please specify\)", re.IGNORECASE)
"""What SurveyMonkey writes into its second line."""
FEW, HEAD, SHARE = 5, 2000, 0.3
AS_IT_IS = "csv_options={'engine': 'python'} reads every line as a row"


@dataclass
class Block:
    """Rows below a blank line: the number of their first line, how many records stand above the blank one, and the first of them."""

    line: int
    above: int
    rows: list[list[str]]


def refuse_questions(rows: Sequence[Sequence[str]], skip: int) -> None:
    """Exports of surveys hold what was asked in one or two lines under the header; each would become an answer.

    Args:
        rows: the first rows of a table, the header among them.
        skip: lines above that are left out already.

    Raises:
        UnusableFile: with the lines to leave out.
    """
    header, said = rows[0], 0
    below = [row for row in rows[4:] if len(row) == len(header)]
    if len(header) < 2 or len(below) < 6:
        return
    columns = list(zip(*below, strict=True))
    for number, row in enumerate(rows[1:4], start=1):
        if len(row) == len(header) and _asks(row, header, columns):
            said = number
    if said:
        first = skip + 1 + _breaks(header)
        gone = list(range(first, first + said + sum(_breaks(row) for row in rows[1 : said + 1])))
        raise UnusableFile(
            f"has {said} lines under its header that are no rows, as exports of surveys have (line {skip + 2}: {', '.join(rows[1])[:60]!r}); leave "
            f"them out with csv_options={{'skiprows': {gone}}}; {AS_IT_IS}"
        )


def _breaks(row: Sequence[str]) -> int:
    """Line breaks inside a row's values: lines are counted as they stand in the file."""
    return sum(value.count("\n") for value in row)


def _asks(row: Sequence[str], header: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a row tells of the columns: by what Qualtrics writes, or by words that repeat a name or stand among numbers or a few values."""
    if any(value.startswith('{"ImportId"') for value in row):
        return True
    signs = 0
    for value, name, column in zip(row, header, columns, strict=True):
        held = [other for other in column if other]
        if not value or len(held) < 6:
            continue
        kind = next((kind for kind in (NUMBER, MOMENT) if all(re.fullmatch(kind, other) for other in held)), None)
        if kind is not None:
            if re.fullmatch(kind, value):
                return False
            signs += len(re.findall(r"[^\W\d]{3,}", value)) > 1
        elif value in held:
            return False
        else:
            few = len(set(held)) <= len(held) // 5
            signs += bool(few and (value.rstrip().endswith(("?", ":")) or ANSWER.fullmatch(value)))
        signs += _plain(value) == _plain(name) != ""
    return signs > 0


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def refuse_second_table(data: pa.Table, blocks: Sequence[Block], records: int) -> None:
    """Below a blank line a table of something else may begin, with as many columns.

    Args:
        data: all rows, as text.
        blocks: what stands below each blank line in the middle.
        records: how many there are in the file, blank lines and header among them.

    Raises:
        UnusableFile: with the lines to leave out.
    """
    if not 0 < len(blocks) <= FEW:
        return
    last, names = blocks[-1], data.column_names
    for place in range(len(names)):
        above = data.column(place).slice(0, min(HEAD, blocks[0].above - 1)).drop_null().to_pylist()
        here = [row[place] for row in last.rows if len(row) == len(names) and row[place]]
        if len(above) < 8 or len(here) < 2:
            continue
        counts = all(re.fullmatch(NUMBER, value) for value in above)
        few = len(set(above)) <= len(above) // 5
        if counts and not re.fullmatch(NUMBER, here[0]) or few and not set(above) & set(here):
            raise UnusableFile(
                f"a second table seems to begin at line {last.line} ({', '.join(last.rows[0])[:60]!r}), below a blank line: leave it out with "
                f"csv_options={{'skipfooter': {records - last.above}}}, or make two files; {AS_IT_IS}"
            )


def leave_out_shifted(made: Table) -> None:
    """Rows whose values stand beside their columns are taken out and counted."""
    aside = shifted(made.data)
    if aside is None:
        return
    row = int(aside.argmax())
    example = ", ".join(value or "" for value in made.data.slice(row, 1).to_pylist()[0].values())
    made.bad["values stand one column beside their own"] += int(aside.sum())
    made.example = made.example or f"row {row}: {example[:60]!r}"
    made.data = made.data.filter(pa.array(~aside))


def shifted(data: pa.Table) -> np.ndarray | None:
    """`(rows,)` whether the values of a row stand one column beside their own; None: no row's do.

    Such rows lack the first value, or have nothing in the last column. One is shifted where its values are of the kinds that the columns
    beside have, such as a number where all others have words.
    """
    for first, step in ((0, 1), (len(data.column_names) - 1, -1)):
        if len(data.column_names) < 3 or not 0 < data.column(first).null_count <= SHARE * len(data):
            continue
        empty = pc.is_null(data.column(first))
        some = data.filter(empty)
        others = data.slice(0, 10 * HEAD).filter(pc.invert(empty.slice(0, 10 * HEAD))).slice(0, HEAD)
        if len(others) < 8:
            continue
        held = [column.drop_null().to_pylist() for column in others.columns]
        several = (
            sum((pc.is_valid(column).to_numpy().astype(int) for column in some.columns), np.zeros(len(some), int)) > 1
        )
        signs = np.zeros(len(some), int)
        for place in range(len(data.column_names) - 1):
            to, came = (place + 1, place) if step > 0 else (place, place + 1)
            signs += _moved(some.column(to), held[to], held[came])
        signs[~several] = 0  # a sum below the table is beside nothing
        if (signs > 0).any():
            found = np.zeros(len(data), bool)
            found[np.flatnonzero(empty.to_numpy())[signs > 0]] = True
            return found
    return None


def _moved(values: pa.ChunkedArray, own: list[str], beside: list[str]) -> np.ndarray:
    """`(rows,)` 1 where a value is of the kind that the column beside has, and this one never, -1 where it is of its own kind."""
    made = np.zeros(len(values), int)
    numbers = [_share(NUMBER, held) for held in (own, beside)]
    few = [set(held) if 0 < len(set(held)) <= min(50, len(held) // 5) else None for held in (own, beside)]
    for row, value in enumerate(values.to_pylist()):
        if value is None:
            continue
        if max(numbers) > 0.95 and min(numbers) < 0.05:
            made[row] = 1 if bool(re.fullmatch(NUMBER, value)) == (numbers[1] > 0.95) else -1
        elif few[1] is not None and value in few[1] and value not in own:
            made[row] = 1
        elif few[0] is not None and value in few[0]:
            made[row] = -9
    return made


def _share(kind: str, held: list[str]) -> float:
    return sum(bool(re.fullmatch(kind, value)) for value in held) / max(len(held), 1)
