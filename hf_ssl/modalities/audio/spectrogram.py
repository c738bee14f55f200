"""Log-mel energies: what masked models predict, and the baseline that needs no model."""

from __future__ import annotations

import functools

import numpy as np
import torch

from hf_ssl.modalities.batching import brought

FLOOR = 1e-6  # power below which there is nothing to hear in a signal of unit variance


@functools.lru_cache(maxsize=16)
def mel_filters(fft: int, mels: int, rate: int, device: torch.device | None = None) -> torch.Tensor:
    """Triangular filters between 0 and half the rate on Slaney's scale, `(fft / 2 + 1, mels)`, float32."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(fft // 2 + 1, mels, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney")
    return brought(torch.from_numpy(np.asarray(bank, dtype=np.float32)), device)


def log_mel(waves: torch.Tensor, rate: int, *, field: int, stride: int, mels: int) -> torch.Tensor:
    """Natural log of mel energies of the samples `[stride i, stride i + field)`, no padding at the ends.

    With the receptive field and stride of a convolutional encoder, frame `i` covers what that encoder's frame `i` sees.

    Args:
        waves: `(batch, samples)`.
        rate: samples per second.

    Returns:
        float32 `(batch, 1 + (samples - field) // stride, mels)`.
    """
    windows = waves.float().unfold(1, field, stride) * torch.hann_window(field, device=waves.device)
    # Zero-padded to at least 32 ms, so that the lowest filters are wider than the distance of two frequencies.
    fft = max(512, 1 << (field - 1).bit_length())
    power = torch.fft.rfft(windows, n=fft).abs().square()
    with torch.autocast(waves.device.type, enabled=False):
        return torch.log(power @ mel_filters(fft, mels, rate, waves.device) + FLOOR)


def standardized(energies: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Every band of every clip with mean 0 and standard deviation 1 over its valid frames.

    A band that hardly moves (above the band width of the source) is only centered: dividing would amplify noise.

    Args:
        energies: `(batch, frames, mels)`.
        valid: `(batch, frames)` bool.
    """
    weight = valid.unsqueeze(-1).to(energies.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    mean = (energies * weight).sum(1, keepdim=True) / count
    centered = (energies - mean) * weight
    spread = (centered.square().sum(1, keepdim=True) / count).sqrt()
    return centered / spread.clamp(min=0.5)


def log_mel_statistics(samples: np.ndarray, rate: int, mels: int = 80) -> np.ndarray:
    """Mean and standard deviation over time of 25 ms log-mel frames every 10 ms, of the whole clip, `(2 mels,)`."""
    field, stride = round(0.025 * rate), round(0.010 * rate)
    wave = np.zeros(max(len(samples), field), dtype=np.float32)
    wave[: len(samples)] = (samples - samples.mean()) / (samples.std() + 1e-7)
    energies = log_mel(torch.from_numpy(wave)[None], rate, field=field, stride=stride, mels=mels)[0]
    return torch.cat([energies.mean(0), energies.std(0, correction=0)]).numpy()
