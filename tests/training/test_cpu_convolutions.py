"""Convolutions inside a bfloat16 autocast on a CPU: computed another way, with the same result."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from hf_ssl.training.cpu import patch_cpu_convolutions


def results(layer: nn.Conv2d, pictures: torch.Tensor, weight_trains: bool = True) -> list[torch.Tensor]:
    layer.weight.requires_grad_(weight_trains)
    layer.zero_grad()
    pictures = pictures.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(pictures)
    made.float().square().sum().backward()
    found = [made.detach(), pictures.grad, layer.weight.grad, None if layer.bias is None else layer.bias.grad]
    return [value for value in found if value is not None]


@pytest.mark.parametrize("weight_trains", [True, False])
def test_result_and_gradients_are_those_of_the_plain_layer(weight_trains):
    torch.manual_seed(0)
    plain = nn.Conv2d(64, 64, 3, padding=1, groups=64)
    quick = copy.deepcopy(plain)
    patch_cpu_convolutions(quick)
    assert "forward" in vars(quick) and quick.state_dict().keys() == plain.state_dict().keys()
    pictures = torch.randn(3, 64, 5, 5).contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(
        results(quick, pictures, weight_trains), results(plain, pictures, weight_trains), strict=True
    ):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine.float(), theirs.float(), rtol=0.02, atol=0.01 * float(theirs.abs().max()))


def test_depthwise_layers_train_in_float32_and_copies_compute_with_their_own_weights():
    layer = nn.Conv2d(8, 8, 3, groups=8)
    patch_cpu_convolutions(layer)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.weight.zero_()
        twin.bias.zero_()
    pictures = torch.randn(2, 8, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(pictures).dtype == twin(pictures).dtype == torch.float32
        assert bool((twin(pictures) == 0).all()) and bool((layer(pictures) != 0).any())
        with torch.no_grad():
            assert layer(pictures).dtype == torch.bfloat16


def test_models_can_still_be_sent_to_other_processes():
    """Loader workers that are spawned, not forked, get a pickle of the whole objective."""
    model = nn.Sequential(nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 64, 3, groups=64))
    patch_cpu_convolutions(model)
    again = pickle.loads(pickle.dumps(model))
    assert again[0].forward.args[0] is again[0] and again[1].forward.args[0] is again[1]
    pictures = torch.randn(1, 64, 9, 9)
    torch.testing.assert_close(again(pictures), model(pictures))


def test_layers_of_another_kind_stay_as_they_are():
    for layer in (nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3, groups=2), nn.Conv2d(64, 64, 3, dilation=2), nn.Conv2d(3, 64, 3),
                  nn.Conv2d(64, 64, 3, padding="same"), nn.Conv2d(64, 64, 3, padding_mode="reflect")):  # fmt: skip
        patch_cpu_convolutions(layer)
        assert "forward" not in vars(layer)


def test_layers_that_torch_computes_wrongly_train_in_float32():
    layers = nn.ModuleList(
        [nn.Conv1d(16, 16, 8, stride=4), nn.Conv1d(16, 16, 3, stride=2), nn.Conv1d(1, 16, 10, stride=5)]
    )
    patch_cpu_convolutions(layers)
    with torch.autocast("cpu", torch.bfloat16):
        kinds = [layer(torch.randn(2, layer.in_channels, 99)).dtype for layer in layers]
    assert kinds == [torch.float32, torch.bfloat16, torch.bfloat16]
