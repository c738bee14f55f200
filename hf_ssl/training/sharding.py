"""The short last batch on several processes: the same examples, each of them once, as on one process.

Accelerate fills it up with examples from the beginning of the epoch, so that all processes have full batches. Loss and
gradient of that step are then those of other examples. Here it is divided among the processes instead. One that gets none
computes on an example all the same, because the others wait for it, and what it computes counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DataLoader

from hf_ssl.training.module import SizedDataset

IDLE = "idle_labels"
"""Where the labels of a batch that counts for nothing are; its `labels` are all -100, so that no loss term is counted."""


class Spare(int):
    """Index of an example that stands in where a process has none."""


@dataclass
class SpareRow:
    """An example that stands in."""

    row: Any


class WithSpares(SizedDataset):
    """Rows that can tell a process's own examples from those that stand in."""

    def __init__(self, rows: SizedDataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return SpareRow(self.rows[int(index)]) if isinstance(index, Spare) else self.rows[index]


class Divided(BatchSampler):
    """The batches of all processes in turn; those of a last round that is not full are made of equal length.

    Args:
        batches: of one process's size, each example once.
        processes: how many there are.
    """

    def __init__(self, batches: BatchSampler, processes: int) -> None:
        self.batches, self.processes = batches, processes
        self.sampler, self.batch_size, self.drop_last = batches.sampler, batches.batch_size, False

    def __len__(self) -> int:
        return -(-len(self.batches) // self.processes) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        waiting: list[list[int]] = []
        for batch in self.batches:
            waiting.append(batch)
            if len(waiting) == self.processes and len(batch) == self.batch_size:
                yield from waiting
                waiting = []
        left = [index for batch in waiting for index in batch]
        if not left:
            return
        share, more = divmod(len(left), self.processes)
        begin = 0
        for process in range(self.processes):
            end = begin + share + (process < more)
            yield left[begin:end] or [Spare(left[0])]
            begin = end


def divide(loader: DataLoader[Any]) -> None:
    """Have a loader that accelerate has prepared for several processes divide its last batches (`WithSpares` in it)."""
    shard = loader.batch_sampler
    if isinstance(shard, BatchSamplerShard) and not shard.drop_last and not shard.split_batches:
        shard.batch_sampler, shard.even_batches = Divided(shard.batch_sampler, shard.num_processes), False


def collating(collate: Callable[[Sequence[Any]], dict[str, torch.Tensor]]) -> Callable[[Sequence[Any]], Any]:
    """A collator that makes of an example that stands in a batch without loss terms."""

    def collated(rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        if not isinstance(rows[0], SpareRow):
            return collate(rows)
        batch = collate([rows[0].row])
        return {**batch, "labels": torch.full_like(batch["labels"], -100), IDLE: batch["labels"]}

    return collated
