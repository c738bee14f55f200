"""Whatever the columns are called and wherever labels and tags stand, the result has the canonical columns."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.data import DomainData, load_data

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ala", "eno", "iru", "oke", "uma", "ysi")]


def sentences(count: int, seed: int = 0, words: int = 12) -> list[str]:
    """Distinct random texts; no two of them are near-duplicates."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=words)) + f" n{seed}x{number}" for number in range(count)]


def rows(count: int, classes: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    return [{"text": text, "label": f"c{number % classes}"} for number, text in enumerate(sentences(count, seed))]


def load(source: Any, **options: Any) -> DomainData:
    return load_data(source, verbose=False, **options)


def texts(data: datasets.DatasetDict, *splits: str) -> set[str]:
    return {text for split in splits or data for text in data[split]["text"]}


LABELLED = ("train", "validation", "test")


@pytest.mark.parametrize("key", ["reviews/a.txt", "a.txt", "a"])
def test_label_sheet(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "files" / "reviews"
    folder.mkdir(parents=True)
    names = [chr(97 + number) for number in range(20)]
    for name, text in zip(names, sentences(20), strict=True):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    entries = [key.replace("a", name) if key != "reviews/a.txt" else f"reviews/{name}.txt" for name in names[:18]]
    sheet = pd.DataFrame({"file": [*entries, "ghost.txt"], "stars": ["good", "bad"] * 9 + ["good"], "who": "x"})
    sheet["who"] = [f"author{number // 2}" for number in range(19)]
    sheet.to_csv(tmp_path / "sheet.csv", index=False)
    if key == "a":
        entries = [name for name in names[:18]]
        sheet["file"] = [*entries, "ghost"]
        sheet.to_csv(tmp_path / "sheet.csv", index=False)
    data = load(
        tmp_path / "files",
        labels_file=tmp_path / "sheet.csv",
        label_column="stars",
        group_column="who",
        test_fraction=0.3,
    )
    assert sum(data.num_rows[split] for split in LABELLED) == 18
    expected = dict(zip(sentences(18), ["good", "bad"] * 9, strict=True))
    for split in LABELLED:
        for row in data[split]:
            assert data.label_names[row["label"]] == expected[row["text"]]
    assert any("1 of 19 entries name no file" in text for text in data.report["warnings"])
    assert texts(data, "unlabeled") >= set(sentences(20)[18:])


def test_label_sheet_that_fits_nothing_or_two_files(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / "files" / folder).mkdir(parents=True)
        (tmp_path / "files" / folder / "a.txt").write_text(f"text {folder}", encoding="utf-8")
    with pytest.raises(DataError, match="in column 'file'"):
        load(tmp_path / "files", labels_file=pd.DataFrame({"file": ["q"], "label": ["z"]}))
    with pytest.raises(DataError, match="fits 2 files"):
        load(tmp_path / "files", labels_file=pd.DataFrame({"file": ["a.txt"], "label": ["z"]}))
    with pytest.raises(DataError, match="names the files"):
        load(tmp_path / "files", labels_file=pd.DataFrame({"label": ["z"]}))
    with pytest.raises(DataError, match="source is a table"):
        load(rows(10), labels_file=pd.DataFrame({"file": ["a.txt"], "label": ["z"]}))


def test_rows_without_label_are_the_pool() -> None:
    content = rows(40) + [{"text": text, "label": None} for text in sentences(60, 1)]
    data = load(content)
    assert texts(data, "unlabeled") == set(sentences(60, 1))
    few = load(rows(40) + [{"text": text, "label": ""} for text in sentences(2, 1)])
    assert texts(few, "unlabeled") == set(sentences(2, 1)) | texts(few, "train")
    assert any("only 2 rows lack a label" in text for text in few.report["decisions"])


def test_pool_is_the_texts_of_train_when_there_is_none() -> None:
    data = load(rows(40))
    assert texts(data, "unlabeled") == texts(data, "train")
    assert "label" not in data["unlabeled"].column_names
    assert any("of train" in text for text in data.report["decisions"])


def test_hub_minus_one_and_unlabeled_test_split() -> None:
    feature = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["z", "a"])})

    def split(count: int, seed: int, label: int | None) -> datasets.Dataset:
        labels = [number % 2 if label is None else label for number in range(count)]
        return datasets.Dataset.from_dict({"text": sentences(count, seed), "label": labels}, features=feature)

    hub = {"train": split(40, 0, None), "unsupervised": split(50, 1, -1), "test": split(20, 2, -1)}
    data = load(datasets.DatasetDict(hub))
    assert data.label_names == ["z", "a"]  # a ClassLabel keeps its order
    assert texts(data, "unlabeled") == set(sentences(50, 1))
    assert data.num_rows["test"] == 8 and not texts(data) & set(sentences(20, 2))
    assert any("test split has no" in text for text in data.report["warnings"])


def test_columns_by_alias_option_and_kept_ones() -> None:
    content = [{"Review": row["text"], "stars": row["label"], "who": "x", "n": 1} for row in rows(40)]
    data = load(content, label_column="stars", keep_columns=["n"])
    assert data["train"].column_names == ["text", "n", "id", "label"]
    assert data.report["columns"] == {"text": "Review", "label": "stars"}
    assert data.report["ignored_columns"] == ["who"]
    with pytest.raises(DataError, match=r"label_column='star'.*Review, stars, who, n.*Did you mean 'stars'"):
        load(content, label_column="star")
    with pytest.raises(DataError, match="input_column='texts'"):
        load(rows(40), input_column="texts")
    with pytest.raises(DataError, match=r"No column of list .*a, b"):
        load([{"a": "x", "b": "y"}])
    with pytest.raises(DataError, match="one option"):
        load(rows(40), input_column="text", text_column="label")


def test_sentence_pairs() -> None:
    content = [
        {"text": a, "hypothesis": b, "label": n % 2}
        for n, (a, b) in enumerate(zip(sentences(40), sentences(40, 1), strict=True))
    ]
    content.append({**content[0], "hypothesis": content[1]["hypothesis"]})  # same first text, another pair
    data = load(content, text_pair_column="hypothesis")
    assert data["train"].column_names == ["text", "text_pair", "id", "label"]
    assert sum(data.num_rows[split] for split in LABELLED) == 41
    assert (
        load([{**row, "text_pair": row["hypothesis"]} for row in content])["train"].column_names
        == data["train"].column_names
    )


def test_unusable_rows_are_dropped_and_counted() -> None:
    data = load([*rows(40), {"text": " ", "label": "c0"}, {"text": None, "label": "c1"}])
    assert data.report["dropped"] == {"empty text": 1, "no text": 1}
    with pytest.raises(DataError, match="are unusable"):
        load([{"text": "", "label": "c0"}] * 5 + rows(2))


def test_conll_files(tmp_path: Path) -> None:
    lines = ["-DOCSTART- -X- O O", ""]
    for number in range(60):
        lines += ["EU NNP B-NP B-ORG", f"word{number} VBZ B-VP O", ". . O O", ""]
        lines += ["-DOCSTART- -X- O O", ""] if number % 6 == 5 else []
    (tmp_path / "train.conll").write_text("\n".join(lines), encoding="utf-8")
    data = load(tmp_path)
    assert data.label_kind == "tags" and data.label_names == ["O", "B-ORG"]
    assert data["train"].features["tags"] == datasets.List(datasets.ClassLabel(names=["O", "B-ORG"]))
    row = data["train"][0]
    assert row["tokens"][0] == "EU" and row["tags"] == [1, 0, 0] and len(row["tokens"]) == 3
    assert set(data["unlabeled"].column_names) == {"path", "id", "group", "text"}
    assert data["unlabeled"][0]["text"] == " ".join(row["tokens"])
    groups = {split: set(data[split]["group"]) for split in LABELLED}
    assert not groups["train"] & groups["test"] and not groups["train"] & groups["validation"]
    assert sum(len(found) for found in groups.values()) == 10  # documents
    pos = load(tmp_path, conll_columns=(0, 1))
    assert pos.label_names == [".", "NNP", "VBZ"]
    (tmp_path / "train.conll").rename(tmp_path / "train.txt")
    assert load(tmp_path, label_kind="tags").fingerprint == data.fingerprint


def test_conllu_contractions_and_ragged_lines(tmp_path: Path) -> None:
    sentence = "# sent_id = {0}\n# text = del x{0}\n1-2\tdel\t_\t_\t_\n1\tde\tde\tADP\t_\n2\tel{0}\tel\tDET\t_\n\n"
    (tmp_path / "a.conllu").write_text("".join(sentence.format(n) for n in range(30)), encoding="utf-8")
    data = load(tmp_path)
    assert data.label_names == ["ADP", "DET"]
    assert all(len(row["tokens"]) == 2 for row in data["train"])
    (tmp_path / "a.conllu").unlink()
    (tmp_path / "b.iob").write_text("a O\nb c O\n", encoding="utf-8")
    with pytest.raises(DataError, match="b.iob: line 2 has 3 columns,.* 2"):
        load(tmp_path)
    (tmp_path / "b.iob").write_text("alone\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1 has 1 columns"):
        load(tmp_path)


def test_words_and_tags_in_columns() -> None:
    content = [{"tokens": text.split(), "ner_tags": ["O"] * 12 + ["B-X"]} for text in sentences(40)]
    data = load(content)
    assert data.label_names == ["O", "B-X"]
    assert data["train"].column_names == ["tokens", "id", "tags"]
    assert data["train"][0]["tags"] == [0] * 12 + [1]
    named = load([{"w": row["tokens"], "t": row["ner_tags"]} for row in content], tokens_column="w", tags_column="t")
    assert named.fingerprint == data.fingerprint
    content[3]["ner_tags"] = ["O"]
    data = load(content)
    assert sum(len(data[name]) for name in ("train", "validation", "test")) == 39
    assert any("row 3 of list: 13 words and 1 tags" in text for text in data.report["warnings"])
    for row in content[:8]:
        row["ner_tags"] = ["O"]
    with pytest.raises(DataError, match="8 of 40 rows.*row 0 of list: 13 words and 1 tags"):
        load(content)
    with pytest.raises(DataError, match="no column of tags"):
        load([{"tokens": ["a"]}], label_kind="tags")


def test_pandas_extras() -> None:
    frame = pd.DataFrame(rows(40))
    frame["label"] = pd.Categorical(frame["label"])
    frame.loc[40] = [sentences(1, 3)[0], None]
    data = load(frame, validation_fraction=0)
    assert data.label_names == ["c0", "c1"]
    assert sentences(1, 3)[0] in texts(data, "unlabeled")
    assert data["train"].features["text"] == datasets.Value("string")
