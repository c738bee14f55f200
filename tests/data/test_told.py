"""What is not used, taken for the same, or missing in a table is told with the option that decides it, and the option works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from data_kinds import labels, texts
from follow import hints

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

PLACES = [("Paris, Texas", "Rome", "Paris, Texas;Rome")[n % 3] for n in range(40)]
PATIENTS = [("P%d", "p%d ")[n % 2] % (n // 4) for n in range(40)]


def load(columns: dict[str, Any], **options: Any) -> DomainData:
    return load_data(pd.DataFrame({"text": texts(40), **columns}), verbose=False, **options)


TOLD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "two labels": ({"label": labels(40), "y": [n % 3 for n in range(40)]}, {}, "label_column='y'"),
    "y and Target": ({"y": [n % 3 for n in range(40)], "Target": labels(40)}, {}, "ignore_columns=['y']"),
    "a finer class": ({"label": labels(40), "class_id": [n % 4 + n % 2 * 9 for n in range(40)]}, {}, "label_column='class_id'"),
    "one patient in two spellings": ({"label": labels(40), "user": PATIENTS}, {"group_column": "user"}, "fold_labels=False"),
    "zeros in front": ({"label": labels(40), "user": [("%03d", "%d")[n % 2] % (n // 4) for n in range(40)]}, {"group_column": "user"},
                       "fold_labels=False"),
    "no amount": ({"label": ["-" if n % 4 == 3 else str(n) for n in range(40)]}, {"label_kind": "regression"}, "na_values=['-']"),
    "two in one": ({"label": PLACES}, {}, "label_separator=';'"),
    "two lines": ({"label": [text.replace(";", "\n") for text in PLACES]}, {}, "label_kind='multilabel'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_with_an_option_that_works(name: str) -> None:
    columns, options, named = TOLD[name]
    told = [text for text in load(columns, **options).report["warnings"] if named in text]
    assert told
    for way in hints(told[0]):
        assert told[0] not in load(columns, **options, **way).report["warnings"]


@pytest.mark.parametrize(
    "columns",
    [
        {"label": labels(40), "label_text": [text.upper() for text in labels(40)]},
        {"label": labels(40), "score": [n * 0.37 for n in range(40)]},
        {"label": labels(40), "user": [str(1234567890123456789 + n // 2) for n in range(40)]},
        {"label": [("a", "b", "c;d")[n % 3] for n in range(40)]},
    ],
)
def test_ordinary_columns_are_not_told_about(columns: dict[str, Any]) -> None:
    options = {"group_column": "user"} if "user" in columns else {}
    assert not load(columns, **options).report["warnings"]


def test_one_patient_is_one_group() -> None:
    data = load({"label": labels(40), "user": PATIENTS}, group_column="user")
    assert sum(data.report["groups"]["per_split"][name] for name in ("train", "validation", "test")) == 10
    nameless = load(
        {"label": labels(40), "user": [float("nan") if n % 2 else n // 4 for n in range(40)]}, group_column="user"
    )
    assert len({row["group"] for split in ("train", "validation", "test") for row in nameless[split]}) == 30


def test_letters_that_were_lost_are_told() -> None:
    data = load_data(
        pd.DataFrame({"text": [f"{text} caf\ufffd" for text in texts(40)], "label": labels(40)}), verbose=False
    )
    assert any("40 of 40" in text and "U+FFFD" in text for text in data.report["warnings"])


def test_a_class_that_repeats_another_is_not_gone_in_silence(tmp_path: Path) -> None:
    for place, text in enumerate(texts(40)):
        for name in (("square", "quad"), ("round",))[place % 2]:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{place}.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="'square'") as error:
        load_data(tmp_path, verbose=False)
    way = next(hints(str(error.value)))
    assert set(load_data(tmp_path, verbose=False, **way).label_names) == {"quad", "round", "square"}


def test_labels_in_structures_name_all_of_them() -> None:
    rows = [{"text": text, "labels": {"a": n & 1, "b": n >> 1 & 1}} for n, text in enumerate(texts(40))]
    with pytest.raises(DataError) as error:
        load_data(rows, verbose=False)
    way = next(hint for hint in hints(str(error.value)) if "label_columns" in hint)
    assert load_data(rows, verbose=False, **way).label_kind == "multilabel"
