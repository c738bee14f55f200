"""Advice that names every way: all columns that may be labels, the table that says most of files, names of several levels."""

from __future__ import annotations

import re
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentences import WORDS, table, text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError

pil = pytest.importorskip("PIL.Image")


def pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        pil.fromarray(pixels).save(folder / name)


def refused(source: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load_data(source, verbose=False, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("columns", "first"),
    [("predicted_label,true_label", "true_label"), ("label_old,label_new", "label_new"), ("sentiment_suggestion,sentiment", "sentiment"),
     ("model_class,human_class", "human_class")],
)  # fmt: skip
def test_every_column_that_may_be_the_label_is_named_the_answer_first(
    tmp_path: Path, columns: str, first: str
) -> None:
    rows = [f"{text(row)},{'ab'[row % 2]},{'ab'[row % 3 % 2]}" for row in range(40)]
    source = table(tmp_path / "data.csv", f"text,{columns}", rows)
    said = refused(source)
    offered = re.findall(r"label_column='(\w+)'", said)
    assert offered[0] == first and sorted(offered) == sorted(columns.split(","))
    assert load_data(source, label_column=first, verbose=False).label_names == ["a", "b"]
    assert set(load_data(source, ignore_columns=columns.split(","), verbose=False)) == {"unlabeled"}


def test_the_sheet_that_names_most_pictures_is_offered(tmp_path: Path) -> None:
    names = [f"Train_{n}" for n in range(24)] + [f"Test_{n}" for n in range(6)]
    pictures(tmp_path / "images", [f"{name}.png" for name in names])
    table(tmp_path / "sample_submission.csv", "image_id,healthy,rust", [f"{name},0.5,0.5" for name in names])
    table(tmp_path / "test.csv", "image_id", names[24:])
    table(
        tmp_path / "train.csv",
        "image_id,healthy,rust",
        [f"{name},{n % 2},{1 - n % 2}" for n, name in enumerate(names[:24])],
    )
    assert "labels_file='FOLDER/train.csv'" in refused(str(tmp_path), modality="image")


def test_of_two_sheets_the_one_with_a_label_is_offered(tmp_path: Path) -> None:
    pictures(tmp_path / "images", [f"{n:03}.png" for n in range(24)])
    table(tmp_path / "meta.csv", "image_id,age", [f"{n:03},{20 + n}" for n in range(24)])
    table(tmp_path / "train_labels.csv", "image_id,label", [f"{n:03},{'ab'[n % 2]}" for n in range(24)])
    assert "labels_file='FOLDER/train_labels.csv'" in refused(str(tmp_path), modality="image")


def test_pictures_beside_a_sheet_of_some_are_read_with_it(tmp_path: Path) -> None:
    pictures(tmp_path, [f"img/{n}.png" for n in range(40)])
    table(tmp_path / "labels.csv", "file,label", [f"img/{n}.png,{('cat', 'dog')[n % 2]}" for n in range(20)])
    data, sheet = re.findall(r"='FOLDER/([^']+)'", refused(str(tmp_path), modality="image"))
    read = load_data(f"{tmp_path}/{data}", labels_file=f"{tmp_path}/{sheet}", modality="image", verbose=False)
    assert read.label_names == ["cat", "dog"] and len(read["unlabeled"]) == 20


def test_two_pictures_a_row_are_told(tmp_path: Path) -> None:
    pictures(tmp_path, [f"img/{n}.png" for n in range(30)])
    rows = [f"img/{n}.png,img/{(n + 1) % 30}.png,{('cat', 'dog')[n % 2]}" for n in range(30)]
    table(tmp_path / "labels.csv", "left,right,label", rows)
    assert re.findall(r"input_column='(\w+)'", refused(str(tmp_path), modality="image")) == ["left", "right"]
    told = load_data(str(tmp_path), modality="image", input_column="left", verbose=False).report["warnings"]
    assert any("ignore_columns=['right']" in one for one in told)
    meant = load_data(str(tmp_path), modality="image", input_column="left", ignore_columns=["right"], verbose=False)
    assert not any("'right'" in one for one in meant.report["warnings"])


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["Price,Close,Close", "Ticker,AAPL,MSFT", "Date,,"], ["Date", "AAPL", "MSFT"]),
        (["Price,Close,High", "Ticker,AAPL,AAPL", "Date,,"], ["Date", "Close", "High"]),
        ([",sales,costs", "store,A,B", "date,,"], ["date", "sales A", "costs B"]),
        (["a,x,x", "b,p,q", "c,1st,2nd", "date,,"], ["date", "p 1st", "q 2nd"]),
    ],
)
def test_names_of_several_levels(tmp_path: Path, lines: list[str], names: list[str]) -> None:
    days = np.datetime64("2023-01-01") + np.arange(120)
    rows = [f"{day},{20 + n % 7 + n / 100:.2f},{15 + n % 5 + n / 50:.2f}" for n, day in enumerate(days)]
    source = table(tmp_path / "data.csv", lines[0], [*lines[1:], *rows])
    advice = re.search(r"csv_options=(\{.*?\})", refused(source, modality="timeseries"))
    assert advice is not None and literal_eval(advice[1])["names"] == names
    data = load_data(source, modality="timeseries", csv_options=literal_eval(advice[1]), verbose=False)
    assert np.shape(data["unlabeled"][0]["series"]) in ((2, 120), (120, 2))


def test_a_row_of_few_values_is_no_level_of_names(tmp_path: Path) -> None:
    rows = [f"{text(row)},{'ab'[row % 2]}" for row in range(40)]
    data = load_data(table(tmp_path / "data.csv", "text,label", [f"{text(99)},", *rows]), verbose=False)
    assert data.label_names == ["a", "b"]


def test_a_table_without_a_header_that_is_cut_by_bars(tmp_path: Path) -> None:
    pictures(tmp_path / "img", [f"LJ{n:03}.png" for n in range(24)])
    rows = [f'LJ{n:03}|{text(n)}, and|{text(n)}, "and' for n in range(24)]
    table(tmp_path / "metadata.csv", rows[0], rows[1:])
    said = refused(str(tmp_path), modality="image")
    advice = re.search(r"csv_options=(\{.*?\})", said)
    assert advice is not None and "labels_file='FOLDER/metadata.csv'" in said
    sheet: dict[str, Any] = {"labels_file": f"{tmp_path}/metadata.csv", "modality": "image"}
    assert advice[0] in refused(f"{tmp_path}/**/*.png", **sheet)
    data = load_data(f"{tmp_path}/**/*.png", csv_options=literal_eval(advice[1]), verbose=False, **sheet)
    assert len(data["unlabeled"]) == 24


def test_words_with_labels_are_offered_as_tags(tmp_path: Path) -> None:
    rows = [f"{row // 6},{row % 6},{WORDS[row % 18]},{'LOC' if row % 4 == 0 else 'O'}" for row in range(120)]
    source = table(tmp_path / "data.csv", "sent_id,word_id,word,label", rows)
    assert "label_kind='tags'" in refused(source)
    assert set(load_data(source, label_kind="tags", verbose=False).label_names) == {"O", "LOC"}


def test_patients_on_two_sides_can_be_split_anew(tmp_path: Path) -> None:
    for name in ("train", "test"):
        rows = [f"{text(row + 100 * (name == 'test'))},{'ab'[row // 2 % 2]},p{row % 10}" for row in range(40)]
        table(tmp_path / f"{name}.csv", "text,label,patient_id", rows)
    said = refused(str(tmp_path), group_column="patient_id")
    words = re.search(r"split_names=(\[.*?\])", said)
    assert words is not None and "leakage='allow'" in said
    data = load_data(str(tmp_path), group_column="patient_id", split_names=literal_eval(words[1]), verbose=False)
    assert set(data["train"]["group"]).isdisjoint(data["test"]["group"])


def test_another_group_is_offered_where_one_is_of_two_values(tmp_path: Path) -> None:
    rows = [f"{row // 4},{'AB'[row % 2]},{text(row)},{'aq'[row // 2 % 2]}" for row in range(80)]
    source = table(tmp_path / "data.csv", "dialog_id,speaker,text,label", rows)
    assert "group_column='dialog_id'" in refused(source, group_column="speaker")
    assert len(set(load_data(source, group_column="dialog_id", verbose=False)["train"]["group"])) > 5
