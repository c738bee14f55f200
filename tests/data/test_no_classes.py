"""Folders that are days, sizes, formats, channels and states of work; tags written as one text; copies that lost their case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sentences import text

from hf_ssl import load_data
from hf_ssl.core.errors import DataError


def folders(root: Path, names: list[str], stem: str = "{n}") -> str:
    for place, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for n in range(8):
            (root / name / (stem.format(n=n, name=name) + ".txt")).write_text(text(place * 8 + n))
    return str(root)


@pytest.mark.parametrize(
    "names",
    [["2023-01-05", "2023-01-06"], ["20230105", "20230207"], ["05.01.2023", "06.01.2023"], ["Jan_2023", "Feb_2023"],
     ["2023-01-05_10-30", "2023-01-06_11-00"], ["2023W01", "2023W02"], ["224x224", "512x512"], ["40X", "100X"], ["16khz", "8khz"], ["HR", "LR"],
     ["RGB", "NIR"], ["band_1", "band_2"], ["B02", "B8A"], ["labeled", "to_check", "done"],
     ["run_2023-01-05", "run_2023-01-06"], ["images_224x224", "images_512x512"], ["checked", "not checked"]],
)  # fmt: skip
def test_folders_that_are_no_classes_are_asked_about(tmp_path: Path, names: list[str]) -> None:
    source = folders(tmp_path, names)
    with pytest.raises(DataError, match=r"folder_labels=True.*folder_labels=False") as error:
        load_data(source, verbose=False)
    kept = load_data(source, folder_labels=True, verbose=False)
    assert set(kept.label_names) == set(names) and not kept.report["warnings"]
    assert set(load_data(source, folder_labels=False, verbose=False)) == {"unlabeled"}
    if "group_level" in str(error.value):
        assert set(load_data(source, group_level="first", verbose=False)) == {"unlabeled"}


@pytest.mark.parametrize(
    "names",
    [["red", "green", "blue"], ["T1", "T2"], ["raw", "cooked"], ["good", "bad"], ["pdf", "email"], ["may", "june"], ["2x4", "1x2"],
     ["clean", "dirty"], ["left", "right"], ["march", "waltz"], ["ir", "ur"]],
)  # fmt: skip
def test_classes_of_such_words_are_not(tmp_path: Path, names: list[str]) -> None:
    data = load_data(folders(tmp_path, names), verbose=False)
    assert set(data.label_names) == set(names) and not data.report["warnings"]


@pytest.mark.parametrize(
    ("names", "stem"), [(["raw", "processed"], "{n}"), (["red", "green", "blue"], "view{n}x"), (["v1", "v2"], "{n}")]
)
def test_what_may_be_classes_is_told(tmp_path: Path, names: list[str], stem: str) -> None:
    source = folders(tmp_path, names, stem)
    data = load_data(source, verbose=False)
    assert set(data.label_names) == set(names)
    assert any("folder_labels=True" in one for one in data.report["warnings"])
    assert not load_data(source, folder_labels=True, verbose=False).report["warnings"]


def tagged(folder: Path, column: str, mark: str = " ", even: bool = False) -> str:
    rows = []
    for row in range(40):
        words = text(row, 6 if even else 4 + row % 4)
        tags = ["O" if (row + place) % 3 else ("B-LOC", "B-PER")[row % 2] for place in range(len(words.split()))]
        rows.append(f'{words},"{tags if mark == "[" else mark.join(tags)}"')
    (folder / "data.csv").write_text("\n".join([f"text,{column}", *rows]) + "\n")
    return str(folder / "data.csv")


@pytest.mark.parametrize("mark", [" ", ",", ";", "["])
@pytest.mark.parametrize("column", ["tags", "label", "slots", "annotations"])
@pytest.mark.parametrize("even", [True, False])
def test_tags_in_one_text_are_asked_about(tmp_path: Path, column: str, mark: str, even: bool) -> None:
    source = tagged(tmp_path, column, mark, even)
    with pytest.raises(DataError, match=rf"label_kind='tags', tokens_column='text' and tags_column='{column}'"):
        load_data(source, verbose=False)
    data = load_data(source, label_kind="tags", tokens_column="text", tags_column=column, verbose=False)
    assert data.label_names == ["O", "B-LOC", "B-PER"]
    assert all(len(row["tokens"]) == len(row["tags"]) for row in data["train"])
    assert len(load_data(source, ignore_columns=[column], verbose=False)["unlabeled"]) == 40


@pytest.mark.parametrize(
    "shape", [("text", "tags"), ("text", "labels"), ("text", "ner", "label"), ("sentence", "tags"), ("words", "ner")]
)
def test_tags_in_lists_are_asked_about(tmp_path: Path, shape: tuple[str, ...]) -> None:
    lines = []
    for row in range(40):
        words = text(row, 4 + row % 4).split()
        tags = ["O" if (row + place) % 3 else "B-LOC" for place in range(len(words))]
        made = {
            shape[0]: " ".join(words) if shape[0] == "text" else words,
            shape[1]: tags,
            **{name: "ab"[row % 2] for name in shape[2:]},
        }
        lines.append(json.dumps(made))
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    options = {"label_kind": "tags", "tokens_column": shape[0], "tags_column": shape[1]}
    with pytest.raises(DataError) as error:
        load_data(str(tmp_path / "data.jsonl"), verbose=False)
    assert all(f"{name}={value!r}" in str(error.value) for name, value in options.items())
    assert load_data(str(tmp_path / "data.jsonl"), verbose=False, **options).label_names == ["O", "B-LOC"]


def test_words_and_tags_as_texts_are_asked_about(tmp_path: Path) -> None:
    source = tagged(tmp_path, "ner_tags").replace("data.csv", "other.csv")
    Path(source).write_text((tmp_path / "data.csv").read_text().replace("text,", "tokens,", 1))
    with pytest.raises(DataError, match="label_kind='tags'"):
        load_data(source, verbose=False)
    assert load_data(source, label_kind="tags", verbose=False).label_names == ["O", "B-LOC", "B-PER"]


def test_the_same_text_in_another_column_is_no_tags(tmp_path: Path) -> None:
    rows = [f"{text(row).title()},{text(row)},{'ab'[row % 2]}" for row in range(40)]
    (tmp_path / "data.csv").write_text("\n".join(["text,plain,label", *rows]) + "\n")
    assert load_data(str(tmp_path / "data.csv"), verbose=False).label_names == ["a", "b"]


CHANGES = {
    "capitals": str.upper,
    "tags": lambda one: f"<p>{one}</p>",
    "entities": lambda one: f"&quot;{one}&quot;",
    "link": lambda one: f"{one} https://t.co/abc",
    "quoted": lambda one: f"RT @someone: {one}",
    "accents": lambda one: one.replace("e", "é"),
    "marks": lambda one: f"“{one}!”",
    "answers": lambda one: f"@someone @other {one}",
    "unseen": lambda one: one.replace(" ", "\u200b ", 2),
    "wide": lambda one: "".join(chr(ord(letter) + 0xFEE0) if letter.islower() else letter for letter in one),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_that_differ_by_case_links_tags_and_accents_are_told(tmp_path: Path, change: str) -> None:
    for name, rows in (("train", range(40)), ("test", range(30, 60))):
        lines = [f"{CHANGES[change](text(row)) if name == 'test' else text(row)},{'ab'[row % 2]}" for row in rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    data = load_data(str(tmp_path), validation_fraction=0, verbose=False)
    told = [one for one in data.report["warnings"] if one.startswith("10 of 40 rows of train")]
    assert len(told) == 1 and "normalize='words'" in told[0] and len(data["train"]) == 40
    strict = load_data(str(tmp_path), validation_fraction=0, normalize="words", verbose=False)
    assert len(strict["train"]) == 30
    meant = load_data(str(tmp_path), validation_fraction=0, normalize="exact", verbose=False)
    assert not [one for one in meant.report["warnings"] if "normalize" in one]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("c1ccccc1", "C1CCCCC1"),
        ("x = {n} + y - z", "x = {n} - y + z"),
        ("Good film", "GOOD FILM"),
        ("कल मैं बाजार गया था", "काल मे बजार गया थी"),
    ],
)
def test_molecules_formulas_and_other_words_are_not(tmp_path: Path, one: str, other: str) -> None:
    for name, value in (("train", one), ("test", other)):
        lines = [f"{value} {n}".format(n=n) + f",{'ab'[n % 2]}" for n in range(20)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    data = load_data(str(tmp_path), validation_fraction=0, verbose=False)
    assert not [warning for warning in data.report["warnings"] if "normalize" in warning]
