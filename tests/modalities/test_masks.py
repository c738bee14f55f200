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


def drawn(values: list[int], quality: int = 75) -> Any:
    """Rectangles of classes in JPEG files."""

    def save(place: int, file: Path) -> None:
        numbers = np.random.default_rng(place)
        array = np.full((24, 24), values[0], np.uint8)
        for number, value in enumerate(values[1:]):
            top, left = int(numbers.integers(0, 4)), 8 * number
            array[top : top + 16, left : left + 8] = value
        pil.fromarray(array).save(file, quality=quality)

    return save


@pytest.mark.parametrize("values", [[0, 1, 2, 3], [0, 1, 2], [0, 254, 255], [0, 20, 21]])
def test_neighboring_values_in_jpeg_are_not_proposed(tmp_path: Path, values: list[int]) -> None:
    with pytest.raises(DataError, match="PNG") as told:
        load(tmp_path, drawn(values), ".jpg")
    assert "mask_values" not in str(told.value)
    data = load(tmp_path, drawn(values), ".jpg", mask_values=[str(value) for value in values])
    assert any("JPEG" in text for text in data.report["warnings"])


@pytest.mark.parametrize("values", [[0, 255], [0, 128, 255]])
def test_far_values_in_jpeg_are_proposed_and_right(tmp_path: Path, values: list[int]) -> None:
    named = [str(value) for value in values]
    with pytest.raises(DataError, match="mask_values") as told:
        load(tmp_path, drawn(values), ".jpg")
    assert f"mask_values={named}" in str(told.value)
    data = load(tmp_path, drawn(values), ".jpg", mask_values=named)
    assert values_of(data) == set(range(len(values))) and not data.report["warnings"]


def picture_with_mark(
    at: Path, mark: int, size: tuple[int, int] = (32, 24), mask: np.ndarray | None = None, own: int = 1
) -> DomainData:
    """Pictures whose EXIF mark says how they stand, and one mask for all: class 1 in the upper left corner of what is stored."""
    if mask is None:
        mask = np.zeros(size[::-1], np.uint8)
        mask[:5, :9] = 1
    lines = ["image,mask"]
    for place in range(12):
        picture = pil.fromarray(np.random.default_rng(place).integers(0, 255, (*size[::-1], 3), dtype=np.uint8))
        exif = pil.Exif()
        exif[0x0112] = mark
        picture.save(at / f"{place}.jpg", exif=exif)
        exif[0x0112] = own
        pil.fromarray(mask).save(at / f"m{place}.png", exif=exif)
        lines.append(f"{place}.jpg,m{place}.png")
    (at / "a.csv").write_text("\n".join(lines))
    return load_data(at, "image", verbose=False, label_column="mask", label_kind="mask")


def shown(data: DomainData) -> np.ndarray:
    from hf_ssl.tasks.segmentation import mask_of

    return mask_of(data["train"][0]["label"])


@pytest.mark.parametrize("mark", [5, 6, 7, 8])
@pytest.mark.parametrize("own", [False, True])
def test_masks_of_stored_pixels_are_turned_as_their_pictures(tmp_path: Path, mark: int, own: bool) -> None:
    from PIL.ImageOps import exif_transpose

    data = picture_with_mark(tmp_path, mark, own=mark if own else 1)
    stored = pil.fromarray(np.pad(np.ones((5, 9), np.uint8), ((0, 19), (0, 23))))
    stored.getexif()[0x0112] = mark
    assert (shown(data) == np.asarray(exif_transpose(stored))).all()
    assert any("12 masks" in text and "EXIF" in text for text in data.report["warnings"]) != own


@pytest.mark.parametrize("mark", [6, 8])
def test_masks_of_upright_pictures_stay(tmp_path: Path, mark: int) -> None:
    mask = np.zeros((32, 24), np.uint8)
    mask[:5, :9] = 1
    data = picture_with_mark(tmp_path, mark, mask=mask)
    assert (shown(data) == mask).all() and not data.report["warnings"]


@pytest.mark.parametrize(("mark", "size"), [(3, (32, 24)), (2, (32, 24)), (6, (24, 24))])
def test_marks_that_the_size_does_not_tell_are_told(tmp_path: Path, mark: int, size: tuple[int, int]) -> None:
    data = picture_with_mark(tmp_path, mark, size)
    assert shown(data)[:5, :9].all() and any(
        "12 pictures" in text and "EXIF" in text for text in data.report["warnings"]
    )


def test_masks_on_their_side_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="24 x 32 pixels, its picture 32 x 24"):
        picture_with_mark(tmp_path, 1, mask=np.eye(32, 24, dtype=np.uint8))
