"""Edits of files that messages ask for, made as a user would make them."""

# ruff: noqa: E501
from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Edit = Callable[[Path, "re.Match[str]", Path], "Path | None"]
EXCUSES: dict[str, tuple[str, ...]] = {
    "damaged files": (
        "cut short", "an empty file", "is a web page", "git lfs pull", "no rows", "is empty", "Format not recognised", "is a PDF", "no series after @data",
    ),
    "formats that another program has to convert": (
        "not readable as audio", "of no known format", "is a video", "Convert them", "convert it", "save the sheet", "save it as", "save those as parquet",
        "export its table", "write its sound to a file", "is a picture", "Save each document", "Mails: save", "Subtitles: write", "Molecules: write",
        "Sequences: write", "Measurements: save", "Volumes: write", "Write its rows as", "is a COCO file", "write every value",
    ),
    "dates that have to be written otherwise": (
        "Say how they are written", "have to be written as dates", "bring them to one", "write all stamps", "unknown frequency", "is no known step",
    ),
    "annotations that have to be written as labels": (
        "For those write words and tags", "Write text into it", "write the rows as a list", "one {name: value}", "and not {name: value}", "Number the sentences", "that is no label",
        "Save class numbers", "save masks without smoothing", "one column per label holds", "holds conversations",
    ),
    "contradictions in the data": (
        "Leave one of them", "Write the names of the files", "have the same class", "no values before the label", "is none of those that", "else mend the line",
        "values and", "sums of the years", "x holds", "x has", "needs an array x", "needs numbers", "All of train is",
    ),
}  # fmt: skip
"""What can only be done with other programs, or by the user's own knowledge: the words by which messages ask for it."""


def copied(source: Path, to: Path) -> Path:
    if source.is_dir():
        return Path(shutil.copytree(source, to, dirs_exist_ok=True))
    to.mkdir(exist_ok=True)
    return Path(shutil.copy(source, to / source.name))


def table_of(source: Path) -> Path | None:
    return source if source.is_file() else next(iter(sorted(source.rglob("*.[ct]sv"))), None)


def renamed(source: Path, found: re.Match[str], to: Path) -> Path | None:
    """A copy whose name ends as is asked for."""
    file = source if source.is_file() else next((one for one in source.rglob("*") if one.is_file()), None)
    if file is None:
        return None
    to.mkdir(exist_ok=True)
    return Path(shutil.copy(file, to / (file.name.split(".")[0] + (".csv" if found[1] == ".gz" else "") + found[1])))


def unpacked(source: Path, found: re.Match[str], to: Path) -> Path | None:
    file = source if source.is_file() else next(one for one in source.rglob("*.*") if one.is_file())
    to.mkdir(exist_ok=True)
    content = file.read_bytes()
    if tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:
            archive.extractall(to, filter="data")
        return to
    if content.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(to)
        return to
    reader: Any = {b"BZ": bz2, b"\xfd7": lzma, b"\x1f\x8b": gzip}[content[:2]]
    (to / "a.csv").write_bytes(reader.decompress(content))
    return to


def without(source: Path, test: Callable[[str], bool], to: Path) -> Path | None:
    """A copy of a table without the lines that fit."""
    copy = copied(source, to)
    file = table_of(copy)
    if file is None:
        return None
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not test(line)]
    file.write_text("".join(kept), encoding="utf-8")
    return copy if len(kept) < len(lines) else None


def row_left_out(source: Path, found: re.Match[str], to: Path) -> Path | None:
    return without(source, lambda line: found[1] in line, to)


def rows_left_out(source: Path, found: re.Match[str], to: Path) -> Path | None:
    shape = re.sub(r"\d", "0", found[1])
    return without(source, lambda line: re.sub(r"\d", "0", line).startswith(shape), to)


def json_row_left_out(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy = copied(source, to)
    if copy.suffix != ".jsonl":
        return None
    rows = copy.read_text().splitlines()
    del rows[int(found[1])]
    copy.write_text("\n".join(rows))
    return copy


def field_emptied(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy = copied(source, to)
    if (file := table_of(copy)) is None:
        return None
    file.write_text(re.sub(r"(?m)(?<=,)-?inf(inity)?(?=,|$)", "", file.read_text()))
    return copy


def class_of_test_removed(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy, names = copied(source, to), found[2].split(", ")
    for file in copy.rglob("*") if copy.is_dir() else [copy]:
        if file.is_dir() or found[1] not in file.relative_to(copy).as_posix():
            continue
        if set(file.relative_to(copy).parts) & set(names):
            file.unlink()
        elif file.suffix == ".csv":
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(line for line in lines if line.strip().rsplit(",", 1)[-1] not in names))
            if len(file.read_text().splitlines()) < 2:
                file.unlink()
    return copy


def arrays_renamed(source: Path, found: re.Match[str], to: Path) -> Path | None:
    if source.suffix != ".npz":
        return None
    to.mkdir(exist_ok=True)
    with np.load(source) as arrays:
        np.savez(to / "a.npz", x=arrays["X_train"], y=arrays["y_train"])
    return to / "a.npz"


def lists_named(source: Path, found: re.Match[str], to: Path) -> Path | None:
    """Rows that are lists, written as {name: value}."""
    to.mkdir(exist_ok=True)
    text = source.read_text()
    rows = json.loads(text) if source.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    (to / "a.jsonl").write_text("\n".join(json.dumps({"text": row[0], "label": row[1]}) for row in rows))
    return to / "a.jsonl"


def quotes_taken_off(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy = copied(source, to)
    copy.write_text("\n".join(line.strip().strip('"') for line in copy.read_text().splitlines()))
    return copy


def commas_between(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy = copied(source, to)
    copy.write_text("\n".join(re.sub(r" {2,}", ",", line.strip()) for line in copy.read_text().splitlines()))
    return copy


def as_png(source: Path, found: re.Match[str], to: Path) -> Path | None:
    """Pictures of a kind that is not read, converted."""
    from PIL import Image

    if not source.is_dir():
        return None
    copy, made = copied(source, to), 0
    for file in [one for one in copy.rglob("*") if one.suffix in (".ico", ".pcx", ".sgi", ".eps", ".psd")]:
        try:
            with Image.open(file) as picture:
                picture.convert("RGB").save(file.with_suffix(".png"))
        except OSError:
            continue
        file.unlink()
        made += 1
    return copy if made else None


def numbers_alone(source: Path, found: re.Match[str], to: Path) -> Path | None:
    """A table whose column holds nothing but numbers."""
    copy = copied(source, to)
    file = table_of(copy)
    if file is None or file.suffix == ".jsonl":
        file = next(copy.rglob("*.jsonl")) if copy.is_dir() else copy
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        made_up = [
            {**row, found[1]: [v if isinstance(v, (int, float)) else None for v in row[found[1]]]} for row in lines
        ]
        file.write_text("\n".join(map(json.dumps, made_up)))
        return copy
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    sep = next((mark for mark in ";\t" if mark in head), ",")
    place = [name.strip('" ') for name in head.split(sep)].index(found[1])
    made = [head]
    for row in csv.reader(rows, delimiter=sep):
        plain = re.fullmatch(r"[~<>]?\s*([\d,.]+)\s*([^\d\s]*)", row[place].strip())
        if plain:
            minus = "-" if plain[2] == "-" else ""
            row[place] = "" if row[place].startswith(("<", ">")) else minus + plain[1].replace(",", "")
        elif not re.fullmatch(r"-?[\d.]+", row[place].strip()):
            row[place] = {"on": "1", "off": "0"}.get(row[place].strip().lower(), "")
        made.append(sep.join(row))
    file.write_text("\n".join(made) + "\n", encoding="utf-8")
    return copy


def named_txt(source: Path, found: re.Match[str], to: Path) -> Path | None:
    copy = copied(source, to)
    for file in [one for one in copy.rglob("*") if one.is_file()]:
        file.rename(file.with_name(file.name + ".txt"))
    return copy


def test_alone(source: Path, found: re.Match[str], to: Path) -> Path | None:
    return source / found[1] if (source / found[1]).is_dir() else None


EDITS: list[tuple[str, Edit]] = [
    (r"Column '([^']*)' holds text.*Write numbers alone into it", numbers_alone),
    (r"let their names end in \.txt", named_txt),
    (r"give the folder or file of (test|validation) alone as data", test_alone),
    (r"let its name end in (\.\w+)", renamed),
    (r"call it (\.tsv|\.jsonl?) (?:or|to)", renamed),
    (r"(?:unpack it|Unpack archives)", unpacked),
    (r"holds '([^']*)' \(row \d+\) among .*Leave those rows out", row_left_out),
    (r"holds '([^']*)' \(row \d+\) among .*Leave those rows out", rows_left_out),
    (r"Row (\d+) of \S+: .*leave it out", json_row_left_out),
    (r"Leave the field empty", field_emptied),
    (
        r"(test|validation) has \d+ labels that train has no example of: (.*?)\. .*remove those rows",
        class_of_test_removed,
    ),
    (r"needs an array x", arrays_renamed),
    (r"a row is list, and not", lists_named),
    (r"take the outer quotes off", quotes_taken_off),
    (r"save the table with commas", commas_between),
    (r"Convert them to one of these", as_png),
]
PATTERNS = (r"Give a pattern: the tables '([^']*)'", r"Give a pattern: .*, the files '([^']*)'")
"""Places in messages that name what to read instead."""
