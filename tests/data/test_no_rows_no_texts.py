"""Lines that are no rows in tables of one column, labels in brackets, words without sentences, texts inside of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sentences import text

import hf_ssl
from hf_ssl.core.errors import DataError


def written(folder: Path, name: str, lines: list[str]) -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def warnings_of(file: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(file, verbose=False, **options).report["warnings"])


@pytest.mark.parametrize("word", ["Ward", "Station", "Salle n°", "Blatt Nr."])
def test_headings_between_texts_are_told(word: str, tmp_path: Path) -> None:
    parts = [[f"{word} {part + 10}", *(text(15 * part + n) for n in range(15))] for part in range(4)]
    file = written(tmp_path, "signed.csv", ["text", *sum(parts, []), "Checked by M. Meier"])
    assert "'skipfooter': 1" in warnings_of(file) and "'skiprows': [1, 17, 33, 49]" in warnings_of(file)
    file = written(tmp_path, "data.csv", ["text", *sum(parts, [])])
    assert f"'{word} 10'" in warnings_of(file)
    read = hf_ssl.load_data(file, verbose=False, csv_options={"skiprows": [1, 17, 33, 49]})
    assert len(read["unlabeled"]) == 60 and not read.report["warnings"]


@pytest.mark.parametrize(
    "headings",
    [["Section A", "Section B", "Section C"], ["Chapter II", "Chapter III", "Chapter IV"], ["Night shift:", "Morning shift:", "Late shift:"],
     ["# Pumps", "# Valves", "## Motors"], ["=== Pumps ===", "=== Valves ===", "=== Motors ==="], ["[Pumps]", "[Valves]", "[Motors]"]],
)  # fmt: skip
def test_headings_with_letters_and_marks_are_told(headings: list[str], tmp_path: Path) -> None:
    parts = [[heading, *(text(15 * part + n) for n in range(15))] for part, heading in enumerate(headings)]
    file = written(tmp_path, "data.csv", ["text", *sum(parts, [])])
    assert repr(headings[0]) in warnings_of(file)
    read = hf_ssl.load_data(file, verbose=False, csv_options={"skiprows": [1, 17, 33]})
    assert len(read["unlabeled"]) == 45 and not read.report["warnings"]


@pytest.mark.parametrize(
    "last", ["Checked by A. Miller", "Geprüft von M. Meier", "Approved: J. Doe", "Vérifié par Mme Roux"]
)
def test_a_signature_below_texts_is_told(last: str, tmp_path: Path) -> None:
    file = written(tmp_path, "data.csv", ["text", *map(text, range(60)), last])
    assert "'skipfooter': 1" in warnings_of(file)
    assert len(hf_ssl.load_data(file, verbose=False, csv_options={"skipfooter": 1})["unlabeled"]) == 60


@pytest.mark.parametrize(
    "others",
    [["room 12", "too loud", "fine"], ["Checked by the doctor who found nothing that was wrong with it"], []],
)
def test_texts_of_one_column_stay_quiet(others: list[str], tmp_path: Path) -> None:
    assert warnings_of(written(tmp_path, "data.csv", ["text", *map(text, range(60)), *others])) == ""


@pytest.mark.parametrize(("one", "two"), [("{a}", "{a}{b}"), ("(red)", "(red) (green)"), ("<x>", "<x><y>")])
def test_labels_in_brackets_are_several(one: str, two: str, tmp_path: Path) -> None:
    file = written(tmp_path, "data.csv", ["text,label", *(f"{text(n)},{(one, two)[n % 2]}" for n in range(60))])
    assert "label_kind='multilabel'" in warnings_of(file)
    read = hf_ssl.load_data(file, verbose=False, label_kind="multilabel")
    names = read.report["label_names"]
    assert len(names) == 2 and all(name.isalpha() for name in names)


def test_one_label_in_brackets_stays_quiet(tmp_path: Path) -> None:
    rows = [f"{text(n)},{('<spam>', '<ham>')[n % 2]}" for n in range(60)]
    assert warnings_of(written(tmp_path, "data.csv", ["text,label", *rows])) == ""


def test_numbers_beside_a_word_for_one_are_told(tmp_path: Path) -> None:
    rows = {
        word: [f"{text(n)},{('-1', '1', word)[n % 3]}" for n in range(60)] for word in ("neutral", "other")
    }  # fmt: skip
    assert "(neutral)" in warnings_of(written(tmp_path, "a.csv", ["text,label", *rows["neutral"]]))
    assert "writings" not in warnings_of(written(tmp_path, "b.csv", ["text,label", *rows["other"]]))


def test_words_without_sentences_are_asked_about(tmp_path: Path) -> None:
    words = [f"{word} {'B-LOC' if len(word) == 4 else 'O'}" for n in range(60) for word in text(n).split()]
    with pytest.raises(DataError, match="no empty line"):
        hf_ssl.load_data(written(tmp_path, "data.conll", words), verbose=False, label_kind="tags")


def test_texts_inside_of_rows_are_asked_about(tmp_path: Path) -> None:
    paragraphs = [{"context": text(n), "qas": [{"id": str(n), "question": "why?", "answers": []}]} for n in range(60)]
    file = written(tmp_path, "squad.json", [json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]})])
    with pytest.raises(DataError, match="'paragraphs'.*input_column='context'"):
        hf_ssl.load_data(file, verbose=False)
    flat = [json.dumps({"context": one["context"], "question": one["qas"][0]["question"]}) for one in paragraphs]
    read = hf_ssl.load_data(written(tmp_path, "flat.jsonl", flat), verbose=False, input_column="context")
    assert len(read["unlabeled"]) == 60
