"""Masks whose values could be class numbers and are none: smooth edges, two scales, -1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pil = pytest.importorskip("PIL.Image")

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core.errors import DataError  # noqa: E402

COUNT, SIDE = 12, 32


def shape(number: int, values: tuple[int, ...] = (0, 255)) -> np.ndarray:
    """A rectangle of each further value, `(SIDE, SIDE)` uint8."""
    rng = np.random.default_rng(number)
    made = np.full((SIDE, SIDE), values[0], np.uint8)
    for value in values[1:]:
        x, y = rng.integers(1, SIDE - 14, 2)
        made[y : y + 12, x : x + 12] = value
    return made


def data_of(folder: Path, masks: list[np.ndarray], kind: str = "png") -> Any:
    for number, mask in enumerate(masks):
        (folder / "im").mkdir(parents=True, exist_ok=True)
        (folder / "mask").mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        pil.fromarray(noise).save(folder / "im" / f"{number}.png")
        if kind == "npy":
            np.save(folder / "mask" / f"{number}.npy", mask)
        else:
            pil.fromarray(mask).save(folder / "mask" / f"{number}.{kind}")
    lines = "".join(f"im/{number}.png,mask/{number}.{kind}\n" for number in range(len(masks)))
    (folder / "list.csv").write_text("image,mask\n" + lines)
    return lambda **options: load_data(folder, modality="image", label_column="mask", verbose=False, **options)


@pytest.mark.parametrize("values", [(0, 255), (0, 254), (0, 128, 255), (0, 100)])
@pytest.mark.parametrize("way", [pil.Resampling.BICUBIC, pil.Resampling.LANCZOS, pil.Resampling.BILINEAR])
def test_smooth_edges_are_an_error_that_names_the_drawn_values(
    tmp_path: Path, values: tuple[int, ...], way: int
) -> None:
    large = [pil.fromarray(np.kron(shape(n, values), np.ones((4, 4), np.uint8))) for n in range(COUNT)]
    read = data_of(tmp_path, [np.asarray(one.rotate(7).resize((SIDE, SIDE), way)) for one in large])
    named = [str(value) for value in values]
    with pytest.raises(DataError, match="smooth") as caught:
        read()
    assert f"mask_values={named}" in str(caught.value)
    data = read(mask_values=named, max_left_out=0.5)
    assert data.label_kind == "mask"


def test_many_classes_beside_each_other_have_no_smooth_edges(tmp_path: Path) -> None:
    cells = [np.random.default_rng(n).integers(0, 40, (8, 8), dtype=np.uint8) for n in range(COUNT)]
    cells = [np.kron(np.where(cell < 20, cell % 2, cell), np.ones((4, 4), np.uint8)) for cell in cells]
    assert data_of(tmp_path, cells)().label_kind == "mask"


def test_masks_in_two_scales_are_an_error(tmp_path: Path) -> None:
    masks = [shape(number, (0, 1) if number % 2 else (0, 255)) for number in range(COUNT)]
    with pytest.raises(DataError, match=r"6 of 12 masks.*mask_values=\['0', '1'\]"):
        data_of(tmp_path, masks)()
    bordered = [shape(number, (0, 1, 255)) for number in range(COUNT)]
    assert data_of(tmp_path / "bordered", bordered)().label_kind == "mask"


@pytest.mark.parametrize("kind", ["npy", "tiff"])
def test_minus_one_is_not_counted_and_told(tmp_path: Path, kind: str) -> None:
    masks = [shape(n, (0, 1, 2)).astype(np.int32) for n in range(COUNT)]
    masks = [np.where(mask == 2, -1, mask).astype(np.int32) for mask in masks]
    read = data_of(tmp_path, masks, kind)
    assert any("-1" in text and "mask_values=['-1', '0', '1']" in text for text in read().report["warnings"])
    assert not any("not counted" in text for text in read(mask_values=["-1", "0", "1"]).report["warnings"])
    lower = data_of(tmp_path / "lower", [mask * 5 for mask in masks], kind)
    with pytest.raises(DataError, match="below 0"):
        lower()
