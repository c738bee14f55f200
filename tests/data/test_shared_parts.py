"""What two splits have in common besides whole texts, labels with doubts in them, rows that somebody rejected, and hints that lead on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sentences import text

import hf_ssl
from hf_ssl.core.errors import DataError


def table(file: Path, header: str, rows: list[tuple[object, ...]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return file


def warned(source: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(source, verbose=False, **options).report["warnings"])


ROWS = [(f"{text(row, 9)}. {text(row + 500, 9)}.", "ab"[row % 2]) for row in range(80)]


def test_replies_that_quote_texts_of_train_are_told(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", "text,label", ROWS)
    replies = [
        (f"{text(row + 900, 9)}.\n\nOn Mon wrote Jo:\n> " + own.replace(". ", ".\n> "), label)
        for row, (own, label) in enumerate(ROWS[:40])
    ]
    table(tmp_path / "test.csv", "text,label", replies)
    assert "share a sentence" in warned(tmp_path)
    assert "share a sentence" not in warned(tmp_path, near_duplicates=False)


def test_windows_that_overlap_are_told_and_phrases_of_all_are_not(tmp_path: Path) -> None:
    parts = [f"{text(row, 9)}." for row in range(102)]
    rows = [(" ".join(parts[row : row + 3]), "ab"[row // 50]) for row in range(100)]
    assert "share a sentence" in warned(table(tmp_path / "a.csv", "text,label", rows))
    phrase = "This message is meant for its reader and for nobody else at all."
    assert not warned(table(tmp_path / "b.csv", "text,label", [(f"{own} {phrase}", label) for own, label in ROWS]))


@pytest.mark.parametrize("ahead", ["[#{n}] ", "#{n}: ", "Ticket {n}: ", "2024-08-13 11:{m:02} ", "13.08.2024 "])
def test_numbers_and_moments_in_front_do_not_hide_a_copy(ahead: str, tmp_path: Path) -> None:
    table(
        tmp_path / "train.csv",
        "text,label",
        [(ahead.format(n=10_000 + row, m=row % 60) + own, label) for row, (own, label) in enumerate(ROWS)],
    )
    table(
        tmp_path / "test.csv",
        "text,label",
        [(ahead.format(n=50_000 + row, m=59 - row % 60) + own, label) for row, (own, label) in enumerate(ROWS[:40])],
    )
    assert (
        "normalize='words'" in warned(tmp_path)
        or "much like a row" in warned(tmp_path)
        or "were removed" in warned(tmp_path)
    )


@pytest.mark.parametrize("mark", ["?", " (?)", "*", " ?"])
def test_labels_with_a_mark_of_doubt_are_told(mark: str, tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        "text,label",
        [(own, label + mark * (row % 5 == 0)) for row, (own, label) in enumerate(ROWS)],
    )
    doubted = [f"{label}{mark}" for label in "ab"]
    assert "mark of doubt" in warned(file)
    assert hf_ssl.load_data(file, verbose=False, na_values=doubted).label_names == ["a", "b"]


def test_a_slip_in_a_label_is_told_and_other_words_are_not(tmp_path: Path) -> None:
    names = ["positive", "negative", "positive", "negative", "postive"]
    file = table(
        tmp_path / "a.csv",
        "text,label",
        [(own, names[row % 5 if row % 10 < 5 else row % 2]) for row, (own, _) in enumerate(ROWS)],
    )
    assert "'postive'" in warned(file)
    names = ["typical", "atypical", "ethane", "ethene"]
    assert not warned(
        table(tmp_path / "b.csv", "text,label", [(own, names[row % 4]) for row, (own, _) in enumerate(ROWS)])
    )


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("AssignmentStatus", "Approved", "Rejected"), ("status", "final", "draft"), ("state", "published", "draft"),
     ("flagged_for_removal", "no", "yes"), ("use", "yes", "no")],
)  # fmt: skip
def test_rows_that_were_not_wanted_are_told_or_asked_about(name: str, good: str, bad: str, tmp_path: Path) -> None:
    file = table(
        tmp_path / "a.csv",
        f"text,label,{name}",
        [(*row, bad if place % 3 == 0 else good) for place, row in enumerate(ROWS)],
    )
    try:
        told = warned(file)
    except DataError as asked:
        told = str(asked)
    assert f"ignore_columns=['{name}']" in told
    assert not warned(file, ignore_columns=[name])


def test_the_decimal_dot_can_be_said(tmp_path: Path) -> None:
    rows = [(own, f"{1 + row % 90}.{100 + row}" if row % 3 else str(100 + row)) for row, (own, _) in enumerate(ROWS)]
    file = table(tmp_path / "a.csv", "text,amount", rows)
    given = {"label_column": "amount", "label_kind": "regression", "verbose": False}
    with pytest.raises(DataError, match="'decimal'"):
        hf_ssl.load_data(file, **given)
    for option, largest in (({"decimal": "."}, 178), ({"thousands": "."}, 90_000)):
        data = hf_ssl.load_data(file, csv_options=option, **given)
        assert (
            largest * 0.5
            < max(max(data[split]["label"]) for split in ("train", "validation", "test"))
            <= largest + 100
        )


def test_a_column_of_quoted_sentences_is_one_of_texts(tmp_path: Path) -> None:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as opened:
            csv.writer(opened, quoting=quoting).writerows([("text",), *((f"{own}, {own[:20]}",) for own, _ in ROWS)])
        data = hf_ssl.load_data(tmp_path / "a.csv", verbose=False)
        assert len(data["unlabeled"]) == 80 and not data.report["warnings"]


def test_words_of_numpy_are_words(tmp_path: Path) -> None:
    rows = [
        (str(own.split()).replace(",", ""), str(["O"] * len(own.split())).replace(",", "").replace("'O'", "'B'", 1))
        for own, _ in ROWS
    ]
    data = hf_ssl.load_data(table(tmp_path / "a.csv", "tokens,ner_tags", rows), label_kind="tags", verbose=False)
    assert min(map(len, data["train"]["tokens"])) > 5


def test_two_tags_in_one_and_columns_called_alike_are_told(tmp_path: Path) -> None:
    lines = [
        f"{word} {'B-NUM|B-DATE' if place == row % 3 else 'O'}"
        for row, (own, _) in enumerate(ROWS)
        for place, word in enumerate([*own.split(), ""])
    ]
    file = tmp_path / "a.conll"
    file.write_text("\n".join("" if line.startswith(" ") else line for line in lines))
    assert "'B-NUM|B-DATE'" in warned(file, label_kind="tags")
    more = table(
        tmp_path / "b.csv", "text,label,label_2", [(*row, "x" if place % 2 else "") for place, row in enumerate(ROWS)]
    )
    assert "ignore_columns=['label_2']" in warned(more)


def test_two_blocks_of_merged_cells_are_told(tmp_path: Path) -> None:
    rows = [(own, {0: "a", 40: "b"}.get(row, "")) for row, (own, _) in enumerate(ROWS)]
    assert "merged cells" in warned(
        table(tmp_path / "a.csv", "text,label", rows), test_fraction=0, validation_fraction=0
    )
