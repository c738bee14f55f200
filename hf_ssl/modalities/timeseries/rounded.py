"""Time stamps that were rounded to fewer digits than their step has: 256 a second written as 0.00391, 0.00781, 0.01172."""

from __future__ import annotations

import numpy as np

SECOND = 10**9
FEWEST = 20
"""Stamps of a series below which a few gaps may lie on a grid by chance."""


def on_even_steps(codes: np.ndarray, stamps: np.ndarray) -> tuple[np.ndarray, int, int] | None:
    """Stamps moved onto the even grid that they were rounded from.

    Args:
        codes: `(rows,)` number of the series of each row, sorted.
        stamps: `(rows,)` datetime64[ns], sorted within each series.

    Returns:
        The stamps, the step and what they were rounded to, in nanoseconds; None: they lie on no such grid.
    """
    ticks = stamps.astype("datetime64[ns]").astype(np.int64)
    unit = _unit(ticks - ticks.min())
    first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    last = np.append(first[1:], len(codes)) - 1
    gaps = np.diff(ticks)[codes[1:] == codes[:-1]]
    if unit is None or not len(gaps) or (last - first).max() < FEWEST or gaps.min() <= 0:
        return None
    longest = int(np.argmax(ticks[last] - ticks[first]))
    own = np.diff(ticks[first[longest] : last[longest] + 1])
    step = float(np.median(own))
    for _ in range(3):  # a better step counts the steps of gaps better
        count = int(np.rint(own / step).sum())
        if count < 1:
            return None
        step = own.sum() / count
    step = _plain(step, unit / count)
    if unit > 0.75 * step:
        return None
    begin = ticks[first][np.cumsum(np.append(0, codes[1:] != codes[:-1]))]
    places = np.rint((ticks - begin) / step)
    beside = ticks - begin - places * step
    if np.ptp(beside) > 1.5 * unit or (np.diff(places)[codes[1:] == codes[:-1]] < 1).any():
        return None
    whole = round(step)
    return (begin + places.astype(np.int64) * whole).astype("datetime64[ns]"), whole, unit


def _unit(ticks: np.ndarray) -> int | None:
    """The power of ten of a second, one at most, that all are multiples of; None: whole seconds of more, or nanoseconds."""
    found = 1
    while found < SECOND and not (ticks % (found * 10)).any():
        found *= 10
    return found if found > 1 else None


def _plain(step: float, width: float) -> float:
    """The step with the fewest digits within a distance: so many a second, else so many nanoseconds."""
    rate = round(SECOND / step) if step <= SECOND else 0
    if rate and abs(SECOND / rate - step) <= width:
        return SECOND / rate
    for digits in range(10):
        scale = 10.0 ** (9 - digits)
        if abs(round(step / scale) * scale - step) <= width and round(step / scale):
            return round(step / scale) * scale
    return step
