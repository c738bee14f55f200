"""The scripts that show the Python API run to their end, on demo data and for a few steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import RECIPES, REPOSITORY

from hf_ssl import demo
from hf_ssl.core.errors import MissingExtraError
from hf_ssl.demo import audio, images, series


def newsgroups(folder: Path) -> list[str]:
    return [f"--data={demo.write_newsgroups(folder, per_class=4, pool_limit=40, test_limit=40)}"]


def fashion(folder: Path) -> list[str]:
    return [f"--data={images.write_fashion_mnist(folder, per_class=4, pool_limit=40, test_limit=40)}"]


def syllables(folder: Path) -> list[str]:
    return [f"--data={audio.write_gcin(folder)}", f"--model={audio.write_small(folder.parent / 'model')}"]


def engines(folder: Path) -> list[str]:
    return [f"--data={series.write_ucr('FordA', folder)}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "write"),
    [("text", newsgroups), ("image", fashion), ("audio", syllables), ("series", engines)],
)
def test_script_runs(script: str, write: Callable[[Path], list[str]], tmp_path: Path) -> None:
    try:
        given = write(tmp_path / "data")
    except MissingExtraError as error:
        pytest.skip(str(error))
    command = [
        sys.executable,
        str(RECIPES / f"{script}.py"),
        *given,
        "--steps=1",
        "--labels",
        "2",
        f"--output={tmp_path / 'run'}",
    ]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path, env={**os.environ, **environment}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ledger = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    stages = ("pretrain", "finetune", "compare", "push")
    assert {stage: entry["status"] for stage, entry in ledger["stages"].items()} == dict.fromkeys(stages, "done")
    assert "### Frozen probe" in done.stdout and f"fine-tuned model: {tmp_path}/run/finetune/model" in done.stdout
    assert "compare: " in done.stderr, "progress is shown where the script asks for it"
