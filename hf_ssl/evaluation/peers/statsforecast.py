"""Statistical forecasts of each window by itself: exponential smoothing and Theta, their parameters chosen by likelihood."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.evaluation.peers.base import Peer, Series


class StatsForecast(Peer):
    """The mean of AutoETS and AutoTheta of statsforecast (the M4 competition's strong simple combination), window by window."""

    modules: ClassVar = ("statsforecast",)
    pip: ClassVar = "statsforecast"
    modalities: ClassVar = ("timeseries",)
    label_kinds: ClassVar = ("future",)

    def forecast(self, series: Series) -> np.ndarray:
        """See `Peer.forecast`. Missing values are filled from one season before; a constant history is repeated."""
        from statsforecast.models import AutoETS, AutoTheta

        found = seasonal_naive(series.past, series.horizon, series.season).astype(np.float64)
        for window, past in enumerate(series.past):
            for channel in range(past.shape[1]):
                known = _filled(past[:, channel], series.season)
                if len(known) < max(8, 2 * series.season) or np.ptp(known) == 0:
                    continue
                models = (AutoETS(season_length=series.season), AutoTheta(season_length=series.season))
                guesses = [model.forecast(known, series.horizon)["mean"] for model in models]
                found[window, :, channel] = np.mean(guesses, axis=0)
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
