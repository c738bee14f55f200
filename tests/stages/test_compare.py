"""`compare` for every kind of label: budgets, metrics, items that are resampled, and a planted difference that is found."""

from __future__ import annotations

import json
import shutil
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

import hf_ssl
import tiny
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import labeled_subset
from hf_ssl.evaluation.comparison.paired import paired_bootstrap
from hf_ssl.evaluation.comparison.verdict import KEPT, UNCLEAR
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.modalities.text.text import Text
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages import arms
from hf_ssl.stages import compare as comparing

TEXTS = list(dict.fromkeys(tiny.corpus(300)))[:120]
TAGS = ["O", "B-X", "I-X"]


def _rows(kind: str, texts: list[str]) -> list[dict[str, Any]]:
    rows = []
    for number, text in enumerate(texts):
        words = text.split()
        row: dict[str, Any] = {"text": text, "group": f"{texts[0]} {number // 4}"}
        if kind == "multilabel":
            row["label"] = [name for name in ("fever", "bridge", "the") if name in text.lower()]
        elif kind == "regression":
            row["label"] = len(words) + 0.25 * text.count("a")
        elif kind == "similarity":
            row |= {"text_pair": texts[number - 1], "label": float(len(set(words) & set(texts[number - 1].split())))}
        elif kind in ("tags", "spans"):
            row |= {
                "tokens": words,
                "tags": [TAGS[len(w) % 3] if kind == "spans" else "ABC"[len(w) % 3] for w in words],
            }
            del row["text"]
        rows.append(row)
    return rows


KINDS: dict[str, dict[str, Any]] = {
    "multilabel": {"task": "multilabel", "metric": "multilabel_f1_macro", "tables": ["Fine-tuned", "Frozen probe"]},
    "regression": {"task": "regression", "metric": "spearman", "tables": ["Fine-tuned", "Frozen probe"]},
    "similarity": {"task": "similarity", "metric": "spearman", "tables": ["Fine-tuned", "Frozen, without labels"]},
    "tags": {"task": "token-classification", "metric": "word_f1_macro", "tables": ["Fine-tuned"]},
    "spans": {"task": "token-classification", "metric": "span_f1", "tables": ["Fine-tuned"]},
}


@pytest.fixture
def options(tiny_checkpoint, tmp_path):
    def make(kind: str) -> dict[str, Any]:
        splits = {"train": TEXTS[:60], "validation": TEXTS[60:72], "test": TEXTS[72:]}
        checkpoint = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
        copy = tmp_path / "copy"
        if not copy.exists():
            shutil.copytree(checkpoint, copy)
        label_kind = {"similarity": "regression", "spans": "tags"}.get(kind, kind)
        return {
            "data": {split: _rows(kind, texts) for split, texts in splits.items()}, "model": checkpoint,
            "adapted": str(copy), "output": str(tmp_path / "run"), "near_duplicates": False, "label_kind": label_kind,
            "group_column": "group", "task": KINDS[kind]["task"],
            **({"text_pair_column": "text_pair"} if kind == "similarity" else {}),
        }  # fmt: skip

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_model_on_both_sides_ties(kind, options, monkeypatch):
    monkeypatch.setattr(arms, "one_model", lambda *_: False)  # train both sides all the same
    result = hf_ssl.compare(
        **options(kind), labels_per_class=[12, 24], num_seeds=2, probe_draws=2, max_steps=2, bf16=False, max_length=32
    )
    tables = json.loads((result.path / "table.json").read_text(encoding="utf-8"))
    assert list(tables) == KINDS[kind]["tables"] and result.metrics["metric"] == KINDS[kind]["metric"]
    for title, table in tables.items():
        assert table["overall"]["word"] == "cannot tell at this n"
        for line in table["lines"]:
            difference = line["difference"]
            assert line["base"]["mean"] == line["adapted"]["mean"] and difference["difference"] == 0
            assert (difference["items"], difference["units"]) == (48, 12), "whole groups are resampled"
            assert line["verdict"]["word"] == "cannot tell at this n"
            assert line["minimum_detectable"] >= 6 / 12 * min(1, line["base"]["mean"]), (
                "no item differs here; some could"
            )
        others = {name for line in table["lines"] for name in line["others"]}
        assert others == {
            {"similarity": "TF-IDF cosine", "tags": "usual tag", "spans": "usual tag"}.get(kind, "TF-IDF")
        }
        expected = ["no"] if title == "Frozen, without labels" else [12, 24]
        assert [line["budget"] for line in table["lines"]] == expected
    saved = {path.stem: pq.read_table(path).to_pylist() for path in (result.path / "predictions").glob("*.parquet")}
    assert {"peft-base", "peft-adapted"} < set(saved)
    for rows in saved.values():
        per_model = {(row["labels"], row["draw"]) for row in rows}
        assert len(rows) == 48 * len(per_model) and {"id", "row", "truth", "prediction"} <= rows[0].keys()
    assert len({(row["labels"], row["draw"]) for row in saved["peft-base"]}) == 2 * 2


def test_a_worse_adapted_model_is_seen(options, monkeypatch):
    """The adapted arm's tags are shifted by one: the paired comparison must say that adapting hurt."""
    task = plugins.find("tasks", "token-classification")
    compared, seen = task.comparison_predictions, []

    def worse(self: Any, logits: np.ndarray, dataset: Any, processor: Any) -> Any:
        seen.append(1)
        if len(seen) % 2:  # base comes first in every pair: the truth
            return self.comparison_references(dataset)
        names = self.label_names
        return [
            [names[(names.index(tag) + 1) % 3] for tag in row] for row in compared(self, logits, dataset, processor)
        ]

    monkeypatch.setattr(task, "comparison_predictions", worse)
    monkeypatch.setattr(arms, "one_model", lambda *_: False)
    result = hf_ssl.compare(
        **options("tags"), labels_per_class=[12], num_seeds=3, max_steps=1, bf16=False, max_length=32
    )
    assert result.metrics["verdict"] == {"Fine-tuned": "did not help"}
    table = json.loads((result.path / "table.json").read_text(encoding="utf-8"))["Fine-tuned"]
    assert table["overall"]["shown"] == -1 and "worse" in table["lines"][0]["verdict"]["sentence"]


@pytest.mark.parametrize("kind", ["regression", "tags"])
def test_one_model_is_trained_once_and_the_table_is_that_of_two(kind, options, monkeypatch, said):
    fits, whole = [], comparing.fit_task
    monkeypatch.setattr(comparing, "fit_task", lambda *given, **named: fits.append(1) or whole(*given, **named))
    found = {}
    for name in ("once", "twice"):
        shared = {
            **options(kind),
            "labels_per_class": [12],
            "num_seeds": 2,
            "probe_draws": 2,
            "max_steps": 2,
            "bf16": False,
            "max_length": 32,
        }
        if name == "twice":
            monkeypatch.setattr(arms, "one_model", lambda *_: False)
            shared["output"] = shared["output"] + "-twice"
        fits.clear()
        result = hf_ssl.compare(**shared)
        assert len(fits) == (2 if name == "once" else 4)
        found[name] = json.loads((result.path / "table.json").read_text(encoding="utf-8"))
    for title, table in found["once"].items():
        for one, two in zip(table["lines"], found["twice"][title]["lines"], strict=True):
            assert one.pop("verdict")["word"] == table["overall"]["word"] == KEPT
            assert two.pop("verdict")["word"] == found["twice"][title]["overall"]["word"] == UNCLEAR
            assert one == two
    assert "one model" in said.readouterr().err


def test_two_models_are_not_taken_for_one(options, tmp_path, tiny_checkpoint):
    folder = options("regression")["model"]
    task = plugins.find("tasks", "regression")
    train = datasets.Dataset.from_list(_rows("regression", TEXTS[:20]))
    changed, other = tmp_path / "changed", tmp_path / "other"
    for copy in (changed, other):
        shutil.copytree(folder, copy)
    model = transformers.AutoModelForMaskedLM.from_pretrained(changed)
    with torch.no_grad():
        model.bert.encoder.layer[-1].output.dense.bias[0] += 1e-6
    model.save_pretrained(changed)
    processor = transformers.AutoTokenizer.from_pretrained(other)
    processor.add_tokens(["pumpenhaus"])
    processor.save_pretrained(other)
    made = task(task.Config(), Text())
    made.fit_labels(train)

    def same(adapted: str) -> bool:
        return arms.one_model({"base": CheckpointRef(folder), "adapted": CheckpointRef(adapted)}, made, train)

    assert same(folder) and not same(str(changed)) and not same(str(other))


def test_tags_have_no_frozen_probe(options):
    with pytest.raises(ConfigError, match="finetune_arms"):
        hf_ssl.compare(**options("tags"), labels_per_class=[12], num_seeds=1, finetune_arms=False)


def test_budget_larger_than_the_labeled_data(options):
    with pytest.raises(DataError, match="500 labeled examples"):
        hf_ssl.compare(**options("regression"), labels_per_class=[500], num_seeds=1)


def test_finetune_takes_so_many_examples_where_there_are_no_classes(options):
    given = {name: value for name, value in options("regression").items() if name != "adapted"}
    result = hf_ssl.finetune(
        **given, labels_per_class=10, num_train_epochs=1, early_stopping_patience=0, per_device_train_batch_size=5
    )
    assert result.metrics["steps"] == 2


def test_labeled_subsets_without_classes_are_nested_and_independent_of_order():
    rows = datasets.Dataset.from_dict({"id": [f"r{i}" for i in range(50)], "label": [i / 7 for i in range(50)]})
    few, more = labeled_subset(rows, 8, 3), labeled_subset(rows, 20, 3)
    assert more[:8] == few and len(set(more)) == 20
    turned = rows.select(range(49, -1, -1))
    assert {turned["id"][i] for i in labeled_subset(turned, 8, 3)} == {rows["id"][i] for i in few}
    assert labeled_subset(rows, 8, 4) != few
    with pytest.raises(DataError, match="0 labeled examples"):
        labeled_subset(rows, 0)
    classes = rows.remove_columns("label").add_column("label", [i % 2 for i in range(50)])
    classes = classes.cast_column("label", datasets.ClassLabel(names=["a", "b"]))
    assert len(labeled_subset(classes, 5)) == 10, "so many of each class"


def test_word_metrics_are_those_of_all_words_together():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, size=30)
    true = [rng.choice(list("ABC"), size=n).tolist() for n in lengths]
    said = [[tag if rng.random() < 0.7 else "A" for tag in row] for row in true]
    flat_true, flat_said = np.concatenate(true), np.concatenate(said)
    assert DECOMPOSABLE["word_accuracy"](said, true) == pytest.approx((flat_true == flat_said).mean())
    from sklearn.metrics import f1_score

    assert DECOMPOSABLE["word_f1_macro"](said, true) == pytest.approx(f1_score(flat_true, flat_said, average="macro"))
    with pytest.raises(DataError, match="every word"):
        DECOMPOSABLE["word_accuracy"]([["A"]], [["A", "B"]])


def test_sentences_of_equal_length_are_read_the_same():
    true, said = [["A", "B"], ["B", "B"], ["A", "A"]], [["A", "B"], ["B", "A"], ["A", "A"]]
    assert DECOMPOSABLE["word_accuracy"](said, true) == pytest.approx(5 / 6)
    found = paired_bootstrap("word_f1_macro", true, said, true, n_resamples=200)
    assert found.items == 3 and found.difference < 0 and found.low <= found.difference <= found.high


def test_resampling_sentences_widens_the_interval_of_dependent_words():
    """All words of a sentence right or wrong together: 40 independent items, whatever the number of words."""
    rng = np.random.default_rng(1)
    true = [["A"] * 25 for _ in range(40)]
    wrong = [["B"] * 25 if rng.random() < 0.3 else ["A"] * 25 for _ in range(40)]
    found = paired_bootstrap("word_accuracy", wrong, true, true, n_resamples=500)
    share = found.difference
    assert found.standard_error == pytest.approx(np.sqrt(share * (1 - share) / 40), rel=0.2)


def test_the_protocol_answer_is_what_finetune_answers_with(tmp_path, tiny_checkpoint):
    """Same labels, same seed: prediction by prediction that of `finetune` and `evaluate`, where the vote is ahead of the network."""
    words = {"sea": "wave ship sail salt tide".split(), "land": "hill road farm tree barn".split()}

    def part(count: int, seed: int) -> list[dict[str, str]]:
        rng = np.random.default_rng(seed)
        labels = [("sea", "land")[row % 2] for row in range(count)]
        start = "one two three four five six seven"  # all that fits into the network's window
        drawn = [" ".join(map(str, rng.choice(words[label], 4))) for label in labels]
        return [
            {"text": f"{start} {own} {row}", "label": label}
            for row, (own, label) in enumerate(zip(drawn, labels, strict=True))
        ]

    common = {
        "data": {"train": part(40, 0), "test": part(30, 1)}, "near_duplicates": False, "dedup": False, "validation_fraction": 0,
        "model": str(tiny_checkpoint("bert", "AutoModelForMaskedLM")), "labels_per_class": 8, "peft": "linear-probe", "max_length": 6,
    }  # fmt: skip
    result = hf_ssl.compare(
        **{**common, "labels_per_class": [8]}, adapted=common["model"], num_seeds=1, probe_draws=1, output=str(tmp_path / "compared"),
        protocols=["linear-probe", "answer"], leakage="allow",
    )  # fmt: skip
    compared = pq.read_table(result.path / "predictions" / "answer-base.parquet").to_pylist()
    plain = {name: common[name] for name in ("data", "near_duplicates", "dedup", "validation_fraction")} | {
        "leakage": "allow"
    }
    hf_ssl.finetune(**common, leakage="allow", self_training=0, output=str(tmp_path / "run"))
    own = pq.read_table(
        hf_ssl.evaluate(**plain, output=str(tmp_path / "run")).path / "predictions.parquet"
    ).to_pylist()
    assert {row["id"]: row["prediction"] for row in compared} == {row["id"]: row["prediction"] for row in own}
    assert any(row["prediction"] != row["model_prediction"] for row in own), "the vote answers, not the network"
    assert "The answer of finetune" in json.loads((result.path / "table.json").read_text(encoding="utf-8"))
