"""Random views of images made of uint8 pictures and of numbers, on any device (`hf_ssl.modalities.deferred`).

All random choices are those of `hf_ssl.modalities.image.views`, so a view is the same wherever it is computed, but for the
rounding of resized pixels. Crops are two matrix products per picture (the weights of an antialiased resize are a matrix for each axis).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from hf_ssl.modalities.image.views import crop_box, mixing, quarters, sigmas, smoothed

if TYPE_CHECKING:
    from hf_ssl.modalities.deferred import Facts
    from hf_ssl.modalities.image.geometry import Geometry
    from hf_ssl.modalities.views import View

_FIXED = 10  # numbers of a view before its color matrix
_AT_ONCE = 64  # pictures, so that their float copies stay small


def facts_of(group: Sequence[View], side: int) -> dict[str, int]:
    """What the views of a group have in common."""
    return {
        "side": side, "reach": max(_reach(view, side) for view in group), "cubic": any(view.cubic for view in group),
        "mix": any(view.mixes for view in group), "solarize": any(view.solarize for view in group),
    }  # fmt: skip


def numbers_of(
    pictures: Sequence[np.ndarray], rngs: Sequence[np.random.Generator], group: Sequence[View], side: int
) -> torch.Tensor:
    """All choices about the views of a group, `(views, pictures, numbers)`; see `described`."""
    channels, height, width = pictures[0].shape
    numbers = [
        described(np.stack([rng.random(16) for rng in rngs]), view, channels, height, width, side) for view in group
    ]
    return torch.from_numpy(np.stack(numbers).astype(np.float32))


def described(draws: np.ndarray, view: View, channels: int, height: int, width: int, side: int) -> np.ndarray:
    """What a view is made by, `(pictures, 10 + channels ** 2)`.

    Place and size of the crop; mirrored, upside down, quarter turns; offset towards the mean, solarized, width of the blur;
    color matrix, row after row.
    """
    boxes = np.array([crop_box(draw, height, width, view) for draw in draws])
    mix, offset = mixing(draws, view, channels) if view.mixes else (np.ones(len(draws)), np.zeros(len(draws)))
    matrix = mix if mix.ndim == 3 else np.eye(channels) * mix[:, None, None]
    columns = (
        draws[:, 4] < view.flip, draws[:, 5] < view.flip_vertical, quarters(draws, view), offset, draws[:, 13] < view.solarize,
        sigmas(draws, view, side),
    )  # fmt: skip
    return np.concatenate([boxes, np.stack(columns, axis=1), matrix.reshape(len(draws), -1)], axis=1)


def render(pictures: torch.Tensor, numbers: torch.Tensor, facts: Facts, shape: Geometry) -> torch.Tensor:
    """Normalized float32 `(views * pictures, channels, side, side)`, as `hf_ssl.modalities.image.views.make` gives them."""
    side = facts["side"]
    views, count, _ = numbers.shape
    out = torch.empty((views, count, pictures.shape[1], side, side), device=pictures.device)
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels = pictures[part].float()
        for view in range(views):
            out[view, part] = _one(pixels, numbers[view, part], facts)
    fitted = shape.for_channels(pictures.shape[1])
    scale = 1 / (255 * fitted.unit)
    for channel, (mean, std) in enumerate(zip(fitted.mean, fitted.std, strict=True)):
        out[:, :, channel].mul_(1 / (scale * std)).sub_(mean / std)
    return out.flatten(0, 1)


def _one(pixels: torch.Tensor, numbers: torch.Tensor, facts: Facts) -> torch.Tensor:
    """One view of each picture, on the scale of 0 to 1."""
    side, reach, cubic = facts["side"], facts["reach"], bool(facts["cubic"])
    top, left, height, width, mirrored, upside_down, turns, offset, solarized, sigma = numbers[:, :_FIXED].unbind(1)
    rows = resize_weights(top, height, side, pixels.shape[2], cubic)
    columns = resize_weights(left, width, side, pixels.shape[3], cubic)
    crops = (rows.unsqueeze(1) @ pixels @ columns.unsqueeze(1).mT).round_().clamp_(0, 255)

    def where(chosen: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.where(chosen.view(-1, 1, 1, 1), one, other)

    crops = where(mirrored > 0, crops.flip(3), crops)
    crops = where(upside_down > 0, crops.flip(2), crops)
    for count in (1, 2, 3):
        crops = where(turns == count, crops.rot90(count, (2, 3)), crops)
    crops = crops.mul_(1 / 255)
    if facts["mix"]:
        channels = crops.shape[1]
        means = crops.mean((2, 3))
        # As numbers: a tensor of them would have to be brought to the device.
        luma = 0.299 * means[:, 0] + 0.587 * means[:, 1] + 0.114 * means[:, 2] if channels == 3 else means.mean(1)
        mix = numbers[:, _FIXED:].view(-1, channels, channels)
        crops = (mix @ crops.flatten(2)).view_as(crops).add_((offset * luma).view(-1, 1, 1, 1)).clamp_(0, 1)
    if reach:
        weights = torch.exp(-0.5 * (torch.arange(reach + 1, device=sigma.device) / sigma.unsqueeze(1)) ** 2)
        crops = smoothed(smoothed(crops, weights, 2), weights, 3)
    if facts["solarize"]:
        crops = where(solarized > 0, torch.where(crops >= 0.5, 1 - crops, crops), crops)
    return crops


def resize_weights(first: torch.Tensor, length: torch.Tensor, side: int, size: int, cubic: bool) -> torch.Tensor:
    """Weights of an antialiased resize of `length` pixels from `first` on to `side` pixels, `(pictures, side, size)`.

    A triangle, or Keys' cubic with -0.5 as in Pillow, stretched where pixels become fewer.
    """
    stretch = (length / side).clamp(min=1)[:, None, None]
    place = torch.arange(side, device=first.device) + 0.5
    center = first[:, None] + (length / side)[:, None] * place
    pixel = torch.arange(size, device=first.device)
    away = ((pixel + 0.5 - center.unsqueeze(2)) / stretch).abs()
    if cubic:
        near, far = (1.5 * away - 2.5) * away * away + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2
        weights = torch.where(away < 1, near, torch.where(away < 2, far, 0.0))
    else:
        weights = (1 - away).clamp(min=0)
    within = (pixel >= first[:, None]) & (pixel < (first + length)[:, None])
    weights = weights * within.unsqueeze(1)
    return weights / weights.sum(2, keepdim=True)


def _reach(view: View, side: int) -> int:
    """Pixels on either side that a blur takes in at most; 0 where nothing is blurred."""
    high = view.sigma[1] * side / 224
    return min(side - 1, math.ceil(4 * high)) if view.blur and high >= 0.4 else 0
