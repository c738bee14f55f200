"""The frozen network read once: what reaches the last layer of a model, and what else its encoder offers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from hf_ssl.modalities.batching import batches_by_size
from hf_ssl.modalities.encoder import Encoder, Features
from hf_ssl.models.structure import at_work, in_backbone, unwrap_peft
from hf_ssl.tasks.base import TaskModule, last_linear
from hf_ssl.training.trainer import bf16_is_fast

HEAD = "head"
"""Name of the reading that the model's own last layer gets."""
BUDGET = 16_384  # in units of `Encoder.size`: tokens, patches


def settable_layer(module: TaskModule, classes: int) -> nn.Linear | None:
    """The linear layer that answers; None where there is none, or two whose answers are averaged (a distilled DeiT)."""
    layer = last_linear(module.model)
    if layer is None or layer.bias is None or layer.out_features != classes:
        return None
    inner: Any = unwrap_peft(module.model)
    inside = in_backbone(inner)
    found = [
        name
        for name, one in inner.named_modules()
        if isinstance(one, nn.Linear) and one.out_features == classes and not inside(name)
    ]
    return layer if len(found) <= 1 else None


@torch.inference_mode()
def frozen_rows(module: TaskModule, features: list[Features]) -> dict[str, np.ndarray]:
    """Vectors of every example with everything frozen and no dropout.

    Returns:
        `HEAD`: what reaches the last linear layer (the encoder's pooled states where there is none), and the encoder's
        `readings`; float32 `(len(features), width)` each.
    """
    encoder, layer = module.encoder, last_linear(module.model)
    was_training = module.training
    caught: list[torch.Tensor] = []
    handle = None if layer is None else layer.register_forward_hook(lambda _, given, out: caught.append(given[0]))
    found: dict[str, np.ndarray] = {}
    module.eval()
    try:
        with at_work(module) as device, in_bf16(encoder, device), _all_states(encoder) as states:
            for rows in batches_by_size([encoder.size(feature) for feature in features], BUDGET):
                bare = [
                    {name: value for name, value in features[row].items() if name not in ("labels", "soft_labels")}
                    for row in rows
                ]
                batch = {name: one.to(device) for name, one in module.task.collate_inputs(encoder, bare).items()}
                caught.clear()
                states.clear()
                if layer is None:
                    vectors = {HEAD: encoder.features(batch)}
                else:
                    module(**batch)
                    vectors = {HEAD: caught[0]}  # of an answer averaged over views: the example itself
                for name, part in {**vectors, **encoder.readings(batch, states)}.items():
                    array = part.float().cpu().numpy()
                    if name not in found:
                        found[name] = np.empty((len(features), array.shape[1]), np.float32)
                    found[name][rows] = array
    finally:
        if handle is not None:
            handle.remove()
        module.train(was_training)
    return found


def in_bf16(encoder: Encoder, device: torch.device) -> torch.autocast:
    """An autocast for reading a frozen network, on where the kind of data suffers nothing and the machine gains."""
    return torch.autocast(device.type, torch.bfloat16, enabled=reads_in_bf16(encoder))


def reads_in_bf16(encoder: Encoder) -> bool:
    """Whether a frozen network is read in bfloat16: its heads are fitted on such vectors and answer on others as well."""
    return encoder.reads_in_bf16 and bf16_is_fast()


@contextlib.contextmanager
def _all_states(encoder: Encoder) -> Iterator[list[torch.Tensor]]:
    """Within, the states of all layers in the backbone's first pass since the list was emptied; none where nobody reads them.

    They come from the pass that the head is read from anyway, so that more readings cost no second one.
    """
    seen: list[torch.Tensor] = []
    if not encoder.reads_states:
        yield seen
        return

    def note(module: nn.Module, given: object, output: Any) -> None:
        if not seen:
            seen.extend(getattr(output, "hidden_states", None) or ())

    backbone: Any = encoder.backbone
    before = getattr(backbone.config, "output_hidden_states", False)
    handle = backbone.register_forward_hook(note)
    backbone.config.output_hidden_states = True
    try:
        yield seen
    finally:
        backbone.config.output_hidden_states = before
        handle.remove()
