"""Damaged files of every binary reader, and damaged settings: data or our own error, soon, and without filling the memory."""

from __future__ import annotations

import io
import random
import resource
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_ssl.core.errors import HfSslError
from hf_ssl.core.parsing import from_yaml
from hf_ssl.data import load_data

TRIALS, SECONDS, MEGABYTES = 40, 20.0, 700
ODD = (b"\0", b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b'"', b"\n", b"..", b"1e999")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut, repeated or put in; headers more often than the rest, because they say sizes."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(max(1, min(len(made), 200) if rng.random() < 0.6 else len(made)))
        what = rng.choice(("byte", "cut", "insert", "repeat", "remove"))
        if what == "byte" and made:
            made[place] = rng.randrange(256)
        elif what == "cut" and rng.random() < 0.4:
            del made[place:]
        elif what == "insert":
            made[place:place] = rng.choice(ODD)
        elif what == "repeat":
            made[place:place] = made[max(0, place - 40) : place]
        else:
            del made[place : place + rng.randint(1, 30)]
    return bytes(made)


def parquet() -> bytes:
    stream = io.BytesIO()
    pd.DataFrame({"text": [f"row {n} of them" for n in range(40)], "label": ["a", "b"] * 20}).to_parquet(stream)
    return stream.getvalue()


def picture(form: str, **how: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        pil = pytest.importorskip("PIL.Image")
        stream = io.BytesIO()
        made = pil.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
        made.save(stream, format=form, **how)
        return stream.getvalue()

    return make


def sound(form: str) -> Callable[[], bytes]:
    def make() -> bytes:
        soundfile = pytest.importorskip("soundfile")
        stream = io.BytesIO()
        soundfile.write(stream, 0.3 * np.random.default_rng(0).standard_normal(8000), 16_000, format=form)
        return stream.getvalue()

    return make


def array(packed: bool) -> Callable[[], bytes]:
    def make() -> bytes:
        stream, values = io.BytesIO(), np.random.default_rng(0).standard_normal((20, 2, 30))
        if packed:
            np.savez(stream, x=values, y=np.arange(20) % 2)
        else:
            np.save(stream, values)
        return stream.getvalue()

    return make


def tar_of_pictures() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(4):
            for name, content in (
                (f"{number}.png", picture("PNG")()),
                (f"{number}.cls", b"a" if number % 2 else b"b"),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", "text,label\n" + "a,b\n" * 20)
    return stream.getvalue()


SERIES = {"modality": "timeseries"}
KINDS: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "a.parquet": (parquet, {}),
    "b.png": (picture("PNG"), {"modality": "image"}),
    "c.jpg": (picture("JPEG"), {"modality": "image"}),
    "d.tif": (picture("TIFF"), {"modality": "image", "frames": "first"}),
    "e.gif": (picture("GIF"), {"modality": "image", "frames": "all"}),
    "f.webp": (picture("WEBP"), {"modality": "image"}),
    "g.bmp": (picture("BMP"), {"modality": "image"}),
    "h.wav": (sound("WAV"), {"modality": "audio"}),
    "i.flac": (sound("FLAC"), {"modality": "audio"}),
    "j.ogg": (sound("OGG"), {"modality": "audio"}),
    "k.mp3": (sound("MP3"), {"modality": "audio"}),
    "l.aiff": (sound("AIFF"), {"modality": "audio"}),
    "m.npy": (array(False), SERIES),
    "n.npz": (array(True), SERIES),
    "o.npy": (array(False), {"modality": "image"}),
    "p.tar": (tar_of_pictures, {"modality": "image"}),
    "q.csv": (zipped, {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_give_data_or_our_error(name: str, tmp_path: Path) -> None:
    make, options = KINDS[name]
    content, rng = make(), random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for trial in range(TRIALS):
        file = tmp_path / str(trial) / name
        file.parent.mkdir()
        file.write_bytes(mutated(content, rng))
        began = time.monotonic()
        try:
            load_data(file, verbose=False, cache_dir=str(tmp_path / ".cache"), **options)
        except HfSslError as error:
            assert str(error)
        assert time.monotonic() - began < SECONDS, f"trial {trial}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, f"{grown:.0f} MB"


def test_damaged_settings_give_values_or_our_error(tmp_path: Path) -> None:
    plain = (
        b"data: reviews\nmodality: text\npretrain:\n  objective: mlm\n  max_steps: 20\n  learning_rate: 1.0e-4\n"
        b"list: [1, 2, {a: b}]\ntext: |\n  two\n  lines\n"
    )
    rng = random.Random(0)
    odd = (
        *ODD,
        b"&a ",
        b"*a",
        b"!!python/object:os.system ",
        b"? ",
        b"- ",
        b": ",
        b"\t",
        b"%",
        b"---\n",
        b"<<: *a\n",
        b"{",
        b"]",
        b"2024-13-45",
    )
    for trial in range(300):
        made = bytearray(mutated(plain, rng))
        place = rng.randrange(len(made) + 1)
        made[place:place] = rng.choice(odd)
        file = tmp_path / f"{trial}.yaml"
        file.write_bytes(bytes(made))
        try:
            found = from_yaml(file)
        except HfSslError as error:
            assert str(error)
        else:
            assert isinstance(found, dict)
