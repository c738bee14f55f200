"""Windows over many series as views of one array: nothing is copied until a batch is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MISSING = -100.0  # a label that is not counted; standardized values never get there


class Windows:
    """Every place where `context` steps of history and `horizon` steps of future lie in a series.

    Args:
        series: arrays `(channels, length)`, NaN where missing.
        context: steps of history; where a series begins later, the missing steps come first, as NaN.
        horizon: steps of future (0: windows of history only).
        stride: distance between two windows of a series.
        history: leading steps of each series that are there to look back at only: no future lies in them.
        shortest: least history, in steps, that a window needs.
        loc, scale: `(series, channels)`, taken off and divided by when a batch is made.

    A window is found by binary search in the cumulated counts, so a million windows cost one integer per series.
    """

    def __init__(
        self,
        series: Sequence[np.ndarray],
        context: int,
        horizon: int = 0,
        *,
        stride: int = 1,
        history: Sequence[int] | None = None,
        shortest: int = 1,
        loc: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ) -> None:
        self.loc, self.scale = loc, scale
        self.series, self.context, self.horizon, self.stride = list(series), context, horizon, max(1, stride)
        lengths = np.array([item.shape[1] for item in self.series], dtype=np.int64)
        looked_back = np.zeros(len(lengths), np.int64) if history is None else np.asarray(history, np.int64)
        # `first` and `last`: the step where history ends and future begins. Without a future, windows are whole where they can.
        least = np.full(len(lengths), shortest) if horizon else np.minimum(context, lengths)
        self.first = np.maximum(looked_back, least)
        last = lengths - horizon
        self.counts = np.where(last >= self.first, (last - self.first) // self.stride + 1, 0)
        self.ends = np.cumsum(self.counts)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def place(self, index: int) -> tuple[int, int]:
        """Number of the series, and the step at which the window's future begins."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        row = int(np.searchsorted(self.ends, index, side="right"))
        before = int(self.ends[row - 1]) if row else 0
        return row, int(self.first[row]) + (index - before) * self.stride

    def past(self, index: int) -> np.ndarray:
        """`(channels, at most context)`: a view."""
        row, step = self.place(index)
        return self.series[row][:, max(0, step - self.context) : step]

    def future(self, index: int) -> np.ndarray:
        """`(channels, horizon)`: a view."""
        row, step = self.place(index)
        return self.series[row][:, step : step + self.horizon]

    def batch(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """History `(batch, context, channels)`, future `(batch, horizon, channels)`, and the series' numbers."""
        index = np.asarray(rows, np.int64)
        owners = np.searchsorted(self.ends, index, side="right")
        before = np.where(owners > 0, self.ends[owners - 1], 0)
        steps = self.first[owners] + (index - before) * self.stride
        channels = self.series[0].shape[0]
        past = np.empty((len(index), self.context, channels), np.float32)
        future = np.empty((len(index), self.horizon, channels), np.float32)
        for owner in np.unique(owners):
            mine = np.flatnonzero(owners == owner)
            self._copy(self.series[owner], steps[mine], mine, past, future)
        if self.loc is not None and self.scale is not None:
            loc, scale = self.loc[owners][:, None], self.scale[owners][:, None]
            for part in (past, future):
                np.subtract(part, loc, out=part)
                np.divide(part, scale, out=part)
        return past, future, owners

    def _copy(
        self, values: np.ndarray, steps: np.ndarray, places: np.ndarray, past: np.ndarray, future: np.ndarray
    ) -> None:
        """Copy windows of one series to their places in a batch, all at once where they are whole."""
        context, horizon = self.context, self.horizon
        whole = steps >= context
        if whole.any():
            views = np.lib.stride_tricks.sliding_window_view(values, context + horizon, axis=1)
            block = views[:, steps[whole] - context]  # (channels, windows, context + horizon)
            past[places[whole]] = block[:, :, :context].transpose(1, 2, 0)
            future[places[whole]] = block[:, :, context:].transpose(1, 2, 0)
        for place, step in zip(places[~whole], steps[~whole], strict=True):
            past[place, : context - step] = np.nan
            past[place, context - step :] = values[:, :step].T
            future[place] = values[:, step : step + horizon].T


def fit(value: np.ndarray, context: int) -> np.ndarray:
    """The last `context` steps of a series as `(context, channels)`; what is lacking comes first, as NaN."""
    fitted = np.full((context, value.shape[0]), np.nan, np.float32)
    kept = value[:, -context:]
    fitted[context - kept.shape[1] :] = kept.T
    return fitted


def fill(past: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Missing values replaced by the window's observed mean, and where something was observed.

    A model that scales its input by the window's own mean and spread then sees exactly 0 there. Filling with 0 instead
    (as the released collators do) shows it `-mean / spread`, a value that depends on the level of the series.

    Args:
        past: `(..., length, channels)`.
    """
    past = np.asarray(past, np.float32)
    seen = ~np.isnan(past)
    if seen.all():
        return past, seen
    batch = past.ndim == 3
    gaps = ~seen.all(axis=(1, 2)) if batch else slice(None)  # most windows of most data are whole
    part, there = past[gaps], seen[gaps]
    count = np.maximum(there.sum(axis=-2, keepdims=True), 1)
    mean = np.where(there, part, 0.0).sum(axis=-2, keepdims=True) / count
    filled = past.copy()
    filled[gaps] = np.where(there, part, mean)
    return filled, seen


class WindowFeatures:
    """Windows with their futures as labels, one by one: nothing is made before it is asked for.

    Args:
        numbers, names, offsets: of every series: its number among the known ones, its name, the step it begins at.
        targets: leading channels that are forecast; the labels of the others (covariates) are `MISSING`.
    """

    def __init__(
        self, windows: Windows, numbers: list[int], names: list[str], offsets: list[int], targets: int
    ) -> None:
        self.windows, self.numbers, self.names = windows, numbers, names
        self.offsets, self.targets = offsets, targets

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray | int]:
        past, future, owner = self.windows.batch([index])
        labels = np.where(np.isnan(future[0]), MISSING, future[0]).astype(np.float32)
        labels[:, self.targets :] = MISSING
        return {"past_values": past[0], "series": self.numbers[int(owner[0])], "labels": labels}
