"""Encoders of pictures: pixels in, a map of features or one vector per picture out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ssl.modalities.deferred import DefersViews, Facts
from hf_ssl.modalities.encoder import Batch, Features, VisionEncoder
from hf_ssl.modalities.image import geometry as geo
from hf_ssl.modalities.image import views as random_views
from hf_ssl.modalities.image.backbones import laid_out, layer_map, load_fitted, run, special_tokens
from hf_ssl.modalities.image.device_views import facts_of, numbers_of, render
from hf_ssl.modalities.image.files import dimensions
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.models import structure

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.image.image import Image
    from hf_ssl.models.load_report import LoadReport
    from hf_ssl.models.reference import CheckpointRef

GRID_NUMBERS = 4096  # that `grid` pooling gives at most, but for 2 x 2 cells
# Families whose released checkpoints were trained through the first token.
_CLS_FAMILIES = {"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn"}
CHUNK = 2048  # images decoded at a time when embedding


class ImageEncoder(DefersViews, VisionEncoder):
    """A checkpoint and its image processor."""

    poolings = ("mean", "cls", "max", "native", "grid")
    layered = ("mean", "max", "grid")
    has_views = True
    modality: Image
    processor: geo.PictureProcessor

    @classmethod
    def load_model(
        cls, modality: Modality, ref: CheckpointRef, head: str, **options: Any
    ) -> tuple[PreTrainedModel, LoadReport]:
        """Load, and fit the first layer to `channels` and the recorded input size to `image_size`."""
        own = modality.config
        return load_fitted(ref, head, own.channels, own.image_size, **options)

    @classmethod
    def default_pooling(cls, config: PreTrainedConfig) -> str:
        """`cls` where the family was trained through its first token, `native` for timm, else the mean of the map."""
        kind = config.model_type
        return "cls" if kind in _CLS_FAMILIES else "native" if kind == "timm_wrapper" else "mean"

    @property
    def shape(self) -> geo.Geometry:
        return geo.geometry(self.processor)

    @property
    def channels(self) -> int:
        return self.modality.config.channels or len(self.shape.mean)

    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[Features]:
        """uint8 pixels at the model's size, `(channels, height, width)`; normalized only when a batch is made."""
        pixels = geo.store(values, self.modality.reading, self.shape, self.channels)
        return [{"pixel_values": one} for one in pixels]

    def size(self, feature: Features) -> int:
        """Patches of 16 x 16 pixels."""
        _, height, width = feature["pixel_values"].shape
        return max(1, math.ceil(height / 16) * math.ceil(width / 16))

    def collate(self, features: Sequence[Features]) -> Batch:
        """`pixel_values`, float32 `(batch, channels, height, width)`, normalized."""
        stacked = torch.from_numpy(np.stack([feature["pixel_values"] for feature in features]))
        scaled = stacked.to(torch.float32).mul_(1 / 255)
        return {"pixel_values": random_views.normalized(scaled, self.shape)}

    def embed(self, values: Sequence[Any], **options: Any) -> np.ndarray:
        """As in every encoder, but decoded a few thousand at a time."""
        if len(values) <= CHUNK:
            return super().embed(values, **options)
        starts = range(0, len(values), CHUNK)
        with structure.at_work(self.model):
            return np.concatenate([super(ImageEncoder, self).embed(values[s : s + CHUNK], **options) for s in starts])

    def features(self, batch: Batch) -> torch.Tensor:
        """One vector per picture.

        `mean` and `max` of the backbone's map; `cls`, its first token; `native`, what the network itself gives; `grid`, the
        means of cells of the map one after the other, as many as give 4,096 numbers, for pictures that are aligned
        (products, faces, scans), where it matters at which place something is. With `@-2` behind, the map is that of the
        layer (or stage) before the last, and so on: the last one follows the objective it was trained with.
        """
        how, layer = self.pooling.mode, self.pooling.layer
        special = special_tokens(self.backbone)
        if layer is not None:
            tokens, grid, own = None, layer_map(self.backbone, batch["pixel_values"], special, layer), None
        else:
            tokens, grid, own = run(self.backbone, batch["pixel_values"], special)
        if how == "native" and own is not None:
            return own
        if how == "cls" and special and tokens is not None:
            return tokens[:, 0]
        if how == "max":
            return grid.flatten(2).amax(dim=2)
        if how == "grid":
            cells = max(2, math.isqrt(GRID_NUMBERS // grid.shape[1]))
            return functional.adaptive_avg_pool2d(
                grid, (min(cells, grid.shape[2]), min(cells, grid.shape[3]))
            ).flatten(1)
        return grid.flatten(2).mean(dim=2)

    def logits(self, inputs: Batch) -> torch.Tensor:
        return super().logits({**inputs, "pixel_values": laid_out(self.model, inputs["pixel_values"])})

    def tokens_and_map(self, batch: Batch, **inputs: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        return run(self.backbone, batch["pixel_values"], special_tokens(self.backbone), **inputs)[:2]

    def example_values(self) -> list[Any]:
        """As large as the processor resizes to: two libraries' resizing differs here and there. Pipelines take three channels."""
        return geo.ramp_and_rings(self.processor) if self.channels == 3 else []

    # -- views ------------------------------------------------------------------------------------------------------

    def view_store(self, values: Sequence[Any]) -> np.ndarray:
        """Pictures decoded once, uint8, an eighth larger than the model's input, which random crops are cut from."""
        shape, reading = self.shape, self.modality.reading
        side = min(shape.height, shape.width)
        largest = max((min(dimensions(value, reading)) for value in values[:256]), default=side)
        working = side if largest <= side else round(side * 1.125)
        return geo.store(values, reading, shape, self.channels, working)

    def view_groups(self, plan: ViewPlan) -> tuple[tuple[View, ...], ...]:
        c = self.modality.config
        return random_views.fitted(
            plan,
            c.domain,
            self.channels,
            crop_scale=c.crop_scale,
            color=c.color,
            blur=c.blur,
            local_views=c.local_views,
        )

    def views(
        self, items: Sequence[Any], rngs: Sequence[np.random.Generator], plan: ViewPlan, multiple: int = 1
    ) -> list[Batch]:
        shape, batches = self.shape, []
        content = {} if self.deferred is None else {"pictures": torch.from_numpy(np.stack(items))}
        for group in self.view_groups(plan):
            side = max(1, round(min(shape.height, shape.width) * group[0].size / multiple)) * multiple
            if self.deferred is None:  # the uint8 kernels of a CPU are faster than what all devices can do
                batches.append({"pixel_values": random_views.make(items, rngs, group, shape, side)})
                continue
            numbers, channels = numbers_of(items, rngs, group, side), items[0].shape[0]
            shapes = {"pixel_values": (len(group) * len(items), channels, side, side)}
            batches.append(self.shown(content, {"numbers": numbers}, facts_of(group, side), shapes))
        return batches

    def make_views(self, content: Batch, numbers: Batch, facts: Facts) -> Batch:
        return {"pixel_values": render(content["pictures"], numbers["numbers"], facts, self.shape)}
