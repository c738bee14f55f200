"""Two processes that share out gradients and optimizer states (DeepSpeed ZeRO-2, on gloo), parameters too (ZeRO-3), do what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
import zero_process
from PIL import Image
from runs import CARD
from safetensors.torch import load_file

from hf_ssl.core.launch import FOLDER
from tiny import write_checkpoint

pytestmark = pytest.mark.slow


def environment(name: str) -> dict[str, str]:
    """What `accelerate launch` says to its processes of a shipped file."""
    said = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["deepspeed_config"]
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


def stages(folder: Path, base: Path, name: str | None) -> Path:
    """Where `zero_process` has left its runs: on one process, or on two under a shipped file."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"] if name else []
    given = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *launcher, zero_process.__file__, str(folder), str(base)],
        env={**os.environ, **given, **(environment(name) if name else {})}, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The checkpoint, and what one process makes of it."""
    pytest.importorskip("deepspeed", reason="an extra that is not installed by make")
    folder = tmp_path_factory.mktemp("zero")
    base = write_checkpoint("bert", folder / "base", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (base / "README.md").write_text(CARD)
    write_checkpoint("vit", folder / "vit")
    (folder / "pictures").mkdir()
    draw = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / "pictures" / f"{number}.png")
    return base, stages(folder / "alone", base, None)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["zero2", "zero3"])
def test_stages_are_those_of_one_process(name: str, alone: tuple[Path, Path], tmp_path: Path) -> None:
    base, single = alone
    both = stages(tmp_path / "both", base, name)
    for run, stage in (("mlm", "pretrain"), ("dino", "pretrain"), ("finetune", "finetune")):
        one, two = curve(single / run / stage), curve(both / run / stage)
        assert len(one) == len(two) >= 6
        for first, second in zip(one, two, strict=True):
            assert first["loss"] == pytest.approx(second["loss"], rel=1e-4), (run, first["step"])
            assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-3), (run, first["step"])
        ledger = json.loads((both / run / "run.json").read_text())["stages"][stage]
        assert ledger["processes"] == 2 and ledger["status"] == "done"
        weights = [load_file(place / run / stage / "model" / "model.safetensors") for place in (single, both)]
        assert weights[0].keys() == weights[1].keys()
        for key, tensor in weights[0].items():
            torch.testing.assert_close(tensor, weights[1][key], atol=1e-4, rtol=1e-3, msg=f"{run} {key}")
    end, end_alone = torch.load(both / "end.pt"), torch.load(single / "end.pt")
    for key, tensor in end["whole"].items():
        assert torch.equal(tensor, end["part"][key]), f"resumed: {key}"
        torch.testing.assert_close(tensor, end_alone["whole"][key], atol=1e-4, rtol=1e-3)
