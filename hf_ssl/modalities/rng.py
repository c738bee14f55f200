"""Randomness keyed on what it is for, so that nothing depends on the order of the work."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass


def example_rng(seed: int, epoch: int, example: int | str) -> np.random.Generator:
    """Random numbers that depend on (seed, epoch, example) and on nothing else.

    Masks and views drawn from it are the same whatever the number of workers or ranks, after a resume, and in whatever
    order the examples come. Philox is counter-based: a new generator costs microseconds (Salmon et al. 2011).
    """
    digest = hashlib.blake2b(f"{seed}/{epoch}/{example}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
