"""Places to forecast from, with all that is known there: history, covariates of the steps ahead, dates, what a series is."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.modalities.timeseries.grid import times_from
from hf_ssl.modalities.timeseries.split import SPAN

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.timeseries.timeseries import TimeSeries


@dataclass(frozen=True)
class Origins:
    """Windows as a forecaster sees them, row by row.

    Args:
        past: `(windows, context, channels)`, standardized, NaN where missing: targets, then covariates known up to now, then
            those known in advance, whose last `horizon` steps are what is known of the steps ahead.
        future: `(windows, horizon, targets)`, the truth, NaN where it is not known.
        names: `(windows,)` ids of the series.
        times: `(windows, horizon)` datetime64 of the steps ahead, NaT where the series is counted, not dated.
        static: by column, `(windows,)` texts: what the series are.
        season: steps of a season (1: none).
        known: how many of the channels are known in advance.
    """

    past: np.ndarray
    future: np.ndarray
    names: np.ndarray
    times: np.ndarray
    static: dict[str, np.ndarray]
    season: int
    known: int = 0

    def __len__(self) -> int:
        return len(self.past)

    @property
    def horizon(self) -> int:
        return self.future.shape[1]

    @property
    def targets(self) -> int:
        return self.future.shape[2]

    def take(self, rows: np.ndarray) -> Origins:
        """These windows, in this order."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        static = {name: values[rows] for name, values in self.static.items()}
        return replace(self, static=static, **{name: own[name][rows] for name in ("past", "future", "names", "times")})


def origins_of(
    modality: TimeSeries, dataset: datasets.Dataset, horizon: int, *, stride: int = 1, most: int | None = None,
    rows: np.ndarray | None = None,
) -> Origins:  # fmt: skip
    """All windows of a split, or `most` of them, or those of some numbers.

    Args:
        dataset: spans, as `hf_ssl.modalities.timeseries.split` makes them.
    """
    windows = modality.windows(dataset, modality.context(), horizon, stride=stride)
    rows = spread(len(windows), most) if rows is None else rows
    past, future, owners = windows.batch(list(rows))
    facts = {name: list(dataset[name]) for name in ("id", "start", "frequency", "offset", "season", "targets")}
    times = np.full((len(rows), horizon), np.datetime64("NaT", "ns"), "datetime64[ns]")
    steps = np.array([windows.place(int(row))[1] for row in rows], np.int64)
    for owner in np.unique(owners):
        mine = owners == owner
        first, length = facts["offset"][owner], windows.series[owner].shape[1]
        dated = times_from(facts["start"][owner], facts["frequency"][owner], first, length)
        if dated is not None:
            times[mine] = dated[steps[mine][:, None] + np.arange(horizon)]
    static = {
        name: np.array([str(value) for value in dataset[name]])[owners] for name in static_columns(modality, dataset)
    }
    known = int(dataset["known"][0]) if "known" in dataset.column_names and len(dataset) else 0
    return Origins(
        past, future[:, :, : facts["targets"][0]], np.array(facts["id"])[owners], times, static, int(facts["season"][0]), known
    )  # fmt: skip


def spread(count: int, most: int | None) -> np.ndarray:
    """Numbers of all of so many windows, or of `most` of them, drawn: an even distance might meet one day of the week alone."""
    if most is None or count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def static_columns(modality: TimeSeries, dataset: datasets.Dataset) -> list[str]:
    """Columns of a split that say what its series are, as `static_columns` names them; GluonTS calls them `feat_static_...`."""
    ours = {*SPAN, "series"}
    named: list[Any] = [f"static_{name}" if name in ours else name for name in modality.config.static_columns]
    found = [name for name in dataset.column_names if name in named or name.startswith("feat_static")]
    return sorted(found)
