"""Paths below a folder, by their text: what `Path.relative_to` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_ssl.core.paths import path_below


@pytest.mark.parametrize("folder", [".", "/", "data", "/data", "/data/train", "../data", "data/.hidden"])
@pytest.mark.parametrize(
    "file",
    [
        "data/a.png",
        "/data/train/a b.png",
        "/data/training/a.png",
        "../data/x/y.wav",
        "a",
        "data",
        "/data",
        "data/.hidden/z",
    ],
)
def test_as_relative_to(file: str, folder: str) -> None:
    path, above = Path(file), Path(folder)
    expected = path.relative_to(above).as_posix() if path.is_relative_to(above) else None
    assert path_below(path, above) == expected
