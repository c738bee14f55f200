"""What a table or a folder holds beside its rows: sums below, annotations beside, tags inside, paths from other machines."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pil = pytest.importorskip("PIL.Image")

from hf_ssl import load_data  # noqa: E402
from hf_ssl.core.errors import DataError  # noqa: E402

QUIET: dict[str, Any] = {"verbose": False}


def text(number: int) -> str:
    rng = random.Random(number)
    return " ".join(rng.choice("abcdefghijklmnop") * 3 for _ in range(12)) + f" n{number}"


def pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng(number).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        pil.fromarray(array).save(file)


@pytest.mark.parametrize(
    "footer",
    [["Total,"], ["Total,", "Average length,12"], ["Summe,40"], ["Mean,0.5", "Std,0.1", "Max,1"], ["Gesamt: 40,"]],
)
def test_sums_below_a_table_are_told_and_left_out_when_that_is_said(tmp_path: Path, footer: list[str]) -> None:
    rows = [f"{text(number)},{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows, *footer]) + "\n")
    told = load_data(str(tmp_path / "a.csv"), **QUIET).report["warnings"]
    assert any(f"{{'skipfooter': {len(footer)}}}" in warning for warning in told)
    data = load_data(str(tmp_path / "a.csv"), csv_options={"skipfooter": len(footer)}, **QUIET)
    assert (
        data.label_names == ["a", "b"]
        and data.report["accounts"]["rows"]["found"] == 40
        and not data.report["warnings"]
    )


@pytest.mark.parametrize("last", ["Totally broken,a", "Minutes of the meeting were long. Nobody came.,b", "total,a"])
def test_texts_that_begin_like_sums_are_texts(tmp_path: Path, last: str) -> None:
    rows = [f"{text(number)},{'ab'[number % 2]}" for number in range(40)]
    rows[3] = f"total,{'ab'[3 % 2]}" if last.startswith("total") else rows[3]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows, last]) + "\n")
    assert not any(
        "skipfooter" in warning for warning in load_data(str(tmp_path / "a.csv"), **QUIET).report["warnings"]
    )


def test_a_class_of_a_single_row_is_named() -> None:
    rows = [{"text": text(number), "label": "odd one" if number == 3 else "ab"[number % 2]} for number in range(40)]
    assert any("odd one" in warning for warning in load_data(rows, **QUIET).report["warnings"])


@pytest.mark.parametrize("shape", ["{}/{}", "{}_{}", "{}|{}"])
@pytest.mark.parametrize("tags", [("NN", "VBD", "DT"), ("B-PER", "I-PER", "O")])
def test_a_tag_behind_each_word_is_told(shape: str, tags: tuple[str, ...]) -> None:
    lines = [
        " ".join(shape.format(word, tags[place % 3]) for place, word in enumerate(text(number).split()))
        for number in range(30)
    ]
    assert any(".conll" in warning for warning in load_data(lines, **QUIET).report["warnings"])


@pytest.mark.parametrize(
    "line",
    [
        "and/or he/she TCP/IP either/or yes/no",
        "a_b c_d e_f g_h",
        "http://x.org/A http://y.org/B see also",
        "3/4 cup AC/DC fan",
    ],
)
def test_marks_inside_words_are_no_tags(line: str) -> None:
    assert not any(
        ".conll" in w for w in load_data([f"{line} {number}" for number in range(30)], **QUIET).report["warnings"]
    )


@pytest.mark.parametrize(
    ("written", "there"),
    [("C:\\data\\img\\{}.PNG", "img/{}.png"), ("img\\{}.PNG", "img/{}.png"), ("/home/me/photos/{}.Jpeg.png", "img/{}.jpeg.png"),
     ("D:\\a\\left\\{}.png", "left/{}.png"), ("IMG/{}.png", "img/{}.png")],
)  # fmt: skip
def test_paths_from_another_machine_are_found_and_told(tmp_path: Path, written: str, there: str) -> None:
    names = [there.format(number) for number in range(24)]
    pictures(tmp_path, names)
    lines = [f"{written.format(number)},{'ab'[number % 2]}" for number in range(24)]
    (tmp_path / "labels.csv").write_text("\n".join(["File,Class", *lines]) + "\n")
    data = load_data(str(tmp_path), modality="image", **QUIET)
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 24
    assert any("by their file's name" in warning for warning in data.report["warnings"])


def test_of_files_with_one_name_the_folders_decide(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{side}/{number}.png" for side in ("left", "right") for number in range(12)])
    lines = [f"C:\\scans\\{side.title()}\\{number}.PNG,{side}" for side in ("left", "right") for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    data = load_data(str(tmp_path), modality="image", **QUIET)
    rows = [row for split in ("train", "validation", "test") for row in data[split]]
    names = data["train"].features["label"].names
    assert len(rows) == 24 and all(names[row["label"]] in row["image"]["path"] for row in rows)


def test_a_missing_file_is_not_another_one_of_its_name(tmp_path: Path) -> None:
    pictures(
        tmp_path,
        [
            f"{side}/{number}.png"
            for side in ("left", "right")
            for number in range(20)
            if (side, number) != ("left", 7)
        ],
    )
    lines = [f"left/{number}.png,{'ab'[number % 2]}" for number in range(20)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    data = load_data(str(tmp_path), modality="image", max_left_out=0.6, **QUIET)
    assert data.report["accounts"]["rows"]["used"] == 19


def test_missing_files_are_counted_and_called_files(tmp_path: Path) -> None:
    pictures(tmp_path, ["img/0.png", "img/1.png"])
    lines = [f"img/{number}.png,{'ab'[number % 2]}" for number in range(24)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    with pytest.raises(DataError) as caught:
        load_data(str(tmp_path), modality="image", **QUIET)
    assert "22 of 24" in str(caught.value) and "text" not in str(caught.value)


@pytest.mark.parametrize("beside", ["{}.json5", "{}.Table.1.selections.anno", "{}.rttm"])
@pytest.mark.parametrize("count", [3, 12])
def test_annotations_beside_files_stop_until_they_are_given_up(tmp_path: Path, beside: str, count: int) -> None:
    pictures(tmp_path, [f"{number}.png" for number in range(count)])
    for number in range(count):
        (tmp_path / beside.format(number)).write_text("1 2 3")
    with pytest.raises(DataError, match="max_left_out=0.5"):
        load_data(str(tmp_path), modality="image", **QUIET)
    assert len(load_data(str(tmp_path), modality="image", max_left_out=0.5, **QUIET)["unlabeled"]) == count


@pytest.mark.parametrize("options", [{}, {"input_column": "Word"}])
def test_a_table_of_words_names_the_option_that_reads_it(tmp_path: Path, options: dict[str, str]) -> None:
    lines = ["Sentence #,Word,POS,Tag"]
    for number in range(20):
        lines += [
            f"{f'Sentence: {number}' if place == 0 else ''},{word},NN,{'O' if place else 'B-per'}"
            for place, word in enumerate(text(number).split())
        ]
    (tmp_path / "ner.csv").write_text("\n".join(lines) + "\n")
    if not options:
        with pytest.raises(DataError, match="sentence_column='Sentence #'"):
            load_data(str(tmp_path / "ner.csv"), **QUIET)
    data = load_data(str(tmp_path / "ner.csv"), label_kind="tags", sentence_column="Sentence #", **QUIET)
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 20


def texts_in(folder: Path, name: str, count: int, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{name}{number}.txt").write_text(f"{name} {text(first + number)}")


def test_reasons_are_added_up(tmp_path: Path) -> None:
    """Two reasons of 8 percent each are more than a tenth."""
    for kind in ("pos", "neg"):
        texts_in(tmp_path / kind, kind, 20)
    for number in range(4):
        (tmp_path / "pos" / f"x{number}.docx").write_bytes(b"PK\3\4" + bytes(40))
    told = load_data(str(tmp_path), **QUIET)
    assert any(
        "4 of 44 files" in text and ".docx" in text for text in told.report["warnings"]
    )  # examples, and no papers
    for number in range(4):
        (tmp_path / "neg" / f"z{number}.txt").write_bytes(b"")
    with pytest.raises(DataError, match=r"max_left_out=0\.17"):
        load_data(str(tmp_path), **QUIET)
    assert len(load_data(str(tmp_path), max_left_out=0.17, **QUIET)["train"]) == 28


def test_papers_in_class_folders_are_no_examples(tmp_path: Path) -> None:
    for kind in ("pos", "neg"):
        texts_in(tmp_path / kind, kind, 20)
    (tmp_path / "pos" / "README.md").write_text("What these texts are about.")
    data = load_data(str(tmp_path), **QUIET)
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 40
    assert data.report["accounts"]["files"]["left_out"] == {"documents about the data (.md)": 1}
    readmes = tmp_path / "readmes"
    for number in range(20):
        texts_in(readmes / "ab"[number % 2] / f"project{number}", "README", 1, number)
    assert len(load_data(str(readmes), folder_labels=False, **QUIET)["unlabeled"]) == 20


def test_a_class_of_links_that_lead_out_is_not_lost(tmp_path: Path) -> None:
    texts_in(tmp_path / "out", "neg", 12)
    texts_in(tmp_path / "data" / "pos", "pos", 12)
    (tmp_path / "data" / "neg").mkdir()
    for file in (tmp_path / "out").iterdir():
        (tmp_path / "data" / "neg" / file.name).symlink_to(file)
    with pytest.raises(DataError, match="follow_links=True.*ignore_folders=.'neg'."):
        load_data(str(tmp_path / "data"), max_left_out=0.5, **QUIET)
    assert load_data(str(tmp_path / "data"), follow_links=True, **QUIET).label_names == ["neg", "pos"]
    alone = load_data(str(tmp_path / "data"), ignore_folders=["neg"], **QUIET)
    assert len(alone["unlabeled"]) == 12 and alone.report["accounts"]["files"]["left_out"] == {
        "in folders that ignore_folders names": 12
    }


def test_the_same_share_in_two_parts_is_no_larger_share(tmp_path: Path) -> None:
    """Six percent of train and six of test are six percent, and not twelve."""
    for split, first in (("train", 0), ("test", 100)):
        rows = [f"{'' if n % 100 < 6 else text(n)},{'ab'[n % 2]}" for n in range(first, first + 100)]
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
        for kind in "ab":
            texts_in(tmp_path / "files" / split / kind, kind, 47, first + 50 * (kind == "a"))
        for n in range(6):
            (tmp_path / "files" / split / "a" / f"e{n}.txt").write_bytes(b"")
    data = load_data(
        {split: str(tmp_path / f"{split}.csv") for split in ("train", "test")}, validation_fraction=0, **QUIET
    )
    assert (len(data["train"]), len(data["test"])) == (94, 94)
    files = {split: str(tmp_path / "files" / split) for split in ("train", "test")}
    assert len(load_data(files["train"], test=files["test"], validation_fraction=0, **QUIET)["test"]) == 94
