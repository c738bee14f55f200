"""The part of the unlabeled pool that fine-tuning learns from, and what the frozen checkpoint makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import datasets

POOL_WEIGHT = 0.3
"""Weight of a pool example against a labeled one while the network is trained."""

Read = Callable[["datasets.Dataset"], dict[str, np.ndarray]]


class Pool:
    """Unlabeled examples, each read by the frozen checkpoint once for many fits.

    Args:
        dataset: pool examples, with ids.
    """

    def __init__(self, dataset: datasets.Dataset) -> None:
        self.dataset = dataset
        self._known: dict[str, dict[str, np.ndarray]] = {}

    def without(self, ids: Sequence[str]) -> datasets.Dataset:
        """The pool without examples that have a label of their own."""
        labeled = set(ids)
        keep = [row for row, name in enumerate(self.dataset["id"]) if name not in labeled]
        return self.dataset.select(keep)

    def read(self, examples: datasets.Dataset, read: Read, keep: bool = True) -> dict[str, np.ndarray]:
        """Vectors of pool examples, by reading, `(len(examples), width)` each.

        Args:
            examples: of the pool.
            read: computes them.
            keep: use and keep those of earlier calls: the readings depend on the checkpoint alone.
        """
        if not keep:
            return read(examples)
        ids = list(examples["id"])
        new = [row for row, name in enumerate(ids) if name not in self._known]
        if new:
            found = read(examples.select(new))
            for place, row in enumerate(new):
                self._known[ids[row]] = {name: rows[place] for name, rows in found.items()}
        return {name: np.stack([self._known[one][name] for one in ids]) for name in self._known[ids[0]]}
