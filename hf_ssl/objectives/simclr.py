"""Contrastive learning of one vector per example from two random views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.objectives import losses
from hf_ssl.objectives.base import PAIR_TRAINING, ViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    pass


# Appendix A of the paper.
_VIEW = View(color=(0.8, 0.8, 0.8, 0.2), gray=0.2, blur=0.5)


class SimCLR(ViewObjective):
    """Contrastive learning: two views of an example are closer to each other than to any other view of the batch.

    Predicts: which vector of the batch is the other view of the same example.

    Formula: `-log exp(cos(z_i, z_j) / t) / sum_{k != i} exp(cos(z_i, z_k) / t)`, mean over both directions.

    Reference: Chen et al. 2020 (SimCLR, arXiv:2002.05709).

    Needs: a kind of data with random views; any backbone. Negatives are the other examples of the micro-batch on all
    processes: a larger `per_device_train_batch_size` gives more of them, gradient accumulation does not.

    Inputs: the model's, `(2 x examples, ...)`, all first views before all second ones; `labels` `(examples,)`, which
    only counts the loss terms.

    Example:

        objective = SimCLR(Image().load("facebook/dinov2-small"), SimCLR.Config(temperature=0.2))
    """

    unit: ClassVar = "examples"
    paper: ClassVar = "Chen et al. 2020, SimCLR (arXiv:2002.05709)"
    training_defaults: ClassVar = PAIR_TRAINING
    views: ClassVar = ViewPlan((_VIEW, _VIEW))

    @dataclass
    class Config(Options):
        """Options of `simclr`."""

        temperature: float = option(0.2, "Of the softmax over cosines.", gt=0)
        projector_hidden: int = option(2048, "Width of the projector's hidden layer.", ge=1)
        projector_out: int = option(128, "Width of the vectors that are compared.", ge=1)
        pooling: str | None = option(None, "How the backbone's output is pooled.")

    config: Config

    def __init__(self, encoder: Encoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        width = self.encoder.width
        hidden = min(config.projector_hidden, 4 * width)
        self.projector = losses.Projector(width, hidden, config.projector_out)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        return {**self.drawn(rows)[0], "labels": torch.arange(len(rows))}

    def forward(
        self, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **inputs: torch.Tensor
    ) -> LossOutput:
        vectors = self.projector(self.encoder.features(inputs))
        first, second = vectors.float().chunk(2)
        total = losses.nt_xent(first, second, self.config.temperature)
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch))
