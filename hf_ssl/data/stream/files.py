"""Files as a stream of rows: each file, or a part of a large one, is a shard that one process reads alone.

Text lines, JSON lines and tables of numbers are cut by bytes, at the end of a line; parquet by row groups; sounds, pictures and
documents lie together by a few dozen. So there are enough shards to share out and to shuffle, and a run that is resumed reads at
most one of them again. A table in csv is one shard, because a value may go over several lines.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as parquet

from hf_ssl.core.errors import DataError
from hf_ssl.core.textfiles import MAX_LINE, UnusableFile, nature, open_bytes, open_text
from hf_ssl.data.readers.shape import Shape, Table
from hf_ssl.data.stream.names import Names

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

PART = 4 << 20
"""Bytes of a shard of text lines."""
TOGETHER = 64
"""Files of a shard, where each is a row."""
SEGMENT = 4096
"""Steps of a piece of a long series, which is an example of its own."""
SHORTEST = 32
CLOCKS = {"", "timestamp", "time", "date", "datetime", "ds", "index", "unnamed: 0"}
"""Columns (in lower case) that say when, though they may be numbers."""
JSON_LINES, TABLES = (".jsonl", ".ndjson"), (".csv", ".tsv", ".tab")

Row = dict[str, Any]
Shard = tuple[int, int, int]
"""Number of the file, and where the part begins and ends: bytes, row groups, or (for files that are rows) the first and last file."""


@dataclass
class FileRows:
    """Rows of the shards of some files; what `datasets.IterableDataset.from_generator` calls.

    Args:
        root: folder that the names are relative to.
        names: of the files.
        kind: suffix that says how they are read; empty: the modality's own files.
        modality: gives its column, and the rows of its own files.
        encoding: of text.
        csv_options: as for `load_data`.
        channels: columns of a table of numbers whose lines are moments of one long series; None: lines are rows.
    """

    root: str
    names: Names
    kind: str
    modality: Modality
    encoding: str
    csv_options: dict[str, Any]
    channels: list[str] | None = None

    def __call__(self, shards: Sequence[Shard]) -> Iterator[Row]:
        read: Callable[[Shard], Iterator[Row]]
        if self.channels is not None:
            read = self._segments
        elif self.kind in JSON_LINES:
            read = self._json
        elif self.kind == "lines":
            read = self._documents
        else:
            read = {".parquet": self._parquet, "": self._own}.get(self.kind, self._table)
        for shard in shards:
            try:
                yield from read(shard)
            except (UnusableFile, OSError, EOFError, UnicodeError, pa.ArrowException) as error:
                raise DataError(f"{self.names[shard[0]]} cannot be read on: {str(error).splitlines()[0]}.") from error

    def path(self, number: int) -> Path:
        return Path(self.root, self.names[number])

    def lines(self, shard: Shard) -> Iterator[bytes]:
        """Lines that begin in a part of a file; a file that is packed has one part only.

        Raises:
            UnusableFile: a line is longer than any that is meant.
        """
        number, start, end = shard
        path, place = self.path(number), start
        with open_bytes(path, whole=True) if end < 0 else path.open("rb") as stream:
            if start:
                stream.seek(start - 1)
                place += len(stream.readline()) - 1
            while place < end or end < 0:
                line = stream.readline(MAX_LINE + 1)
                if not line:
                    return
                if len(line) > MAX_LINE:
                    raise UnusableFile(f"a line is longer than {MAX_LINE >> 20} MB; is it text at all?")
                place += len(line)
                yield line.removeprefix(b"\xef\xbb\xbf") if not start and place == len(line) else line

    def text(self, line: bytes) -> str | None:
        """A line as text; None: it is none in this encoding, and is left out."""
        try:
            return line.decode(self.encoding.replace("utf-8-sig", "utf-8")).rstrip("\r\n")
        except UnicodeDecodeError:
            return None

    def _documents(self, shard: Shard) -> Iterator[Row]:
        name = self.names[shard[0]]
        for line in self.lines(shard):
            if line.strip():
                yield {self.modality.column: self.text(line), "path": name}

    def _json(self, shard: Shard) -> Iterator[Row]:
        for line in self.lines(shard):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row if isinstance(row, dict) else {self.modality.column: row if isinstance(row, str) else None}

    def _table(self, shard: Shard) -> Iterator[Row]:
        path = self.path(shard[0])
        shape = Shape.of(path, self.encoding, self.csv_options, Table(pa.table({})))
        with open_text(path, self.encoding) as stream:
            records = (row for row in shape.reader(itertools.islice(stream, shape.skip, None), strict=False) if row)
            names = shape.names or [name.strip() for name in next(records, [])]
            for row in records:
                yield {name: value or None for name, value in zip(names, row, strict=False)}

    def _parquet(self, shard: Shard) -> Iterator[Row]:
        with parquet.ParquetFile(self.path(shard[0])) as file:
            for batch in file.iter_batches(256, row_groups=[shard[1]]):
                yield from batch.to_pylist()

    def _own(self, shard: Shard) -> Iterator[Row]:
        for number in range(shard[1], shard[2]):
            yield from self.modality.stream_file(self.path(number), Path(self.root))

    def _segments(self, shard: Shard) -> Iterator[Row]:
        """Pieces of a long series, each `(channels, steps)`, from a table with one moment per line."""
        for piece in self._moments(shard):
            if len(piece[0]) >= SHORTEST:
                yield {self.modality.column: piece}

    def _moments(self, shard: Shard) -> Iterator[list[list[float]]]:
        chosen = list(self.channels or ())
        if self.kind == ".parquet":
            with parquet.ParquetFile(self.path(shard[0])) as file:
                for batch in file.iter_batches(SEGMENT, row_groups=[shard[1]], columns=chosen):
                    numbers = (batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in chosen)
                    yield [column.tolist() for column in numbers]
            return
        shape = Shape.of(self.path(shard[0]), self.encoding, self.csv_options, Table(pa.table({})))
        first = next(self.lines((shard[0], 0, -1)), b"")
        header = [name.strip() for name in next(shape.reader([self.text(first) or ""]), [])]
        places = [header.index(name) for name in chosen]
        rows = (
            row for row in shape.reader((self.text(line) or "" for line in self.lines(shard)), strict=False) if row
        )
        if not shard[1]:
            next(rows, None)  # the header
        while piece := list(itertools.islice(rows, SEGMENT)):
            yield [[_number(row, place) for row in piece] for place in places]


def _number(row: list[str], place: int) -> float:
    try:
        return float(row[place])
    except (ValueError, IndexError):
        return float("nan")


def shards_of(rows: FileRows) -> list[Shard]:
    """The parts that processes share out.

    Raises:
        DataError: a file is not of the kind that its name says.
    """
    if rows.kind == "":
        count = len(rows.names)
        step = 1 if count and Path(rows.names[0]).suffix.lower() in rows.modality.containers else TOGETHER
        return [(first, first, min(first + step, count)) for first in range(0, count, step)]
    found: list[Shard] = []
    for number in range(len(rows.names)):
        try:
            found += _parts(rows, number)
        except (UnusableFile, OSError, EOFError, pa.ArrowException) as error:
            raise DataError(f"{rows.names[number]} cannot be streamed: {str(error).splitlines()[0]}.") from error
    return found


def _parts(rows: FileRows, number: int) -> list[Shard]:
    path = rows.path(number)
    if rows.kind == ".parquet":
        with parquet.ParquetFile(path) as file:
            return [(number, group, group + 1) for group in range(file.metadata.num_row_groups)]
    with open_bytes(path, whole=True) as stream:
        head = stream.read(4096)
    if what := nature(head):
        raise UnusableFile(what)
    if b"\0" in head and rows.encoding.lower().startswith("utf-8"):
        raise UnusableFile("is no UTF-8; convert it (UTF-16 cannot be cut into lines by bytes)")
    whole = path.suffix.lower() == ".gz" or (rows.kind in TABLES and rows.channels is None)
    size = path.stat().st_size
    if whole:
        return [(number, 0, -1)]
    return [(number, start, min(start + PART, size)) for start in range(0, size, PART)]


def holds_lists(rows: FileRows) -> bool:
    """Whether a column of the first file holds lists, so that each row is a whole series."""
    if rows.kind != ".parquet":
        return False
    kinds = parquet.read_schema(rows.path(0)).types
    return any(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind) for kind in kinds
    )


def numeric_columns(rows: FileRows, given: Sequence[str], apart: Sequence[str]) -> list[str]:
    """Columns of a table of moments that are channels: the given ones, else those whose first values are numbers.

    Raises:
        DataError: there are none.
    """
    table = FileRows(rows.root, rows.names, rows.kind, rows.modality, rows.encoding, rows.csv_options)
    head = list(itertools.islice(table((_parts(rows, 0)[0],)), 200))
    names = list(dict.fromkeys(name for row in head for name in row))
    if given:
        absent = [name for name in given if name not in names]
        if absent:
            raise DataError(f"{rows.names[0]} has no column {absent[0]!r}; its columns: {', '.join(names)}.")
        return list(given)
    free = [name for name in names if name not in apart and name.lower() not in CLOCKS]
    found = [name for name in free if _are_numbers([row.get(name) for row in head])]
    if not found:
        raise DataError(f"{rows.names[0]} has no column of numbers; its columns: {', '.join(names)}.")
    return found


def _are_numbers(values: Sequence[Any]) -> bool:
    there = [value for value in values if value is not None]
    try:
        return bool(there) and all(float(value) is not None for value in there)
    except (TypeError, ValueError):
        return False
