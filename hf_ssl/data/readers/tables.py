"""Tables on disk: csv, tsv, json lines, json and parquet, read by the builders of `datasets`."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import suffix
from hf_ssl.data.readers.files import undecodable

READ_ERRORS = (datasets.exceptions.DatasetsError, pa.ArrowException, ValueError, OSError, EOFError)
ReadAll = Callable[[list[str]], datasets.Dataset]
ReadOne = Callable[[Path], datasets.Dataset]
SEPARATORS = {".tsv": "\t", ".tab": "\t"}


def read_tables(
    files: list[Path],
    root: Path,
    quarantine: list[dict[str, str]],
    *,
    encoding: str = "utf-8-sig",
    csv_options: dict[str, Any] | None = None,
    cache_dir: str | None = None,
) -> list[datasets.Dataset]:
    """Read tables of any of the known kinds.

    Every csv and tsv value is kept as the text it is (`007` stays `007`, `NA` stays `NA`), an empty field is None.
    Rows live in the Arrow cache of `datasets` on disk, not in memory.

    Args:
        files: the tables, `.gz` allowed.
        root: folder that quarantined names are relative to.
        quarantine: unreadable files are appended as `{"path", "reason"}`.
        encoding: encoding of csv, tsv and json files.
        csv_options: passed to `pandas.read_csv`, such as `{"sep": ";"}` or `{"quoting": 3}`.
        cache_dir: where `datasets` keeps its Arrow files.

    Returns:
        One dataset per set of files with the same columns.
    """
    readable: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for file in files:
        try:
            readable[_shape(file, encoding, csv_options)].append(file)
        except READ_ERRORS as error:
            quarantine.append({"path": _relative(file, root), "reason": reason_of(error)})
    found = []
    for (kind, *header), group in readable.items():
        together, alone = _readers(kind, header, encoding, csv_options, cache_dir)
        found += _read_group(group, together, alone, root, quarantine)
    return found


def reason_of(error: BaseException) -> str:
    """First line of the error that `datasets` wrapped."""
    inner = error.__cause__ if isinstance(error, datasets.exceptions.DatasetsError) and error.__cause__ else error
    if "corresponds to no data" in str(inner):
        return "no rows"
    lines = str(inner).strip().splitlines() or [type(inner).__name__]
    return lines[0][:200]


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no log lines of `datasets` about files that are quarantined (and reported) anyway."""
    verbosity, bars = datasets.logging.get_verbosity(), datasets.utils.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not bars:
            datasets.utils.enable_progress_bars()


def _shape(file: Path, encoding: str, csv_options: dict[str, Any] | None) -> tuple[str, ...]:
    """Kind of a table and, for csv, its header: files with the same shape are read together."""
    kind = suffix(file)
    if kind == ".parquet":
        return (kind,)
    if problem := undecodable(file, encoding):
        raise DataErrorInFile(problem)
    if kind in {".csv", *SEPARATORS}:
        import pandas as pd

        options = {"sep": SEPARATORS.get(kind, ","), **(csv_options or {})}
        head = pd.read_csv(file, nrows=1, encoding=encoding, **options)
        if head.empty:
            raise DataErrorInFile("no rows")
        return (kind, *map(str, head.columns))
    return (kind,)


class DataErrorInFile(ValueError):
    """One file is unusable; the caller puts it into quarantine."""


def _read_group(
    files: list[Path], together: ReadAll | None, alone: ReadOne, root: Path, quarantine: list[dict[str, str]]
) -> list[datasets.Dataset]:
    """All files at once; when that fails, one by one, so that the bad one is known and the others are kept."""
    found: list[datasets.Dataset] = []
    with quiet():
        if together is not None:
            with suppress(*READ_ERRORS):
                return [together([str(file) for file in files])]
        for file in files:
            try:
                found.append(alone(file))
            except (*READ_ERRORS, DataError) as error:
                quarantine.append({"path": _relative(file, root), "reason": reason_of(error)})
    return found


def _readers(
    kind: str, header: list[str], encoding: str, csv_options: dict[str, Any] | None, cache_dir: str | None
) -> tuple[ReadAll | None, ReadOne]:
    """How to read many files of one kind at once (None: not at all), and one alone."""
    if kind == ".json":  # the builder takes its layouts for one row of everything
        return None, lambda path: _read_json(path, encoding)
    if kind in {".jsonl", ".ndjson"}:
        # The builder takes a byte order mark away only from a file that it believes to be plain utf-8.
        plain = "utf-8" if encoding.lower().replace("_", "-") in {"utf-8-sig", "utf8"} else encoding
        return (
            lambda paths: _no_mixture(datasets.Dataset.from_json(paths, encoding=plain, cache_dir=cache_dir)),
            lambda path: _read_json(path, encoding),
        )
    if kind == ".parquet":
        return _both(lambda paths: datasets.Dataset.from_parquet(paths, cache_dir=cache_dir))
    features = datasets.Features({name: datasets.Value("string") for name in header})
    options = {"sep": SEPARATORS.get(kind, ","), "keep_default_na": False, "na_values": [""], **(csv_options or {})}
    return _both(
        lambda paths: datasets.Dataset.from_csv(
            paths, features=features, encoding=encoding, cache_dir=cache_dir, **options
        )
    )


def _both(read: ReadAll) -> tuple[ReadAll, ReadOne]:
    return read, lambda path: read([str(path)])


def _no_mixture(table: datasets.Dataset) -> datasets.Dataset:
    """The builder turns a column of mixed types into json text; reading row by row says what is wrong instead."""
    known = (datasets.Value, datasets.List, datasets.LargeList, dict)
    odd = [name for name, feature in table.features.items() if not isinstance(feature, known)]
    if odd:
        raise DataErrorInFile(f"columns {', '.join(odd)} mix types")
    return table


def _read_json(path: Path, encoding: str) -> datasets.Dataset:
    """Read json row by row.

    The builder fixes the columns and their types on the first 10 MB: a file that begins with unlabeled rows and has
    its labels further down does not fit that.
    """
    opened = gzip.open(path, "rt", encoding=encoding) if path.suffix.lower() == ".gz" else path.open(encoding=encoding)
    with opened as stream:
        rows = _json_array(stream.read()) if suffix(path) == ".json" else list(_json_lines(stream))
    if not rows:
        raise DataErrorInFile("no rows")
    return from_rows(rows)


def _json_array(text: str) -> list[Any]:
    """Rows of a `.json` file: a list, a mapping with one list, or (named wrongly, but often) json lines."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        return list(_json_lines(text.split("\n")))
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list):
        raise DataErrorInFile("expected a json list of rows")
    return content


def _json_lines(lines: Iterable[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise DataErrorInFile(f"line {number} is not json: {error.msg} at column {error.colno}") from error


def from_rows(
    rows: list[Any], features: datasets.Features | None = None, text_column: str = "text"
) -> datasets.Dataset:
    """A dataset from dicts (missing keys become None) or plain strings.

    Raises:
        DataError: rows are neither, or one column mixes types that do not go together.
    """
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if isinstance(row, str):
            rows[number] = row = {text_column: row}
        if not isinstance(row, dict):
            raise DataError(
                f"Row {number} is {type(row).__name__}; rows must be str or dicts like {{'text': ..., 'label': ...}}."
            )
        names.update(dict.fromkeys(map(str, row)))
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        return datasets.Dataset.from_dict(columns, features=features)
    except (pa.ArrowException, TypeError, ValueError) as error:
        kinds = {name: sorted({type(v).__name__ for v in values if v is not None}) for name, values in columns.items()}
        mixed = "; ".join(f"{name}: {', '.join(found)}" for name, found in kinds.items() if len(found) > 1)
        raise DataError(f"A column mixes types ({mixed or reason_of(error)}); give every column one type.") from error


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
