"""Training with parameters, gradients and optimizer states divided among processes: torch's FSDP2, through Accelerate.

What is divided is a copy. The caller's module stays whole, so that nothing that measures, compares or exports a model has
to know of it: before each measurement and at the end the parts are put together and copied into it. Checkpoints are those of
undivided training, file by file.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.data import Dataset
from transformers import TrainingArguments

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from hf_ssl.training.exact_trainer import ExactTrainer
    from hf_ssl.training.module import TrainingModule


def asked_for(args: TrainingArguments) -> bool:
    """Whether `accelerate launch` or the options of the Trainer ask for FSDP among several processes."""
    given = bool(args.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    return given and distributed.world_size() > 1


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a tensor, or the tensor where it is not divided."""
    return (
        tensor.to_local() if isinstance(tensor, DTensor) else getattr(tensor, "ds_tensor", tensor)
    )  # DeepSpeed's part


def place_of(tensor: torch.Tensor) -> int:
    """What two names of the same values have in common."""
    return id(tensor) if isinstance(tensor, DTensor) else tensor.data_ptr()  # a process may have no part of it


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or where it is divided all of it, on the processor. All processes must call it."""
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def as_divided(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values of a whole tensor in the form of another one: this process's part of them where that is divided."""
    if not isinstance(like, DTensor):
        return values
    moved = values.to(like.device, like.dtype)
    return distribute_tensor(moved, like.device_mesh, like.placements, src_data_rank=None)


class Shards:
    """A module of which a copy is trained in parts.

    Args:
        module: stays whole, and where it is.

    Attributes:
        trained: the copy, for the Trainer.
    """

    def __init__(self, module: TrainingModule) -> None:
        self.module = module
        data = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Dataset)]
        self.trained = copy.deepcopy(module, {id(value): value for value in data})

    def prepare(self, trainer: ExactTrainer) -> None:
        """Tell Accelerate how to divide this module; the parameters of the first process count.

        Raises:
            ConfigError: there is nothing to divide on, or an FSDP of another version.
        """
        plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
        if plugin is None:
            raise ConfigError(
                "FSDP divides a model among accelerators, and Accelerate found none here. Take --launch cpu."
            )
        if plugin.fsdp_version != 2:
            raise ConfigError(f"FSDP {plugin.fsdp_version} is not supported. Take --launch fsdp2 (fsdp_version: 2).")
        from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

        plugin.auto_wrap_policy = transformer_auto_wrap_policy
        plugin.transformer_cls_names_to_wrap = _blocks(self.trained)
        plugin.ignored_modules = self.trained.kept_whole() or None
        plugin.mixed_precision_policy = None  # autocast, as undivided: objectives are written for it
        device = trainer.args.device
        for _, tensor in self.trained.saved_tensors():
            from_first(tensor, device)

    @torch.no_grad()
    def gather(self) -> None:
        """Bring the whole module up to date. All processes must call it."""
        for _, tensor in self.trained.saved_tensors():
            if not isinstance(tensor, DTensor):  # running statistics, which each process has of its own batches
                from_first(tensor, tensor.device)
        self.module.load_state_dict(self.trained.state_dict())
        for source, target in zip(self.trained.modules(), self.module.modules(), strict=True):
            numbers = {name: value for name, value in vars(source).items() if type(value) in (int, float)}
            vars(target).update(numbers)  # a step, a temperature

    @contextmanager
    def looked_at(self, device: torch.device) -> Iterator[None]:
        """Inside, the whole module is up to date, and in the first process on the device. All processes must call it."""
        self.gather()
        before = next(self.module.parameters()).device
        if distributed.is_main():
            self.module.to(device)
        try:
            yield
        finally:
            self.module.to(before)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What `optimizer.state_dict()` is of undivided parameters. All processes must call it."""
    state = optimizer.state_dict()
    whole_of = {
        number: {name: whole(value) if isinstance(value, torch.Tensor) else value for name, value in noted.items()}
        for number, noted in state["state"].items()
    }
    return {**state, "state": whole_of}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """The other way round.

    Raises:
        TrainingError: the optimizer notes something of another shape than its parameters, which cannot be divided.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    parts: dict[int, dict[str, Any]] = {}
    for number, noted in state["state"].items():
        like, parts[number] = parameters[number], {}
        for name, value in noted.items():
            if isinstance(value, torch.Tensor) and value.ndim:
                if value.shape != like.shape:
                    raise TrainingError(
                        f"{type(optimizer).__name__} cannot go on under FSDP. Take --optim adamw_torch."
                    )
                value = as_divided(value, like)
            parts[number][name] = value
    optimizer.load_state_dict({**state, "state": parts})


def load_optimizer(optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Read what `optimizer_state` gave, on the processor, where there is room for all of it."""
    load_optimizer_state(optimizer, torch.load(file, map_location="cpu", weights_only=True))


def from_first(tensor: torch.Tensor, device: torch.device) -> None:
    moved = tensor.detach().to(device)
    dist.broadcast(moved, src=0)
    tensor.copy_(moved)


def _blocks(module: TrainingModule) -> list[str]:
    """Classes of the blocks that are divided one by one: those transformers names for the model.

    None where blocks share parameters with something else (a teacher that has its student's frozen weights): all of a shared
    parameter's users must be in one group, and then the whole module is.
    """
    named = set(getattr(module.model, "_no_split_modules", None) or ())
    blocks = [part for part in module.modules() if type(part).__name__ in named]
    owners: dict[int, set[int]] = {}
    for block in blocks:
        for parameter in block.parameters():
            owners.setdefault(id(parameter), set()).add(id(block))
    inside = [part for block in blocks for part in block.modules()]
    known = {id(part) for part in inside}
    outside = {
        id(parameter)
        for part in module.modules()
        if id(part) not in known
        for parameter in part.parameters(recurse=False)
    }
    if any(len(users) > 1 or key in outside for key, users in owners.items()):
        return []
    return sorted({type(block).__name__ for block in blocks})
