"""Two views alike, every dimension used, no two dimensions the same: no negatives and no teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


# Those of BYOL (Grill et al. 2020, arXiv:2006.07733, table 6), which the paper takes over (C.1).
_VIEW = View(color=(0.4, 0.4, 0.2, 0.1), gray=0.2, blur=1.0)


class VICReg(ViewObjective):
    """Variance-invariance-covariance regularization of the vectors of two views.

    Predicts: the vector of one view from that of the other, under the condition that vectors fill their space.

    Formula: `l |z - z'|^2 + m mean_d max(0, 1 - sqrt(var_d + 1e-4)) + n sum_{d != e} cov_de^2 / D`, the last two for
    both views, over the examples of all processes, in float32.

    Reference: Bardes, Ponce, LeCun 2022 (VICReg, arXiv:2105.04906).

    Needs: a kind of data with random views; any backbone; batches of at least a few dozen examples, because variance
    and covariance are estimated from the micro-batch (gradient accumulation does not help).

    Inputs: as `simclr`.

    Example:

        objective = VICReg(Image().load("facebook/dinov2-small"), VICReg.Config())
    """

    unit: ClassVar = "examples"
    paper: ClassVar = "Bardes et al. 2022, VICReg (arXiv:2105.04906)"
    training_defaults: ClassVar = PAIR_TRAINING
    views: ClassVar = ViewPlan((_VIEW, replace(_VIEW, blur=0.1, solarize=0.2)))

    @dataclass
    class Config(Options):
        """Options of `vicreg`."""

        invariance: float = option(25.0, "Weight of the distance between the two views.", ge=0)
        variance: float = option(25.0, "Weight of keeping every dimension's spread at 1.", ge=0)
        covariance: float = option(1.0, "Weight of dimensions being uncorrelated.", ge=0)
        expander: int = option(2048, "Width of the three-layer expander.", ge=1)
        pooling: str | None = option(None, "How the backbone's output is pooled.")

    config: Config

    def __init__(self, encoder: Encoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        width = self.encoder.width
        size = min(config.expander, 4 * width)
        self.expander = losses.Projector(width, size, size, layers=3)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        return {**self.drawn(rows)[0], "labels": torch.arange(len(rows))}

    def forward(
        self, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **inputs: torch.Tensor
    ) -> LossOutput:
        vectors = self.expander(self.encoder.features(inputs))
        first, second = vectors.float().chunk(2)
        c = self.config
        total, scalars = losses.vicreg(first, second, c.invariance, c.variance, c.covariance)
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch), scalars=scalars)
