"""Two views alike, every dimension used, no two dimensions the same: no negatives and no teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from hf_ssl.core.fields import Options, option
from hf_ssl.objectives import losses
from hf_ssl.objectives.base import PAIR_TRAINING, Objective, ViewRows, probe_width
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedModel

    from hf_ssl.modalities.base import Modality


class VICReg(Objective):
    """Variance-invariance-covariance regularization of the vectors of two views.

    Predicts: the vector of one view from that of the other, under the condition that vectors fill their space.

    Formula: `l |z - z'|^2 + m mean_d max(0, 1 - sqrt(var_d + 1e-4)) + n sum_{d != e} cov_de^2 / D`, the last two for
    both views, over the examples of all processes, in float32.

    Reference: Bardes, Ponce, LeCun 2022 (VICReg, arXiv:2105.04906).

    Needs: a kind of data with random views; any backbone; batches of at least a few dozen examples, because variance
    and covariance are estimated from the micro-batch (gradient accumulation does not help).

    Inputs: as `simclr`.

    Example:

        objective = VICReg(model, processor, Image(), VICReg.Config())
    """

    unit: ClassVar = "examples"
    paper: ClassVar = "Bardes et al. 2022, VICReg (arXiv:2105.04906)"
    training_defaults: ClassVar = PAIR_TRAINING

    @dataclass
    class Config(Options):
        """Options of `vicreg`."""

        invariance: float = option(25.0, "Weight of the distance between the two views.", ge=0)
        variance: float = option(25.0, "Weight of keeping every dimension's spread at 1.", ge=0)
        covariance: float = option(1.0, "Weight of dimensions being uncorrelated.", ge=0)
        expander: int = option(2048, "Width of the three-layer expander.", ge=1)
        pooling: str | None = option(None, "How the backbone's output is pooled.")

    def __init__(self, model: PreTrainedModel, processor: Any, modality: Modality, config: Any) -> None:
        super().__init__(model, processor, modality, config)
        self.pooling = config.pooling or modality.default_pooling(model.config._name_or_path)
        width = probe_width(self, self.pooling)
        size = min(config.expander, 4 * width)
        self.expander = losses.Projector(width, size, size, layers=3)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> ViewRows:
        return ViewRows(self, dataset, "vicreg", seed=seed, training=training)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        items, rngs = [row[0] for row in rows], [row[1] for row in rows]
        views = self.modality.views(self.processor, items, rngs, "vicreg")[0]
        return {**views, "labels": torch.arange(len(rows))}

    def count_units(self, batch: Any) -> int:
        return len(batch["labels"])

    def forward(self, labels: torch.Tensor, num_items_in_batch: Any = None, **inputs: torch.Tensor) -> LossOutput:
        vectors = self.expander(self.modality.features(self.backbone, inputs, self.pooling))
        first, second = vectors.float().chunk(2)
        c = self.config
        total, scalars = losses.vicreg(first, second, c.invariance, c.variance, c.covariance)
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch), scalars=scalars)
