"""Frozen layers below adapters in 4 bits (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes.

The layers that LoRA adapts are loaded and proved as ever, then stand in NF4 with doubly quantized scales while adapters
train; the weights as they were wait in main memory. What is saved, merged and measured in the end are the original weights
with the adapter, so nothing that ships has quantization's error in it, and PEFT and plain transformers load it as any other.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from hf_ssl.core.errors import ConfigError, MissingExtraError


def check() -> None:
    """Refuse 4 bits where their package is missing, before anything is loaded.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError('bitsandbytes is needed for --peft qlora. Run: pip install "hf_ssl[gpu]"')


def quantize(model: PeftModel) -> int:
    """Store the frozen linear layers below adapters in 4 bits; they are packed when the model moves to its device.

    Returns:
        how many.

    Raises:
        ConfigError: no linear layer is adapted.
    """
    check()
    count = 0
    for adapted in _adapted(model):
        plain = adapted.base_layer
        if isinstance(plain, nn.Linear) and not plain.weight.requires_grad:
            adapted.base_layer = _four_bit()(plain)
            count += 1
    if not count:
        raise ConfigError(
            f"{type(model.get_base_model()).__name__} has no frozen linear layer below an adapter to store in 4 bits."
        )
    return count


def restore(model: nn.Module) -> None:
    """Put the original weights back below the adapters, wherever `quantize` stored them in 4 bits."""
    for adapted in _adapted(model):
        stored = getattr(adapted.base_layer, "original", None)
        if stored is not None:
            adapted.base_layer = stored[0].to(adapted.base_layer.weight.device)


def _adapted(model: nn.Module) -> list[Any]:
    return [
        module for module in model.modules() if isinstance(module, BaseTunerLayer) and hasattr(module, "base_layer")
    ]


@functools.cache
def _four_bit() -> Any:
    bnb: Any = importlib.import_module("bitsandbytes")

    class FourBit(bnb.nn.Linear4bit):
        """A frozen layer in NF4. Its weights are not the checkpoint's, so no state dict has them."""

        def __init__(self, plain: nn.Linear) -> None:
            super().__init__(
                plain.in_features, plain.out_features, bias=plain.bias is not None, quant_type="nf4", device="meta"
            )
            self.weight = bnb.nn.Params4bit(
                plain.weight.detach().cpu().clone(), requires_grad=False, quant_type="nf4", compress_statistics=True,
                module=self,
            )  # fmt: skip
            self.bias = plain.bias
            self.support_avx512bf16_for_cpu = False  # its layout for inference has no way back to training
            self.original = (plain,)  # in a tuple, so that it does not move to the device

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.weight.quant_state is None:  # it never moved: a CPU
                self.weight = self.weight.to(x.device)
            device = x.device.type
            self.compute_dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
            return super().forward(x)

        def _save_to_state_dict(self, destination: dict[str, torch.Tensor], prefix: str, keep_vars: bool) -> None:
            return

    return FourBit
