"""A class per file, pictures whose annotation is no class, and tables that contradict folders: told, with an option that works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from follow import hints

pytest.importorskip("PIL.Image")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core.errors import DataError  # noqa: E402
from hf_ssl.data.domain import DomainData  # noqa: E402

WORDS = ("river", "stone", "lamp", "cloud", "violin", "harbor", "ticket", "rabbit", "orbit", "temple", "pencil")


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * (place + 3) + place) % 11] for place in range(9)) + f" n{number}."


def as_csv(texts: list[str]) -> str:
    return "message\n" + "".join(f"{text}\n" for text in texts)


def as_jsonl(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def written(folder: Path, names: list[str], form: Callable[[list[str]], str]) -> Path:
    for place, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(form([sentence(100 * place + number) for number in range(24)]))
    return folder


def load(source: object, **options: Any) -> DomainData:
    return load_data(source, verbose=False, **options)


def told(data: DomainData, words: str) -> list[str]:
    return [text for text in data.report["warnings"] if words in text]


@pytest.mark.parametrize(
    ("names", "form", "classes"),
    [
        (["ham.csv", "spam.csv"], as_csv, ["ham", "spam"]),
        (["pos.jsonl", "neg.jsonl"], as_jsonl, ["neg", "pos"]),
        (["True.csv", "Fake.csv"], as_csv, ["Fake", "True"]),
        (["pos_1.csv", "pos_2.csv", "neg_1.csv"], as_csv, ["neg", "pos"]),
        (["sports/all.csv", "politics/all.csv", "tech/all.csv"], as_csv, ["politics", "sports", "tech"]),
        (["train/pos.csv", "train/neg.csv", "test/pos.csv", "test/neg.csv"], as_csv, ["neg", "pos"]),
    ],
)
def test_tables_of_a_class_each_are_told(
    tmp_path: Path, names: list[str], form: Callable[[list[str]], str], classes: list[str]
) -> None:
    written(tmp_path, names, form)
    warning = told(load(tmp_path), "file_class")[0]
    taken, ignored = hints(warning)
    data = load(tmp_path, **taken)
    assert data.report["label_names"] == classes
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 24 * len(names)
    assert not told(load(tmp_path, **ignored), "file_class")
    assert not told(load(tmp_path, folder_labels=False), "file_class")


@pytest.mark.parametrize(
    "names",
    [["part-0.csv", "part-1.csv"], ["data1.csv", "data2.csv"], ["2021.csv", "2022.csv"], ["train.csv", "test.csv"], ["reviews.csv"],
     ["unlabeled/wiki.csv", "unlabeled/books.csv"], ["2021/a.csv", "2021/b1.csv", "2022/a.csv"]],
)  # fmt: skip
def test_other_tables_are_no_classes(tmp_path: Path, names: list[str]) -> None:
    assert not told(load(written(tmp_path, names, as_csv)), "file_class")


def test_tables_with_labels_are_no_classes_unless_that_is_said(tmp_path: Path) -> None:
    written(
        tmp_path,
        ["amazon.csv", "yelp.csv"],
        lambda texts: "text,label\n" + "".join(f"{text},{len(text) % 2}\n" for text in texts),
    )
    assert load(tmp_path).report["warnings"] == []
    assert load(tmp_path, label_column="file_class").report["label_names"] == ["amazon", "yelp"]


def test_texts_of_a_sentence_a_line_in_a_file_per_class(tmp_path: Path) -> None:
    written(tmp_path, ["positive.txt", "negative.txt"], "\n".join)
    assert told(load(tmp_path), "txt='lines'") and told(load(tmp_path, txt="lines"), "label_column='file_class'")
    data = load(tmp_path, txt="lines", label_column="file_class")
    assert data.report["label_names"] == ["negative", "positive"] and len(data["train"]) > 24
    assert not told(load(tmp_path, folder_labels=False), "lines")
    books = written(
        tmp_path / "books", ["hamlet.txt", "emma.txt"], lambda texts: "\n".join(text.rstrip(".") for text in texts)
    )
    assert load(books).report["warnings"] == []


def pictures(
    folder: Path, header: str, line: Callable[[int], str], name: Callable[[int], str] = "{}.png".format
) -> Path:
    for number in range(24):
        file = folder / name(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    lines = [f"{name(number)},{line(number)}" for number in range(24)]
    (folder / "labels.csv").write_text("\n".join([f"image,{header}", *lines]) + "\n")
    return folder


@pytest.mark.parametrize(
    ("header", "line", "column"),
    [
        ("xmin,ymin,xmax,ymax", "1,2,9,{}", "xmin"),
        ("x1,y1,x2,y2", "1,2,9,{}", "x1"),
        ("bbox", '"[1,2,9,{}]"', "bbox"),
        ("EncodedPixels", "1 {} 7 2", "EncodedPixels"),
        ("region_attributes", '"{{""class"": ""cat{}""}}"', "region_attributes"),
    ],
)
def test_boxes_and_outlines_are_told(tmp_path: Path, header: str, line: str, column: str) -> None:
    without = pictures(tmp_path / "a", header, lambda n: line.format(n + 1))
    with pytest.raises(DataError, match="ignore_columns=") as error:
        load(without, modality="image")
    columns = header.split(",")
    assert column in str(error.value)
    assert load(without, modality="image", ignore_columns=columns).report["rows"] == {"unlabeled": 24}
    labeled = pictures(tmp_path / "b", f"{header},label", lambda n: f"{line.format(n + 1)},{'ab'[n % 2]}")
    assert told(load(labeled, modality="image"), "whole picture")
    assert not load(labeled, modality="image", ignore_columns=columns).report["warnings"]


def test_the_only_column_of_numbers_beside_pictures_is_told_and_numbers_of_rows_are_not(tmp_path: Path) -> None:
    aged = pictures(tmp_path / "a", "age", lambda n: str(20 + n))
    assert told(load(aged, modality="image"), "label_kind='regression'")
    assert load(aged, modality="image", label_column="age", label_kind="regression").label_kind == "regression"
    assert not load(aged, modality="image", ignore_columns=["age"]).report["warnings"]
    for header in ("number", "image_id", "n", "width"):
        numbered = pictures(tmp_path / header, header, str)
        assert not told(load(numbered, modality="image"), "regression")


def test_a_table_that_contradicts_folders_of_classes_is_told(tmp_path: Path) -> None:
    def folder(number: int) -> str:
        return f"{('cat', 'dog')[number % 2]}/{number}.png"

    wrong = pictures(tmp_path / "a", "label", lambda n: ("cat", "dog")[(n + (n < 4)) % 2], folder)
    assert "4 of 24" in told(load(wrong, modality="image"), "another class")[0]
    assert not load(wrong, modality="image", label_column="label").report["warnings"]
    sheet = (tmp_path / "a/labels.csv").rename(tmp_path / "labels.csv")
    assert told(load(tmp_path / "a", modality="image", labels_file=sheet), "4 of 24")
    right = pictures(tmp_path / "b", "label", lambda n: ("Cat", "Dog")[n % 2], folder)
    other = pictures(tmp_path / "c", "label", lambda n: ("old", "new")[n % 3 % 2], folder)
    assert not told(load(right, modality="image"), "another class") and not told(
        load(other, modality="image"), "another class"
    )


@pytest.mark.parametrize("name", ["{}_left.png", "{}_R.png", "P{:03}_x.png", "video{:02}_7.png"])
def test_what_names_in_a_table_say_may_be_groups(tmp_path: Path, name: str) -> None:
    def called(number: int) -> str:
        first = name.format(100 + number // 2)
        return (
            first
            if number % 2
            else first.replace("left", "right").replace("_R", "_L").replace("_x", "_y").replace("_7", "_8")
        )

    folder = pictures(tmp_path, "label", lambda n: "ab"[n // 3 % 2], called)
    warning = told(load(folder, modality="image"), "names of files")[0]
    group, independent = hints(warning)
    assert load(folder, modality="image", **group).report["columns"]["group"] == "prefix"
    assert not load(folder, modality="image", **independent).report["warnings"]


def test_a_label_beside_a_box_is_offered_first(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "annotation.label,annotation.bbox", lambda n: f"{'ab'[n % 2]},1 2 {n} 4")
    with pytest.raises(DataError, match="label_column='annotation.label'"):
        load(folder, modality="image")
    assert told(load(folder, modality="image", label_column="annotation.label"), "whole picture")
