"""One column of a dataset, at a price that does not grow with the others (`dataset[name]` copies the types of all), and names in full."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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


def whole_words(words: Sequence[str], datasets: Iterable[datasets.Dataset]) -> tuple[str, ...]:
    """`("no", "thanks")` → `("no, thanks",)` where a column of text holds that value: a command line cuts words at their commas."""
    if len(words) < 2:
        return tuple(words)
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = [(first, last) for first in range(len(words)) for last in range(first + 2, len(words) + 1)]
    ways = {mark.join(words[first:last]): (first, last) for first, last in pairs for mark in (", ", ",")}
    asked = pa.array(list(ways), pa.string())
    found: set[str] = set()
    for dataset in datasets:
        for column in dataset.data.columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                found.update(asked.filter(pc.is_in(asked, column.cast(pa.string()).unique())).to_pylist())
    made: list[str] = []
    place = 0
    while place < len(words):
        longest = max((word for word in found if ways[word][0] == place), key=len, default=words[place])
        made.append(longest)
        place = ways[longest][1] if longest in ways and ways[longest][0] == place else place + 1
    return tuple(made)


def _joined(names: Sequence[str], place: int, size: int) -> str:
    return _without_blanks(",".join(names[place : place + size]))


def _without_blanks(name: str) -> str:
    return re.sub(r"\s*,\s*", ",", name.strip()).lower()
