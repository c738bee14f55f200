"""Words in names of folders and files: splits of other languages, states of work, labels and people at any place, accents."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sentences import table, text

import hf_ssl
from hf_ssl.core.errors import HfSslError


def pictures(root: Path, *names: str) -> Path:
    for place, name in enumerate(names):
        file = root / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(place).integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(file)
    return root


def folders(root: Path, *names: str, count: int = 8) -> Path:
    return pictures(
        root, *(f"{name}/{name.replace('/', '')}{n * 7919 % 1000}" for name in names for n in range(count))
    )


def told(source: Path, **options: object) -> str:
    options = {"modality": "image", "near_duplicates": False, **options}
    try:
        return "\n".join(hf_ssl.load_data(source, verbose=False, **options).report["warnings"])
    except HfSslError as error:
        return str(error)


@pytest.mark.parametrize(
    ("names", "split_names"),
    [
        (("Training", "Validierung", "Test"), ["test", "training", "Validierung=validation"]),
        (("entrenamiento", "prueba"), ["entrenamiento=train", "prueba=test"]),
        (("apprentissage", "validation", "essai"), ["validation", "apprentissage=train", "essai=test"]),
        (("train", "testA"), ["train", "testA=test"]), (("обучение", "тест"), ["обучение=train", "тест=test"]),
    ],
)  # fmt: skip
def test_folders_of_splits_in_other_languages_are_asked_about_and_the_answer_works(names, split_names, tmp_path):
    source = folders(tmp_path / "data", *(f"{name}/{kind}" for name in names for kind in ("hund", "katze")))
    said = told(source)
    assert "say the split" in said and f"split_names={split_names}" in said
    data = hf_ssl.load_data(source, modality="image", split_names=split_names, verbose=False, near_duplicates=False)
    assert data["train"].features["label"].names == ["hund", "katze"] and data.num_rows["test"] == 16
    tables = tmp_path / "tables"
    for place, name in enumerate(names):
        table(tables / f"{name}.csv", "text,label", [f"{text(40 * place + n)},{'ab'[n % 2]}" for n in range(30)])
    said = told(tables, modality="text")
    if name.isascii() and "testA" not in names:
        assert f"split_names={split_names}" in said
    data = hf_ssl.load_data(tables, split_names=split_names, verbose=False, near_duplicates=False)
    assert data.num_rows["test"] == 30


def test_two_domains_are_another_question(tmp_path):
    assert "domains, cameras or folds" in told(folders(tmp_path, "trainA", "trainB", "testA", "testB"))


@pytest.mark.parametrize(
    "names",
    [
        ("cat_old", "cat_new", "dog"),
        ("cat", "cat_v2", "dog"),
        ("cat 2019", "cat 2020", "dog"),
        ("Cat", "cat_final", "dog"),
    ],
)
def test_one_class_in_two_states_is_told(names, tmp_path):
    source = folders(tmp_path, *names)
    assert "old, new or v2" in told(source)
    assert "old, new or v2" not in told(source, folder_labels=True)


@pytest.mark.parametrize("name", ["misc", "all", "new", "todo", "alle", "inbox"])
def test_a_pile_beside_classes_is_told(name, tmp_path):
    source = folders(tmp_path, "cat", "dog", name)
    assert f"ignore_folders=['{name}'] leaves it out" in told(source)
    assert hf_ssl.load_data(source, modality="image", ignore_folders=[name], verbose=False)["train"].features[
        "label"
    ].names == ["cat", "dog"]


@pytest.mark.parametrize(
    "names",
    [
        ("old town", "new town", "harbor"),
        ("cat", "dog", "v2x"),
        ("phase_1", "phase_2", "phase_3"),
        ("older", "newer", "none"),
    ],
)
def test_classes_that_are_called_a_little_so_stay_quiet(names, tmp_path):
    said = told(folders(tmp_path, *names))
    assert "old, new or v2" not in said and "to be sorted" not in said


@pytest.mark.parametrize("form", ["{n:04d}_{word}", "img{n:04d}-{word}", "2024 03 {n:02d} {word}"])
def test_labels_at_the_end_of_names_are_told_and_taken_by_the_option(form, tmp_path):
    source = pictures(tmp_path, *(form.format(n=n, word=("normal", "defect")[n % 2]) for n in range(24)))
    said = told(source)
    assert "names of files" in said and "label_column='file_class'" in said
    data = hf_ssl.load_data(source, modality="image", label_column="file_class", verbose=False)
    assert data["train"].features["label"].names == ["defect", "normal"]


@pytest.mark.parametrize("words", [("left", "right"), ("front", "back"), ("crop", "mask"), ("train", "test")])
def test_ends_that_say_how_a_picture_was_taken_are_no_labels(words, tmp_path):
    source = pictures(tmp_path, *(f"{n:04d}_{words[n % 2]}" for n in range(24)))
    assert "file_class" not in told(source)


@pytest.mark.parametrize("form", ["P{k:02d}_{n}", "visit{n}_s{k:02d}_end", "{n}_cam{k}_x"])
def test_people_and_cameras_at_any_place_of_a_name_are_told(form, tmp_path):
    source = pictures(tmp_path, *(f"{('cat', 'dog')[n % 2]}/{form.format(n=n + 100, k=n % 5)}" for n in range(30)))
    assert "group_column='prefix'" in told(source)
    data = hf_ssl.load_data(source, modality="image", group_column="prefix", verbose=False)
    assert len(set(data["train"]["group"])) < 5 and "prefix" in data.report["columns"]["group"]


def test_names_are_found_whatever_the_way_their_accents_are_written(tmp_path):
    pictures(tmp_path, *(unicodedata.normalize("NFD", f"Müll{n}") for n in range(12)))
    table(tmp_path / "labels.csv", "path,label", [f"Müll{n}.png,{'ab'[n % 2]}" for n in range(12)])
    data = hf_ssl.load_data(tmp_path, modality="image", verbose=False)
    assert data.report["accounts"]["rows"]["used"] == 12
    assert re.search(r"12 paths were found", "\n".join(data.report["warnings"]))
