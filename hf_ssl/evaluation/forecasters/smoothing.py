"""Exponential smoothing of every window by itself, all windows at once."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np

from hf_ssl.evaluation.forecasters.base import Forecaster
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.modalities.timeseries.origins import Origins

LEVELS, TRENDS, SEASONS = (0.05, 0.1, 0.2, 0.4, 0.8), ((0.0, 0.0), (0.1, 0.9), (0.05, 0.98)), (0.05, 0.2)
"""Weights of the newest error: of the level, of the trend with its damping (none at all, too), of the season."""


class Smoothing(Forecaster):
    """Additive exponential smoothing (Hyndman et al. 2008) with level, damped trend and season.

    Weights are those of a small grid that would have forecast the window's own second half best, one step ahead. AutoETS fits
    them by likelihood; this is its size and needs no other package.
    """

    title: ClassVar = "exponential smoothing"

    def forecast(self, asked: Origins) -> np.ndarray:
        """See `Forecaster.forecast`. Missing values are what the model expects there."""
        windows, context, _ = asked.past.shape
        values = asked.past[:, :, : asked.targets].transpose(0, 2, 1).reshape(-1, context).astype(np.float64)
        season = asked.season if 1 < asked.season <= context // 2 else 1
        best = np.full(len(values), np.inf)
        found = np.zeros((len(values), asked.horizon))
        for level, (trend, damping), seasonal in product(LEVELS, TRENDS, SEASONS if season > 1 else (0.0,)):
            guess, error = _smoothed(values, asked.horizon, season, level, trend, damping, seasonal)
            better = error < best
            best[better], found[better] = error[better], guess[better]
        ahead = found.reshape(windows, asked.targets, -1).transpose(0, 2, 1)
        naive = seasonal_naive(asked.past[:, :, : asked.targets], asked.horizon, asked.season)
        # Two values tell nothing of a level, and a whole window of them does not tell it of a season.
        seen = (~np.isnan(asked.past[:, :, : asked.targets])).sum(axis=1, keepdims=True) >= max(4, 2 * season)
        return np.where(seen & np.isfinite(ahead), ahead, naive)


def _smoothed(
    values: np.ndarray, horizon: int, season: int, level: float, trend: float, damping: float, seasonal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts `(series, horizon)`, and the mean absolute error of the second half one step ahead `(series,)`."""
    count, length = values.shape
    known = ~np.isnan(values)
    base, slope = _line(values, known)
    index = _seasonal_start(values - base[:, None] - slope[:, None] * np.arange(length), season)
    if not damping:  # a level that follows the values, and begins where the first of them are
        base, slope = base + slope * season / 2, np.zeros(count)
    wrong, tried = np.zeros(count), np.zeros(count)
    for step in range(length):
        place = step % season
        expected = base + damping * slope + index[:, place]
        error = np.where(known[:, step], values[:, step] - expected, 0.0)
        base = base + damping * slope + level * error
        slope = damping * slope + level * trend * error
        index[:, place] += seasonal * (1 - level) * error
        if step >= length // 2:
            wrong += np.abs(error)
            tried += known[:, step]
    steps = np.arange(1, horizon + 1)
    grown = np.cumsum(damping**steps) if damping else np.zeros(horizon)
    ahead = base[:, None] + slope[:, None] * grown + index[:, (length + steps - 1) % season]
    return ahead, np.where(tried > 0, wrong / np.maximum(tried, 1), np.inf)


def _line(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value at the first step and slope of the straight line through each window."""
    steps, count = np.arange(values.shape[1]), np.maximum(known.sum(1), 1)
    filled = np.where(known, values, 0.0)
    mean, middle = filled.sum(1) / count, (known * steps).sum(1) / count
    away = np.where(known, steps - middle[:, None], 0.0)
    slope = (away * filled).sum(1) / np.maximum((away**2).sum(1), 1e-9)
    return mean - slope * middle, slope


def _seasonal_start(apart: np.ndarray, season: int) -> np.ndarray:
    """Mean of the window's values at every place of the season, beside their mean `(series, season)`."""
    if season == 1:
        return np.zeros((len(apart), 1))
    places = np.arange(apart.shape[1]) % season
    found = np.zeros((len(apart), season))
    for place in range(season):
        mine = apart[:, places == place]
        there = ~np.isnan(mine)
        found[:, place] = np.where(there, mine, 0).sum(1) / np.maximum(there.sum(1), 1)
    return found - found.mean(axis=1, keepdims=True)
