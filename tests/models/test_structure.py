"""Finding backbone, blocks and depth by inspection, in every family."""

from __future__ import annotations

import pytest
import torch
import transformers
from families import HEADS, headed
from torch import nn

import tiny
from hf_ssl.models import adapters, structure


@pytest.mark.parametrize("arch", sorted(HEADS))
def test_depth_of_every_parameter(arch):
    model = headed(arch)
    layers = 1 if arch == "albert" else tiny.LAYERS  # ALBERT shares its one block
    assert structure.num_layers(model) == layers
    depth = structure.layer_index(model)
    assert depth.keys() == dict(model.named_parameters()).keys()
    assert set(depth.values()) == set(range(layers + 2))
    inside = structure.in_backbone(model)
    assert {depth[name] for name in depth if not inside(name)} == {layers + 1}
    assert all(index == 0 for name, index in depth.items() if inside(name) and "embeddings." in name)
    for position, (block, _) in enumerate(structure.blocks(model)):
        assert {index for name, index in depth.items() if name.startswith(block + ".")} == {position + 1}


def test_the_encoder_of_whisper_is_its_backbone():
    model = headed("whisper")
    assert structure.find_backbone(model)[0] == "encoder"  # base_model is the whole classifier here
    assert not structure.in_backbone(model)("projector.weight")


def test_depth_survives_wrapping():
    class Objective(nn.Module):
        def __init__(self, model: nn.Module):
            super().__init__()
            self.projector = nn.Linear(tiny.HIDDEN, 4)
            self.model = model

    wrapped = Objective(adapters.apply(tiny.tiny_model("bert", "AutoModel"), "lora", rank=2))
    depth = structure.layer_index(wrapped)
    assert depth["projector.weight"] == 3
    assert depth["model.base_model.model.encoder.layer.1.attention.self.query.lora_A.default.weight"] == 2
    assert depth["model.base_model.model.embeddings.word_embeddings.weight"] == 0


def test_encoder_and_decoder_are_both_counted():
    assert structure.num_layers(tiny.tiny_model("whisper", "AutoModel")) == 2 * tiny.LAYERS


def test_timm_networks():
    pytest.importorskip("timm")
    small = {"depth": 2, "embed_dim": 32, "num_heads": 4, "img_size": 32}
    config = transformers.TimmWrapperConfig(architecture="vit_tiny_patch16_224", num_labels=3, model_args=small)
    model = transformers.TimmWrapperForImageClassification(config).eval()
    assert [name for name, _ in structure.blocks(model)] == ["timm_model.blocks.0", "timm_model.blocks.1"]
    inside = structure.in_backbone(model)
    assert not inside("timm_model.head.weight") and inside("timm_model.norm.weight")
    depth = structure.layer_index(model)
    assert depth["timm_model.patch_embed.proj.weight"] == 0 and depth["timm_model.norm.weight"] == 3
    assert adapters.target_modules(model) == ["attn.proj", "fc1", "fc2", "qkv"]
    assert model(**structure.example_inputs(model)).logits.shape == (2, 3)


@pytest.mark.parametrize("arch", sorted(HEADS))
def test_example_inputs_are_accepted_and_repeat(arch):
    model = headed(arch).eval()
    first, second = structure.example_inputs(model), structure.example_inputs(model)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with torch.no_grad():
        model(**first)


def test_weights_read_without_a_call_are_found():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.called, self.read = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.to(self.called.weight.dtype)  # looking at the dtype is not computing
            return self.called(x) + nn.functional.linear(x, self.read.weight)

    assert structure.read_functionally(nn.Sequential(Layer())) == {"0.read"}
    assert structure.read_functionally(nn.MultiheadAttention(4, 2)) == {"out_proj"}
