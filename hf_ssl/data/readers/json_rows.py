"""Rows from JSON and JSON lines, and rows of dicts → Arrow. One bad row does not lose a file."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import suffix
from hf_ssl.core.textfiles import BAD_LINES, MIXED, UNDECODABLE, UnusableFile, encoding_of_file, open_text, read_text

BAD_JSON = "lines that are no JSON"
NOT_DICTS = "rows that are no {name: value}"
OTHER_TYPE = "rows with a value of another type than the rest of its column"
FIRST = 200
"""Rows that are looked at for what takes too long to look for in all."""
SPLITS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "unlabeled", "unlabelled"}
_BETWEEN = re.compile(r"[\s,]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class JsonRows:
    """Rows of a file: dicts (or strings), how many there were, and why some are not here."""

    rows: list[Any]
    found: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    example: str = ""
    notes: list[str] = field(default_factory=list)


def read_json(path: Path, encoding: str) -> JsonRows:
    """Read a `.json` or `.jsonl` file.

    Raises:
        UnusableFile: it is not text, or holds no rows.
    """
    found = encoding_of_file(path, encoding, by_lines=suffix(path) != ".json")
    made = JsonRows([], notes=[found.note] if found.note else [])
    if suffix(path) == ".json":
        content = _whole(read_text(path, found.name), made.notes)
        if isinstance(content, str):
            _add_lines(content.split("\n"), made)
        else:
            made.rows, made.found = content, len(content)
    else:
        with open_text(path, found.name) as stream:
            _add_lines(stream, made, found.name == MIXED)
        with open_text(path, found.name) as stream:
            _tell_repeated_keys(stream, made)
        if made.bad[BAD_JSON] > len(made.rows):
            _add_objects(read_text(path, found.name), made)
    if not made.rows:
        raise UnusableFile(made.example if made.bad else "no rows")
    return made


def _add_lines(lines: Iterable[str], made: JsonRows, mixed: bool = False) -> None:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        made.found += 1
        if mixed and UNDECODABLE in line:
            made.bad[BAD_LINES] += 1
            made.example = made.example or f"line {number}: {line.replace(UNDECODABLE, '?')[:60]!r}"
            continue
        try:
            made.rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
            made.bad[BAD_JSON] += 1
            why = (
                f"{error.msg} at column {error.colno}"
                if isinstance(error, json.JSONDecodeError)
                else "nested too deeply"
                if isinstance(error, RecursionError)
                else "a number of thousands of digits"
            )
            made.example = made.example or f"line {number} is not json: {why}"


def _add_objects(text: str, made: JsonRows) -> None:
    """Objects over several lines, several in one line, or with commas between them, where they make up the whole file."""
    decoder, place, rows = json.JSONDecoder(), 0, []
    while (between := _BETWEEN.match(text, place)) is not None and (start := between.end()) < len(text):
        try:
            row, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        rows.append(row)
    what = "objects that are not one per line"
    if len(rows) == 1 and isinstance(rows[0], list):
        rows, what = rows[0], "objects of one list, as files that end in .json hold"
    made.rows, made.found, made.example = rows, len(rows), ""
    made.bad.clear()
    made.notes.append(f"{len(rows):,} {what}: read one after the other")


def _tell_repeated_keys(lines: Iterable[str], made: JsonRows) -> None:
    """`{"text": 1, "text": 2}`: only the last would be seen."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.update(name for name, count in Counter(name for name, _ in found).items() if count > 1)
        return dict(found)

    twice: set[str] = set()
    for line in itertools.islice(lines, FIRST):
        try:
            json.loads(line, object_pairs_hook=pairs)
        except (ValueError, RecursionError):
            continue
    if twice:
        made.notes.append(f"rows have several values for {min(twice)!r}: the last one counts")


def _whole(text: str, notes: list[str]) -> list[Any] | str:
    """Rows of a `.json` file: a list, a mapping with one list, columns; the text itself where it is (as often) JSON lines."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return text
        raise UnusableFile(f"line {error.lineno} is not json: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise UnusableFile("is nested too deeply") from error
    if isinstance(content, dict):
        if isinstance(content.get("text"), str):  # one text with what belongs to it, such as Whisper's segments
            return [content]
        values = list(content.values())
        lists = [value for value in values if isinstance(value, list)]
        dicts = [value for value in values if isinstance(value, dict)]
        splits = content and len(lists) == len(values) and all(str(name).lower() in SPLITS for name in content)
        if splits and all(isinstance(row, dict) and "split" not in row for rows in lists for row in rows):
            content = [{**row, "split": name} for name, rows in content.items() for row in rows]
        elif {"columns", "data"} <= content.keys() <= {"columns", "data", "index"}:  # pandas' orient="split"
            content = [dict(zip(content["columns"], row, strict=False)) for row in content["data"]]
        elif len(lists) > 1 and len(lists) == len(values) and len(set(map(len, lists))) == 1:  # columns
            content = [dict(zip(content, row, strict=True)) for row in zip(*lists, strict=True)]
        elif len(dicts) == len(values) > 1 and len({tuple(value) for value in dicts}) == 1:
            if _by_rows(content, dicts[0]):
                content = dicts
            else:  # pandas' own to_json
                content = [{name: column[key] for name, column in content.items()} for key in dicts[0]]
        else:
            if len(lists) == 1 and (
                beside := [name for name, value in content.items() if isinstance(value, str) and len(value) > 20]
            ):
                notes.append(
                    f"rows are those of {next(n for n, v in content.items() if v is lists[0])!r}; beside them {', '.join(beside)} is not read"
                )
            content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list):
        keys = (
            f"an object of {', '.join(map(str, list(content)[:6]))}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
            raise UnusableFile(
                "is a COCO file: its boxes and outlines are not read. Draw masks of class numbers and write a table of columns image and "
                "mask, or a table of columns image and label"
            )
        raise UnusableFile(
            f"expected a json list of rows, and found {keys}: write the rows as a list, one {{name: value}} each"
        )
    return content


def _by_rows(outer: dict[str, Any], inner: dict[str, Any]) -> bool:
    """Whether a mapping of mappings is `{row: {column: value}}` and not `{column: {row: value}}`."""
    numbered = [all(str(key).lstrip("-").isdigit() for key in keys) for keys in (outer, inner)]
    if numbered[0] != numbered[1]:
        return numbered[0]
    return len(outer) > len(inner)


def table_of_rows(made: JsonRows, text_column: str = "text") -> datasets.Dataset:
    """Rows as a dataset: missing keys become None, numbers beside text become text, halves of characters are replaced.

    Rows whose value is of quite another type (a list where the others have text) are left out and counted in `made`.
    """
    names: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    for row in made.rows:
        if isinstance(row, str):
            row = {text_column: row}
        if not isinstance(row, dict):
            made.bad[NOT_DICTS] += 1
            made.example = made.example or (f"a row is {type(row).__name__}, and not {{name: value}}: {str(row)[:40]}")
            continue
        if any(_SURROGATE.search(name) for name in row):
            row = _mended(row)
            made.notes.append("names of columns hold half of a character (a lone surrogate): replaced by \ufffd")
        names.update(dict.fromkeys(row))
        rows.append(row)
    made.notes = list(dict.fromkeys(made.notes))
    for name, other in _spelled_twice(names):
        if not any(name in row and other in row for row in rows):
            count = sum(other in row for row in rows)
            rows = [{name if key == other else key: value for key, value in row.items()} for row in rows]
            names.pop(other)
            made.notes.append(f"{count:,} of {len(rows):,} rows call column {name!r} {other!r}: taken for the same")
    odd: set[int] = set()
    for name in names:
        odd |= _odd_rows([row.get(name) for row in rows], name, made)
    if odd:
        made.bad[OTHER_TYPE] += len(odd)
        rows = [row for place, row in enumerate(rows) if place not in odd]
    columns = {name: _column([row.get(name) for row in rows], name, made) for name in names}
    if not rows or not columns:
        raise UnusableFile(made.example or "no rows")
    return datasets.Dataset(datasets.table.InMemoryTable(pa.table(columns)))


def _spelled_twice(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names that differ in capitals and blanks alone from one before them, each behind that one."""
    first: dict[str, str] = {}
    found = [(first.setdefault(name.strip().lower(), name), name) for name in names]
    return [(one, other) for one, other in found if one != other]


def _kind(value: object) -> str:
    if isinstance(value, (str, bool, int, float)):
        return "scalar"
    return "list" if isinstance(value, (list, tuple)) else "dict" if isinstance(value, dict) else type(value).__name__


def _odd_rows(values: Sequence[Any], name: str, made: JsonRows) -> set[int]:
    kinds = [None if value is None else _kind(value) for value in values]
    counts = Counter(kind for kind in kinds if kind is not None)
    if len(counts) < 2:
        return set()
    usual = counts.most_common(1)[0][0]
    odd = {place for place, kind in enumerate(kinds) if kind is not None and kind != usual}
    first = values[min(odd)]
    made.example = made.example or f"a {type(first).__name__} in column {name!r}: {str(first)[:40]}"
    return odd


def _column(values: list[Any], name: str, made: JsonRows) -> pa.Array:
    types = {type(value) for value in values if value is not None}
    if str in types and types & {int, float, bool}:
        count = sum(not isinstance(value, str) for value in values if value is not None)
        example = next(value for value in values if value is not None and not isinstance(value, str))
        made.notes.append(f"column {name!r} has numbers beside text ({count:,}, such as {example}): taken as text")
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    elif bool in types and types & {int, float}:
        values = [value if value is None else float(value) if float in types else int(value) for value in values]
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        broken = sum(bool(_SURROGATE.search(_dumped(value))) for value in values)
        made.notes.append(
            f"{broken:,} rows hold half of a character (a lone surrogate) in column {name!r}: replaced by \ufffd"
        )
        values = [_mended(value) for value in values]
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _as_json(values, name, made)
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _as_json(values, name, made)


def _as_json(values: list[Any], name: str, made: JsonRows) -> pa.Array:
    """What Arrow has no type for."""
    made.notes.append(f"column {name!r} has values of different shapes: taken as JSON text")
    return pa.array([None if value is None else _mended(json.dumps(value, default=str)) for value in values])


def _dumped(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _mended(value: object) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return [_mended(item) for item in value] if isinstance(value, (list, tuple)) else value


def _is_media(row: object) -> bool:
    """Whether a dict is one sound or picture, as `datasets.Audio` and `datasets.Image` give them, not a row of columns."""
    if not isinstance(row, dict):
        return False
    return set(row) - {"path"} == {"array", "sampling_rate"} or set(row) == {"bytes", "path"}


def from_rows(
    rows: list[Any], features: datasets.Features | None = None, text_column: str = "text"
) -> datasets.Dataset:
    """A dataset from dicts (missing keys become None), plain strings, arrays or pictures that are in memory.

    Raises:
        DataError: rows are neither, or one column mixes types that do not go together.
    """
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if (
            isinstance(row, str) or hasattr(row, "__array_interface__") or _is_media(row)
        ):  # arrays and pictures alone, too
            rows[number] = row = {text_column: row}
        if not isinstance(row, dict):
            raise DataError(
                f"Row {number} is {type(row).__name__}; rows must be str, arrays, pictures or dicts like {{'text': ..., 'label': ...}}."
            )
        names.update(dict.fromkeys(map(str, row)))
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        return datasets.Dataset.from_dict(columns, features=features)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = {name: sorted({type(v).__name__ for v in values if v is not None}) for name, values in columns.items()}
        mixed = "; ".join(f"{name}: {', '.join(found)}" for name, found in kinds.items() if len(found) > 1)
        why = mixed or str(error).strip().splitlines()[0]
        raise DataError(f"A column mixes types ({why}); give every column one type.") from error
