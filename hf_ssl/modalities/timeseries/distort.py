"""Random views of series: a crop, brought to full length, and what disturbs it.

Choices are drawn on the host (`described`), views are made of them on any device (`make`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from hf_ssl.modalities.rng import device_keys, normals

KNOTS = 6  # times at which a gain that changes slowly is drawn


class Distortions(Protocol):
    """How far views go: the names that `ts-contrastive` has among its options."""

    crop: float
    stretch: float
    mask_ratio: float
    noise: float
    warp: float
    sign_flip: bool


@dataclass
class Mild:
    """Views that leave level, direction and shape of a series as they are."""

    crop: float = 0.5
    stretch: float = 0.0
    mask_ratio: float = 0.2
    noise: float = 0.1
    warp: float = 0.0
    sign_flip: bool = False


def described(
    windows: np.ndarray, how: Distortions, rngs: Sequence[np.random.Generator], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """All choices about `count` views of every window, each from the window's own generator.

    Args:
        windows: `(windows, context, channels)` in spreads of the series, NaN where missing.
        how: how far views go.

    Returns:
        int64 `(views, windows, 5)`: first step and length of the crop, where in it the view begins, whether it is stretched,
        key of the noise; float32 `(views, windows, 7 + spans)`: gain at six times, spread of the noise, and 1 for each
        span that is hidden.
    """
    context = windows.shape[1]
    begins = np.argmax(~np.isnan(windows).all(axis=2), axis=1)  # a shorter series comes after missing steps
    lengths, spans = context - begins, -(-context // span_of(context))
    places, parts = [], []
    for _ in range(count):
        drawn = np.stack([rng.random(7 + spans) for rng in rngs])
        share, place, stretch, shift, flip, loud, most = drawn[:, :7].T
        kept = np.rint(lengths * (how.crop + share * (1 - how.crop))).astype(np.int64)
        kept = np.maximum(np.minimum(lengths, 4), kept)
        first = begins + (place * (lengths - kept + 1)).astype(np.int64)
        shifts, stretched = (shift * 2 * kept).astype(np.int64), (stretch < how.stretch).astype(np.int64)
        places.append(np.stack([first, kept, shifts, stretched, device_keys(rngs)], axis=1))
        gains = (
            np.stack([rng.normal(1.0, how.warp, KNOTS) for rng in rngs]) if how.warp else np.ones((len(rngs), KNOTS))
        )
        gains *= np.where(flip < 0.5 * how.sign_flip, -1.0, 1.0)[:, None]
        hidden = drawn[:, 7:] < (most * how.mask_ratio)[:, None]
        hidden &= ~hidden.all(axis=1, keepdims=True)
        parts.append(np.concatenate([gains, (loud * how.noise)[:, None], hidden], axis=1))
    return np.stack(places), np.stack(parts).astype(np.float32)


def span_of(context: int) -> int:
    """Steps that are hidden together."""
    return max(1, context // 20)


def make(windows: torch.Tensor, places: torch.Tensor, parts: torch.Tensor, stretching: bool = True) -> torch.Tensor:
    """Views as `described` says, float32 `(views * windows, context, channels)`, NaN where missing or hidden.

    A crop is brought to full length by reflecting it at its ends, or by linear interpolation (what lies beside a missing
    value is missing then).

    Args:
        windows: float32 `(windows, context, channels)`.
        places, parts: see `described`.
        stretching: whether any crop is interpolated.
    """
    count, context, channels = windows.shape
    views, step = len(places), torch.arange(context, device=windows.device)
    first, kept, shift, stretched, keys = places.flatten(0, 1).unsqueeze(2).unbind(1)
    last = (kept - 1).clamp(min=1)  # of a crop of one step there is no second one to go to
    back = (step + shift) % (2 * last)
    back = torch.minimum(back, 2 * last - back)
    row = torch.arange(count, device=windows.device).repeat(views).unsqueeze(1)
    seen = windows[row, first + torch.minimum(back, kept - 1)]
    if stretching:
        low = torch.minimum(
            (step * (kept - 1)).div(max(1, context - 1), rounding_mode="floor"), (kept - 2).clamp(min=0)
        )
        share = (step * (kept - 1) - low * (context - 1)) / float(max(1, context - 1))
        below, above = windows[row, first + low], windows[row, first + torch.minimum(low + 1, kept - 1)]
        seen = torch.where((stretched > 0).unsqueeze(2), torch.lerp(below, above, share.unsqueeze(2)), seen)
    numbers = parts.flatten(0, 1)
    seen = seen * _smooth(numbers[:, :KNOTS], context).unsqueeze(2)
    noise = normals(keys.squeeze(1), context * channels).view(-1, context, channels)
    seen = seen + numbers[:, KNOTS, None, None] * noise
    hidden = numbers[:, KNOTS + 1 :][:, step // span_of(context)] > 0
    return seen.masked_fill(hidden.unsqueeze(2), torch.nan)


def _smooth(knots: torch.Tensor, steps: int) -> torch.Tensor:
    """`(rows, knots)` at `steps` evenly spaced places, with straight lines between them."""
    step, last = torch.arange(steps, device=knots.device), max(1, steps - 1)
    low = (step * (KNOTS - 1)).div(last, rounding_mode="floor").clamp(max=KNOTS - 2)
    return torch.lerp(knots[:, low], knots[:, low + 1], (step * (KNOTS - 1) - low * last) / float(last))


def filled(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `hf_ssl.modalities.timeseries.windows.fill`: the observed mean where something is missing, and what was observed."""
    seen = ~values.isnan()
    mean = values.nan_to_num(0.0).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
    return torch.where(seen, values, mean), seen
