"""The shape of a table of text lines: what separates columns, what the header is, which rows are of another width."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.paths import suffix
from hf_ssl.core.textfiles import MAX_LINE, SAMPLE, UnusableFile, open_text

SEPARATORS = {".tsv": "\t", ".tab": "\t"}
OTHERS = (",", ";", "\t", "|")
SNIFFED = 300
REGULAR = 0.95
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|"}


@dataclass
class Table:
    """What one file holds.

    Attributes:
        data: every column as text (None: empty).
        notes: what the user should be told (each becomes a warning, with the file's name before it).
        facts: what was found out beyond doubt (each becomes a line "decided").
        rows: records found, headers and blank lines not counted.
        bad: reason → how many of them are not in `data`; `example` → where the first is.
    """

    data: pa.Table
    notes: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    rows: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    example: str = ""


@dataclass
class Shape:
    """How the lines of a file are to be cut."""

    separator: str
    quoting: int = csv.QUOTE_MINIMAL
    quotes_given: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    skip: int = 0
    skip_lines: frozenset[int] = frozenset()
    names: list[str] | None = None
    header: bool = True

    def reader(self, lines: Iterable[str], *, strict: bool = True, quoting: int | None = None) -> Any:
        csv.field_size_limit(MAX_LINE)
        return csv.reader(
            lines, delimiter=self.separator, quoting=self.quoting if quoting is None else quoting,  # type: ignore[arg-type]
            strict=strict, **self.extra,
        )  # fmt: skip

    @classmethod
    def of(cls, path: Path, encoding: str, options: dict[str, Any], made: Table) -> Shape:
        kind = suffix(path)
        given = options.get("sep", options.get("delimiter"))
        if given is not None and len(given) != 1:
            raise UnusableFile(f"sep={given!r} must be one character")
        extra = {name: options[name] for name in ("quotechar", "escapechar", "doublequote", "skipinitialspace")
                 if options.get(name) is not None}  # fmt: skip
        quoting = int(options.get("quoting", csv.QUOTE_MINIMAL))
        shape = cls(given or SEPARATORS.get(kind, ","), quoting, "quoting" in options, extra)
        skipped = options.get("skiprows") or 0
        if isinstance(skipped, int):
            shape.skip = skipped
        else:
            shape.skip_lines = frozenset(int(line) for line in skipped)
        if options.get("names") is not None:
            shape.names = [str(name) for name in options["names"]]
            shape.header = options.get("header", None) in (0, "infer")
        elif "header" in options and options["header"] is None:
            shape.header = False
        with open_text(path, encoding) as stream:
            head = stream.read(SAMPLE)
        lines = head.splitlines(keepends=True)
        lines = [line for number, line in enumerate(lines) if number >= shape.skip and number not in shape.skip_lines]
        if len(head) == SAMPLE and len(lines) > 1:
            lines.pop()  # cut in the middle
        if lines and (declared := re.fullmatch(r'"?sep=(.)"?[,;\s]*', lines[0].strip("\r\n"), re.IGNORECASE)):
            shape.skip += 1  # Excel's own way to say it
            lines = lines[1:]
            if given is None:
                shape.separator, given = declared[1], declared[1]
        if given is None:
            shape.separator = _separator(shape, lines, made)
        shape.refuse_preamble(lines)
        return shape

    def refuse_preamble(self, lines: list[str]) -> None:
        """A title, a comment or a second header above the table would become its header."""
        widths = [len(row) for row in itertools.islice(self.reader(lines, strict=False), SNIFFED) if row]
        if len(widths) < 4 or self.names is not None or not self.header:
            return
        usual, count = Counter(widths[1:]).most_common(1)[0]
        first = next((place for place, width in enumerate(widths) if width == usual), 0)
        if widths[0] == 1 < usual and first and count >= REGULAR * (len(widths) - first):
            raise UnusableFile(
                f"begins with {first} lines ({lines[0].strip()[:40]!r} ...) before its {usual} columns; leave them out with "
                f"csv_options={{'skiprows': {first + self.skip}}}"
            )


def _separator(shape: Shape, lines: list[str], made: Table) -> str:
    """The suffix's own separator unless it does not cut the lines evenly and another one does."""
    usual = shape.separator
    fits: dict[str, tuple[float, int]] = {}
    for candidate in dict.fromkeys((usual, *OTHERS)):
        rows = Shape(candidate, shape.quoting, extra=shape.extra).reader(lines, strict=False)
        widths = [len(row) for row in itertools.islice(rows, SNIFFED) if row]
        if widths:
            same = sum(width in (widths[0], widths[0] + 1) for width in widths) / len(widths)
            fits[candidate] = (same, widths[0])
    if not fits:
        return usual
    even, width = fits[usual]
    if width >= 2 and even >= REGULAR:
        return usual
    better = [name for name, (same, wide) in fits.items() if name != usual and wide >= 2 and same >= REGULAR]
    if not better or (width >= 2 and len(better) > 1):
        return usual
    best = max(better, key=lambda name: (fits[name][0], fits[name][1]))
    made.facts.append(f"columns are separated by {_NAMES[best]}")
    return best


@dataclass
class Geometry:
    """Names of the columns, and which surplus fields of a record may be left away."""

    names: list[str]
    width: int
    trailing: int = 0
    row_names: bool = False
    repeated_header: int = 0
    trailing_rows: int = 0
    header: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, chunk: list[list[str]], shape: Shape, made: Table) -> Geometry:
        first = chunk[0]
        rows = chunk[1:] if shape.header else chunk
        names = shape.names or (
            [name.strip() for name in first] if shape.header else [f"column {n}" for n in range(len(first))]
        )
        widths = Counter(map(len, rows))
        usual = widths.most_common(1)[0][0] if widths else len(names)
        if shape.names and usual != len(names) and widths:
            raise UnusableFile(f"csv_options names {len(names)} columns, but the rows have {usual}")
        geometry = cls(names, len(names), header=first if shape.header else [])
        surplus = usual - len(names)
        if surplus > 0 and all(
            not value for row in rows[:SNIFFED] if len(row) == usual for value in row[len(names) :]
        ):
            geometry.trailing = surplus
        elif surplus == 1 and widths[usual] == len(rows):
            if _counts_up([row[0] for row in rows]):
                geometry.row_names = True
                geometry.names, geometry.width = ["Unnamed: 0", *names], len(names) + 1
            else:
                raise UnusableFile(
                    f"every row has {usual} values and the header {len(names)} names ({', '.join(names[:6])}): which column has no "
                    f"name? Name all {usual}: csv_options={{'names': [...], 'header': 0}}"
                )
        geometry._name_columns(shape)
        return geometry

    def _name_columns(self, shape: Shape) -> None:
        """Empty names get pandas' ones; equal ones are refused, because nobody can say which is meant."""
        self.names = [name or f"Unnamed: {place}" for place, name in enumerate(self.names)]
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise UnusableFile(
                f"several columns are called {twice[0]!r}. Name all {len(self.names)} yourself: csv_options={{'names': [...], "
                "'header': 0}"
            )

    def batch(self, chunk: list[list[str]], first: int, made: Table) -> pa.RecordBatch:
        if set(map(len, chunk)) != {self.width} or chunk[0] == self.header:
            chunk = self._even(chunk, first, made)
        elif self.header and self.header in chunk:
            chunk = self._even(chunk, first, made)
        else:
            made.rows += len(chunk)
        columns = [pa.array(values, pa.string()) for values in zip(*chunk, strict=True)] if chunk else []
        columns = columns or [pa.array([], pa.string()) for _ in self.names]
        empty = [pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column) for column in columns]
        return pa.RecordBatch.from_arrays(empty, names=self.names)

    def _even(self, chunk: list[list[str]], first: int, made: Table) -> list[list[str]]:
        kept, line = [], first
        for row in chunk:
            if row == self.header:
                self.repeated_header += 1
            elif len(row) == self.width:
                made.rows += 1
                kept.append(row)
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

    def notes(self, made: Table) -> list[str]:
        found = []
        if self.trailing_rows:
            found.append(f"{self.trailing_rows:,} of {made.rows:,} rows end with one separator more than the header: the empty "
                         "value after it is left away")  # fmt: skip
        if self.row_names:
            found.append("rows have one value more than the header: taken for row numbers in front of the columns")
        if self.repeated_header:
            found.append(f"{self.repeated_header:,} lines repeat the header: left away")
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


def _counts_up(values: Sequence[str]) -> bool:
    """Whether these are row numbers: whole numbers that rise by one."""
    if len(values) < 2 or not all(value.isascii() and value.isdigit() for value in values):
        return False
    numbers = list(map(int, values))
    return numbers[0] in (0, 1) and all(b - a == 1 for a, b in itertools.pairwise(numbers))
