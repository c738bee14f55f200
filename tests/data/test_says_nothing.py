"""Texts and labels that say that there is none, and files that programs make for themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hf_ssl.data import load_data


def read(folder: Path, rows: list[tuple[Any, Any]], **options: Any) -> Any:
    lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_data(folder / "rows.csv", near_duplicates=False, verbose=False, **options)


def rows_of(count: int, labels: tuple[Any, ...]) -> list[tuple[str, Any]]:
    words = "pump valve motor fan belt sensor cable hose filter gauge".split()
    return [
        (f"{words[n % 10]} {words[n // 10 % 10]} at place {n} was checked", labels[n % len(labels)])
        for n in range(count)
    ]


def said(data: Any, *parts: str) -> list[str]:
    return [one for one in map(str, data.report["warnings"]) if all(part in one for part in parts)]


@pytest.mark.parametrize("word", ["[deleted]", "<Media omitted>", "keine Angabe", "[inaudible]", "No comment"])
def test_a_text_that_says_there_is_none_is_told(word: str, tmp_path: Path) -> None:
    rows = [*rows_of(40, ("a", "b")), (word, "a"), (word, "b"), (word, "a")]
    assert said(read(tmp_path, rows, dedup=False), repr(word), "na_values=")
    assert not said(read(tmp_path, rows, dedup=False, na_values=[word]), "kept as text")


def test_words_in_a_list_of_words_are_no_doubt(tmp_path: Path) -> None:
    rows = [*rows_of(40, ("a", "b")), ("photo", "a"), ("empty", "b"), ("No comment was made by anybody", "a")]
    assert not said(read(tmp_path, rows), "kept as text")


@pytest.mark.parametrize(
    ("labels", "is_told"), [((0, 1, -1), True), ((-1, 1), False), ((-2, -1, 0, 1), False), ((0, 1, 2), False)]
)
def test_minus_one_beside_counted_classes_is_told(labels: tuple[int, ...], is_told: bool, tmp_path: Path) -> None:
    data = read(tmp_path, rows_of(60, labels))
    assert bool(said(data, "'-1'", "na_values=")) == is_told
    if is_told:
        assert read(tmp_path, rows_of(60, labels), na_values=["-1"])["train"].features["label"].num_classes == 2


def test_what_an_office_program_leaves_beside_an_open_file_is_nobodys_data(tmp_path: Path) -> None:
    read(tmp_path, rows_of(40, ("a", "b")))
    (tmp_path / "~$rows.xlsx").write_bytes(b"\x05user" + bytes(160))
    data = load_data(tmp_path, near_duplicates=False, verbose=False)
    assert len(data["train"]) > 20 and not said(data, "xlsx")
