"""The smallest thing that trains: what the loop around it does shows in well under a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import TrainingArguments

from hf_ssl.training.module import LossOutput, TrainingModule, normalize_loss
from hf_ssl.training.trainer import arguments


class Toy(TrainingModule):
    """Two layers with dropout between them, fitted to the sum of the inputs."""

    unit = "examples"

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        inputs = torch.stack(list(rows))
        return {"inputs": inputs, "labels": inputs.sum(1)}

    def forward(
        self, inputs: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> LossOutput:
        counted = labels != -100
        answers = self.model(inputs)[:, 0]
        total = (answers - labels)[counted].square().sum()
        loss = normalize_loss(total, counted.sum(), num_items_in_batch)
        return LossOutput(loss=loss, logits=answers.detach())


class Numbers(Dataset[torch.Tensor]):
    """Rows of four numbers each, the same in every process."""

    def __init__(self, count: int = 20) -> None:
        self.values = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.values[index]


def options(folder: Path, **more: Any) -> TrainingArguments:
    """Few, small, constant steps, each of them logged."""
    base = {
        "per_device_train_batch_size": 4, "learning_rate": 0.05, "lr_scheduler_type": "constant", "bf16": False,
        "logging_steps": 1, "report_to": "none", "save_steps": 2, "max_steps": 8, "use_cpu": True,
    }  # fmt: skip
    return arguments(folder, seed=0, defaults={}, overrides={**base, **more})
