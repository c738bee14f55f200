"""From a file, bytes or array to pixels: every mode and bit depth, and a reason where that is not possible.

Content travels as `{"bytes", "path"}` (what `datasets.Image(decode=False)` holds), so that a broken file is met here,
where it can be reported, and not in the middle of an iteration. Arrays with any number of channels travel as `.npy`.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hf_ssl.core.errors import require
from hf_ssl.core.jsonfiles import parse
from hf_ssl.core.textfiles import MAX_RATIO, UNPACKED_FREE, nature
from hf_ssl.modalities.arrays import load_arrays
from hf_ssl.modalities.image.depth import Depth, to_8_bits

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.Image import Image as Picture
    from PIL.Image import Image as PilImage

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm",
            ".pnm", ".jp2", ".tga", ".avif", ".heic", ".heif")  # fmt: skip
ARRAYS = (".npy",)
DICOM = (".dcm", ".dicom")
TAR = (".tar",)
SIGNATURE_SIDE = 16
FLAT = 4  # gray values: smaller steps are noise of compression in flat areas
NPY, DICOM_MARK = b"\x93NUMPY", b"DICM"
_GDAL_NODATA = 42113
_DEEP_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}


class Unreadable(ValueError):
    """Why a value is no usable image; the text goes into the quarantine list."""


@dataclass(frozen=True)
class DecodeOptions:
    """How pixels are made of a file.

    Args:
        background: gray value (0 to 255) put behind transparent pixels.
        intensity: how more than 8 bits become 8: `"range"` (and None) stretches each image's own 0.5th to 99.5th percentile
            (the 12 bits of a scanner fill a fraction of 16), `"full"` divides by the type's range and keeps values
            comparable between images.
        max_megapixels: larger images are refused before they are decompressed.
        frames: which pictures of a file with several are used: `"first"`, `"all"`, or None: such files are refused.
        value_range: the values of black and white, in place of `intensity`.
        nodata: value of a pixel that was not measured (NaN: there is none); None: found out (`depth.measured`).
        nvjpeg: where pictures are stored for a model, a GPU decodes JPEG files (`device_jpeg`).
    """

    background: int = 255
    intensity: str | None = None
    max_megapixels: float = 100.0
    frames: str | None = None
    value_range: tuple[float, float] | None = None
    nodata: float | None = None
    nvjpeg: bool = False


@dataclass(frozen=True)
class ImageInfo:
    """What one full decoding of an image tells, small enough to keep for every row.

    Args:
        problem: why it is unusable, or None.
        key: hash of its pixels.
        signature: perceptual hash and thumbnail, or None for an image without structure.
        frames: how many pictures the file holds.
        depth: what its pixels were, where they were more than 8 bits.
        transparent: something of it was, and lies before the background now.
        gray: it has one channel, or three that are equal.
    """

    problem: str | None
    key: str = ""
    width: int = 0
    height: int = 0
    channels: int = 0
    signature: np.ndarray | None = None
    frames: int = 1
    depth: Depth | None = None
    transparent: bool = False
    gray: bool = False


def as_reference(value: object) -> dict[str, Any]:
    """`{"bytes", "path"}` of a picture, array, path or bytes.

    Raises:
        Unreadable: it is none of them.
    """
    if isinstance(value, Mapping) and {"bytes", "path"} & value.keys():
        return {"bytes": value.get("bytes"), "path": value.get("path")}
    if isinstance(value, (str, Path)):
        return {"bytes": None, "path": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value, "path": None}
    if isinstance(value, (np.ndarray, list)):
        array = np.asarray(value)
        if array.dtype == object or array.ndim not in (2, 3):
            raise Unreadable(f"not an image but an array of shape {array.shape}")
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        return {"bytes": stream.getvalue(), "path": None}
    if hasattr(value, "save") and hasattr(value, "mode"):
        stream, picture = io.BytesIO(), cast("Picture", value)
        converted = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "HSV": "RGB"}.get(picture.mode)
        picture = picture.convert(converted) if converted else picture
        picture.save(stream, format="TIFF" if picture.mode in {"I", "F", "CMYK", "LAB", "YCbCr"} else "PNG")
        return {"bytes": stream.getvalue(), "path": None}
    raise Unreadable(f"not an image but {type(value).__name__}")


def identity(reference: Mapping[str, Any]) -> str:
    """Names a reference's content without decoding it: the bytes' hash, or path, size and time of the file."""
    if reference.get("bytes") is not None:
        return hashlib.blake2b(reference["bytes"], digest_size=16).hexdigest()
    try:
        found = os.stat(str(reference.get("path")))
    except OSError:
        return f"missing {reference.get('path')}"
    return f"{reference['path']} {found.st_size} {found.st_mtime_ns}"


def pixels(value: object, reading: DecodeOptions, at_least: int | None = None) -> np.ndarray:
    """Decode to uint8 `(height, width, channels)`, 1 channel for grey, 3 for color, or as many as an array has.

    Args:
        value: what `as_reference` takes.
        reading: how.
        at_least: a JPEG may be decoded at a half, quarter or eighth when both sides stay at least this long; the
            decoder then skips most of its work.

    Raises:
        Unreadable: with the reason.
    """
    array, declared, _ = _decoded(value, reading, at_least)
    return _in_8_bits(array, declared, reading)[0]


def _in_8_bits(array: np.ndarray, declared: float | None, reading: DecodeOptions) -> tuple[np.ndarray, Depth | None]:
    try:
        return to_8_bits(array, reading, declared)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _decoded(value: object, reading: DecodeOptions, at_least: int | None) -> tuple[np.ndarray, float | None, bool]:
    """Pixels `(height, width, channels)` of the type that the file has, the value that it says means none, and whether any was transparent."""
    reference = as_reference(value)
    content, path = reference["bytes"], reference["path"]
    if content is None and path is None:
        raise Unreadable("empty image reference")
    try:
        head = content[:132] if content is not None else head_of(str(path))
        stream = io.BytesIO(content) if content is not None else open(str(path), "rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise Unreadable(f"no such file: {path}") from error
    except OSError as error:
        raise Unreadable(f"not readable: {error}") from error
    with stream:
        if head[:6] == NPY:
            return _from_array(_load_array(stream), reading), None, False
        if head[128:132] == DICOM_MARK:
            return _from_dicom(stream, reading), None, False
        return _from_picture(stream, reading, at_least)


def head_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(132)


def _load_array(stream: BinaryIO) -> np.ndarray:
    try:
        return load_arrays(stream)["x"]
    except (ValueError, KeyError) as error:
        raise Unreadable(str(error)) from error


def _from_array(array: np.ndarray, reading: DecodeOptions) -> np.ndarray:
    """Channels last, or first where only that makes sense (the first axis is the short one)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.size == 0:
        raise Unreadable(f"an array of shape {array.shape} is no image (height, width, channels)")
    if array.shape[0] < min(array.shape[1:]) and array.shape[0] <= 32:
        array = np.moveaxis(array, 0, -1)
    refuse_bomb(array.shape[1], array.shape[0], reading)
    return array


def _from_picture(
    stream: BinaryIO, reading: DecodeOptions, at_least: int | None
) -> tuple[np.ndarray, float | None, bool]:
    pil = require("PIL.Image", "image")
    operations = require("PIL.ImageOps", "image")
    try:
        # Warning filters are global: only the main thread changes them.
        with warnings.catch_warnings() if threading.current_thread() is threading.main_thread() else nullcontext():
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)  # our own limit is stricter and reported
            with pil.open(stream) as image:
                refuse_bomb(image.width, image.height, reading)
                if at_least is not None and image.format == "JPEG":
                    image.draft(image.mode, (at_least, at_least))
                image.load()
                declared = _declared_nodata(image)
                upright = operations.exif_transpose(image)
                array, transparent = _from_mode(upright, reading)
                return array, declared, transparent
    except Unreadable:
        raise
    except pil.DecompressionBombError as error:
        raise Unreadable(f"too large to decode safely: {error}") from error
    except pil.UnidentifiedImageError as error:
        stream.seek(0)
        head = stream.read(512)
        what = (nature(head) or "of no known format") if head else "an empty file"
        raise Unreadable(f"not a readable image: {what}") from error
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, IndexError, TypeError, MemoryError) as error:
        # Damaged headers surface as nearly any of Python's errors, depending on the format's parser.
        raise Unreadable(f"not a readable image: {str(error).splitlines()[0] if str(error) else error!r}") from error


def refuse_bomb(width: int, height: int, reading: DecodeOptions) -> None:
    if width * height > reading.max_megapixels * 1e6:
        raise Unreadable(f"{width} x {height} pixels, more than max_megapixels={reading.max_megapixels:g}")


def _from_mode(image: PilImage, reading: DecodeOptions) -> tuple[np.ndarray, bool]:
    """Pixels, and whether any of them was transparent."""
    transparent = False
    if image.mode in _DEEP_MODES:
        return np.asarray(image)[..., None], False
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        pil = require("PIL.Image", "image")
        flat = pil.new("RGBA", image.size, (reading.background,) * 3 + (255,))
        opacity = image.convert("RGBA")
        transparent = opacity.getchannel("A").getextrema()[0] != 255
        image = pil.alpha_composite(flat, opacity).convert("RGB")
    elif image.mode in {"1", "L"}:
        image = image.convert("L")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array, transparent


def _declared_nodata(image: PilImage) -> float | None:
    """GDAL's word for pixels without a value, where a TIFF file has it."""
    tags = getattr(image, "tag_v2", None)
    try:
        return None if tags is None else float(str(tags[_GDAL_NODATA]).strip("\0 "))
    except (KeyError, ValueError):
        return None


def _from_dicom(stream: BinaryIO, reading: DecodeOptions) -> np.ndarray:
    """One frame, with the file's own slope, intercept and window applied; inverted where it says so."""
    pydicom = require("pydicom", "dicom")
    treatment = require("pydicom.pixels", "dicom")
    try:
        found = pydicom.dcmread(stream)
        refuse_bomb(int(found.Columns), int(found.Rows), reading)
        several = int(getattr(found, "NumberOfFrames", 1) or 1) > 1
        array = found.pixel_array[0] if several else found.pixel_array
        if array.ndim == 2:
            array = treatment.apply_voi_lut(treatment.apply_modality_lut(array, found), found)
            if found.get("PhotometricInterpretation") == "MONOCHROME1":
                array = array.max() - array
    except Unreadable:
        raise
    except Exception as error:  # every codec behind pydicom has errors of its own; the file is quarantined with it
        raise Unreadable(f"not a readable DICOM file: {error}") from error
    return np.asarray(array) if array.ndim == 3 else np.asarray(array)[..., None]


def dimensions(value: object, reading: DecodeOptions) -> tuple[int, int]:
    """Width and height, from the header where that says it.

    Raises:
        Unreadable: with the reason.
    """
    reference = as_reference(value)
    pil = require("PIL.Image", "image")
    try:
        with pil.open(
            io.BytesIO(reference["bytes"]) if reference["bytes"] is not None else str(reference["path"])
        ) as found:
            return found.size
    except (OSError, pil.DecompressionBombError):  # an array, a DICOM file, or nothing that can be read
        height, width, _ = pixels(reference, reading).shape
        return width, height


def inspect(value: object, reading: DecodeOptions, frames: int = 1) -> ImageInfo:
    """Decode once and keep what the data checks need; `frames` is how many pictures it holds (`frames.frame_count`)."""
    if frames > 1 and reading.frames is None:
        return ImageInfo(f"{frames} pictures in one file (frames='first' or frames='all')", frames=frames)
    try:
        raw, declared, transparent = _decoded(value, reading, None)
        array, depth = _in_8_bits(raw, declared, reading)
    except Unreadable as error:
        return ImageInfo(str(error))
    height, width, channels = array.shape
    grey = channels == 1 or (channels == 3 and _is_gray(array))
    digest = hashlib.blake2b(f"{height} {width} {1 if grey else channels}".encode(), digest_size=16)
    # What 8 bits cannot tell apart may differ all the same.
    look = signature(array) if depth is None or depth.crowd is None else None
    told = array if depth is None else raw.astype(np.float32)
    digest.update(np.ascontiguousarray(told[..., :1] if grey and depth is None else told).tobytes())
    return ImageInfo(None, digest.hexdigest(), width, height, channels, look, frames, depth, transparent, grey)


def _is_gray(array: np.ndarray) -> bool:
    return bool((array[..., 0] == array[..., 1]).all() and (array[..., 0] == array[..., 2]).all())


def signature(array: np.ndarray) -> np.ndarray | None:
    """256-bit difference hash and the thumbnail it was made from, `(38,)` uint64 (see `hf_ssl.data.leakage.near_image.LookIndex`).

    The hash says for each cell of a 16 x 17 thumbnail whether its right neighbor is clearly brighter; it survives another
    size, compression, brightness and a slight blur with a few bits changed. None for images without structure, which
    would all look alike. (dHash, N. Krawetz 2013, "Kind of like that".)
    """
    pil = require("PIL.Image", "image")
    shown = array[..., :3] if array.shape[2] >= 3 else array[..., 0]
    small = pil.fromarray(np.ascontiguousarray(shown)).resize((SIGNATURE_SIDE + 1, SIGNATURE_SIDE), pil.BOX)
    cells = np.asarray(small)
    if cells.ndim == 3:  # gray after the thumbnail, not before: a hundredth of the work
        cells = cells.mean(axis=2).astype(np.uint8)
    if cells.std() < 2:
        return None
    bits = np.packbits(cells[:, 1:].astype(int) > cells[:, :-1].astype(int) + FLAT)
    return np.concatenate([bits, cells.ravel()]).view(np.uint64)


def read_tar(file: Path, quarantine: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Examples of a WebDataset shard: members that share a name up to the first dot belong together.

    An image member becomes `image`; a `.cls` or `.txt` member, or `label`, `class` or `cls` in a `.json`, its label.
    """
    examples: dict[str, dict[str, Any]] = {}
    total, most = 0, max(UNPACKED_FREE, MAX_RATIO * file.stat().st_size)
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                total += member.size
                if total > most:
                    raise tarfile.ReadError(f"{member.name} and those before it promise {total >> 20:,} MB")
                if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                    continue
                folder, name = PurePosixPath(member.name).parent, PurePosixPath(member.name).name
                stem, _, kind = name.partition(".")
                example = examples.setdefault(str(folder / stem), {})
                content = archive.extractfile(member)
                if content is not None:
                    _add_member(example, member.name, "." + kind.lower(), content.read())
        with file.open("rb") as whole:
            whole.seek(-min(512, file.stat().st_size), io.SEEK_END)
            if whole.read().strip(b"\0"):  # a complete archive ends with empty blocks
                quarantine.append({"path": str(file), "reason": "archive is cut short: its end is missing"})
    except (tarfile.TarError, OSError, EOFError) as error:
        quarantine.append({"path": str(file), "reason": f"archive not readable to its end: {error}"})
    for key, example in examples.items():
        if "image" in example:
            name = key if "/" in key else f"{file.stem}:{key}"
            yield {"image": example["image"], "path": name, "label": example.get("label")}


def _add_member(example: dict[str, Any], name: str, kind: str, content: bytes) -> None:
    last = "." + kind.rpartition(".")[2]
    if last in (*PICTURES, *ARRAYS, *DICOM):
        example["image"] = {"bytes": content, "path": name}
    elif last in {".cls", ".txt"}:
        example["label"] = content.decode("utf-8", "replace").strip()
    elif last == ".json":
        try:
            fields = parse(content)
        except ValueError:
            return  # a caption sidecar that is not JSON says nothing about the label
        found = [fields[key] for key in ("label", "class", "cls") if isinstance(fields, dict) and key in fields]
        if found:
            example["label"] = str(found[0])
