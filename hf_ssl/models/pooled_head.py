"""A linear head on the mean of a text encoder's states, written into the stock class that reads the first token.

`BertForSequenceClassification` and its like give their head the first token. Sentence encoders are made to be read by the
mean over tokens, and a probe on the first token of one loses a third of its quality. The mean is not lost to the stock
class: one more encoder layer can compute it exactly. Its queries and keys are zero, so every token attends to all unmasked
tokens alike; values are the identity; the output projection is a large multiple of the identity, so that the residual
drowns and layer normalization leaves the normalized mean; the feed-forward part is zero. The dense layer of the head
becomes (nearly) the identity within the linear part of its activation. What comes out loads with plain transformers.

Whether a family allows it is not looked up in a table but tried: the layer is appended, and its answer compared with the
mean on made-up tokens. Encoders with shared layers or with position terms inside attention fail that test, and keep the
head they have.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.models.structure import block_stacks, evaluating, find_backbone, in_backbone

GAIN = 1e4
"""Factor on the mean against the residual: what is left of the token's own state is 1 / GAIN of it."""
TOLERANCE = 2e-3
"""Largest relative error of a logit that a head may have to be accepted; float32 reaches 1e-4."""
# (factor, shift) on the way through the head's activation: nearly 0 for tanh, far on the linear side for ReLU and GELU.
_LINEAR_PARTS = ((1e-3, 0.0), (1.0, 30.0))
_ATTENTION_INPUT = re.compile(r"(query|key|value|[qkv]_(lin|proj))$")


@dataclass(frozen=True)
class PooledHead:
    """How a classifier's head is written so that it answers `linear(normalize(mean of the states))`.

    Args:
        stack: name of the list of encoder layers.
        dense: name of the square layer between encoder and last layer.
        linear: name of the last layer, `(classes, width)`.
        scale, shift: what reaches `linear` is `scale * pooled + shift`.
    """

    stack: str
    dense: str
    linear: str
    scale: float
    shift: float

    @classmethod
    def find(cls, model: nn.Module) -> PooledHead | None:
        """The way that works for this model, proved on made-up tokens; None where there is none. Changes nothing."""
        names = _names(model)
        if names is None:
            return None
        stack, dense, linear = names
        before = {name: module for name, module in ((n, model.get_submodule(n)) for n in names)}
        kept = copy.deepcopy(before[dense].state_dict()), copy.deepcopy(before[linear].state_dict())
        try:
            for scale, shift in _LINEAR_PARTS:
                head = cls(stack, dense, linear, scale, shift)
                if head._works(model):
                    return head
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError):
            return None  # a layer that is built otherwise than those this was made for
        finally:
            before[dense].load_state_dict(kept[0])
            before[linear].load_state_dict(kept[1])
        return None

    def pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What a probe has to be fitted on: the mean over unmasked tokens, normalized over its width, `(batch, width)`.

        Args:
            states: the encoder's last hidden states `(batch, tokens, width)`.
            mask: 1 for real tokens `(batch, tokens)`.
        """
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return functional.layer_norm(mean.float(), mean.shape[-1:])

    def logits(self, model: nn.Module, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The answer while training: the last layer directly on the pooled states, `(batch, classes)`."""
        linear = _linear(model, self.linear)
        return linear(self.pool(states, mask).to(linear.weight.dtype))

    def write(self, model: nn.Module) -> None:
        """Put it into the model: one more layer, and the head's weights so that the stock `forward` gives `logits`.

        The last layer must hold the weights that `logits` was trained with; they are rescaled.
        """
        with torch.no_grad():
            layers = model.get_submodule(self.stack)
            assert isinstance(layers, nn.ModuleList)
            layers.append(_mean_layer(layers[-1]))
            _count_layers(model, len(layers))
            dense, linear = _linear(model, self.dense), _linear(model, self.linear)
            nn.init.eye_(dense.weight).mul_(self.scale)
            dense.bias.fill_(self.shift)
            linear.bias.sub_(linear.weight.sum(1) * (self.shift / self.scale))
            linear.weight.div_(self.scale)

    @torch.no_grad()
    def _works(self, model: nn.Module) -> bool:
        """Write it, compare on made-up tokens, and take the layer away again."""
        layers, linear = model.get_submodule(self.stack), _linear(model, self.linear)
        assert isinstance(layers, nn.ModuleList)
        generator = torch.Generator().manual_seed(0)
        linear.weight.copy_(torch.randn(linear.weight.shape, generator=generator) / math.sqrt(linear.weight.shape[1]))
        linear.bias.copy_(torch.randn(linear.bias.shape, generator=generator))
        config: Any = model.config
        size = int(config.vocab_size)
        ids = torch.randint(min(5, size - 1), size, (4, 9), generator=generator).to(linear.weight.device)
        mask = torch.ones_like(ids)
        mask[1, 5:], mask[2, 1:] = 0, 0
        _, backbone = find_backbone(model)
        with evaluating(model):
            wanted = self.logits(model, backbone(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
            count = len(layers)
            try:
                self.write(model)
                got = model(input_ids=ids, attention_mask=mask).logits
            finally:
                del layers[count:]
                _count_layers(model, count)
        return bool((got - wanted).abs().max() <= TOLERANCE * wanted.abs().max())


def _names(model: nn.Module) -> tuple[str, str, str] | None:
    """Stack of layers, the square layer of the head, the last layer; None where that is not what the model has."""
    stacks = block_stacks(model)
    config: Any = getattr(model, "config", None)
    if len(stacks) != 1 or not isinstance(stacks[0][1], nn.ModuleList) or not hasattr(config, "vocab_size"):
        return None
    stack = stacks[0][0]
    inside, width = in_backbone(model), int(getattr(config, "hidden_size", 0) or getattr(config, "dim", 0))
    linears = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear) and m.bias is not None]
    last = [name for name, m in linears if not inside(name) and m.in_features == width]
    square = [
        name
        for name, m in linears
        if m.in_features == m.out_features == width and not name.startswith(f"{stack}.") and "embed" not in name
    ]
    if not last or last[-1] == (square[0] if square else "") or len(square) != 1:
        return None
    return stack, square[0], last[-1]


def _linear(model: nn.Module, name: str) -> nn.Linear:
    """A layer by name; that of a head that PEFT trains a copy of is the copy."""
    found: Any = model.get_submodule(name)
    return found


def _mean_layer(last: nn.Module) -> nn.Module:
    """A copy of an encoder layer that answers the normalized mean of its inputs at every token."""
    layer = copy.deepcopy(last)
    width = max(m.in_features for m in layer.modules() if isinstance(m, nn.Linear) and m.in_features == m.out_features)
    projections = 0
    for name, module in layer.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.fill_(0.0)
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.Linear):
            module.bias.fill_(0.0)
            matched = _ATTENTION_INPUT.search(name)
            if matched is not None and matched[0].startswith("v"):
                nn.init.eye_(module.weight)
            elif matched is None and module.in_features == module.out_features == width:
                nn.init.eye_(module.weight).mul_(GAIN)
                projections += 1
            else:  # queries and keys, and the feed-forward part
                module.weight.fill_(0.0)
    if projections != 1:
        raise ValueError("not one output projection")
    return layer


def _count_layers(model: nn.Module, count: int) -> None:
    for config in _configs(model):
        for name in ("num_hidden_layers", "n_layers"):
            if name in config.__dict__:
                setattr(config, name, count)


def _configs(model: nn.Module) -> Iterator[object]:
    seen: set[int] = set()
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and id(config) not in seen:
            seen.add(id(config))
            yield config
