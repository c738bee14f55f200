"""Random views of images: an objective's plan fitted to the kind of picture, and how a batch of views is made.

Every parameter is drawn per image from a generator that depends on (seed, epoch, image), and applied to the whole batch
at once: crops through the uint8 resize kernel behind `torchvision.transforms.v2`, all color changes of an image as one
3 x 4 matrix, blur as a few weighted shifts, flips and turns by index.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.modalities.views import View, ViewPlan

if TYPE_CHECKING:
    import torch

    from hf_ssl.modalities.image.geometry import Geometry

DOMAINS = ("natural", "medical", "satellite")


def fitted(
    plan: ViewPlan,
    domain: str,
    channels: int,
    *,
    crop_scale: Sequence[float] | None = None,
    color: float | None = None,
    blur: bool | None = None,
    local_views: int | None = None,
) -> tuple[tuple[View, ...], ...]:
    """The views of an objective, fitted to the kind of picture.

    - `medical`: no color, gray, solarize (intensity means something), and crops no smaller than a fifth.
    - `satellite`: no up or down: vertical mirror images and quarter turns too.
    - other than 3 channels: what mixes colors (saturation, hue, gray, solarize) is left out; brightness and contrast
      stay.

    Args:
        plan: of the objective.
        domain: one of `DOMAINS`.
        channels: of the model's input.
        crop_scale: area share of the (global) crops instead of the method's.
        color: multiplies the method's color strengths; 0 switches color, gray and solarize off.
        blur: False switches blur off.
        local_views: number of small crops, where the method has them.

    Raises:
        ConfigError: an unknown name, or color asked for where it has no meaning.
    """
    if domain not in DOMAINS:
        raise ConfigError(f"domain is one of {', '.join(DOMAINS)}, not {domain!r}.{nearest(domain, DOMAINS)}")
    if color and domain == "medical":
        raise ConfigError("domain=medical switches color changes off; take --color away, or another domain.")
    if color and channels not in (1, 3):
        raise ConfigError(f"Color changes are defined for RGB and gray; the model takes {channels} channels.")
    groups: tuple[tuple[View, ...], ...] = plan
    if local_views is not None:
        groups = (groups[0], groups[1][:1] * local_views) if len(groups) > 1 and local_views else groups[:1]
    return tuple(tuple(_fitted(view, domain, channels, crop_scale, color, blur) for view in group) for group in groups)


def _fitted(
    view: View, domain: str, channels: int, crop_scale: Sequence[float] | None, color: float | None, blur: bool | None
) -> View:
    if domain == "medical":
        low, high = view.scale
        view = replace(view, color=(0.0,) * 4, gray=0.0, solarize=0.0)
        if view.size == 1:
            view = replace(view, scale=(max(low, 0.2), high))
    if domain == "satellite":
        view = replace(view, flip_vertical=0.5, turn=0.75)
    if color is not None:
        brightness, contrast, saturation, hue = (color * value for value in view.color)
        strength = (min(brightness, 1.0), min(contrast, 1.0), min(saturation, 1.0), min(hue, 0.5))
        view = replace(view, color=strength, gray=view.gray * (color > 0), solarize=view.solarize * (color > 0))
    if channels != 3:
        view = replace(view, color=(*view.color[:2], 0.0, 0.0), gray=0.0, solarize=0.0)
    if crop_scale is not None and view.size == 1:
        view = replace(view, scale=(float(crop_scale[0]), float(crop_scale[1])))
    return replace(view, blur=0.0) if blur is False else view


def make(
    pictures: Sequence[np.ndarray],
    rngs: Sequence[np.random.Generator],
    views: Sequence[View],
    shape: Geometry,
    side: int,
) -> torch.Tensor:
    """Draw views.

    Args:
        pictures: uint8 `(channels, height, width)` each.
        rngs: one generator per picture; all its views are drawn from it, one after the other.
        views: all of one shape.
        shape: mean, spread and unit of the model's input.
        side: length of the views in pixels.

    Returns:
        Normalized float32 `(len(views) * len(pictures), channels, side, side)`, all first views, then all second ones.
    """
    import torch

    count = len(pictures)
    made = torch.empty((len(views) * count, pictures[0].shape[0], side, side))
    # Fresh memory for every step would cost as much as the crops.
    spare = torch.empty_like(made[: count if any(view.mixes for view in views) else 0])
    with torch.autocast("cpu", enabled=False):  # the views are the same whatever precision the model runs in
        for number, view in enumerate(views):
            _one(pictures, rngs, view, shape, made[number * count : (number + 1) * count], spare)
    return made


def _one(
    pictures: Sequence[np.ndarray], rngs: Sequence[np.random.Generator], view: View, shape: Geometry, out: torch.Tensor,
    spare: torch.Tensor,
) -> None:  # fmt: skip
    """Fill `out` `(pictures, channels, side, side)`; colors are mixed from `spare`, of the same shape, into it."""
    import torch
    from torch.nn import functional

    side = out.shape[-1]
    draws = np.stack([rng.random(16) for rng in rngs])
    channels = pictures[0].shape[0]
    # The kernel for channels-last uint8 is several times faster for 3 channels, and what it gives is copied as it lies.
    order = torch.channels_last if channels == 3 else torch.contiguous_format
    crops = torch.empty((len(pictures), channels, side, side), dtype=torch.uint8, memory_format=order)
    mode = "bicubic" if view.cubic else "bilinear"
    for row, (picture, draw) in enumerate(zip(pictures, draws, strict=True)):
        top, left, height, width = crop_box(draw, picture.shape[1], picture.shape[2], view)
        piece = torch.from_numpy(picture[:, top : top + height, left : left + width]).unsqueeze(0)
        if (height, width) != (side, side):
            piece = functional.interpolate(
                piece.contiguous(memory_format=order), (side, side), mode=mode, antialias=True
            )
        crops[row] = piece[0]
    crops = _turned(crops, draws, view)
    plain = (spare if view.mixes else out).copy_(crops).mul_(1 / 255)
    if view.mixes:
        _colored(plain, draws, view, out)
    _blurred(out, draws, view, side)
    if view.solarize:
        chosen = torch.from_numpy(draws[:, 13] < view.solarize).view(-1, 1, 1, 1)
        out.copy_(torch.where(chosen & (out >= 0.5), 1 - out, out))
    normalized(out, shape)


def normalized(batch: torch.Tensor, shape: Geometry) -> torch.Tensor:
    """Pixels on the scale of 0 to 1 to the model's input."""
    fitted = shape.for_channels(batch.shape[1])
    scale = 1 / (255 * fitted.unit)
    mean, std = (batch.new_tensor(values).mul_(scale).view(-1, 1, 1) for values in (fitted.mean, fitted.std))
    return batch.mul_(1 / std).add_(-mean / std)


def denormalized(batch: torch.Tensor, shape: Geometry) -> torch.Tensor:
    """The inverse of `normalized`."""
    fitted = shape.for_channels(batch.shape[1])
    scale = 1 / (255 * fitted.unit)
    mean, std = (batch.new_tensor(values).mul_(scale).view(-1, 1, 1) for values in (fitted.mean, fitted.std))
    return batch * std + mean


def crop_box(draw: np.ndarray, height: int, width: int, view: View) -> tuple[int, int, int, int]:
    """Random area and aspect ratio, clipped to the picture instead of drawn again: always one draw per number."""
    area = height * width * (view.scale[0] + draw[0] * (view.scale[1] - view.scale[0]))
    low, high = math.log(view.ratio[0]), math.log(view.ratio[1])
    ratio = math.exp(low + draw[1] * (high - low))
    rows = min(height, max(1, round(math.sqrt(area / ratio))))
    columns = min(width, max(1, round(math.sqrt(area * ratio))))
    return int(draw[2] * (height - rows + 1)), int(draw[3] * (width - columns + 1)), rows, columns


def _turned(crops: torch.Tensor, draws: np.ndarray, view: View) -> torch.Tensor:
    import torch

    for probability, column, dim in ((view.flip, 4, 3), (view.flip_vertical, 5, 2)):
        for row in np.flatnonzero(draws[:, column] < probability).tolist():  # four times as fast as an index of rows
            crops[row] = crops[row].flip(dim - 1)
    if view.turn:
        turns = quarters(draws, view)
        for count in (1, 2, 3):
            chosen = torch.from_numpy(np.flatnonzero(turns == count))
            if len(chosen):
                crops[chosen] = torch.rot90(crops[chosen], count, (2, 3))
    return crops


def quarters(draws: np.ndarray, view: View) -> np.ndarray:
    """Quarter turns of every picture."""
    return np.where(draws[:, 6] < view.turn, 1 + (draws[:, 7] * 3).astype(int), 0)


def sigmas(draws: np.ndarray, view: View, side: int) -> np.ndarray:
    """Width of every picture's blur in pixels; next to nothing where it is not blurred."""
    if not view.blur:
        return np.full(len(draws), 1e-3)
    low, high = (edge * side / 224 for edge in view.sigma)
    # The draw that chooses a picture is uniform below `blur`; rescaled, it says how strongly.
    return np.where(draws[:, 15] < view.blur, np.maximum(low + (high - low) * draws[:, 15] / view.blur, 1e-3), 1e-3)


# Luma and the two color axes of YIQ: turning the color axes changes hue, stretching them saturation.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def mixing(draws: np.ndarray, view: View, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Brightness, contrast, saturation, hue and gray of every picture.

    Returns:
        what its channels are multiplied by, `(pictures, 3, 3)`, or `(pictures,)` for other than 3 channels; and what of its
        mean luma is added.
    """
    brightness, contrast, saturation, hue = view.color
    jittered = draws[:, 8] < view.color_chance

    def factor(column: int, strength: float) -> np.ndarray:
        return np.where(jittered, 1 - strength + 2 * strength * draws[:, column], 1.0)

    gain, spread = factor(9, brightness), factor(10, contrast)
    # Contrast moves values towards the picture's mean luma (after the brightness change).
    mix, offset = gain * spread, (1 - spread) * gain
    if channels == 3:
        stretch = np.where(draws[:, 14] < view.gray, 0.0, factor(11, saturation))
        angle = np.where(jittered, 2 * np.pi * hue * (2 * draws[:, 12] - 1), 0.0)
        turn = np.zeros((len(draws), 3, 3))
        turn[:, 0, 0] = 1
        turn[:, 1, 1] = turn[:, 2, 2] = stretch * np.cos(angle)
        turn[:, 1, 2], turn[:, 2, 1] = -stretch * np.sin(angle), stretch * np.sin(angle)
        mix = (_FROM_YIQ @ turn @ _TO_YIQ) * mix[:, None, None]
    return mix, offset


def _colored(batch: torch.Tensor, draws: np.ndarray, view: View, out: torch.Tensor) -> torch.Tensor:
    """All color changes of every picture as one matrix and one offset, from `batch` to `out`."""
    import torch

    mix, offset = mixing(draws, view, batch.shape[1])
    if mix.ndim == 3:
        luma = batch.mean(dim=(2, 3)) @ torch.tensor(_TO_YIQ[0], dtype=batch.dtype)
        matrix = torch.tensor(mix, dtype=batch.dtype)
        torch.bmm(matrix, batch.flatten(2), out=out.view(*out.shape[:2], -1))
    else:
        luma = batch.mean(dim=(1, 2, 3))
        torch.mul(batch, torch.tensor(mix, dtype=batch.dtype).view(-1, 1, 1, 1), out=out)
    return out.add_((torch.tensor(offset, dtype=batch.dtype) * luma).view(-1, 1, 1, 1)).clamp_(0, 1)


def _blurred(batch: torch.Tensor, draws: np.ndarray, view: View, side: int) -> torch.Tensor:
    """In place: Gaussian blur of the chosen pictures, each with its own width; beyond four widths the weights are left out."""
    import torch

    chosen = np.flatnonzero(draws[:, 15] < view.blur)
    if (
        not view.blur or not len(chosen) or view.sigma[1] * side / 224 < 0.4
    ):  # narrower than that, a Gaussian is a single pixel
        return batch
    sigma = torch.tensor(sigmas(draws[chosen], view, side), dtype=batch.dtype).clamp(min=1e-3)
    reach = min(side - 1, math.ceil(4 * float(sigma.max())))
    weights = torch.exp(-0.5 * (torch.arange(reach + 1) / sigma.view(-1, 1)) ** 2)
    rows = torch.from_numpy(chosen)
    batch[rows] = smoothed(smoothed(batch[rows], weights, 2), weights, 3)
    return batch


def smoothed(pictures: torch.Tensor, weights: torch.Tensor, dim: int) -> torch.Tensor:
    """Weighted means along one axis.

    Args:
        pictures: `(n, channels, height, width)`.
        weights: `(n, reach + 1)`, of what lies 0, 1, 2, … pixels away on both sides. What would lie outside does not count.
        dim: 2 or 3.
    """
    import torch

    side, reach = pictures.shape[dim], weights.shape[1] - 1
    center, *others = weights.view(len(weights), 1, 1, 1, -1).unbind(-1)
    total = pictures * center
    for step, weight in enumerate(others, 1):
        near, far = (pictures.narrow(dim, start, side - step) for start in (0, step))
        total.narrow(dim, step, side - step).addcmul_(near, weight)
        total.narrow(dim, 0, side - step).addcmul_(far, weight)
    within = weights.cumsum(1)[
        :, torch.arange(side, device=weights.device).clamp(max=reach)
    ]  # of the center and all on one side
    share = (within + within.flip(1) - weights[:, :1]).view(-1, 1, 1, side)
    return total.div_(share if dim == 3 else share.transpose(2, 3))
