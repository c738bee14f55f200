"""What an image processor does, read once: size, crop, resampling, mean and spread. And doing it to many images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, require
from hf_ssl.modalities.image.files import DecodeOptions, Unreadable, pixels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IN_MEMORY = 1 << 30  # larger stores live in a temporary file that the system pages in and out


class PictureProcessor(Protocol):
    """What is asked of the image processors of transformers and timm; which of it is there depends on the family."""

    size: Any
    crop_size: Any
    image_mean: Sequence[float]
    image_std: Sequence[float]
    data_config: dict[str, Any]

    def save_pretrained(self, folder: str | Path, /) -> object: ...


@dataclass(frozen=True)
class Geometry:
    """From any picture to the model's input.

    Args:
        height, width: of the input.
        shorter: length that the shorter side is resized to before the center is cut out; None: resize to
            `height x width` whatever the proportions were.
        resample: Pillow's number of the filter.
        mean, std: per channel, on the scale of 0 to 1.
        unit: 1/255, or 1 where a processor does not rescale.
        to_even: how the cut's place is rounded where the rest is odd: half to even as in torchvision (timm), else down.
    """

    height: int
    width: int
    shorter: int | None
    resample: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: float = 1 / 255
    to_even: bool = False

    def for_channels(self, channels: int) -> Geometry:
        """Mean and spread for another number of channels: their average, where the checkpoint's do not fit."""
        if len(self.mean) == channels:
            return self
        mean, std = float(np.mean(self.mean)), float(np.mean(self.std))
        return replace(self, mean=(mean,) * channels, std=(std,) * channels)


def geometry(processor: PictureProcessor) -> Geometry:
    """Read it from a transformers or timm image processor.

    Raises:
        ConfigError: the processor's size has a form that is not known.
    """
    timm_config = getattr(processor, "data_config", None)
    if timm_config is not None:
        _, height, width = timm_config["input_size"]
        filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
        squash = timm_config.get("crop_mode") == "squash"
        return Geometry(
            height, width, None if squash else int(min(height, width) / timm_config.get("crop_pct", 1.0)),
            filters[timm_config.get("interpolation", "bicubic")], tuple(timm_config["mean"]), tuple(timm_config["std"]),
            to_even=True,
        )  # fmt: skip
    size, crop = _plain(getattr(processor, "size", None)), _plain(getattr(processor, "crop_size", None))
    shorter = size.get("shortest_edge")
    cropped = getattr(processor, "crop_pct", None)
    if shorter is not None and cropped is not None:  # ConvNeXt's own rule
        height = width = int(shorter)
        shorter = None if shorter >= 384 else int(shorter / cropped)
    elif crop and getattr(processor, "do_center_crop", False):
        height, width = int(crop["height"]), int(crop["width"])
        shorter = int(shorter) if shorter is not None else min(int(size["height"]), int(size["width"]))
    elif {"height", "width"} <= size.keys():
        height, width, shorter = int(size["height"]), int(size["width"]), None
    elif shorter is not None:  # only the shorter side is fixed: batches need one shape, so the center is taken
        height = width = shorter = int(shorter)
    else:
        raise ConfigError(f"The image processor's size {size} is not understood; it needs height and width.")
    normalized = getattr(processor, "do_normalize", True)
    mean = tuple(getattr(processor, "image_mean", None) or (0.0,) * 3)
    std = tuple(getattr(processor, "image_std", None) or (1.0,) * 3)
    return Geometry(
        height, width, shorter, int(getattr(processor, "resample", 2) or 2),
        mean if normalized else (0.0,) * len(mean), std if normalized else (1.0,) * len(std),
        float(getattr(processor, "rescale_factor", 1 / 255)) if getattr(processor, "do_rescale", True) else 1.0,
    )  # fmt: skip


def _plain(size: Mapping[str, int | None] | None) -> dict[str, int]:
    return {} if size is None else {key: value for key, value in dict(size).items() if value is not None}


def with_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """Gray for color and color for gray; any other number must fit.

    Raises:
        DataError: the image has another number of channels than the model.
    """
    there = array.shape[2]
    if there == channels:
        return array
    if there == 1:
        return np.repeat(array, channels, axis=2)
    if channels == 1 and there == 3:
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601 luma
        return (array @ weights + 0.5).astype(np.uint8)[..., None]
    raise DataError(
        f"An image has {there} channels, the model takes {channels}. Give --channels {there} to adapt the model's "
        "first layer."
    )


def resized(
    array: np.ndarray, height: int, width: int, shorter: int | None, resample: int, to_even: bool = False
) -> np.ndarray:
    """Resize (antialiased) and cut out the center, uint8 `(height, width, channels)`."""
    pil = require("PIL.Image", "image")
    rows, columns = array.shape[:2]
    target, (top, left) = target_of(rows, columns, height, width, shorter, to_even)
    if (rows, columns) != target:
        if array.shape[2] == 3:
            picture = pil.fromarray(np.ascontiguousarray(array)).resize(target[::-1], resample)
            array = np.asarray(picture)
        else:
            planes = [pil.fromarray(np.ascontiguousarray(array[..., c])) for c in range(array.shape[2])]
            array = np.stack([np.asarray(plane.resize(target[::-1], resample)) for plane in planes], axis=2)
    return array[top : top + height, left : left + width]


def target_of(
    rows: int, columns: int, height: int, width: int, shorter: int | None, to_even: bool
) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a picture of `rows` and `columns` is resized to, and where the cut of `height` and `width` begins in that."""
    if shorter is not None:
        scale = shorter / min(rows, columns)
        target = (max(height, int(rows * scale + 1e-6)), max(width, int(columns * scale + 1e-6)))
    else:
        target = (height, width)
    rests = (target[0] - height, target[1] - width)
    top, left = (round(rest / 2) if to_even else rest // 2 for rest in rests)
    return target, (top, left)


def store(
    values: Sequence[Any], reading: DecodeOptions, shape: Geometry, channels: int, side: int | None = None
) -> np.ndarray:
    """Decode every image once, to uint8 `(images, channels, height, width)`.

    Args:
        values: image references.
        reading: how pixels are made of files.
        shape: the processor's geometry.
        channels: of the model.
        side: another size than the input's, in the same proportion of resize to crop. The channels of a pixel then lie
            next to each other in memory, as the kernel that cuts views wants them.

    Raises:
        DataError: an image cannot be read any more, or has the wrong number of channels.
    """
    height, width, shorter = shape.height, shape.width, shape.shorter
    if side is not None:
        scale = side / min(height, width)
        height, width = round(height * scale), round(width * scale)
        shorter = None if shorter is None else max(side, round(shorter * scale))
    if side is None:
        pictures = _empty((len(values), channels, height, width))
    else:
        pictures = _empty((len(values), height, width, channels)).transpose(0, 3, 1, 2)

    def fill(row: int) -> None:
        try:
            array = pixels(values[row], reading, at_least=2 * max(height, width, shorter or 0))
        except Unreadable as error:
            raise DataError(f"Image {row} could be read when the data were loaded and cannot now: {error}") from error
        array = resized(with_channels(array, channels), height, width, shorter, shape.resample, shape.to_even)
        pictures[row] = np.moveaxis(array, 2, 0)

    left: Sequence[int] = range(len(values))
    if reading.nvjpeg:
        left = _on_a_device(pictures, values, reading, shape, (height, width, shorter))
    if len(left) < 64:
        for row in left:
            fill(row)
    else:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoders and resizing release the lock
            for _ in pool.map(fill, left, chunksize=16):
                continue
    return pictures


def _on_a_device(
    pictures: np.ndarray, values: Sequence[Any], reading: DecodeOptions, shape: Geometry, sides: tuple[int, int, int | None]
) -> Sequence[int]:  # fmt: skip
    """Fill in what a GPU can decode; returns the rows that are left."""
    from hf_ssl.modalities.image import device_jpeg

    device, (height, width, shorter) = device_jpeg.place(), sides
    if device is None:
        return range(len(values))

    def target(rows: int, columns: int) -> device_jpeg.Target:
        return target_of(rows, columns, height, width, shorter, shape.to_even)

    done: set[int] = set()
    size, channels = (height, width), pictures.shape[1]
    for rows, made in device_jpeg.stored(values, reading, channels, shape.resample, size, target, device):
        pictures[rows] = made
        done.update(rows)
    return [row for row in range(len(values)) if row not in done]


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    if int(np.prod(shape)) <= IN_MEMORY:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:  # has no name, so it is gone with the array
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def ramp_and_rings(processor: PictureProcessor | None = None) -> list[Any]:
    """Two made-up Pillow pictures of the size that a processor resizes to (224 x 224 without one)."""
    pil = require("PIL.Image", "image")
    shape = Geometry(224, 224, None, 2, (0.0,), (1.0,)) if processor is None else geometry(processor)
    height, width = shape.shorter or shape.height, shape.shorter or shape.width
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    rings = 0.5 + 0.5 * np.cos(24 * np.hypot(down - 0.4, across - 0.6))
    planes = [(down, across, 1 - down), (rings, 1 - rings * across, across > 0.5)]
    return [pil.fromarray(np.rint(255 * np.stack(three, axis=2)).astype(np.uint8)) for three in planes]
