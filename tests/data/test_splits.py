"""Splits: stratified, grouped, deterministic; few labels per class; what cannot be split says why."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

import hf_ssl.data
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import DomainData, few_label_subset, load_data
from hf_ssl.data.report import DataReport
from hf_ssl.data.splits import split_rows

LABELLED = ("train", "validation", "test")


def rows(labels: list[Any], groups: list[Any] | None = None) -> list[dict[str, Any]]:
    rng = random.Random(0)
    made = []
    for number, label in enumerate(labels):
        row = {"text": " ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=15)) + f" n{number}", "label": label}
        made.append(row | ({"who": groups[number]} if groups else {}))
    return made


def load(source: Any, **options: Any) -> DomainData:
    return load_data(source, verbose=False, **options)


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_spread_evenly(seed: int) -> None:
    data = load(rows(["a"] * 200 + ["b"] * 80 + ["c"] * 20), seed=seed)
    assert [data.num_rows[split] for split in LABELLED] == [210, 30, 60]
    counts = {split: Counter(data[split]["label"]) for split in LABELLED}
    assert counts["test"] == {0: 40, 1: 16, 2: 4} and counts["validation"] == {0: 20, 1: 8, 2: 2}
    ids = [row_id for split in LABELLED for row_id in data[split]["id"]]
    assert len(set(ids)) == 300


def test_split_depends_on_the_seed_only() -> None:
    content = rows(["a", "b", "c"] * 40)
    first, again, other = load(content), load(content), load(content, seed=1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first["test"]["text"][:] == again["test"]["text"][:]
    assert set(first["test"]["text"]) != set(other["test"]["text"])


@pytest.mark.parametrize("seed", range(25))
def test_no_group_is_on_two_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, kind = int(rng.integers(60, 300)), ["class", "multilabel", "regression", "tags"][seed % 4]
    groups = [f"g{value}" for value in rng.zipf(1.6, count) % int(rng.integers(8, 40))]
    named = [f"c{value}" for value in rng.integers(0, 4, count)]
    labels: list[Any] = {
        "class": named,
        "multilabel": [[name] for name in named],
        "regression": rng.normal(size=count).tolist(),
        "tags": [[name] for name in named],
    }[kind]
    report = DataReport()
    splits = split_rows(labels, kind, groups, validation_fraction=0.1, test_fraction=0.2, seed=seed, report=report)
    assert sorted(row for found in splits.values() for row in found) == list(range(count))
    members = {name: {groups[row] for row in found} for name, found in splits.items()}
    assert all(members.values())
    assert not members["train"] & members["validation"]
    assert not members["train"] & members["test"]
    assert not members["validation"] & members["test"]
    assert splits == split_rows(
        labels, kind, groups, validation_fraction=0.1, test_fraction=0.2, seed=seed, report=report
    )


def test_grouped_split_keeps_classes_and_size() -> None:
    rng = np.random.default_rng(0)
    groups = [f"author{value}" for value in rng.integers(0, 60, 600)]
    data = load(rows([f"c{value}" for value in rng.integers(0, 5, 600)], groups), group_column="who")
    assert 90 <= data.num_rows["test"] <= 150 and 40 <= data.num_rows["validation"] <= 80
    assert all(len(set(data[split]["label"])) == 5 for split in LABELLED)
    assert data.report["groups"]["per_split"]["test"] == len(set(data["test"]["group"]))


@pytest.mark.parametrize("seed", range(10))
def test_grouped_split_does_not_take_a_rare_class_from_train(seed: int) -> None:
    groups = [f"g{number // 10}" for number in range(120)]
    labels = ["rare" if number // 10 in {3, 7} and number % 10 < 3 else "ab"[number % 2] for number in range(120)]
    report = DataReport()
    splits = split_rows(labels, "class", groups, validation_fraction=0, test_fraction=0.25, seed=seed, report=report)
    assert {labels[row] for row in splits["train"]} == {labels[row] for row in splits["test"]} == {"a", "b", "rare"}


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    data = load(rows(["a", "b"] * 30, ["x", None] * 30), group_column="who", validation_fraction=0)
    assert sum("x" in data[split]["group"] for split in ("train", "test")) == 1
    assert any("30 of 60 rows have no who" in text for text in data.report["warnings"])


def test_groups_that_the_source_itself_splits() -> None:
    source = {"train": rows(["a", "b"] * 20, [f"g{n // 4}" for n in range(40)])}
    source["test"] = [{**row, "text": row["text"] + " other words here now"} for row in source["train"][:8]]
    data = load(source, group_column="who", validation_fraction=0)
    assert data.num_rows["train"] == 32 and data.num_rows["test"] == 8
    assert not set(data["train"]["group"]) & set(data["test"]["group"])
    assert any("2 groups (8 rows) of train" in text for text in data.report["warnings"])
    with pytest.raises(DataError, match="2 groups .8 rows. of train"):
        load(source, group_column="who", leakage="fail", validation_fraction=0)
    kept = load(source, group_column="who", leakage="allow", validation_fraction=0, near_duplicates=False)
    assert kept.num_rows["train"] == 40


def test_groups_of_the_pool_are_reported_and_kept() -> None:
    pool = [{"text": f"pool text number {n} with more words {n * 7}", "who": f"g{n}"} for n in range(10)]
    data = load(rows(["a", "b"] * 20, [f"g{n // 2}" for n in range(40)]), unlabeled=pool, group_column="who")
    held = set(data["test"]["group"]) | set(data["validation"]["group"])
    shared = [row for row in data["unlabeled"] if row["group"] in held]
    assert data.num_rows["unlabeled"] == 10 and shared
    assert data.report["groups"]["shared"]["unlabeled"]["rows"] == len(shared)
    assert any("validation or test; kept" in text for text in data.report["warnings"])


def test_singletons_stay_in_train() -> None:
    data = load(rows(["a"] * 40 + ["b"] * 40 + ["lonely"]))
    lonely = data.label_names.index("lonely")
    assert lonely in data["train"]["label"] and lonely not in data["test"]["label"]
    assert sum("lonely" in text for text in data.report["warnings"]) == 2  # test and validation


def test_small_tests_still_have_every_class() -> None:
    data = load(rows([f"c{n % 10:02}" for n in range(40)]))
    assert [data.num_rows[split] for split in LABELLED] == [20, 10, 10]
    assert any("test: 10 rows instead of 8" in text for text in data.report["decisions"])


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"] * 20, {}, "the same class"),
        ([f"c{n}" for n in range(20)], {}, "20 labeled rows of 20 classes are too few to split off test"),
        (["a", "b"], {}, "too few"),
    ],
)
def test_what_cannot_be_split(labels: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(rows(labels), **options)


@pytest.mark.parametrize("fractions", [{"test_fraction": 1.0}, {"test_fraction": 0.6, "validation_fraction": 0.5}])
def test_fractions_that_leave_nothing_are_refused_before_reading(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="test_fraction"):
        load("nowhere", **fractions)


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(DataError, match="of one group"):
        load(rows(["a", "b"] * 20, ["x"] * 40), group_column="who")


def test_labels_that_train_has_no_example_of() -> None:
    content = rows(["a", "b"] * 10 + ["z"])
    with pytest.raises(DataError, match="test has 1 labels.*: z"):
        load(content[:20], test=content[20:], validation_fraction=0)
    many = [{"text": row["text"], "label": [row["label"]]} for row in content]
    data = load(many[:20], test=many[20:], validation_fraction=0)
    assert any("test has 1 labels" in text and text.endswith(": z") for text in data.report["warnings"])
    with pytest.raises(DataError, match="none to train on"):
        load({"test": content, "unlabeled": rows([None] * 3)})
    with pytest.raises(DataError, match="only validation and test"):
        load({"test": [{"text": "held out"}]})


def test_fractions_of_zero_make_no_split_and_given_splits_are_kept() -> None:
    content = rows(["a", "b"] * 50)
    assert load(content, validation_fraction=0, test_fraction=0).num_rows == {"unlabeled": 100, "train": 100}
    data = load({"train": content[:80], "test": content[80:]}, validation_fraction=0.25)
    assert data.num_rows == {"unlabeled": 60, "train": 60, "validation": 20, "test": 20}


def classes(counts: dict[str, int], shuffle: int | None = None) -> datasets.Dataset:
    names = [name for name, count in counts.items() for _ in range(count)]
    made = {"id": [f"{name}{number}" for number, name in enumerate(names)], "label": names}
    table = datasets.Dataset.from_dict(made).cast_column("label", datasets.ClassLabel(names=sorted(counts)))
    return table if shuffle is None else table.shuffle(seed=shuffle)


@pytest.mark.parametrize("seed", range(4))
def test_few_label_subsets_are_nested_balanced_and_independent_of_order(seed: int) -> None:
    table = classes({"a": 100, "b": 70, "c": 64})
    subsets = {k: few_label_subset(table, k, seed) for k in (1, 4, 16, 64)}
    for k, chosen in subsets.items():
        assert len(set(chosen)) == 3 * k
        assert Counter(table[row]["label"] for row in chosen) == {0: k, 1: k, 2: k}
        assert subsets[64][: 3 * k] == chosen
    shuffled = classes({"a": 100, "b": 70, "c": 64}, shuffle=seed + 1)
    again = few_label_subset(shuffled, 16, seed)
    assert [shuffled[row]["id"] for row in again] == [table[row]["id"] for row in subsets[16]]
    assert few_label_subset(table, 4, seed + 1) != subsets[4]


def test_few_label_subset_of_a_short_class() -> None:
    table = classes({"a": 10, "b": 3})
    with pytest.raises(DataError, match=r"1 classes have fewer than 4 examples: b \(3\)"):
        few_label_subset(table, 4)
    with pytest.warns(UserWarning, match="fewer than 4"):
        chosen = few_label_subset(table, 4, incomplete="keep")
    assert Counter(table[row]["label"] for row in chosen) == {0: 4, 1: 3}
    with pytest.raises(DataError, match="at least 1"):
        few_label_subset(table, 0)
    with pytest.raises(DataError, match="a column 'label' of classes"):
        few_label_subset(datasets.Dataset.from_dict({"label": [0.5]}), 1)


def test_fingerprint_sees_content_order_and_nothing_else(tmp_path: Any) -> None:
    content = rows(["a", "b"] * 20)
    splits = {"train": content[:30], "test": content[30:]}

    def fingerprint(**changed: Any) -> str:
        return load({**splits, **changed}, validation_fraction=0).fingerprint

    base = fingerprint()
    assert fingerprint(train=[*reversed(content[:30])]) != base
    assert fingerprint(train=[{**content[0], "text": content[0]["text"].upper()}, *content[1:30]]) != base
    assert fingerprint(train=[{**content[0], "label": "b"}, *content[1:30]]) != base
    assert fingerprint(train=content[:29]) != base
    moved = content[0]["text"] + content[1]["text"][:1]
    shifted = [{**content[0], "text": moved}, {**content[1], "text": content[1]["text"][1:]}, *content[2:30]]
    assert fingerprint(train=shifted) != base
    # Chunks and index mappings of Arrow are no content.
    table = datasets.Dataset.from_list(content[:30])
    pieces = datasets.concatenate_datasets([table.select(range(0, 7)), table.select(range(7, 30))])
    mapped = datasets.Dataset.from_list(content[29::-1]).select(range(29, -1, -1))
    assert fingerprint(train=pieces) == fingerprint(train=mapped) == base


def test_fingerprint_and_splits_are_the_same_in_every_process() -> None:
    code = (
        "from hf_ssl.data import load_data\n"
        "rows = [{'text': f'text number {n} of {n * n} and {n % 7}', 'label': 'ab'[n % 2], 'who': str(n // 3)}"
        " for n in range(90)]\n"
        "data = load_data(rows, group_column='who', verbose=False)\n"
        "print(data.fingerprint, data['test']['id'][:3])"
    )
    outputs = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**_environment(), "PYTHONHASHSEED": hash_seed},
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(str(hf_ssl.data.__file__)).parents[2])}


@pytest.mark.parametrize("seed", range(5))
def test_every_part_has_every_class_where_each_has_groups_enough(seed: int) -> None:
    """Ten authors of one class each: a tenth of the rows is one author, which cannot hold both classes."""
    groups = [f"author {number // 6}" for number in range(60)]
    data = load(rows(["ab"[number // 30] for number in range(60)], groups), group_column="who", seed=seed)
    assert all(set(data[split]["label"]) == {0, 1} for split in LABELLED)
    assert not any("classes" in text for text in data.report["warnings"])
    assert len({group for split in LABELLED for group in set(data[split]["group"])}) == 10
    again = load(rows(["ab"[number // 30] for number in range(60)], groups), group_column="who", seed=seed)
    assert again.fingerprint == data.fingerprint


def test_a_class_that_a_part_lacks_is_named_and_the_advice_works() -> None:
    groups = [f"author {number // 12}" for number in range(72)]
    source = rows(["abc"[number // 24] for number in range(72)], groups)  # two authors a class, and three parts
    data = load(source, group_column="who")
    for split in ("validation", "test"):
        missing = {"a", "b", "c"} - {data.label_names[label] for label in data[split]["label"]}
        told = [text for text in data.report["warnings"] if text.startswith(f"{split} has no row")]
        assert missing and all(repr(name) in told[0] for name in missing) and "validation_fraction=0" in told[0]
    fewer = load(source, group_column="who", validation_fraction=0)
    assert set(fewer["test"]["label"]) == set(fewer["train"]["label"]) == {0, 1, 2}
    assert not any("has no row" in text for text in fewer.report["warnings"])


def test_a_class_that_given_test_data_lack_is_named() -> None:
    made = rows(["a", "b", "c"] * 20)
    source = {"train": made[:45], "test": [row for row in made[45:] if row["label"] != "c"]}
    told = [text for text in load(source).report["warnings"] if "has no row" in text]
    assert len(told) == 1 and told[0].startswith("test") and "'c'" in told[0]


def test_a_rare_class_of_rows_is_in_every_part() -> None:
    data = load(rows(["a"] * 150 + ["b"] * 147 + ["rare"] * 3))
    rare = data.label_names.index("rare")
    assert all(list(data[split]["label"]).count(rare) == 1 for split in LABELLED)
