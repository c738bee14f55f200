"""`load_data` reads whatever people have: files, tables, Hub objects, frames, streams."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
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


def write_jsonl(path: Path, content: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8")
    with opened as stream:
        stream.writelines(json.dumps(row) + "\n" for row in content)
    return path


def load(source: Any, **options: Any) -> DomainData:
    return load_data(source, verbose=False, **options)


def texts(data: datasets.DatasetDict, *splits: str) -> set[str]:
    return {text for split in splits or data for text in data[split]["text"]}


LABELLED = ("train", "validation", "test")


def test_every_kind_of_table_gives_the_same_data(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows(60))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.csv.gz", index=False)
    frame.to_csv(tmp_path / "c.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "d.parquet")
    write_jsonl(tmp_path / "e.jsonl", rows(60))
    write_jsonl(tmp_path / "f.jsonl.gz", rows(60))
    (tmp_path / "g.json").write_text(json.dumps(rows(60)), encoding="utf-8")
    (tmp_path / "h.json").write_text(json.dumps({"version": "1", "data": rows(60)}, indent=1), encoding="utf-8")
    frame.to_csv(tmp_path / "i.csv", index=False, encoding="utf-8-sig")
    write_jsonl(tmp_path / "j.jsonl", rows(60)).write_bytes(b"\xef\xbb\xbf" + (tmp_path / "e.jsonl").read_bytes())
    loaded = {path.name: load(path) for path in sorted(tmp_path.iterdir())}
    loaded |= {
        "frame": load(frame),
        "Dataset": load(datasets.Dataset.from_list(rows(60))),
        "list": load(rows(60)),
        "generator": load(row for row in rows(60)),
        "columns": load({"text": list(frame["text"]), "label": list(frame["label"])}),
    }
    assert {name: data.fingerprint for name, data in loaded.items()} == dict.fromkeys(
        loaded, loaded["list"].fingerprint
    )
    data = loaded["a.csv"]
    assert list(data) == ["unlabeled", "train", "validation", "test"]
    assert texts(data, *LABELLED) == set(sentences(60))
    assert [data.num_rows[split] for split in LABELLED] == [42, 6, 12]
    assert data["train"].features["label"] == datasets.ClassLabel(names=["c0", "c1"])
    assert data["train"].column_names == ["text", "id", "label"]
    assert data["unlabeled"].column_names == ["text", "id"]


def test_csv_values_stay_the_text_they_are(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(
        f"{text},{label}\n" for text, label in zip(sentences(40), ["NA", "007"] * 20, strict=True)
    )
    (tmp_path / "a.csv").write_text(content + "null,NA\n", encoding="utf-8")
    data = load(tmp_path / "a.csv")
    assert data.label_names == ["007", "NA"]
    assert "null" in texts(data, *LABELLED)


def test_separator_is_found_and_may_be_given(tmp_path: Path) -> None:
    pd.DataFrame(rows(40)).to_csv(tmp_path / "a.csv", index=False, sep=";")
    assert load(tmp_path / "a.csv", input_column="text").num_rows["test"] == 8
    assert load(tmp_path / "a.csv", csv_options={"sep": ";"}).num_rows["test"] == 8


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "dev.jsonl", "test.jsonl", "unlabelled.jsonl"),
        ("training/1.jsonl", "val/a/b.jsonl", "Test/x.jsonl", "pool/y.jsonl"),
        ("r_train-00000-of-00001.jsonl.gz", "r-valid.jsonl", "r.test.jsonl", "unsup.jsonl"),
    ],
)
def test_splits_are_known_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        content = rows(10 + number, seed=number)
        write_jsonl(tmp_path / name, content if number < 3 else [{"text": row["text"]} for row in content])
    data = load(tmp_path)
    assert data.num_rows == {"unlabeled": 13, "train": 10, "validation": 11, "test": 12}
    assert texts(data, "test") == set(sentences(12, seed=2))


def test_hidden_files_are_skipped_and_unknown_ones_counted(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a" / "rows.jsonl", rows(40))
    write_jsonl(tmp_path / ".ipynb_checkpoints" / "rows.jsonl", rows(40, seed=1))
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "figure.pdf").write_bytes(b"%PDF")
    data = load(tmp_path)
    assert texts(data, *LABELLED) == set(sentences(40))
    assert "skipped files: 1 .pdf" in data.report["decisions"]
    assert data.report["files"] == {".jsonl": 1}


def test_pattern_and_list_of_files(tmp_path: Path) -> None:
    for number in range(3):
        write_jsonl(tmp_path / f"part{number}" / "rows.jsonl", rows(20, seed=number))
    everything = {text for seed in range(3) for text in sentences(20, seed)}
    assert texts(load(str(tmp_path / "**" / "*.jsonl")), *LABELLED) == everything
    files = sorted(tmp_path.rglob("*.jsonl"))
    assert texts(load([str(file) for file in files[:2]]), *LABELLED) == set(sentences(20) + sentences(20, 1))
    with pytest.raises(DataError, match="1 of 2 files do not exist"):
        load([files[0], tmp_path / "missing.jsonl"])


def test_texts_in_a_list_are_not_taken_for_names_of_files() -> None:
    texts = [f"{number} {'a long text without a line end ' * 15}" for number in range(30)]
    assert 255 < len(texts[0]) < 1024
    data = load_data(texts, verbose=False)
    assert data["unlabeled"]["text"] == texts


def test_txt_files_class_folders_and_pool(tmp_path: Path) -> None:
    for split, label, seed in (("train", "pos", 0), ("train", "neg", 1), ("test", "pos", 2), ("test", "neg", 3)):
        for number, text in enumerate(sentences(10, seed)):
            file = tmp_path / split / label / f"test-{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    pool = tmp_path / "train" / "unsup"
    pool.mkdir()
    (pool / "1.txt").write_text(sentences(1, 9)[0], encoding="utf-8")
    data = load(tmp_path, validation_fraction=0)
    assert data.label_names == ["neg", "pos"]
    assert data.num_rows["test"] == 20
    assert texts(data, "test") == set(sentences(10, 2) + sentences(10, 3))
    by_class = {row["path"]: data["test"].features["label"].int2str(row["label"]) for row in data["test"]}
    assert all(Path(path).parts[1] == name for path, name in by_class.items())
    assert texts(data, "unlabeled") == set(sentences(1, 9))


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    for number, text in enumerate(sentences(12)):
        (tmp_path / f"doc{number}").mkdir()
        (tmp_path / f"doc{number}" / "body.txt").write_text(text, encoding="utf-8")
    data = load(tmp_path)
    assert list(data) == ["unlabeled"] and data.num_rows["unlabeled"] == 12
    assert data.label_kind is None


def test_folder_labels_can_be_turned_off(tmp_path: Path) -> None:
    for year in ("2019", "2020"):
        (tmp_path / year).mkdir()
        for number, text in enumerate(sentences(5, int(year))):
            (tmp_path / year / f"{number}.txt").write_text(text, encoding="utf-8")
    assert list(load(tmp_path, folder_labels=False)) == ["unlabeled"]
    assert load(tmp_path, validation_fraction=0).label_names == ["2019", "2020"]


def test_a_line_ends_where_files_end_lines_and_nowhere_else(tmp_path: Path) -> None:
    lines = ["one\u2028still one", "two\x0bstill two", "three\x85still three", "four\x1cstill four\rstill four"]
    (tmp_path / "unlabeled.txt").write_bytes("\r\n".join(lines[:2]).encode() + b"\n" + "\n".join(lines[2:]).encode())
    assert list(load(tmp_path, txt="lines")["unlabeled"]["text"]) == lines


def test_txt_lines(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("\n".join(sentences(30)) + "\n\n", encoding="utf-8")
    assert load(tmp_path, txt="lines").num_rows == {"unlabeled": 30}
    assert load(tmp_path).num_rows == {"unlabeled": 1}
    (tmp_path / "corpus.txt").rename(tmp_path / "train.txt")
    (tmp_path / "valid.txt").write_text("\n".join(sentences(7, 1)), encoding="utf-8")
    data = load(tmp_path)
    assert data.num_rows == {"unlabeled": 30, "validation": 7}
    assert any("one example per line" in text for text in data.report["decisions"])


def test_bytes_that_are_not_the_encoding_are_quarantined_with_the_offset(tmp_path: Path) -> None:
    for number, text in enumerate(sentences(9)):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("plain then p\xe8re".encode("latin-1"))
    data = load(tmp_path)
    (bad,) = data.report["quarantined"]
    assert bad["path"] == "latin.txt" and "byte 12" in bad["reason"] and "encoding" in bad["reason"]
    assert "latin.txt" in data.report_text()
    assert "plain then p\xe8re" in texts(load(tmp_path, encoding="latin-1"))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".csv.gz"])
def test_tables_in_another_encoding(tmp_path: Path, suffix: str) -> None:
    texts_ = [f"p\xe8re {text}" for text in sentences(40)]
    label = ["a", "b"] * 20
    if suffix == ".jsonl":
        lines = [json.dumps({"text": t, "label": v}, ensure_ascii=False) for t, v in zip(texts_, label, strict=True)]
        content = "\n".join(lines).encode("latin-1")
    else:
        content = pd.DataFrame({"text": texts_, "label": label}).to_csv(index=False).encode("latin-1")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    offset = content.index(b"\xe8")
    with pytest.raises(DataError, match=rf"not utf-8 at byte {offset}\..*encoding='\w+'"):
        load(path)
    assert texts(load(path, encoding="latin-1"), *LABELLED) == set(texts_)


def test_a_character_on_the_border_of_two_pieces(tmp_path: Path) -> None:
    from hf_ssl.core.textfiles import undecodable

    border = tmp_path / "a.txt"
    border.write_bytes(b"x" * ((1 << 20) - 1) + "é".encode() + b"yy\xff")
    assert f"byte {(1 << 20) + 3}" in (undecodable(border, "utf-8-sig") or "")
    border.write_bytes(b"x" * ((1 << 20) - 1) + "é".encode() + b"yy")
    assert undecodable(border, "utf-8-sig") is None
    border.write_bytes(b"ok \xc3")
    assert "byte 3" in (undecodable(border, "utf-8") or "")


def test_broken_tables_are_quarantined_and_too_many_stop(tmp_path: Path) -> None:
    for number in range(9):
        write_jsonl(tmp_path / f"{number}.jsonl", rows(10, seed=number))
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": oops\n', encoding="utf-8")
    data = load(tmp_path)
    assert "line 2 is not json" in " ".join(data.report["warnings"])
    assert data.report["accounts"]["rows"]["left_out"] == {"lines that are no JSON": 1}
    assert sum(data.num_rows[split] for split in LABELLED) == 90
    for number in range(2):
        (tmp_path / f"ragged{number}.csv").write_text("text,label\na,b\nc,d,e\n", encoding="utf-8")
    assert load(tmp_path, fold_labels=False, test_fraction=0, validation_fraction=0).report["accounts"]["rows"]["left_out"] == {
        "lines that are no JSON": 1, "lines with another number of columns than the header": 2, "repeated in train": 1,
    }  # fmt: skip
    for number in range(2):
        (tmp_path / f"broken{number}.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="2 of 14 files cannot be used"):
        load(tmp_path)


def test_labels_that_begin_late_in_a_json_file(tmp_path: Path) -> None:
    """The json builder fixes a column's type on the first 10 MB."""
    pool = [{"text": f"{text} {'filler ' * 150}", "label": None} for text in sentences(11_000)]
    data = load(write_jsonl(tmp_path / "a.jsonl", pool + rows(40, seed=5)), near_duplicates=False)
    assert data.num_rows["unlabeled"] == 11_000
    assert texts(data, *LABELLED) == set(sentences(40, seed=5))


class Pulled:
    """A stream that counts what was taken from it."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in rows(5000):
            self.count += 1
            yield row


def test_stream_is_bounded_and_says_so() -> None:
    stream = Pulled()
    data = load(stream, max_examples=100)
    assert stream.count == 101  # one more, to know whether there is more
    assert sum(data.num_rows[split] for split in LABELLED) == 100
    assert any("took the first 100 rows" in text and "there are more" in text for text in data.report["decisions"])
    assert any("took all 60 rows" in text for text in load(iter(rows(60))).report["decisions"])


def test_stream_has_a_default_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_ssl.data.readers.sources.STREAM_BOUND", 50)
    stream = Pulled()
    data = load(stream)
    assert stream.count == 51
    assert any("set max_examples" in text for text in data.report["decisions"])


def test_iterable_dataset_and_dict_of_them() -> None:
    def generate() -> Iterator[dict[str, Any]]:
        yield from rows(300)

    stream = datasets.IterableDataset.from_generator(generate)
    data = load(datasets.IterableDatasetDict({"train": stream, "dev": stream.skip(290)}), max_examples=200)
    assert data.num_rows["validation"] == 10
    assert data.num_rows["train"] + data.num_rows["test"] == 200


def test_max_examples_samples_a_finite_source() -> None:
    data = load(rows(500, classes=5), max_examples=100)
    assert sum(data.num_rows[split] for split in LABELLED) == 100
    assert data.fingerprint == load(rows(500, classes=5), max_examples=100).fingerprint
    assert set(data.label_names) == {f"c{number}" for number in range(5)}


def test_extra_sources(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for number, text in enumerate(sentences(6, 7)):
        (tmp_path / "pool" / f"{number}.txt").write_text(text, encoding="utf-8")
    data = load(rows(40), unlabeled=tmp_path / "pool", validation=rows(8, seed=1), test=rows(9, seed=2))
    assert data.num_rows == {"unlabeled": 6, "train": 40, "validation": 8, "test": 9}
    strings = load(rows(40), unlabeled=sentences(5, 3))
    assert texts(strings, "unlabeled") == set(sentences(5, 3))


def test_extra_source_with_splits_of_its_own_never_gives_its_test() -> None:
    other = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_list(rows(10, seed=1)),
            "test": datasets.Dataset.from_list(rows(10, seed=2)),
        }
    )
    data = load(rows(40), unlabeled=other)
    assert texts(data, "unlabeled") == set(sentences(10, 1))
    assert any("not used" in text for text in data.report["warnings"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/folder/x.csv", "No such file"),
        ("./nothing", "No such file"),
        ("nothing", "No such file"),
        ([], "holds no rows"),
        (42, "Cannot read data from int"),
        ([1, 2], "Row 0 is int"),
        ([{"text": "a", "label": 1}, {"text": "b", "label": "x"}], "mixes types.*label: int, str"),
    ],
)
def test_sources_that_cannot_be_read(source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(source)


def test_empty_folders_and_near_misses(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No files found"):
        load(tmp_path)
    (tmp_path / ".hidden.csv").write_text("text\na\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 hidden files"):
        load(tmp_path)
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match=r"of a known kind \(.pdf\)"):
        load(tmp_path)
    (tmp_path / "reviews.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(DataError, match="Did you mean 'reviews.csv'"):
        load(tmp_path / "review.csv")
    with pytest.raises(DataError, match="reviews.csv: no rows"):
        load(tmp_path / "reviews.csv")


def test_hub_is_asked_only_for_a_hub_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def fake(path: str, **options: Any) -> datasets.DatasetDict:
        asked.append(path)
        if path == "some/missing":
            raise ConnectionError("offline\nlong story")
        return datasets.DatasetDict({"train": datasets.Dataset.from_list(rows(40))})

    monkeypatch.setattr(datasets, "load_dataset", fake)
    write_jsonl(tmp_path / "some" / "reviews", rows(1)).unlink()
    monkeypatch.chdir(tmp_path)
    assert load("owner/reviews").num_rows["train"] > 0
    assert load("hf://imdb").num_rows["train"] > 0
    with pytest.raises(DataError, match="'some/missing' .*failed: offline$"):
        load("some/missing")
    assert asked == ["owner/reviews", "imdb", "some/missing"]
    for local in ("./owner/reviews", "owner/reviews.csv", "/owner/reviews", "reviews"):
        with pytest.raises(DataError, match="No such file"):
            load(local)
    with pytest.raises(DataError, match="No files found"):
        load("some")
    assert len(asked) == 3


def test_unknown_option_of_a_modality_names_the_nearest(tmp_path):
    (tmp_path / "a.txt").write_text("one text", encoding="utf-8")
    with pytest.raises(DataError, match="no option 'leakag'.*leakage"):
        load_data(tmp_path, leakag="fail")
