"""Tell every example of the pool from every other: the objective that small pools are credited with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.objectives.single_view import Item, NumberedRows, SingleViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets


class InstanceIdentity(SingleViewObjective):
    """Instance discrimination by classification: every example of the pool is a class of its own.

    Predicts: which example of the pool a random view is of.

    Formula: cross-entropy with label smoothing of `W f(view)` over the pool's examples, less its least value, `f` the pooled vector. No negatives,
    no second view, no teacher, so that batches may be small and accumulation changes nothing. Examples that are held
    out have no class: of them the mean cross-entropy between what `W` says of two views is measured.

    Reference: Balestriero 2023 (DIET, arXiv:2302.10260); for continuing released encoders on about 1,000 examples: DIET-CP,
    arXiv:2509.06990.

    Needs: any kind of data; `W` has a row for each example, at most `instances` of them.

    Inputs: the model's, one view each, and `labels` `(examples,)`, their numbers; held out: `(2 x examples, ...)`, all first
    views before all second ones.

    Example:

        objective = InstanceIdentity(Image().load("facebook/dinov2-small"), InstanceIdentity.Config())
    """

    paper: ClassVar = "Balestriero 2023, DIET (arXiv:2302.10260)"
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 10, "per_device_train_batch_size": 64, "weight_decay": 0.05,
        "max_grad_norm": 1.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `instance-identity`."""

        smoothing: float = option(0.8, "Share of the label that is spread over all examples.", ge=0, lt=1)
        instances: int = option(20_000, "Examples of a larger pool that take part, evenly chosen.", ge=2)
        pooling: str | None = option(None, "How the backbone's output is pooled.")
        max_length: int | None = option(None, "Longest piece of a text in tokens (default: at most 128).", ge=4)

    config: Config

    def __init__(self, encoder: Encoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        self.head: nn.Linear | None = None

    def needs_whole_pool(self) -> str:
        return "it tells every example of the pool from all others"

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> NumberedRows:
        if not training:
            return self.numbered(dataset, seed=seed, training=False)
        if len(dataset) > self.config.instances:
            last, count = len(dataset) - 1, self.config.instances
            dataset = dataset.select([round(step * last / (count - 1)) for step in range(count)])
        rows = self.numbered(dataset, seed=seed, training=True)
        count = len(rows)  # of a series there may be several windows
        if self.head is None or self.head.out_features != count:
            device = next(self.model.parameters()).device
            self.head = nn.Linear(self.encoder.width, count, bias=False, device=device)
        return rows

    def collate(self, rows: Sequence[Item]) -> dict[str, torch.Tensor]:
        if rows[0].training:
            return {**self.drawn(rows), "labels": torch.tensor([row.number for row in rows])}
        return {**self.drawn(rows, views=2), "labels": torch.arange(len(rows))}

    def forward(self, labels: torch.Tensor, num_items_in_batch: Any = None, **inputs: torch.Tensor) -> LossOutput:
        assert self.head is not None, "rows(training=True) comes first"
        logits = self.head(self.encoder.features(inputs)).float()
        if len(logits) == 2 * len(labels):
            first, second = logits.chunk(2)
            total = -(first.softmax(-1) * second.log_softmax(-1)).sum()
        else:
            total = functional.cross_entropy(logits, labels, label_smoothing=self.config.smoothing, reduction="sum")
            total = total - len(labels) * self._least()
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch))

    def _least(self) -> float:
        """The cross-entropy that smoothed labels leave to the best answer: taken off, so that 0 is perfect."""
        assert self.head is not None
        count, smoothing = self.head.out_features, self.config.smoothing
        rest = smoothing / count
        own = 1 - smoothing + rest
        return -own * math.log(own) - ((count - 1) * rest * math.log(rest) if rest else 0.0)
