"""Sounds made from a seed, for tests that need no particular recording."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

RATE = 16_000


def tone(frequency: float, seconds: float, *, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    """A sine, float32 `(samples,)`."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def voice(seed: int, seconds: float, *, rate: int = RATE) -> np.ndarray:
    """Something like a vowel with a noisy onset: harmonics under two formants, float32 `(samples,)`."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch, formants = rng.uniform(90, 220), rng.uniform(300, 2500, size=2)
    harmonics = np.arange(1, 20) * pitch
    gains = sum(np.exp(-(((harmonics - formant) / 250) ** 2)) for formant in formants) + 0.02
    sound = (gains[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(0)
    sound = sound * (0.3 + 0.7 * np.sin(np.pi * time / max(seconds, 1e-3))) + rng.normal(size=len(time)) * np.exp(
        -time / 0.03
    )
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def recordings_folder(folder: Path) -> Path:
    """What the heads say they need: recordings with a class and a transcript each, and a pool."""
    import soundfile

    folder.mkdir()
    number = 0
    for split, count in (("train", 24), ("validation", 8), ("test", 16), ("unlabeled", 40)):
        rows = []
        for _ in range(count):
            path = folder / f"{number}.wav"
            soundfile.write(path, voice(number, 0.2 + 0.01 * number), 16_000)
            rows.append(
                {"path": path.name, "label": "ab"[number % 2], "transcript": f"{'ab'[number % 2]} {number % 3}"}
            )
            number += 1
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["path"] if split == "unlabeled" else list(rows[0]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return folder
