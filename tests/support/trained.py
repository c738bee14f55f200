"""A few steps of training without dropout, and the losses they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_ssl.testing import Built
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.trainer import arguments, train


def losses(made: Built, folder: Path, *, views_on: str = "auto", **training: Any) -> list[float]:
    """The loss of every step; `training` are arguments of the trainer."""
    set_dropout(made.module, 0.0)
    options = {
        "per_device_train_batch_size": 4,
        "max_steps": 5,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "learning_rate": 1e-3,
        "bf16": False,
    }
    args = arguments(folder, seed=0, defaults={}, overrides={**options, **training})
    train(made.module, made.rows, args, folder, views_on=views_on)
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line]
