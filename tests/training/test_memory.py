"""Memory that runs out, numbers that do, and workers that are killed: a line that says what to do, or smaller batches."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Numbers, Toy, options

from hf_ssl.core.errors import TrainingError
from hf_ssl.training.trainer import train


class Hungry(Toy):
    """Has room for batches of `most`, and from the given step on only."""

    def __init__(self, most: int, after: int = 0) -> None:
        super().__init__(dropout=0.0)
        self.most, self.after, self.steps = most, after, 0

    def on_optimizer_step(self, step: int, total: int) -> None:
        self.steps = step

    def forward(self, inputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        if self.training and len(inputs) > self.most and self.steps >= self.after:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().forward(inputs, labels, num_items_in_batch)


def _losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("after", [0, 5], ids=["at-once", "after-two-checkpoints"])
def test_smaller_batches_train_the_same(after, tmp_path, caplog):
    whole, part = Toy(dropout=0.0), Hungry(1, after)
    train(whole, Numbers(), options(tmp_path / "whole"), tmp_path / "whole")
    args = options(tmp_path / "part")
    result = train(part, Numbers(), args, tmp_path / "part", auto_batch_size=True)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (1, 4)
    assert result.steps == 8 and result.units == 8 * 4
    assert "batches of 2, 2 of them" in caplog.text and "batches of 1, 4 of them" in caplog.text
    assert _losses(tmp_path / "part") == pytest.approx(_losses(tmp_path / "whole"), rel=1e-5)
    for a, b in zip(whole.parameters(), part.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_message_has_the_batch_to_try(tmp_path):
    tried = "--per_device_train_batch_size 2 --gradient_accumulation_steps 2"
    with pytest.raises(TrainingError, match=f"{tried}.*--auto_batch_size"):
        train(Hungry(2), Numbers(), options(tmp_path), tmp_path)
    with pytest.raises(TrainingError, match="compares the examples"):
        train(Hungry(2), Numbers(), options(tmp_path, dataloader_drop_last=True), tmp_path, auto_batch_size=True)
    with pytest.raises(TrainingError, match="one example"):
        train(Hungry(0), Numbers(), options(tmp_path), tmp_path, auto_batch_size=True)


def test_numbers_that_run_out_leave_the_last_good_point(tmp_path):
    class Broken(Toy):
        def on_optimizer_step(self, step: int, total: int) -> None:
            if step == 5:
                self.model[0].weight.data[0, 0] = float("nan")

    with pytest.raises(TrainingError, match="not finite after step 6"):
        train(Broken(), Numbers(), options(tmp_path, logging_steps=100, logging_first_step=False), tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-4"]
    assert train(Toy(), Numbers(), options(tmp_path), tmp_path, resume=True).steps == 8


class Deadly(Numbers):
    def __getitem__(self, index: int) -> torch.Tensor:
        if torch.utils.data.get_worker_info() is not None and index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_killed_worker_is_a_clear_error(tmp_path):
    with pytest.raises(TrainingError, match="--dataloader_num_workers"):
        train(Toy(), Deadly(), options(tmp_path, dataloader_num_workers=1), tmp_path)
