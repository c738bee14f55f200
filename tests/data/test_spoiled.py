"""Marks of spreadsheets and programs in values, codes in labels, lists of names and sums among rows, transcripts that say nothing."""

from __future__ import annotations

import re
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentences import table, text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.data.domain import DomainData


def read(source: Path | str, **options: Any) -> DomainData:
    return load_data(str(source), verbose=False, **options)


@pytest.mark.parametrize(
    ("change", "part"),
    [('="{}"', "keeps text"), ("'{}", "apostrophe"), ("{}_x000D_", "_x000D_"), ("\\u00e4 {}", "written as"), ("b'{}'", "Python writes"),
     ("??? ?? ????", "question marks"), ("&lt;p&gt; {}", "HTML"), ("{}%20and%20so", "addresses"), ("{}\\n\\nBest", "line breaks")],
)  # fmt: skip
def test_marks_of_programs_are_told(tmp_path: Path, change: str, part: str) -> None:
    rows = [
        f"{change.format(text(row))} {row if '?' in change else ''},{'ab'[row % 2]}".replace(" ,", ",")
        for row in range(40)
    ]
    told = [one for one in read(table(tmp_path / "a.csv", "text,label", rows)).report["warnings"] if "'text'" in one]
    assert len(told) == 1 and part in told[0] and told[0].startswith("40 of 40")


@pytest.mark.parametrize("label", ['="{}"', "'{}"])
def test_marks_of_spreadsheets_in_labels_are_told(tmp_path: Path, label: str) -> None:
    rows = [f"{text(row)},{label.format('ab'[row % 2])}" for row in range(40)]
    told = read(table(tmp_path / "a.csv", "text,label", rows)).report["warnings"]
    assert [one for one in told if one.startswith("40 of 40 values of 'label'")]


@pytest.mark.parametrize(
    "change",
    [
        "don't {}",
        "'quoted' {}",
        "what? {} no??",
        "a_x {}",
        "C:\\users {}",
        "C:\\temp {}",
        "R&D; {}",
        "50% {}",
        "b {}",
        "= {}",
    ],
)
def test_ordinary_texts_are_not(tmp_path: Path, change: str) -> None:
    rows = [f"{change.format(text(row))},{'ab'[row % 2]}" for row in range(40)]
    assert not read(table(tmp_path / "a.csv", "text,label", rows)).report["warnings"]


@pytest.mark.parametrize(
    "labels",
    [
        ("1", "1 - Yes", "2", "2 - No"),
        ("A", "A: good", "B", "B: bad"),
        ("Yes", "1 = Yes", "No", "2 = No"),
        ("1", "1) low", "2", "2) high"),
        ("Yes", "Y", "No", "N"),
        ("pos (1)", "pos", "neg (0)", "neg"),
        ("Yes - 1", "1", "No - 0", "0"),
        ("positive", "pos", "negative", "neg"),
    ],
)
def test_a_code_with_and_without_its_word_is_asked_about(tmp_path: Path, labels: tuple[str, ...]) -> None:
    source = table(tmp_path / "a.csv", "text,label", [f"{text(row)},{labels[row % 4]}" for row in range(40)])
    with pytest.raises(DataError, match="fold_labels=True"):
        read(source)
    assert len(read(source, fold_labels=True).label_names) == 2
    assert len(read(source, fold_labels=False).label_names) == 4


@pytest.mark.parametrize(
    "labels",
    [
        ("1 - Yes", "2 - No"),
        ("B-52", "B-1"),
        ("A-team", "B-team"),
        ("1-2", "1", "2"),
        ("Y", "N"),
        ("cat (big)", "cat"),
    ],
)
def test_codes_that_all_have_their_word_are_classes(tmp_path: Path, labels: tuple[str, ...]) -> None:
    source = table(tmp_path / "a.csv", "text,label", [f"{text(row)},{labels[row % len(labels)]}" for row in range(60)])
    assert set(read(source).label_names) == set(labels)


@pytest.mark.parametrize("name", ["label_names.csv", "classes_dict.csv", "codebook.csv", "classes.csv"])
def test_lists_of_what_labels_are_called_are_no_examples(tmp_path: Path, name: str) -> None:
    table(tmp_path / "data.csv", "text,label", [f"{text(row)},{row % 2}" for row in range(40)])
    table(tmp_path / name, "label,text", ["0,negative", "1,positive"])
    data = read(tmp_path)
    assert sum(len(data[part]) for part in ("train", "validation", "test")) == 40
    assert any(name in one and "2 rows are left out" in one for one in data.report["warnings"])
    rows = data.report["accounts"]["rows"]
    assert rows["found"] == rows["used"] + sum(rows["left_out"].values()) == 42


def test_metadata_as_json_is_no_example(tmp_path: Path) -> None:
    table(tmp_path / "data.csv", "text,label", [f"{text(row)},{row % 2}" for row in range(40)])
    (tmp_path / "metadata.json").write_text('{"name": "x", "n": 40, "labels": ["neg", "pos"]}')
    data = read(tmp_path)
    assert "neg" not in data["unlabeled"]["text"] and any("metadata.json" in one for one in data.report["warnings"])


def test_small_tables_of_examples_stay(tmp_path: Path) -> None:
    table(tmp_path / "data.csv", "text,label", [f"{text(row)},{'ab'[row % 2]}" for row in range(40)])
    table(tmp_path / "labels.csv", "text,label", [f"{text(100 + row)},{'ab'[row % 2]}" for row in range(10)])
    data = read(tmp_path)
    assert sum(len(data[part]) for part in ("train", "validation", "test")) == 50 and not data.report["warnings"]


def test_sums_between_rows_are_told_with_the_lines_to_leave_out(tmp_path: Path) -> None:
    rows = []
    for name in ("pos", "neg"):
        rows += [f"{text(len(rows) + n)},{name},1" for n in range(25)] + [f"Subtotal {name},,25"]
    source = table(tmp_path / "a.csv", "text,label,n", [*rows, "Grand total,,50"])
    told = next(one for one in read(source).report["warnings"] if "Subtotal" in one)
    options = re.search(r"csv_options=(\{.*?\})", told)
    assert options is not None
    data = read(source, csv_options=literal_eval(options[1]))
    assert data.report["accounts"]["rows"]["found"] == 50 and not data.report["warnings"]


@pytest.mark.parametrize(
    ("row", "header"), [(",Subtotal,", "id,text,label"), ("Total,20", "text,label"), ("Gesamt,", "text,label")]
)
def test_sums_in_other_columns_are_told(tmp_path: Path, row: str, header: str) -> None:
    first = "7," if header.startswith("id") else ""
    rows = [line for n in range(40) for line in (f"{first}{text(n)},{'ab'[n % 2]}", row)[: 2 if n % 20 == 19 else 1]]
    source = table(tmp_path / "a.csv", header, rows)
    told = next(
        one
        for one in load_data(source, max_left_out=0.5, verbose=False).report["warnings"]
        if "sums of those above" in one
    )
    options = re.search(r"csv_options=(\{.*?\})", told)
    assert options is not None
    data = read(source, csv_options=literal_eval(options[1]))
    assert data.report["accounts"]["rows"]["found"] == 40 and data.label_names == ["a", "b"]


def test_texts_that_begin_with_total_stay(tmp_path: Path) -> None:
    rows = [f"{'Total waste of money' if row % 9 == 0 else text(row)} {row},{'ab'[row % 2]},3" for row in range(40)]
    assert not read(table(tmp_path / "a.csv", "text,label,n", rows)).report["warnings"]


def test_a_list_drawn_with_bars_is_told_and_read(tmp_path: Path) -> None:
    drawn = ["02.01.2024   Dynamic List Display   1", "", "-" * 60, "|Text|Label|", "-" * 60]
    lines = [*drawn, *(f"|{text(row)}|{'ab'[row % 2]}|" for row in range(40)), "-" * 60]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    assert any("looks like a table" in one for one in read(tmp_path / "list.txt").report["warnings"])
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "list.csv")
    options = re.search(r"csv_options=(\{.*?\})", str(error.value))
    assert options is not None
    assert read(tmp_path / "list.csv", csv_options=literal_eval(options[1])).label_names == ["a", "b"]


def test_a_class_per_file_of_other_columns_is_told(tmp_path: Path) -> None:
    table(tmp_path / "ham.csv", "text,date", [f"{text(row)},2020-01-{row % 28 + 1:02}" for row in range(40)])
    table(tmp_path / "spam.csv", "text,source", [f"{text(50 + row)},web" for row in range(40)])
    assert any("label_column='file_class'" in one for one in read(tmp_path).report["warnings"])
    assert read(tmp_path, label_column="file_class").label_names == ["ham", "spam"]
    assert not any("file_class" in one for one in read(tmp_path, folder_labels=False).report["warnings"])


@pytest.mark.parametrize(("who", "said"), [("role", "content"), ("from", "value")])
def test_conversations_are_named_as_such(tmp_path: Path, who: str, said: str) -> None:
    lines = [
        f'{{"messages": [{{"{who}": "user", "{said}": "{text(row)}"}}, {{"{who}": "assistant", "{said}": "pos"}}]}}'
        for row in range(30)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match="conversations"):
        read(tmp_path / "a.jsonl")


def pictures(folder: Path, names: list[str]) -> str:
    pil = pytest.importorskip("PIL.Image")
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        pil.fromarray(pixels).save(folder / f"{name}.png")
    return str(folder)


@pytest.mark.parametrize("shape", ["{}.{n}", "{}_{n}", "{}{n:03}"])
def test_classes_in_names_of_pictures_are_told(tmp_path: Path, shape: str) -> None:
    source = pictures(tmp_path, [shape.format(("cat", "dog")[n % 2], n=n) for n in range(30)])
    told = read(source, modality="image").report["warnings"]
    assert any("label_column='file_class'" in one for one in told)
    assert read(source, modality="image", label_column="file_class").label_names == ["cat", "dog"]
    assert not read(source, modality="image", ignore_columns=["file_class"]).report["warnings"]


@pytest.mark.parametrize("shape", ["20{:02}_{b}_{n}", "03a{:02}{c}b", "03-0{b}-{:02}-01"])
def test_codes_in_names_of_pictures_are_told(tmp_path: Path, shape: str) -> None:
    source = pictures(tmp_path, [shape.format(n, b=n % 2, c="FWN"[n % 3], n=n) for n in range(30)])
    assert any("labels_file=" in one for one in read(source, modality="image").report["warnings"])
    assert not read(source, modality="image", folder_labels=False).report["warnings"]


@pytest.mark.parametrize("shape", ["IMG_{:04}", "{:05}", "video_{b}_frame_{:04}", "IMG_202301{:02}_101112", "{:032x}"])
def test_names_of_cameras_and_numbers_are_not(tmp_path: Path, shape: str) -> None:
    source = pictures(tmp_path, [shape.format(n + 1, b=n % 2) for n in range(28)])
    told = read(source, modality="image").report["warnings"]
    assert not [one for one in told if "labels_file" in one or "file_class" in one]


def test_transcripts_of_nothing_are_told(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for n in range(24):
        soundfile.write(
            tmp_path / f"{n}.wav", np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32), 16_000
        )
    said = [("[inaudible]", "(noise)", "...")[n % 3] if n < 4 else text(n) for n in range(24)]
    table(tmp_path / "a.csv", "file,transcript", [f"{n}.wav,{one}" for n, one in enumerate(said)])
    options: dict[str, Any] = {"modality": "audio", "label_kind": "transcript", "max_left_out": 0.5}
    told = next(one for one in read(tmp_path, **options).report["warnings"] if "nothing was heard" in one)
    words = re.search(r"na_values=(\[.*?\]) leaves", told)
    assert words is not None and told.startswith("4 of 24")
    again = read(tmp_path, na_values=literal_eval(words[1]), **options)
    assert not any("nothing was heard" in one for one in again.report["warnings"])


@pytest.mark.parametrize("mark", ["E", "*", " C"])
def test_marks_behind_numbers_are_no_missing_values(tmp_path: Path, mark: str) -> None:
    days = np.datetime64("2023-01-01") + np.arange(60)
    rows = [f"{day},{20 + n % 7}.5{mark if n % 9 == 0 else ''}" for n, day in enumerate(days)]
    with pytest.raises(DataError) as error:
        read(table(tmp_path / "a.csv", "date,temp", rows), modality="timeseries")
    assert "na_values" not in str(error.value) and "behind them" in str(error.value)


def test_columns_of_series_that_are_left_aside_are_no_channels(tmp_path: Path) -> None:
    hours = np.datetime64("2023-01-01T00") + np.arange(60)
    rows = [f"{hour},{('On', 'Off')[n // 7 % 2]},{n % 5}.5,{n % 11}" for n, hour in enumerate(hours)]
    source = table(tmp_path / "a.csv", "time,pump,flow,other", rows)
    data = read(source, modality="timeseries", ignore_columns=["pump", "other"])
    assert np.shape(data["unlabeled"][0]["series"])[0] == 1


def test_a_second_mark_between_labels_is_told(tmp_path: Path) -> None:
    labels = ["price", "service", "price + service", "price & service", "service + price"]
    source = table(tmp_path / "a.csv", "text,label", [f"{text(row)},{labels[row % 5]}" for row in range(60)])
    assert any("label_separator='+'" in one and "'&'" in one for one in read(source).report["warnings"])
    told = read(source, label_kind="multilabel", label_separator="+").report["warnings"]
    assert any("'price & service'" in one for one in told)


def test_lines_of_what_other_files_say_are_told(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for n in range(24):
        noise = np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32)
        soundfile.write(tmp_path / f"19-198-{n:04}.wav", noise, 16_000)
    (tmp_path / "19-198.trans.txt").write_text("".join(f"19-198-{n:04} {text(n).upper()}\n" for n in range(24)))
    told = read(tmp_path, modality="audio").report["warnings"]
    assert any("label_kind='transcript'" in one and "19-198.trans.txt" in one for one in told)
