"""Masked image modeling on any backbone: hide squares, reconstruct their pixels with one linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.batching import places_of
from hf_ssl.modalities.encoder import VisionEncoder
from hf_ssl.modalities.image.backbones import add_mask_token, drop_mask_token, patch_size, takes_masks
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.objectives.base import ViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SimMIM(ViewObjective):
    """Masked image modeling with raw pixels as the target and one linear layer as the decoder.

    Predicts: the pixels of hidden squares.

    Formula: mean absolute error over the pixels of a hidden square, mean over hidden squares.

    Reference: Xie et al. 2022 (SimMIM, arXiv:2111.09886).

    Needs: pictures; any backbone. One that takes `bool_masked_pos` (ViT, DeiT, Swin, DINOv2, DINOv3 …) gets its mask
    token at hidden patches; for any other network (convolutional, timm) hidden pixels are replaced by a learned color.

    Inputs: `pixel_values` `(pictures, channels, height, width)`; `labels` `(pictures, rows * columns of squares)`, 1 for
    a hidden square and -100 else; `kept`, their places in the flat batch.

    Example:

        objective = SimMIM(Image().load("google/vit-base-patch16-224-in21k"), SimMIM.Config(mask_ratio=0.6))
    """

    unit: ClassVar = "images"
    needs: ClassVar = VisionEncoder
    paper: ClassVar = "Xie et al. 2022, SimMIM (arXiv:2111.09886)"
    views: ClassVar = ViewPlan((View(scale=(0.67, 1.0)),))  # section 4.1 of the paper
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 10, "per_device_train_batch_size": 64, "weight_decay": 0.05,
        "max_grad_norm": 5.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `simmim`."""

        mask_ratio: float = option(0.6, "Share of the squares that is hidden.", gt=0, lt=1)
        mask_unit: int | None = option(
            None, "Side of a square in pixels (default: 32, or an eighth of the picture).", ge=1
        )

    encoder: VisionEncoder
    config: Config

    def __init__(self, encoder: VisionEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        self.tokens = takes_masks(self.backbone)
        self.added = add_mask_token(self.backbone) if self.tokens else None
        self.patch = patch_size(self.model) if self.tokens else 1
        (_, channels, _, side), width, stride = self.encoder.map_stride()
        wanted = config.mask_unit or min(32, max(stride, side // 8))
        self.square = max(self.patch, wanted // self.patch * self.patch)
        self.stride = stride
        self.decoder = nn.Conv2d(width, stride * stride * channels, kernel_size=1)
        if not self.tokens:
            self.hidden_color = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        rngs = [rng for _, rng in rows]
        pixels = self.drawn(rows, self.square)[0]["pixel_values"]
        count = (pixels.shape[-2] // self.square) * (pixels.shape[-1] // self.square)
        share = min(count - 1, max(1, round(self.config.mask_ratio * count))) if count > 1 else 1
        labels = np.full((len(rows), count), -100, dtype=np.int64)
        for row, rng in enumerate(rngs):
            labels[row, rng.permutation(count)[:share]] = 1
        return {"pixel_values": pixels, "labels": torch.from_numpy(labels), "kept": places_of(labels != -100)}

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, kept: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:  # fmt: skip
        rows, columns = (length // self.square for length in pixel_values.shape[-2:])
        hidden = (labels != -100).view(-1, 1, rows, columns)
        inputs: dict[str, Any] = {"pixel_values": pixel_values}
        extra: dict[str, Any] = {}
        if self.tokens:
            times = self.square // self.patch
            extra["bool_masked_pos"] = hidden.repeat_interleave(times, 2).repeat_interleave(times, 3).flatten(1)
        else:
            over = hidden.repeat_interleave(self.square, 2).repeat_interleave(self.square, 3)
            inputs["pixel_values"] = torch.where(over, self.hidden_color.to(pixel_values.dtype), pixel_values)
        grid = self.encoder.patch_features(inputs, **extra)
        painted = functional.pixel_shuffle(self.decoder(grid), self.stride).float()
        if painted.shape[-2:] != pixel_values.shape[-2:]:  # a stride that does not divide the picture
            painted = functional.interpolate(painted, pixel_values.shape[-2:], mode="bilinear")
        errors = (painted - pixel_values.float()).abs().mean(dim=1, keepdim=True)
        terms = functional.avg_pool2d(errors, self.square).flatten()[kept]
        return LossOutput(loss=normalize_loss(terms.sum(), len(terms), num_items_in_batch))

    def export(self) -> PreTrainedModel:
        model = super().export()
        if self.added is not None:
            drop_mask_token(model)
        return model
