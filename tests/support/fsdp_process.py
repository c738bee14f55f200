"""Run by test_fsdp.py on one process, or on two that divide the model: whole stages, a resumed training, a domain critic.

Accelerate divides on accelerators only. For want of two, it is told here that the processors are some.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import datasets
import domain_toy
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from PIL import Image
from runs import CARD, rows
from torch.distributed.fsdp import FSDPModule
from toy import options

import hf_ssl
from hf_ssl.core import distributed
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.training.schedule import Schedule
from hf_ssl.training.trainer import train
from tiny import write_checkpoint

STEPS: dict[str, Any] = {
    "max_steps": 6, "learning_rate": 1e-3, "bf16": False, "logging_steps": 1, "use_cpu": True
}  # fmt: skip


def divide() -> None:
    """From now on trainings are divided among the processes."""
    begin = PartialState.__init__

    def with_accelerators(self: PartialState, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_XPU

    PartialState.__init__ = with_accelerators
    os.environ.update(
        ACCELERATE_USE_FSDP="true", FSDP_VERSION="2", FSDP_AUTO_WRAP_POLICY="TRANSFORMER_BASED_WRAP",
        FSDP_RESHARD_AFTER_FORWARD="true", FSDP_STATE_DICT_TYPE="FULL_STATE_DICT",
    )  # fmt: skip


def pictures(folder: Path) -> Path:
    """Twenty small ones, made by the first process."""
    if distributed.is_main():
        folder.mkdir()
        draw = np.random.default_rng(0)
        for number in range(20):
            Image.fromarray(draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    distributed.barrier()
    return folder


def stages(folder: Path, base: Path, batch: int) -> None:
    """Pre-training whole and with adapters, with a teacher, and fine-tuning that keeps its best point."""
    pool: list[dict[str, Any]] = rows(61, 1000, labeled=False)
    common = {**STEPS, "per_device_train_batch_size": batch, "near_duplicates": False}
    mlm: dict[str, Any] = {"model": str(base), "objective": "mlm", "monitor_points": 2, "layer_decay": 0.8, **common}
    hf_ssl.pretrain(data=pool, output=str(folder / "mlm"), **mlm)
    hf_ssl.pretrain(
        data=pool, output=str(folder / "lora"), peft="lora", lora_r=2, gradient_accumulation_steps=2, **mlm
    )
    for name, peft in (("dino", "full"), ("dino-lora", "lora")):
        hf_ssl.pretrain(
            data=str(folder.parent / "pictures"), model=str(folder.parent / "vit"), output=str(folder / name),
            peft=peft, objective="dino", modality="image", image_size=32, prototypes=16, head_hidden=16, head_out=8, **common,
        )  # fmt: skip
    hf_ssl.finetune(
        data=rows(80, 0, labeled=True), model=str(base), output=str(folder / "finetune"), num_train_epochs=2,
        **{**common, "max_steps": -1},
    )  # fmt: skip


def resumed(folder: Path, base: Path, batch: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """State after four steps at a stretch, and after two and two."""
    found = []
    for how in ("whole", "part"):
        objective = MaskedLanguageModeling(
            Text().load(str(base), "AutoModelForMaskedLM"), MaskedLanguageModeling.Config()
        )
        objective_rows = objective.rows(datasets.Dataset.from_list(rows(40, 0, labeled=False)), seed=0, training=True)
        depth: dict[str, int | None] = {n: None if "cls." in n else 0 for n, _ in objective.named_parameters()}
        table = "model.bert.embeddings.word_embeddings.weight"
        schedule = Schedule(depth, head_warmup=0.25, rows={table: [7, 8, 250]})
        more: dict[str, Any] = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": None}
        args = options(folder / how, per_device_train_batch_size=batch, learning_rate=1e-2, **more)
        if how == "part" and distributed.is_main():
            shutil.copytree(folder / "whole/checkpoints/checkpoint-2", folder / "part/checkpoints/checkpoint-2")
        distributed.barrier()
        train(objective, objective_rows, args, folder / how, schedule=schedule, resume=how == "part")
        found.append(objective.state_dict())
    return found[0], found[1]


def domains(folder: Path, batch: int) -> dict[str, torch.Tensor]:
    """A critic that trains itself beside the divided model."""
    module, domain_rows = domain_toy.domains("dann", rows=17)
    args = options(folder / "dann", per_device_train_batch_size=batch, max_steps=6, save_strategy="no")
    train(module, domain_rows, args, folder / "dann")
    return module.state_dict()


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    world = distributed.world_size()
    assert distributed.gather(distributed.rank()) == list(range(world))
    seen: list[int] = []
    if world > 1:
        divide()
        torch.nn.modules.module.register_module_forward_pre_hook(
            lambda module, given: seen.append(1) if isinstance(module, FSDPModule) else None
        )
    base = folder.parent / "base"
    folder.mkdir(exist_ok=True)
    stages(folder, base, 8 // world)
    whole, part = resumed(folder, base, 8 // world)
    critic = domains(folder, 8 // world)
    assert bool(seen) == (world > 1), "divided where there are two"
    if distributed.is_main():
        torch.save({"whole": whole, "part": part, "critic": critic, "world": world}, folder / "end.pt")


def prepare(folder: Path) -> None:
    """What all of them start from."""
    # Without dropout, which processes draw on their own.
    write_checkpoint("bert", folder / "base", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "base" / "README.md").write_text(CARD)
    write_checkpoint("vit", folder / "vit")
    pictures(folder / "pictures")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
