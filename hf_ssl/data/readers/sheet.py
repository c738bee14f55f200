"""A spreadsheet that labels files: one row per file, found by path, name, or name without suffix."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.report import DataReport

FILE_COLUMNS = (
    "path",
    "file",
    "file_name",
    "filename",
    "file_path",
    "filepath",
    "name",
    "image",
    "audio",
    "text_file",
    "image_id",
    "img",
    "image_name",
    "image_path",
    "image_file",
    "img_name",
    "img_id",
    "img_path",
    "picture",
    "photo",
    "audio_file",
    "audio_path",
    "audio_filepath",
    "clip",
    "wav",
    "fname",
    "file_id",
    "url",
    "id",
)


def join_sheet(dataset: datasets.Dataset, sheet: datasets.Dataset, report: DataReport) -> datasets.Dataset:
    """Add the sheet's columns to rows that have a `path`.

    A sheet's entry is matched by the path below the source's folder, else by file name, else by file name without
    suffix, capitals or not; a file without an entry gets None in every column.

    Raises:
        DataError: no column names files, nothing matches, an entry fits several files, or the first line is no header.
    """
    if "path" not in dataset.column_names:
        raise DataError(
            "labels=... labels files; this source is a table, whose label is a column: use label_column=..."
        )
    _refuse_missing_header(sheet, list(dataset["path"]))
    key = _file_column(sheet, list(dataset["path"]))
    sheet = _once(sheet, key, report)
    entries = _entries(sheet, key)
    rows = _match(dataset["path"], entries)
    if not any(row is not None for row in rows):
        rows = _by_numbers(dataset["path"], entries, report)
    found = [row for row in rows if row is not None]
    if not found:
        raise DataError(
            f"No file is named in column {key!r} of the label sheet. "
            f"A file: {dataset['path'][0]!r}; an entry: {entries[0]!r}. Write the names of the files into it as "
            f"they are; folders and suffixes may be left away."
        )
    if len(set(found)) < len(entries):
        report.warn(
            f"label sheet: {len(entries) - len(set(found)):,} of {len(entries):,} entries name no file that was found"
        )
    if len(found) < len(rows):
        missing = next(path for path, row in zip(dataset["path"], rows, strict=True) if row is None)
        report.warn(
            f"label sheet: {len(rows) - len(found):,} of {len(rows):,} files are not named in it, such as {missing}: unlabeled, whatever their "
            "folders are called"
        )
    for name in sheet.column_names:
        if name != key and name not in dataset.column_names:
            values = sheet[name][:]
            column = [None if row is None else values[row] for row in rows]
            dataset = dataset.add_column(name, column, feature=sheet.features[name])
    return dataset


def _entries(sheet: datasets.Dataset, key: str) -> list[str]:
    """Names of files as they are written here: without backslashes, drives and what follows a URL's `?`."""
    texts = [str(value).strip().replace("\\", "/") for value in sheet[key]]
    texts = [text.split("?")[0] if "://" in text else text for text in texts]
    return [PurePosixPath(text).as_posix() for text in texts]


def _refuse_missing_header(sheet: datasets.Dataset, paths: list[str]) -> None:
    """A file's own row that became the names of columns would lose its label.

    Raises:
        DataError: with names to give.
    """
    known = {name for path in paths for name in (path, Path(path).name, Path(path).name.split(".")[0])}
    head = sheet.select(range(min(200, len(sheet))))
    names = sheet.column_names
    for place, name in enumerate(names):
        own = Path(name.strip().replace("\\", "/")).name
        if name.strip().lower() in FILE_COLUMNS or own not in known and Path(own).suffix not in _suffixes(paths):
            continue
        entries = [Path(entry).name for entry in _entries(head, name)]
        if sum(entry in known for entry in entries) <= 0.5 * len(entries):
            continue
        given = [f"column_{number}" for number in range(len(names))]
        given[place] = "file"
        if len(names) == 2:
            given[1 - place] = "label"
        raise DataError(
            f"The label sheet seems to have no header: its columns would be called {', '.join(names)[:80]}, and {own} would have no label. Name "
            f"them: csv_options={{'names': {given}}}{'' if len(names) == 2 else ', and the one of labels: label_column=...'}."
        )


def _suffixes(paths: list[str]) -> set[str]:
    return {Path(path).suffix for path in paths} - {""}


def _file_column(sheet: datasets.Dataset, paths: list[str]) -> str:
    """The column that is called as one of files is, else the one whose entries name files."""
    lower = {name.strip().lower(): name for name in reversed(sheet.column_names)}
    for name in FILE_COLUMNS:
        if name in lower:
            return lower[name]
    known = {name for path in paths for name in (path, Path(path).name, Path(path).name.split(".")[0])}
    head = sheet.select(range(min(200, len(sheet))))
    for name in sheet.column_names:
        entries = [Path(entry).name for entry in _entries(head, name)]
        if entries and sum(entry in known for entry in entries) > 0.5 * len(entries):
            return name
    cut = cut_otherwise(sheet.column_names, {name.lower() for name in known})
    how = (
        f"Its first line seems to be a row, cut by another mark: csv_options={cut}"
        if cut
        else "Call the one that does file in its first line"
    )
    raise DataError(
        f"The label sheet needs a column that names the files ({', '.join(FILE_COLUMNS[:4])} ...); "
        f"its columns are {', '.join(sheet.column_names)[:200]}. {how}."
    )


def cut_otherwise(names: Sequence[str], stems: Collection[str]) -> dict[str, Any] | None:
    """Options that read a table without a header whose first line, cut by another mark, begins with a file: `LJ001|He said, and ...`.

    Args:
        names: what the first line was taken for.
        stems: names of files without suffix, in lower case.
    """
    line = ",".join(names)
    for mark in "|;\t":
        fields = [field.strip() for field in line.split(mark)]
        if len(fields) > 1 and re.split(r"[\\/]", fields[0])[-1].split(".")[0].lower() in stems:
            long = [place for place, field in enumerate(fields) if place and len(field.split()) > 3]
            own = {0: "file", **({long[-1]: "text"} if long else {1: "label"} if len(fields) == 2 else {})}
            made: dict[str, Any] = {
                "sep": mark,
                "names": [own.get(place, f"column_{place}") for place in range(len(fields))],
            }
            return {**made, "quoting": 3} if long else made
    return None


def _once(sheet: datasets.Dataset, key: str, report: DataReport) -> datasets.Dataset:
    """Every entry once: what is written twice alike is one, what differs is an error.

    Raises:
        DataError: two rows say different things about one file.
    """
    first: dict[str, int] = {}
    rows, again = [], 0
    values = {name: list(sheet[name]) for name in sheet.column_names}
    for row, entry in enumerate(_entries(sheet, key)):
        before = first.setdefault(entry, row)
        if before == row:
            rows.append(row)
            continue
        again += 1
        other = next((name for name in values if name != key and values[name][row] != values[name][before]), None)
        if other is not None:
            raise DataError(
                f"The label sheet has two rows for {entry!r} (rows {before + 1} and {row + 1}) that differ in column {other!r}: "
                f"{values[other][before]!r} and {values[other][row]!r}. Leave one of them."
            )
    if not again:
        return sheet
    report.warn(f"label sheet: {again:,} of {len(sheet):,} rows repeat another one: read once")
    return sheet.select(rows)


def _by_numbers(paths: list[str], entries: list[str], report: DataReport) -> list[int | None]:
    """Row of the sheet for every path whose entry has other zeros in front of its numbers (`IMG_7`, `IMG_0007.png`), or is the number alone."""
    stems = [Path(path).name.split(".")[0].lower() for path in paths]
    asked = [Path(entry).name.split(".")[0].lower() for entry in entries]
    alone = all(entry.isdigit() for entry in asked)
    for way in (_plain_numbers, _last_number)[: 2 if alone else 1]:
        named = [way(stem) for stem in stems]
        wanted = {way(entry): row for row, entry in enumerate(asked)}
        if (
            len(set(named)) < len(named)
            or len(wanted) < len(asked)
            or sum(name in wanted for name in named) < 0.5 * len(named)
        ):
            continue
        rows = [wanted.get(name) for name in named]
        place = next(place for place, row in enumerate(rows) if row is not None)
        entry = entries[rows[place] or 0]
        report.warn(
            f"label sheet: entries are taken for files by their numbers, such as {entry!r} for {paths[place]}; write the names of the files into "
            "the sheet if that is wrong"
        )
        return rows
    return [None] * len(paths)


def _plain_numbers(name: str) -> str:
    return re.sub(r"\d+", lambda found: found[0].lstrip("0") or "0", name)


def _last_number(name: str) -> str:
    found = re.findall(r"\d+", name)
    return (found[-1].lstrip("0") or "0") if found else name


def _match(paths: list[str], entries: list[str]) -> list[int | None]:
    """Row of the sheet for every path."""
    ways = (lambda text: text, lambda text: Path(text).name, lambda text: Path(text).name.split(".")[0],
            lambda text: Path(text).name.split(".")[0].lower())  # fmt: skip
    rows: list[int | None] = [None] * len(paths)
    open_entries = set(range(len(entries)))
    for way in ways:
        files: dict[str, set[str]] = defaultdict(set)
        for path, row in zip(paths, rows, strict=True):
            if row is None:
                files[way(path)].add(path)
        chosen: dict[str, int] = {}
        for row in sorted(open_entries):
            fitting = files.get(way(entries[row]), set())
            if len(fitting) > 1:
                raise DataError(
                    f"Entry {entries[row]!r} of the label sheet fits {len(fitting)} files, such as "
                    f"{' and '.join(sorted(fitting)[:2])}; write the path below the data folder."
                )
            for path in fitting:
                if path in chosen:
                    raise DataError(f"The label sheet has two entries for {path!r}.")
                chosen[path] = row
        for place, path in enumerate(paths):
            if rows[place] is None and path in chosen:
                rows[place] = chosen[path]
        open_entries -= set(chosen.values())
    return rows
