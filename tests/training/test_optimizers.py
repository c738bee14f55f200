"""Optimizers by name: what they need is said before anything is read."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from contracts import case_of

from hf_ssl.core.errors import ConfigError, MissingExtraError
from hf_ssl.training import optimizers
from hf_ssl.training.trainer import arguments, train

HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None


def test_a_name_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="adamw_torch_fused"):
        optimizers.check("adamw_torch_fuzed")


@pytest.mark.parametrize(
    "name", ["adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_torch_8bit", "schedule_free_adamw"]
)
def test_a_package_that_is_missing_is_named_with_the_pip_line(monkeypatch, tmp_path, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        arguments(tmp_path, seed=0, defaults={}, overrides={"optim": name})


def test_what_computes_on_gpus_only_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="GPU"):
        optimizers.check("adamw_torch_4bit")


def test_tf32_is_refused_where_no_device_has_it(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = torch.backends.fp32_precision
    with pytest.raises(ConfigError, match="tf32 requires Ampere"):
        arguments(tmp_path, seed=0, defaults={}, overrides={"tf32": True})
    arguments(tmp_path, seed=0, defaults={}, overrides={"tf32": False})
    assert torch.backends.fp32_precision == before


def test_an_accelerator_gets_one_kernel_for_the_step():
    assert optimizers.default(on_accelerator=True) == {"optim": "adamw_torch_fused"}
    assert optimizers.default(on_accelerator=False) == {}


def _trained(tiny_checkpoint: Any, folder: Any, name: str) -> list[torch.Tensor]:
    made = case_of(tiny_checkpoint, "tasks/classification@text").build()
    options = {
        "per_device_train_batch_size": 4,
        "max_steps": 2,
        "report_to": "none",
        "save_strategy": "no",
        "bf16": False,
    }
    args = arguments(folder, seed=0, defaults={"learning_rate": 1e-3}, overrides={**options, "optim": name})
    train(made.module, made.rows, args, folder)
    return [p.detach().clone() for p in made.module.parameters()]


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed (hf_ssl[gpu])")
@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_32bit"])
def test_optimizers_of_bitsandbytes_step_nearly_as_torchs(tiny_checkpoint, tmp_path, name):
    expected = _trained(tiny_checkpoint, tmp_path / "torch", "adamw_torch")
    found = _trained(tiny_checkpoint, tmp_path / "bnb", name)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=0)
