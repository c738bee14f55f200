"""Files whose color, size, length or kind says the class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hf_ssl
from hf_ssl.core.errors import DataError


def pictures(root: Path, differ: str, share: float = 1.0) -> Path:
    """Two classes of 30 noisy pictures; in `share` of the second one something is another way."""
    for number in range(60):
        second = number >= 30
        other = second and (number - 30) < 30 * share
        wide = 24 if other and differ == "size" else 32
        pixels = np.random.default_rng(number).integers(0, 255, (32, wide, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels)
        if other and differ == "color":
            picture = picture.convert("L").convert("RGB")
        if other and differ == "transparency":
            picture.putalpha(Image.fromarray(pixels[..., 0]))
        folder = root / ("fine" if second else "crack")
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"p{number:02}.{'bmp' if other and differ == 'kind' else 'png'}")
    return root


def told(root: Path, modality: str) -> list[str]:
    return [
        text
        for text in hf_ssl.load_data(root, modality=modality, verbose=False).report["warnings"]
        if "is known by the" in text
    ]


@pytest.mark.parametrize("differ", ["color", "size", "transparency", "kind"])
def test_a_property_of_pictures_that_says_the_class_is_told(differ: str, tmp_path: Path) -> None:
    warnings = told(pictures(tmp_path / "data", differ), "image")
    assert len(warnings) == 1 and f"by the {differ} of its files" in warnings[0]
    assert ("channels=1" in warnings[0]) == (differ == "color")


def test_where_all_pictures_are_read_as_gray_color_says_nothing(tmp_path: Path) -> None:
    root = pictures(tmp_path / "data", "color")
    read = hf_ssl.load_data(root, modality="image", channels=1, verbose=False)
    assert not [text for text in read.report["warnings"] if "is known by the" in text]


@pytest.mark.parametrize("differ", ["color", "size", "kind"])
def test_what_some_files_of_a_class_have_is_not_told(differ: str, tmp_path: Path) -> None:
    assert not told(pictures(tmp_path / "half", differ, share=0.5), "image")


def test_lengths_of_sounds_and_of_series_that_say_the_class_are_told(tmp_path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    for kind, seconds in (("alarm", 0.5), ("calm", 0.75)):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        for number in range(40):
            samples = 0.1 * rng.normal(size=int(8000 * seconds))
            soundfile.write(tmp_path / "sounds" / kind / f"{number}.wav", samples, 8000)
    warnings = told(tmp_path / "sounds", "audio")
    assert len(warnings) == 1 and "0.5 seconds" in warnings[0]
    rows = [
        {"series": rng.normal(size=count).tolist(), "label": kind} for kind, count in [("up", 64), ("down", 80)] * 40
    ]
    (tmp_path / "series.jsonl").write_text("\n".join(map(json.dumps, rows)))
    warnings = told(tmp_path / "series.jsonl", "timeseries")
    assert len(warnings) == 1 and "by the length" in warnings[0]


def test_few_files_of_a_class_prove_nothing(tmp_path: Path) -> None:
    root = pictures(tmp_path / "data", "size")
    for file in sorted(root.glob("*/*.png"))[::2]:
        file.unlink()
    assert not told(root, "image")


def test_pictures_of_a_pixel_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "data", "nothing")
    assert not hf_ssl.load_data(root, modality="image", verbose=False).report["warnings"]
    for number, file in enumerate(sorted(root.glob("*/*.png"))[::10]):
        Image.new("RGB", (1, 1), (number, 0, 0)).save(file)
    warnings = hf_ssl.load_data(root, modality="image", verbose=False).report["warnings"]
    assert len(warnings) == 1 and warnings[0].startswith("6 of 60 pictures")


def test_where_no_file_is_read_the_reason_and_its_option_are_said(tmp_path: Path) -> None:
    for number in range(24):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        frames = [
            Image.fromarray(np.random.default_rng(n).integers(0, 255, (9, 9, 3), np.uint8)) for n in (number, 99)
        ]
        frames[0].save(folder / f"{number}.webp", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(DataError, match="frames='first' or frames='all'") as refused:
        hf_ssl.load_data(tmp_path, modality="image", verbose=False)
    assert "ignore_folders" not in str(refused.value)
    assert hf_ssl.load_data(tmp_path, modality="image", frames="first", verbose=False).label_names == ["a", "b"]
