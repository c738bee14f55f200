"""Tables beside others that are no examples: lists of what labels and columns mean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import datasets

from hf_ssl.core.one_column import values_of
from hf_ssl.core.paths import stem
from hf_ssl.data.column_names import called_as_label, distinct_values
from hf_ssl.data.report import DataReport

MOST_ROWS, MOST_COLUMNS, FEWEST_TIMES = 100, 4, 3
"""Rows and columns of a codebook, and how many times as many rows the other tables have."""
LARGEST, MOST_LISTED = 1 << 20, 20
"""Bytes of a description, and items of a list in it."""
_SAYS = frozenset(
    "names map mapping dict dictionary legend codebook codes id2label label2id metadata meta info config schema description stats summary vocab "
    "glossary key keys params parameters settings state dataset infos".split()
)
_MAY_STAND_BESIDE = frozenset(
    "label labels class classes category categories target targets tag tags name to id ids idx index column columns data".split()
)


class Held(Protocol):
    """A table as it was read."""

    @property
    def path(self) -> Path: ...

    @property
    def dataset(self) -> datasets.Dataset: ...


@dataclass
class Tables:
    """Tables of one split with the same columns, and what they are together."""

    split: str | None
    files: list[Path]
    dataset: datasets.Dataset

    @property
    def path(self) -> Path:
        return self.files[0]

    @property
    def names(self) -> str:
        return ", ".join(file.name for file in self.files[:3]) + (" ..." if len(self.files) > 3 else "")


Table = TypeVar("Table", bound=Held)


def without_codebooks(tables: list[Table], report: DataReport) -> list[Table]:
    """Tables without small ones beside them that say what labels or columns mean (`label_names.csv`): their rows are no examples.

    Args:
        tables: of one split, or of all.
        report: is warned, and gets their rows into the account of what is left out.
    """
    total = sum(len(one.dataset) for one in tables)
    found = []
    for one in tables:
        others = [other.dataset for other in tables if other is not one]
        called = _called_as_codebook(one.path)
        times = 1 if called and _holds_the_values(one.dataset, others) else FEWEST_TIMES
        small = times * len(one.dataset) <= total - len(one.dataset) and _lists_values(one.dataset)
        if small and (called or _says_classes(one, others) or _names_labels(one, others)):
            found.append(one)
    for one in found:
        count, name = len(one.dataset), one.path.name
        report.account("rows").found += count
        report.leave_out("rows", f"of {name}, which says what others mean", count, total, warn=False)
        report.warn(
            f"{name} is called as a list of what labels or columns mean, and holds every value once: its {count:,} rows are left out; if they are "
            "examples, rename it"
        )
    return [one for one in tables if not any(one is other for other in found)]


def without_descriptions(tables: list[Path], others: bool, report: DataReport) -> list[Path]:
    """Tables without `.json` files that are one object about the others (`id2label.json`, `dataset_info.json`), and no rows.

    Args:
        others: whether there are files of another kind to read.
        report: is warned, and gets them into the account of what is left out.
    """
    found = [
        file for file in tables if file.suffix.lower() == ".json" and _called_as_codebook(file) and _is_object(file)
    ]
    if not found or len(found) == len(tables) and not others:
        return tables
    report.account("files").left_out["descriptions of other files"] += len(found)
    report.warn(
        f"{len(found)} files such as {found[0].name} are called as descriptions of the others, hold no rows and are not read: names of labels "
        "belong into the label column"
    )
    return [file for file in tables if file not in found]


def _is_object(file: Path) -> bool:
    """Whether a small `.json` file is an object with no list or table of rows in it, and no names of files."""
    if file.stat().st_size > LARGEST:
        return False
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return False
    if isinstance(content, list):
        return _is_short(content)
    if not isinstance(content, dict):
        return True
    of_files = any(re.search(r"\.[A-Za-z]\w{1,4}$", str(name)) for name in content)
    tables = [tuple(value) for value in content.values() if isinstance(value, dict)]
    lists = [value for value in content.values() if isinstance(value, list)]
    return (
        not of_files and len(content) <= MOST_ROWS and len(set(tables)) == len(tables) and all(map(_is_short, lists))
    )


def _is_short(values: list[object]) -> bool:
    """Whether a list is none of rows or texts."""
    return len(values) <= MOST_LISTED and not any(
        isinstance(value, dict) or len(str(value).split()) > 8 for value in values
    )


def _words(path: Path) -> list[str]:
    return [part for part in re.split(r"[^a-z0-9]+", stem(path).lower()) if part]


def _called_as_codebook(path: Path) -> bool:
    parts = _words(path)
    return bool(set(parts) & _SAYS) and set(parts) <= _SAYS | _MAY_STAND_BESIDE


def _says_classes(one: Held, others: Sequence[datasets.Dataset]) -> bool:
    """Whether a table called `classes` or the like has a row of a few words for each label of another (`0,negative`), and no more."""
    parts = _words(one.path)
    if not parts or not set(parts) <= _MAY_STAND_BESIDE or len(one.dataset) < 2:
        return False
    held = {
        name: {str(value) for value in values_of(one.dataset, name) if value is not None}
        for name in one.dataset.column_names
    }
    if any(len(value.split()) > 3 for values in held.values() for value in values):
        return False
    return any(
        {str(value) for value in values_of(other, name) if value is not None} == values
        for other in others
        for name, values in held.items()
        if name in other.column_names and isinstance(other.features[name], datasets.Value)
    )


def _names_labels(one: Held, others: Sequence[datasets.Dataset]) -> bool:
    """Whether `classes` or the like is one list of a few words (`["negative", "positive"]`), as many as another table has labels."""
    parts = _words(one.path)
    if not parts or not set(parts) <= _MAY_STAND_BESIDE or len(one.dataset.column_names) != 1 or len(one.dataset) < 2:
        return False
    if any(len(str(value).split()) > 3 for value in values_of(one.dataset, one.dataset.column_names[0])):
        return False
    counts = [distinct_values(other, name) for other in others for name in other.column_names if called_as_label(name)]
    return len(one.dataset) in counts


def _holds_the_values(dataset: datasets.Dataset, others: Sequence[datasets.Dataset]) -> bool:
    """Whether a column of another table holds nothing but values that one of the same name here lists."""
    for name, feature in dataset.features.items():
        held = {str(value) for value in values_of(dataset, name)} if isinstance(feature, datasets.Value) else set()
        for other in others:
            if held and name in other.column_names and isinstance(other.features[name], datasets.Value):
                values = {str(value) for value in values_of(other, name) if value is not None}
                if len(values) > 1 and values <= held:
                    return True
    return False


def _lists_values(dataset: datasets.Dataset) -> bool:
    """Whether every value of a few columns of plain short values stands there once."""
    if not 0 < len(dataset) <= MOST_ROWS or len(dataset.column_names) > MOST_COLUMNS:
        return False
    for name, feature in dataset.features.items():
        if not isinstance(feature, datasets.Value):
            return False
        values = [str(value) for value in values_of(dataset, name) if value is not None]
        if len(set(values)) < len(values) or any(len(value.split()) > 8 or "/" in value for value in values):
            return False
    return True


def tell_uneven_classes(found: Sequence[tuple[str, datasets.Dataset]], column: str, report: DataReport) -> None:
    """A class per file where tables have different columns, so that no part of the data has more than one.

    Args:
        found: where each part comes from, and its rows.
        column: of what the files are called.
        report: is warned.
    """
    held = [set(values_of(dataset, column)) for _, dataset in found if column in dataset.column_names]
    if len(held) < len(found) or len(found) < 2 or any(len(one) > 1 for one in held):
        return
    names = sorted({str(name) for one in held for name in one})
    if len(names) > 1:
        report.warn(
            f"tables without a label are called {', '.join(names[:4])}, and their columns differ: label_column={column!r} if those are classes, "
            "folder_labels=False says that they are none"
        )
