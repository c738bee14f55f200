"""What JPEG adds to drawn gray values: which of them are noise, and which are too near to be told apart."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

APART = 8
"""Gray values nearer than this are mixed by what JPEG adds around edges."""


def without_noise(drawn: Sequence[int], values: Mapping[int, int]) -> list[int]:
    """Gray values without the small bumps that JPEG leaves beside common ones."""
    total = sum(values.values())
    return [
        value
        for value in drawn
        if values[value] > 0.05 * total
        or not any(0 < abs(value - other) < APART and values[value] < 0.2 * values[other] for other in drawn)
    ]


def too_near(drawn: Sequence[int], values: Mapping[int, int]) -> str:
    """Two gray values that may both be classes, and that JPEG's noise mixes; empty: there are none."""
    for one, two in itertools.pairwise(drawn):
        if two - one < APART:
            return f"{one} and {two}"
    total = sum(values.values())
    for peak in drawn:
        for side in (-1, 1):
            beside = values.get(peak + side, 0)
            sudden = beside > 0.05 * total and beside > 5 * values.get(peak + 2 * side, 0)
            if beside > 0.5 * values[peak] or sudden:
                return f"{min(peak, peak + side)} and {max(peak, peak + side)}"
    return ""
