"""Training steps by hand, for the tests that ask what a few of them do."""

from __future__ import annotations

from typing import Any

import torch

from hf_ssl.training.module import TrainingModule


def take_steps(module: TrainingModule, batch: dict[str, Any], count: int, rate: float = 1e-3) -> set[str]:
    """Train on one batch, every loss finite; returns the names of the parameters that a gradient reached."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=rate)
    reached = set()
    for step in range(count):
        loss = module(**batch).loss
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if hasattr(module, "on_optimizer_step"):
            module.on_optimizer_step(step + 1, count)
        reached |= {name for name, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0}
    return reached
