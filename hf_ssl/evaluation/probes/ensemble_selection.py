"""Shares of several forecasts in their mean, chosen on windows that were held out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ROUNDS, GAIN = 10, 0.002
"""Shares are tenths; a further forecast must lower the error by that share of it."""


def shares_of(forecasts: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
    """Ensemble selection (Caruana et al. 2004): the best one, and then whichever lowers the error of the mean most, again and again.

    Args:
        forecasts: by name, each like `truth`; of equal ones the first is taken.
        truth: NaN where nothing was observed.

    Returns:
        shares that sum to 1, without those that have none. The mean's error is at most that of the best single forecast.
    """

    def error(guess: np.ndarray) -> float:
        return float(np.nanmean(np.abs(guess - truth)))

    names = list(forecasts)
    best = min(names, key=lambda name: error(forecasts[name]))
    count, total, reached = {best: 1}, forecasts[best].copy(), error(forecasts[best])
    kept = dict(count)
    for size in range(2, ROUNDS + 1):
        errors = {name: error((total + forecasts[name]) / size) for name in names}
        name = min(names, key=lambda one: errors[one])
        count[name] = count.get(name, 0) + 1
        total = total + forecasts[name]
        if errors[name] < reached * (1 - GAIN):
            reached, kept = errors[name], dict(count)
    everything = sum(kept.values())
    return {name: number / everything for name, number in kept.items()}
