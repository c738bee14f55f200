"""Folders above files and tables: classes, groups, and the columns that they hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from follow import hints

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.data.domain import DomainData

WORDS = "red tree house river stone cloud lamp bread chair window paper glass".split()


def text_of(number: int) -> str:
    return " ".join(WORDS[(number * step + step) % len(WORDS)] for step in range(1, 8)) + f" {number}"


def files_in(
    folder: Path, patients: int = 8, each: int = 3, order: str = "{patient}/{kind}", called: str = "p{:02}"
) -> Path:
    number = 0
    for patient in range(patients):
        for kind in ("benign", "malignant"):
            place = folder / order.format(patient=called.format(patient), kind=kind)
            place.mkdir(parents=True)
            for _ in range(each):
                (place / f"{number}.txt").write_text(text_of(number))
                number += 1
    return folder


def groups_of(data: DomainData) -> list[set[str]]:
    return [set(data[split]["group"]) for split in ("train", "validation", "test")]


def classes_of(data: DomainData) -> set[str]:
    return set(data.report["label_names"])


@pytest.mark.parametrize(
    ("order", "options"),
    [
        ("{patient}/{kind}", {"folder_level": "last", "group_level": "first"}),
        ("{patient}/{kind}", {"folder_level": "last", "group_level": "1"}),
        ("{kind}/{patient}", {"folder_level": "first", "group_level": "last"}),
        ("{kind}/{patient}", {"folder_level": "first", "group_level": 2}),
        ("patient={patient}/label={kind}", {"group_level": "first"}),
    ],
)
def test_a_folder_is_the_group(tmp_path: Path, order: str, options: dict[str, object]) -> None:
    data = load_data(str(files_in(tmp_path, order=order)), **options, verbose=False)
    train, validation, test = groups_of(data)
    assert classes_of(data) == {"benign", "malignant"}
    assert train and validation and test and not train & validation | train & test | validation & test
    assert not data.report["warnings"]


@pytest.mark.parametrize(("order", "level"), [("{patient}/{kind}", "last"), ("{kind}/{patient}", "first")])
def test_folders_of_patients_are_asked_about(tmp_path: Path, order: str, level: str) -> None:
    source = str(files_in(tmp_path, order=order))
    with pytest.raises(DataError, match="group_level="):
        load_data(source, folder_level=level, verbose=False)
    assert not load_data(source, folder_level=level, group_level="file", verbose=False).report["warnings"]


def test_folders_of_anything_else_are_told(tmp_path: Path) -> None:
    data = load_data(
        str(files_in(tmp_path, order="{kind}/{patient}", called="batch of may {}")),
        folder_level="first",
        verbose=False,
    )
    assert any("group_level='last'" in text for text in data.report["warnings"])


def test_one_folder_per_file_is_no_group(tmp_path: Path) -> None:
    data = load_data(str(files_in(tmp_path, 20, 1, order="{kind}/{kind}{patient}", called="a{}")), verbose=False)
    assert classes_of(data) == {"benign", "malignant"} and not data.report["warnings"]


@pytest.mark.parametrize(
    "options",
    [{"group_level": "last"}, {"group_level": "7"}, {"group_level": "middle"}, {"group_column": "folder"}, {"group_column": "patient"},
     {"group_column": "patient", "group_level": "first"}],
    ids=str,
)  # fmt: skip
def test_levels_that_cannot_be_are_refused_and_no_label_is_lost(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(DataError, match="group_level"):
        load_data(str(files_in(tmp_path)), folder_level="last", **options, verbose=False)


def table(rows: range, **more: object) -> pd.DataFrame:
    return pd.DataFrame({"text": [text_of(row) for row in rows], **more})


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_folders_of_partitions_are_columns(tmp_path: Path, kind: str) -> None:
    for place, name in enumerate(("pos", "neg", "so%20so")):
        folder = tmp_path / f"label={name}"
        folder.mkdir()
        frame = table(range(place * 20, place * 20 + 20))
        if kind == "csv":
            frame.to_csv(folder / "part-0.csv", index=False)
        elif kind == "parquet":
            frame.to_parquet(folder / "part-0.parquet")
        else:
            frame.to_json(folder / "part-0.jsonl", orient="records", lines=True)
    for source in (str(tmp_path), str(tmp_path / "*" / f"*.{kind}")):
        data = load_data(source, verbose=False)
        assert classes_of(data) == {"pos", "neg", "so so"} and not data.report["warnings"]
    assert load_data(str(tmp_path), folder_labels=False, verbose=False).label_kind is None


def test_partitions_say_splits_and_missing_values_and_may_not_contradict(tmp_path: Path) -> None:
    for place, name in enumerate(("split=train/label=a", "split=train/label=b", "split=test/label=a", "split=test/label=b",
                                  "split=train/label=__HIVE_DEFAULT_PARTITION__")):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
        table(range(place * 20, place * 20 + 20)).to_csv(tmp_path / name / "part.csv", index=False)
    data = load_data(str(tmp_path), verbose=False)
    assert (
        classes_of(data) == {"a", "b"}
        and len(data["test"]) == 40
        and len(data["train"]) + len(data["validation"]) == 40
    )
    table(range(200, 220), label="b").to_csv(tmp_path / "split=train/label=a/more.csv", index=False)
    with pytest.raises(DataError, match="folder_labels=False"):
        load_data(str(tmp_path), verbose=False)


@pytest.mark.parametrize(
    "called",
    [
        "cam{}_{:04}",
        "P{:03}-{}",
        "scan_patient{}_{}",
        "spk{:02} take {}",
        "video{:02}_frame{:04}",
        "clip{:02}-{:04}",
        "TCGA-AA-{:04}_{}_512",
    ],
)
def test_what_names_of_files_say_may_be_groups(tmp_path: Path, called: str) -> None:
    for number in range(24):
        place = tmp_path / ("benign", "malignant")[number % 2]
        place.mkdir(exist_ok=True)
        (place / (called.format(number % 8 // 2, number) + ".txt")).write_text(text_of(number))
    told = next(text for text in load_data(tmp_path, verbose=False).report["warnings"] if "names of files" in text)
    group, independent = hints(told)
    data = load_data(tmp_path, verbose=False, **group)
    groups = groups_of(data)
    assert len(set.union(*groups)) == 4 and sum(map(len, groups)) == 4
    assert told not in load_data(tmp_path, verbose=False, **independent).report["warnings"]


@pytest.mark.parametrize("begins", ["thumb_", "Copy of ", "aug_3_", "Kopie von "])
def test_names_that_begin_as_those_of_copies_may_be_groups(begins: str, tmp_path: Path) -> None:
    for number in range(40):
        place = tmp_path / ("benign", "malignant")[number // 2 % 2]
        place.mkdir(exist_ok=True)
        (place / f"{begins if number % 2 else ''}{100 + number // 2}.txt").write_text(text_of(number))
    told = next(text for text in load_data(tmp_path, verbose=False).report["warnings"] if "names of files" in text)
    groups = groups_of(load_data(tmp_path, verbose=False, **next(iter(hints(told)))))
    assert len(set.union(*groups)) == 20 and sum(map(len, groups)) == 20


@pytest.mark.parametrize(
    "ends", [("_left", "_right"), ("", "_flip"), ("", "_aug1"), ("_L", "_R"), ("", " (1)"), ("", "_rot15"), ("", "_thumb"),
             ("", "-150x150"), ("", " - Copy"), ("", " - Kopie (2)"), ("", "@2x"), ("", "_lowres"), ("", "_gradcam")],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "augmented"])
def test_two_of_a_kind_and_copies_in_names_of_files_may_be_groups(
    tmp_path: Path, ends: tuple[str, str], folder: str
) -> None:
    for number in range(40):
        place = tmp_path / ("benign", "malignant")[number // 2 % 2] / (folder if number % 2 else "")
        place.mkdir(exist_ok=True, parents=True)
        (place / f"{100 + number // 2}{ends[number % 2]}.txt").write_text(text_of(number))
    told = next(text for text in load_data(tmp_path, verbose=False).report["warnings"] if "names of files" in text)
    groups = groups_of(load_data(tmp_path, verbose=False, **next(iter(hints(told)))))
    assert len(set.union(*groups)) == 20 and sum(map(len, groups)) == 20


@pytest.mark.parametrize(
    "called",
    [
        "{kind}_{number}",
        "{kind}.{number}",
        "IMG_{number:04}",
        "{number}",
        "s_{kind}{number}",
        "video{number}",
        "s{half:02}",
        "2023-01-{number:02}_12-30",
        "{number}_copy",
        "scan{number}_left",
        "IMG_2023_{number:02}_05",
    ],
)
def test_ordinary_names_of_files_are_no_groups(tmp_path: Path, called: str) -> None:
    for number in range(24):
        kind = ("benign", "malignant")[number % 2]
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / (called.format(kind=kind, number=number, half=number // 2) + ".txt")).write_text(
            text_of(number)
        )
    data = load_data(tmp_path, verbose=False)
    assert not any("names of files" in text for text in data.report["warnings"])
