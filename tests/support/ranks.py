"""What the processes of the multi-rank tests run; light, because every process imports it anew."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from hf_ssl.objectives import losses


def both_losses(vectors: torch.Tensor, weight: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Value (sum over own examples) and gradient with respect to `weight` of every loss that compares a batch."""
    found = {}
    for name in ("nt_xent", "vicreg"):
        weight.grad = None
        first, second = (vectors @ weight).unbind(0)
        total = losses.nt_xent(first, second, 0.5) if name == "nt_xent" else losses.vicreg(first, second, 5, 5, 1)[0]
        total.backward()
        assert weight.grad is not None
        found[name] = (total.detach().clone(), weight.grad.clone())
    return found


def on_rank(rank: int, world: int, meeting: str, vectors: torch.Tensor, cuts: list[list[int]], results: Any) -> None:
    """Losses of this rank's part, summed over ranks, for every way to cut the batch. They meet in the file `meeting`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        for number, cut in enumerate(cuts):
            mine = vectors[:, cut[rank] : cut[rank + 1]]
            found = both_losses(mine, torch.eye(vectors.shape[-1], requires_grad=True))
            for pair in found.values():
                for tensor in pair:
                    dist.all_reduce(tensor)
            results[rank, number] = {name: tuple(t.tolist() for t in pair) for name, pair in found.items()}
    finally:
        dist.destroy_process_group()
