"""Rows that somebody did not want, merged cells, and questions of a survey as names of columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentences import WORDS

from hf_ssl import load_data
from hf_ssl.core.errors import DataError


def table(folder: Path, header: str, rows: list[str]) -> str:
    (folder / "data.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(folder / "data.csv")


def text(row: int) -> str:
    return " ".join(WORDS[(row * step + step) % len(WORDS)] for step in (1, 5, 7, 11)) + f" {row}"


def read(path: str, **options):
    return load_data(path, modality="text", verbose=False, **options)


@pytest.mark.parametrize(
    ("name", "wanted", "unwanted"),
    [
        ("exclude", "no", "yes"), ("Is_Deleted", "0", "1"), ("usable", "yes", "no"), ("keep", "TRUE", "FALSE"), ("weight", "1", "0"),
        ("sample_weight", "0.5", "0"),
    ],
)  # fmt: skip
def test_rows_that_are_not_wanted_are_told(tmp_path, name, wanted, unwanted):
    rows = [f"{text(row)},{'ab'[row % 2]},{unwanted if row % 8 == 0 else wanted}" for row in range(40)]
    path = table(tmp_path, f"text,label,{name}", rows)
    found = [one for one in read(path).report["warnings"] if repr(name) in one]
    assert len(found) == 1 and f"5 of 40 rows of data.csv have {name!r} = '{unwanted.lower()}'" in found[0]
    assert not [one for one in read(path, ignore_columns=[name]).report["warnings"] if repr(name) in one]


@pytest.mark.parametrize(
    ("name", "values"), [("exclude", ["no"]), ("usable", ["yes"]), ("kept_at", ["1", "0"]), ("weight", ["1", "2"])]
)
def test_columns_that_leave_nobody_out_are_not(tmp_path, name, values):
    rows = [f"{text(row)},{'ab'[row % 2]},{values[row % len(values)]}" for row in range(40)]
    assert not [
        one for one in read(table(tmp_path, f"text,label,{name}", rows)).report["warnings"] if "not wanted" in one
    ]


def test_what_was_rejected_is_refused_though_some_are_pending(tmp_path):
    rows = [f"{text(row)},{'ab'[row % 2]},{('rejected', 'approved', 'pending')[row % 3]}" for row in range(30)]
    path = table(tmp_path, "text,label,status", rows)
    with pytest.raises(DataError, match=r"10 of 30 rows .*ignore_columns=\['status'\]"):
        read(path)
    assert len(read(path, ignore_columns=["status"])["train"]) > 10


def test_merged_cells_are_told_and_a_few_labels_are_not(tmp_path):
    rows = [f"{text(row)},{'ab'[row // 5 % 2] if row % 5 == 0 else ''}" for row in range(60)]
    data = read(table(tmp_path, "text,label", rows))
    assert any("12 of 60 rows" in one and "merged cells" in one for one in data.report["warnings"])
    rows = [f"{text(row)},{'ab'[row % 2] if row in (3, 8, 9, 20, 31, 34, 40, 55) else ''}" for row in range(60)]
    assert not any("merged" in one for one in read(table(tmp_path, "text,label", rows)).report["warnings"])


@pytest.mark.parametrize("beside", ["Timestamp", "Score", "id"])
def test_a_question_of_a_survey_names_its_column(tmp_path, beside):
    question = "Please tell us in your own words what happened on that day"
    values = {"Timestamp": "2024/01/{:02d} 10:00", "Score": "{}", "id": "{}"}[beside]
    rows = [f"{values.format(row % 28 + 1)},{'ab'[row % 2]},{text(row)}" for row in range(40)]
    path = table(tmp_path, f"{beside},label,{question}", rows)
    with pytest.raises(DataError, match=f"input_column='{question}'"):
        read(path)
    data = read(path, input_column=question)
    assert sum(len(data[part]) for part in ("train", "validation", "test")) == 40 and data.label_names == ["a", "b"]


def test_without_words_over_numbers_both_readings_are_offered(tmp_path):
    rows = [
        f"{'ab'[row % 2]},{text(row)} and more words to make it long enough for a text of its own" for row in range(40)
    ]
    path = table(tmp_path, rows[0], rows[1:])
    with pytest.raises(DataError, match=r"no header.*'names': \['label', 'text'\].*input_column="):
        read(path)


def test_a_blank_column_between_two_tables_is_no_missing_header(tmp_path):
    rows = [f"{text(row)},{'ab'[row % 2]},,{text(row + 50)},{'ab'[row % 2]}" for row in range(40)]
    with pytest.raises(DataError, match="several columns are called 'text'"):
        read(table(tmp_path, "text,label,,text,label", rows))
