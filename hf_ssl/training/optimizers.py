"""Optimizers of `--optim`: which one an accelerator gets, and what each needs."""

from __future__ import annotations

import importlib.util

import torch
from transformers.training_args import OptimizerNames

from hf_ssl.core.errors import ConfigError, MissingExtraError, nearest

_IN_EXTRA = "hf_ssl[gpu]"
# First part of a name that fits: the module that it needs, and what pip is told.
_NEEDS = (
    ("adamw_torch_4bit", "torchao", _IN_EXTRA), ("adamw_torch_8bit", "torchao", _IN_EXTRA), ("adamw_8bit", "bitsandbytes", _IN_EXTRA),
    ("adamw_bnb", "bitsandbytes", _IN_EXTRA), ("paged_", "bitsandbytes", _IN_EXTRA), ("lion_", "bitsandbytes", _IN_EXTRA),
    ("ademamix", "bitsandbytes", _IN_EXTRA), ("rmsprop_", "bitsandbytes", _IN_EXTRA), ("galore_", "galore_torch", "galore-torch"),
    ("lomo", "lomo_optim", "lomo-optim"), ("adalomo", "lomo_optim", "lomo-optim"), ("grokadamw", "grokadamw", "grokadamw"),
    ("schedule_free_", "schedulefree", "schedulefree"), ("apollo_", "apollo_torch", "apollo-torch"),
    ("stable_adamw", "optimi", "torch-optimi"), ("adamw_anyprecision", "torchdistx", "torchdistx"),
)  # fmt: skip
_ON_GPUS_ONLY = ("adamw_torch_4bit", "adamw_torch_8bit")


def default(on_accelerator: bool) -> dict[str, str]:
    """One kernel for the whole step on an accelerator; elsewhere what transformers takes."""
    return {"optim": str(OptimizerNames.ADAMW_TORCH_FUSED.value)} if on_accelerator else {}


def check(name: str) -> None:
    """Refuse an optimizer that cannot run here, by what it takes to run it.

    Raises:
        ConfigError: none is called so, or it needs a GPU.
        MissingExtraError: its package is not installed.
    """
    known = [str(one.value) for one in OptimizerNames]
    if name not in known:
        raise ConfigError(f"optim: no optimizer is called {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")
    module, pip = next(((module, pip) for first, module, pip in _NEEDS if name.startswith(first)), (None, ""))
    if module is not None and importlib.util.find_spec(module) is None:
        raise MissingExtraError(f'{module} is needed for --optim {name}. Run: pip install "{pip}"')
    if name in _ON_GPUS_ONLY and not torch.cuda.is_available():
        raise ConfigError(f"--optim {name} computes on a GPU, and none is here. Take adamw_torch, or adamw_8bit.")
