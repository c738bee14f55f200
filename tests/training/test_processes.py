"""Two processes on gloo: the short last batch, checkpoints of two, a signal that only one gets, a launch that starts one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_process
from toy import Numbers, Toy, options

from hf_ssl.core.errors import TrainingError
from hf_ssl.core.run import RunDir
from hf_ssl.training.trainer import train


def _environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **more}


def _run(folder: Path, rows: int, world: int, how: str = "whole") -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"] if world > 1 else []
    command = [sys.executable, *launcher, toy_process.__file__, str(folder), str(rows), how]
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=200, check=False)


def _curve(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("rows", [21, 17], ids=["uneven", "fewer-than-processes"])
def test_the_short_last_batch_is_that_of_one_process(rows, tmp_path):
    found = {}
    for world in (1, 2):
        done = _run(tmp_path / str(world), rows, world)
        assert done.returncode == 0, done.stderr[-3000:]
        found[world] = torch.load(tmp_path / str(world) / "end.pt", weights_only=True)
        assert found[world]["world"] == world
    one, two = (_curve(tmp_path / str(world)) for world in (1, 2))
    assert [line["step"] for line in one] == [line["step"] for line in two] == list(range(1, 7))
    for first, second in zip(one, two, strict=True):
        assert first["loss"] == pytest.approx(second["loss"], rel=1e-5), first["step"]
        assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-5), first["step"]
    for name, weight in found[1]["weights"].items():
        torch.testing.assert_close(weight, found[2]["weights"][name], rtol=1e-5, atol=1e-6)
    assert found[1]["units"] == found[2]["units"] == 2 * rows, "two epochs, each example once"


def test_a_checkpoint_of_two_processes_and_a_signal_to_one_of_them(tmp_path):
    stopped = _run(tmp_path, 21, 2, "signalled")
    assert stopped.returncode != 0 and "Terminated" in stopped.stderr
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    noted = json.loads((checkpoint / "complete.json").read_text())
    assert (noted["processes"], noted["examples_a_step"]) == (2, 8) and 3 <= noted["step"] < 400
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= noted["files"].keys()
    args = options(tmp_path, per_device_train_batch_size=8, max_steps=400)
    with pytest.raises(TrainingError, match="2 processes"):
        train(Toy(dropout=0.0), Numbers(21), args, tmp_path, resume=True)
    (checkpoint / "rng_state_1.pth").unlink()
    resumed = _run(tmp_path, 21, 2, "resumed")
    assert resumed.returncode != 0 and "rng_state_1.pth is missing" in resumed.stderr


def test_a_launch_of_several_that_starts_one_is_an_error(tmp_path):
    """`accelerate launch --num_processes 2` without `--multi_gpu`, and with `--cpu`."""
    script = tmp_path / "script.py"
    script.write_text(f"from hf_ssl.core.run import RunDir\nRunDir({str(tmp_path / 'run')!r})\n", encoding="utf-8")
    for more, fails in (
        (["--cpu", "--num_processes=2"], True),
        (["--num_processes=2"], True),
        (["--cpu", "--num_processes=1"], False),
    ):
        command = [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            *more,
            "--num_machines=1",
            "--mixed_precision=no",
        ]
        command += ["--dynamo_backend=no", str(script)]
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=200, check=False)
        assert (done.returncode != 0) == fails, done.stderr[-2000:]
        assert ("asked for 2 processes and started one" in done.stderr) == fails


def test_an_address_that_was_there_before_is_a_warning(tmp_path, monkeypatch, caplog):
    """As batch systems set it; from here on it cannot be known."""
    monkeypatch.setenv("MASTER_PORT", "29500")
    RunDir(tmp_path / "run")
    assert not caplog.text, "no accelerate"
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    script = f"from hf_ssl.core.run import RunDir\nRunDir({str(tmp_path / 'run')!r})"
    done = subprocess.run(
        [sys.executable, "-c", script], env=_environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0 and "This is one process" in done.stderr
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    RunDir(tmp_path / "run")


def test_a_pool_smaller_than_a_batch(tmp_path, caplog):
    """Objectives that compare examples use full batches only: none of these would be full."""
    more = {"dataloader_drop_last": True, "per_device_train_batch_size": 16}
    result = train(Toy(), Numbers(6), options(tmp_path, **more), tmp_path)
    assert result.steps == 8 and result.units == 8 * 6 and "the batch is 6" in caplog.text
    with pytest.raises(TrainingError, match="1 examples are too few"):
        train(Toy(), Numbers(1), options(tmp_path, **more), tmp_path)
