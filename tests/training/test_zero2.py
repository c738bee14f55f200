"""Two processes that share out gradients and optimizer states (DeepSpeed ZeRO-2, on gloo) do what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
import zero_process
from runs import CARD

from hf_ssl.core.launch import FOLDER
from tiny import write_checkpoint

pytestmark = pytest.mark.slow


def environment() -> dict[str, str]:
    """What `accelerate launch` says to its processes of the shipped file."""
    said = yaml.safe_load((FOLDER / "zero2.yaml").read_text(encoding="utf-8"))["deepspeed_config"]
    return {
        "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(said["zero_stage"]),
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": said["gradient_accumulation_steps"],
        "ACCELERATE_GRADIENT_CLIPPING": said["gradient_clipping"],
        "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": said["offload_optimizer_device"],
        "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": said["offload_param_device"],
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false", "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "false", "DS_ACCELERATOR": "cpu",
    }  # fmt: skip


def curve(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "loss" in line]


@pytest.mark.timeout(900)
def test_two_stages_are_those_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="an extra that is not installed by make")
    base = write_checkpoint("bert", tmp_path / "base", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (base / "README.md").write_text(CARD)
    for world in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"] if world > 1 else []
        given = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, *launcher, zero_process.__file__, str(tmp_path / str(world)), str(base)],
            env={**os.environ, **given, **(environment() if world > 1 else {})}, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
    for name, stage in (("mlm", "pretrain"), ("finetune", "finetune")):
        one, two = (curve(tmp_path / str(world) / name / stage) for world in (1, 2))
        assert len(one) == len(two) >= 6
        for first, second in zip(one, two, strict=True):
            assert first["loss"] == pytest.approx(second["loss"], rel=1e-4), (name, first["step"])
            assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-3), (name, first["step"])
        ledger = json.loads((tmp_path / "2" / name / "run.json").read_text())["stages"][stage]
        assert ledger["processes"] == 2 and ledger["status"] == "done"
