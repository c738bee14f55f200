"""Kinds of labels: never guessed from a dtype, named and ordered by the data."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import DomainData, load_data
from hf_ssl.data.labels import sort_names


def text(number: int) -> str:
    rng = random.Random(number)
    return " ".join(rng.choice("abcdefghijklmnop") * 3 for _ in range(12)) + f" n{number}"


def load(labels: list[Any], **options: Any) -> DomainData:
    content = [{"text": text(number), "label": label} for number, label in enumerate(labels)]
    return load_data(content, verbose=False, **options)


def label_of(data: DomainData) -> dict[str, Any]:
    return {row["text"]: row["label"] for split in ("train", "validation", "test") for row in data[split]}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a"], ["a", "b"]),
        ([10, 9], ["9", "10"]),
        (["10", "9", "-1"], ["-1", "9", "10"]),
        ([True, False], ["False", "True"]),
        ([" x ", "x", "y"], ["x", "y"]),
    ],
)
def test_class_names_and_their_order(labels: list[Any], names: list[str]) -> None:
    data = load(labels * 20)
    assert data.label_kind == "class" and data.label_names == names
    assert all(data[split].features["label"].names == names for split in ("train", "validation", "test"))
    expected = {text(number): names.index(str(label).strip()) for number, label in enumerate(labels * 20)}
    assert label_of(data) == expected
    assert data.label_names == load(list(reversed(labels * 20))).label_names
    assert any(decision.startswith("label_kind=class, because") for decision in data.report["decisions"])


def test_names_sort_the_same_way_always() -> None:
    assert sort_names(["10", "2", "1.5"]) == ["1.5", "2", "10"]
    assert sort_names(["B-X", "O", "A"], "tags") == ["O", "A", "B-X"]
    assert sort_names(["O", "A"]) == ["A", "O"]


@pytest.mark.parametrize("labels", [[0.5, 1.5], ["0.5", "2"], [0.0, 1.0]])
def test_numbers_leave_the_kind_open(labels: list[Any]) -> None:
    with pytest.raises(DataError, match="label_kind='regression'.*label_kind='class'"):
        load(labels * 20)
    regression = load(labels * 20, label_kind="regression")
    assert regression["train"].features["label"] == datasets.Value("float32")
    assert regression.label_names == [] and regression.report["classes"] == {}
    assert label_of(regression) == {text(number): float(label) for number, label in enumerate(labels * 20)}


def test_pandas_class_numbers_beside_empty_cells() -> None:
    frame = pd.DataFrame({"text": [text(number) for number in range(60)], "label": [0, 1, None] * 20})
    with pytest.raises(DataError, match="pandas turns"):
        load_data(frame, verbose=False)
    data = load_data(frame, label_kind="class", verbose=False)
    assert data.label_names == ["0", "1"] and data.num_rows["unlabeled"] == 20 + data.num_rows["train"]
    with pytest.raises(DataError, match="label is 0.5"):
        load([0.5, 1.0] * 20, label_kind="class")


@pytest.mark.parametrize(
    "labels",
    [
        [["a", "c"], ["b"], []],
        ["a|c", "b", "c|a"],
        [["c", "a"], "b"],
    ],
)
def test_multilabel_is_multi_hot_float32(labels: list[Any]) -> None:
    if not all(isinstance(label, type(labels[0])) for label in labels):
        labels = [[label] if isinstance(label, str) else label for label in labels]
    data = load(labels * 20, label_kind="multilabel")
    names = data.label_names
    assert names == sorted({"a", "b", "c"}) and data.label_kind == "multilabel"
    assert data["train"].features["label"] == datasets.List(datasets.Value("float32"))
    for number, label in enumerate(labels * 20):
        chosen = set(label.split("|") if isinstance(label, str) else label)
        assert label_of(data)[text(number)] == [float(name in chosen) for name in names]


def test_lists_are_multilabel_by_themselves_but_text_is_not() -> None:
    assert load([["a"], ["a", "b"]] * 20).label_kind == "multilabel"
    data = load(["a|b", "a"] * 20)
    assert data.label_kind == "class" and data.label_names == ["a", "a|b"]
    assert any("label_kind='multilabel'" in warning for warning in data.report["warnings"])


def test_multi_hot_input_is_understood() -> None:
    data = load([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]] * 20)
    assert data.label_names == ["0", "1", "2"]
    assert label_of(data)[text(0)] == [1.0, 0.0, 1.0]
    assert load([[0, 1, 1], [1, 0, 0]] * 20).label_names == ["0", "1", "2"]
    assert load([[0, 2], [1]] * 20).label_names == ["0", "1", "2"]  # class numbers
    inner = datasets.List(datasets.ClassLabel(names=["z", "y"]))
    table = datasets.Dataset.from_dict(
        {"text": [text(number) for number in range(40)], "label": [[0, 1], [1]] * 20},
        features=datasets.Features({"text": datasets.Value("string"), "label": inner}),
    )
    data = load_data(table, verbose=False)
    assert data.label_names == ["z", "y"] and label_of(data)[text(1)] == [0.0, 1.0]


def test_kind_errors() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        load(["a", "b"] * 20, label_kind="regresion")
    with pytest.raises(DataError, match="'many' .row 1., not numbers"):
        load(["1", "many"] * 20, label_kind="regression")
    with pytest.raises(DataError, match="label.a"):
        load([{"a": 1}] * 20)
    with pytest.raises(DataError, match="not go with tokens_column"):
        load(["a", "b"] * 20, label_kind="class", tokens_column="tokens")


def test_class_label_with_all_parts_alike_keeps_its_order_else_sorted() -> None:
    def table(names: list[str], seed: int) -> datasets.Dataset:
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        content = {"text": [text(seed + number) for number in range(20)], "label": [0, 1] * 10}
        return datasets.Dataset.from_dict(content, features=features)

    alike = load_data({"train": table(["z", "a"], 0), "test": table(["z", "a"], 100)}, verbose=False)
    assert alike.label_names == ["z", "a"]
    mixed = load_data({"train": table(["z", "a"], 0), "test": table(["a", "z"], 100)}, verbose=False)
    assert mixed.label_names == ["a", "z"]
    # The number means the same name on both sides, although the sources disagreed.
    assert [mixed.label_names[label] for label in mixed["test"]["label"]] == ["a", "z"] * 10


def test_a_column_of_labels_with_none_in_it() -> None:
    data = load([None, ""] * 10)
    assert list(data) == ["unlabeled"]
    assert any("no row has" in warning for warning in data.report["warnings"])


def test_regression_split_covers_the_range() -> None:
    rng = np.random.default_rng(0)
    data = load([float(value) for value in rng.lognormal(size=200)], label_kind="regression")
    held, train = np.array(data["test"]["label"]), np.array(data["train"]["label"])
    for quantile in (0.2, 0.5, 0.8):
        assert abs((held <= np.quantile(train, quantile)).mean() - quantile) < 0.08


@pytest.mark.parametrize(
    ("joy", "told", "pooled"),
    [
        ([0] * 40, "no row has the label 'joy'", 0),
        ([n % 3 - 1 for n in range(40)], "na_values=['-1']", 14),
        (["" if n % 4 == 1 else str(n % 2) for n in range(40)], "na_values=['empty']", 10),
        ([-1] * 40, "no row has the label 'joy'", 0),
        (["x" if n % 4 == 1 else "" for n in range(40)], "na_values=['empty']", 30),
    ],
)
def test_columns_of_labels_lose_no_class_and_guess_nothing_in_silence(joy: list[Any], told: str, pooled: int) -> None:
    frame = pd.DataFrame({"text": list(map(text, range(40))), "joy": joy, "fear": [n // 2 % 2 for n in range(40)]})
    options: dict[str, Any] = {"label_columns": ["joy", "fear"], "test_fraction": 0, "validation_fraction": 0}
    data = load_data(frame, verbose=False, **options)
    assert data.label_names == ["fear", "joy"] and data.num_rows["train"] == 40
    assert any(told in said for said in data.report["warnings"])
    if pooled:
        words = ["-1"] if "-1" in told else ["empty"]
        assert load_data(frame, verbose=False, na_values=words, **options).num_rows["train"] == 40 - pooled


def test_labels_are_no_times() -> None:
    times = [{"text": text(n), "label": dt.timedelta(hours=n)} for n in range(40)]
    with pytest.raises(DataError, match="needs numbers"):
        load_data(times, verbose=False, label_kind="regression")
