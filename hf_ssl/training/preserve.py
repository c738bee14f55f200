"""Keep what the start knew: a term beside any objective's loss that holds the backbone's states near those of the frozen start."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.training.module import LossOutput, TrainingModule


class Preservation:
    """Adds `weight * mean(1 - cos(h, h_start))` to a module's loss, over all states of the backbone's last layer.

    The frozen copy sees what the backbone sees, so the term fits every objective (masked, cropped, packed). It is feature distillation
    from the start itself (Li and Hoiem 2018, Learning without Forgetting, arXiv:1606.09282; on features as in Heo et al. 2019,
    arXiv:1904.01866). The copy is no part of the module: neither trained nor saved.

    Args:
        module: whose loss is to have the term.
        backbone: the network inside it that is held, before it is trained.
        weight: of the term beside the loss, which is a mean over an optimizer step.
    """

    def __init__(self, module: TrainingModule, backbone: nn.Module, weight: float) -> None:
        self.module, self.weight = module, weight
        self.start = frozen_copy(backbone)
        self._apart: list[torch.Tensor] = []
        self._batch: Mapping[str, Any] = {}
        module.register_forward_pre_hook(self._look, with_kwargs=True)
        backbone.register_forward_hook(self._compare, with_kwargs=True)
        module.register_forward_hook(self._add, with_kwargs=True)

    def _look(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._batch = kwargs

    def _compare(self, backbone: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not (backbone.training and torch.is_grad_enabled()):
            return
        states = last_states(output)
        if next(self.start.parameters()).device != states.device:
            self.start.to(states.device)
        with torch.no_grad():
            wanted, counted = self.module.states_kept(last_states(self.start(*args, **kwargs)), self._batch)
        if states.numel() != wanted.numel() or not states.numel():
            return
        states = states.view_as(wanted)
        apart = 1 - functional.cosine_similarity(states.float(), wanted.float(), dim=1 if states.dim() == 4 else -1)
        self._apart.append(apart.mean() if counted is None else (apart * counted).sum() / counted.sum().clamp(min=1))

    def _add(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: LossOutput) -> LossOutput:
        apart, self._apart, self._batch = self._apart, [], {}
        if output.loss is None or not apart or not module.training:
            return output
        labels, whole = kwargs["labels"], kwargs.get("num_items_in_batch")
        share = 1.0 if whole is None else (labels != -100).sum() / whole
        output.loss = output.loss + self.weight * share * torch.stack(apart).mean()
        return output


def frozen_copy(backbone: nn.Module) -> nn.Module:
    """The network as it is, neither trained nor with the hooks that others have put on it."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")
    kept = [(one, name, getattr(one, name)) for one in backbone.modules() for name in names]
    try:
        for one, name, hooks in kept:
            setattr(one, name, type(hooks)())
        return copy.deepcopy(backbone).requires_grad_(False).eval()
    finally:
        for one, name, hooks in kept:
            setattr(one, name, hooks)


def last_states(output: Any) -> torch.Tensor:
    """What a backbone gives of its last layer: `(batch, positions, width)`, or `(batch, channels, height, width)` of a map."""
    found = getattr(output, "last_hidden_state", None)
    if found is None:
        found = output[0] if isinstance(output, (tuple, list)) else next(iter(output.values()))
    assert isinstance(found, torch.Tensor)
    return found
