"""Tables beside files that they may name: which files, and which table says most of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.letters import composed
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import called_as_label
from hf_ssl.data.readers.files import FILE_CLASS, FOLDER_LABEL

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart


def sheet_of_files(tables: Sequence[SourcePart], raw: Sequence[Path]) -> str:
    """The table that says most of files: one that names many, and has more than their names; no form of answers to hand in."""
    stems = {composed(file.stem.lower()) for file in raw}

    def rank(part: SourcePart) -> tuple[bool, bool, int, bool]:
        plain = [name for name in part.dataset.column_names if name not in (FILE_CLASS, FOLDER_LABEL)]
        counts = [sum(name in stems for name in _stems_in(part, column)) for column in plain]
        return (
            "submission" not in part.origin.lower(),
            len(plain) > 1,
            max(counts, default=0),
            any(map(called_as_label, plain)),
        )

    return max(tables, key=rank).origin.split(", ")[0]


def _stems_in(part: SourcePart, column: str, count: int | None = None) -> list[str]:
    """What the values of a column may call files, without folders and suffixes, in lower case."""
    if not isinstance(type_of(part.dataset, column), datasets.Value):
        return []
    values = [str(value) for value in values_of(part.dataset, column, count) if value is not None]
    return [
        composed(re.split(r"[\\/]", value.strip())[-1].split(".")[0].lower()) for value in values if len(value) < 300
    ]


def names_in_tables(tables: list[SourcePart]) -> set[str]:
    """Base names (lower case) of whatever looks like a file's name in the first rows and all short columns of tables."""
    found: set[str] = set()
    text = (datasets.Value("string"), datasets.Value("large_string"))
    for part in tables:
        for name, feature in part.dataset.features.items():
            if feature not in text:
                continue
            first = [value for value in values_of(part.dataset, name, 20) if value]
            if first and all(len(value) < 400 and re.search(r"\.[A-Za-z0-9]{2,5}$", value.strip()) for value in first):
                found |= {
                    composed(re.split(r"[\\/]", value.strip())[-1].lower())
                    for value in values_of(part.dataset, name)
                    if value
                }
    return found


def naming_stems(tables: list[SourcePart], raw: list[Path]) -> list[SourcePart]:
    """Tables with a column that names files without their suffix, or as URLs and the like; Kaldi's lists always do."""
    stems, found = {composed(file.stem.lower()) for file in raw}, []
    for part in tables:
        columns = [_stems_in(part, name, 50) for name in part.dataset.column_names]
        inside = not all(isinstance(one, datasets.Value) for one in part.dataset.features.values())
        if inside or any(names and sum(name in stems for name in names) > 0.5 * len(names) for names in columns):
            found.append(part)  # `inside`: pictures or sounds in the table itself
    return found


def with_named_stems(tables: list[SourcePart], raw: list[Path]) -> list[Path]:
    """Files whose name without its suffix stands in a table; all where tables say it in another way."""
    names = {name for part in tables for column in part.dataset.column_names for name in _stems_in(part, column)}
    return [file for file in raw if composed(file.stem.lower()) in names] or raw
