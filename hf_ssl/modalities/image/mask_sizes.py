"""Masks and the sizes of their pictures, which may be stored on their side and turned by an EXIF mark."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, dimensions

if TYPE_CHECKING:
    from PIL import Image as pil

TURNED = 0x0112
"""EXIF tag of the orientation: 1 is upright, 5 to 8 swap width and height."""
Size = tuple[int, int]


class Mask(Protocol):
    """What is asked of a mask here."""

    pixels: np.ndarray
    marked: bool

    def turn(self, orientation: int) -> None: ...


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels `(height, width, ...)` turned as an EXIF mark says, as `PIL.ImageOps.exif_transpose` does."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def fit_sizes(masks: Sequence[Mask | None], pictures: Sequence[Any], report: Notes) -> None:
    """A mask has a value for every pixel of its picture; one drawn on stored pixels is turned as the picture is.

    Raises:
        DataError: a mask is of another shape than its picture.
    """
    other, turned, unclear = [], [], []
    for item, picture in zip(masks, pictures, strict=False):
        if item is None or not isinstance(picture, Mapping):
            continue
        try:
            stored = dimensions(picture, DecodeOptions())
        except Unreadable:
            continue
        name, mark = picture.get("path") or "in memory", _orientation(picture)
        size = stored[::-1] if mark >= 5 else stored
        own = _size(item)
        if mark != 1 and not item.marked:
            if not _alike(own, size) and _alike(own, stored):
                item.turn(mark)
                own = _size(item)
                turned.append(str(name))
            elif _alike(own, stored):  # a half turn, a mirror, a square: the size does not tell
                unclear.append(str(name))
        shown = f"{own[0]} x {own[1]} pixels, its picture {size[0]} x {size[1]}"
        if not _alike(own, size):
            raise DataError(
                f"A mask has {shown} ({name}): another shape. Do the columns of pictures and masks fit row by row, and is no mask turned? "
                "label_column=..."
            )
        if own != size:
            other.append(shown)
    _tell(other, turned, unclear, report)


def _tell(other: list[str], turned: list[str], unclear: list[str], report: Notes) -> None:
    if other:
        report.warn(
            f"{len(other):,} masks are of another size than their picture, such as {other[0]}: both are scaled to one size"
        )
    if turned:
        report.warn(
            f"{len(turned):,} masks have the shape of the pixels that are stored, and the EXIF mark of their pictures (such as {turned[0]}) turns "
            "these: such masks are turned, too. Masks with an EXIF mark of their own are turned by that"
        )
    if unclear:
        report.warn(
            f"{len(unclear):,} pictures (such as {unclear[0]}) have an EXIF mark that turns or mirrors them, and the shape of their masks does not "
            "say whether these were drawn before or after: they are taken as drawn on the upright picture. Else save the pictures upright, "
            "without the mark"
        )


def _size(item: Mask) -> Size:
    return item.pixels.shape[1], item.pixels.shape[0]


def _alike(own: Size, other: Size) -> bool:
    """Of one shape, up to a pixel that was lost in scaling."""
    return abs(own[0] * other[1] - own[1] * other[0]) <= max(*other, *own)


def mark_of(picture: pil.Image) -> int:
    """The EXIF mark of the orientation, 1 to 8; 1 where there is none that can be read."""
    try:
        mark = picture.getexif().get(TURNED, 1)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, struct.error):
        return 1
    return int(mark) if mark in range(1, 9) else 1


def _orientation(picture: Mapping[str, Any]) -> int:
    from PIL import Image as pil

    content = picture.get("bytes")
    try:
        with pil.open(io.BytesIO(content) if content is not None else str(picture.get("path"))) as found:
            return mark_of(found)
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError):  # an array or a DICOM file has no mark
        return 1
