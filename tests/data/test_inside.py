"""Labels, groups and splits in structures of JSON and parquet are told as those in columns, and found by their name with a dot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.data.domain import DomainData

WORDS = ("river", "stone", "lamp", "cloud", "violin", "harbor", "ticket", "rabbit", "orbit", "temple", "pencil")


def sentence(number: int) -> str:
    return " ".join(WORDS[(number * (place + 3) + place) % 11] for place in range(9)) + f" n{number}"


def rows(inside: Callable[[int], dict[str, Any]], count: int = 48) -> list[dict[str, Any]]:
    return [{"text": sentence(number), **inside(number)} for number in range(count)]


def saved(folder: Path, name: str, content: list[dict[str, Any]]) -> Path:
    file = folder / name
    if file.suffix == ".parquet":
        Dataset.from_list(content).to_parquet(file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(content))
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in content))
    return file


def load(file: Path, **options: Any) -> DomainData:
    return load_data(file, verbose=False, **options)


def side(number: int) -> str:
    return ("pos", "neg")[number % 2]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
@pytest.mark.parametrize(
    ("inside", "column"),
    [
        (lambda n: {"meta": {"label": side(n)}}, "meta.label"),
        (lambda n: {"result": {"sentiment": side(n), "confidence": 0.5}}, "result.sentiment"),
        (lambda n: {"annotation": {"labels": [side(n)]}}, "annotation.labels"),
        (lambda n: {"data": {"more": {"category": side(n)}}}, "data.more.category"),
    ],
)
def test_labels_in_structures_are_asked_about_and_read_by_name(
    tmp_path: Path, name: str, inside: Callable[[int], dict[str, Any]], column: str
) -> None:
    file = saved(tmp_path, name, rows(inside))
    with pytest.raises(DataError, match=rf"label_column='{column}'"):
        load(file)
    data = load(file, label_column=column)
    assert data.report["label_names"] == ["neg", "pos"] and data.report["columns"]["label"] == column
    assert data["train"].num_rows + data["validation"].num_rows + data["test"].num_rows == 48
    for ignored in (column, column.partition(".")[0]):
        assert load(file, ignore_columns=[ignored]).report["rows"] == {"unlabeled": 48}


def test_yes_and_no_per_class_in_a_structure(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.jsonl", rows(lambda n: {"cats": {"POS": n % 2, "NEG": 1 - n % 2}}))
    with pytest.raises(DataError, match="label_columns="):
        load(file)
    assert load(file, label_columns=["cats.POS", "cats.NEG"]).report["label_names"] == ["cats.NEG", "cats.POS"]


def test_groups_splits_and_second_labels_in_structures(tmp_path: Path) -> None:
    file = saved(tmp_path, "g.jsonl", rows(lambda n: {"label": side(n), "meta": {"patient_id": f"p{n // 2 % 8}"}}))
    with pytest.raises(DataError, match="group_column='meta.patient_id'"):
        load(file)
    assert load(file, group_column="meta.patient_id").report["columns"]["group"] == "meta.patient_id"
    file = saved(
        tmp_path, "s.jsonl", rows(lambda n: {"label": side(n), "meta": {"split": "test" if n % 8 < 2 else "train"}})
    )
    assert len(load(file)["test"]) == 12
    file = saved(
        tmp_path, "l.jsonl", rows(lambda n: {"label": side(n), "info": {"gold_label": side(n if n % 4 else n + 1)}})
    )
    assert any("label_column='info.gold_label'" in text for text in load(file).report["warnings"])
    file = saved(tmp_path, "d.jsonl", rows(lambda n: {"label": side(n), "meta": {"source": f"paper{n // 6}.pdf"}}))
    assert any("group_column='meta.source'" in text for text in load(file).report["warnings"])


def test_what_lies_in_structures_and_says_nothing_is_not_told(tmp_path: Path) -> None:
    file = saved(
        tmp_path,
        "a.jsonl",
        rows(lambda n: {"label": side(n), "meta": {"length": n, "lang": "en", "position": {"x": n / 7, "y": n * 3}}}),
    )
    assert load(file).report["warnings"] == []


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_lists_of_structures_are_no_classes(tmp_path: Path, name: str) -> None:
    file = saved(tmp_path, name, rows(lambda n: {"labels": [{"name": side(n), "score": 0.5 + n / 200}]}))
    with pytest.raises(DataError, match="label_column='labels.name'"):
        load(file)
    data = load(file, label_column="labels.name", label_kind="class")
    assert data.report["label_names"] == ["neg", "pos"] and data.report["label_kind"] == "class"
    empty = saved(
        tmp_path, name, rows(lambda n: {"labels": [{"name": side(n), "score": 0.5}, *([None] if n == 3 else [])]})
    )
    assert load(empty, label_column="labels.name", label_kind="class").report["label_names"] == ["neg", "pos"]
    file = saved(tmp_path, name, rows(lambda n: {"label": [{"label": side(n), "start": 0, "end": 5}]}))
    with pytest.raises(DataError, match="tokens"):
        load(file)


@pytest.mark.parametrize(
    "row", [{"x": {}}, {"text": "a b c", "x": {}}, {"text": "a b c", "label": {}}, {"x": [{}]}, {"x": {"y": {}}}]
)
def test_empty_structures_are_no_traceback(tmp_path: Path, row: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({**row, "n": n}) for n in range(12)))
    (tmp_path / "b.jsonl").write_text(json.dumps(row))
    for name in ("a.jsonl", "b.jsonl"):
        try:
            assert load_data(str(tmp_path / name), verbose=False).report["accounts"]["rows"]["used"]
        except DataError as error:
            assert "x" in str(error) or "label" in str(error)
