"""Options that do not fit the data are refused with what to give instead, whatever is in the column that they name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import HfSslError
from hf_ssl.data import load_data

START = dt.datetime(2023, 1, 1)
COLUMNS: dict[str, Any] = {
    "moments": [START + dt.timedelta(hours=n) for n in range(40)],
    "durations": [dt.timedelta(hours=n) for n in range(40)],
    "structures": [{"a": n, "b": "x"} for n in range(40)],
    "words": [["a", "b"][: n % 3] for n in range(40)],
    "structures in lists": [[{"a": n}] for n in range(40)],
    "bits": [n % 2 == 0 for n in range(40)],
    "endless": [float("inf") if n % 2 else 1.0 for n in range(40)],
    "bytes": [b"\xff%d" % (n % 2) for n in range(40)],
}
REFUSED: list[dict[str, Any]] = [
    {"tags_column": "x"},
    {"tokens_column": "x", "tags_column": "label"},
    {"label_column": "x", "label_kind": "mask"},
]
MAY_BE_READ: list[dict[str, Any]] = [
    {"label_column": "x", "label_kind": "regression"},
    {"label_columns": ["x", "label"]},
    {"group_column": "x"},
    {"id_column": "x"},
    {"text_pair_column": "x"},
    {"keep_columns": ["x"]},
]


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_any_type(kind: str) -> None:
    table = pa.table({"text": texts(40), "label": labels(40), "x": COLUMNS[kind]})
    source = datasets.Dataset(table)
    for options in REFUSED:
        with pytest.raises(HfSslError):
            load_data(source, verbose=False, **options)
    for options in MAY_BE_READ:
        try:
            load_data(source, verbose=False, **options)
        except HfSslError:
            continue


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"csv_options": {"quoting": 99}}, "quoting"),
        ({"csv_options": {"quoting": None}}, "quoting"),
        ({"csv_options": {"sep": 5}}, "sep"),
        ({"csv_options": {"names": 5}}, "names"),
        ({"csv_options": {"names": "abc"}}, "names"),
        ({"csv_options": {"skiprows": -1}}, "skiprows"),
        ({"csv_options": {"skiprows": 1e9}}, "skiprows"),
        ({"csv_options": {"quotechar": "ab"}}, "quotechar"),
        ({"csv_options": {"escapechar": ""}}, "escapechar"),
        ({"csv_options": {"decimal": 5}}, "decimal"),
        ({"csv_options": {"thousands": "ab"}}, "thousands"),
        ({"csv_options": {"chunksize": 5}}, "chunksize"),
        ({"encoding": "base64"}, "encoding='utf-8'"),
        ({"encoding": "rot13"}, "encoding='utf-8'"),
        ({"encoding": "undefined"}, "encoding='utf-8'"),
        ({"label_kind": "mask"}, "modality='image'"),
        ({"tags_column": "label"}, "tokens_column='text'"),
        ({"label_kind": "tags"}, "tokens_column='text'"),
        ({"tags_column": "label", "tokens_column": "text"}, "1 tags"),
    ],
)
def test_of_a_table(options: dict[str, Any], named: str, tmp_path: Path) -> None:
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts(40), labels(40), strict=True))
    (tmp_path / "a.csv").write_text("text,label\n" + rows, encoding="utf-8")
    with pytest.raises(HfSslError, match=named) as error:
        load_data(tmp_path, verbose=False, **options)
    if named in ("quoting", "sep", "quotechar"):
        assert load_data(tmp_path, verbose=False, **next(hints(str(error.value)))).label_names == ["bad", "good"]


@pytest.mark.parametrize("columns", [[-9, 0], [5, 1], [0, -3], [1, 1], [0, -2]])
def test_of_lines_of_words(columns: list[int], tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ann\tB-PER\nran\tO\n\n" * 20, encoding="utf-8")
    with pytest.raises(HfSslError, match=r"conll_columns=\[0, 1\]"):
        load_data(tmp_path, verbose=False, label_kind="tags", conll_columns=columns)
