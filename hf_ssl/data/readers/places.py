"""Where the files are that a table names: its own folder first, so that `jan/labels.csv` never gets a file of `feb`."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

import datasets

from hf_ssl.core.by_name import ByName
from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import values_of
from hf_ssl.core.paths import stem
from hf_ssl.data.readers.files import ANSWERS_OF, PICTURES_OF, split_folder, split_named

_TEXT = (datasets.Value("string"), datasets.Value("large_string"))


class Places:
    """Finds the files that tables below one folder name.

    Args:
        root: folder of the data.
        suffixes: of files that tables may name.
        inputs: columns (lower case) whose files are the examples: a doubtful name there is an error.
    """

    def __init__(self, root: Path, suffixes: Collection[str], inputs: Collection[str]) -> None:
        self.root, self.suffixes, self.inputs = root, tuple(suffixes), frozenset(inputs)
        self._by_name = ByName(root, "")

    def settled(self, dataset: datasets.Dataset, table: Path) -> datasets.Dataset:
        """The table with paths that start from `root`, where they are meant from its own folder or from a folder called as it is.

        What lies nowhere, or in one place only, is left as it stands.

        Raises:
            DataError: files of several folders are called as a row says, and nothing tells which is meant.
        """
        if not table.is_relative_to(self.root):
            return dataset
        for name, feature in dataset.features.items():
            if feature not in _TEXT or not self._names_files(values_of(dataset, name, 100)):
                continue
            old = values_of(dataset, name)
            new = self._column(old, name, table)
            if new != old:
                place = dataset.column_names
                dataset = (
                    dataset.remove_columns([name]) if len(place) > 1 else dataset.rename_columns({name: f"{name} "})
                )
                dataset = dataset.add_column(name, new, feature=feature).select_columns(place)
        return dataset

    def _names_files(self, head: list[str | None]) -> bool:
        """As `paths_resolved` of pictures sees it: the first entries are called as files are."""
        known = [value.strip().lower() for value in head if value]
        return bool(known) and sum(value.endswith(self.suffixes) for value in known) > 0.5 * len(known)

    def _column(self, values: list[str | None], name: str, table: Path) -> list[str | None]:
        folder, inner = table.parent, table.parent.relative_to(self.root).as_posix()
        made, doubtful, own = list(values), dict[int, list[Path]](), 0
        plain = [None if not value else value.strip().replace("\\", "/") for value in values]
        missing = []
        answers = not ANSWERS_OF.isdisjoint(re.split(r"[^a-z]+", name.lower()))
        kind = ANSWERS_OF if answers else PICTURES_OF
        for row, path in enumerate(plain):
            if path is None or path.startswith("/"):
                continue
            if os.path.isfile(folder / path):
                own += 1
                made[row] = path if inner == "." else f"{inner}/{path}"
            elif not os.path.isfile(self.root / path) and not os.path.isfile(path):
                missing.append((row, path))
        for row, path in missing:
            found = self._by_name.candidates(path)
            if inner != "." and own > 0.5 * (own + len(missing)):
                made[row] = f"{inner}/{path}"  # a file that is gone, and not another folder's of the same name
            elif len(found) > 1 and (called := self._called_as(found, table, kind)) is not None:
                made[row] = called.relative_to(self.root).as_posix()
            elif len(found) > 1:
                doubtful[row] = found
        if doubtful and (answers or name.lower() in self.inputs):
            row, found = next(iter(doubtful.items()))
            shown = " and ".join(file.relative_to(self.root).as_posix() for file in found[:2])
            raise DataError(
                f"{table.name}: column {name!r} names {len(doubtful):,} files of which there are several, such as {values[row]}: {shown}. Write "
                "the folder into the table's paths, or lay the table beside its files."
            )
        return [old if new == (old or "").strip() else new for old, new in zip(values, made, strict=True)]

    def _called_as(self, found: list[Path], table: Path, kind: Collection[str]) -> Path | None:
        """The only one below the table's folder, in a folder called as the table (`train.csv`, `train_images/`) or as the column (`masks/`)."""
        name = stem(table).lower()
        split = split_named(name)

        def called(part: str) -> bool:
            return part == name or bool(split and (word := split_folder(part)) and split_named(word) == split)

        found = [file for file in found if file.is_relative_to(table.parent)] or found
        for fits in (called, kind.__contains__):
            folders = [[part.lower() for part in file.relative_to(self.root).parts[:-1]] for file in found]
            near = [file for file, parts in zip(found, folders, strict=True) if any(map(fits, parts))]
            found = near or found
        return found[0] if len(found) == 1 else None
