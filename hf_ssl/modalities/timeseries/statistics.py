"""A few dozen numbers of a series: level, spread, shape, trend, memory. The cheapest baseline there is, and often a strong one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
LAGS = (1, 2, 3, 5, 8, 13, 21)
BANDS = 8


def series_statistics(series: Sequence[np.ndarray]) -> np.ndarray:
    """Per channel: mean, spread, quantiles, slope, spread of the differences, autocorrelations, and the share of power in eight bands.

    Levels are kept: of many series it is they that tell the classes apart. Missing values are left out of the moments and filled by
    the mean where order matters.

    Args:
        series: `(channels, length)` each, NaN where missing; lengths may differ, channels may not.

    Returns:
        float32 `(series, channels x 26)`; the same for a series whatever others are in the call.
    """
    return np.stack([np.concatenate([_of_channel(channel) for channel in item]) for item in series]).astype(np.float32)


def levels(series: Sequence[np.ndarray]) -> np.ndarray:
    """Mean and spread of every channel, float32 `(series, 2 x channels)`: what scaling a series takes away."""
    rows = []
    for item in series:
        seen = [channel[~np.isnan(channel)] for channel in item]
        rows.append([number for values in seen for number in (_level(values) if len(values) else (0.0, 0.0))])
    return np.array(rows, np.float32)


def with_levels(features: np.ndarray, series: Sequence[np.ndarray]) -> np.ndarray:
    """Features of scaled series with the levels beside them, repeated: two columns beside thousands would not be heard."""
    level = levels(series)
    return np.hstack([features, np.tile(level, (1, max(1, features.shape[1] // (8 * level.shape[1]))))])


def _of_channel(values: np.ndarray) -> np.ndarray:
    seen = values[~np.isnan(values)].astype(np.float64)
    width = 2 + len(QUANTILES) + 2 + len(LAGS) + BANDS
    if not len(seen):
        return np.zeros(width)
    filled = np.where(np.isnan(values), seen.mean(), values).astype(np.float64)
    apart = filled - filled.mean()
    steps = np.linspace(-1, 1, len(apart))
    slope = float(steps @ apart / max(float(steps @ steps), 1e-12))
    changes = np.diff(filled).std() if len(filled) > 1 else 0.0
    power = float(apart @ apart)
    memory = [float(apart[lag:] @ apart[:-lag]) / power if power > 0 and lag < len(apart) else 0.0 for lag in LAGS]
    return np.array([*_level(seen), *np.quantile(seen, QUANTILES), slope, changes, *memory, *_bands(apart)])


def _level(values: np.ndarray) -> tuple[float, float]:
    """Mean and spread; a mean that is nothing but rounding is 0 (series that were scaled before)."""
    mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return mean if abs(mean) > 1e-6 * spread else 0.0, spread


def _bands(apart: np.ndarray) -> np.ndarray:
    """Share of the power in bands of frequency, each twice as wide as the one before."""
    spectrum = np.abs(np.fft.rfft(apart))[1:] ** 2
    shares = np.zeros(BANDS)
    total = spectrum.sum()
    if total <= 0:
        return shares
    frequency = np.arange(1, len(spectrum) + 1) / len(apart)  # cycles a step, at most one half
    band = np.clip(BANDS - 1 + np.floor(np.log2(frequency * 2 + 1e-12)).astype(int), 0, BANDS - 1)
    np.add.at(shares, band, spectrum / total)
    return shares
