"""DeepSpeed's ZeRO-3: parameters divided among processes too, by its engine and not by torch.

As under FSDP (`training.fsdp`) a copy is divided and the caller's module stays whole. Checkpoints hold the whole weights, and beside
them each process's part of the optimizer, as DeepSpeed writes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainingArguments

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError
from hf_ssl.training import module as base
from hf_ssl.training.fsdp import Shards, from_first

if TYPE_CHECKING:
    from hf_ssl.training.exact_trainer import ExactTrainer
    from hf_ssl.training.module import TrainingModule


def asked_for(args: TrainingArguments) -> bool:
    """Whether DeepSpeed is to divide parameters among several processes."""
    plugin: Any = args.deepspeed_plugin
    return plugin is not None and plugin.zero_stage == 3 and distributed.world_size() > 1


def forget() -> None:
    """Have transformers load models whole: once a plugin is made it would divide them while they are read."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()


@contextmanager
def dividing(args: TrainingArguments) -> Iterator[None]:
    """Inside, transformers knows of it, and skips no layer that another process waits for."""
    plugin: Any = args.deepspeed_plugin
    if asked_for(args):
        plugin.set_deepspeed_weakref()
    try:
        yield
    finally:
        forget()


@contextmanager
def together(module: torch.nn.Module, written: bool = False) -> Iterator[None]:
    """Inside, parameters that are divided are whole. All processes must enter, and where they are written write the same."""
    divided = [parameter for parameter in module.parameters() if hasattr(parameter, "ds_id")]
    if not divided:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(divided, modifier_rank=0 if written else None):
        yield


def step_of(module: TrainingModule, step: int, total: int) -> None:
    """The module's `on_optimizer_step`; teachers that follow their student see whole parameters."""
    if type(module).on_optimizer_step is base.TrainingModule.on_optimizer_step:
        return
    with together(module, written=True):
        module.on_optimizer_step(step, total)


class Zero3(Shards):
    """A module of which a copy is trained in parts by DeepSpeed."""

    def prepare(self, trainer: ExactTrainer) -> None:
        if self.trained.kept_whole():
            raise ConfigError(
                f"{type(self.module).__name__} has parts that train themselves, which ZeRO-3 would divide. Take --launch fsdp2."
            )
        device = trainer.args.device
        for _, tensor in self.trained.saved_tensors():
            from_first(tensor, device)

    @torch.no_grad()
    def gather(self) -> None:
        with together(self.trained):
            super().gather()
