"""Folders around classes, folders that are no classes, masks among pictures, and files that a table names and that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pil = pytest.importorskip("PIL.Image")

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core import plugins  # noqa: E402
from hf_ssl.core.errors import DataError  # noqa: E402
from hf_ssl.data.domain import DomainData  # noqa: E402
from hf_ssl.stages.build import build_task  # noqa: E402

PICTURES: dict[str, Any] = {"modality": "image", "verbose": False}


def photo(file: Path, number: int, mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    pil.fromarray(pixels).convert(mode).save(file)


def mask(file: Path, number: int, palette: bool = False) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((32, 32), np.uint8)
    pixels[number % 7 : 20, 4:16] = 1 if palette else 255
    picture = pil.fromarray(pixels)
    if palette:
        picture = picture.convert("P")
        picture.putpalette([0, 0, 0, 250, 20, 30] + [0] * 762)
    picture.save(file)


def photos(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        photo(folder / name, number)
    return folder


def texts(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            " ".join(f"{word}{number * 31 % 17}" for word in ("river", "stone", "lamp", "cloud")) + f" {number}"
        )
    return folder


def classes(data: DomainData) -> set[str]:
    return set(data.report["label_names"])


@pytest.mark.parametrize(
    "shape",
    ["images/{kind}/{n}", "my data/v2/{kind}/{n}", "data/{split}/{kind}/{n}", "{split}/images/{kind}/{n}", "slides/breast/{kind}/SOB/{n}",
     "{split}/{split}_pictures/{kind}/{n}"],
)  # fmt: skip
@pytest.mark.parametrize("make", [photos, texts])
def test_a_folder_around_all_classes_is_walked_through(tmp_path: Path, shape: str, make: Any) -> None:
    suffix = ".png" if make is photos else ".txt"
    names = [shape.format(kind=kind, split=split, n=f"{kind}{split}{n}") + suffix
             for kind in ("benign", "malignant") for split in ("train", "test") for n in range(6)]  # fmt: skip
    source = make(tmp_path, list(dict.fromkeys(names)))
    data = load_data(str(source), modality="image" if make is photos else "text", verbose=False)
    assert classes(data) == {"benign", "malignant"} and not data.report["warnings"]


def test_levels_are_counted_below_the_folder_around_all(tmp_path: Path) -> None:
    source = texts(tmp_path, [f"all/p{p:02}/{kind}/x/{n}.txt" for p in range(8) for kind in "ab" for n in range(3)])
    with pytest.raises(DataError, match=r"folder_level=2"):
        load_data(str(source), verbose=False)
    data = load_data(str(source), folder_level=2, group_level=1, verbose=False)
    assert classes(data) == {"a", "b"} and set(data["train"]["group"]).isdisjoint(data["test"]["group"])


@pytest.mark.parametrize("level", ["middle", 0, 9])
def test_levels_that_are_not_there_are_refused(tmp_path: Path, level: Any) -> None:
    source = texts(tmp_path, [f"{kind}/{n}.txt" for kind in "ab" for n in range(6)])
    with pytest.raises(DataError, match="folder_level"):
        load_data(str(source), folder_level=level, verbose=False)


def test_uneven_depth_is_asked_about(tmp_path: Path) -> None:
    source = texts(tmp_path / "twice", [f"{kind}/{n}.txt" for kind in ("ok", "nok", "extra/ok") for n in range(6)])
    with pytest.raises(DataError, match="folder_level='last'"):
        load_data(str(source), verbose=False)
    assert classes(load_data(str(source), folder_level="last", verbose=False)) == {"ok", "nok"}
    deeper = texts(
        tmp_path / "some", [f"{kind}/{n}.txt" for kind in ("ok", "nok/dent", "nok/scratch") for n in range(6)]
    )
    assert any("folder_level='last'" in text for text in load_data(str(deeper), verbose=False).report["warnings"])
    assert classes(load_data(str(deeper), folder_level="last", verbose=False)) == {"ok", "dent", "scratch"}


def test_files_in_no_class_are_counted(tmp_path: Path) -> None:
    source = texts(tmp_path, [f"{kind}/{n}.txt" for kind in ("ok", "nok") for n in range(6)] + ["a.txt", "b.txt"])
    assert any(text.startswith("2 of 14 files") for text in load_data(str(source), verbose=False).report["warnings"])
    assert not load_data(str(source), folder_labels=True, verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "called",
    [
        "patient_0{}",
        "Actor_0{}",
        "Sub_0{}",
        "case-{}",
        "site{}",
        "device_{}",
        "mouse {}",
        "user{}",
        "siteA{}",
        "spk0{}",
    ],
)
def test_folders_of_persons_and_places_are_no_classes_in_silence(tmp_path: Path, called: str) -> None:
    source = str(texts(tmp_path, [f"{called.format(p)}/{n}.txt" for p in range(5) for n in range(4)]))
    with pytest.raises(DataError, match="folder_labels=True"):
        load_data(source, verbose=False)
    assert len(classes(load_data(source, folder_labels=True, verbose=False))) == 5
    grouped = load_data(source, group_level="first", verbose=False)
    assert grouped.label_kind is None and len(set(grouped["unlabeled"]["group"])) == 5


@pytest.mark.parametrize(
    ("names", "told"),
    [(("84", "174"), True), (("2021", "2022"), True), (("P000", "P001"), True), (("batch_1", "batch_2"), True), (("0", "1"), False),
     (("3", "7"), False), (("cat", "dog"), False), (("c1", "c2"), False)],
)  # fmt: skip
def test_names_that_may_be_anything_are_told(tmp_path: Path, names: tuple[str, str], told: bool) -> None:
    source = str(texts(tmp_path, [f"{name}/{n}.txt" for name in names for n in range(6)]))
    assert any("group_level" in text for text in load_data(source, verbose=False).report["warnings"]) == told
    assert not load_data(source, folder_labels=True, verbose=False).report["warnings"]


@pytest.mark.parametrize(
    ("picture", "answer"),
    [("CXR_png/{}.png", "masks/{}_mask.png"), ("leftImg8bit/train/ulm/ulm_{}_leftImg8bit.png", "gtFine/train/ulm/ulm_{}_gtFine_labelIds.png"),
     ("original/{}.jpg", "groundtruth/{}.png"), ("tiles/{}.png", "landcover/{}.png"), ("701_Raw/{}.png", "Approved/{}_L.png"),
     ("train/images/{}_training.png", "train/1st_manual/{}_manual1.png"), ("bottle/test/broken/{}.png", "bottle/ground_truth/broken/{}_mask.png")],
)  # fmt: skip
@pytest.mark.parametrize("palette", [False, True])
def test_a_tree_of_masks_is_no_class(tmp_path: Path, picture: str, answer: str, palette: bool) -> None:
    for number in range(8):
        photo(tmp_path / picture.format(f"00{number}"), number)
        mask(tmp_path / answer.format(f"00{number}"), number, palette)
    with pytest.raises(DataError, match="masks"):
        load_data(str(tmp_path), **PICTURES)
    told = load_data(str(tmp_path), folder_labels=False, **PICTURES).report["warnings"]
    assert any(text.startswith("8 of 16 pictures") for text in told)


@pytest.mark.parametrize(
    ("picture", "answer"),
    [("{}_sat.jpg", "{}_mask.png"), ("img_{}.png", "mask_{}.png"), ("{}.jpg", "{}.png"), ("{}_raw.png", "{}_label.png"),
     ("case_{}_image.png", "case_{}_seg.png"), ("p{}/image.png", "p{}/mask.png")],
)  # fmt: skip
def test_masks_beside_pictures_are_told(tmp_path: Path, picture: str, answer: str) -> None:
    for number in range(8):
        photo(tmp_path / picture.format(number), number)
        mask(tmp_path / answer.format(number), number)
    told = load_data(str(tmp_path), folder_labels=False, **PICTURES).report["warnings"]
    assert any(text.startswith("8 of 16 pictures") and "label_column" in text for text in told)


def test_pictures_of_two_classes_with_the_same_numbers_are_classes(tmp_path: Path) -> None:
    for number in range(8):
        photo(tmp_path / f"photos/left/{number}.png", number)
        photo(tmp_path / f"photos/right/{number}.png", number + 100, "L")
        mask(tmp_path / f"digits/one/{number}.png", number)
        mask(tmp_path / f"digits/two/{number}.png", number + 3)
    assert classes(load_data(str(tmp_path / "photos"), **PICTURES)) == {"left", "right"}
    assert classes(load_data(str(tmp_path / "digits"), **PICTURES, dedup=False, leakage="allow")) == {"one", "two"}


def test_files_that_are_missing_are_one_reason_under_one_limit(tmp_path: Path) -> None:
    photos(tmp_path, [f"img/{number}.png" for number in range(28)])
    lines = [f"img/{number}.png,{'ab'[number % 2]}" for number in range(36)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    with pytest.raises(DataError, match=r"8 of 36 .*max_left_out=0\.23"):
        load_data(str(tmp_path), **PICTURES)
    data = load_data(str(tmp_path), max_left_out=0.23, **PICTURES)
    assert data.report["accounts"]["rows"]["left_out"] == {"no such file": 8}
    assert (
        sum("no such file" in text for text in data.report["warnings"]) == 1
        and str(tmp_path) not in data.report_text()
    )


def test_two_kinds_of_missing_rows_are_added_up(tmp_path: Path) -> None:
    photos(tmp_path, [f"img/{number}.png" for number in range(40)])
    for number in range(3):
        (tmp_path / f"img/{number}.png").write_bytes(b"no picture")
    lines = [f"img/{number}.png,{'ab'[number % 2]}" for number in range(43)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    with pytest.raises(DataError, match=r"14%"):
        load_data(str(tmp_path), **PICTURES)


def test_few_files_of_an_unknown_kind_count_for_the_limit_too(tmp_path: Path) -> None:
    photos(tmp_path, [f"{kind}/{number}.png" for kind in "ab" for number in range(8)])
    for name in ("classes.txt", "list.txt", "sizes.txt"):
        (tmp_path / name).write_text("1 2\n")
    with pytest.raises(DataError, match="max_left_out=0.16"):
        load_data(str(tmp_path), **PICTURES)


def test_files_that_a_sheet_does_not_name_are_counted(tmp_path: Path) -> None:
    photos(tmp_path / "p", [f"{kind}/{number}.png" for kind in "ab" for number in range(10)])
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "".join(f"a/{number}.png,{'xy'[number % 2]}\n" for number in range(10))
    )
    data = load_data(str(tmp_path / "p"), labels_file=str(tmp_path / "labels.csv"), **PICTURES)
    assert any("10 of 20 files" in text for text in data.report["warnings"])


def test_transparent_pictures_are_told_until_the_background_is_said(tmp_path: Path) -> None:
    for number in range(12):
        photo(tmp_path / f"{'ab'[number % 2]}/{number}.png", number)
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 4), dtype=np.uint8)
        pil.fromarray(pixels).save(tmp_path / f"{'ab'[number % 2]}/{number}.png")
    assert any("background=0" in text for text in load_data(str(tmp_path), **PICTURES).report["warnings"])
    assert not load_data(str(tmp_path), background=0, **PICTURES).report["warnings"]


def test_masks_that_number_objects_are_told(tmp_path: Path) -> None:
    lines = ["image,mask"]
    for number in range(8):
        photo(tmp_path / f"i/{number}.png", number)
        pixels = np.zeros((32, 32), np.uint8)
        for place in range(3 + number):
            pixels[place * 3 : place * 3 + 2] = place + 1
        (tmp_path / "m").mkdir(exist_ok=True)
        pil.fromarray(pixels).save(tmp_path / f"m/{number}.png")
        lines.append(f"i/{number}.png,m/{number}.png")
    (tmp_path / "t.csv").write_text("\n".join([*lines, ""]))
    told = load_data(str(tmp_path), label_column="mask", **PICTURES).report["warnings"]
    assert any("numbers of objects" in text for text in told)


def test_a_name_that_two_files_have_is_not_called_missing(tmp_path: Path) -> None:
    photos(tmp_path, [f"{day}/{number}.png" for day in ("mon", "tue") for number in range(12)])
    (tmp_path / "t.csv").write_text(
        "image,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(12))
    )
    with pytest.raises(DataError, match=r"mon/0\.png and tue/0\.png"):
        load_data(str(tmp_path), **PICTURES)


def test_a_label_column_called_folder_leads_to_the_level(tmp_path: Path) -> None:
    source = texts(tmp_path, [f"{n}.txt" for n in range(12)])
    with pytest.raises(DataError, match="folder_level="):
        load_data(str(source), label_column="folder", verbose=False)


def test_finetune_on_files_without_labels_names_what_works(tmp_path: Path) -> None:
    source = texts(tmp_path, [f"{n}.txt" for n in range(12)])
    data = load_data(str(source), verbose=False)
    modality = plugins.find("modalities", "text")()
    with pytest.raises(DataError, match="--folder_level"):
        build_task(None, {}, modality, data)
    table = load_data([{"text": f"row {n} of many"} for n in range(12)], verbose=False)
    with pytest.raises(DataError, match="Give --label_column"):
        build_task(None, {}, modality, table)
