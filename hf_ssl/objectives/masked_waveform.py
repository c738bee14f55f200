"""Masked waveform modeling: cut stretches out of a recording, put the missing samples back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.batching import places_of, taken
from hf_ssl.objectives.base import Objective
from hf_ssl.objectives.clips import TRAINING, Clips, needs_waveform, padded_masks, span_mask
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets

WINDOWS = (128, 256, 512)
"""Samples of the short-time spectra that predicted and true waveform are compared in: 8, 16 and 32 ms at 16 kHz."""


class MaskedWaveform(Objective):
    """Predict the missing raw segments of a recording.

    Predicts: the samples of stretches that were set to zero.

    Formula: mean over hidden frames of `|x - y|` over the frame's samples, plus `w` times the mean over window lengths of
    `|log S(x) - log S(y)|` and of `|S(x) - S(y)|`, `S` the magnitudes of the short-time spectrum around the frame.

    Reference: spectra at several resolutions: Yamamoto et al. 2020, Parallel WaveGAN (arXiv:1910.11480); hidden spans as
    in wav2vec 2.0. No released model is trained this way; the loss on samples alone says little about pitch and phase.

    Needs: an encoder of waveforms (wav2vec2, HuBERT, WavLM, data2vec, UniSpeech).

    Inputs: `input_values` (whole), `attention_mask` `(clips, samples)`; `hidden` bool `(clips, frames)`; `labels`
    `(clips, frames)`, 0 where hidden, -100 elsewhere; `kept`, places of hidden frames in the flat batch.

    Samples of a hidden stretch are zeroed before the convolutions see them, and its latents are replaced by the mask
    vector: nothing of it can be read off, not even at its borders.

    Example:

        objective = MaskedWaveform(Audio().load("facebook/hubert-base-ls960"), MaskedWaveform.Config())
    """

    needs: ClassVar = AudioEncoder
    paper: ClassVar = "spectral loss: Yamamoto et al. 2020, Parallel WaveGAN (arXiv:1910.11480)"
    unit: ClassVar = "audio_seconds"
    training_defaults: ClassVar = TRAINING

    @dataclass
    class Config(Options):
        """Options of `masked-waveform`."""

        renamed = {"mask_ratio": "mask_time_prob"}

        mask_time_prob: float = option(
            0.4, "Spans times their length over all frames (0.4 hides about a third).", gt=0, le=1
        )
        mask_span: int = option(5, "Frames that are hidden together (5: 0.1 s).", ge=1)
        crop_seconds: float = option(15.6, "Longest part of a clip in a batch.", gt=0)
        spectral: float = option(1.0, "Weight of the spectra beside the samples.", ge=0)
        dropout: float = option(0.0, "Dropout while pre-training.", ge=0, lt=1)

    encoder: AudioEncoder
    config: Config

    def __init__(self, encoder: AudioEncoder, config: Config) -> None:
        super().__init__(encoder, config)
        own: Any = self.backbone.config
        needs_waveform("masked-waveform", own)
        set_dropout(self.model, config.dropout)
        self.stride, self.seen = backbones.stride_and_field(own)
        self.head = nn.Linear(own.hidden_size, self.stride)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Clips:
        own = self.config

        def draw(wave: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
            frames = backbones.frame_count(self.backbone.config, len(wave))
            return {"hidden": span_mask(frames, own.mask_time_prob, own.mask_span, rng)}

        return Clips(dataset, self.encoder, draw, max_seconds=own.crop_seconds, seed=seed, training=training)

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        hidden = padded_masks([row["hidden"] for row in rows])
        batch = backbones.padded([row["wave"] for row in rows])
        return {**batch, "hidden": torch.from_numpy(hidden), "labels": torch.from_numpy(np.where(hidden, 0, -100)),
                "kept": places_of(hidden)}  # fmt: skip

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
        missing = self.missing_samples(hidden, kept, input_values.shape[1])
        batch = {"input_values": input_values.masked_fill(missing, 0.0), "attention_mask": attention_mask}
        states, valid = backbones.frames(self.backbone, batch, mask=hidden)
        guess = self.head(states).float()
        # Frame i speaks for the `stride` samples in the middle of the `seen` ones that it would have seen.
        first = (self.seen - self.stride) // 2
        length = hidden.shape[1] * self.stride
        truth = input_values[:, first : first + length].float()
        # What follows a clip's last frame is not there in a batch where it is the longest: then it is not there in any.
        truth = truth.masked_fill(~valid.repeat_interleave(self.stride, dim=1), 0.0)
        filled = torch.where(hidden.repeat_interleave(self.stride, dim=1), guess.flatten(1), truth)
        samples = (filled - truth).abs().view(*hidden.shape, self.stride).mean(-1)
        spectra = self._spectral_distance(filled, truth, hidden) if self.config.spectral else 0.0
        terms = samples + self.config.spectral * spectra
        total = taken(terms, kept).sum() + 0.0 * states.sum()
        count = (labels != -100).sum()
        wanted, given = taken(truth.view(*hidden.shape, -1), kept), taken(guess.detach(), kept)
        return LossOutput(
            loss=normalize_loss(total, count, num_items_in_batch),
            scalars={
                "hidden": count.detach(), "frames": valid.sum(), "power": wanted.square().mean(-1).sum(),
                "guess_power": given.square().mean(-1).sum(), "error": (wanted - given).square().mean(-1).sum(),
            },
        )  # fmt: skip

    def missing_samples(self, hidden: torch.Tensor, kept: torch.Tensor, length: int) -> torch.Tensor:
        """Samples that hidden frames see, bool `(clips, length)`."""
        clip, frame = kept // hidden.shape[1], kept % hidden.shape[1]
        edges = torch.zeros(len(hidden), length + 1, dtype=torch.int32, device=hidden.device)
        begin = frame * self.stride
        one = torch.ones_like(begin, dtype=torch.int32)
        edges.index_put_((clip, begin), one, accumulate=True)
        edges.index_put_((clip, (begin + self.seen).clamp(max=length)), -one, accumulate=True)
        return edges.cumsum(1)[:, :length] > 0

    def _spectral_distance(self, guess: torch.Tensor, truth: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Distance of the short-time spectra around every frame, `(clips, frames)`.

        Per frame and not over the clip, so that the loss stays a sum over hidden frames. The sum over a few windows at
        different places of a frame takes the place of a finer hop.
        """
        total = torch.zeros(hidden.shape, device=guess.device)
        for length in WINDOWS:
            pad = (length - self.stride) // 2 if length > self.stride else 0
            hop = self.stride if length >= self.stride else length // 2
            near = [_spectrum(wave, length, pad, self.stride, hop, hidden.shape[1]) for wave in (guess, truth)]
            logs = (near[0].log() - near[1].log()).abs().mean((-1, -2))
            total = total + logs + (near[0] - near[1]).abs().mean((-1, -2))
        return total / len(WINDOWS)

    def measures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        count = sums["hidden"].clamp(min=1)
        return {
            "fraction_masked": float(sums["hidden"] / sums["frames"].clamp(min=1)),
            "target_variance": float(sums["power"] / count),
            "prediction_variance": float(sums["guess_power"] / count),
            "explained": float(1 - sums["error"] / sums["power"].clamp(min=1e-9)),
        }

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        if record["target_variance"] < 1e-6:
            return "The missing segments are silent: there is nothing to put back."
        return None


def _spectrum(wave: torch.Tensor, length: int, pad: int, stride: int, hop: int, frames: int) -> torch.Tensor:
    """Magnitudes of windows within (or centered on) each stretch of `stride` samples, `(clips, frames, windows, bins)`."""
    span = max(stride, length)
    wave = nn.functional.pad(wave, (pad, span - stride - pad))
    pieces = wave.unfold(1, span, stride)[:, :frames]
    windows = pieces.unfold(2, length, hop) * torch.hann_window(length, device=wave.device)
    # The floor keeps the logarithm's slope finite where there is silence (amplitudes are those of unit variance).
    return (torch.fft.rfft(windows).abs().square() / length + 1e-4).sqrt()
