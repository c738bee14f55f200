"""Nothing of validation or test is trained on: exact and near copies are found, removed, refused or announced."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import DomainData, load_data, open_test
from hf_ssl.data.leakage.near_text import NearIndex, hash_pieces, jaccard, search_all
from hf_ssl.modalities.text.text import Text

WORDS = [a + b for a in "bcdfghjklmnpqrstvwz" for b in ("ab", "en", "ir", "ok", "um", "ys", "at", "el")]


def document(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def changed(text: str, position: int = 5) -> str:
    """One word replaced: 5 of 56 shingles differ, Jaccard 51 / 61 = 0.836."""
    words = text.split()
    words[position] = "REPLACED"
    return " ".join(words)


def rows(seeds: range, label: bool = True) -> list[dict[str, Any]]:
    return [{"text": document(seed), **({"label": "ab"[seed % 2]} if label else {})} for seed in seeds]


def load(source: Any, **options: Any) -> DomainData:
    return load_data(source, verbose=False, **{"validation_fraction": 0, "normalize": "words", **options})


def leaky() -> dict[str, list[dict[str, Any]]]:
    """Test rows 100-109; train and pool hold exact copies (as written, and as normalized) and a near copy."""
    train = rows(range(20))
    train += [{"text": document(100).upper() + " !", "label": "a"}, {"text": changed(document(101), 0), "label": "b"}]
    pool = rows(range(200, 230), label=False) + [{"text": document(102)}, {"text": changed(document(103), 59)}]
    return {"train": train, "unlabeled": pool, "test": rows(range(100, 110))}


def test_copies_of_test_are_removed_from_train_and_pool_never_from_test() -> None:
    data = load(leaky())
    assert data.num_rows == {"unlabeled": 30, "train": 20, "test": 10}
    assert set(data["train"]["text"]) == {document(seed) for seed in range(20)}
    assert set(data["unlabeled"]["text"]) == {document(seed) for seed in range(200, 230)}
    leaks = {leak["split"]: leak for leak in data.report["leaks"]}
    for split in ("train", "unlabeled"):
        assert (leaks[split]["exact"], leaks[split]["near"], leaks[split]["against"]) == (1, 1, "test")
        assert len(leaks[split]["ids"]) == 2
    assert "1 exact and 1 near copies" in data.report_text()
    told = [text for text in data.report["warnings"] if "validation or test" in text]
    assert len(told) == 2, "what was removed, once a part"


def test_only_exact_copies_without_near_duplicates_and_the_threshold_counts() -> None:
    assert load(leaky(), near_duplicates=False).num_rows["train"] == 21
    middle = {**leaky(), "train": rows(range(20)) + [{"text": changed(document(101), 30), "label": "b"}]}
    assert load(middle, near_threshold=0.84).num_rows["train"] == 21  # the pair has 51 / 61 = 0.836
    assert load(middle, near_threshold=0.83).num_rows["train"] == 20


def test_a_row_like_one_of_validation_and_one_of_test_is_warned_of_once() -> None:
    def row(text: str, label: str) -> dict[str, Any]:
        return {"text": text, "label": label}

    base = document(100)  # of 60 words: a change at an end leaves it near
    twin, copy = changed(base, 59), changed(document(101), 59)
    source = {
        "train": [*rows(range(20)), row(twin, "b"), row(copy, "b")],
        "validation": [*rows(range(50, 55)), row(changed(base, 0), "a"), row(changed(document(101), 0), "a")],
        "test": [*rows(range(60, 65)), row(base, "a"), row(document(101), "b")],
    }
    data = load(source, near_threshold=0.8)
    assert twin in data["train"]["text"], "another label on both sides: a minimal pair is kept"
    assert copy not in data["train"]["text"], "the label of its test row: a copy"
    told = [text for text in data.report["warnings"] if "another label" in text and "of train" in text]
    assert len(told) == 1 and told[0].startswith("1 row"), "what is removed is not called kept"


def test_fail_and_allow() -> None:
    with pytest.raises(DataError, match="2 rows of unlabeled.* test; 2 rows of train.* test"):
        load(leaky(), leakage="fail")
    with pytest.warns(UserWarning, match="TRANSDUCTIVE: 2 rows of unlabeled"):
        data = load(leaky(), leakage="allow")
    assert data.num_rows["train"] == 22 and data.num_rows["unlabeled"] == 32
    assert any("TRANSDUCTIVE" in text for text in data.report["warnings"])
    assert "WARNING      TRANSDUCTIVE" in data.report_text() and "KEPT in train" in data.report_text()
    clean = {"train": rows(range(20)), "test": rows(range(100, 110))}
    assert load(clean, leakage="fail").report["leaks"] == []
    with pytest.raises(ConfigError, match="Did you mean 'strip'"):
        load(clean, leakage="stripe")
    with pytest.raises(ConfigError, match="near_threshold"):
        load(clean, near_threshold=0)


def test_validation_is_checked_too_and_loses_rows_of_test() -> None:
    source = {
        "train": [*rows(range(20)), rows(range(50, 51))[0]],
        "validation": [*rows(range(50, 60)), rows(range(100, 101))[0]],
        "test": rows(range(100, 110)),
    }
    data = load(source)
    assert data.num_rows == {"unlabeled": 20, "train": 20, "validation": 10, "test": 10}
    assert {(leak["split"], leak["against"]) for leak in data.report["leaks"]} == {
        ("train", "validation"),
        ("validation", "test"),
    }


def test_the_pool_made_of_train_is_clean_too() -> None:
    source = leaky()
    del source["unlabeled"]
    data = load(source)
    assert set(data["unlabeled"]["text"]) == {document(seed) for seed in range(20)}


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match="left of train"):
        load({"train": rows(range(10)), "test": rows(range(10))})


def test_pairs_leak_as_pairs() -> None:
    def pair(a: int, b: int) -> dict[str, Any]:
        return {"text": document(a), "text_pair": document(b), "label": "ab"[a % 2]}

    source = {"train": [pair(n, n + 500) for n in range(20)], "test": [pair(n, n + 600) for n in range(20, 30)]}
    source["train"] += [pair(20, 777), pair(21, 621)]
    data = load(source)
    assert data.num_rows["train"] == 21  # (20, 777) shares one side only
    assert data.report["leaks"][0]["exact"] == 1


def test_duplicates_and_conflicts() -> None:
    content = rows(range(40)) + rows(range(6)) + [{"text": document(7).title(), "label": "a"}]
    pool = [{"text": document(300)}, {"text": document(300) + " ."}, {"text": document(301)}]
    data = load({"train": content, "unlabeled": pool, "test": rows(range(100, 110)) + rows(range(100, 102))})
    assert data.num_rows == {"unlabeled": 2, "train": 40, "test": 12}
    duplicates = data.report["duplicates"]
    assert duplicates["train"]["rows"] == 7 and duplicates["train"]["removed"]
    assert duplicates["train"]["conflicts"] == 1 and len(duplicates["train"]["conflict_ids"]) == 1
    assert duplicates["unlabeled"]["rows"] == 1
    assert duplicates["test"] == {"rows": 2, "removed": False, "conflicts": 0, "conflict_ids": []}
    assert len(set(data["test"]["id"])) == 12  # a repeated text has ids of its own
    kept = load({"train": content, "test": rows(range(100, 110))}, dedup=False)
    assert kept.num_rows["train"] == 47 and kept.report["duplicates"]["train"]["rows"] == 7


@pytest.mark.parametrize("seed", range(5))
def test_copies_never_straddle_a_split_that_is_made_here(seed: int) -> None:
    content = rows(range(60)) + rows(range(30))
    data = load(content, seed=seed, dedup=bool(seed % 2), validation_fraction=0.1)
    for split in ("train", "unlabeled", "validation"):
        assert not set(data[split]["text"]) & set(data["test"]["text"])
    if seed % 2:  # repeated rows go before the split, so test has none of them either
        assert sum(data.num_rows[split] for split in ("train", "validation", "test")) == 60
        assert not data.report["leaks"]


def test_texts_without_letters_are_not_all_the_same() -> None:
    content = [{"text": "\U0001f44d", "label": "good"}, {"text": "\U0001f44e", "label": "bad"}] + rows(range(20))
    data = load({"train": content, "test": rows(range(100, 110)) + [{"text": "\U0001f600", "label": "a"}]})
    assert data.num_rows["train"] == 22 and data.report["duplicates"]["train"]["conflicts"] == 0


def test_report_holds_no_content_and_survives_json(tmp_path: Path) -> None:
    source = leaky()
    source["train"] = [{**row, "who": f"secret person {n}", "extra": "x"} for n, row in enumerate(source["train"])]
    source["test"] = [{**row, "who": f"other person {n}", "extra": "x"} for n, row in enumerate(source["test"])]
    data = load(source, group_column="who")
    written = data.save_report(tmp_path / "reports" / "data.json")
    assert json.loads(written.read_text(encoding="utf-8")) == data.report
    shown = written.read_text(encoding="utf-8") + (tmp_path / "reports" / "data.txt").read_text(encoding="utf-8")
    assert "person" not in shown
    words = {word for split in source.values() for row in split for word in row["text"].split() if len(word) > 2}
    assert not {word for word in words if f" {word} " in shown}
    assert str(tmp_path) not in shown
    assert data.save_report(tmp_path) == tmp_path / "data.json"


def test_report_text_names_what_was_found(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "hf_ssl"):
        data = load_data(leaky())
    told, *warned = caplog.messages
    assert set(data.report_text().splitlines()) - set(told.splitlines()) == {
        f"  WARNING      {text}" for text in data.report["warnings"]
    }
    coded = [
        f"data: {text} [{code}]"
        for text, code in zip(data.report["warnings"], data.report["warning_codes"], strict=True)
    ]
    assert warned == coded != []
    for part in (
        "unlabeled",
        "words median",
        "label_kind=class",
        "fingerprint",
        "decided",
        "text <- text",
        "left out",
    ):
        assert part in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", "hf_ssl"):
        load_data(leaky())
    assert caplog.messages == coded
    caplog.clear()
    load(leaky())
    assert not caplog.messages


def test_opening_the_test_split_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    data = load(leaky())
    assert data.report["test_opened"] == []
    assert open_test(data, "final evaluation").num_rows == 10
    open_test(data, "final evaluation")
    assert not [record for record in caplog.records if "opened before" in record.message]
    open_test(data, "one more look")
    told = [record for record in caplog.records if "opened before (final evaluation)" in record.message]
    assert [record.levelname for record in told] == ["WARNING"]
    assert [opening["reason"] for opening in data.report["test_opened"]] == [
        "final evaluation",
        "final evaluation",
        "one more look",
    ]
    assert "test opened" in data.report_text()
    with pytest.raises(DataError, match="needs a reason"):
        open_test(data, " ")
    with pytest.raises(DataError, match="no test split .*unlabeled"):
        open_test(load(["one text"]), "x")


def test_a_modality_without_shingles_says_so() -> None:
    class Plain(Text):
        def shingles(self, value: Any) -> Any:
            return None

    data = load_data(leaky(), Plain(Text.Config(normalize="words")), validation_fraction=0, verbose=False)
    assert data.num_rows["train"] == 21
    assert any("no near-duplicate check" in text for text in data.report["decisions"])


def brute_force(queries: list[set[str]], targets: list[set[str]], threshold: float) -> list[int]:
    return [
        row
        for row, query in enumerate(queries)
        if any(query and target and len(query & target) / len(query | target) >= threshold for target in targets)
    ]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.85, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_near_search_finds_what_brute_force_finds(seed: int, threshold: float) -> None:
    """Against all pairs: sets of many sizes, built from each other so that similarities lie around the threshold."""
    rng = random.Random(seed)
    pieces = [f"p{number}" for number in range(400)]
    targets = [set(rng.sample(pieces, rng.randint(0, 60))) for _ in range(60)] + [set(), {"p1"}]
    queries = [set(rng.sample(pieces, rng.randint(0, 60))) for _ in range(40)] + [set(), {"p1"}, {"new"}]
    for target in targets:
        for share in (0.02, 0.05, 0.1, 0.2, 0.4):
            kept = {piece for piece in target if rng.random() > share}
            queries.append(kept | set(rng.sample(pieces, int(share * len(target) * rng.random()))))
    index = NearIndex([hash_pieces(target) for target in targets], threshold)
    matches = list(index.search([hash_pieces(query) for query in queries]))
    assert [match.query for match in matches] == brute_force(queries, targets, threshold)
    assert len(matches) > 20
    for match in matches:
        query, target = queries[match.query], targets[match.target]
        assert match.similarity == pytest.approx(len(query & target) / len(query | target))


def test_near_search_in_chunks_and_without_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_ssl.data.leakage.near_text.CHUNK", 3)
    sets = [hash_pieces({f"{number}", f"{number}b", "c"}) for number in range(10)]
    indexes = {"even": NearIndex(sets[::2], 0.9), "none": NearIndex([], 0.9)}
    assert search_all(indexes, iter(sets)) == {"even": [(2 * row, row) for row in range(5)], "none": []}
    assert jaccard(sets[0], sets[1]) == pytest.approx(1 / 5)
    assert jaccard(sets[0], np.empty(0, dtype=np.uint64)) == 0.0
    with pytest.raises(ValueError, match="threshold"):
        NearIndex(sets, 1.5)
