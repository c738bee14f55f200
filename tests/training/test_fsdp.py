"""Two processes that divide the model (FSDP2 on gloo) do what one does: losses, gradients, weights, checkpoints, exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsdp_process
import pytest
import torch
import transformers
from safetensors.torch import load_file
from toy import Numbers, Toy, options

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError
from hf_ssl.training.trainer import train

STAGES = ("mlm/pretrain", "lora/pretrain", "dino/pretrain", "dino-lora/pretrain", "finetune/finetune")


def run(folder: Path, world: int) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"] if world > 1 else []
    path = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, *launcher, fsdp_process.__file__, str(folder)], capture_output=True, text=True, timeout=500,
        check=False, env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the run of one process and of that of two."""
    folder = tmp_path_factory.mktemp("fsdp")
    fsdp_process.prepare(folder)
    run(folder / "1", 1)
    run(folder / "2", 2)
    return folder / "1", folder / "2"


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_step_is_that_of_one_process(stage, ends):
    one, two = (curve(folder / stage) for folder in ends)
    assert [line["step"] for line in one] == [line["step"] for line in two]
    steps = [(a, b) for a, b in zip(one, two, strict=True) if "loss" in a]
    assert len(steps) >= 6
    for first, second in steps:
        assert first["loss"] == pytest.approx(second["loss"], rel=2e-5, abs=1e-7), first["step"]
        assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-3), first["step"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_what_is_saved_is_that_of_one_process(stage, ends):
    one, two = (folder / stage / "model" for folder in ends)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-3, atol=1e-4, msg=name)
    architecture = json.loads((two / "config.json").read_text())["architectures"][0]
    _, info = getattr(transformers, architecture).from_pretrained(two, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]


@pytest.mark.slow
def test_what_is_measured_is_that_of_one_process(ends):
    for stage in ("mlm", "lora", "dino"):
        one, two = (
            [json.loads(line) for line in (folder / stage / "pretrain" / "monitor.jsonl").read_text().splitlines()]
            for folder in ends
        )
        assert [line["step"] for line in one] == [line["step"] for line in two] and len(one) >= 2
        for first, second in zip(one, two, strict=True):
            assert first["eval_loss"] == pytest.approx(second["eval_loss"], rel=1e-4), (stage, first["step"])
    one, two = (json.loads((folder / "finetune" / "run.json").read_text()) for folder in ends)
    told = [found["stages"]["finetune"]["metrics"]["validation"] for found in (one, two)]
    assert told[0] == pytest.approx(told[1], rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(ends):
    """With head warm-up, in which of the table only the new rows learn; and the checkpoints are those of one process."""
    found = [torch.load(folder / "end.pt", weights_only=True) for folder in ends]
    assert [end["world"] for end in found] == [1, 2]
    for end in found:
        for name, tensor in end["whole"].items():
            assert torch.equal(tensor, end["part"][name]), name
    for part in ("whole", "critic"):
        for name, tensor in found[0][part].items():
            torch.testing.assert_close(tensor, found[1][part][name], rtol=1e-3, atol=1e-4, msg=name)
    first, second = (torch.load(f / "whole/checkpoints/checkpoint-2/optimizer.pt", weights_only=True) for f in ends)
    assert first["state"].keys() == second["state"].keys()
    for number, noted in first["state"].items():
        for name, tensor in noted.items():
            torch.testing.assert_close(tensor, second["state"][number][name], rtol=1e-3, atol=1e-6)


def test_without_accelerators_nothing_can_be_divided(tmp_path, monkeypatch):
    """Accelerate would train on undivided, and say nothing."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="launch cpu"):
        train(Toy(), Numbers(), options(tmp_path), tmp_path)
