"""Texts that a program spoiled on the way into a table: cut off, with line breaks or lists written out; and those that only look so."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from sentences import text

import hf_ssl
from hf_ssl.core.errors import DataError


def table(file: Path, own: Callable[[int], str]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("text", "label"))
        writer.writerows([(own(row), "ab"[row % 2]) for row in range(60)])
    return file


def warned(file: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(file, verbose=False, **options).report["warnings"])


FIELD = [f"{text(row, 12)} and {text(row + 100, 12)}" for row in range(60)]


@pytest.mark.parametrize("length", [61, 100, 255])
def test_texts_cut_off_at_one_length_are_told(length, tmp_path):
    whole = [" ".join([one] * 4) for one in FIELD]
    cut = table(tmp_path / "cut.csv", lambda row: whole[row][:length])
    assert f"have exactly {length} characters" in warned(cut)
    assert "cut off" not in warned(cut, input_column="text")


@pytest.mark.parametrize("end", ["...", "…", " [truncated]", " Read more", "… [+512 chars]"])
def test_texts_that_end_as_previews_do_are_told(end, tmp_path):
    cut = table(tmp_path / "cut.csv", lambda row: FIELD[row] + end * (row % 3 > 0))
    assert "end as previews do" in warned(cut)


@pytest.mark.parametrize("kind", ["template", "codes", "tweets", "prose"])
def test_whole_texts_are_not_taken_for_cut_ones(kind, tmp_path):
    own = {
        "template": lambda row: f"the reading of the pump number {row:04} was taken in the night",
        "codes": lambda row: f"{row * 7919 % 65521:016b}" * 5,
        "tweets": lambda row: " ".join([FIELD[row]] * 3)[: 200 + row].rsplit(" ", 1)[0],
        "prose": lambda row: FIELD[row] + ("..." if row % 9 == 0 else "."),
    }[kind]
    assert "cut off" not in warned(table(tmp_path / "a.csv", own))


@pytest.mark.parametrize(
    ("own", "said"),
    [(lambda row: FIELD[row].replace(" and ", "\\nand "), "line breaks written as"), (lambda row: str(FIELD[row].split()), "lists of words")],
)  # fmt: skip
def test_breaks_and_lists_that_are_written_out_are_told(own, said, tmp_path):
    file = table(tmp_path / "a.csv", own)
    assert said in warned(file)


@pytest.mark.parametrize(
    "own", [lambda row: f"{FIELD[row]} C:\\new\\temp", lambda row: f"{FIELD[row]} \\nu \\to \\tau_{row}"]
)
def test_paths_and_formulas_hold_no_line_breaks(own, tmp_path):
    assert not warned(table(tmp_path / "a.csv", own))


def test_a_table_without_a_suffix_is_named(tmp_path):
    (tmp_path / "SMSCollection").write_text(
        "\n".join(f"{'ham' if row % 2 else 'spam'}\t{one}" for row, one in enumerate(FIELD))
    )
    with pytest.raises(DataError, match=r"SMSCollection .*end in \.tsv"):
        hf_ssl.load_data(tmp_path)
