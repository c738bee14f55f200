"""Run by test_zero.py on one process, or on two under DeepSpeed: whole stages one after the other, and a resumed training."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import datasets
import torch
from runs import rows
from toy import options

import hf_ssl
from hf_ssl.core import distributed
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.training.trainer import train


def resumed(folder: Path, base: Path, batch: int) -> list[dict[str, torch.Tensor]]:
    """State after four steps at a stretch, and after two and two."""
    found = []
    for how in ("whole", "part"):
        objective = MaskedLanguageModeling(
            Text().load(str(base), "AutoModelForMaskedLM"), MaskedLanguageModeling.Config()
        )
        objective_rows = objective.rows(datasets.Dataset.from_list(rows(40, 0, labeled=False)), seed=0, training=True)
        more: dict[str, Any] = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": None}
        args = options(folder / how, per_device_train_batch_size=batch, learning_rate=1e-2, **more)
        if how == "part" and distributed.is_main():
            shutil.copytree(folder / "whole/checkpoints/checkpoint-2", folder / "part/checkpoints/checkpoint-2")
        distributed.barrier()
        train(objective, objective_rows, args, folder / how, resume=how == "part")
        found.append(objective.state_dict())
    return found


def main(folder: Path, base: Path) -> None:
    torch.set_num_threads(1)
    batch = 8 // distributed.world_size()
    common: dict[str, Any] = {
        "learning_rate": 1e-3, "bf16": False, "logging_steps": 1, "use_cpu": True, "near_duplicates": False,
        "per_device_train_batch_size": batch,
    }  # fmt: skip
    hf_ssl.pretrain(
        data=rows(61, 1000, labeled=False), model=str(base), output=str(folder / "mlm"), objective="mlm", monitor_points=2,
        layer_decay=0.8, max_steps=6, **common,
    )  # fmt: skip
    hf_ssl.pretrain(
        data=str(base.parent / "pictures"), model=str(base.parent / "vit"), output=str(folder / "dino"), objective="dino",
        modality="image", image_size=32, prototypes=16, head_hidden=16, head_out=8, head_warmup=0.0, freeze_last=0.0, max_steps=6, **common,
    )  # fmt: skip
    labeled = rows(80, 0, labeled=True)
    hf_ssl.finetune(data=labeled, model=str(base), output=str(folder / "finetune"), num_train_epochs=2, **common)
    whole, part = resumed(folder, base, batch)
    if distributed.is_main():
        torch.save({"whole": whole, "part": part}, folder / "end.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
