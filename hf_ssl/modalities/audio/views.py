"""Random views of a clip: another part of it, another speed, another room and microphone, the same content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_ssl.core.errors import ConfigError

QUIETEST_NOISE_DB = 40.0
GAIN_DB = 9.0
BANDS = 8


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


def view(wave: np.ndarray, rate: int, rng: np.random.Generator, how: Views) -> np.ndarray:
    """One random view, float32 `(samples,)`.

    Args:
        wave: mono samples.
        rate: samples per second.
        rng: makes all choices.
        how: their limits.
    """
    wave = speed(crop(wave, rng, how.share), rng.uniform(1 - how.speed, 1 + how.speed))
    wave = noise(color(wave, rate, rng), rng.uniform(how.noise, max(how.noise, QUIETEST_NOISE_DB)), rng)
    return gap(wave, rng, how.gap) if rng.random() < 0.5 else wave


def crop(wave: np.ndarray, rng: np.random.Generator, shortest: float) -> np.ndarray:
    """A random part, at least `shortest` of the whole."""
    length = max(1, round(len(wave) * rng.uniform(shortest, 1.0)))
    start = int(rng.integers(len(wave) - length + 1))
    return wave[start : start + length]


def speed(wave: np.ndarray, factor: float) -> np.ndarray:
    """Faster and higher (`factor` above 1), or slower and lower, as a tape would be (Ko et al. 2015)."""
    length = max(2, round(len(wave) / factor))
    return np.interp(np.linspace(0, len(wave) - 1, length), np.arange(len(wave)), wave).astype(np.float32)


def color(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A random smooth equalizer: gains of up to `GAIN_DB` at frequencies that are evenly spaced to the ear."""
    spectrum = np.fft.rfft(wave)
    mels = 2595 * np.log10(1 + np.linspace(0, rate / 2, len(spectrum)) / 700)  # O'Shaughnessy's formula
    knots = np.linspace(0, mels[-1], BANDS)
    decibels = np.interp(mels, knots, rng.uniform(-GAIN_DB, GAIN_DB, BANDS))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), n=len(wave)).astype(np.float32)


def noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White noise, `snr_db` below the clip."""
    level = np.sqrt(np.square(wave, dtype=np.float64).mean()) * 10 ** (-snr_db / 20)
    return (wave + level * rng.standard_normal(len(wave), dtype=np.float32)).astype(np.float32)


def gap(wave: np.ndarray, rng: np.random.Generator, longest: float) -> np.ndarray:
    """Silence somewhere, up to the share `longest` of the clip."""
    length = int(rng.uniform(0, longest) * len(wave))
    start = int(rng.integers(len(wave) - length + 1))
    holed = wave.copy()
    holed[start : start + length] = 0.0
    return holed


def example_values(rate: int) -> list[np.ndarray]:
    """A gliding tone and a trembling chord of 0.8 s, mono float32 `(samples,)`."""
    time = np.arange(round(0.8 * rate)) / rate
    glide = 0.4 * np.sin(2 * np.pi * (180 * time + 150 * time**2))
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220, 330, 1400))
    tremble = 0.15 * (1 + np.sin(2 * np.pi * 5 * time)) / 2 * chord
    return [glide.astype(np.float32), tremble.astype(np.float32)]
