"""Statistical forecasts of each window by itself: exponential smoothing and Theta, their parameters chosen by likelihood."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.modalities.timeseries.origins import Origins


class StatsForecast(Forecaster):
    """The mean of AutoETS and AutoTheta of statsforecast (the M4 competition's strong simple combination), window by window."""

    title: ClassVar = "statsforecast"
    modules: ClassVar = ("statsforecast",)
    pip: ClassVar = "statsforecast"
    few: ClassVar = True

    def models(self, season: int) -> list[Any]:
        """Of statsforecast, for a window with that season."""
        from statsforecast.models import AutoETS, AutoTheta

        return [AutoETS(season_length=season), AutoTheta(season_length=season)]

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`. Missing values are filled from one season before; a constant history is repeated."""
        past = asked.past[:, :, : asked.targets]
        found = seasonal_naive(past, asked.horizon, asked.season).astype(np.float64)
        for window, values in enumerate(past):
            for channel in range(asked.targets):
                known = _filled(values[:, channel], asked.season)
                if len(known) < max(8, 2 * asked.season) or np.ptp(known) == 0:
                    continue
                guesses = [model.forecast(known, asked.horizon)["mean"] for model in self.models(asked.season)]
                ahead = np.mean(guesses, axis=0)
                if np.isfinite(ahead).all():
                    found[window, :, channel] = ahead
        return found


def _filled(values: np.ndarray, season: int) -> np.ndarray:
    """From the first observed value on; a gap gets what was there one season before, else the last value."""
    there = np.flatnonzero(~np.isnan(values))
    if not len(there):
        return np.empty(0)
    known = np.array(values[there[0] :], np.float64)
    for place in np.flatnonzero(np.isnan(known)):
        known[place] = known[place - season] if place >= season else known[place - 1]
    return known
