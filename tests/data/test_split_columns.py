"""A column that says the split of rows is followed, whatever it is called; what it does not say is told or asked, and leads on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

THREE = ["train"] * 26 + ["val"] * 4 + ["test"] * 10


def as_words(train: str, test: str, more: Sequence[str] = ()) -> list[str]:
    return [*more, *[train] * (28 - len(more)), *[test] * 12]


def load(column: str, values: Sequence[object], **options: object) -> DomainData:
    frame = pd.DataFrame({"text": texts(40), "label": labels(40), column: values})
    return load_data(frame, verbose=False, **options)


@pytest.mark.parametrize(
    ("column", "values", "test"),
    [
        ("split", THREE, 10),
        ("Dataset", THREE, 10),
        ("fold", THREE, 10),
        ("mode", as_words("train", "test"), 12),
        ("Usage", ["Training"] * 26 + ["PublicTest"] * 4 + ["PrivateTest"] * 10, 10),
        ("split", ["TR"] * 26 + ["VA"] * 4 + ["TE"] * 10, 10),
        ("part", as_words("Train ", " Test"), 12),
        ("part", as_words("train", "holdout"), 12),
        ("part", as_words("dev", "eval", ["train"] * 20), 12),
        ("part", as_words("train-00000", "test-00001"), 12),
        ("is_test", as_words("no", "yes"), 12),
        ("is_test_set", as_words("", "x"), 12),
        ("is_train", as_words("T", "F"), 12),
        ("is_holdout", as_words("0.0", "1.0"), 12),
        ("used_for_training", as_words("true", "false"), 12),
    ],
)
def test_followed_whatever_it_is_called(column: str, values: list[str], test: int) -> None:
    assert load(column, values).num_rows["test"] == test
    assert load(column, values, ignore_columns=[column]).num_rows["test"] == 8
    assert load(column, values, keep_columns=[column]).num_rows["test"] == test


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", as_words("train", "test", [""])),
        ("split", as_words("train", "test", ["trian"])),
        ("is_test", as_words("0", "1", [""])),
    ],
)
def test_rows_that_say_none_are_left_out_and_told(column: str, values: list[str]) -> None:
    data = load(column, values)
    assert data.num_rows["test"] == 12 and data.report["accounts"]["rows"]["used"] == 39
    assert any(f"ignore_columns=['{column}']" in text and "1 of 40" in text for text in data.report["warnings"])


@pytest.mark.parametrize(
    ("column", "values", "test"),
    [
        ("split", [0] * 26 + [1] * 4 + [2] * 10, 10),
        ("partition", ["A"] * 28 + ["B"] * 12, 12),
        ("split", as_words("train", "test", [""] * 10), 12),
        ("set", [*THREE[:30], *["holdout"] * 5, *["test"] * 5], 10),
    ],
)
def test_values_that_nobody_knows_are_asked_about(column: str, values: list[str], test: int) -> None:
    with pytest.raises(DataError) as error:
        load(column, values)
    ways = {name: hint for hint in hints(str(error.value)) for name in hint}
    assert load(column, values, **ways["split_names"]).num_rows["test"] == test
    assert load(column, values, **ways["ignore_columns"]).num_rows["test"] == 8


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("env", ["prod"] * 26 + ["dev"] * 4 + ["test"] * 10, True),
        ("env", as_words("dev", "test"), True),
        ("set", as_words("1", "2"), True),
        ("transport", as_words("train", "bus"), False),
        ("label_source", as_words("gold", "silver"), False),
    ],
)
def test_other_columns_are_not_followed(column: str, values: list[str], told: bool) -> None:
    data = load(column, values)
    assert data.num_rows["test"] == 8
    assert any(f"ignore_columns=['{column}']" in text for text in data.report["warnings"]) == told


def test_a_word_with_its_meaning_names_folders_too(tmp_path: Path) -> None:
    for place, text in enumerate(texts(40)):
        at = tmp_path / ("learn", "holdout")[place % 4 == 0] / ("good", "bad")[place // 4 % 2]
        at.mkdir(parents=True, exist_ok=True)
        (at / f"{place}.txt").write_text(text, encoding="utf-8")
    data = load_data(tmp_path, verbose=False, split_names=["learn=train", "holdout=test"])
    assert data.num_rows["test"] == 10 and data.label_names == ["bad", "good"]
    with pytest.raises(DataError, match="says no split"):
        load_data(tmp_path, verbose=False, split_names=["learn=trian"])


@pytest.mark.parametrize("name", ["train_folds.csv", "labels.csv", "train.csv"])
def test_numbers_of_folds_are_told_whatever_the_table_is_called(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"text": texts(40), "label": labels(40), "fold": [place % 5 for place in range(40)]})
    frame.to_csv(tmp_path / name, index=False)
    told = next(text for text in load_data(tmp_path, verbose=False).report["warnings"] if "'fold'" in text)
    whole, meant = hints(told)
    assert load_data(tmp_path, verbose=False, **whole).report["columns"]["group"] == "fold"
    assert not load_data(tmp_path, verbose=False, **meant).report["warnings"]
