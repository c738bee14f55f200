"""JPEG files decoded and resized on an NVIDIA GPU (`--jpeg_decoder nvjpeg`), by torchcodec; Pillow does what that cannot.

Another decoder and another resize than Pillow's: pixels differ by a level of 255 on average, so nobody gets this unasked.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import get_worker_info

from hf_ssl.core import distributed
from hf_ssl.core.errors import require
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, as_reference, refuse_bomb

logger = logging.getLogger(__name__)

AT_ONCE = 64  # pictures that are on the device together
FILTERS = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, and torch's names of the same
MODES = {1: "GRAY", 3: "RGB"}  # by channels
TURNED = 274  # EXIF's number of a picture's orientation
Target = tuple[tuple[int, int], tuple[int, int]]


def place() -> torch.device | None:
    """Where JPEG files can be decoded; None, and once a warning that says why, where that is the processor."""
    if distributed.forced_to_cpu() or not torch.cuda.is_available():
        why = "no NVIDIA GPU is used here"
    elif get_worker_info() is not None:
        why = "processes that prepare batches cannot use the GPU (--dataloader_num_workers 0 does without them)"
    elif _decoder() is None:
        why = 'that needs torchcodec 0.16 or later: pip install "hf_ssl[gpu]"'
    else:
        return torch.device("cuda", torch.cuda.current_device())
    told(why)
    return None


def stored(
    values: Sequence[Any], reading: DecodeOptions, channels: int, resample: int, size: tuple[int, int],
    target: Callable[[int, int], Target], device: torch.device,
) -> Iterator[tuple[list[int], np.ndarray]]:  # fmt: skip
    """Rows of `values`, and their pictures, uint8 `(rows, channels, height, width)`; what is missing is left to Pillow.

    Args:
        size: height and width of all.
        target: from the height and width of a file, what it is resized to, and where in it the picture begins.
        device: where this is done.
    """
    decode = _decoder()
    if decode is None or resample not in FILTERS or channels not in MODES:
        return
    for start in range(0, len(values), AT_ONCE):
        found = {row: content for row in range(start, min(start + AT_ONCE, len(values)))
                 if (content := _plain(values[row], reading)) is not None}  # fmt: skip
        if not found:
            continue
        try:
            decoded = decode([*found.values()], mode=MODES[channels], device=device)
        except RuntimeError as error:  # because of one file, perhaps, but there is nothing of the others
            told(str(error).partition("\n")[0])
            continue
        made = torch.stack([_fitted(one, size, *target(*one.shape[1:]), FILTERS[resample]) for one in decoded])
        yield [*found], made.cpu().numpy()


def _fitted(
    picture: torch.Tensor, size: tuple[int, int], whole: tuple[int, int], begin: tuple[int, int], mode: str
) -> torch.Tensor:
    """A picture `(channels, ...)` resized, antialiased as Pillow's are, and cut."""
    if picture.shape[1:] != whole:
        floats = picture.unsqueeze(0).float()
        picture = functional.interpolate(floats, whole, mode=mode, antialias=True)[0].round_().clamp_(0, 255)
    (top, left), (height, width) = begin, size
    return picture[:, top : top + height, left : left + width].to(torch.uint8)


def _plain(value: object, reading: DecodeOptions) -> bytes | None:
    """The content of a JPEG file that holds plain colors or shades of gray, upright; None: it is something else."""
    try:
        reference: Mapping[str, Any] = as_reference(value)
        content = reference["bytes"] if reference["bytes"] is not None else Path(str(reference["path"])).read_bytes()
        if content[:3] != b"\xff\xd8\xff":
            return None
        with require("PIL.Image", "image").open(io.BytesIO(content)) as image:
            refuse_bomb(image.width, image.height, reading)
            plain = image.format == "JPEG" and image.mode in ("RGB", "L") and image.info.get("adobe_transform") != 0
            return bytes(content) if plain and image.getexif().get(TURNED, 1) == 1 else None
    except (OSError, Unreadable, ValueError, SyntaxError):
        return None  # Pillow's way says what is wrong with it


def _decoder() -> Callable[..., list[torch.Tensor]] | None:
    try:
        from torchcodec.decoders import decode_jpeg
    except (ImportError, RuntimeError, OSError):  # not installed, too old, or its libraries do not load
        return None
    found: Callable[..., list[torch.Tensor]] = decode_jpeg
    return found


@functools.cache
def told(why: str) -> None:
    """Say it once in a process."""
    logger.warning(f"--jpeg_decoder nvjpeg: Pillow decodes instead: {why}")
