"""Two columns of labels, labels that a spreadsheet took for dates, several labels in one text, and people who made the records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sentences import table, text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError

TEXTS = [text(row) for row in range(60)]
TAGS = ("red", "green", "blue", "big", "small", "old", "new", "cheap")


def warned(data: object, *words: str) -> bool:
    return any(all(word in one for word in words) for one in data.report["warnings"])  # type: ignore[attr-defined]


def combination(row: int) -> list[str]:
    return [TAGS[(row * step + step) % 8] for step in range(1, 1 + row % 4 + 1)]


@pytest.mark.parametrize(
    "name", ["corrected", "reviewed", "adjudicated", "final", "korrigiert", "second_opinion", "annotator2"]
)
def test_a_second_column_of_labels_is_told(tmp_path: Path, name: str) -> None:
    rows = [f"{one},{'ab'[row % 2]},{'ab'[(row + (row % 7 == 0)) % 2]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", f"text,label,{name}", rows)
    data = load_data(source, verbose=False)
    assert warned(data, f"label_column={name!r}", f"ignore_columns=[{name!r}]", "9 of 60")
    assert not load_data(source, ignore_columns=[name], verbose=False).report["warnings"]
    assert load_data(source, label_column=name, verbose=False).label_names == ["a", "b"]


def test_corrections_of_few_rows_and_of_amounts_are_told(tmp_path: Path) -> None:
    few = [f"{one},{'ab'[row % 2]},{'ba'[row % 2] if row % 7 == 0 else ''}" for row, one in enumerate(TEXTS)]
    assert warned(load_data(table(tmp_path / "few.csv", "text,label,corrected", few), verbose=False), "'corrected'")
    amounts = [f"{one},{row * 1.5},{row * 1.5 + (row % 7 == 0)}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "amounts.csv", "text,label,corrected", amounts)
    assert warned(load_data(source, label_kind="regression", verbose=False), "label_column='corrected'")


@pytest.mark.parametrize(
    ("name", "value"),
    [("reviewed", lambda row: ("yes", "no")[row % 7 == 0]), ("has_link", lambda row: int(row % 3 == 0)), ("y_hat", lambda row: "ab"[row % 2]),
     ("reviewed", lambda row: f"2024-01-{row % 20 + 1:02d}"), ("subcategory", lambda row: f"SC{row % 5:02d}"), ("level", lambda row: f"A{row % 5}")],
)  # fmt: skip
def test_other_columns_are_no_second_labels(tmp_path: Path, name: str, value) -> None:  # type: ignore[no-untyped-def]
    labels = "01" if name == "has_link" else "ab"
    rows = [f"{one},{labels[(row + (row % 5 == 0)) % 2]},{value(row)}" for row, one in enumerate(TEXTS)]
    assert not load_data(table(tmp_path / "data.csv", f"text,label,{name}", rows), verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "name", ["operator", "doctor", "radiologist", "technician", "Arzt", "recorded_by", "scanned_by", "médecin"]
)
def test_people_who_made_the_records_are_groups(tmp_path: Path, name: str) -> None:
    people = ["Ann", "Bob", "Cem", "Dora", "Eve"]
    rows = [f"{one},{'ab'[row % 2]},{people[row % 5]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", f"text,label,{name}", rows)
    with pytest.raises(DataError, match=f"group_column='{name}'"):
        load_data(source, verbose=False)
    load_data(source, group_column=name, verbose=False)
    assert not load_data(source, ignore_columns=[name], verbose=False).report["warnings"]


@pytest.mark.parametrize(
    ("plain", "damaged"),
    [(["1-2", "3-4"], "05-Jun"), (["1-2", "3-4"], "May-06"), (["1-2", "3-4"], "2024-06-05"), (["10-19", "20-29"], "Jun 30"),
     (["BRCA1", "TP53"], "1-Sep"),
     (["1/2", "3/4"], "05. Jun"), (["02-Feb"], "03-Apr")],
)  # fmt: skip
def test_labels_that_became_dates_are_told(tmp_path: Path, plain: list[str], damaged: str) -> None:
    names = [*plain, damaged]
    rows = [f"{one},{names[row % len(names)]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,label", rows)
    assert warned(load_data(source, verbose=False), damaged if len(plain) > 1 else plain[0], "label_kind='class'")
    assert not load_data(source, label_kind="class", verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "names",
    [
        ["Jan", "Feb", "May"],
        ["1-2", "3-4", "5-6"],
        ["may", "must", "can"],
        ["mar-vista", "sep-line"],
        ["2020", "2021"],
    ],
)
def test_months_and_ranges_are_no_damage(tmp_path: Path, names: list[str]) -> None:
    rows = [f"{one},{names[row % len(names)]}" for row, one in enumerate(TEXTS)]
    assert not load_data(table(tmp_path / "data.csv", "text,label", rows), verbose=False).report["warnings"]


@pytest.mark.parametrize("name", ["tags", "keywords", "genres"])
@pytest.mark.parametrize("mark", [",", ", ", "|", ";", "/"])
def test_lists_of_labels_whose_combinations_hardly_repeat(tmp_path: Path, name: str, mark: str) -> None:
    rows = [f'{one},"{mark.join(dict.fromkeys(combination(row)))}"' for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", f"text,{name}", rows)
    with pytest.raises(DataError, match=re.escape(f"label_column={name!r} with label_kind='multilabel'")):
        load_data(source, verbose=False)
    options = {"label_column": name, "label_kind": "multilabel", "label_separator": mark.strip()}
    assert load_data(source, verbose=False, **options).label_names == sorted(TAGS)
    assert set(load_data(source, ignore_columns=[name], verbose=False)) == {"unlabeled"}


@pytest.mark.parametrize(
    ("both", "mark"),
    [
        ("cat and dog", " and "),
        ("cat & dog", "&"),
        ("cat + dog", "+"),
        ("cat_and_dog", "_and_"),
        ("cat und dog", " und "),
    ],
)
def test_words_between_two_labels_are_told(tmp_path: Path, both: str, mark: str) -> None:
    rows = [f"{one},{('cat', 'dog', both)[row % 3]}" for row, one in enumerate(TEXTS)]
    source = table(tmp_path / "data.csv", "text,label", rows)
    assert warned(load_data(source, verbose=False), f"label_separator={mark!r}")
    assert load_data(source, label_kind="multilabel", label_separator=mark, verbose=False).label_names == [
        "cat",
        "dog",
    ]


def test_names_with_and_in_them_are_names(tmp_path: Path) -> None:
    rows = [f"{one},{('food and drink', 'sports', 'arts and culture')[row % 3]}" for row, one in enumerate(TEXTS)]
    assert not load_data(table(tmp_path / "data.csv", "text,label", rows), verbose=False).report["warnings"]


@pytest.mark.parametrize(
    "pair", [("Drug", "DRUG"), ("adverse_event", "adverse-event"), ("AdverseEvent", "Adverse_Event")]
)
def test_types_of_spans_that_differ_in_case_or_separators(tmp_path: Path, pair: tuple[str, str]) -> None:
    lines = []
    for row in range(30):
        words = text(row).split()
        lines += [f"{word} {f'B-{pair[row % 3 == 0]}' if place == 2 else 'O'}" for place, word in enumerate(words)] + [
            ""
        ]
    (tmp_path / "data.conll").write_text("\n".join(lines))
    source = str(tmp_path / "data.conll")
    with pytest.raises(DataError, match=r"fold_labels=True.*fold_labels=False"):
        load_data(source, label_kind="tags", verbose=False)
    assert load_data(source, label_kind="tags", fold_labels=True, verbose=False).label_names == ["O", f"B-{pair[0]}"]
    apart = load_data(source, label_kind="tags", fold_labels=False, verbose=False)
    assert set(apart.label_names) == {"O", f"B-{pair[0]}", f"B-{pair[1]}"}
