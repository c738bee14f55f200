"""What the processes of the multi-rank tests run; light, because every process imports it anew."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist

from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives import losses
from hf_ssl.tasks.similarity import Similarity
from hf_ssl.training.gather import keeping_company


def every_loss(
    vectors: torch.Tensor, weight: torch.Tensor, counts: float = 1
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Value (sum over own examples) and gradient with respect to `weight` of every loss that compares a batch."""
    similarity, gold = Similarity(Similarity.Config(), Text()), vectors[0, :, 0].round(decimals=1)
    every = {
        "nt_xent": lambda first, second: losses.nt_xent(first, second, 0.5),
        "info_nce": lambda first, second: losses.info_nce(first, second, 0.5),
        "vicreg": lambda first, second: losses.vicreg(first, second, 5, 5, 1)[0],
        "cosent": lambda first, second: similarity.loss(torch.cosine_similarity(first, second).unsqueeze(1), gold)[0],
    }
    found = {}
    for name, loss in every.items():
        weight.grad = None
        first, second = (vectors @ weight).unbind(0)
        total = loss(first, second) * counts
        total.backward()
        assert weight.grad is not None
        found[name] = (total.detach().clone(), weight.grad.clone())
    return found


def on_rank(rank: int, world: int, meeting: str, vectors: torch.Tensor, cuts: list[list[int]], results: Any) -> None:
    """Losses of this rank's part, summed over ranks, for every way to cut the batch. They meet in the file `meeting`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    try:
        if rank == 0:  # as a measurement does, while the others wait for what it says
            with torch.inference_mode():
                assert torch.isfinite(losses.info_nce(*vectors.unbind(0), 0.5))
        for number, cut in enumerate(cuts):
            mine = vectors[:, cut[rank] : cut[rank + 1]]
            idle = not mine.shape[1]  # a row stands in, as in a last step of fewer rows than ranks
            with keeping_company() if idle else nullcontext():
                rows = vectors[:, 2:3] if idle else mine
                found = every_loss(rows, torch.eye(vectors.shape[-1], requires_grad=True), float(not idle))
            for pair in found.values():
                for tensor in pair:
                    dist.all_reduce(tensor)
            results[rank, number] = {name: tuple(t.tolist() for t in pair) for name, pair in found.items()}
    finally:
        dist.destroy_process_group()
