"""Tables on disk: csv, tsv, JSON lines, JSON and parquet → datasets, with an account of every file and every row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as parquet

from hf_ssl.core.paths import stem, suffix
from hf_ssl.core.textfiles import DEFAULT_ENCODING, UnusableFile
from hf_ssl.data.column_names import called_as_label
from hf_ssl.data.readers.codebooks import without_codebooks
from hf_ssl.data.readers.fasttext import read_fasttext
from hf_ssl.data.readers.files import FILE_CLASS
from hf_ssl.data.readers.files import partitions as in_folders
from hf_ssl.data.readers.headers import are_values
from hf_ssl.data.readers.headings import headings_in
from hf_ssl.data.readers.json_rows import from_rows, read_json, table_of_rows
from hf_ssl.data.readers.places import Places
from hf_ssl.data.readers.sums import sums_below, sums_between
from hf_ssl.data.readers.tried import begins_at, read_with_advice
from hf_ssl.data.readers.versions import tell_versions
from hf_ssl.data.report import DataReport

__all__ = ["from_rows", "quiet", "read_tables"]
READ_ERRORS = (datasets.exceptions.DatasetsError, pa.ArrowException, ValueError, OSError, EOFError, OverflowError)
IN_MEMORY = 1 << 28
"""Bytes of a table in Arrow above which it is kept in the cache on disk."""
MANY_ROWS, ROWS_A_BYTE = 10_000_000, 50
"""A parquet file of more rows than both (the second for each byte of it) holds one value again and again, to fill the memory."""


@dataclass
class _Read:
    """One file as it was read."""

    path: Path
    dataset: datasets.Dataset
    found: int
    bad: Counter[str] = field(default_factory=Counter)
    example: str = ""
    notes: list[str] = field(default_factory=list)


def read_tables(
    files: list[Path],
    root: Path,
    report: DataReport,
    *,
    encoding: str = DEFAULT_ENCODING,
    csv_options: dict[str, Any] | None = None,
    cache_dir: str | None = None,
    text_column: str = "text",
    file_column: str | None = None,
    file_names: Mapping[Path, str] | None = None,
    by_file: bool = False,
    partitions: bool = True,
    places: Places | None = None,
) -> list[tuple[list[Path], datasets.Dataset]]:
    """Read tables of any of the known kinds.

    Every csv and tsv value is kept as the text it is (`007` stays `007`, `NA` stays `NA`), an empty field is None.

    Args:
        files: the tables, `.gz` allowed.
        root: folder that quarantined names are relative to.
        report: unreadable files go into its quarantine; rows that are left out into its account.
        encoding: encoding of csv, tsv and json files.
        csv_options: those of `pandas.read_csv`, such as `{"sep": ";"}` or `{"quoting": 3}`.
        cache_dir: where large tables are kept on disk.
        text_column: what the column is called where rows are bare strings.
        file_column: where several files have the same columns, this one says which file a row is of (None: not wanted).
        file_names: what files are called, where that may be the class of their rows: the column `file_class` of tables without labels.
        by_file: of all tables.
        partitions: folders such as `label=pos` below `root` are columns of the tables in them.
        places: finds the files that rows name.

    Returns:
        Files with the same columns, and the dataset that they are together.
    """
    every: list[_Read] = []
    for file in files:
        name = _relative(file, root)
        try:
            one = _read_one(file, name, report, encoding, csv_options, cache_dir, text_column)
            if partitions and file.is_relative_to(root) and (said := in_folders(file.relative_to(root))):
                one.dataset = _with_partitions(one.dataset, said)
                report.decide(f"folders called {'=..., '.join(said)}=... are columns of the tables in them")
        except READ_ERRORS as error:
            report.quarantined.append({"path": name, "reason": reason_of(error)})
            continue
        one.dataset = _plain_types(one.dataset)
        every.append(one)
    if "names" not in (csv_options or {}):
        every = _with_headers_of_others(every, root, report, encoding, csv_options, cache_dir)
    every = without_codebooks(every, report)
    if file_column is None and not by_file:
        tell_versions([(one.path, one.dataset) for one in every], report)
    if places is not None:
        with quiet():
            for one in every:
                one.dataset = places.settled(one.dataset, one.path)
    read: dict[tuple[Any, ...], list[_Read]] = {}
    for one in every:
        read.setdefault(tuple(sorted((k, str(v)) for k, v in one.dataset.features.items())), []).append(one)
    found = []
    total = sum(one.found for one in every)
    for reason in sorted({reason for one in every for reason in one.bad}):
        count = sum(one.bad[reason] for one in every)
        first = next(one for one in every if one.bad[reason])
        report.account("rows").found += count
        quotes = "If values hold the separator, enclose them in quotes; if another separates columns: csv_options={'sep': ...}"
        uneven = "number of columns" in reason and count > 0.2 * total
        if uneven and (better := begins_at(first.path, encoding, csv_options or {})) is not None:
            quotes = f"The table seems to begin at line {better['skiprows'] + 1}: csv_options={better}"
        report.leave_out(
            "rows", reason, count, total, example=f"{_relative(first.path, root)}, {first.example}",
            hint=quotes if uneven else "",
        )  # fmt: skip
    for group in read.values():
        parts = [one.dataset for one in group]
        if file_column is not None and len(every) > 1 and file_column not in parts[0].column_names:
            parts = _with_names(group, file_column, {one.path: stem(one.path) for one in group})
        if file_names and (by_file or not any(map(called_as_label, parts[0].column_names))):
            parts = _with_names(group, FILE_CLASS, file_names)
        with quiet():
            table = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
        found.append(([one.path for one in group], table))
    return found


def _with_names(group: Sequence[_Read], column: str, names: Mapping[Path, str]) -> list[datasets.Dataset]:
    """The tables with a column that says which file a row is of."""
    value = datasets.Value("string")
    return [one.dataset.add_column(column, [names[one.path]] * len(one.dataset), feature=value) for one in group]


def _with_headers_of_others(
    every: list[_Read], root: Path, report: DataReport, encoding: str, csv_options: dict[str, Any] | None, cache_dir: str | None
) -> list[_Read]:  # fmt: skip
    """Of parts of one table only the first may have the header: the others are read with its names."""
    lines = [one for one in every if suffix(one.path) in (".csv", ".tsv", ".tab")]
    bare = {id(one) for one in lines if are_values(one.dataset.column_names, list(one.dataset[:2000].values()))}
    headed = {tuple(one.dataset.column_names): one for one in lines if id(one) not in bare}
    fits = {width: [names for names in headed if len(names) == width] for width in {len(names) for names in headed}}
    made, first = [], None
    for one in every:
        names = fits.get(len(one.dataset.column_names), [])
        if id(one) in bare and len(names) == 1:
            options = {**(csv_options or {}), "names": list(names[0])}
            first = first or (_relative(one.path, root), _relative(headed[names[0]].path, root), names[0])
            one = _read_one(one.path, _relative(one.path, root), report, encoding, options, cache_dir, "")
        made.append(one)
    if first is not None:
        count = sum(old is not new for old, new in zip(every, made, strict=True))
        report.warn(
            f"{count:,} of {len(every):,} tables have no header, such as {first[0]}: read with the names of {first[1]} ({', '.join(first[2])[:80]}); "
            f"csv_options={{'names': {list(first[2])}}} says so for all"
        )
    return made


def _with_partitions(dataset: datasets.Dataset, said: dict[str, str | None]) -> datasets.Dataset:
    """The columns that folders say, beside those of the file.

    Raises:
        UnusableFile: the file holds such a column with other values.
    """
    for name, value in said.items():
        if name in dataset.column_names:
            other = next((held for held in dataset[name] if held is not None and str(held) != value), None)
            if other is not None:
                raise UnusableFile(
                    f"its folder says {name}={value}, its column {name!r} holds {other!r}; folder_labels=False reads columns alone"
                )
            continue
        with quiet():
            dataset = dataset.add_column(name, [value] * len(dataset), feature=datasets.Value("string"))
    return dataset


def _read_one(
    file: Path, name: str, report: DataReport, encoding: str, csv_options: dict[str, Any] | None, cache_dir: str | None,
    text_column: str,
) -> _Read:  # fmt: skip
    kind = suffix(file)
    if kind == ".parquet":
        one = _read_parquet(file, cache_dir)
        for note in one.notes:
            report.warn(f"{name}: {note}")
        return one
    if kind in {".jsonl", ".ndjson", ".json"}:
        rows = read_json(file, encoding)
        dataset = table_of_rows(rows, text_column)
        one = _Read(file, dataset, rows.found, rows.bad, rows.example)
        notes, facts = rows.notes, []
    else:
        table = (
            read_fasttext(file, encoding)
            if kind in (".txt", ".text")
            else read_with_advice(file, encoding, csv_options)
        )
        one = _Read(file, _dataset(table.data, file, cache_dir), table.rows, table.bad, table.example)
        notes, facts = table.notes, table.facts
        last = table.data.slice(max(0, len(table.data) - 200)).to_pylist() if text_column == "text" else []
        if sums := sums_below([[value for value in row.values()] for row in last]):
            shown = " and ".join(map(repr, sums[:2]))
            notes.append(
                f"its last {len(sums)} rows ({shown}) look like sums or notes below the table, and are read as rows; "
                f"csv_options={{'skipfooter': {len(sums)}}} leaves them out"
            )
        if text_column == "text":
            told = sums_between(table.data, file)
            notes += [told] if told else headings_in(table.data, file, len(sums))
    for note in notes:
        report.warn(f"{name}: {note}")
    for fact in facts:
        report.decide(f"{name}: {fact}")
    return one


def _dataset(table: pa.Table, file: Path, cache_dir: str | None) -> datasets.Dataset:
    """In memory when it is small, else in a file of the cache that is mapped."""
    if table.nbytes <= IN_MEMORY:
        return datasets.Dataset(datasets.table.InMemoryTable(table))
    import hashlib

    folder = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "hf_ssl_tables"
    folder.mkdir(parents=True, exist_ok=True)
    state = file.stat()
    name = hashlib.blake2b(
        f"{file.resolve()} {state.st_size} {state.st_mtime_ns}".encode(), digest_size=16
    ).hexdigest()
    target, unfinished = folder / f"{name}.arrow", folder / f"{name}.{id(table)}.tmp"
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=10_000)
    unfinished.replace(target)
    return datasets.Dataset.from_file(str(target))


def _read_parquet(file: Path, cache_dir: str | None) -> _Read:
    """Parquet, with text that is text: a damaged file must not fail later, in the middle of an iteration."""
    try:
        if not (count := parquet.ParquetFile(file).metadata.num_rows):
            raise UnusableFile("no rows")
        if count > max(MANY_ROWS, ROWS_A_BYTE * file.stat().st_size):
            raise UnusableFile(f"{count:,} rows in {file.stat().st_size:,} bytes: nearly all of them are the same")
        with quiet():
            if any(pa.types.is_map(kind) for kind in parquet.read_schema(file).types):
                dataset = datasets.Dataset(datasets.table.InMemoryTable(_without_maps(parquet.read_table(file))))
            else:
                dataset = datasets.Dataset.from_parquet([str(file)], cache_dir=cache_dir)
        dataset, mended = _valid_text(dataset)
    except UnusableFile:
        raise
    except Exception as error:  # pyarrow and datasets have errors of many kinds for damaged files
        raise UnusableFile(reason_of(error)) from error
    notes = [
        f"{count:,} values of column {name!r} are no UTF-8: what is wrong in them was replaced by \ufffd"
        for name, count in mended.items()
    ]
    return _Read(file, dataset, len(dataset), notes=notes)


def _valid_text(dataset: datasets.Dataset) -> tuple[datasets.Dataset, dict[str, int]]:
    """The dataset with text that is text, and how many values of which columns were not.

    Raises:
        pyarrow.ArrowInvalid: it is damaged in another way.
    """
    table, mended = dataset.data.table, dict[str, int]()
    try:
        table.validate(full=True)
        return dataset, mended
    except pa.ArrowInvalid:
        for place, field_ in enumerate(table.schema):
            if not (pa.types.is_string(field_.type) or pa.types.is_large_string(field_.type)):
                continue
            binary = pa.binary() if pa.types.is_string(field_.type) else pa.large_binary()
            content = [chunk.view(binary).to_pylist() for chunk in table.column(place).chunks]
            text = [
                [None if value is None else value.decode("utf-8", "replace") for value in chunk] for chunk in content
            ]
            wrong = sum(
                new is not None and new.encode() != old
                for chunk, old_chunk in zip(text, content, strict=True) for new, old in zip(chunk, old_chunk, strict=True)
            )  # fmt: skip
            if wrong:
                mended[field_.name] = wrong
                table = table.set_column(
                    place, field_, pa.chunked_array([pa.array(chunk, field_.type) for chunk in text], field_.type)
                )
    table.validate(full=True)
    return datasets.Dataset(datasets.table.InMemoryTable(table)), mended


def _without_maps(table: pa.Table) -> pa.Table:
    """Columns of maps, which `datasets` has no type for, as JSON text."""
    for place, one in enumerate(table.schema):
        if pa.types.is_map(one.type):
            text = [
                None if value is None else json.dumps(dict(value), default=str)
                for value in table.column(place).to_pylist()
            ]
            table = table.set_column(place, one.name, pa.array(text, pa.string()))
    return table.replace_schema_metadata(None)


def _plain_types(dataset: datasets.Dataset) -> datasets.Dataset:
    """Decimal numbers as floats, times of day as text: types that later steps can count with."""
    with quiet():
        for name, feature in dataset.features.items():
            kind = getattr(feature, "dtype", "")
            if isinstance(feature, datasets.Value) and kind.startswith("decimal"):
                dataset = dataset.cast_column(name, datasets.Value("float64"))
            elif isinstance(feature, datasets.Value) and kind.startswith("time"):
                if kind.startswith(("time32", "time64")):
                    text = [None if value is None else str(value) for value in dataset[name]]
                    dataset = dataset.remove_columns([name]).add_column(name, text, feature=datasets.Value("string"))
    return dataset


def reason_of(error: BaseException) -> str:
    """First line of the error that `datasets` wrapped."""
    inner = error.__cause__ if isinstance(error, datasets.exceptions.DatasetsError) and error.__cause__ else error
    if "corresponds to no data" in str(inner):
        return "no rows"
    lines = str(inner).strip().splitlines() or [type(inner).__name__]
    return lines[0][:400]


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


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
