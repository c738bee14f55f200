"""Rows of all processes in every one, with their gradient: what a loss over a whole batch needs on several of them.

Gathering keeps the gradient: what another rank's loss says about this rank's vectors is summed on the way back, so that
the sum over ranks has the gradient of one process holding everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch.autograd.function import FunctionCtx
from torch.nn import functional


def world() -> tuple[int, int]:
    """Number of processes and this one's rank."""
    return (dist.get_world_size(), dist.get_rank()) if dist.is_available() and dist.is_initialized() else (1, 0)


class _Gather(torch.autograd.Function):
    """All ranks' rows in rank order; the gradient of a rank's rows is the sum of what all ranks say about them.

    Our own: importing `torch.distributed.nn` (2.14) when the process group is there keeps the group from being destroyed.
    """

    @staticmethod
    def forward(context: FunctionCtx, rows: torch.Tensor) -> torch.Tensor:
        pieces = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(pieces, rows)
        return torch.cat(pieces)

    @staticmethod
    def backward(context: FunctionCtx, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


_COMPANY = ContextVar("company", default=False)


@contextmanager
def keeping_company() -> Iterator[None]:
    """Within, this process's rows only keep the others company: `gathered` shows them to nobody else."""
    token = _COMPANY.set(True)
    try:
        yield
    finally:
        _COMPANY.reset(token)


def gathered(vectors: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The rows of all ranks in rank order, with gradient, and where this rank's rows begin.

    A process that keeps the others company (`training.sharding`) sees its own rows behind all others, so that it can compute what is
    then counted for nothing; the others do not see them.

    Without gradients nothing is gathered: measurements are made by one process alone, and it would wait for the others
    forever.

    Args:
        vectors: `(rows, width)`; ranks may hold different numbers of rows.
    """
    ranks, rank = world()
    if ranks == 1 or not torch.is_grad_enabled():
        return vectors, 0
    counts = torch.zeros(ranks, dtype=torch.int64, device=vectors.device)
    company = _COMPANY.get()
    counts[rank] = 0 if company else len(vectors)
    dist.all_reduce(counts)
    longest = int(counts.max())
    shared = vectors[: int(counts[rank])]
    padded = functional.pad(shared, (0, 0, 0, longest - len(shared)))
    pieces = _Gather.apply(padded.contiguous()).unflatten(0, (ranks, longest))
    rows = torch.cat([piece[:count] for piece, count in zip(pieces, counts.tolist(), strict=True)])
    if company:
        return torch.cat([rows, vectors]), len(rows)
    return rows, int(counts[:rank].sum())
