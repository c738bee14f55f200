"""Clips as rows: which one comes when, which part of it, and which of its frames are hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.batching import by_length
from hf_ssl.modalities.rng import example_rng
from hf_ssl.objectives.base import Rows, row_keys

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedConfig

BLOCK = 64  # neighbors in length that are shuffled as one, so that a batch holds clips of nearly one length

# What suits pre-training on clips, whatever is predicted; rows come sorted by length in blocks, hence the sampler.
TRAINING: dict[str, Any] = {
    "learning_rate": 5e-5, "num_train_epochs": 5, "per_device_train_batch_size": 8, "weight_decay": 0.01,
    "max_grad_norm": 1.0, "train_sampling_strategy": "sequential",
}  # fmt: skip


def needs_waveform(objective: str, config: PreTrainedConfig) -> None:
    """Refuse an encoder that sees spectrograms.

    Raises:
        ConfigError: names the objective that suits it.
    """
    if not backbones.is_waveform(config):
        raise ConfigError(
            f"{objective} needs an encoder of raw samples; a {config.model_type} model sees spectrograms. "
            "Use --objective masked-spectrogram."
        )


class Clips(Rows):
    """Waveforms of the pool, each with what an objective draws for it.

    Rows come in blocks of similar length, blocks and clips in a new order every epoch: with a sequential sampler
    (`train_sampling_strategy`) a batch has hardly any padding, and the order is a function of (seed, epoch) alone.

    Args:
        dataset: the pool.
        encoder: gives modality and processor.
        draw: `(wave, rng) -> further entries of the row`; the wave is the processor's, float32 `(samples,)`.
        max_seconds: longer clips give a random part in training, the middle in evaluation.
    """

    def __init__(
        self,
        dataset: datasets.Dataset,
        encoder: AudioEncoder,
        draw: Callable[[np.ndarray, np.random.Generator], dict[str, Any]],
        *,
        max_seconds: float,
        seed: int,
        training: bool,
    ) -> None:
        super().__init__(seed, training)
        self.encoder, self.draw = encoder, draw
        modality = encoder.modality
        self.values = list(dataset[modality.column])
        self.keys = row_keys(dataset)
        self.longest = int(max_seconds * modality.config.sampling_rate)
        lengths = np.array([modality.length(value) for value in self.values], dtype=np.int64)
        self.lengths = np.minimum(lengths, self.longest)
        self.order = np.arange(len(self.values))
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        if self.training:
            self.order = by_length(self.lengths, BLOCK, example_rng(self.seed, epoch, "order"))

    def __len__(self) -> int:
        return len(self.values)

    def random(self, row: int) -> np.random.Generator:
        """Random numbers of a row in this epoch."""
        return example_rng(self.seed, self.key, self.keys[row])

    def ready(self, wave: np.ndarray) -> np.ndarray:
        """Samples of the decoded copy as the processor has them."""
        return backbones.wave_for(self.encoder.processor, wave, self.encoder.modality.config.sampling_rate)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(self.order[index])
        rng = self.random(row)
        wave = self.encoder.modality.samples(self.values[row])
        spare = len(wave) - self.longest
        if spare > 0:
            first = int(rng.integers(spare + 1)) if self.training else spare // 2
            wave = wave[first : first + self.longest]
        wave = self.ready(wave)
        return {"wave": wave, **self.draw(wave, rng)}


def span_mask(frames: int, ratio: float, span: int, rng: np.random.Generator) -> np.ndarray:
    """Frames to hide, bool `(frames,)`: spans with random starts that may overlap (wav2vec 2.0, section 3.1).

    `ratio` of all frames are starts times span; overlaps make the hidden share about `1 - exp(-ratio)` (49 % for 0.65).
    Short clips get shorter spans. With 3 frames or more, at least 2 are hidden and at least 1 is seen; with fewer there
    is nothing to predict from, and nothing is hidden.
    """
    hidden = np.zeros(frames, dtype=bool)
    if frames < 3:
        return hidden
    span = max(1, min(span, frames // 3))
    count = max(1, int(ratio * frames / span + rng.random()))
    starts = rng.choice(frames - span + 1, size=min(count, frames - span + 1), replace=False)
    for start in starts:
        hidden[start : start + span] = True
    if hidden.sum() < 2:
        hidden[rng.choice(np.flatnonzero(~hidden), size=2 - int(hidden.sum()), replace=False)] = True
    if hidden.all():
        hidden[int(rng.integers(frames))] = False
    return hidden


def padded_masks(masks: list[np.ndarray]) -> np.ndarray:
    """Bool `(batch, longest)`, False after a clip's end."""
    together = np.zeros((len(masks), max(len(mask) for mask in masks)), dtype=bool)
    for row, mask in enumerate(masks):
        together[row, : len(mask)] = mask
    return together
