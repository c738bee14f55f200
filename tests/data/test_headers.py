"""Tables without a header, in some files or in all: no row becomes a name, no name a row, and hints lose none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from follow import hints

from hf_ssl import load_data
from hf_ssl.core.errors import DataError


def rows(count: int, width: int, seed: int = 0) -> list[list[str]]:
    rng = random.Random(seed)
    made = []
    for number in range(count):
        text = " ".join(rng.choice("abcdefghij") * 3 for _ in range(7))
        made.append([str(number % 2), *(str(rng.randrange(2)) for _ in range(width - 2)), text])
    return made


def written(path: Path, content: list[list[str]], header: list[str] | None = None, mark: str = ",") -> None:
    lines = [*([header] if header else []), *content]
    path.write_text("\n".join(mark.join(line) for line in lines) + "\n")


def read(source: Path, **options: Any) -> Any:
    return load_data(str(source), verbose=False, **options)


def labeled(data: Any) -> int:
    return sum(len(data[split]) for split in data if split != "unlabeled")


@pytest.mark.parametrize("width", [2, 3, 6])
@pytest.mark.parametrize("mark", [",", "\t"])
def test_the_hint_for_a_table_without_header_keeps_every_row(tmp_path: Path, width: int, mark: str) -> None:
    file = tmp_path / ("a.tsv" if mark == "\t" else "a.csv")
    written(file, rows(60, width), mark=mark)
    with pytest.raises(DataError, match="names") as caught:
        read(file)
    hinted = next(dict(hint) for hint in hints(str(caught.value)) if "csv_options" in hint)
    names = hinted["csv_options"]["names"]
    assert len(names) == width and "header" not in hinted["csv_options"]
    data = read(file, **hinted, input_column=names[-1], label_column=names[0], ignore_columns=names[1:-1])
    assert labeled(data) == 60 and data.report["accounts"]["rows"]["found"] == 60


def test_a_first_row_that_is_given_as_a_header_is_told(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", rows(60, 2))
    data = read(tmp_path / "a.csv", csv_options={"names": ["label", "text"], "header": 0})
    assert labeled(data) == 59 and any("a row" in text for text in data.report["warnings"])
    written(tmp_path / "b.csv", rows(60, 2), ["label", "text"])
    for names in (["label", "text"], ["mark", "text"]):
        data = read(tmp_path / "b.csv", csv_options={"names": names, "header": 0}, label_column=names[0])
        assert labeled(data) == 60 and not data.report["warnings"]
    data = read(
        tmp_path / "b.csv",
        csv_options={"names": ["mark", "text"]},
        label_column="mark",
        validation_fraction=0,
        test_fraction=0,
    )
    assert labeled(data) == 61 and any("'header': 0" in text for text in data.report["warnings"])


@pytest.mark.parametrize("headed", [0, 1, 2])
@pytest.mark.parametrize("header", [["label", "text"], ["verdict", "review"]])
def test_a_header_in_some_files_only_names_the_columns_of_all(tmp_path: Path, headed: int, header: list[str]) -> None:
    for number in range(3):
        written(tmp_path / f"part-{number}.csv", rows(20, 2, seed=number), header if number == headed else None)
    named = {"label_column": header[0], "input_column": header[1]}
    data = read(tmp_path, **named)
    assert labeled(data) == 60 and set(data.label_names) == {"0", "1"}
    assert [text[:11] for text in data.report["warnings"]] == ["2 of 3 tabl"]
    said = read(tmp_path, **named, csv_options={"names": header})
    assert labeled(said) == 60 and set(said.label_names) == {"0", "1"} and not said.report["warnings"]


def test_other_tables_keep_their_own_names(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", rows(20, 2), ["label", "text"])
    written(tmp_path / "b.csv", rows(20, 2, seed=1), ["label", "comment"])
    assert not any("no header" in text for text in read(tmp_path / "a.csv").report["warnings"])
    assert labeled(read(tmp_path)) == 40


@pytest.mark.parametrize("mark", [" ", "\t"])
@pytest.mark.parametrize("middle", [[], ["NN"]])
def test_numbers_behind_tags_are_no_tags(tmp_path: Path, mark: str, middle: list[str]) -> None:
    sentences = [
        "\n".join(
            mark.join([word, *middle, "B-LOC" if place % 3 == 0 else "O", f"0.{number}{place}7"])
            for place, word in enumerate(row[-1].split())
        )
        for number, row in enumerate(rows(30, 2))
    ]
    (tmp_path / "a.conll").write_text("\n\n".join(sentences) + "\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.conll")
    hinted = dict(next(hint for hint in hints(str(caught.value)) if "conll_columns" in hint))
    assert hinted["conll_columns"] == [0, 1 + len(middle)]
    assert set(read(tmp_path / "a.conll", **hinted).label_names) == {"B-LOC", "O"}
