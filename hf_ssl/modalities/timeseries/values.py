"""Series as values: arrays, rows of a dataset, labels of a long table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.split import SERIES, nested, standardize
from hf_ssl.modalities.timeseries.table import Table

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.timeseries.backbones import SeriesProcessor


def as_array(value: object) -> np.ndarray:
    """A series as `(channels, length)` float32; a flat list is one channel, None a missing value."""
    array = np.asarray(value, dtype=np.float32)
    if array.ndim == 1:
        return array[None]
    if array.ndim != 2:
        raise ValueError(f"a series has one or two dimensions, found {array.ndim}")
    return array


def standard(value: np.ndarray) -> np.ndarray:
    """Mean 0 and spread 1 per channel over what was observed; a constant channel becomes 0."""
    loc, scale = standardize(value)
    return (value - loc[:, None]) / scale[:, None]


def series_rows(values: Sequence[np.ndarray], column: str = "series") -> datasets.Dataset:
    import datasets
    import pyarrow as pa

    table = pa.Table.from_arrays([nested(values)], names=[column])
    features = datasets.Features({column: SERIES["series"]})
    return datasets.Dataset(datasets.table.InMemoryTable(table), info=datasets.DatasetInfo(features=features))


def beside(left: datasets.Dataset, right: datasets.Dataset) -> datasets.Dataset:
    import datasets

    return datasets.concatenate_datasets([left, right], axis=1) if right.column_names else left


def labels_of(dataset: datasets.Dataset, names: str | None, label: str, table: Table) -> list[Any]:
    """One label per series of a long table.

    Raises:
        DataError: a series has several.
    """
    if names is None:
        names = next(
            (name for name in dataset.column_names if name.lower() in ("item_id", "unique_id", "series_id", "id")),
            None,
        )
    found: dict[str, set[Any]] = {}
    for key, value in zip(
        map(str, dataset[names]) if names else ["series"] * len(dataset), dataset[label], strict=True
    ):
        if isinstance(value, (list, dict)):
            raise DataError(
                f"Column {label!r} holds {str(value)[:60]}, which is no label of a series. Which column holds one word or number? "
                "label_column=..."
            )
        found.setdefault(key, set()).add(None if value != value else value)
    several = [key for key, values in found.items() if len(values) > 1]
    if several:
        raise DataError(
            f"{len(several):,} series have more than one {label}, such as {several[0]!r}: {sorted(map(str, found[several[0]]))[:4]}. "
            "Which column tells series apart? item_column=... Or which holds one label for each? label_column=..."
        )
    return [next(iter(found[item.name])) for item in table.series]


def season_and_walk(processor: SeriesProcessor) -> list[np.ndarray]:
    """Two made-up series `(channels, context)` float32: a rising season, and a walk with a gap in it."""
    length, channels = processor.context_length, processor.channels or 1
    step = np.arange(length, dtype=np.float32)
    season = np.sin(step * 2 * np.pi / 24) + 0.01 * step
    walk = np.cumsum(np.cos(step * 1.7))
    walk[length // 3 : length // 2] = np.nan
    return [np.stack([(1 + c) * one for c in range(channels)]).astype(np.float32) for one in (season, walk)]


def sparklines(series: np.ndarray, width: int = 40, channels: int = 3) -> str:
    """`500 steps, 89.9 to 110 ▁▃▇█▃▁`, one line of bars per channel (the first few); a blank where nothing was observed."""
    lines = []
    for channel in series[:channels]:
        parts = [part[~np.isnan(part)] for part in np.array_split(channel, min(width, max(1, len(channel))))]
        means = [float(part.mean()) if len(part) else None for part in parts]
        known = [mean for mean in means if mean is not None]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        spread = (high - low) or 1.0
        bars = "".join(" " if mean is None else "▁▂▃▄▅▆▇█"[min(7, int(8 * (mean - low) / spread))] for mean in means)
        lines.append(f"{low:.4g} to {high:.4g} {bars}")
    more = f" and {len(series) - channels} channels more" if len(series) > channels else ""
    return f"{series.shape[1]:,} steps, " + " | ".join(lines) + more
