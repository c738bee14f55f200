"""Masked spectrogram modeling: hide stretches of sound, predict their log-mel energies from what is around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.audio.spectrogram import log_mel, standardized
from hf_ssl.modalities.batching import places_of, taken
from hf_ssl.objectives.base import Objective
from hf_ssl.objectives.clips import TRAINING, Clips, padded_masks, span_mask
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedConfig

MIN_TARGET_VARIANCE = 1e-3
"""Below this share of its usual variance (1) what is to be predicted is constant, and predicting it teaches nothing."""


class MaskedSpectrogram(Objective):
    """Span-masked (AST: patch-masked) regression of log-mel energies. Needs no quantizer, so any encoder can do it.

    Predicts: the log-mel energies of hidden frames, each band standardized over the clip.

    Formula: mean over hidden frames of the mean over bands of `|prediction - target|`.

    Reference: Liu et al. 2021, TERA (arXiv:2007.06028), time masking and L1; spans as in wav2vec 2.0; patches as in
    Gong et al. 2022, SSAST (arXiv:2110.09784).

    Needs: an encoder of waveforms (wav2vec2, HuBERT, WavLM, data2vec, UniSpeech), whose latent frames are replaced by its
    own mask vector; or of spectrograms (Whisper, AST), whose input is overwritten with a learned one.

    Inputs: those of the encoder; `hidden` bool `(clips, frames)` (AST: `(clips, patches)`), `labels` of that shape, 0 where
    hidden, -100 elsewhere; `kept`, their places in the flat batch.

    Example:

        objective = MaskedSpectrogram(Audio().load("microsoft/wavlm-base"), MaskedSpectrogram.Config())
    """

    needs: ClassVar = AudioEncoder
    paper: ClassVar = "Liu et al. 2021, TERA (arXiv:2007.06028)"
    unit: ClassVar = "audio_seconds"
    training_defaults: ClassVar = TRAINING

    @dataclass
    class Config(Options):
        """Options of `masked-spectrogram`."""

        renamed = {"mask_ratio": "mask_time_prob"}

        mask_time_prob: float = option(
            0.65, "Spans times their length over all frames (0.65 hides about half).", gt=0, le=1
        )
        mask_span: int = option(10, "Frames (AST: neighboring patches) hidden together.", ge=1)
        crop_seconds: float = option(15.6, "Longest part of a clip in a batch.", gt=0)
        mels: int = option(80, "Bands that are predicted (waveform encoders).", ge=1)
        dropout: float = option(0.0, "Dropout while pre-training.", ge=0, lt=1)

    encoder: AudioEncoder
    config: Config

    def __init__(self, encoder: AudioEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        set_dropout(self.model, config.dropout)
        own: Any = self.backbone.config
        bands = config.mels
        if backbones.is_whisper(own):
            bands = 2 * own.num_mel_bins  # one frame of the encoder comes from two of the spectrogram
        elif backbones.is_patched(own):
            bands = own.patch_size**2
        elif not backbones.is_waveform(own):
            raise ConfigError(f"masked-spectrogram does not know how to hide parts of the input of {own.model_type}.")
        self.head = nn.Linear(own.hidden_size, bands)
        if not backbones.is_waveform(own):
            self.fill = nn.Parameter(torch.zeros(own.num_mel_bins))

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Clips:
        return Clips(
            dataset, self.encoder, self._draw, max_seconds=self.config.crop_seconds, seed=seed, training=training
        )

    def _draw(self, wave: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        config: Any = self.backbone.config
        own = self.config
        if backbones.is_waveform(config):
            return {
                "hidden": span_mask(backbones.frame_count(config, len(wave)), own.mask_time_prob, own.mask_span, rng)
            }
        if backbones.is_whisper(config):
            extractor: Any = self.encoder.processor  # Whisper's own
            frames = min(config.max_source_positions, -(-len(wave) // (2 * int(extractor.hop_length))))
            return {"hidden": span_mask(frames, own.mask_time_prob, own.mask_span, rng)}
        return {"hidden": self._draw_patches(len(wave), rng)}

    def _draw_patches(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Columns (in time) of a patch grid, hidden in spans, each over a random half of the frequencies or all."""
        config: Any = self.backbone.config
        rate = int(self.encoder.processor.sampling_rate)
        high, wide = backbones.patch_grid(config)
        frames = min(config.max_length, 1 + (samples - round(0.025 * rate)) // round(0.010 * rate))
        begun = min(wide, max(1, -(-frames // config.time_stride)))
        grid = np.zeros((high, wide), dtype=bool)
        columns = span_mask(begun, self.config.mask_time_prob, self.config.mask_span, rng)
        lower, upper = sorted(rng.choice(high + 1, size=2, replace=False).tolist())
        grid[lower if upper - lower >= high // 2 else 0 : upper if upper - lower >= high // 2 else high, :begun] = (
            columns
        )
        return grid.reshape(-1)

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = backbones.inputs(
            self.encoder.processor, [row["wave"] for row in rows], int(self.encoder.processor.sampling_rate)
        )
        hidden = padded_masks([row["hidden"] for row in rows])
        if backbones.is_whisper(self.backbone.config):
            config: Any = self.backbone.config
            full = np.zeros((len(rows), config.max_source_positions), dtype=bool)
            full[:, : hidden.shape[1]] = hidden
            hidden = full
        labels = torch.from_numpy(np.where(hidden, 0, -100))
        return {**batch, "hidden": torch.from_numpy(hidden), "labels": labels, "kept": places_of(hidden)}

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        per_second = self.encoder.processor.sampling_rate
        if not backbones.is_waveform(self.backbone.config):
            per_second = 100  # spectrograms have a frame every 10 ms
        return batch["attention_mask"].sum() / per_second

    def forward(
        self,
        attention_mask: torch.Tensor,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        kept: torch.Tensor,
        input_values: torch.Tensor | None = None,
        input_features: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        batch = {"attention_mask": attention_mask}
        given = {"input_values": input_values, "input_features": input_features}
        batch |= {name: value for name, value in given.items() if value is not None}
        states, valid = self._states(batch, hidden)
        targets = taken(self._targets(batch, valid), kept)
        predicted = self.head(taken(states, kept)).float()
        # Nothing hidden (only clips of a few milliseconds): the loss is 0, with a gradient, so that ranks stay in step.
        total = (predicted - targets).abs().mean(-1).sum() + 0.0 * states.sum()
        count = (labels != -100).sum()
        return LossOutput(
            loss=normalize_loss(total, count, num_items_in_batch),
            scalars={
                "hidden": count.detach(), "frames": valid.sum(), "sums": targets.sum(0), "squares": targets.square().sum(0),
                "guess_squares": predicted.detach().square().sum(0), "guess_sums": predicted.detach().sum(0),
            },
        )  # fmt: skip

    def _states(self, batch: dict[str, torch.Tensor], hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        config: Any = self.backbone.config
        if backbones.is_waveform(config):
            return backbones.frames(self.backbone, batch, mask=hidden)
        if backbones.is_whisper(config):
            spectrogram = batch["input_features"]
            covered = hidden.repeat_interleave(2, dim=1)[:, None]
            return backbones.frames(
                self.backbone, {**batch, "input_features": torch.where(covered, self.fill[:, None], spectrogram)}
            )
        spectrogram = batch["input_values"]
        covered = covered_by_patches(hidden, config)
        return backbones.frames(self.backbone, {**batch, "input_values": torch.where(covered, self.fill, spectrogram)})

    @torch.no_grad()
    def _targets(self, batch: dict[str, torch.Tensor], valid: torch.Tensor) -> torch.Tensor:
        """`(clips, frames, bands)`, standardized over each clip."""
        config: Any = self.backbone.config
        if backbones.is_waveform(config):
            stride, seen = backbones.stride_and_field(config)
            rate = int(self.encoder.processor.sampling_rate)
            energies = log_mel(batch["input_values"], rate, field=seen, stride=stride, mels=self.config.mels)
            return standardized(energies, valid)
        if backbones.is_whisper(config):
            frames = batch["input_features"].float().transpose(1, 2)
            sound = valid.repeat_interleave(2, dim=1)
            # Whisper's scale is tenths of a decade, so a spread of 0.1 is what 0.5 is to natural logarithms.
            return standardized(5.0 * frames, sound).reshape(len(frames), valid.shape[1], -1)
        return patches(batch["input_values"].float(), config)

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        count = sums["hidden"].clamp(min=1)

        def variance(name: str) -> float:
            prefix = f"{name}_" if name else ""
            return float((sums[f"{prefix}squares"] / count - (sums[f"{prefix}sums"] / count).square()).mean())

        return {
            "fraction_masked": float(sums["hidden"] / sums["frames"].clamp(min=1)),
            "target_variance": variance(""),
            "prediction_variance": variance("guess"),
        }

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        if record["target_variance"] < MIN_TARGET_VARIANCE:
            return f"The spectrograms to predict are constant (variance {record['target_variance']:.1e})."
        return None


def covered_by_patches(hidden: torch.Tensor, config: PreTrainedConfig) -> torch.Tensor:
    """Points of the spectrogram that lie in a hidden patch, bool `(batch, frames, mels)`.

    Patches overlap, so their neighbors lose a part too: nothing of a hidden patch can be read off elsewhere.
    """
    high, wide = backbones.patch_grid(config)
    grid = hidden.view(len(hidden), 1, high, wide).float()
    kernel = torch.ones(1, 1, config.patch_size, config.patch_size, device=hidden.device)
    steps = (config.frequency_stride, config.time_stride)
    painted = nn.functional.conv_transpose2d(grid, kernel, stride=steps)[:, 0]
    covered = torch.zeros(len(hidden), config.num_mel_bins, config.max_length, device=hidden.device)
    covered[:, : painted.shape[1], : painted.shape[2]] = painted
    return covered.transpose(1, 2) > 0


def patches(spectrogram: torch.Tensor, config: PreTrainedConfig) -> torch.Tensor:
    """AST's squares, each with mean 0 and variance 1 (He et al. 2022, MAE), `(batch, patches, size x size)`."""
    image = spectrogram.transpose(1, 2)[:, None]
    steps = (config.frequency_stride, config.time_stride)
    squares = nn.functional.unfold(image, config.patch_size, stride=steps).transpose(1, 2)
    mean, variance = squares.mean(-1, keepdim=True), squares.var(-1, keepdim=True, correction=0)
    return (squares - mean) / (variance + 1e-3).sqrt()
