"""Competing convolution kernels as features: of the cheap ways to classify series the best one on the development sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.modalities.timeseries.random_kernels import scaled

if TYPE_CHECKING:
    import torch

GROUPS, KERNELS, LENGTH = 16, 8, 9
"""Groups for each dilation, of the series and of its steps; kernels that compete in a group; their length."""
DILATIONS = 6
BATCH = 128


def hydra_features(series: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """How often, and how strongly, each kernel of a group answers more than the others of it (Hydra, arXiv:2203.13652).

    As there: normal weights with mean 0, groups of 8, half of them on the differences of neighboring steps; per kernel the sum of its
    answers where it is the largest, and the number of steps where it is the smallest; square roots of both. Otherwise than
    there: six dilations, spread from 1 to the longest that fits the series, so that series of all lengths have the same columns, and sums
    are divided by the number of steps. A group reads one channel, drawn at random. Every series has mean 0 and spread 1 per channel first.

    Args:
        series: `(channels, length)` each, NaN where missing; lengths may differ, channels may not.

    Returns:
        float32 `(series, 3072)`; the same for a series whatever others are in the call.
    """
    import torch

    features = np.empty((len(series), DILATIONS * 2 * 2 * GROUPS * KERNELS), np.float32)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for row, item in enumerate(series):
        by_shape.setdefault((item.shape[0], item.shape[1]), []).append(row)
    for rows in by_shape.values():
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            batch = torch.from_numpy(np.stack([scaled(series[row]) for row in part]))
            with torch.inference_mode():
                features[part] = _responses(batch, seed).numpy()
    return features


def _responses(batch: torch.Tensor, seed: int) -> torch.Tensor:
    """`(batch, channels, length)` → `(batch, columns)`."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    steps = batch.diff(dim=2) if batch.shape[2] > 1 else batch
    furthest = max(0.0, float(np.log2(max(1, batch.shape[2] - 1) / (LENGTH - 1))))
    found = []
    for place in range(DILATIONS):
        dilation = round(2 ** (furthest * place / (DILATIONS - 1)))
        for values in (batch, steps):
            weights = torch.randn(GROUPS, KERNELS, 1, LENGTH, generator=generator)
            weights -= weights.mean(-1, keepdim=True)
            weights /= weights.abs().sum(-1, keepdim=True)
            channels = torch.randint(batch.shape[1], (GROUPS,), generator=generator)
            found.append(_competition(values, weights, channels, dilation))
    return torch.cat(found, dim=1)


def _competition(values: torch.Tensor, weights: torch.Tensor, channels: torch.Tensor, dilation: int) -> torch.Tensor:
    """Of all groups of one dilation `(batch, 2 x groups x kernels)`."""
    import torch
    from torch.nn import functional

    sums = torch.zeros(2, len(values), GROUPS, KERNELS)
    for channel in channels.unique().tolist():
        groups = (channels == channel).nonzero()[:, 0]
        kernels = weights[groups].flatten(0, 1)
        answers = functional.conv1d(
            values[:, channel : channel + 1], kernels, dilation=dilation, padding=dilation * (LENGTH // 2)
        ).unflatten(1, (len(groups), KERNELS))
        most, least = answers.max(dim=2), answers.min(dim=2)
        strength = torch.zeros(len(values), len(groups), KERNELS).scatter_add_(2, most.indices, most.values)
        count = torch.zeros_like(strength).scatter_add_(2, least.indices, torch.ones_like(least.values))
        sums[0][:, groups], sums[1][:, groups] = strength, count
    return (sums / values.shape[2]).clamp(min=0).sqrt().transpose(0, 1).flatten(1)
