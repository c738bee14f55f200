"""LoRA layers on a CPU: fewer passes, with the same output within rounding."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from hf_ssl.training.light_adapters import light_adapters

SEEN = torch.randn(40, 64, generator=torch.Generator().manual_seed(3))


def adapted(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = get_peft_model(
        nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 64)),
        LoraConfig(r=4, target_modules=["0", "2"], **options),
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    return model


def trained(model: nn.Module, light: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    with light_adapters(model) if light else nullcontext(), torch.autocast("cpu", torch.bfloat16):
        made = model(SEEN)
    made.float().square().mean().backward()
    return made.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def replaced(model: nn.Module) -> int:
    return sum("forward" in vars(module) for module in model.modules())


def exactly(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return copy.deepcopy(model).double()(SEEN.double())


@pytest.mark.parametrize("options", [{}, {"lora_bias": True}, {"use_rslora": True, "lora_alpha": 7}])
def test_output_and_gradients_are_peft_s_within_rounding_and_no_further_from_the_exact_ones(
    options: dict[str, Any],
) -> None:
    model = adapted(**options)
    (made, grads), (light, light_grads) = trained(model, False), trained(model, True)
    exact = exactly(model)
    assert made.dtype == light.dtype == torch.bfloat16
    off, light_off = (float((one.double() - exact).square().mean()) for one in (made, light))
    assert light_off <= 1.1 * off < 2e-3 * float(exact.square().mean())
    assert grads.keys() == light_grads.keys() and all("lora" in name for name in grads)
    for name, grad in grads.items():
        torch.testing.assert_close(light_grads[name], grad, rtol=0.03, atol=0.03 * float(grad.abs().max()))
    assert replaced(model) == 0, "as it was, afterwards"


def test_weights_that_change_are_cast_anew() -> None:
    model = adapted()
    with light_adapters(model), torch.autocast("cpu", torch.bfloat16):
        first = model(SEEN)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "base_layer.weight" in name:
                    weight.mul_(2)
        second = model(SEEN)
        plain = copy.deepcopy(model)
    with light_adapters(plain), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(second, plain(SEEN)) and not torch.equal(first, second)


def test_an_evaluation_on_the_way_leaves_nothing_that_training_cannot_use() -> None:
    model = adapted()
    made, _ = trained(model, True)
    model.zero_grad()
    with light_adapters(model), torch.autocast("cpu", torch.bfloat16):
        with torch.inference_mode():
            seen = model(SEEN)
        with torch.no_grad():
            again = model(SEEN)
        model(SEEN).float().square().mean().backward()
    assert torch.equal(seen, made) and torch.equal(again, made)
    assert all(p.grad is not None for name, p in model.named_parameters() if "lora" in name)


def test_float32_and_adapters_that_are_off_compute_as_ever() -> None:
    model = adapted()
    with light_adapters(model):
        plain = model(SEEN)
        with model.disable_adapter(), torch.autocast("cpu", torch.bfloat16):
            bare = model(SEEN)
    assert plain.dtype == torch.float32 and torch.equal(plain, model(SEEN))
    with model.disable_adapter(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(bare, model(SEEN))


@pytest.mark.parametrize("options", [{"lora_dropout": 0.3}, {"use_dora": True}])
def test_layers_of_another_kind_go_the_usual_way(options: dict[str, Any]) -> None:
    model = adapted(**options)
    torch.manual_seed(1)
    made, grads = trained(model, False)
    torch.manual_seed(1)
    light, light_grads = trained(model, True)
    assert torch.equal(made, light) and all(torch.equal(grads[name], light_grads[name]) for name in grads)


def test_a_base_that_trains_is_left_alone() -> None:
    model = adapted()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with light_adapters(model):
        assert replaced(model) == 0


def test_copies_and_pickles_compute_with_their_own_weights() -> None:
    model = adapted()
    with light_adapters(model), torch.autocast("cpu", torch.bfloat16):
        made = model(SEEN)
        twin = pickle.loads(pickle.dumps(model))
        assert torch.equal(twin(SEEN), made)
        other = copy.deepcopy(model)
        with torch.no_grad():
            for weight in other.parameters():
                weight.zero_()
        assert not other(SEEN).any() and torch.equal(model(SEEN), made)
