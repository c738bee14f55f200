"""Finding backbone, blocks and depth by inspection, in every family."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
import transformers
from families import HEADS, headed
from torch import nn

import tiny
from hf_ssl.core import distributed
from hf_ssl.modalities.text.text import Text
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


def test_a_model_is_at_work_where_this_process_computes_and_home_again_afterwards(monkeypatch):
    """`meta` passes for a GPU; a tensor does not come back from there with what it held, so the model keeps that."""

    class Model(nn.Linear):
        held: torch.Tensor
        moves: list[str] = []

        def to(self, place: torch.device) -> Model:  # type: ignore[override]
            self.moves.append(place.type)
            assert not torch.is_inference_mode_enabled()
            if place.type == "meta":
                self.held = self.weight.data
            self.weight = nn.Parameter(self.held if place.type == "cpu" else self.held.to("meta"))
            return self

    model = Model(2, 2, bias=False)
    with structure.at_work(model) as place:
        assert place.type == "cpu" and not model.moves, "there is no GPU here"
    monkeypatch.setattr(distributed, "device", lambda: torch.device("meta"))
    with pytest.raises(KeyError), torch.inference_mode(), structure.at_work(model) as place:
        assert place.type == model.weight.device.type == "meta"
        with structure.at_work(model) as same:
            assert same == place
        raise KeyError
    assert model.moves == ["meta", "cpu"] and model.weight.device.type == "cpu"


def test_vectors_are_computed_where_the_model_is_at_work(monkeypatch, tiny_checkpoint):
    encoder = Text().load(str(tiny_checkpoint("bert")))
    seen: list[str] = []
    monkeypatch.setattr(distributed, "device", lambda: torch.device("meta"))
    monkeypatch.setattr(type(encoder.model), "to", lambda model, place: seen.append(f"model on {place}"))

    def features(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.extend({f"batch on {part.device}" for part in batch.values()})
        return torch.zeros(len(batch["input_ids"]), 3)

    monkeypatch.setattr(encoder, "features", features)
    monkeypatch.setattr(torch, "autocast", lambda *given, **named: nullcontext())  # there is none for `meta`
    assert encoder.embed(["one", "two words"]).shape == (2, 3)
    assert seen == ["model on meta", "batch on meta", "model on cpu"]


@pytest.mark.parametrize(
    ("asked", "launched", "kind"), [(False, "", "cuda"), (True, "", "cpu"), (False, "true", "cpu")]
)
def test_a_process_computes_on_its_own_gpu_unless_it_was_told_not_to(monkeypatch, asked, launched, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("ACCELERATE_USE_CPU", launched)
    distributed.leave_accelerator_alone(asked)
    try:
        assert str(distributed.device()) == ("cuda:3" if kind == "cuda" else "cpu")
    finally:
        distributed.leave_accelerator_alone(False)
