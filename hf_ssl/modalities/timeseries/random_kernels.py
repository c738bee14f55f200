"""Random convolution kernels as features: the cheap baseline of series classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

KERNELS = 1000


def random_kernel_features(series: Sequence[np.ndarray], kernels: int = KERNELS, seed: int = 0) -> np.ndarray:
    """Share of positive values and maximum of every kernel's response (Rocket, arXiv:1910.13051, section 3).

    Lengths of 7, 9 or 11, normal weights with mean 0, uniform bias, exponentially distributed dilation, padding for half of them;
    each kernel reads one randomly chosen channel. Every series is scaled to mean 0 and spread 1 per channel first.

    A kernel spans the same part of every series: its dilation is scaled to the series' own length. So the features of a
    series depend on nothing but the series, whatever others are in the call.

    Args:
        series: `(channels, length)` each, NaN where missing.

    Returns:
        float32 `(series, 2 x kernels)`.
    """
    import torch

    features = np.empty((len(series), 2 * kernels), np.float32)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for row, item in enumerate(series):
        by_shape.setdefault((item.shape[0], item.shape[1]), []).append(row)
    for (channels, length), rows in by_shape.items():
        drawn = RandomKernels(channels, length, kernels, seed)
        for start in range(0, len(rows), 256):
            part = rows[start : start + 256]
            features[part] = drawn(torch.from_numpy(np.stack([scaled(series[row]) for row in part]))).numpy()
    return features


class RandomKernels:
    """Kernels drawn once, to be applied to many batches.

    Args:
        channels, length: of the series.
        kernels: how many.
        seed: of the draw.
    """

    def __init__(self, channels: int, length: int, kernels: int = KERNELS, seed: int = 0) -> None:
        self.kernels, self.drawn = kernels, _draw(channels, length, kernels, seed)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, length)` → `(batch, 2 x kernels)`: shares of positive responses, then maxima; no gradient."""
        import torch
        from torch.nn import functional

        features = torch.empty(len(batch), 2 * self.kernels)
        with torch.inference_mode():
            for (size, dilation, padding, channel), (places, weight, bias) in self.drawn.items():
                reach = (size - 1) * dilation
                pad = max(reach // 2 if padding else 0, -(-(reach + 1 - batch.shape[2]) // 2))
                response = functional.conv1d(
                    batch[:, channel : channel + 1], weight, bias, padding=pad, dilation=dilation
                )
                features[:, places] = (response > 0).float().mean(dim=2)
                features[:, places + self.kernels] = response.max(dim=2).values
        return features


@dataclass(frozen=True)
class _Kernel:
    size: int
    reach: float  # where the dilation lies between 1 and the longest that fits the series, on a logarithmic scale
    weight: np.ndarray
    padded: bool
    channel: int
    bias: float


@lru_cache(maxsize=8)
def _kernels(channels: int, count: int, seed: int) -> list[_Kernel]:
    """What is drawn of each kernel, whatever the length of a series."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        size, reach = int(rng.choice([7, 9, 11])), float(rng.random())
        weight = rng.normal(size=size)
        padded, channel = bool(rng.integers(2)), int(rng.integers(channels))
        found.append(_Kernel(size, reach, weight - weight.mean(), padded, channel, float(rng.uniform(-1, 1))))
    return found


def _draw(channels: int, length: int, kernels: int, seed: int) -> dict:
    """Kernels grouped by shape, so that each group is one convolution."""
    import torch

    groups: dict[tuple[int, int, bool, int], list[tuple[int, np.ndarray, float]]] = {}
    for place, kernel in enumerate(_kernels(channels, kernels, seed)):
        most = max(0.0, np.log2((length - 1) / (kernel.size - 1))) if length > 1 else 0.0
        # Powers of two, rounded down: as spread as the original's, in few enough shapes to be fast.
        dilation = 2 ** int(kernel.reach * (most + 1e-9))
        key = (kernel.size, dilation, kernel.padded, kernel.channel)
        groups.setdefault(key, []).append((place, kernel.weight, kernel.bias))
    return {
        key: (
            np.array([place for place, _, _ in items]),
            torch.tensor(np.stack([weight for _, weight, _ in items])[:, None], dtype=torch.float32),
            torch.tensor([bias for _, _, bias in items], dtype=torch.float32),
        )
        for key, items in groups.items()
    }


def scaled(item: np.ndarray) -> np.ndarray:
    """One series with mean 0 and spread 1 per channel, 0 where it is missing, float32 `(channels, length)`."""
    from hf_ssl.modalities.timeseries.split import standardize

    loc, scale = standardize(item)
    return np.nan_to_num((item - loc[:, None]) / scale[:, None]).astype(np.float32)
