"""ViT: the vision transformers of google-research/vision_transformer, as transformers' `ViTModel`.

At TensorFlow Hub they are conversions of the JAX checkpoints and keep their names. Keys as in the checkpoints at the Hugging
Face Hub (google/vit-base-patch16-224).
"""

from __future__ import annotations

from pathlib import Path

from transformers import ViTConfig, ViTImageProcessor

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.families.base import (
    FLAT,
    HEADS_IN,
    HEADS_OUT,
    IMAGE_KERNEL,
    Family,
    LeftOut,
    Rule,
    dense,
    norm,
)

_LAYER, _KEY = r"Transformer/encoderblock_(\d+)", r"encoder.layer.\1"
_ATTENTION = rf"{_LAYER}/MultiHeadDotProductAttention_1"


class ViT(Family):
    """A vision transformer without its classifier."""

    title = "ViT"
    modality = "image"
    pixels = "signed"
    recognizes = (r"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel", r"embedding/kernel")

    def rules(self) -> list[Rule]:
        parts = [
            rule
            for part in ("query", "key", "value")
            for rule in (Rule(f"{_ATTENTION}/{part}/kernel", f"{_KEY}.attention.attention.{part}.weight", HEADS_OUT),
                         Rule(f"{_ATTENTION}/{part}/bias", f"{_KEY}.attention.attention.{part}.bias", FLAT))
        ]  # fmt: skip
        return [
            Rule("cls", "embeddings.cls_token"),
            Rule("embedding/kernel", "embeddings.patch_embeddings.projection.weight", IMAGE_KERNEL),
            Rule("embedding/bias", "embeddings.patch_embeddings.projection.bias"),
            Rule("Transformer/posembed_input/pos_embedding", "embeddings.position_embeddings"),
            *norm("Transformer/encoder_norm", "layernorm", "scale", "bias"),
            *parts,
            Rule(f"{_ATTENTION}/out/kernel", f"{_KEY}.attention.output.dense.weight", HEADS_IN),
            Rule(f"{_ATTENTION}/out/bias", f"{_KEY}.attention.output.dense.bias"),
            *norm(f"{_LAYER}/LayerNorm_0", f"{_KEY}.layernorm_before", "scale", "bias"),
            *norm(f"{_LAYER}/LayerNorm_2", f"{_KEY}.layernorm_after", "scale", "bias"),
            *dense(f"{_LAYER}/MlpBlock_3/Dense_0", f"{_KEY}.intermediate.dense"),
            *dense(f"{_LAYER}/MlpBlock_3/Dense_1", f"{_KEY}.output.dense"),
        ]

    def leaves_out(self) -> list[LeftOut]:
        return [LeftOut(r"(head|pre_logits)/.*", "a classifier with labels of its own")]

    def architecture(self) -> str:
        return "ViTModel"

    def config(self) -> ViTConfig:
        width, heads, _ = self.shape(r"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel")
        patch, _, channels, _ = self.shape("embedding/kernel")
        graph = self.source.graph.activation() if self.source.graph is not None else None
        return ViTConfig(
            hidden_size=width, num_hidden_layers=self.count(rf"{_ATTENTION}/query/kernel"), num_attention_heads=heads,
            intermediate_size=self.shape(r"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel")[1],
            hidden_act=self.options.hidden_act or graph or "gelu", layer_norm_eps=1e-6, patch_size=patch, image_size=self._side(),
            num_channels=channels, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip

    def _side(self) -> int:
        """Pixels of a side of the picture that the table of positions is for."""
        patch, other, _, _ = self.shape("embedding/kernel")
        places = self.shape("Transformer/posembed_input/pos_embedding")[1] - 1
        side = round(max(places, 0) ** 0.5)
        if patch != other or side * side != places or not side:
            raise CheckpointError(
                f"{self.source.given}: {places} patches of {patch} x {other} pixels make no square picture."
            )
        return side * patch

    def save_processor(self, folder: Path) -> None:
        side = self._side()
        ViTImageProcessor(
            size={"height": side, "width": side},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            do_resize=True,
            do_normalize=True,
        ).save_pretrained(folder)

    def outputs(self) -> dict[str, str]:
        return {"sequence_output": "last_hidden_state", "last_hidden_state": "last_hidden_state"}
