"""What the page of `hf-ssl ui` does, without a browser and without gradio."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
import runs
from letters import letters

from hf_ssl import cli
from hf_ssl.core.errors import ConfigError, DataError, MissingExtraError, RunFolderError
from hf_ssl.ui import build, steps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ui")
    base = runs.base_checkpoint(folder / "start")
    from hf_ssl import finetune

    finetune(
        data=runs.rows(60, 0, labeled=True), model=str(base), output=str(folder / "run"), max_steps=2, labels_per_class=8,
        early_stopping_patience=0, near_duplicates=False,
    )  # fmt: skip
    return folder / "run"


def test_a_source_is_read_and_its_columns_are_offered(tmp_path: Path) -> None:
    source = str(letters(tmp_path / "letters.csv"))
    found = steps.read(source, "text", label="topic")
    assert found.label == "topic" and {"text", "topic", "tone"} <= set(found.columns)
    assert {name for name, _, _ in found.splits} >= {"train", "validation", "test"} and "fingerprint" in found.text
    assert steps.read(source, "text", label="tone").label == "tone"


def test_what_cannot_be_read_is_the_librarys_own_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Choose"):
        steps.read(" ", "text")
    with pytest.raises(DataError):
        steps.read(str(tmp_path / "nowhere"), "text")


def test_folders_and_tables_are_offered_and_their_kind_is_guessed(tmp_path: Path) -> None:
    letters(tmp_path / "letters.csv")
    for name, suffix in (("scans", ".png"), ("calls", ".wav"), ("notes", ".txt")):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}{suffix}").write_bytes(b"")
    (tmp_path / "program.py").write_text("")
    assert steps.sources(tmp_path) == ["calls", "letters.csv", "notes", "scans"]
    kinds = {name: steps.kind_of(str(tmp_path / name)) for name in ("calls", "letters.csv", "notes", "scans", "none")}
    assert kinds == {"calls": "audio", "letters.csv": "text", "notes": "text", "scans": "image", "none": "text"}
    assert all(steps.models_for(kind) for kind in ("text", "image", "audio"))


def test_the_command_is_the_one_that_one_would_type() -> None:
    given = {**steps.data_options("my data", "image", "kind"), "model": "m", "budget": "", "resume": True}
    words = steps.command("adapt", given)
    assert words == [
        "adapt",
        "--data",
        "my data",
        "--modality",
        "image",
        "--label_column",
        "kind",
        "--model",
        "m",
        "--resume",
    ]
    with pytest.raises(ConfigError, match="data"):
        steps.command("adapt", {"data": ""})
    assert "--modality" not in steps.command("gap", steps.data_options("x", "text", ""))


def test_a_run_answers_a_text_and_shows_its_report(run: Path) -> None:
    chances, rows = steps.answer(str(run), "the nurse measured a lung")
    assert set(chances) == {"clinic", "works"} and sum(chances.values()) == pytest.approx(1, abs=1e-3)
    assert dict(map(tuple, rows))["prediction"] == max(chances, key=chances.__getitem__)
    page = steps.framed_report(str(run))
    assert "srcdoc=" in page and 'sandbox=""' in page and "<script" not in page
    assert steps.outcome(str(run)) == [] and "Nothing has run" in steps.framed_report(str(run / "none"))
    with pytest.raises(ConfigError, match="text or choose"):
        steps.answer(str(run))


def test_what_adapt_tried_is_a_table(tmp_path: Path) -> None:
    tried: list[dict[str, Any]] = [
        {"name": "as-released", "score": 0.5, "seconds": 3.2, "kept": "", "outcome": "done"},
        {"name": "mlm", "score": None, "seconds": 0.0, "kept": "", "outcome": "not tried"},
    ]
    (tmp_path / "adapt").mkdir()
    (tmp_path / "adapt" / "result.json").write_text(json.dumps({"kept": "as-released", "attempts": tried}))
    assert steps.outcome(str(tmp_path)) == [
        ["as-released (kept)", "0.500", "3 s", "done"],
        ["mlm", "", "0 s", "not tried"],
    ]


@pytest.mark.slow
def test_commands_run_one_at_a_time_and_can_be_stopped(tmp_path: Path) -> None:
    commands = steps.Commands()
    assert not commands.stop()
    told = list(commands.follow(["recipes", "ls"]))
    assert commands.code == 0 and told[0] == "$ hf-ssl recipes ls" and "text_tagging" in told[-1]
    list(commands.follow(["data", str(tmp_path / "nowhere")]))
    assert commands.code == 1
    base = runs.base_checkpoint(tmp_path / "start")
    (tmp_path / "pool.csv").write_text("text\n" + "".join(f"{row['text']}\n" for row in runs.rows(80, 0, False)))
    words = [
        "pretrain",
        "--data",
        str(tmp_path / "pool.csv"),
        "--model",
        str(base),
        "--output",
        str(tmp_path / "run"),
        "--max_steps",
        "100000",
    ]
    lines = commands.follow(words)
    next(line for line in lines if "pretrain: " in line)
    with pytest.raises(RunFolderError, match="already"):
        next(commands.follow(["recipes", "ls"]))
    time.sleep(1)
    assert commands.stop()
    *_, last = lines
    assert commands.code == 130 and "--resume" in last


@pytest.mark.skipif(importlib.util.find_spec("gradio") is not None, reason="gradio is installed")
def test_without_gradio_the_error_has_the_pip_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtraError, match=r"hf_ssl\[ui\]"):
        build()
    assert cli.main(["ui", "--browser", "false"]) == 1
    assert 'pip install "hf_ssl[ui]"' in capsys.readouterr().err
