"""One column of a dataset, at a price that does not grow with the others (`dataset[name]` copies the types of all), and names in full."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets


def values_of(dataset: datasets.Dataset, name: str, count: int | None = None) -> list[Any]:
    """The (first `count`) values of a column of plain values, as Python objects."""
    rows = len(dataset) if count is None else min(count, len(dataset))
    if dataset._indices is None:
        found: list[Any] = dataset.data.column(name).slice(0, rows).to_pylist()
        return found
    return list(dataset.select_columns([name])[:rows][name])


def type_of(dataset: datasets.Dataset, name: str) -> Any:
    """What `dataset.features[name]` is."""
    return (dataset.info.features or {})[name]


def whole_names(names: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """`("Temp", "C (indoors)")` → `("Temp, C (indoors)",)` where that is a column and the first piece is none."""
    columns = {_without_blanks(name): name for name in there if "," in name}
    alone = {name.strip().lower() for name in there}
    made: list[str] = []
    place = 0
    while place < len(names):
        size = 1
        if columns and names[place].strip().lower() not in alone:
            joined = (size for size in range(len(names) - place, 1, -1) if _joined(names, place, size) in columns)
            size = next(joined, 1)
        made.append(columns[_joined(names, place, size)] if size > 1 else names[place])
        place += size
    return tuple(made)


def _joined(names: Sequence[str], place: int, size: int) -> str:
    return _without_blanks(",".join(names[place : place + size]))


def _without_blanks(name: str) -> str:
    return re.sub(r"\s*,\s*", ",", name.strip()).lower()
