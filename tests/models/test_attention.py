"""Attention within sequences: equal to a mask of all pairs, and refused where it cannot be computed."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch.nn import functional
from transformers import ViTMAEModel, ViTModel

from hf_ssl.core.errors import ConfigError, MissingExtraError
from hf_ssl.models import attention
from hf_ssl.models.loading import load_model

LENGTHS = (5, 1, 17, 8)


def _begins(lengths: tuple[int, ...] = LENGTHS) -> torch.Tensor:
    return functional.pad(torch.tensor(lengths).cumsum(0), (1, 0)).int()


@pytest.mark.parametrize("window", [-1, 0, 3])
def test_sequences_are_what_a_mask_of_all_pairs_gives(window):
    torch.manual_seed(0)
    total, document = sum(LENGTHS), torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    parts = [torch.randn(total, 2, 8, requires_grad=True) for _ in range(3)]
    cu = _begins()
    mask = document[:, None] == document[None, :]
    if window >= 0:
        mask &= (torch.arange(total)[:, None] - torch.arange(total)[None, :]).abs() <= window
    found = attention.by_sequence(*parts, cu, cu, 17, 17, 0.3, window, 0.0)
    dense = functional.scaled_dot_product_attention(*(p.transpose(0, 1) for p in parts), attn_mask=mask, scale=0.3)
    torch.testing.assert_close(found, dense.transpose(0, 1))
    weights = torch.randn_like(found)
    mine = torch.autograd.grad((found * weights).sum(), parts)
    theirs = torch.autograd.grad((dense.transpose(0, 1) * weights).sum(), parts)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_bound_above_the_longest_sequence_changes_nothing():
    torch.manual_seed(0)
    parts = [torch.randn(sum(LENGTHS), 2, 8) for _ in range(3)]
    cu = _begins()
    exact, wide = (attention.by_sequence(*parts, cu, cu, most, most, 0.3, -1, 0.0) for most in (17, 64))
    torch.testing.assert_close(exact, wide)


@pytest.mark.parametrize("family", [ViTMAEModel, ViTModel])
def test_pictures_side_by_side_have_the_states_of_a_batch(family):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = family(family.config_class(**sizes, image_size=32, patch_size=8)).eval()
    attention.install(model)
    torch.manual_seed(0)
    hidden = torch.randn(3, 7, model.config.hidden_size)
    begins = _begins((7, 7, 7))
    told = attention.sequences(begins, 7)
    with torch.no_grad():
        whole = hidden
        side = hidden.reshape(1, 21, -1)
        dense = torch.block_diag(*[torch.ones(7, 7)] * 3).bool()[None, None]
        masked = side
        for layer in model.layers:
            whole, masked = layer(whole, None), layer(masked, dense)
            side = layer(side, None, **{name: value for name, value in told.items() if name != "attention_mask"})
    torch.testing.assert_close(side.view_as(whole), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(side, masked, atol=1e-5, rtol=1e-5)


def test_names_that_are_not_known_or_cannot_run_here_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="flash_attention_2"):
        attention.check("flash_attention2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        attention.check("flash_attention_2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="GPU"):
        attention.check("flash_attention_3")


def test_half_precision_on_a_cpu_is_computed_in_float32_within_sequences(tiny_checkpoint):
    model, _ = load_model(str(tiny_checkpoint("bert")), "AutoModel")
    ids = torch.arange(5, 29).view(1, 24)
    told = attention.sequences(_begins((10, 14)), 24)
    places = torch.tensor([[*range(10), *range(14)]])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        side = model(input_ids=ids, position_ids=places, **told).last_hidden_state
        alone = model(input_ids=ids[:, 10:]).last_hidden_state
    torch.testing.assert_close(side[:, 10:].float(), alone.float(), atol=0.05, rtol=0.05)
