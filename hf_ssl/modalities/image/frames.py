"""Files that hold several pictures, and pictures whose names do not say that they are any."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import require
from hf_ssl.modalities.image.files import (
    DICOM_MARK,
    NPY,
    DecodeOptions,
    Unreadable,
    as_reference,
    head_of,
    pixels,
    refuse_bomb,
)

FRAMED = {"TIFF", "GIF", "WEBP", "PNG", "AVIF"}
"""Formats that hold several pictures; a camera's MPO holds a preview beside its picture."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"\x93NUMPY")
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    IndexError,
    TypeError,
    KeyError,
    AttributeError,
)


def frame_count(value: object) -> int:
    """How many pictures a file holds: pages of a TIFF, frames of an animation or of a DICOM file; 1 for anything else.

    Whatever else is wrong with a file is said when it is decoded.
    """
    reference = as_reference(value)
    content, path = reference["bytes"], reference["path"]
    if content is None and path is None:
        return 1
    try:
        head = content[:132] if content is not None else head_of(str(path))
        if head[:3] == b"\xff\xd8\xff" or head[:2] == b"BM" or head[:6] == NPY:  # most pictures, and never several
            return 1
        if head[:4] == b"\x89PNG" and not _is_animated(content, path):
            return 1
        source = io.BytesIO(content) if content is not None else str(path)
        if head[128:132] == DICOM_MARK:
            found = require("pydicom", "dicom").dcmread(source, stop_before_pixels=True)
            return int(getattr(found, "NumberOfFrames", 1) or 1)
        with require("PIL.Image", "image").open(source) as image:
            return int(getattr(image, "n_frames", 1)) if image.format in FRAMED else 1
    except _DAMAGED:
        return 1
    except require("PIL.Image", "image").DecompressionBombError:
        return 1


def patients_of(files: Sequence[Path]) -> dict[Path, str]:
    """The patient that each DICOM file names; {} where some name none, all the same one, or each another."""
    found: dict[Path, str] = {}
    for file in files:
        if file.suffix.lower() not in ("", ".dcm", ".dicom", ".ima") or head_of(str(file))[128:132] != DICOM_MARK:
            continue
        try:
            header = require("pydicom", "dicom").dcmread(file, stop_before_pixels=True, specific_tags=["PatientID"])
        except _DAMAGED:
            continue
        found[file] = str(header.get("PatientID") or "").strip()
    several = len(set(found.values()))
    return found if 1 < several < len(found) and all(found.values()) else {}


def _is_animated(content: bytes | None, path: str | None) -> bool:
    """Whether a PNG file says before its pixels that it holds several pictures."""
    if content is None:
        with open(str(path), "rb") as stream:
            content = stream.read(1 << 16)
    return b"acTL" in content[: max(content.find(b"IDAT"), 0) or len(content)]


def frames_of(value: object, reading: DecodeOptions) -> Iterator[dict[str, Any]]:
    """Every picture of a file with several, as references of their own.

    Raises:
        Unreadable: with the reason.
    """
    reference = as_reference(value)
    content, path = reference["bytes"], reference["path"]
    source = io.BytesIO(content) if content is not None else str(path)
    try:
        if (content[:132] if content is not None else head_of(str(path)))[128:132] == DICOM_MARK:
            for frame in require("pydicom", "dicom").dcmread(source).pixel_array:
                yield as_reference(np.asarray(frame))
            return
        with require("PIL.Image", "image").open(source) as image:
            for number in range(image.n_frames):
                image.seek(number)
                refuse_bomb(image.width, image.height, reading)
                yield as_reference(image.copy())
    except (*_DAMAGED, require("PIL.Image", "image").DecompressionBombError) as error:
        raise Unreadable(f"not a readable image: {error}") from error


def looks_like_picture(file: Path) -> bool:
    """Whether the first bytes are those of a picture, whatever the file is called."""
    try:
        head = head_of(str(file))
    except OSError:
        return False
    heif = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif", b"hevc")
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_MAGIC) or heif or webp or head[128:132] == DICOM_MARK


def thumbnail(value: object, reading: DecodeOptions, side: int = 96) -> bytes:
    """A picture of at most `side` pixels as PNG; of many channels the first three."""
    pil = require("PIL.Image", "image")
    array = pixels(value, reading)
    small = pil.fromarray(np.ascontiguousarray(array[..., :3] if array.shape[2] >= 3 else array[..., 0]))
    small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, format="PNG")
    return stream.getvalue()
