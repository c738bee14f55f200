"""Random views of a clip: another part of it, another speed, another room and microphone, the same content."""

from __future__ import annotations

import numpy as np

SPEEDS = (0.9, 1.1)
SNR_DB = (5.0, 40.0)
GAIN_DB = 9.0
BANDS = 8
GAP_SHARE = 0.2


def view(wave: np.ndarray, rate: int, rng: np.random.Generator, shortest: float) -> np.ndarray:
    """One random view, float32 `(samples,)`.

    Args:
        wave: mono samples.
        rate: samples per second.
        rng: makes all choices.
        shortest: smallest share of the clip that a view may be.
    """
    wave = speed(crop(wave, rng, shortest), rng.uniform(*SPEEDS))
    wave = noise(colour(wave, rate, rng), rng.uniform(*SNR_DB), rng)
    return gap(wave, rng) if rng.random() < 0.5 else wave


def crop(wave: np.ndarray, rng: np.random.Generator, shortest: float) -> np.ndarray:
    """A random part, at least `shortest` of the whole."""
    length = max(1, round(len(wave) * rng.uniform(shortest, 1.0)))
    start = int(rng.integers(len(wave) - length + 1))
    return wave[start : start + length]


def speed(wave: np.ndarray, factor: float) -> np.ndarray:
    """Faster and higher (`factor` above 1), or slower and lower, as a tape would be (Ko et al. 2015)."""
    length = max(2, round(len(wave) / factor))
    return np.interp(np.linspace(0, len(wave) - 1, length), np.arange(len(wave)), wave).astype(np.float32)


def colour(wave: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A random smooth equaliser: gains of up to `GAIN_DB` at frequencies that are evenly spaced to the ear."""
    spectrum = np.fft.rfft(wave)
    mels = 2595 * np.log10(1 + np.linspace(0, rate / 2, len(spectrum)) / 700)  # O'Shaughnessy's formula
    knots = np.linspace(0, mels[-1], BANDS)
    decibels = np.interp(mels, knots, rng.uniform(-GAIN_DB, GAIN_DB, BANDS))
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), n=len(wave)).astype(np.float32)


def noise(wave: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """White noise, `snr_db` below the clip."""
    level = np.sqrt(np.square(wave, dtype=np.float64).mean()) * 10 ** (-snr_db / 20)
    return (wave + level * rng.standard_normal(len(wave), dtype=np.float32)).astype(np.float32)


def gap(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Silence somewhere, up to `GAP_SHARE` of the clip."""
    length = int(rng.uniform(0, GAP_SHARE) * len(wave))
    start = int(rng.integers(len(wave) - length + 1))
    holed = wave.copy()
    holed[start : start + length] = 0.0
    return holed
