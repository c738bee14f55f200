"""Masked autoencoder: most of a picture is hidden, the encoder sees the rest only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import VisionEncoder
from hf_ssl.modalities.views import View, ViewPlan
from hf_ssl.models import structure
from hf_ssl.objectives.base import ViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MAE(ViewObjective):
    """Masked autoencoder (ViTMAE): reconstruct the pixels of hidden patches from a quarter of the picture.

    Predicts: the pixels of every hidden patch, each patch scaled to mean 0 and spread 1 when `norm_pixels`.

    Formula: mean squared error over the pixels of a hidden patch, mean over hidden patches.

    Reference: He et al. 2022 (MAE, arXiv:2111.06377).

    Needs: a ViTMAE checkpoint (`facebook/vit-mae-base`), with its decoder. Whether its decoder was trained on scaled
    patches is not always written in its configuration (transformers#29416): `norm_pixels` says so. The encoder runs on
    visible patches alone. The result is a plain ViT, which AutoModel and AutoModelForImageClassification load, without
    the random masking that ViTMAE does in evaluation too.

    Inputs: `pixel_values` `(pictures, channels, height, width)`, `noise` `(pictures, patches)`, whose smallest entries
    stay visible; `labels` `(pictures, patches)`, 1 for a hidden patch and -100 else.

    Example:

        objective = MAE(Image().load("facebook/vit-mae-base", MAE.auto_class), MAE.Config(mask_ratio=0.75))
    """

    unit: ClassVar = "images"
    needs: ClassVar = VisionEncoder
    paper: ClassVar = "He et al. 2022, Masked autoencoders (arXiv:2111.06377)"
    views: ClassVar = ViewPlan((View(scale=(0.2, 1.0), cubic=True),))  # table 8 of the paper
    auto_class: ClassVar = "ViTMAEForPreTraining"
    export_class: ClassVar = "AutoModel"
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 10, "per_device_train_batch_size": 64, "weight_decay": 0.05,
        "adam_beta2": 0.95, "max_grad_norm": 1.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `mae`."""

        mask_ratio: float | None = option(None, "Share hidden (default: the checkpoint's).", gt=0, lt=1)
        norm_pixels: bool = option(True, "Scale each patch to mean 0 and spread 1 first.")

    encoder: VisionEncoder
    config: Config

    def __init__(self, encoder: VisionEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        inner: Any = structure.unwrap_peft(self.model)
        self.inner = inner
        ratio = inner.config.mask_ratio if config.mask_ratio is None else config.mask_ratio
        self.ratio = float(ratio)
        module: Any
        for module in inner.modules():  # the embeddings read it from the configuration at every call
            if getattr(module, "config", None) is not None:
                module.config.mask_ratio = self.ratio
        self.patch = int(inner.config.patch_size)
        for table in (inner.vit.embeddings.position_embeddings, inner.decoder.decoder_pos_embed):
            if not table.any():  # transformers 5 leaves the fixed positions of a fresh ViTMAE at zero
                with torch.no_grad():
                    table.copy_(sine_positions(table.shape[1], table.shape[2]))

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        rngs = [rng for _, rng in rows]
        pixels = self.drawn(rows, self.patch)[0]["pixel_values"]
        count = (pixels.shape[-2] // self.patch) * (pixels.shape[-1] // self.patch)
        noise = torch.from_numpy(np.stack([rng.random(count, dtype=np.float32) for rng in rngs]))
        order = noise.argsort(dim=1).argsort(dim=1)  # rank of every patch
        hidden = order >= int(count * (1 - self.ratio))
        return {"pixel_values": pixels, "noise": noise, "labels": torch.where(hidden, 1, -100)}

    def forward(
        self,
        pixel_values: torch.Tensor,
        noise: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        cut = patches(pixel_values.float(), self.patch)
        order = noise.argsort(dim=1)
        kept = int(cut.shape[1] * (1 - self.ratio))
        predicted = self._predicted(pixel_values, cut, noise, order, kept)
        target = _taken(cut, order[:, kept:])
        pictures, hidden, width = target.shape
        if self.config.norm_pixels:
            target = target - target.mean(dim=2, keepdim=True)
            variance = torch.linalg.vector_norm(target, dim=2, keepdim=True).square() / (
                width - 1
            )  # faster than `var`
            target = target * (variance + 1e-6).rsqrt()
        total = functional.mse_loss(predicted.float(), target, reduction="sum") / width
        return LossOutput(loss=normalize_loss(total, pictures * hidden, num_items_in_batch))

    def _predicted(
        self, pixel_values: torch.Tensor, cut: torch.Tensor, noise: torch.Tensor, order: torch.Tensor, kept: int
    ) -> torch.Tensor:
        """Pixels of the hidden patches, `(pictures, hidden, side * side * channels)`, in the order of `order[:, kept:]`.

        What `ViTMAEForPreTraining.forward` computes, without what nobody asks for: embeddings of hidden patches, pixels of
        visible ones, its own loss. Tokens stay in random order, which attention does not see.
        """
        embeddings, decoder = self.inner.vit.embeddings, self.inner.decoder
        projection = embeddings.patch_embeddings.projection
        if cut.shape[1] + 1 != decoder.decoder_pos_embed.shape[1] or type(projection) is not torch.nn.Conv2d:
            # Another size, whose positions are interpolated; or an adapter on the first layer.
            logits = self.model(pixel_values=pixel_values, noise=noise, interpolate_pos_encoding=True).logits
            return _taken(logits, order[:, kept:])
        weight = projection.weight.permute(0, 2, 3, 1).flatten(1)  # in the order of `patches`
        visible = functional.linear(_taken(cut, order[:, :kept]), weight, projection.bias)
        places = embeddings.position_embeddings.expand(len(cut), -1, -1)
        first = (embeddings.cls_token + places[:, :1]).to(visible.dtype)
        hidden = torch.cat([first, visible + _taken(places[:, 1:], order[:, :kept])], dim=1)
        for layer in self.inner.vit.layers:
            hidden = layer(hidden, None)
        known = decoder.decoder_embed(self.inner.vit.layernorm(hidden))
        unknown = decoder.mask_token.to(known.dtype).expand(len(cut), order.shape[1] - kept, -1)
        places = decoder.decoder_pos_embed.expand(len(cut), -1, -1)
        hidden = torch.cat([known, unknown], dim=1) + torch.cat([places[:, :1], _taken(places[:, 1:], order)], dim=1)
        for layer in decoder.decoder_layers:
            hidden = layer(hidden)
        return decoder.decoder_pred(decoder.decoder_norm(hidden[:, 1 + kept :]))

    def export(self) -> PreTrainedModel:
        """The encoder as a plain ViT (adapters merged); the decoder stays behind."""
        return as_vit(super().export())


def _taken(rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Rows `(pictures, chosen, width)` of `(pictures, rows, width)` at `places` `(pictures, chosen)`."""
    if rows.stride(0) == 0:  # the same for all pictures
        return rows[0][places]
    begins = torch.arange(len(rows), device=rows.device).unsqueeze(1) * rows.shape[1]
    # Whole rows are copied, where `gather` would look at each number's place.
    return rows.flatten(0, 1).index_select(0, (places + begins).flatten()).unflatten(0, places.shape)


def patches(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Cut pictures into patches as ViTMAE's decoder writes them, `(pictures, patches, side * side * channels)`."""
    count, channels, height, width = pixels.shape
    cut = pixels.reshape(count, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(count, (height // side) * (width // side), side * side * channels)


def sine_positions(tokens: int, width: int) -> torch.Tensor:
    """Fixed positions of a square grid after one class token, `(1, tokens, width)`: sines and cosines of the column in
    the first half, of the row in the second (the order that released checkpoints have)."""
    side = math.isqrt(tokens - 1)
    quarter = width // 4
    rate = 1.0 / 10_000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    halves = []
    for place in (columns, rows):
        angle = place.flatten().double().unsqueeze(1) * rate
        halves += [angle.sin(), angle.cos()]
    table = torch.zeros(1, tokens, width)
    table[0, 1:, : 4 * quarter] = torch.cat(halves, dim=1).float()
    return table


def as_vit(model: Any) -> PreTrainedModel:
    """ViT with the weights of a ViTMAE's encoder; its fixed sine positions become ordinary ones."""
    from transformers import ViTConfig, ViTModel

    config, encoder = model.config, model.vit
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
             "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps",
             "image_size", "patch_size", "num_channels", "qkv_bias")  # fmt: skip
    vit = ViTModel(ViTConfig(**{name: getattr(config, name) for name in names}), add_pooling_layer=False)
    vit.load_state_dict(encoder.state_dict())  # strict: the two encoders have the same tensors
    return vit.to(next(encoder.parameters()).device).eval()
