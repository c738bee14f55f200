"""Masked prediction of hidden units: cluster the frames of a layer, predict the cluster of hidden frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.audio.spectrogram import log_mel, standardized
from hf_ssl.modalities.batching import batches_by_size, places_of, taken
from hf_ssl.models.structure import at_work, evaluating
from hf_ssl.objectives.base import Objective
from hf_ssl.objectives.clips import TRAINING, Clips, needs_waveform, padded_masks, span_mask
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets

MAX_FRAMES = 200_000
"""Frames that k-means is fitted on: an hour of sound, a few hundred per unit and more."""


class HubertUnits(Objective):
    """HuBERT: predict the discrete unit of hidden frames.

    Predicts: the k-means cluster that a hidden frame of the unmasked clip belongs to.

    Formula: mean over hidden frames of `-log p(z_t)`, `p` a softmax over cosines of the projected state with one vector per
    unit, divided by 0.1 (equations 1 and 3 of the paper, loss on hidden frames only).

    Reference: Hsu et al. 2021, HuBERT (arXiv:2106.07447).

    Needs: an encoder of waveforms. Units come from one of its own layers as it is at the start, or from log-mel energies
    (`layer: -1`), which is where a model with random weights has to begin.

    Inputs: `input_values`, `attention_mask` `(clips, samples)`; `hidden` bool `(clips, frames)`; `labels`
    `(clips, frames)`, the unit where hidden, -100 elsewhere; `kept`, places of hidden frames in the flat batch.

    Units are found once, before training, with the weights of the start and a seed, and kept: a resumed run finds the
    same ones, and the centers are saved with the state all the same.

    Example:

        objective = HubertUnits(Audio().load("facebook/hubert-base-ls960"), HubertUnits.Config(layer=9, clusters=500))
    """

    needs: ClassVar = AudioEncoder
    paper: ClassVar = "Hsu et al. 2021, HuBERT (arXiv:2106.07447)"
    unit: ClassVar = "audio_seconds"
    training_defaults: ClassVar = TRAINING

    centers: torch.Tensor

    @dataclass
    class Config(Options):
        """Options of `hubert-units`."""

        renamed = {"mask_ratio": "mask_time_prob"}

        layer: int | None = option(
            None, "Layer whose states are clustered (default: the middle one; -1: log-mel energies).", ge=-1
        )
        clusters: int = option(100, "Number of units.", ge=2)
        mask_time_prob: float = option(
            0.8, "Spans times their length over all frames (0.8 hides about 55 %).", gt=0, le=1
        )
        mask_span: int = option(10, "Frames that are hidden together (10: 0.2 s).", ge=1)
        crop_seconds: float = option(15.6, "Longest part of a clip in a batch.", gt=0)
        dropout: float = option(0.0, "Dropout while pre-training.", ge=0, lt=1)

    encoder: AudioEncoder
    config: Config

    def __init__(self, encoder: AudioEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        own: Any = self.backbone.config
        needs_waveform("hubert-units", own)
        deepest = own.num_hidden_layers
        self.layer = (deepest + 1) // 2 if config.layer is None else config.layer
        if self.layer > deepest:
            raise ConfigError(f"layer lies between -1 and {deepest} in this model.")
        set_dropout(self.model, config.dropout)
        width = min(256, own.hidden_size)
        self.project = nn.Linear(own.hidden_size, width)
        self.units = nn.Parameter(torch.randn(config.clusters, width))
        features = own.hidden_size if self.layer >= 0 else 80
        self.register_buffer("centers", torch.full((config.clusters, features), float("nan")))
        self._known: dict[str, np.ndarray] = {}

    def needs_whole_pool(self) -> str | None:
        return (
            None
            if self.layer < 0
            else "its units come from the weights of the start (layer=-1, log-mel energies, does not need them)"
        )

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> UnitClips:
        """The pool must come first: its frames are what the units are found on."""
        own = self.config

        def draw(wave: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
            frames = backbones.frame_count(self.backbone.config, len(wave))
            return {"hidden": span_mask(frames, own.mask_time_prob, own.mask_span, rng)}

        clips = UnitClips(dataset, self.encoder, draw, max_seconds=own.crop_seconds, seed=seed, training=training)
        if bool(self.centers.isnan().any()):
            self._fit(clips, seed)
        clips.units = self._assign(clips)
        return clips

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        hidden = padded_masks([row["hidden"] for row in rows])
        labels = np.full(hidden.shape, -100, dtype=np.int64)
        for place, row in enumerate(rows):
            chosen = np.flatnonzero(row["hidden"])
            labels[place, chosen] = row["units"][chosen]
        batch = backbones.padded([row["wave"] for row in rows])
        return {
            **batch,
            "hidden": torch.from_numpy(hidden),
            "labels": torch.from_numpy(labels),
            "kept": places_of(hidden),
        }

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return batch["attention_mask"].sum() / self.encoder.processor.sampling_rate

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        kept: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        batch = {"input_values": input_values, "attention_mask": attention_mask}
        states, valid = backbones.frames(self.backbone, batch, mask=hidden)
        predicted = functional.normalize(self.project(taken(states, kept)).float(), dim=-1)
        with torch.autocast(predicted.device.type, enabled=False):
            scores = predicted @ functional.normalize(self.units.float(), dim=-1).T / 0.1
        wanted, units = taken(labels, kept), torch.arange(len(self.units), device=labels.device)
        total = functional.cross_entropy(scores, wanted, reduction="sum") + 0.0 * states.sum()
        count = (labels != -100).sum()
        guessed = scores.argmax(-1)
        return LossOutput(
            loss=normalize_loss(total, count, num_items_in_batch),
            scalars={
                "hidden": count.detach(), "frames": valid.sum(), "right": (guessed == wanted).sum(),
                "wanted": (wanted[:, None] == units).sum(0), "guessed": (guessed[:, None] == units).float().sum(0),
            },
        )  # fmt: skip

    @torch.no_grad()
    def _features(self, waves: list[np.ndarray]) -> list[np.ndarray]:
        """What is clustered: `(frames, width)` of every wave, from whole clips, nothing hidden."""
        device = self.project.weight.device
        batch = {name: tensor.to(device) for name, tensor in backbones.padded(waves).items()}
        if self.layer >= 0:
            states, valid = backbones.frames(self.backbone, batch, layer=self.layer)
        else:
            stride, seen = backbones.stride_and_field(self.backbone.config)
            states = log_mel(
                batch["input_values"], self.encoder.processor.sampling_rate, field=seen, stride=stride, mels=80
            )
            lengths = backbones.frame_count(self.backbone.config, batch["attention_mask"].sum(1))
            valid = torch.arange(states.shape[1], device=device) < lengths[:, None]
            states = standardized(states, valid)
        return [rows[keep].float().cpu().numpy() for rows, keep in zip(states, valid, strict=True)]

    def _by_batches(self, clips: UnitClips, rows: Sequence[int]) -> Any:
        """Rows with their features, batched by length, the model as it is in evaluation."""
        with at_work(self), evaluating(self):
            sizes = [int(clips.lengths[row]) for row in rows]
            for places in batches_by_size(sizes, 60 * self.encoder.processor.sampling_rate):
                chosen = [rows[place] for place in places]
                yield from zip(chosen, self._features([clips.whole(row) for row in chosen]), strict=True)

    def _fit(self, clips: UnitClips, seed: int) -> None:
        from sklearn.cluster import MiniBatchKMeans

        order, rows, frames = np.random.default_rng(seed).permutation(len(clips)), [], 0
        for row in order.tolist():
            if frames >= MAX_FRAMES:
                break
            rows.append(row)
            frames += backbones.frame_count(self.backbone.config, int(clips.lengths[row]))
        features = np.concatenate([found for _, found in self._by_batches(clips, sorted(rows))])
        if len(features) < 2 * self.config.clusters:
            raise DataError(
                f"The pool has {len(features):,} frames, too few for {self.config.clusters} units. Ask for fewer clusters."
            )
        fitted = MiniBatchKMeans(self.config.clusters, batch_size=10_000, n_init=3, random_state=seed).fit(features)
        self.centers.copy_(torch.from_numpy(fitted.cluster_centers_.astype(np.float32)))

    def _assign(self, clips: UnitClips) -> list[np.ndarray]:
        centers = self.centers.cpu().numpy().astype(np.float64)
        squares = np.square(centers).sum(1)
        units: list[np.ndarray] = [np.zeros(0, dtype=np.int16)] * len(clips)
        for row, features in self._by_batches(clips, range(len(clips))):
            units[row] = (squares - 2 * features.astype(np.float64) @ centers.T).argmin(1).astype(np.int16)
        return units

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        count = sums["hidden"].clamp(min=1)

        def evenness(name: str) -> float:
            share = sums[name] / count
            return float(torch.exp(-torch.xlogy(share, share).sum()))

        return {
            "fraction_masked": float(sums["hidden"] / sums["frames"].clamp(min=1)),
            "unit_accuracy": float(sums["right"] / count),
            "unit_perplexity": evenness("wanted"),
            "predicted_perplexity": evenness("guessed"),
        }

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        if record["unit_perplexity"] < 1.5:
            return f"Nearly all frames have the same unit (perplexity {record['unit_perplexity']:.2f})."
        return None


class UnitClips(Clips):
    """Clips with the units of their frames; a part of a clip takes the units of its frames along."""

    units: list[np.ndarray]

    def whole(self, row: int) -> np.ndarray:
        """The middle part of a clip, as the processor has it; the same in every epoch."""
        wave = self.encoder.modality.samples(self.values[row])
        spare = max(0, len(wave) - self.longest)
        return self.ready(wave[spare // 2 :][: self.longest])

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(self.order[index])
        wave = self.whole(row)
        return {"wave": wave, "units": self.units[row], **self.draw(wave, self.random(row))}
