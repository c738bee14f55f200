"""Encoders of sound: samples in, one vector per clip out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio import views as sound_views
from hf_ssl.modalities.encoder import Batch, Encoder, FeatureExtractor, Features
from hf_ssl.modalities.views import ViewPlan

if TYPE_CHECKING:
    from hf_ssl.modalities.audio.audio import Audio


class AudioEncoder(Encoder):
    """A checkpoint and its feature extractor."""

    # Mean and spread over time come first: what changes within a clip is lost in the mean alone.
    poolings = ("mean-std", "mean", "max", "layers")
    has_views = True
    modality: Audio
    processor: FeatureExtractor

    def prepare(self) -> None:
        self.model = backbones.prepare(self.model, self.processor, window=self.modality.config.window)

    def plain_model(self) -> PreTrainedModel:
        return backbones.finish(super().plain_model())

    def preprocess(self, values: Sequence[Any], max_length: int | None = None) -> list[Features]:
        """What to read later: values and lengths. Samples stay in the mapped file until `collate`.

        Args:
            max_length: in seconds; longer values lose their end.
        """
        limit = int(max_length * self.modality.config.sampling_rate) if max_length else None
        lengths = [self.modality.length(value) for value in values]
        return [
            {"audio": value, "length": min(length, limit) if limit else length}
            for value, length in zip(values, lengths, strict=True)
        ]

    def size(self, feature: Features) -> int:
        """In units of 5 ms, so that a budget meant for tokens is a sensible one for an encoder of sound."""
        return max(1, feature["length"] * 200 // self.modality.config.sampling_rate)

    def collate(self, features: Sequence[Features]) -> Batch:
        """Waveforms, normalized one by one and then padded with zeros, or the processor's spectrograms.

        Returns:
            `input_values` `(batch, samples)` or `input_features` `(batch, mels, frames)` (or as the processor has it),
            and `attention_mask`, 1 where there is sound.
        """
        waves = [self.modality.samples(feature["audio"])[: feature["length"]] for feature in features]
        return backbones.inputs(self.processor, waves, self.modality.config.sampling_rate)

    def embed(
        self, values: Sequence[Any], *, max_length: int | None = None, batch_size: int = 16_384, bf16: bool = False
    ) -> np.ndarray:
        """As in every encoder; one that padding would disturb gets batches of one length only."""

        def together(part: Sequence[Any]) -> np.ndarray:
            return super(AudioEncoder, self).embed(part, max_length=max_length, batch_size=batch_size, bf16=bf16)

        values = list(values)
        if not values or backbones.padding_is_harmless(self.backbone.config):
            return together(values)
        rows_of: dict[int, list[int]] = {}
        for row, feature in enumerate(self.preprocess(values, max_length)):
            rows_of.setdefault(feature["length"], []).append(row)
        vectors = [together([values[row] for row in rows]) for rows in rows_of.values()]
        return np.concatenate(vectors)[np.argsort(np.concatenate(list(rows_of.values())))]

    def features(self, batch: Batch) -> torch.Tensor:
        """`mean`, `max`, `mean-std` of the last layer over the frames that are sound; `layers`: `mean-std` of every layer.

        What a frozen encoder knows of a sound's details lies in its lower layers; the last one suits what it was trained on.
        """
        how = self.pooling.mode
        hidden, valid = backbones.frames(self.backbone, batch, layer="all" if how == "layers" else None)
        return backbones.pool(hidden, valid, "mean-std" if how == "layers" else how)

    def logits(self, inputs: Batch) -> torch.Tensor:
        return backbones.logits(self.model, inputs)

    def example_values(self) -> list[Any]:
        """None for a processor of another rate than these samples: a pipeline would resample with another library."""
        rate = self.modality.config.sampling_rate
        return sound_views.example_values(rate) if int(getattr(self.processor, "sampling_rate", rate)) == rate else []

    def view_store(self, values: Sequence[Any]) -> list[Any]:
        """The values themselves: they lie in a mapped file already."""
        return list(values)

    def views(
        self, items: Sequence[Any], rngs: Sequence[np.random.Generator], plan: ViewPlan, multiple: int = 1
    ) -> list[Batch]:
        """As many random views of every clip as the plan's first group has, all first ones before all second ones.

        How far they go is said by the modality's options; what a plan says of pictures has no meaning here, and clips of
        any length go.
        """
        own, rate = self.modality.config, self.modality.config.sampling_rate
        how = sound_views.Views(own.view_share, own.view_speed, own.view_noise, own.view_gap)
        drawn = [
            [sound_views.view(self.modality.samples(item), rate, rng, how) for _ in plan[0]]
            for item, rng in zip(items, rngs, strict=True)
        ]
        return [
            backbones.inputs(self.processor, [views[side] for side in range(len(plan[0])) for views in drawn], rate)
        ]
