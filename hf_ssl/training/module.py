"""What `Trainer` is given: a model together with its loss, as one plain `nn.Module`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers.utils import ModelOutput

from hf_ssl.training.fsdp import as_divided, place_of, whole


@dataclass
class LossOutput(ModelOutput):
    """A training step's result.

    Args:
        loss: sum of the batch's loss terms divided by `num_items_in_batch` (or by their own number).
        logits: what metrics are computed from, when there are any.
        scalars: detached tensors that add up over batches, such as `{"predicted": 120}`; the monitor sums them over
            the held-out data and hands them to the objective's `measures`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    scalars: dict[str, torch.Tensor] | None = None


class SizedDataset(Dataset[Any], ABC):
    """Rows that can be counted, as every training and every prediction here needs them."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""


@runtime_checkable
class EpochRows(Protocol):
    """Rows that are drawn anew in every epoch."""

    def set_epoch(self, epoch: int) -> None: ...


@runtime_checkable
class GroupedRows(Protocol):
    """Rows that come in groups of similar length, `batch` of them (0: as they are)."""

    batch: int

    def group(self, batch: int) -> None: ...


class TrainingModule(nn.Module, ABC):
    """A model and its loss. Objectives and task modules derive from it.

    Two things make it fit the stock `Trainer`:

    - `forward` takes `num_items_in_batch`, the number of loss terms of the whole optimizer step over all micro-batches
      and ranks (entries of `labels` other than -100). Dividing a *sum* by it makes the gradient independent of
      accumulation and batch split (transformers#47688 describes what happens to heads that do not).
    - the state dict holds only what is trained, and tied tensors once, so a checkpoint of a LoRA run is small and
      safetensors accepts it. Frozen tensors come from the start checkpoint again. Of parameters that are divided among
      processes (`training.fsdp`) it holds the whole; all processes must ask for it then.
    """

    unit: ClassVar[str] = "tokens"
    accepts_loss_kwargs = True
    views_on_device = False
    """Whether random views are made on the device that trains, where the kind of data can do that."""
    frees_at_once: ClassVar[bool] = False
    """Whether it trains with `training.freed_at_once`: less memory, where that costs no time."""
    model: Any
    """The wrapped transformers model, perhaps within PEFT."""

    def __init__(self) -> None:
        super().__init__()
        self.units_seen: torch.Tensor | int = 0
        self.idle = False  # the batch counts for nothing: it keeps other processes company (`training.sharding`)
        self._held: list[nn.Module] = []
        self._numbers: dict[str, float] = {}
        self.register_forward_pre_hook(_count, with_kwargs=True)

    @abstractmethod
    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Make a batch. It must have `labels`; entries other than -100 are counted as loss terms."""

    def training_batch(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        """What the loader of a training makes of rows: `collate`, or what `on_device` makes the same batch of."""
        return self.collate(rows)

    def on_device(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A `training_batch` that has arrived on the device that trains, made ready for `forward`."""
        return batch

    def metrics(self, loss: float) -> dict[str, float]:
        """What the mean evaluation loss means, such as perplexity."""
        return {}

    def number(self, name: str) -> float:
        """What a buffer of one number holds; looked at once after it was loaded, because a GPU's host waits for that."""
        if name not in self._numbers:
            self._numbers[name] = self.get_buffer(name).item()
        return self._numbers[name]

    def set_number(self, name: str, value: float) -> None:
        """Write a buffer of one number."""
        buffer = self.get_buffer(name)
        buffer.fill_(value)
        self._numbers[name] = float(np.float32(value)) if buffer.is_floating_point() else value  # as it rounds it

    def freeze_batchnorm_stats(self, backbone: nn.Module) -> None:
        """Keep the running statistics of a trained backbone's batch normalization as they are in the checkpoint.

        Re-estimating them on pictures of another kind moves every layer at once, faster than any learning rate:
        EfficientNet-Lite0's frozen probe on Fashion-MNIST (64 pixels, 16 labels a class) falls from .748 to .575 by
        that alone. A network that was never trained has no statistics to keep.
        """
        norms = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._held = [norm for norm in norms if norm.running_mean is not None and bool(norm.running_mean.any())]
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but see `freeze_batchnorm_stats`."""
        super().train(mode)
        for norm in self._held:
            norm.eval()
        return self

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | int:
        """Real units of work in a batch (tokens that are not padding, images …), for the throughput line."""
        mask = batch.get("attention_mask")
        return mask.sum() if mask is not None and mask.dim() == 2 else len(next(iter(batch.values())))

    def states_kept(self, states: torch.Tensor, batch: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Of all states of the backbone's last layer those that training computes, and which of them count (None: all)."""
        return states, None

    def on_optimizer_step(self, step: int, total: int) -> None:
        """Called after every optimizer step (not micro-step); teachers and schedules live here."""

    def detect_collapse(self, record: Mapping[str, Any], start: Mapping[str, Any] | None) -> str | None:
        """Why a measurement (`hf_ssl.evaluation.monitor.monitor`) shows a collapse that the features alone do not; or None."""
        return None

    def kept_as_written(self) -> list[nn.Module]:
        """Blocks that are not compiled where the others are (`training.compiled`), because their code changes at every step."""
        return []

    def kept_whole(self) -> list[nn.Module]:
        """Parts that are not divided where the rest is (`training.fsdp`), because they train themselves."""
        return []

    def saved_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Trained parameters and persistent buffers, each storage once."""
        seen: set[int] = set()
        for name, tensor in super().state_dict(keep_vars=True).items():
            if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
                continue
            if tensor.numel() and place_of(tensor) in seen:
                continue
            seen.add(place_of(tensor))
            yield name, tensor.detach()

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        if args or kwargs.get("destination") is not None:
            return super().state_dict(*args, **kwargs)  # a wrapper (DDP) walks through its children
        return {name: whole(tensor) for name, tensor in self.saved_tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what `state_dict` saved.

        Raises:
            RuntimeError: a trained tensor is missing or unknown, whatever `strict` says: a checkpoint that does not
                fit must not be resumed from in silence.
        """
        expected, given = dict(self.saved_tensors()), dict(state_dict)
        if expected.keys() != given.keys():
            missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
            raise RuntimeError(f"checkpoint does not fit: missing {missing[:5]}, unknown {unknown[:5]}")
        self._numbers = {}
        with torch.no_grad():
            for name, tensor in expected.items():
                tensor.copy_(as_divided(given[name], tensor))
        return nn.modules.module._IncompatibleKeys([], [])

    def activation_checkpointing_enable(self, **kwargs: object) -> None:
        """Trade compute for memory; the wrapped model does it."""
        self.model.activation_checkpointing_enable(**kwargs)
        if hasattr(self.model, "enable_input_require_grads"):
            self.model.enable_input_require_grads()  # else nothing reaches adapters below a frozen embedding


def _count(module: TrainingModule, args: tuple[object, ...], kwargs: dict[str, Any]) -> None:
    if module.training:  # left a tensor: reading it here would make a GPU wait at every step
        module.units_seen = module.units_seen + module.count_units(kwargs)


def normalize_loss(
    total: torch.Tensor, own_count: torch.Tensor | int, num_items_in_batch: torch.Tensor | int | None
) -> torch.Tensor:
    """A sum of loss terms over the number of terms of the whole optimizer step (or of this batch when not known)."""
    count = own_count if num_items_in_batch is None else num_items_in_batch
    return total / (count.clamp(min=1) if isinstance(count, torch.Tensor) else max(count, 1))
