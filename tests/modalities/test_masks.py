"""Masks with several pages or with numbers that are none: told or refused, never class 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

pil = pytest.importorskip("PIL.Image")


def classes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (24, 24), dtype=np.uint8)


def load(at: Path, save: Any, suffix: str = ".tif", **options: Any) -> DomainData:
    lines = ["image,mask"]
    for place in range(12):
        pil.fromarray(classes(place + 100) * 80).save(at / f"{place}.png")
        save(place, at / f"m{place}{suffix}")
        lines.append(f"{place}.png,m{place}{suffix}")
    (at / "a.csv").write_text("\n".join(lines))
    return load_data(at, "image", verbose=False, label_column="mask", **options)


def values_of(data: DomainData) -> set[int]:
    import io

    rows = [row["label"] for split in ("train", "validation", "test") for row in data[split]]
    return {int(v) for row in rows for v in np.unique(np.asarray(pil.open(io.BytesIO(row["bytes"]))))}


def pages(place: int, file: Path) -> None:
    pil.fromarray(classes(place)).save(file, save_all=True, append_images=[pil.fromarray(classes(place + 50))])


def test_several_pages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frames='first'"):
        load(tmp_path, pages)
    data = load(tmp_path, pages, frames="first")
    assert any("12 files of masks" in text for text in data.report["warnings"])


def floats(odd: float) -> Any:
    def save(place: int, file: Path) -> None:
        array = classes(place).astype(np.float32)
        array[0, :3] = odd
        np.save(file, array) if file.suffix == ".npy" else pil.fromarray(array).save(file)

    return save


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_numbers_that_are_none(tmp_path: Path, suffix: str) -> None:
    data = load(tmp_path, floats(float("nan")), suffix)
    assert values_of(data) == {0, 1, 2, 255}
    assert any("255" in text for text in data.report["warnings"])


@pytest.mark.parametrize("odd", [0.5, float("inf")])
def test_numbers_that_are_not_whole(tmp_path: Path, odd: float) -> None:
    with pytest.raises(DataError, match="whole"):
        load(tmp_path, floats(odd))
