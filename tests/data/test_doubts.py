"""Labels and columns that may be something else than they seem: told with an option that works, or asked about."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.data.domain import DomainData
from hf_ssl.data.group_names import called_as_group


def text(number: int) -> str:
    rng = random.Random(number)
    return " ".join(rng.choice("abcdefghijklmnop") * 3 for _ in range(12)) + f" n{number}"


def load(labels: list[Any], more: dict[str, list[Any]] | None = None, **options: Any) -> DomainData:
    columns = {"text": [text(number) for number in range(len(labels))], "label": labels, **(more or {})}
    return load_data(columns, verbose=False, **options)


def told(data: DomainData, words: str) -> bool:
    return any(words in warning for warning in data.report["warnings"])


AMOUNTS = [1.5 + (7 * number % 50) / 10 for number in range(50)]


@pytest.mark.parametrize("mark", [-999, -9999, -99.9, 99, 9999, "-999.0"])
@pytest.mark.parametrize("kind", ["text", "numbers"])
def test_a_mark_among_amounts_is_told_and_left_out_when_that_is_said(mark: float | str, kind: str) -> None:
    labels: list[Any] = [mark if number % 10 == 3 else amount for number, amount in enumerate(AMOUNTS)]
    labels = [str(label) for label in labels] if kind == "text" else [float(label) for label in labels]
    data = load(labels, label_kind="regression")
    word = f"{float(mark):g}"
    assert told(data, f"na_values=['{word}']")
    left = load(labels, label_kind="regression", na_values=[word])
    values = [row["label"] for split in ("train", "validation", "test") for row in left[split]]
    assert len(values) == 45 and max(map(abs, values)) < 10 and not left.report["warnings"]
    assert not load(labels, label_kind="regression", na_values=["nan"]).report["warnings"]


def test_two_marks_are_told_at_once_and_plain_amounts_are_not() -> None:
    data = load(
        [{3: -99.0, 7: -999.0}.get(n % 10, amount) for n, amount in enumerate(AMOUNTS)], label_kind="regression"
    )
    assert told(data, "-99") and told(data, "'-999'")
    assert not load(AMOUNTS, label_kind="regression").report["warnings"]
    assert not load([float(n * n) for n in range(1, 51)], label_kind="regression").report["warnings"]
    assert not load([float(n) for n in range(60, 110)], label_kind="regression").report[
        "warnings"
    ]  # 77, 88 and 99 among them


@pytest.mark.parametrize("classes", [["1", "2", "3", "4", "5", "99"], [0, 1, 999], ["0", "1", "2", "-9"]])
def test_a_mark_among_class_numbers(classes: list[Any]) -> None:
    labels = [classes[number % len(classes)] for number in range(60)]
    assert told(load(labels), f"na_values=['{classes[-1]}']")
    assert str(classes[-1]) not in load(labels, na_values=[str(classes[-1])]).label_names


@pytest.mark.parametrize("classes", [[-1, 1], ["0", "1", "2"], ["98", "99"], [1, 2, 3, 7, 9], ["a", "b", "99"]])
def test_class_numbers_that_are_classes(classes: list[Any]) -> None:
    assert not load([classes[number % len(classes)] for number in range(60)]).report["warnings"]


@pytest.mark.parametrize(
    "shape",
    [
        "{word} ({share:.2f})",
        "{word}: {share:.3f}",
        "{word}|{share:.2f}",
        "{share:.2f} {word}",
        "{word} {percent}%",
        "{word}_{share:.2f}",
    ],
)
def test_a_word_and_how_sure_somebody_was(shape: str) -> None:
    labels = [
        shape.format(
            word="positive" if number % 2 else "negative",
            share=0.5 + (number * 7 % 50) / 100,
            percent=50 + number * 7 % 50,
        )
        for number in range(60)
    ]
    with pytest.raises(DataError, match="label_kind='class'"):
        load(labels)


@pytest.mark.parametrize(
    "classes",
    [["grade 1", "grade 2"], ["v1.0", "v2.0"], ["stage 2.1", "stage 2.2"], ["a-1", "b-2"], ["50% off", "full price"]],
)
def test_classes_with_numbers_in_them(classes: list[str]) -> None:
    assert set(load([classes[number % len(classes)] for number in range(60)]).label_names) == set(classes)


@pytest.mark.parametrize("bounds", [[">10000"], [">10000", "<0.1"], ["≥ 5,000"], [">= 12.5"]])
def test_amounts_beyond_a_bound_name_their_column_and_a_way(bounds: list[str]) -> None:
    labels = [
        bounds[number % len(bounds)] if number % 5 == 0 else f"{amount}" for number, amount in enumerate(AMOUNTS)
    ]
    columns = {"text": [text(number) for number in range(50)], "IC50_nM": labels}
    options: dict[str, Any] = {"label_column": "IC50_nM", "label_kind": "regression", "verbose": False}
    with pytest.raises(DataError) as caught:
        load_data(columns, **options)
    assert "'IC50_nM'" in str(caught.value) and all(repr(bound) in str(caught.value) for bound in bounds)
    data = load_data(columns, **options, na_values=bounds)
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 40


def test_ids_as_labels_are_told() -> None:
    assert told(
        load([f"ref-{number // 3}" for number in range(180)], validation_fraction=0, test_fraction=0), "label_column="
    )


@pytest.mark.parametrize(
    "name",
    ["Patienten-Nr", "Pat-ID", "PID", "MRN", "patientennummer", "ProbandenID", "USUBJID", "Kundennummer", "id_paciente", "N° patient",
     "numéro du patient",     "Sprecher", "Schüler-ID", "Fall-Nr.", "Subject No.", "authors", "Agent", "caller_id"],
)  # fmt: skip
def test_names_of_groups(name: str) -> None:
    assert called_as_group(name)
    columns = {name: [f"{1000 + number // 3}" for number in range(60)]}
    with pytest.raises(DataError, match="group_column="):
        load(["a", "b"] * 30, columns)
    assert set(load(["a", "b"] * 30, columns, group_column=name)["train"].features) >= {"group"}


@pytest.mark.parametrize(
    "name", ["thesis", "falls", "color", "note", "patient age", "subject line", "series", "edition"]
)
def test_names_of_no_groups(name: str) -> None:
    assert not called_as_group(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Tier", "{}"),
        ("Klinik-Kürzel", "H{}"),
        ("store_id", "{}"),
        ("ref", "AB-{}"),
        ("id", "{}"),
        ("welpe", "w_{}"),
        ("plot", "{}-a"),
    ],
)
@pytest.mark.parametrize("kind", [str, int])
def test_ids_that_repeat_are_told_whatever_they_are_called(name: str, value: str, kind: type) -> None:
    ids: list[Any] = [value.format(1000 + number // 3) for number in range(60)]
    if kind is int and value == "{}":
        ids = [int(one) for one in ids]
    data = load(["a", "b"] * 30, {name: ids})
    assert told(data, f"group_column={name!r}")
    assert not load(["a", "b"] * 30, {name: ids}, ignore_columns=[name]).report["warnings"]
    assert load(["a", "b"] * 30, {name: ids}, group_column=name).report["columns"]["group"] == name


@pytest.mark.parametrize(
    ("name", "values"),
    [("likes", [number * number % 37 for number in range(60)]), ("year", [2000 + number % 20 for number in range(60)]),
     ("age", [20 + number % 30 for number in range(60)]), ("row", list(range(60))), ("uuid", [f"u{number}" for number in range(60)]),
     ("weight", [f"{number % 20}.5" for number in range(60)]), ("published", [1990 + number % 25 for number in range(60)])],
)  # fmt: skip
def test_columns_that_are_no_ids(name: str, values: list[Any]) -> None:
    assert not load(["a", "b"] * 30, {name: values}).report["warnings"]


WRITTEN: dict[str, Callable[[float], str]] = {
    "decimal comma": lambda amount: f"{amount:.1f}".replace(".", ","),
    "thousands": lambda amount: f"{amount * 1000:,.2f}",
    **{
        form: form.format
        for form in (
            "{:.1f} EUR",
            "{:.1f}%",
            "${:.1f}",
            "€{:.1f}",
            "{:.1f} kg",
            "{:.1f}/5",
            "{:.1f} µg/m³",
            "{:.1f}°C",
        )
    },
}


@pytest.mark.parametrize("written", WRITTEN)
def test_amounts_as_people_write_them_are_asked_about(written: str) -> None:
    amounts = [AMOUNTS[number % 20] for number in range(60)]
    labels = [WRITTEN[written](amount) for amount in amounts]
    with pytest.raises(DataError, match="label_kind='regression'.*label_kind='class'"):
        load(labels)
    data = load(labels, label_kind="regression")
    factor = 1000 if written == "thousands" else 1
    found = {row["text"]: row["label"] for split in ("train", "validation", "test") for row in data[split]}
    wanted = {text(number): pytest.approx(amount * factor, rel=1e-5) for number, amount in enumerate(amounts)}
    assert found == wanted and data.report["warnings"]
    assert len(load(labels, label_kind="class").label_names) == len(set(labels))


def test_amounts_and_bounds_are_asked_about() -> None:
    labels = ["<2.5" if number % 8 == 0 else f"{AMOUNTS[number % 20]}" for number in range(60)]
    with pytest.raises(DataError, match=r"na_values=\['<2.5'\]"):
        load(labels)
    data = load(labels, label_kind="regression", na_values=["<2.5"])
    assert sum(len(data[split]) for split in ("train", "validation", "test")) == 52


def test_a_few_doses_are_classes_and_told() -> None:
    data = load(["2.5 mg", "5 mg"] * 25)
    assert data.label_names == ["2.5 mg", "5 mg"] and told(data, "label_kind='regression'")


@pytest.mark.parametrize(
    "names",
    [["18-25", "26-35", "<18", ">65"], ["1.2.3", "1.3.0"], ["10%", "20%"], ["2D", "3D"], ["1 star", "2 stars"], ["1a", "2b"],
     ["1.5 m", "tall"], ["<1.5", "1.5-3", ">3"], ["24 h", "48 h"]],
)  # fmt: skip
def test_classes_that_hold_numbers_stay_in_silence(names: list[str]) -> None:
    data = load(names * 15)
    assert data.label_names == sorted(names) and not data.report["warnings"]


def test_every_word_for_nothing_is_told_also_beside_those_that_are_named() -> None:
    labels = [("good", "bad", "NA", "None", "-", "?")[n % 6] for n in range(60)]
    told_first = next(one for one in load(labels).report["warnings"] if "taken for classes" in one)
    assert all(repr(word) in told_first for word in ("NA", "None", "-", "?"))
    assert told(load(labels, na_values=["NA"]), "'None'")
    left = load(labels, na_values=["NA", "None", "-", "?"])
    assert left.label_names == ["bad", "good"] and not told(left, "taken for")
    gone = load([("good", "bad", "nan", "\\N")[n % 4] for n in range(60)])
    assert told(gone, "'nan'") and told(gone, "'\\\\N'")


@pytest.mark.parametrize("word", ["TODO", "tbd", "unknown", "Unlabeled", "not_labeled", "to be labeled"])
def test_words_for_a_label_to_come_are_told(word: str) -> None:
    labels = [("cat", "dog", word)[n % 3] for n in range(60)]
    assert told(load(labels), f"na_values=['{word}']")
    assert load(labels, na_values=[word]).label_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("column", "values"),
    [("score", [n * 0.37 for n in range(60)]), ("similarity", [str(n / 12) for n in range(60)]), ("label_confidence", [n / 61 for n in range(60)])],
)  # fmt: skip
def test_amounts_called_as_labels_are_told_where_none_is_the_label(column: str, values: list[Any]) -> None:
    columns = {"text": [text(n) for n in range(60)], "other": [text(n + 100) for n in range(60)], column: values}
    data = load_data(columns, verbose=False, text_pair_column="other")
    assert told(data, f"label_column='{column}'")
    read = load_data(columns, verbose=False, text_pair_column="other", label_column=column, label_kind="regression")
    assert read.label_kind == "regression"
    assert not told(load_data(columns, verbose=False, text_pair_column="other", ignore_columns=[column]), column)


def test_a_finer_label_of_another_name_is_told() -> None:
    data = load(["ab"[n % 2] for n in range(60)], {"sublabel": ["xyz"[n % 3] for n in range(60)]})
    assert told(data, "label_column='sublabel'")
    with pytest.raises(DataError, match="group_column='labeler'"):  # who labeled is no label
        load(["ab"[n % 2] for n in range(60)], {"labeler": ["xyz"[n % 3] for n in range(60)]})


@pytest.mark.parametrize("name", ["title", "subject", "text_en", "anything"])
def test_texts_beside_the_text_are_told(name: str) -> None:
    more = {name: [text(n + 500) for n in range(60)]}
    labels = ["ab"[n % 2] for n in range(60)]
    assert told(load(labels, more), f"text_pair_column='{name}'")
    assert not load(labels, more, ignore_columns=[name]).report["warnings"]


@pytest.mark.parametrize("good", ["größe über", "naïve café", "Ærø", "日本語", "“quoted” – text…", "Ã la carte"])
def test_letters_that_were_read_as_two_are_told_and_others_are_not(good: str) -> None:
    texts = [f"{good} {text(n)}" for n in range(40)]
    labels = ["ab"[n % 2] for n in range(40)]
    assert not load_data({"text": texts, "label": labels}, verbose=False).report["warnings"]
    if good == "Ã la carte":
        return
    try:
        broken = [one.encode().decode("cp1252") for one in texts]
    except UnicodeError:
        broken = [one.encode().decode("latin-1") for one in texts]
    data = load_data({"text": broken, "label": labels}, verbose=False)
    assert told(data, "read as two")


@pytest.mark.parametrize(
    ("column", "value"),
    [("StudyInstanceUID", "1.2.840.{}"), ("SeriesInstanceUID", "1.3.{}"), ("email", "u{}@x.org"), ("crop_of", "slide{}.svs"),
     ("parent_image", "{}.png"), ("url", "http://x.org/{}"), ("source", "report {}.pdf"), ("patch_from", "s{}")],
)  # fmt: skip
def test_what_rows_are_parts_of_is_told_or_asked(column: str, value: str) -> None:
    kinds = ["ab"[n % 2] for n in range(60)]
    more = {column: [value.format(n % 14 // 2) for n in range(60)]}
    try:
        assert told(load(kinds, more), f"group_column='{column}'")
    except DataError as error:
        assert f"group_column='{column}'" in str(error)
    assert load(kinds, more, group_column=column).report["columns"]["group"] == column
    assert not load(kinds, more, ignore_columns=[column]).report["warnings"]
    each = {column: [value.format(n) for n in range(60)]}
    assert not load(kinds, each).report["warnings"]


def test_sites_and_places_that_repeat_are_no_parts() -> None:
    kinds = ["ab"[n % 2] for n in range(60)]
    for column, values in (
        ("source", ["reuters", "dpa"]),
        ("url", ["https://x.org", "https://y.org"]),
        ("part_of_speech", ["NN", "VB"]),
    ):
        assert not load(kinds, {column: [values[n // 7 % 2] for n in range(60)]}).report["warnings"]


@pytest.mark.parametrize(
    "names",
    [("credit_card", "credit card"), ("non-smoker", "Non smoker"), ("yes", "yes."), ("a", "a;"), ("spam", "'spam'"), ("ham", "\u201cham\u201d"),
     ("Class 1", "class1"), ("Class 01", "Class 1"), ("a_b-c", "a b c")],
)  # fmt: skip
def test_spellings_of_one_label_are_asked_about(names: tuple[str, str]) -> None:
    labels = [[*names, "other"][n % 3] for n in range(60)]
    with pytest.raises(DataError, match="fold_labels=True"):
        load(labels)
    assert (
        len(load(labels, fold_labels=True).label_names) == 2 and len(load(labels, fold_labels=False).label_names) == 3
    )


@pytest.mark.parametrize(
    "names",
    [("A", "A-", "A+"), ("C", "C#", "C++"), ("v1.05", "v1.5", "v15"), ("A01", "A1", "A10"), ("1-2", "12", "1-3"), ("1_2", "12", "2_1"),
     ("cat", "cats", "ca t"), ("yes", "yes!", "yes?")],
)  # fmt: skip
def test_labels_that_differ_in_more_are_several(names: tuple[str, ...]) -> None:
    assert len(load([names[n % 3] for n in range(60)], label_kind="class").label_names) == 3
