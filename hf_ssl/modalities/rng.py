"""Randomness keyed on what it is for, so that nothing depends on the order of the work, on batches, or on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# Weyl increment and multipliers of SplitMix64 (Steele et al. 2014), as signed 64-bit numbers.
_GOLDEN, _FIRST, _SECOND = (
    value - (1 << 64) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_BITS = 24  # that a float32 between 0 and 1 holds evenly


def example_rng(seed: int, epoch: int, example: int | str) -> np.random.Generator:
    """Random numbers that depend on (seed, epoch, example) and on nothing else.

    Masks and views drawn from it are the same whatever the number of workers or ranks, after a resume, and in whatever
    order the examples come. Philox is counter-based: a new generator costs microseconds (Salmon et al. 2011).
    """
    digest = hashlib.blake2b(f"{seed}/{epoch}/{example}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def device_keys(rngs: Sequence[np.random.Generator]) -> np.ndarray:
    """A key for `normals` from the generator of every example, int64 `(examples,)`."""
    return np.array([rng.integers(1 << 63) for rng in rngs], dtype=np.int64)


def normals(keys: torch.Tensor, count: int) -> torch.Tensor:
    """Standard normal numbers that are the same on every device, within float32's rounding.

    Number `i` of a row depends on the row's key and on `i` alone. Bits are those of SplitMix64, whose state is a counter (passes
    BigCrush); every 64 of them become two numbers by Box and Muller's formula.

    Args:
        keys: int64 `(rows,)`, see `device_keys`.
        count: numbers of a row.

    Returns:
        float32 `(rows, count)`.
    """
    import torch

    pairs = -(-count // 2)
    steps = torch.arange(1, pairs + 1, device=keys.device) * _GOLDEN
    bits = keys.unsqueeze(1) + steps
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        bits.bitwise_xor_(_shifted(bits, shift)).mul_(factor)
    bits.bitwise_xor_(_shifted(bits, 31))
    scale, mask = 2.0**-_BITS, (1 << _BITS) - 1
    radius = (_shifted(bits, 64 - _BITS).to(torch.float32) + 1).mul_(scale).log_().mul_(-2).sqrt_()
    angle = bits.bitwise_and_(mask).to(torch.float32).mul_(2 * np.pi * scale)
    return torch.stack([angle.cos().mul_(radius), angle.sin_().mul_(radius)], dim=2).flatten(1)[:, :count]


def _shifted(bits: torch.Tensor, places: int) -> torch.Tensor:
    """To the right, zeros come in from the left (torch's own shift repeats the sign)."""
    return (bits >> places).bitwise_and_((1 << (64 - places)) - 1)
