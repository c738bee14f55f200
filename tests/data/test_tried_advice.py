"""Advice about tables has been tried before it is given: one message is enough, whatever it takes to read the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

ROWS = list(zip(texts(40), labels(40), strict=True))


def load(at: Path, content: str, name: str = "a.csv", **options: Any) -> DomainData:
    (at / name).write_text(content)
    return load_data(at, verbose=False, **options)


def pairs(data: DomainData) -> set[tuple[str, str]]:
    rows = [row for split in ("train", "validation", "test") for row in data[split]]
    return {(row["text"], data.label_names[row["label"]]) for row in rows}


def advised(at: Path, content: str, **options: Any) -> dict[str, Any]:
    with pytest.raises(DataError) as error:
        load(at, content, **options)
    return next(one for one in hints(str(error.value)) if "csv_options" in one)


BLOCKS = "LabVIEW Measurement\t\nSeparator\tTab\nDate\t2023/03/01\nTime\t10:00\n***End***\t\n\t\n"
TWO_BLOCKS = BLOCKS + "Channels\t2\t\t\nSamples\t240\t240\t\nDelta\t0.1\t0.1\t\n***End***\t\t\t\n"


@pytest.mark.parametrize("above", [TWO_BLOCKS, "Study 7\n" + TWO_BLOCKS, "Exported\n\n" + TWO_BLOCKS])
def test_two_blocks_of_facts_are_left_out_at_once(tmp_path: Path, above: str) -> None:
    rows = "".join(f"{n}\t{n * n % 7}.5\t{n * n % 5}.25\t\n" for n in range(60))
    content = f"{above}step\tleft\tright\tcomment\n{rows}"
    options = {"modality": "timeseries", "horizon": 3, "timestamp_column": "step"}
    made = advised(tmp_path, content, **options)
    assert load(tmp_path, content, **options, **made)["train"].num_rows


def test_where_a_table_begins_is_said_where_most_lines_are_of_another_width(tmp_path: Path) -> None:
    rows = "".join(f"{n}\t{n * n % 7}.5\t{n * n % 5}.25\t\n" for n in range(60))
    content = BLOCKS + "Channels\t2\nSamples\t240\n" + f"step\tleft\tright\tcomment\n{rows}"
    options = {"modality": "timeseries", "horizon": 3, "timestamp_column": "step"}
    made = advised(tmp_path, content, csv_options={"skiprows": 6}, **options)
    assert made == {"csv_options": {"skiprows": 8}} and load(tmp_path, content, **options, **made)["train"].num_rows


QUESTIONS = 'Q1,Q2\n"What do you\nthink?",Rate it\n"{""ImportId"":""1""}","{""ImportId"":""2""}"\n'


def test_lines_of_questions_with_breaks_need_one_message(tmp_path: Path) -> None:
    content = QUESTIONS + "".join(f"{text},{label}\n" for text, label in ROWS)
    options = {"input_column": "Q1", "label_column": "Q2"}
    made = advised(tmp_path, content, **options)
    assert pairs(load(tmp_path, content, **options, **made)) == set(ROWS)


def test_a_comment_above_a_header_names_no_columns(tmp_path: Path) -> None:
    content = "# exported by X, version 2\n# rows: 40, all\ntext,label\n" + "".join(f"{t},{v}\n" for t, v in ROWS)
    made = advised(tmp_path, content)
    assert made == {"csv_options": {"skiprows": 2}}
    assert pairs(load(tmp_path, content, **made)) == set(ROWS)


def quoted(text: str, label: str, number: int) -> str:
    inside = f'{text} with a 5" screen' if number % 9 == 0 else text
    return f'{number},"{inside}","{label}"\n'


@pytest.mark.parametrize("given", [{}, {"csv_options": {"quoting": 0}}])
def test_quotes_inside_of_quoted_values_are_parts_of_them(tmp_path: Path, given: dict[str, Any]) -> None:
    content = "id,text,label\n" + "".join(quoted(text, label, n) for n, (text, label) in enumerate(ROWS))
    data = load(tmp_path, content, **given)
    wanted = {(f'{text} with a 5" screen' if n % 9 == 0 else text, label) for n, (text, label) in enumerate(ROWS)}
    assert pairs(data) == wanted
    assert any("'quoting': 3" in text and "5 lines" in text for text in data.report["warnings"])


def test_separators_between_such_quotes_are_parts_of_values(tmp_path: Path) -> None:
    lines = [quoted(text, label, n) for n, (text, label) in enumerate(ROWS)]
    lines[9] = '9,"one, with a 5" screen, and more","good"\n'
    assert ('one, with a 5" screen, and more', "good") in pairs(load(tmp_path, "id,text,label\n" + "".join(lines)))
    lines[9] = '9,"one with a 5", screen and more","good"\n'
    left = load(tmp_path, "id,text,label\n" + "".join(lines)).report["accounts"]["rows"]
    assert left["found"] == 40 and sum(left["left_out"].values()) == 1


def test_a_quote_that_is_never_closed_is_left_out_with_its_line(tmp_path: Path) -> None:
    lines = [f'{n},"{text}","{label}"\n' for n, (text, label) in enumerate(ROWS)]
    lines[20] = f'20,"{ROWS[20][0]},{ROWS[20][1]}\n'
    content = "id,text,label\n" + "".join(lines)
    made = advised(tmp_path, content)
    assert pairs(load(tmp_path, content, **made)) == set(ROWS) - {ROWS[20]}
    kept = load(tmp_path, content, csv_options={"quoting": 3}, fold_labels=True)
    assert any("39" in text and "'quoting': 3" in text for text in kept.report["warnings"])


@pytest.mark.parametrize(
    "above",
    [
        "[Header]\nTITLE,run 7\nINFO,sample,A\n[Data]\nt,left,right\n",
        "Model,DSO\nSerial,MY1\nx-axis,1,2\nt,left,left\n",
        "Report\n\nStation,Berlin\n\nt,left,right\n",
    ],
)
def test_facts_of_other_widths_above_numbers(tmp_path: Path, above: str) -> None:
    content = above + "".join(f"{n},{n * n % 7}.5,{n * n % 5}.25\n" for n in range(60))
    options = {"modality": "timeseries", "horizon": 3, "timestamp_column": "t"}
    made = advised(tmp_path, content, **options)
    assert load(tmp_path, content, **options, **made)["train"].num_rows


def test_sentences_in_one_column_are_no_table(tmp_path: Path) -> None:
    content = "text\n" + "".join(f"{text}, and so on, it is {label}\n" for text, label in ROWS)
    assert len(load(tmp_path, content)["unlabeled"]) == 40


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        ("#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.NE|value\n", "CoNLL"),
        ("@relation reviews\n", r"\.arff"),
        ("%%MatrixMarket matrix coordinate real general\n", "cells"),
        ("<?xml version='1.0'?>\n", "XML"),
    ],
)
def test_other_formats_are_named_by_how_they_begin(tmp_path: Path, first: str, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        load(tmp_path, first + "".join(f"{text},{label}\n" for text, label in ROWS))


@pytest.mark.parametrize(
    "given", [["no, thanks"], ["no", "thanks"], ["no, thanks", "k.A."]], ids=["one", "cut at the comma", "two"]
)
def test_words_with_commas_mean_a_missing_value(tmp_path: Path, given: list[str]) -> None:
    rows = [
        (text, "no" if n % 4 == 1 else '"no, thanks"' if n % 8 == 0 else label) for n, (text, label) in enumerate(ROWS)
    ]
    data = load(tmp_path, "text,label\n" + "".join(f"{t},{v}\n" for t, v in rows), na_values=given)
    assert "no, thanks" not in data.label_names and "no" in data.label_names


@pytest.mark.parametrize("name", ["reviews_dev.csv", "test.csv"])
def test_a_table_that_is_called_as_a_split_is_and_is_all_there_is(tmp_path: Path, name: str) -> None:
    content = "text,label\n" + "".join(f"{t},{v}\n" for t, v in ROWS)
    with pytest.raises(DataError, match="none to train on") as error:
        load(tmp_path, content, name)
    assert pairs(load(tmp_path, content, name, **next(hints(str(error.value))))) == set(ROWS)


def test_its_column_of_splits_is_followed(tmp_path: Path) -> None:
    rows = [f"{t},{v},{'val' if n % 5 == 0 else 'train'}\n" for n, (t, v) in enumerate(ROWS)]
    content = "text,label,split\n" + "".join(rows)
    data = load(tmp_path, content, "dev.csv", test_fraction=0)
    assert set(data["validation"]["text"]) == {text for text, _ in ROWS[::5]}
    other = load(tmp_path, content, "dev.csv", split_names=["dev=train"])
    told = next(text for text in other.report["warnings"] if "not followed" in text)
    followed = load(tmp_path, content, "dev.csv", test_fraction=0, **next(hints(told)))
    assert set(followed["validation"]["text"]) == {text for text, _ in ROWS[::5]}


@pytest.mark.parametrize(
    "written", ["csv_options={'sep': }", "csv_options={sep}", "csv_options={'a': 1}", "csv_options={'sep': ...}"]
)
def test_what_a_file_writes_like_advice_is_not_followed(tmp_path: Path, written: str) -> None:
    """A header that comes twice is named in the error, and so is what stands in it."""
    rows = [f"{text},{label},{label}" for text, label in ROWS]
    with pytest.raises(DataError, match="csv_options"):
        load(tmp_path, "\n".join([f"text,{written},{written}", *rows]) + "\n")
