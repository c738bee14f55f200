"""Columns of what several people said of each row, and columns of few values that may be the label: asked about or told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sentences import text

import hf_ssl
from hf_ssl.core.errors import DataError


def table(folder: Path, header: list[str], row: Callable[[int], list[object]], count: int = 60) -> Path:
    file = folder / "data.csv"
    lines = [",".join(["text", *header]), *(",".join([text(n), *map(str, row(n))]) for n in range(count))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def judged(values: tuple[object, ...], columns: int) -> Callable[[int], list[object]]:
    """Each column says the same in four rows of five."""

    def row(n: int) -> list[object]:
        own, other = values[7 * n % len(values)], values[(7 * n + 1) % len(values)]
        return [own, *(other if (n + place) % 5 == 0 else own for place in range(1, columns))]

    return row


def warnings_of(file: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(file, verbose=False, **options).report["warnings"])


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (["rater1", "rater2"], ("bad", "good")),
        (["annotator_1", "annotator_2", "annotator_3"], (1, 2, 3)),
        (["coder_a", "coder_b"], (0, 1)),
        (["Codierer1", "Codierer2"], ("ja", "nein")),
        (["worker_12", "worker_34"], ("hate", "fine")),
        (["expert1_label", "expert2_label"], ("mild", "severe")),
        (["标注员1", "标注员2"], ("好", "坏")),
    ],
)
def test_several_judges_are_asked_about(header: list[str], values: tuple[object, ...], tmp_path: Path) -> None:
    file = table(tmp_path, header, judged(values, len(header)))
    with pytest.raises(DataError, match=r"differ in \d+ of 60 rows") as error:
        hf_ssl.load_data(file, verbose=False)
    said = str(error.value)
    column = re.search(r"label_column='(.*?)'", said)
    assert column is not None and f"ignore_columns={header}" in said
    read = hf_ssl.load_data(file, verbose=False, label_column=column[1])
    assert sorted(read["train"].features["label"].names) == sorted(map(str, values))
    assert list(hf_ssl.load_data(file, verbose=False, ignore_columns=header)) == ["unlabeled"]


def test_what_holds_in_the_end_is_offered(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        ["labeler1", "labeler2", "majority"],
        lambda n: [*judged(("bad", "good"), 2)(n), ("bad", "good")[n % 2]],
    )
    with pytest.raises(DataError, match="label_column='majority'"):
        hf_ssl.load_data(file, verbose=False)
    assert len(hf_ssl.load_data(file, verbose=False, label_column="majority")["train"]) == 42


def test_an_empty_field_of_the_first_judge_is_no_answer(tmp_path: Path) -> None:
    said = judged(("bad", "good"), 3)
    file = table(
        tmp_path, ["rater1", "rater2", "rater3"], lambda n: ["", "bad", "good"] if n == 0 else [said(n)[0]] * 3
    )
    with pytest.raises(DataError, match=r"1 of 60 rows \(such as 'bad' and 'good'\)"):
        hf_ssl.load_data(file, verbose=False)


def test_judges_of_different_rows_are_asked_about(tmp_path: Path) -> None:
    words = ("bad", "good", "fine")
    file = table(
        tmp_path, ["annotator1", "annotator2"], lambda n: [words[n % 3], ""] if n < 30 else ["", words[n % 3]]
    )
    with pytest.raises(DataError, match="label_column='annotator1'.*ignore_columns="):
        hf_ssl.load_data(file, verbose=False)
    read = hf_ssl.load_data(file, verbose=False, label_column="annotator1")
    assert sum(len(read[split]) for split in ("train", "validation", "test")) == 30


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (lambda n: 3 * [("bad", "good")[n % 2]], True), (lambda n: ["bad", "good", ("bad", "good")[n % 2]], True),
        (lambda n: ["bad", "good"][: n % 2 + 1], False), (lambda n: [1.0, float(n % 2), 0.0], False),
    ],
)  # fmt: skip
def test_lists_of_votes_are_told(labels: Callable[[int], list[object]], told: bool, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(
        "\n".join(json.dumps({"text": text(n), "labels": labels(n)}) for n in range(60)) + "\n", encoding="utf-8"
    )
    assert ("60 of 60 lists" in warnings_of(file)) == told


@pytest.mark.parametrize("header", [["anna", "bernd"], ["A1", "A2"]])
def test_columns_that_agree_are_told_in_one(header: list[str], tmp_path: Path) -> None:
    said = warnings_of(table(tmp_path, header, judged(("bad", "good"), 2)))
    assert said.count("label_column=") == 1 and f"ignore_columns={header}" in said


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["rater1_id", "rater2_id"], lambda n: [f"r{n % 3}", f"r{(n + 1) % 3}"]),
        (["place", "kind"], lambda n: [("north", "south")[n % 2], ("shop", "home")[n // 2 % 2]]),
        (["first", "second"], lambda n: [n % 3, n // 3 % 3]),
    ],
)
def test_columns_that_say_different_things_are_no_judges(
    header: list[str], row: Callable[[int], list[object]], tmp_path: Path
) -> None:
    assert "several people" not in warnings_of(table(tmp_path, header, row))


@pytest.mark.parametrize("labeled", [30, 60])
def test_a_judge_that_says_the_label_is_no_group(labeled: int, tmp_path: Path) -> None:
    words = ("bad", "good")
    file = table(tmp_path, ["rater1", "label"], lambda n: [words[n % 2], words[n % 2] if n < labeled else ""])
    assert "group" not in (said := warnings_of(file))
    assert ("30 of 60 rows" in said and "label_column='rater1'" in said) == (labeled == 30)


@pytest.mark.parametrize("name", ["verdict", "flag", "decision"])
def test_good_and_bad_may_be_the_label(name: str, tmp_path: Path) -> None:
    file = table(tmp_path, [name], lambda n: [("bad", "good")[n % 2]])
    with pytest.raises(DataError, match=f"label_column='{name}'"):
        hf_ssl.load_data(file, verbose=False)
    assert hf_ssl.load_data(file, verbose=False, label_column=name)["train"].features["label"].names == ["bad", "good"]


@pytest.mark.parametrize(
    ("name", "values"), [("country", ("NA", "DE", "FR")), ("language", ("de", "en")), ("gender", ("f", "m"))]
)
def test_the_only_other_column_is_told(name: str, values: tuple[str, ...], tmp_path: Path) -> None:
    file = table(tmp_path, [name], lambda n: [values[n % len(values)]])
    assert f"label_column='{name}'" in warnings_of(file)
    assert "label_column" not in warnings_of(file, ignore_columns=[name])
    read = hf_ssl.load_data(file, verbose=False, label_column=name)
    assert read["train"].features["label"].names == sorted(values)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["source"], lambda n: [("web", "mail")[n % 2]]),
        (["date"], lambda n: [f"2024-01-{n % 5 + 1:02}"]),
        (["language", "label"], lambda n: [("de", "en")[n % 2], ("bad", "good")[n // 2 % 2]]),
        (["language", "country"], lambda n: [("de", "en")[n % 2], ("DE", "UK")[n // 2 % 2]]),
    ],
)
def test_what_tells_of_texts_stays_quiet(
    header: list[str], row: Callable[[int], list[object]], tmp_path: Path
) -> None:
    assert warnings_of(table(tmp_path, header, row)) == ""


def test_rows_of_two_labels_are_told_with_both(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    rows = [f"{text(n)},{('bad', 'good')[n % 2]}" for n in range(60)]
    again = [f"{text(n)},{('good', 'bad')[n % 2]}" for n in range(6)]
    file.write_text("\n".join(["text,label", *rows, *again]) + "\n", encoding="utf-8")
    said = warnings_of(file)
    assert re.search(r"6 rows .* different labels, .*'bad' and 'good' \(id \w+\)", said)


def decided(file: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(file, verbose=False, **options).report["decisions"])


def test_a_label_that_is_left_aside_is_told(tmp_path: Path) -> None:
    file = table(tmp_path, ["sentiment"], lambda n: [("bad", "good")[n % 2]])
    assert "'sentiment'" in decided(file, ignore_columns=["sentiment"])
    assert "sentiment" not in decided(table(tmp_path, ["note"], lambda n: [n]), ignore_columns=["note"])


@pytest.mark.parametrize("word", ["NA", "none", "null", "n/a"])
def test_a_missing_word_that_may_be_a_class_is_told_both_ways(word: str, tmp_path: Path) -> None:
    file = table(tmp_path, ["label"], lambda n: [(word, "rust", "leak")[n % 3]])
    assert f"20 are {word!r}" in warnings_of(file) and f"na_values=[{word!r}]" in warnings_of(file)
    assert f"20 are {word!r}" in decided(file, na_values=[word])
    assert hf_ssl.load_data(file, verbose=False, na_values=[word])["train"].features["label"].names == ["leak", "rust"]


def test_a_class_called_nan_is_not_lost(tmp_path: Path) -> None:
    file = table(tmp_path, ["label"], lambda n: [("nan", "rust")[n % 2]])
    with pytest.raises(DataError, match=r"30 labels .*na_values=\['empty'\]"):
        hf_ssl.load_data(file, verbose=False)
    read = hf_ssl.load_data(file, verbose=False, na_values=["empty"])
    assert read["train"].features["label"].names == ["nan", "rust"]
