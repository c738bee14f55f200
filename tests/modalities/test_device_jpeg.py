"""JPEG files that a GPU decodes: with a stand-in for torchcodec, on the processor."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from hf_ssl.modalities.image import device_jpeg
from hf_ssl.modalities.image import geometry as geo
from hf_ssl.modalities.image.image import Image

pil = pytest.importorskip("PIL.Image", reason='needs the image extra: pip install "hf_ssl[image]"')
CALLS: list[int] = []


def decode_jpeg(sources: Sequence[bytes], *, mode: str, device: torch.device) -> list[torch.Tensor]:
    """torchcodec's, as it is called here."""
    CALLS.append(len(sources))
    if any(b"broken" in source for source in sources):
        raise RuntimeError("nvjpegDecode failed: 6\nmore")
    pictures = [pil.open(io.BytesIO(source)).convert({"RGB": "RGB", "GRAY": "L"}[mode]) for source in sources]
    arrays = [np.atleast_3d(np.asarray(picture)) for picture in pictures]
    return [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    device_jpeg.told.cache_clear()
    torchcodec, decoders = ModuleType("torchcodec"), ModuleType("torchcodec.decoders")
    vars(decoders)["decode_jpeg"] = decode_jpeg
    monkeypatch.setitem(sys.modules, "torchcodec", torchcodec)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_jpeg, "place", lambda: torch.device("cpu"))


def encoded(mode: str = "RGB", kind: str = "JPEG", size: tuple[int, int] = (90, 60), **more: Any) -> dict[str, Any]:
    down, across = np.mgrid[0:1:12j, 0:1:18j]
    colors = np.stack([down, 0.5 + 0.5 * np.sin(9 * across), 1 - across * down], axis=2)
    stream = io.BytesIO()
    pil.fromarray((255 * colors).astype(np.uint8)).resize(size).convert(mode).save(stream, kind, **more)
    return {"bytes": stream.getvalue(), "path": None}


def turned() -> dict[str, Any]:
    exif = pil.Exif()
    exif[274] = 6
    return encoded(exif=exif)


SHAPE = geo.Geometry(40, 40, 48, 3, (0.5,) * 3, (0.5,) * 3)
MIXED = [
    encoded(),
    encoded(kind="PNG"),
    turned(),
    encoded("CMYK"),
    encoded("L"),
    encoded(size=(40, 200)),
    encoded(progressive=True),
]


@pytest.mark.parametrize("side", [None, 45])
@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("channels", [3, 1])
def test_pictures_are_those_of_pillow_within_a_level(on_a_device, channels, resample, side):
    shape = geo.Geometry(40, 40, 48, resample, (0.5,) * 3, (0.5,) * 3)
    expected = geo.store(MIXED, Image().reading, shape, channels, side)
    found = geo.store(MIXED, Image(Image.Config(jpeg_decoder="nvjpeg")).reading, shape, channels, side)
    assert CALLS == [4], "the PNG, the turned and the CMYK file are none of a device's"
    away = np.abs(found.astype(int) - expected.astype(int))
    assert found.shape == expected.shape and away.mean() < 1 and away.max() <= 4
    assert not away[1:4].any()


def test_where_a_device_gives_up_pillow_goes_on_and_that_is_told_once(on_a_device, caplog):
    broken = encoded()
    values = [encoded(), {**broken, "bytes": broken["bytes"] + b"broken"}]
    found = geo.store([*values, *values], Image(Image.Config(jpeg_decoder="nvjpeg")).reading, SHAPE, 3)
    np.testing.assert_array_equal(found, geo.store([*values, *values], Image().reading, SHAPE, 3))
    told = [record.getMessage() for record in caplog.records]
    assert CALLS == [4] and len(told) == 1 and "nvjpegDecode failed" in told[0]


def test_a_filter_that_a_device_lacks_is_pillows(on_a_device):
    shape = geo.Geometry(40, 40, None, 1, (0.5,) * 3, (0.5,) * 3)  # Lanczos
    found = geo.store(MIXED, Image(Image.Config(jpeg_decoder="nvjpeg")).reading, shape, 3)
    np.testing.assert_array_equal(found, geo.store(MIXED, Image().reading, shape, 3))
    assert not CALLS


@pytest.mark.parametrize(("there", "why"), [(False, "no NVIDIA GPU"), (True, "torchcodec")])
def test_what_is_missing_is_told_and_pixels_are_pillows(monkeypatch, caplog, there, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    reading = Image(Image.Config(jpeg_decoder="nvjpeg")).reading
    for _ in range(2):
        np.testing.assert_array_equal(geo.store(MIXED, reading, SHAPE, 3), geo.store(MIXED, Image().reading, SHAPE, 3))
    assert sum(why in record.getMessage() for record in caplog.records) == 1 and device_jpeg.place() is None
    assert not CALLS
