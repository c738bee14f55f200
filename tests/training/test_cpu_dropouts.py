"""Dropout on a CPU: drawn another way, with the same chances and the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hf_ssl.training.cpu import cpu_dropouts

ODD = (7, 33, 41)  # no multiple of four values


def dropped(layer: nn.Module, values: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    made: torch.Tensor = layer(values)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.97])
def test_chances_values_and_gradients(p: float, dtype: torch.dtype) -> None:
    layer = nn.Dropout(p)
    values = (torch.rand(64, *ODD, dtype=dtype) + 1).requires_grad_()
    with cpu_dropouts(layer):
        made = dropped(layer, values)
    zeros = (made == 0).float().mean().item()
    assert abs(zeros - p) < 4 * (p * (1 - p) / values.numel()) ** 0.5 + 2**-16
    kept = made != 0
    torch.testing.assert_close(
        made[kept], values[kept] / (1 - p), rtol=2e-2 if dtype == torch.bfloat16 else 3e-4, atol=0
    )
    made.float().sum().backward()
    assert values.grad is not None and torch.equal(values.grad != 0, kept)
    assert made.float().mean().item() == pytest.approx(values.float().mean().item(), rel=0.05), "the mean stays"


def test_neighbors_are_independent() -> None:
    layer = nn.Dropout(0.5)
    with cpu_dropouts(layer):
        kept = (dropped(layer, torch.ones(400_000)) > 0).float().view(-1, 4)
    apart = torch.corrcoef(kept.T) - torch.eye(4)
    assert apart.abs().max() < 0.02, "the four values of one drawn number"


def test_a_seed_decides_and_checkpointing_draws_the_same_again() -> None:
    layer = nn.Dropout(0.3)
    values = torch.rand(ODD).requires_grad_()
    with cpu_dropouts(layer):
        assert torch.equal(dropped(layer, values), dropped(layer, values))
        assert not torch.equal(dropped(layer, values), dropped(layer, values, seed=1))
        made = dropped(lambda x: checkpoint(layer, x, use_reentrant=False), values)
        made.sum().backward()
    assert values.grad is not None and torch.equal(values.grad != 0, made != 0)


def test_the_usual_way_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, asked = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)), []
    plain = nn.Dropout.forward
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, values: asked.append(1) or plain(self, values))
    with cpu_dropouts(layer):
        layer[1](torch.rand(10))  # few values
        layer.eval()
        assert torch.equal(layer[1](values := torch.rand(ODD)), values)
        layer.train()
        layer[1].p = 0.0
        layer[1](torch.rand(ODD))
        assert len(asked) == 3
        layer[1].p = 0.1
        layer[1](torch.rand(ODD))
        assert len(asked) == 3, "many values on a CPU in training"
    layer[1](torch.rand(ODD))
    assert len(asked) == 4 and "forward" not in vars(layer[1]), "as it was, afterwards"
