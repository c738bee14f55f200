"""Orders of rows in which neighbors cost about the same, so that batches have little to pad; and places in a batch.

Places are made where a batch is: an index by a mask has a shape that only the device knows, and a GPU's host waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch


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

    A batch that has a 24th of the budget (a few hundred tokens) ends early rather than take a row below `evenness` of its
    longest: a large batch is hardly faster than a middling one, and padding is pure loss.
    """
    order = np.argsort(np.asarray(sizes), kind="stable")[::-1].tolist()
    start = 0
    while start < len(order):
        longest = max(1, int(sizes[order[start]]))
        count = min(max_rows, max(1, budget // longest), len(order) - start)
        for taken in range(max(1, budget // 24 // longest), count):
            if sizes[order[start + taken]] < evenness * longest:
                count = taken
                break
        yield order[start : start + count]
        start += count


def places_of(mask: np.ndarray) -> torch.Tensor:
    """Where a mask `(batch, length)` is true, as places `(true ones,)` of the flat batch."""
    return torch.from_numpy(np.flatnonzero(mask))


def brought(constant: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    """A constant on a device. Keep what comes back: a GPU's host waits for each such copy."""
    with torch.inference_mode(False):  # asked for first in an evaluation, it must still do for a gradient
        return constant.to(device)


def taken(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Entries `(places, …)` of `(batch, length, …)`."""
    return values.flatten(0, 1)[places]


@dataclass(frozen=True)
class Asked:
    """Positions of a batch that something is predicted from, as a grid `(rows, most of a row)`.

    Args:
        columns: `(rows, most)`, their places within each row; -1 fills rows that have fewer.
        kept: `(positions,)`, those of the flat grid that are computed: the real ones, or, where shapes are to stay the same
            from batch to batch, all.
    """

    columns: torch.Tensor
    kept: torch.Tensor

    @classmethod
    def of(cls, wanted: np.ndarray, fixed: bool = False) -> Asked:
        """From a bool array `(rows, length)`; `fixed`: widths are multiples of 16, and all is kept."""
        counts = wanted.sum(1)
        most = max(1, int(counts.max(initial=0)))
        columns = np.full((len(wanted), -(-most // 16) * 16 if fixed else most), -1, dtype=np.int64)
        real = np.arange(columns.shape[1]) < counts[:, None]
        columns[real] = wanted.nonzero()[1]
        kept = np.arange(columns.size) if fixed else np.flatnonzero(real)
        return cls(torch.from_numpy(columns), torch.from_numpy(kept))

    @property
    def grid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Row and column of every place of the grid; what fills it is the first of its row."""
        rows = torch.arange(len(self.columns), device=self.columns.device).unsqueeze(1)
        return rows.expand_as(self.columns), self.columns.clamp(min=0)

    def taken(self, values: torch.Tensor) -> torch.Tensor:
        """Entries `(positions, …)` of `(rows, length, …)`."""
        rows, columns = (place.flatten()[self.kept] for place in self.grid)
        return values[rows, columns]

    @property
    def real(self) -> torch.Tensor:
        """Which positions are asked for, bool `(positions,)`; the others only fill the grid."""
        return self.columns.flatten()[self.kept] >= 0

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels `(positions,)` of `(rows, length)`, -100 where the grid is only filled."""
        return self.taken(labels).where(self.real, -100)
