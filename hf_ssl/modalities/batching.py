"""Orders of rows in which neighbors cost about the same, so that batches have little to pad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass


def by_length(lengths: np.ndarray, block: int, rng: np.random.Generator, jitter: float = 0.1) -> np.ndarray:
    """A random order of rows in which blocks of neighbors are about equally long: sorted with some jitter, blocks
    shuffled.

    Args:
        lengths: `(rows,)`, of any unit.
        block: neighbors in length that stay together; a batch of so many, or of a divisor, holds rows of like length.
        rng: makes the order.
        jitter: by so much a length may be off when they are sorted; more of it mixes blocks more from epoch to epoch.

    Returns:
        row numbers `(rows,)`; what does not fill a block is last.
    """
    order = np.argsort(lengths * rng.uniform(1 - jitter, 1 + jitter, len(lengths)), kind="stable")
    blocks = [rng.permutation(order[start : start + block]) for start in range(0, len(order), block)]
    # A short last block in the middle would shift all later batches across block borders.
    shuffled = [blocks[i] for i in rng.permutation(len(blocks) - 1)] + blocks[-1:] if blocks else []
    return np.concatenate(shuffled) if shuffled else order


def batches_by_size(
    sizes: Sequence[int], budget: int, max_rows: int = 256, evenness: float = 0.8
) -> Iterator[list[int]]:
    """Group row numbers, longest first, so that rows x longest size stays within the budget (at least one row).

    A batch that has an eighth of the budget ends early rather than take a row below `evenness` of its longest: a large
    batch is hardly faster than a middling one, and padding is pure loss.
    """
    order = np.argsort(np.asarray(sizes), kind="stable")[::-1].tolist()
    start = 0
    while start < len(order):
        longest = max(1, int(sizes[order[start]]))
        count = min(max_rows, max(1, budget // longest), len(order) - start)
        for taken in range(max(1, budget // 8 // longest), count):
            if sizes[order[start + taken]] < evenness * longest:
                count = taken
                break
        yield order[start : start + count]
        start += count
