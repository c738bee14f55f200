"""A class of which nothing is used is an error, and what is hidden, broken or linked is counted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data


def text(file, number):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(" ".join(f"w{number * 31 + place * 7}" for place in range(12)))


def picture(file, number):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def tone(file, number, level=0.3):
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, level * np.random.default_rng(number).uniform(-1, 1, 8000), 16_000)


WRITE = {"text": (text, "txt"), "image": (picture, "png"), "audio": (tone, "wav")}


def classes(root, modality, names=("cat", "dog"), count=10):
    write, kind = WRITE[modality]
    for place, name in enumerate(names):
        for row in range(count):
            write(root / name / f"{row}.{kind}", 100 * place + row)


def read(root, modality, **options):
    return load_data(root, modality=modality, verbose=False, **options)


def adds_up(data):
    return all(one["found"] == one["used"] + sum(one["left_out"].values()) for one in data.report["accounts"].values())


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_a_class_whose_folder_begins_with_a_dot_is_an_error_with_its_option(tmp_path, modality):
    classes(tmp_path, modality, ("cat", "dog", ".net"))
    with pytest.raises(DataError, match=r"ignore_folders=\['\.net'\]"):
        read(tmp_path, modality)
    data = read(tmp_path, modality, ignore_folders=[".net"])
    assert data.label_names == ["cat", "dog"] and adds_up(data)
    assert data.report["accounts"]["files"]["left_out"] == {"in folders that ignore_folders names": 10}


@pytest.mark.parametrize("kind", ["pdf", "html", "rtf"])
def test_a_class_of_files_that_are_not_read_as_text_is_an_error(tmp_path, kind):
    classes(tmp_path, "text", count=30)
    text(tmp_path / "owl" / f"0.{kind}", 1000)
    with pytest.raises(DataError, match=r"ignore_folders=\['owl'\]"):
        read(tmp_path, "text")
    assert read(tmp_path, "text", ignore_folders=["owl"]).label_names == ["cat", "dog"]


@pytest.mark.parametrize("kind", ["broken", "animated", "video"])
def test_a_class_of_pictures_that_cannot_be_read_is_an_error(tmp_path, kind):
    classes(tmp_path, "image", count=20)
    owl = tmp_path / "owl"
    owl.mkdir()
    if kind == "animated":
        frames = [Image.fromarray(np.full((8, 8), 40 * number, np.uint8)) for number in range(3)]
        frames[0].save(owl / "0.gif", save_all=True, append_images=frames[1:])
    else:
        (owl / ("0.png" if kind == "broken" else "0.mp4")).write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    with pytest.raises(DataError, match=r"'owl'.*ignore_folders=\['owl'\]"):
        read(tmp_path, "image")
    assert read(tmp_path, "image", ignore_folders=["owl"]).label_names == ["cat", "dog"]
    if kind == "animated":
        assert "owl" in read(tmp_path, "image", frames="all").label_names


def test_a_class_of_silence_is_an_error_whether_folders_or_a_column_say_it(tmp_path):
    classes(tmp_path / "f", "audio", count=20)
    for row in range(3):
        tone(tmp_path / "f" / "owl" / f"{row}.wav", row, level=0)
    with pytest.raises(DataError, match=r"'owl'.*silence_db.*ignore_folders=\['owl'\]"):
        read(tmp_path / "f", "audio")
    assert read(tmp_path / "f", "audio", ignore_folders=["owl"]).label_names == ["cat", "dog"]
    lines = [
        f"{file.relative_to(tmp_path / 'f')},{file.parent.name}" for file in sorted((tmp_path / "f").rglob("*.wav"))
    ]
    (tmp_path / "f" / "list.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    with pytest.raises(DataError, match=r"na_values=\['owl'\]"):
        read(tmp_path / "f", "audio")
    assert read(tmp_path / "f", "audio", na_values=["owl"]).label_names == ["cat", "dog"]


def test_folders_that_tell_about_the_data_are_no_classes(tmp_path):
    classes(tmp_path, "image")
    text(tmp_path / "docs" / "guide.md", 1)
    text(tmp_path / ".git" / "config.txt", 2)
    picture(tmp_path / "@eaDir" / "0.png", 3)
    picture(tmp_path / ".ipynb_checkpoints" / "0-checkpoint.png", 4)
    data = read(tmp_path, "image")
    assert data.label_names == ["cat", "dog"] and adds_up(data)


def test_many_hidden_pictures_are_an_error_and_few_are_told(tmp_path):
    classes(tmp_path, "image", count=20)
    picture(tmp_path / "cat" / ".20.png", 900)
    assert any("begin with a dot" in text for text in read(tmp_path, "image").report["warnings"])
    for row in range(21, 30):
        picture(tmp_path / "cat" / f".{row}.png", 900 + row)
    with pytest.raises(DataError, match="10 of 50 files left out: hidden"):
        read(tmp_path, "image")


def test_links_that_lead_nowhere_are_counted_when_links_are_followed(tmp_path):
    classes(tmp_path, "image", count=20)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    data = read(tmp_path, "image", follow_links=True)
    assert data.report["accounts"]["files"]["left_out"] == {"links that lead nowhere": 1} and adds_up(data)


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_a_class_that_is_a_link_to_a_store_beside_it_is_read_once_by_its_name(tmp_path, modality):
    classes(tmp_path, modality, ("cat", "store/dog"))
    (tmp_path / "dog").symlink_to(tmp_path / "store" / "dog")
    data = read(tmp_path, modality)
    assert data.label_names == ["cat", "dog"] and adds_up(data)
    assert data.report["accounts"]["files"]["left_out"] == {"read by the names of links to them": 10}


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_names_that_are_not_utf8_are_left_out_and_told(tmp_path, modality):
    classes(tmp_path, modality)
    first = min((tmp_path / "cat").iterdir())
    try:
        os.rename(first, os.fsencode(first.parent) + b"/caf\xe9" + os.fsencode(first.suffix))
    except OSError:
        pytest.skip("this disk takes UTF-8 alone")
    data = read(tmp_path, modality)
    assert any(r"cat/caf\xe9" in text for text in data.report["warnings"]) and adds_up(data)
    os.rename(tmp_path / "dog", os.fsencode(tmp_path) + b"/dog\xff")
    with pytest.raises(DataError, match="11 of 20 .*UTF-8"):
        read(tmp_path, modality)
    with pytest.raises(DataError, match="not UTF-8"):
        read(Path(os.fsdecode(os.fsencode(tmp_path) + b"/dog\xff")), modality)


def test_four_thousand_columns_are_read_in_a_time_that_grows_with_their_number(tmp_path):
    def calls(count):
        import cProfile
        import pstats

        names = ",".join(f"c{number}" for number in range(count))
        rows = [f"some words of row {row},{'ab'[row % 2]}," + ",".join(["1"] * count) for row in range(20)]
        (tmp_path / "a.csv").write_text("\n".join([f"text,label,{names}", *rows]) + "\n")
        profile = cProfile.Profile()
        profile.enable()
        assert load_data(tmp_path / "a.csv", verbose=False).label_names == ["a", "b"]
        profile.disable()
        return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]

    calls(10)
    few, many = calls(100), calls(400)
    assert many < 6 * few
