"""Encoders of sound: samples in, one vector per clip out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from hf_ssl.modalities.audio import backbones, spectra
from hf_ssl.modalities.audio import views as sound_views
from hf_ssl.modalities.audio.extractor import FeatureExtractor
from hf_ssl.modalities.deferred import DefersViews, Facts
from hf_ssl.modalities.encoder import Batch, Features
from hf_ssl.modalities.views import ViewPlan
from hf_ssl.models import loading, structure
from hf_ssl.models.load_report import LoadReport
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.structure import unwrap_peft

if TYPE_CHECKING:
    from hf_ssl.modalities.audio.audio import Audio
    from hf_ssl.modalities.base import Modality


BELOW = "below the projection"
"""Name of the reading that a new projection gets; gone once it is fitted."""


class AudioEncoder(DefersViews):
    """A checkpoint and its feature extractor."""

    # Mean and spread over time come first: what changes within a clip is lost in the mean alone.
    poolings = ("mean-std", "mean", "max", "layers")
    has_views = True
    # Log-mel statistics are much weaker than a speech encoder, and its last layer knows less of tones than those below it.
    frozen_share = 0.8
    reading_weights = {"layers": 8.0}
    modality: Audio
    processor: FeatureExtractor

    @classmethod
    def load_model(
        cls, modality: Modality, ref: CheckpointRef, head: str, **options: Any
    ) -> tuple[PreTrainedModel, LoadReport]:
        """A new head reads the mean of all layers, where the class can: the last one suits what the encoder was trained on."""
        wanted = modality.config.layer_sum
        classes = options.get("problem_type") == "single_label_classification"
        if options.get("new_head") and wanted is not False and classes:
            known = loading.load_config(ref.weights(), token=ref.token)
            if hasattr(known, "use_weighted_layer_sum"):
                options.setdefault("use_weighted_layer_sum", True)
        return super().load_model(modality, ref, head, **options)

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
        with structure.at_work(self.model):
            vectors = [together([values[row] for row in rows]) for rows in rows_of.values()]
        return np.concatenate(vectors)[np.argsort(np.concatenate(list(rows_of.values())))]

    def features(self, batch: Batch) -> torch.Tensor:
        """`mean`, `max`, `mean-std` of the last layer over the frames that are sound; `layers`: `mean-std` of every layer.

        What a frozen encoder knows of a sound's details lies in its lower layers; the last one suits what it was trained on.
        """
        how = self.pooling.mode
        hidden, valid = backbones.frames(self.backbone, batch, layer="all" if how == "layers" else None)
        return backbones.pool(hidden, valid, "mean-std" if how == "layers" else how)

    def readings(self, batch: Batch, states: Sequence[torch.Tensor] = ()) -> dict[str, torch.Tensor]:
        """Mean and spread of every layer, and of the last one: a head of these classes reads a projection of a mean."""
        hidden, valid = backbones.frames(self.backbone, batch, layer="all")
        width = self.backbone.config.hidden_size
        last = backbones.pool(hidden[..., -width:], valid, "mean-std")
        found = {"layers": backbones.pool(hidden, valid, "mean-std"), "last layer": last}
        return found | ({BELOW: self._below_projection(hidden, valid)} if self.fits_head else {})

    def _below_projection(self, hidden: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """What the projection gets of all layers' states, weighed and averaged over time as the class does, `(batch, width)`."""
        inner: Any = unwrap_peft(self.model)
        states = hidden.unflatten(-1, (-1, inner.config.hidden_size))
        if inner.config.use_weighted_layer_sum:
            mixture = (states * torch.softmax(inner.layer_weights, dim=-1)[:, None]).sum(-2)
        else:
            mixture = states[..., -1, :]
        heard = (
            valid if backbones.is_waveform(inner.config) else torch.ones_like(valid)
        )  # Whisper's own mean takes every frame
        return backbones.pool(mixture, heard, "mean")

    @property
    def fits_head(self) -> bool:
        """A projection that is new."""
        layer = getattr(unwrap_peft(self.model), "projector", None)
        return isinstance(layer, nn.Linear) and any("projector." in name for name in self.report.missing)

    def fit_head(self, readings: dict[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
        """A new projection starts from principal components: a random one of 384 to 256 numbers loses .03 macro-F1."""
        if not self.fits_head:
            return readings
        inner: Any = unwrap_peft(self.model)
        layer: nn.Linear = inner.projector
        means = readings["layers"][:, : readings["layers"].shape[1] // 2].reshape(
            len(readings["layers"]), -1, layer.in_features
        )
        pooled = means.mean(1) if inner.config.use_weighted_layer_sum else means[:, -1]
        center = pooled.mean(0)
        values, axes = np.linalg.svd(pooled - center, full_matrices=False)[1:]
        kept = axes[: layer.out_features] / max(
            1e-8, float(np.sqrt(np.square(values).sum() / len(pooled) / len(values)))
        )
        with torch.no_grad():
            layer.weight.zero_()[: len(kept)] = torch.from_numpy(kept)
            layer.bias.copy_(-(layer.weight @ torch.from_numpy(center)))
            reached = layer(torch.from_numpy(readings[BELOW]).to(layer.weight)).float().cpu().numpy()
        return {name: rows for name, rows in readings.items() if name != BELOW} | {head: reached}

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
        own, rate, count = self.modality.config, self.modality.config.sampling_rate, len(plan[0])
        how = sound_views.Views(own.view_share, own.view_speed, own.view_noise, own.view_gap)
        waves = [self.modality.samples(item) for item in items]
        places, parts = sound_views.described([len(wave) for wave in waves], rate, rngs, how, count)
        longest = int(places[..., 2].max())
        content, numbers = (
            {"samples": sound_views.joined(waves, compact=self.deferred is not None)},
            {"places": torch.from_numpy(places), "parts": torch.from_numpy(parts)},
        )
        raw = backbones.is_raw(self.processor)
        if self.defers and (raw or self.deferred is not None):
            rows = count * len(items)
            waveform = {"input_values": (rows, longest), "attention_mask": (rows, longest)}
            shapes = waveform if raw else spectra.shapes(self.processor, rows)
            return [self.shown(content, numbers, {"longest": longest}, shapes)]
        made, _ = sound_views.make(content["samples"], numbers["places"], numbers["parts"], longest)
        lengths = places[..., 2].ravel().tolist()
        return [
            backbones.inputs(
                self.processor, [wave[:end] for wave, end in zip(made.numpy(), lengths, strict=True)], rate
            )
        ]

    @property
    def defers(self) -> bool:
        """Not where sounds are to be resampled, nor with an extractor that only the host can run (Wav2Vec2-BERT's)."""
        known = backbones.is_raw(self.processor) or spectra.are_known(self.processor)
        return known and int(self.processor.sampling_rate) == self.modality.config.sampling_rate

    def make_views(self, content: Batch, numbers: Batch, facts: Facts) -> Batch:
        waves, sound = sound_views.make(content["samples"], numbers["places"], numbers["parts"], facts["longest"])
        if not backbones.is_raw(self.processor):
            return spectra.made(self.processor, waves, sound)
        if getattr(self.processor, "do_normalize", True):
            waves = sound_views.normalized(waves, sound)
        return {"input_values": waves, "attention_mask": sound.long()}
