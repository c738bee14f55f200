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


HEADERLESS = {
    "sentiment": (
        [[f'"{n % 2 * 4}"', f'"{n}"', '"NO_QUERY"', f'"user{n}"', f'"{text}"'] for n, text in enumerate(texts(40))],
        ["0", "4"],
    ),
    "news": ([[f'"{n % 3 + 1}"', f'"title {n}"', f'"{text}"'] for n, text in enumerate(texts(40))], ["1", "2", "3"]),
    "texts first": ([[f'"{text}"', "ab"[n % 2]] for n, text in enumerate(texts(40))], ["a", "b"]),
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_columns_without_names_are_named_by_what_they_hold(tmp_path: Path, name: str) -> None:
    rows, classes = HEADERLESS[name]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    with pytest.raises(DataError, match="no header") as asked:
        load_data(tmp_path / "a.csv", verbose=False)
    (way,) = [way for way in hints(str(asked.value)) if "csv_options" in way]
    data = load_data(tmp_path / "a.csv", verbose=False, **way)
    assert data.label_names == classes and set(data["train"]["text"]) <= set(texts(40))


def test_names_in_the_last_comment(tmp_path: Path) -> None:
    rows = [f'{text}, {n}, "x,{n}", {"ab"[n % 2]}' for n, text in enumerate(texts(40))]
    (tmp_path / "a.csv").write_text("# made\n# of = 40\n# text, number, several, label\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="comments") as asked:
        load_data(tmp_path / "a.csv", verbose=False)
    (way,) = [way for way in hints(str(asked.value)) if "csv_options" in way]
    data = load_data(tmp_path / "a.csv", verbose=False, **way)
    assert data.label_names == ["a", "b"] and sum(len(data[name]) for name in ("train", "validation", "test")) == 40


@pytest.mark.parametrize("name", ["text", "My notes"])
def test_one_column_whose_texts_hold_a_comma_each(tmp_path: Path, name: str) -> None:
    lines = [f"{text} one, and more of {n}" for n, text in enumerate(texts(40))]
    (tmp_path / "a.csv").write_text("\n".join([name, *lines]) + "\n")
    column = {} if name == "text" else {"input_column": name}
    data = load_data(tmp_path / "a.csv", verbose=False, **column)
    assert set(data["unlabeled"]["text"]) == set(lines) and any(
        "one column" in text for text in data.report["warnings"]
    )


def test_a_word_above_two_columns_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "text\n" + "\n".join(f"{text},{'ab'[n % 2]}" for n, text in enumerate(texts(40))) + "\n"
    )
    with pytest.raises(DataError, match="skiprows") as asked:
        load_data(tmp_path / "a.csv", verbose=False)
    ways = [way["csv_options"] for way in hints(str(asked.value)) if "csv_options" in way]
    whole = next(way for way in ways if "sep" in way)
    assert len(load_data(tmp_path / "a.csv", verbose=False, csv_options=whole)["unlabeled"]) == 40
    assert any(way.get("names", [""])[0] == "text" for way in ways)


def test_names_of_text_files_are_no_texts(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for n, text in enumerate(texts(40)):
        (tmp_path / "docs" / f"{n}.txt").write_text(text)
    pd.DataFrame({"file": [f"docs/{n}.txt" for n in range(40)], "label": labels(40)}).to_csv(
        tmp_path / "index.csv", index=False
    )
    for options in ({}, {"input_column": "file"}):
        with pytest.raises(DataError, match="not opened"):
            load_data(tmp_path / "index.csv", verbose=False, **options)


@pytest.mark.parametrize(
    "ids", [["12345678901234567", "12345678901234568"], ["9007199254740993", "9007199254740992.0"]]
)
def test_ids_of_many_digits_are_compared_by_each(ids: list[str]) -> None:
    assert load({"label": [ids[n % 2] for n in range(40)]}, label_kind="class").label_names == sorted(ids)
    with pytest.raises(DataError, match="fold_labels"):
        load({"label": [ids[0] if n % 2 else f"{ids[0]}.0" for n in range(40)]}, label_kind="class")


def test_tables_of_other_columns_are_named_one_by_one(tmp_path: Path) -> None:
    pd.DataFrame({"text": texts(20), "label": labels(20)}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"body": texts(40)[20:], "topic": labels(20)}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match="topic") as told:
        load_data(tmp_path, verbose=False)
    assert "b.csv" in str(told.value) and "a.csv" not in str(told.value)


LISTS = [[] if n % 10 == 0 else [label] for n, label in enumerate(labels(40))]


def test_lists_of_one_label_may_be_classes() -> None:
    told = next(text for text in load({"label": LISTS}).report["warnings"] if "label_kind='class'" in text)
    single, several = hints(told)
    data = load({"label": LISTS}, **single)
    assert (
        set(data.label_names) == set(labels(40))
        and sum(data[s].num_rows for s in ("train", "validation", "test")) == 36
    )
    assert told not in load({"label": LISTS}, **several).report["warnings"]
    with pytest.raises(DataError, match="label_kind='multilabel'"):
        load({"label": [[label, "x"] for label in labels(40)]}, label_kind="class")


def test_empty_lists_may_mean_that_nobody_has_labeled_the_row() -> None:
    some = [[*row, "more"] if n % 3 == 1 else row for n, row in enumerate(LISTS)]
    told = next(text for text in load({"label": some}).report["warnings"] if "na_values" in text)
    without, meant = hints(told)
    empty = sum(not row for row in some)
    assert sum(load({"label": some}, **without)[s].num_rows for s in ("train", "validation", "test")) == 40 - empty
    assert told not in load({"label": some}, **meant).report["warnings"]


@pytest.mark.parametrize("other", ["sp\u0430m", "\u0455pam", "SPAM"])
def test_names_of_classes_that_look_alike_are_asked_about(other: str) -> None:
    column = [("ham", "spam", other)[n % 3] for n in range(40)]
    with pytest.raises(DataError, match="look alike") as error:
        load({"label": column})
    one, two = hints(str(error.value))
    assert len(load({"label": column}, **one).label_names) == 2
    assert len(load({"label": column}, **two).label_names) == 3


def test_who_judged_is_no_group_of_inputs() -> None:
    table = pd.DataFrame(
        [
            (text, rater, labels(40)[(n + (rater == "C" and n % 3 == 0)) % 40])
            for n, text in enumerate(texts(40))
            for rater in "ABC"
        ],
        columns=["text", "rater", "label"],
    )
    data = load_data(table, verbose=False)
    told = next(text for text in data.report["warnings"] if "'rater'" in text)
    assert "group_column='rater'" not in told
    assert told not in load_data(table, verbose=False, **next(hints(told))).report["warnings"]
    with pytest.raises(DataError, match="80 rows that repeat another"):
        load_data(table, verbose=False, group_column="rater")


def test_a_group_that_says_the_classes_once_more_is_not_advised() -> None:
    columns = {"label": labels(40), "speaker": [{"good": "agent"}.get(label, "customer") for label in labels(40)]}
    with pytest.raises(DataError, match="'speaker'") as error:
        load(columns)
    assert "group_column" not in str(error.value)
    assert load(columns, ignore_columns=["speaker"])["train"].num_rows
