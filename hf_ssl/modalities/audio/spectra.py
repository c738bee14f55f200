"""The spectrograms that Whisper's and AST's extractors make, computed where the waves are.

The extractors of transformers take NumPy arrays and give NumPy arrays, so random views that a GPU makes would have to leave it for
them. These are the same steps on tensors (equal to the extractors' own within rounding: `tests/modalities/test_spectra.py`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch.nn import functional as F

from hf_ssl.modalities.batching import brought

if TYPE_CHECKING:
    from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

    from hf_ssl.modalities.audio.extractor import FeatureExtractor

FIELD, STRIDE, FFT = 400, 160, 512
"""Samples of AST's windows, from one to the next, and in a Fourier transform; they do not depend on the rate."""
EMPHASIS, FLOOR = 0.97, 1.192092955078125e-07


def are_known(processor: FeatureExtractor) -> bool:
    """Whether `made` computes what this extractor does; random dither, for one, is left to the extractor."""
    if type(processor).__name__ == "WhisperFeatureExtractor":
        return not cast("WhisperFeatureExtractor", processor).dither
    return type(processor).__name__ == "ASTFeatureExtractor"


def shapes(processor: FeatureExtractor, rows: int) -> dict[str, tuple[int, ...]]:
    """Of what `made` gives for so many waves."""
    if _is_whisper(processor):
        whisper = cast("WhisperFeatureExtractor", processor)
        frames = whisper.n_samples // whisper.hop_length
        return {"input_features": (rows, whisper.feature_size, frames), "attention_mask": (rows, frames)}
    ast = cast("ASTFeatureExtractor", processor)
    return {"input_values": (rows, ast.max_length, ast.num_mel_bins), "attention_mask": (rows, ast.max_length)}


def made(processor: FeatureExtractor, waves: torch.Tensor, sound: torch.Tensor) -> dict[str, torch.Tensor]:
    """Inputs of a model from waves at the extractor's own rate.

    Args:
        waves: float32 `(batch, samples)`, 0 behind the end of each.
        sound: bool of that shape, where each sounds.

    Returns:
        as `hf_ssl.modalities.audio.backbones.inputs`, on the device of the waves.
    """
    if _is_whisper(processor):
        return _log_mel(cast("WhisperFeatureExtractor", processor), waves, sound)
    return _fbank(cast("ASTFeatureExtractor", processor), waves, sound)


def _is_whisper(processor: FeatureExtractor) -> bool:
    return hasattr(processor, "n_samples")


def _log_mel(processor: WhisperFeatureExtractor, waves: torch.Tensor, sound: torch.Tensor) -> dict[str, torch.Tensor]:
    """Log-mel energies of `n_samples` samples, at most 8 (80 dB) below the loudest of the clip (Radford et al. 2022, section 2.2)."""
    more = processor.n_samples - waves.shape[1]
    waves, sound = F.pad(waves.float(), (0, more)), F.pad(sound, (0, more))  # a negative number cuts
    window = torch.hann_window(processor.n_fft, device=waves.device)
    spectrum = torch.stft(waves, processor.n_fft, processor.hop_length, window=window, return_complex=True)[..., :-1]
    bank = np.ascontiguousarray(processor.mel_filters.T, dtype=np.float32)
    filters = _bank(bank.tobytes(), bank.shape, waves.device)
    energies = (filters @ spectrum.abs().square().contiguous()).clamp_(min=1e-10).log10_()
    energies = torch.maximum(energies, energies.amax((1, 2), keepdim=True) - 8.0)
    mask = sound[:, :: processor.hop_length][:, : energies.shape[2]]
    return {"input_features": (energies + 4.0) / 4.0, "attention_mask": mask.int()}


def _fbank(processor: ASTFeatureExtractor, waves: torch.Tensor, sound: torch.Tensor) -> dict[str, torch.Tensor]:
    """Kaldi's filter banks, as AST was trained on: natural logarithms, up to `max_length` windows and zeros behind them."""
    lengths, most = sound.sum(1, keepdim=True), processor.max_length
    waves = F.pad(waves.float(), (0, max(0, FIELD - waves.shape[1])))
    windows = waves.unfold(1, FIELD, STRIDE)[:, :most]
    windows = windows - windows.mean(2, keepdim=True)
    windows = windows - EMPHASIS * torch.cat([windows[..., :1], windows[..., :-1]], dim=2)
    windows = windows * torch.hann_window(FIELD, periodic=False, device=waves.device)
    power = torch.fft.rfft(windows, n=FFT).abs().square()
    energies = (
        (power @ _kaldi_filters(processor.num_mel_bins, processor.sampling_rate, waves.device))
        .clamp_(min=FLOOR)
        .log_()
    )
    place = torch.arange(most, device=waves.device)
    there = 1 + (lengths - FIELD).div(STRIDE, rounding_mode="floor")
    energies = F.pad(energies, (0, 0, 0, most - energies.shape[1])) * (place < there)[..., None]
    if processor.do_normalize:
        energies = (energies - processor.mean) / (processor.std * 2)
    # The mask counts windows as `backbones.inputs` does, by the extractor's rate.
    field, stride = round(0.025 * processor.sampling_rate), round(0.010 * processor.sampling_rate)
    counted = (1 + (lengths - field).div(stride, rounding_mode="floor")).clamp(1, most)
    return {"input_values": energies, "attention_mask": (place < counted).long()}


@functools.lru_cache(maxsize=8)
def _kaldi_filters(mels: int, rate: int, device: torch.device) -> torch.Tensor:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        FFT // 2 + 1, mels, 20, rate // 2, rate, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    return brought(torch.from_numpy(bank.astype(np.float32)), device)


@functools.lru_cache(maxsize=8)
def _bank(content: bytes, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """A processor's own filters, brought once."""
    return brought(torch.from_numpy(np.frombuffer(content, dtype=np.float32).reshape(shape).copy()), device)
