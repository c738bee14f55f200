"""The records of a table of text lines: what the header is, which rows are of another width."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.textfiles import UnusableFile
from hf_ssl.data.readers.headers import (
    BOM,
    are_values,
    as_many,
    begins_table,
    distinct,
    refuse_equal_names,
    refuse_levels,
)
from hf_ssl.data.readers.rows import SNIFFED, cleaned, counts_up
from hf_ssl.data.readers.shape import Shape, Table

RULER = re.compile(r"[\s:+=|-]*-{2,}[\s:+=|-]*")


def _is_row(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line of a table is a row of it and no header."""
    return are_values(first, _columns(first, rows))


def _columns(first: list[str], rows: list[list[str]]) -> list[tuple[str, ...]]:
    """First values of every column, of the rows that are as wide as the first line."""
    return list(zip(*(row for row in rows[:SNIFFED] if len(row) == len(first)), strict=True))


def spellings(header: list[str]) -> frozenset[str]:
    """Names of columns in the ways that people write them."""
    ways = (str, str.strip, str.lower, str.upper, str.title, str.capitalize)
    return frozenset(
        form.format(way(name)) for name in header for way in ways for form in ("{}", BOM + "{}", f'{BOM}"{{}}"')
    )


def _plain(row: list[str]) -> list[str]:
    return [value.lstrip(BOM).strip().strip('"').lower() for value in row]


@dataclass
class Geometry:
    """Names of the columns, and which surplus fields of a record may be left away."""

    names: list[str]
    width: int
    trailing: int = 0
    row_names: bool = False
    repeated_header: int = 0
    rulers: int = 0
    trailing_rows: int = 0
    header: list[str] = field(default_factory=list)
    named: bool = False
    missing: list[str] = field(default_factory=list)
    missing_in: dict[str, list[str]] = field(default_factory=dict)
    again: frozenset[str] = frozenset()
    """What a line begins with that may be the header once more."""
    order: list[int] | None = None
    """Places of the columns in rows, where a header further down turned them."""

    @classmethod
    def of(cls, chunk: list[list[str]], shape: Shape, made: Table) -> Geometry:
        first = chunk[0]
        rows = chunk[1:] if shape.header else chunk
        names = shape.names or (
            cleaned(first, [row for row in rows if row])
            if shape.header
            else [f"column {n}" for n in range(len(first))]
        )
        widths = Counter(map(len, rows))
        usual = widths.most_common(1)[0][0] if widths else len(names)
        if shape.names and usual != len(names) and widths:
            raise UnusableFile(
                f"the rows have {usual} values, but {len(names)} columns are named: "
                f"csv_options={{'names': {as_many(shape.names, usual)}}} names them all"
            )
        if shape.header and not shape.names and usual < len(names) and not any(names[usual:]) and all(names[:usual]):
            made.facts.append("the header ends with a separator that the lines do not have: left away")
            names = names[:usual]
        # Names that the user gives may stand in some of the files all the same.
        header = first if shape.header else shape.names or []
        geometry = cls(
            names,
            len(names),
            header=header,
            named=shape.names is not None,
            missing=shape.missing,
            missing_in=shape.missing_in,
        )
        geometry.again = spellings(header)
        said = _is_row(first, rows)
        if shape.names and shape.header and said:
            made.notes.append(
                f"its first line ({', '.join(first)[:60]!r}) looks like a row, and is left out as a header because csv_options say "
                "'header': 0; without that it is read"
            )
        elif shape.names and not shape.header and first != shape.names and not said and begins_table(chunk):
            made.notes.append(
                f"its first line ({', '.join(first)[:60]!r}) looks like a header, and is read as a row because csv_options name the "
                "columns; with 'header': 0 in them it is left out"
            )
        surplus = usual - len(names)
        if surplus > 0 and all(
            not value for row in rows[:SNIFFED] if len(row) == usual for value in row[len(names) :]
        ):
            geometry.trailing = surplus
        elif surplus == 1 and widths[usual] == len(rows):
            if counts_up([row[0] for row in rows]):
                geometry.row_names = True
                geometry.names, geometry.width = ["Unnamed: 0", *names], len(names) + 1
            else:
                raise UnusableFile(
                    f"every row has {usual} values and the header {len(names)} names ({', '.join(names[:6])}): which column has no "
                    f"name? The first: csv_options={{'names': {distinct(['row', *names])}, 'header': 0}}; the last: "
                    f"csv_options={{'names': {as_many(names, usual)}, 'header': 0}}. If values hold the separator, enclose them in quotes"
                )
        geometry.names = [name or f"Unnamed: {place}" for place, name in enumerate(geometry.names)]
        if shape.header and not shape.names:
            refuse_levels(first, rows, shape.skip)
        refuse_equal_names(
            geometry.names, rows[0] if rows and begins_table(rows) else None, said, shape.skip, _columns(first, rows)
        )
        return geometry

    def batch(self, chunk: list[list[str]], first: int, made: Table) -> pa.RecordBatch:
        ruled = any(value.startswith(("--", " --", ":-", " :-")) for row in chunk[:2] for value in row[:2])
        if set(map(len, chunk)) != {self.width} or chunk[0] == self.header or ruled:
            chunk = self._even(chunk, first, made)
        elif self.order is not None or self.header and any(row[0] in self.again for row in chunk):
            chunk = self._even(chunk, first, made)
        else:
            made.rows += len(chunk)
        columns = [pa.array(values, pa.string()) for values in zip(*chunk, strict=True)] if chunk else []
        columns = columns or [pa.array([], pa.string()) for _ in self.names]
        absent = [pa.array(["", *self.missing, *self.missing_in.get(name, [])], pa.string()) for name in self.names]
        empty = [
            pc.if_else(pc.is_in(column, words), pa.scalar(None, pa.string()), column)
            for column, words in zip(columns, absent, strict=True)
        ]
        return made.without_blank(pa.RecordBatch.from_arrays(empty, names=self.names))

    def _even(self, chunk: list[list[str]], first: int, made: Table) -> list[list[str]]:
        kept, line = [], first
        for row in chunk:
            if row == self.header or row[0] in self.again and self._is_header(row, line, made):
                self.repeated_header += 1
            elif self.rulers < 3 and all(RULER.fullmatch(value) or not value for value in row) and any(row):
                self.rulers += 1
            elif len(row) == self.width:
                made.rows += 1
                kept.append(row if self.order is None else [row[place] for place in self.order])
            elif self.width < len(row) <= self.width + max(self.trailing, 1) and not any(row[self.width :]):
                made.rows += 1
                self.trailing_rows += 1
                kept.append(row[: self.width])
            else:
                made.rows += 1
                made.bad["lines with another number of columns than the header"] += 1
                made.example = made.example or f"line {line}: {len(row)} instead of {self.width}"
            line += 1 + sum(value.count("\n") for value in row)
        return kept

    def _is_header(self, row: list[str], line: int, made: Table) -> bool:
        """Whether a row names the columns once more, in whatever case or order; rows below it are then read by its order."""
        own, names = _plain(row), _plain(self.header)
        if len(own) < 2 or len(set(names)) < len(names) or sorted(own) != sorted(names):
            return False
        self.order = None if own == names else [own.index(name) for name in names]
        if self.order is not None:
            made.notes.append(
                f"line {line} names the columns again, in another order ({', '.join(row)[:60]}): the rows below it are read by that; else make "
                "two files of it"
            )
        return True

    def notes(self, made: Table) -> list[str]:
        found = []
        if self.trailing_rows:
            found.append(f"{self.trailing_rows:,} of {made.rows:,} rows end with one separator more than the header: the empty "
                         "value after it is left away")  # fmt: skip
        if self.row_names:
            found.append("rows have one value more than the header: taken for row numbers in front of the columns")
        if self.named and self.repeated_header == 1:
            made.facts.append("its first line repeats the names that csv_options give: left away")
        elif self.repeated_header:
            found.append(f"{self.repeated_header:,} lines repeat the header: left away")
        if self.rulers:
            found.append(f"{self.rulers:,} lines are drawn between header and rows: left away")
        return found

    def finish(self, made: Table) -> None:
        """Columns that a separator at the end of the header makes hold nothing and have no name."""
        empty = [
            name
            for name in made.data.column_names
            if name.startswith("Unnamed: ") and made.data[name].null_count == len(made.data)
        ]
        if empty and len(empty) < len(self.names):
            made.data = made.data.drop_columns(empty)
