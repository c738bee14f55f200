"""One column of a dataset, at a price that does not grow with the others: `dataset[name]` and `dataset.features` copy the types of all."""

from __future__ import annotations

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
