"""Learn to see what a frozen teacher sees, on your own pictures: the safest way to adapt a small network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import VisionEncoder
from hf_ssl.modalities.image import views as random_views
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.objectives.base import ViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    pass


class Distill(ViewObjective):
    """Feature distillation from a frozen teacher, of the pooled vector and, where wanted, of the map of patches.

    Predicts: the teacher's features of the same view, through one linear layer.

    Formula: `1 - cos(W s, t)`, plus `patches` times the mean of the same over the map (the student's map is
    interpolated to the teacher's).

    Reference: cosine feature distillation as in Wei et al. 2022 (arXiv:2205.14141) and Heinrich et al. 2025 (RADIOv2.5,
    arXiv:2412.07679).

    Needs: pictures; any backbone as student, any as `teacher` (a folder or Hub id), of other size, mean and spread too.

    Inputs: `pixel_values` `(pictures, channels, height, width)`; `labels` `(pictures,)`, which only counts the terms.

    Example:

        objective = Distill(Image().load("timm/resnet18.a1_in1k"), Distill.Config(teacher="facebook/dinov2-base"))
    """

    unit: ClassVar = "images"
    needs: ClassVar = VisionEncoder
    paper: ClassVar = "Wei et al. 2022, Feature distillation (arXiv:2205.14141)"
    # Weak crops: the teacher must know what it sees.
    views: ClassVar = ViewPlan((View(scale=(0.2, 1.0), color=(0.4, 0.4, 0.2, 0.1), blur=0.1),))
    training_defaults: ClassVar = {
        "learning_rate": 1e-4, "num_train_epochs": 10, "per_device_train_batch_size": 64, "weight_decay": 0.05,
        "max_grad_norm": 1.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `distill`."""

        teacher: str | None = option(None, "Checkpoint whose features are learned.")
        patches: float = option(0.0, "Weight of the map's features beside the pooled ones.", ge=0)
        pooling: str | None = option(None, "How the student's output is pooled.")

        def problems(self) -> list[str]:
            absent = ["teacher: distill needs one, a folder or Hub id."] if self.teacher is None else []
            return [*super().problems(), *absent]

    encoder: VisionEncoder
    config: Config

    def __init__(self, encoder: VisionEncoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        assert config.teacher is not None, "Config.problems has asked for one"
        loaded = encoder.modality.load(config.teacher)
        assert isinstance(loaded, VisionEncoder), "of the same kind of data as the student"
        self.teacher_encoder = loaded
        self.teacher = loaded.model.requires_grad_(False).eval()
        width = self.encoder.width
        example = torch.zeros(1, encoder.channels, encoder.shape.height, encoder.shape.width)
        target = int(self._teach(example)[0].shape[-1])
        self.projection = nn.Linear(width, target)
        self.patch_projection = nn.Linear(width, target) if config.patches else None

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if "teacher" in self._modules:  # absent while the base class is being made
            self.teacher.eval()
        return self

    def is_head(self, name: str, missing: frozenset[str]) -> bool:
        return not name.startswith("teacher.") and super().is_head(name, missing)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        return {**self.drawn(rows)[0], "labels": torch.arange(len(rows))}

    @torch.no_grad()
    def _teach(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's vector and map of the student's view, brought to the teacher's size, mean and spread."""
        mine, theirs = self.encoder.shape, self.teacher_encoder.shape
        seen = random_views.normalized(random_views.denormalized(pixels, mine), theirs)
        if seen.shape[-2:] != (theirs.height, theirs.width):
            seen = functional.interpolate(seen, (theirs.height, theirs.width), mode="bilinear", antialias=True)
        inputs = {"pixel_values": seen}
        vector = self.teacher_encoder.features(inputs)
        if not self.config.patches:
            return vector, vector
        return vector, self.teacher_encoder.patch_features(inputs)

    def forward(
        self, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None, **inputs: torch.Tensor
    ) -> LossOutput:
        vector, grid = self._teach(inputs["pixel_values"])
        student = self.projection(self.encoder.features(inputs))
        total = (1 - functional.cosine_similarity(student.float(), vector.float(), dim=-1)).sum()
        if self.patch_projection is not None:
            mine = self.encoder.patch_features(inputs)
            mine = functional.interpolate(mine, grid.shape[-2:], mode="bilinear").flatten(2).transpose(1, 2)
            wanted = grid.flatten(2).transpose(1, 2)
            apart = 1 - functional.cosine_similarity(self.patch_projection(mine).float(), wanted.float(), dim=-1)
            total = total + self.config.patches * apart.mean(dim=1).sum()
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch))
