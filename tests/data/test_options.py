"""Every option of `load_data` that matters to a stage is an option of the stage, under the same name and with the same effect."""

from __future__ import annotations

import dataclasses
from typing import Any

import datasets
import pytest

from hf_ssl.core import distributed
from hf_ssl.core.commands import parser_of
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.option_groups import DataOptions
from hf_ssl.core.parsing import coerce
from hf_ssl.data import load_data
from hf_ssl.stages.inputs import read_data
from hf_ssl.stages.resolve import resolve


def _read(*tokens: str) -> Any:
    return read_data(resolve("embed", parser_of("embed", list(tokens)).read(list(tokens))).config)


def test_keywords_are_the_fields_of_the_options():
    rows = {"text": [f"row number {n} of many" for n in range(20)], "label": ["a", "b"] * 10}
    plain = load_data(rows, verbose=False)
    given = {item.name: getattr(DataOptions(), item.name) for item in dataclasses.fields(DataOptions)}
    del given["data"]
    assert load_data(rows, **given, verbose=False).fingerprint == plain.fingerprint
    assert load_data(rows, DataOptions(test_fraction=0.4), verbose=False).num_rows["test"] == 8
    assert load_data(rows, DataOptions(test_fraction=0.4), test_fraction=0.3, verbose=False).num_rows["test"] == 6
    with pytest.raises(DataError, match="test_fraction"):
        load_data(rows, test_fractions=0.4)
    with pytest.raises(ConfigError, match="seed"):
        load_data(rows, seed="many")


def test_csv_options_and_id_column(tmp_path):
    (tmp_path / "t.csv").write_text("key;text;label\nk1;one thing;a\nk2;another;b\nk3;a third;a\nk4;the last;b\n")
    tokens = [f"--data={tmp_path / 't.csv'}", "--test_fraction=0", "--validation_fraction=0"]
    data = _read(*tokens, '--csv_options={"sep": ";"}', "--id_column=key")
    assert sorted(data["train"]["id"]) == ["k1", "k2", "k3", "k4"]
    with pytest.raises(ConfigError, match="csv_options"):
        _read(*tokens, "--csv_options=;")


def test_conll_columns(tmp_path):
    lines = "\n\n".join(f"{i}\tword{i}\tX\tTAG{i % 2}" for i in range(20))
    (tmp_path / "train.conll").write_text(lines + "\n")
    data = _read(f"--data={tmp_path}", "--conll_columns", "1", "-1", "--test_fraction=0", "--validation_fraction=0")
    assert data.label_names == ["TAG0", "TAG1"] and data["train"]["tokens"][0][0].startswith("word")
    with pytest.raises(ConfigError, match="two columns"):
        _read(f"--data={tmp_path}", "--conll_columns=1")


def test_tokens_column(tmp_path):
    rows = [{"words": ["a", f"b{i}"], "pos": ["X", "Y"]} for i in range(20)]
    datasets.Dataset.from_list(rows).to_json(str(tmp_path / "train.jsonl"))
    data = _read(f"--data={tmp_path}", "--tokens_column=words", "--tags_column=pos", "--test_fraction=0")
    assert data.label_kind == "tags" and data["train"]["tokens"][0][0] == "a"


def test_dedup_and_near_threshold(tmp_path):
    body = " ".join(f"w{i}" for i in range(12))
    rows = [{"text": "the same"}] * 3 + [{"text": f"{body} ends here"}]
    for name, content in (("unlabeled", rows), ("test", [{"text": f"{body} stops there", "label": "a"}])):
        datasets.Dataset.from_list(content).to_json(str(tmp_path / f"{name}.jsonl"))
    train = [{"text": f"something {i} else", "label": "ab"[i % 2]} for i in range(6)]
    datasets.Dataset.from_list(train).to_json(str(tmp_path / "train.jsonl"))
    given = f"--data={tmp_path}"
    assert len(_read(given, "--validation_fraction=0")["unlabeled"]) == 2
    assert len(_read(given, "--validation_fraction=0", "--no-dedup")["unlabeled"]) == 4
    assert len(_read(given, "--validation_fraction=0", "--near_threshold=0.6")["unlabeled"]) == 1


def test_folder_labels(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            (tmp_path / folder / f"{number}.txt").write_text(f"text {number} of {folder}")
    assert _read(f"--data={tmp_path}", "--folder_labels=true").label_names == ["a", "b"]
    assert _read(f"--data={tmp_path}", "--no-folder-labels").label_kind is None


def test_hub_options_reach_datasets(monkeypatch):
    asked: dict[str, Any] = {}

    def load_dataset(path: str, **options: Any) -> Any:
        asked.update(path=path, **options)
        rows = datasets.Dataset.from_dict({"text": [f"row {i}" for i in range(9)]})
        return {"train": rows.to_iterable_dataset() if options.get("streaming") else rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = _read(
        "--data=someone/texts", "--data_config=english", "--data_revision=abc", "--streaming", "--max_examples=5"
    )
    assert (asked["path"], asked["name"], asked["revision"], asked["streaming"]) == (
        "someone/texts",
        "english",
        "abc",
        True,
    )
    assert len(data["unlabeled"]) == 5


def test_a_mapping_is_typed_as_json_or_yaml():
    assert coerce(dict[str, Any] | None, "{sep: ';', quoting: 3}") == {"sep": ";", "quoting": 3}
    with pytest.raises(ConfigError):
        coerce(dict[str, Any], "sep")


def test_processes_that_read_different_data_are_stopped(monkeypatch):
    monkeypatch.setattr(distributed, "gather", lambda value: [value, "another"])
    rows = [{"text": f"text {i}"} for i in range(9)]
    with pytest.raises(DataError, match="different data"):
        read_data(resolve("embed", {"data": rows}).config)
