"""Folders among classes that are none (copies, leftovers, what cameras make), splits in their names, and numbers that are classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sentences import text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError


def folders(root: Path, names: list[str], stem: str = "{n}") -> str:
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for n in range(8):
            (root / name / (stem.format(n=n) + ".txt")).write_text(text(place * 8 + n))
    return str(root)


@pytest.mark.parametrize(
    "stray",
    ["ok - Copy", "ok (2)", "Copy of ok", "ok - Kopie", "ok_backup", "New folder", "New folder (2)", "Neuer Ordner", "untitled folder 2",
     "100APPLE", "DCIM", "101_PANA"],
)  # fmt: skip
def test_a_stray_folder_beside_classes_is_asked_about(tmp_path: Path, stray: str) -> None:
    source = folders(tmp_path, ["ok", "broken", stray])
    with pytest.raises(DataError, match=re.escape(f"ignore_folders={[stray]}")):
        load_data(source, verbose=False)
    data = load_data(source, ignore_folders=[stray], verbose=False)
    assert data.label_names == ["broken", "ok"] and not data.report["warnings"]
    data = load_data(source, folder_labels=True, fold_labels=False, verbose=False)
    assert stray in data.label_names


@pytest.mark.parametrize(
    "stray",
    [
        "unsorted",
        "misc_to_check",
        "duplicates",
        "_background_noise_",
        "tmp",
        "to sort",
        "à trier",
        "zu prüfen",
        "__old",
    ],
)
def test_folders_still_to_be_sorted_are_told(tmp_path: Path, stray: str) -> None:
    source = folders(tmp_path, ["ok", "broken", stray])
    data = load_data(source, verbose=False)
    assert stray in data.label_names and any(f"ignore_folders={[stray]}" in one for one in data.report["warnings"])
    assert load_data(source, ignore_folders=[stray], verbose=False).label_names == ["broken", "ok"]
    assert not load_data(source, folder_labels=True, verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "names",
    [["100APPLE", "101APPLE"], ["New folder (2)", "New folder (3)"], ["Neuer Ordner", "Neuer Ordner (2)"], ["untitled folder", "untitled folder 2"],
     ["train_cats", "train_dogs", "test_cats", "test_dogs"], ["a_train", "a_test", "b_train", "b_test"], ["cats", "dogs", "test_cats", "test_dogs"],
     ["trainCats", "testCats", "trainDogs"], ["x40", "x100"], ["256x256", "1024"]],
)  # fmt: skip
def test_folders_that_are_all_no_classes_are_asked_about(tmp_path: Path, names: list[str]) -> None:
    source = folders(tmp_path, names)
    with pytest.raises(DataError, match=r"folder_labels=True") as error:
        load_data(source, verbose=False)
    assert "folder_labels=False" in str(error.value)
    assert set(load_data(source, folder_labels=True, fold_labels=False, verbose=False).label_names) == set(names)
    assert set(load_data(source, folder_labels=False, verbose=False)) == {"unlabeled"}


@pytest.mark.parametrize(
    "names",
    [["v1", "v2", "final"], ["January", "Jan", "Feb"], ["Januar", "Februar"], ["KW01", "KW02"], ["W01", "W02"], ["01_January", "02_February"],
     ["224", "256", "1024"], ["Q1_2023", "Q2_2023"]],
)  # fmt: skip
def test_versions_months_weeks_and_sides_are_told(tmp_path: Path, names: list[str]) -> None:
    source = folders(tmp_path, names)
    data = load_data(source, verbose=False)
    assert set(data.label_names) == set(names) and any("folder_labels=True" in one for one in data.report["warnings"])
    assert not load_data(source, folder_labels=True, verbose=False).report["warnings"]


@pytest.mark.parametrize(
    ("names", "stem"),
    [(["10", "20", "50"], "{n}"), (["5", "10", "20", "50", "100", "200"], "{n}"), (["red", "green", "blue"], "img_{n}"),
     (["T1", "T2", "FLAIR"], "slice{n}"), (["x", "X-ray"], "{n}"), (["cat", "dog", "other"], "{n}"), (["cat1", "cat2", "dog1"], "{n}"),
     (["glass", "paper", "trash"], "{n}"), (["train station", "test track"], "{n}"), (["may", "april"], "{n}"), (["raw", "cooked"], "{n}"),
     (["Q10", "Q20"], "{n}"), (["backup", "primary"], "{n}"),
     (["duplicates", "originals"], "{n}"),
     (["cat", "copycat"], "{n}"), (["error", "validation error"], "{n}"),
     (["undo", "delete", "copy"], "{n}"), (["class (a)", "class (b)"], "{n}"), (["spam", "junk", "archive"], "{n}")],
)  # fmt: skip
def test_ordinary_classes_are_not(tmp_path: Path, names: list[str], stem: str) -> None:
    data = load_data(folders(tmp_path, names, stem), verbose=False)
    assert set(data.label_names) == set(names) and not data.report["warnings"]
