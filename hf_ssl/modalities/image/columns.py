"""Columns of a table that hold pictures: paths, arrays, references."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.by_name import ByName
from hf_ssl.core.one_column import values_of
from hf_ssl.modalities.image.files import ARRAYS, DICOM, PICTURES

if TYPE_CHECKING:
    import datasets


def table_of(rows: list[dict[str, Any]]) -> datasets.Dataset:
    """A dataset of `image` references, `path`, and `label` and `PatientID` where a row has one."""
    import datasets

    features: dict[str, Any] = {"image": datasets.Image(decode=False), "path": datasets.Value("string")}
    if any(row.get("recording") for row in rows):  # pictures of one file stay together
        rows = [{**row, "recording": row.get("recording") or row["path"]} for row in rows]
        features["recording"] = datasets.Value("string")
    if any(row.get("PatientID") for row in rows):
        features["PatientID"] = datasets.Value("string")
    columns = {name: [row.get(name) for row in rows] for name in features}
    if any(row.get("label") is not None for row in rows):
        features["label"], columns["label"] = datasets.Value("string"), [row.get("label") for row in rows]
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def array_features() -> tuple[type, ...]:
    """Kinds of columns that hold arrays of numbers."""
    import datasets

    return (datasets.List, datasets.LargeList, datasets.Array2D, datasets.Array3D)


def paths_resolved(
    dataset: datasets.Dataset, column: str, new_name: str | None, folders: Sequence[Path]
) -> tuple[Any, list[str]]:
    """References in place of paths, and what to tell; the input column gets its canonical name, and the paths stay as `path`.

    A path begins in one of `folders`; else its file is the only one of that name below the first of them.
    """
    import datasets

    head = [plain_path(name) for name in values_of(dataset, column, 100) if name]
    if not head or not all(Path(name).suffix.lower() in (*PICTURES, *ARRAYS, *DICOM) for name in head[:5]):
        return dataset, []
    bases = [Path(), *folders]
    hits = [sum((folder / name).is_file() for name in head) for folder in bases]
    base, by_name = bases[hits.index(max(hits))], ByName(folders[0] if folders else None, "")
    names = values_of(dataset, column)

    def place(name: str) -> Path:
        plain = plain_path(name)
        there = base / plain
        return there if there.is_file() else Path(by_name.find(plain, base) or there)

    found = [place(name) if name else None for name in names]
    if not max(hits) and not by_name.found:
        return dataset, []
    resolved = [None if file is None else {"bytes": None, "path": str(file)} for file in found]
    dataset = _replaced(dataset, column, new_name or column, resolved)
    if new_name is not None and "path" not in dataset.column_names:
        dataset = dataset.add_column("path", [str(name) for name in names], feature=datasets.Value("string"))
    return dataset, by_name.notes()


def plain_path(name: str) -> str:
    """A path as it is written here: tables made on Windows have backslashes."""
    return name.strip().replace("\\", "/")


def _replaced(dataset: datasets.Dataset, column: str, name: str, references: list[Any]) -> Any:
    import datasets

    # In this order, because a dataset without columns has no rows.
    added = dataset.add_column("hf_ssl new", references, feature=datasets.Image(decode=False))
    order = [name if one == column else one for one in dataset.column_names]
    return added.remove_columns([column]).rename_column("hf_ssl new", name).select_columns(order)


def arrays_stored(dataset: datasets.Dataset, column: str) -> Any:
    """References to `.npy` content in place of nested lists of numbers."""
    stored = []
    for batch in dataset.select_columns([column]).with_format("numpy").iter(batch_size=1000):
        for array in batch[column]:
            stream = io.BytesIO()
            plain = np.asarray(array.tolist() if array.dtype == object else array)
            np.save(stream, plain.astype(np.uint8) if _fits_a_byte(plain) else plain, allow_pickle=False)
            stored.append({"bytes": stream.getvalue(), "path": None})
    return _replaced(dataset, column, column, stored)


def _fits_a_byte(array: np.ndarray) -> bool:
    # Arrow widens the small integers of nested lists to int64; pixels of 0 to 255 were meant as bytes.
    return bool(np.issubdtype(array.dtype, np.integer) and array.size and array.min() >= 0 and 1 < array.max() <= 255)
