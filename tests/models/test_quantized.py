"""LoRA over layers in 4 bits: the original weights are there again before anything is saved."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

import hf_ssl
from hf_ssl.core.errors import MissingExtraError
from hf_ssl.models import adapters, quantized
from hf_ssl.models.loading import load_model

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (hf_ssl[gpu])"
)
IDS = torch.arange(5, 29).view(2, 12)


def _model(tiny_checkpoint: Any, method: str) -> Any:
    folder = str(tiny_checkpoint("bert"))
    torch.manual_seed(0)
    model, report = load_model(folder, "AutoModelForSequenceClassification", num_labels=3, new_head=True)
    torch.manual_seed(0)
    return adapters.apply(model, method, missing=report.missing)


def test_a_missing_package_is_named_before_data_are_read(monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "bitsandbytes" else found(name, *rest)
    )
    with pytest.raises(MissingExtraError, match="pip install"):
        hf_ssl.finetune(data="nowhere", model="nothing", peft="qlora", output=str(tmp_path))


@needs_bitsandbytes
def test_the_state_of_a_model_in_4_bits_is_that_of_its_adapter(tiny_checkpoint):
    ours, plain = _model(tiny_checkpoint, "qlora"), _model(tiny_checkpoint, "lora")
    trained = {name for name, p in ours.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in plain.named_parameters() if p.requires_grad}
    assert not [name for name in ours.state_dict() if "absmax" in name or "quant" in name]
    for model in (ours, plain):
        model(input_ids=IDS).logits.sum().backward()
    held = [module.base_layer for module in ours.modules() if hasattr(module, "base_layer")]
    assert held and all(layer.weight.dtype == torch.uint8 for layer in held)
    mine, theirs = (torch.cat([p.grad.flatten() for p in m.parameters() if p.grad is not None]) for m in (ours, plain))
    assert torch.nn.functional.cosine_similarity(mine, theirs, dim=0) > 0.95


@needs_bitsandbytes
def test_original_weights_come_back_and_merge(tiny_checkpoint):
    ours, plain = _model(tiny_checkpoint, "qlora"), _model(tiny_checkpoint, "lora")
    with torch.no_grad():
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            if one.requires_grad:
                other.add_(0.05 * torch.randn_like(other))
                one.copy_(other)
        rough, expected = ours.eval()(input_ids=IDS).logits, plain.eval()(input_ids=IDS).logits
        assert not torch.equal(rough, expected)
        quantized.restore(ours)
        torch.testing.assert_close(ours(input_ids=IDS).logits, expected, atol=0, rtol=0)
        merged = adapters.merge(_again(ours))
        torch.testing.assert_close(merged(input_ids=IDS).logits, expected, atol=1e-4, rtol=1e-4)


def _again(model: Any) -> Any:
    quantized.quantize(model)
    return model
