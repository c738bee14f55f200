"""Tables of text lines (csv, tsv …) → Arrow, every value as the text it is, and nothing shifted, swallowed or padded.

`csv.reader` walks through the file once. It knows where every record begins, so that records of the wrong width, quotes
that swallow lines, and trailing separators are met here with the number of their line, and not as a wrong column later.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from hf_ssl.core.numbers import respelled
from hf_ssl.core.paths import suffix
from hf_ssl.core.textfiles import (
    BAD_LINES,
    DEFAULT_ENCODING,
    MIXED,
    SAMPLE,
    UNDECODABLE,
    UnusableFile,
    encoding_of_file,
    open_bytes,
    open_text,
)
from hf_ssl.data.readers.geometry import Geometry, spellings
from hf_ssl.data.readers.quotes import inner_quotes, odd_lines, plain_geometry, swallowed
from hf_ssl.data.readers.rows import BACKSLASH, RETURN
from hf_ssl.data.readers.shape import SEPARATORS, Shape, Table
from hf_ssl.data.readers.strays import FEW, HEAD, Block, leave_out_shifted, refuse_second_table

CHUNK = 20_000
# Options of `pandas.read_csv` that are understood here; a table with any other is read by pandas itself.
KNOWN = {"sep", "delimiter", "quoting", "quotechar", "escapechar", "doublequote", "names", "header", "skiprows",
         "decimal", "thousands", "na_values", "skipinitialspace"}  # fmt: skip


def read_delimited(path: Path, encoding: str = DEFAULT_ENCODING, options: dict[str, Any] | None = None) -> Table:
    """Read one file.

    Args:
        path: the file, `.gz` allowed.
        encoding: the user's; the default means: found out (`encoding_of_file`).
        options: of `pandas.read_csv`.

    Raises:
        UnusableFile: with the line, and with the option to give.
    """
    options = dict(options or {})
    by_pandas = set(options) - KNOWN or options.get("header", 0) not in (0, None, "infer")
    found = encoding_of_file(path, encoding, by_lines=not by_pandas)
    made = Table(pa.table({}))
    if found.note:
        made.notes.append(found.note)
    if by_pandas:
        _by_pandas(path, found.name, options, made)
        return made
    shape = Shape.of(path, found.name, options, made)
    if not _read_at_once(path, found.name, shape, made):
        _read(path, found.name, shape, made)
    leave_out_shifted(made)
    if {"decimal", "thousands"} & options.keys():
        made.data = _respelled(made.data, options.get("decimal"), options.get("thousands"))
    return made


def _respelled(table: pa.Table, decimal: str | None, thousands: str | None) -> pa.Table:
    for place, name in enumerate(table.column_names):
        if (values := respelled(table[name].to_pylist(), decimal, thousands)) is not None:
            table = table.set_column(place, name, pa.array(values, pa.string()))
    return table


def _read_at_once(path: Path, encoding: str, shape: Shape, made: Table) -> bool:
    """Arrow's own reader, ten times as fast, for files that leave nothing to decide: UTF-8, no quotes, every line of one
    width. False: this is not one."""
    plain = (
        path.suffix.lower() != ".gz" and encoding in ("utf-8-sig", "utf-8") and not shape.skip and not shape.skip_lines
    )
    plain = plain and shape.literal is None and not shape.missing and not shape.missing_in
    if not plain or shape.names or not shape.header or shape.extra or path.stat().st_size < SAMPLE:
        return False
    with open_bytes(path) as stream:
        names: list[str] = next(shape.reader([stream.readline().decode("utf-8-sig")]), [])
        while piece := stream.read(SAMPLE):
            if (
                b'"' in piece
                or b"\xef" in piece
                and b"\xef\xbb\xbf" in piece
                or piece.count(b"\r") > piece.count(b"\r\n")
            ):
                return False
    names = [name.strip() for name in names]
    if not all(names) or len(set(names)) < len(names):
        return False
    try:
        data = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=1),
            parse_options=arrow_csv.ParseOptions(delimiter=shape.separator, quote_char=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return False
    if not len(data) or pc.any(pc.is_in(data[names[0]], pa.array(sorted(spellings(names))))).as_py():
        return False
    made.rows = len(data)
    made.data = made.without_blank(data)
    return True


class _Records:
    """Records of a stream in chunks, and the line where each chunk begins."""

    def __init__(self, stream: TextIO, shape: Shape, *, quoting: int | None = None, strict: bool = True) -> None:
        lines: Iterable[str] = stream
        if shape.skip:
            lines = itertools.islice(stream, shape.skip, None)
        if shape.skip_lines:
            lines = (line for number, line in enumerate(lines, shape.skip) if number not in shape.skip_lines)
        self.reader = shape.reader(lines, strict=strict, quoting=quoting)
        self.offset = shape.skip
        self.count = 0
        """Records read, blank lines among them."""

    @property
    def line(self) -> int:
        return self.reader.line_num + self.offset

    def chunks(self) -> Iterator[tuple[int, list[list[str]]]]:
        while True:
            first = self.line + 1
            try:
                chunk = list(itertools.islice(self.reader, CHUNK))
            except csv.Error as error:
                raise _BadQuotes(self.line, str(error)) from error
            if not chunk:
                return
            self.count += len(chunk)
            yield first, chunk


class _BadQuotes(ValueError):
    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def _read(path: Path, encoding: str, shape: Shape, made: Table) -> None:
    try:
        doubt = _read_records(path, encoding, shape, made)
    except _BadQuotes as error:
        enclose = shape.quotes_given and shape.quoting == csv.QUOTE_MINIMAL and "field larger" not in str(error)
        if enclose and _by_inner_quotes(path, encoding, shape, made):
            return
        if shape.quotes_given or "field larger" in str(error):
            raise UnusableFile(
                f"line {error.line}: {error}. If quotes are ordinary characters there: csv_options={{'quoting': 3}}; else mend the line"
            ) from error
        if _by_backslashes(path, encoding, shape, made):
            return
        _as_plain(
            path,
            encoding,
            shape,
            made,
            f"line {error.line}: a quote begins or ends inside a value ({error})",
            mended=False,
        )
        return
    if shape.quotes_given and shape.quoting == csv.QUOTE_NONE and (kept := plain_geometry(path, encoding, shape)[2]):
        made.notes.append(
            f"{kept:,} lines hold values that quotes enclose: the quotes are kept as parts of them, as csv_options={{'quoting': 3}} says"
        )
    if doubt and not shape.quotes_given:
        _as_plain(path, encoding, shape, made, doubt, mended=True)


def _by_inner_quotes(path: Path, encoding: str, shape: Shape, made: Table) -> bool:
    """Values such as `"a 5" screen"`: the quotes that stand at separators enclose them, the others are parts of them."""
    found = inner_quotes(path, encoding, shape)
    if found is None:
        return False
    read = Table(pa.table({}), notes=list(made.notes), facts=list(made.facts))
    try:
        _read_records(path, encoding, replace(shape, inner=True), read)
    except (_BadQuotes, UnusableFile):
        return False
    made.data, made.rows, made.bad, made.example = read.data, read.rows, read.bad, read.example
    made.facts = read.facts
    made.notes = [
        *read.notes,
        f"{found.lines:,} lines hold quotes inside of values that are enclosed in quotes, the first is line {found.first}: those that stand at no "
        "separator are kept as parts of values; csv_options={'quoting': 3} takes all quotes for ordinary characters",
    ]
    return True


def _by_backslashes(path: Path, encoding: str, shape: Shape, made: Table) -> bool:
    r"""Quotes inside values may be written `\"` (MySQL and others): taken so where it makes every record even.

    Other backslashes (paths, LaTeX, `\N`) stay: programs that escape them write `\\` for each, and then none stands alone.
    """
    if "escapechar" in shape.extra or "doublequote" in shape.extra:
        return False
    quotes, pairs, alone = 0, 0, ""
    with open_text(path, encoding) as stream:
        for line in stream:
            for following in BACKSLASH.findall(line):
                quotes, pairs = quotes + (following == '"'), pairs + (following == "\\")
                alone = alone or ("" if following in '"\\\n\rN0' else "\\" + following)
    if not quotes:
        return False
    doubled = pairs > 0 and not alone
    other = replace(
        shape, quotes_given=True, escaped='"\\\n\r' if doubled else '"',
        extra={**shape.extra, "escapechar": "\\", "doublequote": False},
    )  # fmt: skip
    read = Table(pa.table({}), notes=list(made.notes), facts=list(made.facts))
    try:
        if _read_records(path, encoding, other, read) or read.bad:
            return False
    except (_BadQuotes, UnusableFile):
        return False
    made.data, made.rows, made.facts = read.data, read.rows, read.facts
    rest = f"other backslashes ({alone} ...) are kept" if alone else r"\\ is one backslash" if doubled else ""
    made.notes = [
        *read.notes,
        f'quotes inside values are written \\" ({quotes:,}): read so'
        + (f"; {rest}" if rest else "")
        + r"; csv_options={'escapechar': '\\'} takes every backslash away and what follows it as it is (\n for n)",
    ]
    return True


def _as_plain(path: Path, encoding: str, shape: Shape, made: Table, why: str, *, mended: bool) -> None:
    """Read quotes as ordinary characters where that makes every line a record; else ask.

    Args:
        why: what is wrong with the quotes.
        mended: whether `made` holds a reading that takes quotes for quotes, which may be right after all.
    """
    even, total, quoted, with_quote = plain_geometry(path, encoding, shape)
    options = "csv_options={'quoting': 3} if quotes are ordinary characters"
    options += ", csv_options={'quoting': 0} if they enclose values" if mended else ""
    if even == total and not quoted:
        plain = Table(pa.table({}), notes=list(made.notes), facts=made.facts)
        shape.quoting = csv.QUOTE_NONE
        _read_records(path, encoding, shape, plain)
        made.data, made.rows, made.bad, made.example = plain.data, plain.rows, plain.bad, plain.example
        made.notes = plain.notes
        made.notes.append(
            f"{with_quote:,} lines hold lone quotes ({why}): read as ordinary characters; else csv_options={{'quoting': 0}}"
        )
        return
    if not mended and _by_inner_quotes(path, encoding, shape, made):
        return
    if mended and even < 0.5 * total:
        return  # lines are no records by themselves: the quotes do enclose texts of several lines
    odd = odd_lines(path, encoding, shape)
    few = not mended and 0 < len(odd) <= max(1, 0.1 * total) and not shape.skip_lines
    if few and _reads(path, encoding, replace(shape, skip_lines=odd)):
        options = f"csv_options={{'skiprows': {sorted(odd)}}} leaves out lines with an odd number of quotes, {options}"
    raise UnusableFile(f"{why}. Say what quotes are: {options}, or mend the line")


def _reads(path: Path, encoding: str, shape: Shape) -> bool:
    """Whether a file can be read in this way."""
    try:
        _read_records(path, encoding, shape, Table(pa.table({})))
    except (_BadQuotes, UnusableFile):
        return False
    return True


def _read_records(path: Path, encoding: str, shape: Shape, made: Table) -> str | None:
    """Fill `made`; returns what is wrong with quotes that enclose several lines, if anything is.

    Raises:
        _BadQuotes: the quotes are not even well-formed.
    """
    batches: list[pa.RecordBatch] = []
    suspicious = None
    blocks: list[Block] = []
    geometry: Geometry | None = None
    made.rows, made.bad = 0, Counter()
    with open_text(path, encoding) as stream:
        records = _Records(stream, shape)
        for first, chunk in records.chunks():
            if shape.lone_returns:
                chunk = [[value.replace(RETURN, "\r") for value in row] for row in chunk]
            several = records.line - first + 1 > len(chunk)
            if 0 in set(map(len, chunk)):
                blocks += _below_blanks(chunk, first, records) if len(blocks) <= FEW else []
                chunk = [row for row in chunk if row]
            if geometry is None and chunk:
                geometry = Geometry.of(chunk, shape, made)
                chunk = chunk[1:] if shape.header else chunk
                first += shape.header
            if geometry is None or not chunk:
                continue
            if several and suspicious is None:
                suspicious = swallowed(chunk, first, shape, len(geometry.names))
            if encoding == MIXED:
                chunk = _decoded(chunk, first, made)
            batches.append(geometry.batch(chunk, first, made))
    if geometry is None or not made.rows:
        raise UnusableFile("no rows")
    made.data = pa.Table.from_batches(batches)
    made.notes += geometry.notes(made)
    geometry.finish(made)
    refuse_second_table(made.data, blocks, records.count)
    return suspicious


def _below_blanks(chunk: list[list[str]], first: int, records: _Records) -> list[Block]:
    """What stands below blank lines in the middle of a chunk, rows of another table perhaps."""
    found: list[Block] = []
    start = records.count - len(chunk)
    for place in (place for place, row in enumerate(chunk) if not row):
        if len(found) > FEW:
            break
        if place + 1 < len(chunk) and chunk[place + 1] and start + place > 1:
            line = first + place + 1 + sum(value.count("\n") for row in chunk[:place] for value in row)
            block = list(itertools.takewhile(len, chunk[place + 1 : place + HEAD]))
            found.append(Block(line, start + place, block))
    return found


def _decoded(chunk: list[list[str]], first: int, made: Table) -> list[list[str]]:
    """Records without those that hold what could not be decoded, which are counted."""
    good = []
    for place, row in enumerate(chunk):
        if any(UNDECODABLE in value for value in row):
            made.rows += 1
            made.bad[BAD_LINES] += 1
            made.example = made.example or f"line {first + place}: {','.join(row).replace(UNDECODABLE, '?')[:60]!r}"
        else:
            good.append(row)
    return good


def _by_pandas(path: Path, encoding: str, options: dict[str, Any], made: Table) -> None:
    """With options of `pandas.read_csv` that only pandas knows; lines that they leave out are counted where they are no choice of rows."""
    import pandas as pd

    known = {
        "sep": SEPARATORS.get(suffix(path), ","),
        "dtype": str,
        "keep_default_na": False,
        "na_values": [""],
        "index_col": False,
    }
    if "delimiter" in options:
        known.pop("sep")
    given, wide = dict(options), list[list[str]]()
    if given.get("on_bad_lines") in ("skip", "warn"):
        given["on_bad_lines"] = wide.append  # returns None, and so the line is skipped
    if "skipfooter" in given or callable(given.get("on_bad_lines")):
        given = {name: value for name, value in given.items() if name not in ("low_memory", "engine")}
        known["engine"] = "python"
    try:
        frame = pd.read_csv(path, encoding=encoding, **{**known, **given})
    except (ValueError, TypeError, OSError) as error:
        raise UnusableFile(f"not readable with csv_options={options}: {str(error).splitlines()[0]}") from error
    if not isinstance(frame, pd.DataFrame):
        raise UnusableFile(f"csv_options={options} read a file in pieces; leave out chunksize and iterator")
    if wide:
        made.bad["lines with more columns than the header"] += len(wide)
        made.example = ",".join(wide[0])[:60]
    if len(frame) == given.get("nrows") and (lines := _lines_in(path)) > len(frame) + 1:
        made.notes.append(
            f"csv_options={{'nrows': {len(frame)}}} reads its first {len(frame):,} rows; it has {lines:,} lines"
        )
    frame = frame.reset_index() if not (given.get("index_col") is None or given["index_col"] is False) else frame
    frame.columns = [str(name).strip() for name in frame.columns]
    if not len(frame):
        raise UnusableFile("no rows")
    text = {
        name: [None if gone else str(value) for value, gone in zip(frame[name], frame[name].isna(), strict=True)]
        for name in frame
    }
    made.data = pa.table({name: pa.array(values, pa.string()) for name, values in text.items()})
    made.rows = len(made.data) + len(wide)


def _lines_in(path: Path) -> int:
    with open_bytes(path) as stream:
        return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(SAMPLE), b""))
