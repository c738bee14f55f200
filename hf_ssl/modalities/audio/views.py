"""Random views of a clip: another part of it, another speed, another room and microphone, the same content.

Choices are drawn on the host (`described`), views are made of them on any device (`make`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.rng import device_keys, normals

QUIETEST_NOISE_DB = 40.0
GAIN_DB = 9.0
BANDS = 8
SECONDS_OF_A_FILTER = 0.064  # long enough for a change within 300 Hz, which is as narrow as a band gets
STEPS = 32768  # of a 16-bit sample
AT_ONCE = 32  # views that an accelerator makes together


@dataclass(frozen=True)
class Views:
    """How far a view may go.

    Attributes:
        share: smallest share of the clip that a view may be.
        speed: largest change of speed, 0.1 for 10 % slower or faster.
        noise: the strongest noise is so many decibels below the clip.
        gap: largest share of a view that is silenced (in every other view).

    Raises:
        ConfigError: a share is none.
    """

    share: float
    speed: float
    noise: float
    gap: float

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and 0 <= self.speed < 1 and 0 <= self.gap < 1):
            raise ConfigError(
                f"view_share ({self.share:g}) must lie above 0 and up to 1, view_speed ({self.speed:g}) and view_gap "
                f"({self.gap:g}) between 0 and 1."
            )


def described(
    lengths: Sequence[int], rate: int, rngs: Sequence[np.random.Generator], how: Views, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """All choices about `count` views of every clip, each from the clip's own generator.

    Args:
        lengths: samples of every clip; the clips lie one after the other (`joined`).
        rate: samples per second.

    Returns:
        int64 `(views, clips, 6)`: first sample among all, samples cut out, samples after the change of speed, beginning and
        length of the gap, key of the noise; float32 `(views, clips, 1 + taps)`: level of the noise below the view's, and
        the equalizer's impulse response.
    """
    begins = np.cumsum(lengths) - lengths
    sizes = np.asarray(lengths)
    places, parts = [], []
    for _ in range(count):
        share, place, speed, loudness, gapped, gap, gap_place, *gains = np.stack(
            [rng.random(7 + BANDS) for rng in rngs], 1
        )
        kept = np.maximum(1, np.rint(sizes * (how.share + share * (1 - how.share)))).astype(np.int64)
        first = begins + (place * (sizes - kept + 1)).astype(np.int64)
        heard = np.maximum(2, np.rint(kept / (1 - how.speed + 2 * how.speed * speed))).astype(np.int64)
        silent = np.where(gapped < 0.5, gap * how.gap * heard, 0).astype(np.int64)
        silence = (gap_place * (heard - silent + 1)).astype(np.int64)
        places.append(np.stack([first, kept, heard, silence, silent, device_keys(rngs)], axis=1))
        below = how.noise + loudness * (max(how.noise, QUIETEST_NOISE_DB) - how.noise)
        filters = equalizer(GAIN_DB * (2 * np.stack(gains, axis=1) - 1), rate)
        parts.append(np.concatenate([10 ** (-below[:, None] / 20), filters], axis=1))
    return np.stack(places), np.stack(parts).astype(np.float32)


def equalizer(gains: np.ndarray, rate: int) -> np.ndarray:
    """Impulse responses of smooth equalizers without delay, `(clips, taps)`, the middle one at time 0.

    Args:
        gains: `(clips, bands)` in decibels, at frequencies that are evenly spaced to the ear.
    """
    taps = 1 << max(4, round(math.log2(SECONDS_OF_A_FILTER * rate)))
    mels = 2595 * np.log10(1 + np.linspace(0, rate / 2, taps // 2 + 1) / 700)  # O'Shaughnessy's formula
    place = mels / mels[-1] * (gains.shape[1] - 1)
    below = np.minimum(place.astype(int), gains.shape[1] - 2)
    decibels = gains[:, below] * (1 + below - place) + gains[:, below + 1] * (place - below)
    response = np.roll(np.fft.irfft(10 ** (decibels / 20), n=taps), taps // 2, axis=1)
    return response * np.hanning(taps + 1)[:-1]


def joined(waves: Sequence[np.ndarray], compact: bool) -> torch.Tensor:
    """All samples of some clips, one clip after the other, float32; `compact`: int16 where that says the same in half the bytes."""
    flat = np.concatenate(waves).astype(np.float32, copy=False)
    if compact:
        steps = flat * STEPS
        whole = np.rint(steps)
        if np.array_equal(steps, whole) and np.abs(whole).max(initial=0) < STEPS:
            return torch.from_numpy(whole.astype(np.int16))
    return torch.from_numpy(flat)


def make(
    flat: torch.Tensor, places: torch.Tensor, parts: torch.Tensor, longest: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Views as `described` says: cut out, faster or slower (as a tape would be, Ko et al. 2015), through another room and
    microphone, with white noise, and half of them with a silent gap.

    Args:
        flat: see `joined`.
        places, parts: see `described`.
        longest: samples of the longest view.

    Returns:
        float32 `(views * clips, longest)`, 0 behind the end of a view; and bool of that shape, where a view is.
    """
    places, parts = places.flatten(0, 1), parts.flatten(0, 1)
    waves, sound = (
        flat.new_zeros((len(places), longest), dtype=torch.float32),
        flat.new_zeros((len(places), longest), dtype=torch.bool),
    )
    # One by one a processor computes on no padding, and in its cache; an accelerator wants much at once.
    step, on_cpu = (1, True) if flat.device.type == "cpu" else (AT_ONCE, False)
    for start in range(0, len(places), step):
        rows = slice(start, start + step)
        length = int(places[start, 2]) if on_cpu else longest
        waves[rows, :length], sound[rows, :length] = together(flat, places[rows], parts[rows], length)
    return waves, sound


def together(
    flat: torch.Tensor, places: torch.Tensor, parts: torch.Tensor, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Some views at once, of rows of `described`, padded to `length` samples; see `make`."""
    first, kept, heard, silence, silent, keys = places.unsqueeze(2).unbind(1)
    step = torch.arange(length, device=flat.device)
    sound = step < heard
    # In whole numbers, which are exact: a float32 cannot say between which samples of a long clip a place lies.
    low = (step * (kept - 1)).div(heard - 1, rounding_mode="floor")
    part = (step * (kept - 1) - low * (heard - 1)) / (heard - 1).float()
    low = torch.minimum(low, kept - 1)
    below, above = flat[first + low].float(), flat[first + torch.minimum(low + 1, kept - 1)].float()
    wave = torch.lerp(below, above, part.float()).mul_(sound)
    if flat.dtype == torch.int16:
        wave.mul_(1 / STEPS)
    wave = filtered(wave, parts[:, 1:]).mul_(sound)
    level = (wave.square().sum(1, keepdim=True) / heard).sqrt_().mul_(parts[:, :1])
    wave.add_(normals(keys.squeeze(1), length).mul_(level))
    return wave.mul_(sound & ((step < silence) | (step >= silence + silent))), sound


def filtered(waves: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
    """`waves` `(batch, samples)` through filters `(batch, taps)` whose middle is time 0: what comes out while they sound."""
    samples, taps = waves.shape[1], responses.shape[1]
    size = fast_length(samples + taps, few=waves.device.type != "cpu")
    spectrum = torch.fft.rfft(waves, n=size) * torch.fft.rfft(responses, n=size)
    return torch.fft.irfft(spectrum, n=size)[:, taps // 2 : taps // 2 + samples]


@functools.lru_cache(maxsize=4096)
def fast_length(least: int, few: bool) -> int:
    """The next length that Fourier transforms are fast for; `few`: of a few only, because a GPU makes a plan for each."""
    from scipy.fft import next_fast_len

    if few:
        octave = 1 << max(0, least.bit_length() - 4)
        return next(octave * eighths for eighths in (8, 9, 10, 12, 14, 16) if octave * eighths >= least)
    return int(next_fast_len(least, real=True))


def normalized(waves: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 of every view, and 0 behind its end; as `hf_ssl.modalities.audio.backbones.normalized`."""
    count = sound.sum(1, keepdim=True)
    centered = (waves - waves.sum(1, keepdim=True) / count).mul_(sound)
    return centered / (centered.square().sum(1, keepdim=True) / count + 1e-7).sqrt_()


def example_values(rate: int) -> list[np.ndarray]:
    """A gliding tone and a trembling chord of 0.8 s, mono float32 `(samples,)`."""
    time = np.arange(round(0.8 * rate)) / rate
    glide = 0.4 * np.sin(2 * np.pi * (180 * time + 150 * time**2))
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 330, 1400))
    tremble = 0.15 * (1 + np.sin(2 * np.pi * 5 * time)) / 2 * chord
    return [glide.astype(np.float32), tremble.astype(np.float32)]
