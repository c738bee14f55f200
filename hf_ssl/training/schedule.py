"""Which parameter moves when, and how fast: warm-up of the head, ramp, layer decay."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from transformers import TrainingArguments


@dataclass
class Schedule:
    """Learning rates over time, by part of the model.

    A new head starts at random: were the backbone to move with it from the first step, it would follow noise. So for
    the first `head_warmup` of the steps the head learns alone; over the next `ramp` the backbone's rate rises; then
    both follow `decay`. The shape is a pure function of the step, so a resumed run continues it exactly.

    Args:
        depth: parameter name to layer number (embeddings 0), or None for the head.
        layers: number of the topmost layer; each layer below it gets `layer_decay` of the rate above.
        head_learning_rate: peak rate of the head.
        rows: name of a table of embeddings to its new rows: they learn with the head while the old ones stand still.
    """

    depth: dict[str, int | None] = field(default_factory=dict)
    layers: int = 0
    head_warmup: float = 0.0
    ramp: float = 0.1
    decay: str = "linear"
    layer_decay: float = 1.0
    head_learning_rate: float | None = None
    rows: dict[str, list[int]] = field(default_factory=dict)

    def factor(self, step: int, total: int, head: bool) -> float:
        """Multiple of the peak rate at a step."""
        hold = 0 if head else round(self.head_warmup * total)
        rise = max(1, round(self.ramp * total))
        if step < hold:
            return 0.0
        if step < hold + rise:
            return (step - hold + 1) / (rise + 1)
        progress = (step - hold - rise) / max(1, total - hold - rise)
        if self.decay == "linear":
            return max(0.0, 1.0 - progress)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))) if self.decay == "cosine" else 1.0

    def held(self, step: int, total: int) -> bool:
        """Whether the backbone stands still at a step."""
        return step < round(self.head_warmup * total)


# Positions, layer scales and the tokens that stand before patches, as transformers and timm call them.
_NOT_DECAYED = (
    "position", "pos_embed", "layer_scale", "cls_token", "mask_token", "register_tokens", "distillation_token",
    "reg_token", "dist_token",
)  # fmt: skip


def parameter_groups(module: nn.Module, schedule: Schedule, args: TrainingArguments) -> list[dict[str, Any]]:
    """TrainingModule parameters grouped by layer, head or not, and weight decay or not (none on vectors and embeddings of positions)."""
    groups: dict[tuple[int | None, bool, bool], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = schedule.depth.get(name, schedule.layers)
        decayed = parameter.ndim > 1 and not any(word in name for word in _NOT_DECAYED)
        table = name in schedule.rows  # its decay would move the old rows while they should stand still
        decayed = decayed and not table
        key = (layer, decayed, table)
        if key not in groups:
            head = layer is None
            rate = args.learning_rate * schedule.layer_decay ** (0 if layer is None else schedule.layers - layer)
            if head and schedule.head_learning_rate is not None:
                rate = schedule.head_learning_rate
            groups[key] = {
                "params": [],
                "lr": rate,
                "weight_decay": args.weight_decay if decayed else 0.0,
                "head": head,
                "warm": (schedule.head_learning_rate or args.learning_rate) / rate if table else 0.0,
            }
        groups[key]["params"].append(parameter)
    order = sorted(groups, key=lambda key: (key[0] is None, key[0] or 0, *key[1:]))
    return [groups[key] for key in order]
