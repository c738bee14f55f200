"""Training on a CPU in bfloat16: attention by plain products, the same but for rounding, and only where it gains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hf_ssl.models import attention

ROWS, HEADS, TOKENS, WIDTH = 3, 2, 10, 64


def parts(width: int = WIDTH, tokens: int = TOKENS) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(ROWS, HEADS, tokens, width).bfloat16().requires_grad_() for _ in range(3)]


def encoding(**said: Any) -> nn.Module:
    module = nn.Module()
    vars(module).update({"is_causal": False, **said})
    return module


def computed(
    given: list[torch.Tensor], mask: torch.Tensor | None, **options: Any
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    with torch.autocast("cpu", torch.bfloat16):
        made, _ = attention.attend(encoding(), *given, mask, **options)
    return made.detach(), list(torch.autograd.grad(made.float().square().sum(), given))


def masks() -> dict[str, torch.Tensor | None]:
    seen = torch.ones(ROWS, 1, 1, TOKENS, dtype=torch.bool)
    seen[0, ..., 6:] = False
    blocks = torch.block_diag(torch.ones(4, 4), torch.ones(6, 6)).bool().expand(ROWS, 1, -1, -1)
    return {
        "none": None, "padding": seen, "pairs": blocks,
        "added": torch.zeros(ROWS, 1, TOKENS, TOKENS).masked_fill(~blocks, torch.finfo(torch.float32).min),
        "of each head": torch.randn(ROWS, HEADS, TOKENS, TOKENS),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(masks()))
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_output_and_gradients_are_those_of_float32_but_for_rounding(name, scaling, monkeypatch):
    mask, given = masks()[name], parts()
    made, grads = computed(given, mask, scaling=scaling)
    monkeypatch.setattr(attention, "MOST_PAIRS", 0)
    exact, exact_grads = computed(given, mask, scaling=scaling)
    assert made.shape == exact.shape == (ROWS, TOKENS, HEADS, WIDTH) and made.dtype == exact.dtype == torch.bfloat16
    assert not torch.equal(made, exact), "another arithmetic"
    for mine, theirs in zip([made, *grads], [exact, *exact_grads], strict=True):
        off = float((mine.float() - theirs.float()).norm() / theirs.float().norm())
        assert off < 0.02


def test_what_is_hidden_has_no_part_in_anything():
    given, seen = parts(), masks()["padding"]
    made, grads = computed(given, seen)
    with torch.no_grad():
        for part in given[1:]:
            part[0, :, 6:] = 99.0
    again, _ = computed(given, seen)
    assert torch.equal(made, again) and not grads[1][0, :, 6:].any() and not grads[2][0, :, 6:].any()


@pytest.mark.parametrize(
    "case", ["narrow", "dropout", "causal", "nothing said", "shared keys", "no gradient", "float32", "long"]
)
def test_the_usual_way_elsewhere(case, monkeypatch):
    asked, stock = [], attention.sdpa_attention_forward
    monkeypatch.setattr(
        attention, "sdpa_attention_forward", lambda *given, **more: asked.append(1) or stock(*given, **more)
    )
    query, key, value = parts(width=32 if case == "narrow" else WIDTH)
    module, options = encoding(), {"dropout": 0.1} if case == "dropout" else {}
    if case == "shared keys":
        module, key, value = encoding(num_key_value_groups=HEADS), key[:, :1], value[:, :1]
    if case == "causal":
        module = encoding(is_causal=True)
    if case == "nothing said":  # transformers then takes it for causal
        module = nn.Module()
    if case == "float32":
        query, key, value = query.float(), key.float(), value.float()
    if case == "long":
        monkeypatch.setattr(attention, "MOST_PAIRS", ROWS * HEADS * TOKENS**2 - 1)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(case != "no gradient"):
        attention.attend(module, query, key, value, None, **options)
    assert asked == [1]
