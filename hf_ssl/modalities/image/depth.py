"""Pixels of more than 8 bits → 8: which of them were measured at all, and which values become black and white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hf_ssl.modalities.image.files import DecodeOptions

NODATA = (-9999.0, -99999.0, -999.0, -32768.0, -32767.0, 9999.0, 99999.0, -2147483648.0)
"""What programs write for a pixel that was not measured; also anything beyond `HUGE`."""
HUGE = 1e19
CROWD_SHARE, FAR = 0.3, 5.0
"""Share of pixels that make a crowd, and how many times its own width the others keep away from it."""
BLANK_SHARE = 0.01
"""Share of the measured pixels from which on those that are cut off are told."""


@dataclass(frozen=True)
class Depth:
    """What the pixels of a picture of more than 8 bits are, before they become 8.

    Args:
        low, high: least and greatest value that was measured.
        missing: pixels without a measurement: NaN, infinite, or `nodata`.
        nodata: the value that was taken for none, or None.
        cut: share of the measured pixels that lie beyond black or white.
        crowd: least and greatest of values that became one gray value although the others are far from them; None: no such.
    """

    low: float
    high: float
    missing: int = 0
    nodata: float | None = None
    cut: float = 0.0
    crowd: tuple[float, float] | None = None


def measured(array: np.ndarray, given: float | None, declared: float | None = None) -> tuple[np.ndarray, float | None]:
    """Which pixels were measured, and the value that says of others that they were not.

    Args:
        array: numbers of any shape.
        given: the user's `nodata`; NaN: no value means that.
        declared: the file's own (GDAL writes it into TIFF).

    Returns:
        A mask of `array`'s shape. Without a word of the user's or the file's, the least or greatest value counts as none where
        programs write it for none and it lies farther from the others than they do from each other.
    """
    good = np.isfinite(array)
    said = given if given is not None else declared
    if said is not None:
        hit = good & np.isclose(array, said, rtol=1e-6, atol=0)
        return good & ~hit, said if hit.any() else None
    found = None
    for _ in range(2):  # -9999 below and 1e20 above
        values = array[good]
        if values.size < 2:
            break
        low, high = float(values.min()), float(values.max())
        for edge in (low, high):
            rest = values[values != edge]
            if (edge in NODATA or abs(edge) >= HUGE) and rest.size:
                inner = float(rest.min()), float(rest.max())
                if min(abs(edge - inner[0]), abs(edge - inner[1])) > inner[1] - inner[0]:
                    good = good & (array != edge)
                    found = edge if found is None else found
                    break
        else:
            break
    return good, found


def to_8_bits(
    array: np.ndarray, reading: DecodeOptions, declared: float | None = None
) -> tuple[np.ndarray, Depth | None]:
    """uint8 of the same shape, and what was done; None: there was nothing to do. Pixels that were not measured are black.

    Raises:
        ValueError: the pixels are no numbers, or none was measured.
    """
    if array.dtype == np.uint8:
        return array, None
    if array.dtype == bool:
        return array.astype(np.uint8) * 255, None
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        raise ValueError(f"pixels of type {array.dtype} are no numbers")
    values = array.astype(np.float32)
    good, nodata = measured(values, reading.nodata, declared)
    if not good.any():
        raise ValueError(
            "no pixel is a finite number" if nodata is None else f"every pixel is {nodata:g}, no measurement"
        )
    there = values[good]
    least, most = float(there.min()), float(there.max())
    if reading.value_range is not None:
        low, high = reading.value_range
    elif reading.intensity == "full" and np.issubdtype(array.dtype, np.integer):
        limits = np.iinfo(array.dtype if array.dtype.itemsize <= 2 else np.uint16)
        low, high = float(max(limits.min, 0)), float(limits.max)
    elif reading.intensity == "full":
        low, high = 0.0, 1.0
    else:
        low, high = (float(edge) for edge in np.percentile(there, (0.5, 99.5)))
    if high <= low:
        low, high = least, max(most, least + 1)
    gray = (np.clip((np.where(good, values, low) - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    cut = float(((there < low) | (there > high)).mean())
    missing = int(good.size - good.sum())
    return gray, Depth(least, most, missing, nodata, cut, _crowd(there, gray[good]))


def _crowd(values: np.ndarray, gray: np.ndarray) -> tuple[float, float] | None:
    """Different values that share a gray value with many pixels, and from which all others lie far away."""
    for shade in np.argsort(np.bincount(gray.ravel(), minlength=256))[-2:]:
        inside = values[gray == shade]
        others = values[gray != shade]
        if inside.size < CROWD_SHARE * values.size or not others.size:
            continue
        low, high = float(inside.min()), float(inside.max())
        away = float(np.maximum(low - others, others - high).min())
        if 0 < high - low and away > FAR * (high - low):
            return low, high
    return None


def remarks(seen: Sequence[Depth | None], reading: DecodeOptions) -> list[str]:
    """What to tell about the pictures of a data set, `Depth` by `Depth`."""
    deep = [one for one in seen if one is not None]
    if not deep:
        return []
    low, high = min(one.low for one in deep), max(one.high for one in deep)
    of, told = f"of {len(seen):,} pictures", []
    if crowds := [one.crowd for one in deep if one.crowd is not None]:
        scale = f"value_range=[{min(crowd[0] for crowd in crowds):g}, {max(crowd[1] for crowd in crowds):g}]"
        told.append(
            f"{len(crowds):,} {of} hold values far from most of theirs (of all, {low:g} to {high:g}), and what differs among the others "
            f"becomes one gray value: {scale} makes their range black to white, nodata=... says which value is no measurement"
        )
    elif reading.intensity is None and reading.value_range is None:
        told.append(
            f"{len(deep):,} {of} hold more than 8 bits a pixel (values {low:g} to {high:g}): each is stretched over its own range, so "
            f"that brightness does not compare between pictures; value_range=[{low:g}, {high:g}] keeps one scale for all, "
            "intensity='range' says that each its own is meant"
        )
    least = 0.5 if reading.value_range is not None else BLANK_SHARE if reading.intensity == "full" else 1.0
    if beyond := [one.cut for one in deep if one.cut > least]:
        told.append(
            f"{len(beyond):,} {of} have values beyond black and white, which are cut off (up to {max(beyond):.0%} of a picture); "
            f"value_range=[{low:g}, {high:g}] cuts none"
        )
    if without := [one for one in deep if one.missing and one.nodata is None]:
        told.append(
            f"{len(without):,} {of} have pixels that are no finite number ({sum(one.missing for one in without):,} in all): "
            "they are black"
        )
    if (marked := [one for one in deep if one.nodata is not None]) and reading.nodata is None:
        value = marked[0].nodata
        told.append(
            f"{len(marked):,} {of} have pixels of {value:g}, far from all others ({sum(one.missing for one in marked):,} in all): "
            f"taken for not measured, they are black; nodata={value:g} says so, nodata=nan says that it is a value"
        )
    return told
