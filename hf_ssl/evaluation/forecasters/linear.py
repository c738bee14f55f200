"""A linear map of the history, fitted in closed form."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.evaluation.probes.linear_forecast import LEAST, least_absolute, ridge
from hf_ssl.modalities.timeseries.origins import Origins
from hf_ssl.modalities.timeseries.windows import fill

MOST_WORK = 6e9
"""Windows x history squared x steps ahead, up to which absolute errors are minimized: beyond it squared ones are, in seconds."""


class Linear(Forecaster):
    """DLinear in closed form.

    DLinear (Zeng et al. 2023, arXiv:2205.13504) applies one linear map to the trend of a window and another to the rest.
    Both parts are linear in the window, so the sum is one linear map of it, and its least-squares fit needs no training loop
    (Toner and Darlow 2024, arXiv:2403.14587). Each window's mean is taken off first and put back.
    """

    title: ClassVar = "DLinear"
    learns: ClassVar = True
    weight: np.ndarray
    bias: np.ndarray

    def learn(self, train: Origins, held: Origins | None, loss: str) -> None:
        """See `Forecaster.learn`. Windows whose future was not wholly observed are left out; the later ones choose the penalty."""
        known, chooses = _centered(train), _centered(held) if held is not None and len(held) else None
        if len(known[0]) < LEAST:
            raise DataError(f"A linear forecaster needs {LEAST} windows with a whole future, found {len(known[0])}.")
        if chooses is not None and len(chooses[0]) < LEAST:
            chooses = None
        self.weight, self.bias, penalty = ridge(*known, held=chooses, loss=loss)
        work = len(known[0]) * known[0].shape[1] ** 2 * known[1].shape[1]
        if loss == "mae" and work < MOST_WORK:
            self.weight, self.bias = least_absolute(*known, self.weight, self.bias, penalty)

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`."""
        past = _by_channel(fill(asked.past[:, :, : asked.targets])[0])
        level = past.mean(axis=1, keepdims=True)
        ahead = (past - level) @ self.weight.T + self.bias + level
        return ahead.reshape(len(asked), asked.targets, -1).transpose(0, 2, 1)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See `Forecaster.state`."""
        return {}, {"weight": self.weight, "bias": self.bias}

    def restore(self, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """See `Forecaster.restore`."""
        self.weight, self.bias = arrays["weight"], arrays["bias"]
        if self.weight.ndim != 2 or self.bias.shape != (len(self.weight),):
            raise ValueError(f"its map is {self.weight.shape}, its bias {self.bias.shape}")


def _centered(windows: Origins) -> tuple[np.ndarray, np.ndarray]:
    """History and future of every window and target without the history's mean, where the future has no gap."""
    past, future = _by_channel(fill(windows.past[:, :, : windows.targets])[0]), _by_channel(windows.future)
    mean, whole = past.mean(axis=1, keepdims=True), ~np.isnan(future).any(axis=1)
    return (past - mean)[whole], (future - mean)[whole]


def _by_channel(part: np.ndarray) -> np.ndarray:
    """`(windows, steps, channels)` as one row per window and channel."""
    return part.transpose(0, 2, 1).reshape(-1, part.shape[1])
