"""Run by test_zero2.py on one process, or on two under DeepSpeed: pre-training and fine-tuning, one after the other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from runs import rows

import hf_ssl
from hf_ssl.core import distributed


def main(folder: Path, base: Path) -> None:
    torch.set_num_threads(1)
    common: dict[str, Any] = {
        "model": str(base), "learning_rate": 1e-3, "bf16": False, "logging_steps": 1, "use_cpu": True, "near_duplicates": False,
        "per_device_train_batch_size": 8 // distributed.world_size(),
    }  # fmt: skip
    pool: list[dict[str, Any]] = rows(61, 1000, labeled=False)
    hf_ssl.pretrain(
        data=pool,
        output=str(folder / "mlm"),
        objective="mlm",
        monitor_points=2,
        layer_decay=0.8,
        max_steps=6,
        **common,
    )
    hf_ssl.finetune(data=rows(80, 0, labeled=True), output=str(folder / "finetune"), num_train_epochs=2, **common)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
