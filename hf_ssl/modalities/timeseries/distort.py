"""Random views of series: a crop, brought to full length, and what disturbs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Distortions(Protocol):
    """How far views go: the names that `ts-contrastive` has among its options."""

    crop: float
    stretch: float
    mask_ratio: float
    noise: float
    warp: float
    sign_flip: bool


@dataclass
class Mild:
    """Views that leave level, direction and shape of a series as they are."""

    crop: float = 0.5
    stretch: float = 0.0
    mask_ratio: float = 0.2
    noise: float = 0.1
    warp: float = 0.0
    sign_flip: bool = False


def view(values: np.ndarray, how: Distortions, rng: np.random.Generator) -> np.ndarray:
    """One distorted crop of a series.

    Args:
        values: `(context, channels)` in spreads of the series, NaN where missing.
        how: how far it goes.
        rng: of this example and epoch.

    Returns:
        The same shape.
    """
    context = len(values)
    begin = int(np.argmax(~np.isnan(values).all(axis=1)))  # a shorter series comes after missing steps
    length = context - begin
    kept = max(min(length, 4), round(length * rng.uniform(how.crop, 1.0)))
    start = begin + int(rng.integers(0, length - kept + 1))
    if rng.random() < how.stretch:
        seen = stretched(values[start : start + kept], context)
    else:
        seen = values[reflected(start, kept, context, int(rng.integers(0, 2 * kept)))]
    if how.warp:
        gain = np.interp(np.linspace(0, 5, context), np.arange(6), rng.normal(1.0, how.warp, 6))
        seen = seen * gain[:, None]
    if how.sign_flip and rng.random() < 0.5:
        seen = -seen
    if how.noise:
        seen = seen + rng.uniform(0, how.noise) * rng.standard_normal(seen.shape)
    if how.mask_ratio:
        span = max(1, context // 20)
        hidden = rng.random(-(-context // span)) < rng.uniform(0, how.mask_ratio)
        if hidden.any() and not hidden.all():
            seen = np.where(np.repeat(hidden, span)[:context, None], np.nan, seen)
    return seen.astype(np.float32)


def reflected(start: int, kept: int, context: int, shift: int) -> np.ndarray:
    """Steps `start ... start + kept - 1` back and forth until `context` steps are full."""
    if kept < 2:
        return np.full(context, start)
    period = 2 * kept - 2
    place = (np.arange(context) + shift) % period
    return start + np.where(place < kept, place, period - place)


def stretched(values: np.ndarray, context: int) -> np.ndarray:
    """Linear interpolation to `context` steps; what lies beside a missing value is missing."""
    place = np.linspace(0, len(values) - 1, context)
    low = np.minimum(place.astype(int), max(0, len(values) - 2))
    high = np.minimum(low + 1, len(values) - 1)
    part = (place - low)[:, None]
    return values[low] * (1 - part) + values[high] * part
