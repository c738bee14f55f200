"""The guards on real text: how long they take, and that they find what is known to be there."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from hf_ssl import demo
from hf_ssl.core.errors import MissingExtraError
from hf_ssl.data import few_label_subset, load_data


@pytest.mark.slow
def test_whole_newsgroups_load_in_time_and_without_leaks() -> None:
    try:
        train, test = demo.newsgroups("train"), demo.newsgroups("test")
    except MissingExtraError as error:
        pytest.skip(str(error))
    start = time.perf_counter()
    data = load_data(train, test=test, verbose=False)
    seconds = time.perf_counter() - start
    leaks = {(leak["split"], leak["against"]): leak for leak in data.report["leaks"]}
    # Exact copies of Cachopo's split, and what 5-gram Jaccard >= 0.85 finds by comparing all pairs.
    assert 5 <= leaks["train", "test"]["exact"] <= 10 and 15 <= leaks["train", "test"]["near"] <= 30
    assert data.num_rows["test"] == len(test) > 7000
    assert len(data.label_names) == 20
    assert seconds < 60


def test_newsgroups_sample(newsgroups: dict[str, list[dict[str, Any]]]) -> None:
    data = load_data(newsgroups, verbose=False)
    assert data.num_rows["test"] == len(newsgroups["test"])
    assert data.report["describe"]["train"]["words_median"] > 20
    chosen = few_label_subset(data["train"], 2, incomplete="keep")
    assert max(Counter(data["train"][chosen]["label"]).values()) == 2


def test_newsgroups_folder(newsgroups_folder: Any) -> None:
    data = load_data(newsgroups_folder, verbose=False, validation_fraction=0)
    assert data.num_rows["train"] >= 70 and data.num_rows["test"] == 100 and data.num_rows["unlabeled"] > 250
    assert len(data.label_names) == 20


def test_brown_tags(brown: dict[str, list[dict[str, Any]]]) -> None:
    data = load_data(brown, verbose=False)
    assert data.label_kind == "tags" and "NOUN" in data.label_names
    for split in ("train", "validation", "test"):
        assert all(len(row["tokens"]) == len(row["tags"]) for row in data[split])
    assert data.num_rows["test"] == 100
