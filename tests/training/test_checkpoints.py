"""Faults in and around checkpoints, injected: the run goes on from the newest complete one, or says why it cannot."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Numbers, Toy, options
from transformers import Trainer

from hf_ssl.core.errors import TrainingError
from hf_ssl.training.trainer import TrainResult, train


def _train(folder: Path, resume: bool = False, elastic: bool = False, **more: Any) -> tuple[Toy, TrainResult]:
    module = Toy()
    return module, train(module, Numbers(), options(folder, **more), folder, resume=resume, elastic=elastic)


def _curve(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def _equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


class _Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch payload-ran",)


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Payload()))


FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "complete.json")
FAULTS = [
    *((name, Path.unlink) for name in FILES), *((name, _cut) for name in FILES), ("model.safetensors", _flip),
    ("optimizer.pt", _flip), ("optimizer.pt", _pickle), ("rng_state.pth", _pickle),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Toy]:
    """A run of 8 steps that kept the checkpoints of steps 2, 4, 6 and 8."""
    folder = tmp_path_factory.mktemp("whole")
    module, _ = _train(folder, save_total_limit=None)
    return folder, module


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[f"{name}-{fault.__name__}" for name, fault in FAULTS])
def test_a_damaged_newest_checkpoint_is_set_aside(name, fault, whole, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    shutil.rmtree(folder / "checkpoints" / "checkpoint-8")
    fault(folder / "checkpoints" / "checkpoint-6" / name)
    with caplog.at_level(logging.WARNING, "hf_ssl"):
        module, _ = _train(folder, resume=True, save_total_limit=None)
    assert _equal(module, whole[1])
    assert "checkpoint-6" in caplog.text and "checkpoint-4" in caplog.text
    assert (folder / "checkpoints" / "damaged-checkpoint-6").is_dir()
    assert not list(tmp_path.glob("payload-ran"))
    assert _curve(folder) == _curve(whole[0])


def test_no_whole_checkpoint_is_an_error_that_changes_nothing(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        (path / "optimizer.pt").unlink()
    before = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    for _ in range(2):
        with pytest.raises(TrainingError, match="--overwrite"):
            _train(tmp_path / "run", resume=True)
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == before
    assert _curve(tmp_path / "run") == _curve(whole[0])


def test_a_run_that_had_taken_its_last_step_takes_no_other(whole, tmp_path):
    """As when it is killed while the model's folder is saved."""
    shutil.copytree(whole[0], tmp_path / "run")
    module, result = _train(tmp_path / "run", resume=True)
    assert result.steps == 8 and _equal(module, whole[1])
    assert result.loss is not None, "of the last step that was logged"
    assert _curve(tmp_path / "run") == _curve(whole[0])


def test_units_and_curve_go_on_where_the_checkpoint_was(whole, tmp_path):
    _, result = _train(tmp_path / "unbroken")
    shutil.copytree(whole[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "checkpoint-8")
    with (tmp_path / "run" / "curve.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')  # killed in the middle of a line
    _, resumed = _train(tmp_path / "run", resume=True)
    assert resumed.units == result.units == 8 * 4
    assert _curve(tmp_path / "run") == _curve(whole[0])
    speeds = [json.loads(line).get("examples_per_second", 1) for line in (tmp_path / "run" / "curve.jsonl").open()]
    assert all(speed > 0 for speed in speeds)


def test_another_number_of_processes_is_refused_unless_asked_for(whole, tmp_path, caplog):
    """The checkpoint says two processes of two examples; one process of two and of four are not the same run."""
    folder = tmp_path / "run"
    shutil.copytree(whole[0], folder)
    for noted in (folder / "checkpoints").glob("*/complete.json"):
        noted.write_text(json.dumps({**json.loads(noted.read_text()), "processes": 2}))
    shutil.rmtree(folder / "checkpoints" / "checkpoint-8")
    for batch in (2, 4):
        with pytest.raises(TrainingError, match="2 processes with 4 examples a step.*--elastic"):
            _train(folder, resume=True, per_device_train_batch_size=batch)
    with pytest.raises(TrainingError, match="batches of 3"):
        _train(folder, resume=True, elastic=True, per_device_train_batch_size=3)
    assert _curve(folder) == _curve(whole[0]), "nothing was begun"
    _train(folder, resume=True, elastic=True, per_device_train_batch_size=2)
    assert "2 batches of 2" in caplog.text
    assert [step for step, _ in _curve(folder)] == list(range(1, 9))


KILLED = """
import os, signal, sys
from pathlib import Path
from toy import Numbers, Toy, options
from transformers import Trainer
from hf_ssl.training import trainer

folder, when, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
method = getattr(Trainer, when)

def killed(self, *given, **named):
    if self.state.global_step == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return method(self, *given, **named)

setattr(Trainer, when, killed)
trainer.train(Toy(), Numbers(), options(folder), folder)
"""


@pytest.mark.parametrize("when", ["_save_optimizer_and_scheduler", "_save_rng_state"])
def test_killed_in_the_middle_of_a_checkpoint(when, whole, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path), when, "6"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert (tmp_path / "checkpoints" / "checkpoint-6" / "model.safetensors").is_file(), "it is half there"
    module, _ = _train(tmp_path, resume=True)
    assert _equal(module, whole[1]) and _curve(tmp_path) == _curve(whole[0])


def test_a_full_disk_keeps_the_older_checkpoint_and_no_half_one(tmp_path, monkeypatch):
    save = Trainer._save_rng_state

    def full(self: Any, folder: str) -> None:
        if self.state.global_step == 6:
            raise OSError(28, "No space left on device")
        save(self, folder)

    monkeypatch.setattr(Trainer, "_save_rng_state", full)
    with pytest.raises(OSError, match="No space left"):
        _train(tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_a_run_begun_anew_leaves_no_checkpoint_of_the_one_before(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    _train(tmp_path / "run", max_steps=2)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["checkpoint-2"]
