"""The smallest thing that adapts to a domain: two layers on six numbers, one of which tells the domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core import plugins
from hf_ssl.training.domain.methods.dann import DomainAdversarial
from hf_ssl.training.domain.module import DomainModule
from hf_ssl.training.domain.rows import DomainRows
from hf_ssl.training.module import LossOutput, TrainingModule, normalize_loss


class Quiet(DomainAdversarial):
    """A method of one's own: a critic that hardly learns."""

    def __init__(self, width: int, outputs: int, domains: int, **more: Any) -> None:
        super().__init__(width, outputs, domains, **{**more, "learning_rate": 1e-12})


class TwoLayers(TrainingModule):
    """Six numbers to one of two classes."""

    unit = "examples"

    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        hidden = nn.BatchNorm1d(16) if norm else nn.Identity()
        self.model = nn.Sequential(nn.Linear(6, 16), hidden, nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 2))

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        batch = {"inputs": torch.stack([torch.as_tensor(row["inputs"], dtype=torch.float32) for row in rows])}
        if "labels" in rows[0]:
            batch["labels"] = torch.tensor([row["labels"] for row in rows])
        return batch

    def forward(
        self, inputs: torch.Tensor, labels: torch.Tensor | None = None, num_items_in_batch: Any = None
    ) -> LossOutput:
        logits = self.model(inputs)
        if labels is None:
            return LossOutput(logits=logits)
        total = functional.cross_entropy(logits, labels, reduction="sum")
        return LossOutput(loss=normalize_loss(total, (labels != -100).sum(), num_items_in_batch), logits=logits)


class Labeled:
    """Rows in the order they are given, as `TaskRows` are."""

    def __init__(self, features: list[dict[str, Any]]) -> None:
        self.features, self.batch = features, 0
        self.order: np.ndarray | None = None

    def set_epoch(self, epoch: int) -> None:
        """Every epoch is alike."""

    def group(self, batch: int) -> None:
        """Nothing is grouped."""

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.features[index]


def numbers(count: int, domain: int, seed: int) -> list[dict[str, Any]]:
    """Rows of a domain: the label is the sign of the third number, the first two tell the domain."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, 6))
    labels = (inputs[:, 2] > 0).astype(int)
    inputs[:, :2] += 2.0 * domain
    return [{"inputs": row, "labels": int(label)} for row, label in zip(inputs, labels, strict=True)]


def domains(
    method: str = "dann",
    weight: float = 1.0,
    *,
    rows: int = 32,
    count: int = 2,
    inner: TwoLayers | None = None,
    **more: Any,
) -> tuple[DomainModule, DomainRows]:
    """A module and its rows: the first domain has labels, `count - 1` others have none."""
    inner = inner or TwoLayers()
    kind = plugins.find("domain_methods", method)
    module = DomainModule(inner, inner.model[-1], kind(16, 2, count, seed=0), weight=weight, **more)
    others = {number: numbers(rows + 5, number, seed=number) for number in range(1, count)}
    return module, DomainRows(Labeled(numbers(rows, 0, seed=0)), [0] * rows, others, seed=0)
