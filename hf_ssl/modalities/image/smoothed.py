"""Masks whose values are no class numbers, though they could be: drawn with smooth edges, or in two scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import rounded_up

LOOKED_AT = 50
"""Masks that are looked at."""
PEAK = 0.02
"""Share of the pixels from which a value was drawn, and not made by smoothing."""
ON_RAMPS, ALONE = 0.3, 0.6
"""Share of the pixels of other values that lie between their neighbors in value, and that differ from both of them."""


def refuse_smoothed(masks: Sequence[np.ndarray], values: Counter[int], limit: float) -> None:
    """Values between those that were drawn, which lie on the edges alone: what scaling or a soft brush leaves.

    In a region of a class a pixel is like a neighbor on either axis; on a smooth edge it differs from both, and mostly lies between them.

    Args:
        masks: pixels `(height, width)`.
        values: value -> pixels in all of them.
        limit: share of the pixels that may be left uncounted without saying so (`max_left_out`).

    Raises:
        DataError: says which values were drawn.
    """
    total = sum(values.values())
    peaks = [value for value, count in values.items() if count >= PEAK * total]
    drawn = sorted(  # what rings around a drawn value is nearly as frequent at times
        value
        for value in peaks
        if not any(0 < abs(value - other) <= 4 and values[other] > values[value] for other in peaks)
    )
    between = [value for value in values if value not in drawn and drawn and drawn[0] < value < drawn[-1]]
    if len(drawn) < 2 or len(between) < 5:
        return
    odd = ramps = lone = 0
    for pixels in masks[:LOOKED_AT]:
        rare = ~np.isin(pixels, drawn)
        on_ramp, alone = np.zeros(pixels.shape, bool), np.zeros(pixels.shape, bool)
        for side, way, one in ((pixels, on_ramp, alone), (pixels.T, on_ramp.T, alone.T)):
            before, middle, after = side[:-2], side[1:-1], side[2:]
            way[1:-1] |= ((before < middle) & (middle < after)) | ((before > middle) & (middle > after))
            one[1:-1] |= (before != middle) & (middle != after)
        odd += int(rare.sum())
        ramps, lone = ramps + int((rare & on_ramp).sum()), lone + int((rare & alone).sum())
    if not odd or ramps < ON_RAMPS * odd or lone < ALONE * odd:
        return
    share = sum(count for value, count in values.items() if value not in drawn) / total
    raise DataError(
        f"Masks have smooth edges: {len(between):,} values between {' and '.join(map(str, drawn[:6]))} ({share:.1%} of the pixels), as drawing or "
        "scaling leaves them. Draw or scale them without smoothing (nearest neighbor), or leave those pixels uncounted: "
        f"mask_values={[str(value) for value in drawn]}{_beyond(share, limit)}."
    )


def refuse_two_scales(masks: Sequence[np.ndarray], values: Counter[int], limit: float) -> None:
    """The object as 255 in some files and as a class number in others, where 255 is not counted.

    Raises:
        DataError: many masks hold nothing but 0 and 255, and many do hold class numbers.
    """
    if 255 not in values or set(values) <= {0, 255}:
        return
    found = [set(np.unique(pixels).tolist()) for pixels in masks]
    high = sum(255 in one and one <= {0, 255} for one in found)
    low = sum(bool(one - {0, 255}) for one in found)
    if high >= max(2, 0.1 * len(found)) and low:
        raise DataError(
            f"{high:,} of {len(found):,} masks hold 0 and 255 alone, and {low:,} hold class numbers: is 255 the object there, or not counted? Save "
            "all masks in one scale; if it is not counted: "
            f"mask_values={[str(value) for value in sorted(values) if value != 255]}{_beyond(values[255] / sum(values.values()), limit)}."
        )


def refuse_negative(values: Counter[int]) -> None:
    """Values below 0, but for -1, which marks pixels that are not counted.

    Raises:
        DataError: there are some.
    """
    if negative := sorted(value for value in values if value < -1):
        raise DataError(
            f"Masks hold values below 0 ({', '.join(map(str, negative[:4]))}), which are no class numbers. Say which values are class 0, 1, 2 ...: "
            f"mask_values={[str(value) for value in sorted(values)[:12]]}."
        )


def _beyond(share: float, limit: float) -> str:
    return f" with max_left_out={rounded_up(share)}" if share > limit else ""
