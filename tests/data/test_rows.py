"""Rows for a model to answer: all of them, in their order, whatever the labels say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from hf_ssl import load_rows
from hf_ssl.core.errors import DataError
from hf_ssl.data.columns import ROW


def test_repeated_rows_and_their_order_stay_and_labels_are_not_looked_at(tmp_path):
    texts = ["one thing", "another thing", "one thing", "a third thing"]
    pd.DataFrame({"text": texts, "label": ["x", None, "y", "x"]}).to_csv(tmp_path / "new.csv", index=False)
    rows = load_rows(tmp_path / "new.csv")["rows"]
    assert list(rows["text"]) == texts and list(rows[ROW]) == [0, 1, 2, 3]
    assert "label" not in rows.column_names and len(set(rows["id"])) == 4


def test_what_cannot_be_read_is_named_and_the_numbers_of_the_others_stay(tmp_path):
    pd.DataFrame({"text": ["one", None, "two"]}).to_csv(tmp_path / "new.csv", index=False)
    data = load_rows(tmp_path / "new.csv", max_left_out=0.5)
    assert list(data["rows"][ROW]) == [0, 2]
    account = data.report["accounts"]["rows"]
    assert account["found"] == 3 == account["used"] + sum(account["left_out"].values())
    with pytest.raises(DataError, match="max_left_out"):
        load_rows(tmp_path / "new.csv")


def test_split_words_and_class_folders_are_no_more_than_places(tmp_path):
    for split in ("train", "test"):
        for name in ("good", "bad"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            (folder / "a.txt").write_text(f"{split} {name} text", encoding="utf-8")
    rows = load_rows(tmp_path / "data")["rows"]
    assert sorted(rows["text"]) == ["test bad text", "test good text", "train bad text", "train good text"]


def test_words_stay_words_where_a_task_tags_them():
    rows = load_rows([{"tokens": ["a", "b"]}, {"tokens": ["c"]}], label_kind="tags")["rows"]
    assert list(rows["tokens"]) == [["a", "b"], ["c"]]


def frame(known: int, total: int) -> pd.DataFrame:
    target = np.arange(total, dtype=float)
    target[known:] = np.nan
    return pd.DataFrame({"timestamp": pd.date_range("2024", periods=total, freq="D"), "target": target, "price": 1.0})


def test_the_future_begins_behind_the_last_observed_target():
    row = load_rows(frame(50, 50)[["timestamp", "target"]], modality="timeseries", horizon=7)["rows"][0]
    values = np.array(row["series"])
    assert row["history"] == 50 and values.shape == (1, 57) and np.isnan(values[0, 50:]).all()


def test_rows_that_say_only_what_is_known_of_the_future_are_no_history():
    options = {"modality": "timeseries", "horizon": 7, "known_covariates": ["price"], "target_columns": ["target"]}
    data = frame(50, 57)
    data.loc[50:, "price"] = 2.0
    row = load_rows(data, **options)["rows"][0]
    values = np.array(row["series"])
    assert row["history"] == 50
    assert values[0, 49] == 49 and list(values[1, 43:50]) == [2.0] * 7  # what is known 7 steps ahead


def test_a_series_without_any_value_is_an_error():
    empty = frame(0, 50)[["timestamp", "target"]]
    with pytest.raises(DataError):
        load_rows(empty, modality="timeseries", horizon=7)


def test_sounds_and_pictures_as_datasets_gives_them_are_rows(tmp_path):
    """A list of what `datasets.Audio` and `datasets.Image` hold: each is one value, not a row of columns."""
    sounds = [{"array": np.sin(np.arange(8000) / (5 + n)), "sampling_rate": 16000, "path": None} for n in range(3)]
    assert len(load_rows(sounds, modality="audio")["rows"]) == 3
    pictures = []
    for shade in (10, 200):
        PIL.Image.new("RGB", (32, 32), (shade, 0, 0)).save(tmp_path / "one.png")
        pictures.append({"bytes": (tmp_path / "one.png").read_bytes(), "path": None})
    assert len(load_rows(pictures, modality="image")["rows"]) == 2
