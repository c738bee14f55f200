"""The last block of a BERT-shaped encoder, computed only at the positions whose states are used.

Keys and values of the last block need every token; its queries, its output projection and its feed-forward network, five
sixths of its matrix products, only need the tokens that something is predicted from. With 15 % of the tokens masked and
six blocks, that leaves out an eighth of the encoder's work; states and gradients are the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hf_ssl.modalities.batching import Asked
from hf_ssl.models import structure

# What a block of BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, data2vec-text and their relatives is made of.
_SHAPE = {
    "": {"attention", "intermediate", "output"},
    "attention": {"self", "output"},
    "attention.self": {"query", "key", "value", "dropout"},
    "attention.output": {"dense", "LayerNorm", "dropout"},
    "output": {"dense", "LayerNorm", "dropout"},
}

Whole = Callable[..., torch.Tensor]


class LastBlock:
    """Lets the last block of `backbone` answer for chosen positions only, where that block has BERT's shape.

    The shape is recognized by the names of the parts. That parts of the same names also compute the same is tried on the
    first batch, where both ways must agree; a block that does otherwise keeps its own way for good.
    """

    def __init__(self, backbone: nn.Module) -> None:
        blocks = structure.blocks(backbone)
        self.block: Any = blocks[-1][1] if blocks and _is_bert(blocks[-1][1]) else None
        self.agrees: bool | None = None

    @contextmanager
    def only(self, asked: Asked) -> Iterator[None]:
        """Inside, the block returns `(1, positions, width)`: what was asked for."""
        block, whole = self.block, self.block.forward
        own = {name: block.__dict__[name] for name in ("forward", "gradient_checkpointing") if name in block.__dict__}
        block.forward = partial(self._forward, whole, asked)
        block.gradient_checkpointing = False  # it would run on the way back, when `forward` is the old one again
        try:
            yield
        finally:
            del block.forward, block.gradient_checkpointing
            block.__dict__.update(own)

    def _forward(
        self, whole: Whole, asked: Asked, hidden: torch.Tensor, mask: torch.Tensor | None = None, *args: object,
        **rest: object,
    ) -> torch.Tensor:  # fmt: skip
        if self.agrees is None and len(asked.kept):
            self.agrees = self._compare(whole, asked, hidden, mask, *args, **rest)
        if not self.agrees:
            return asked.taken(whole(hidden, mask, *args, **rest)).unsqueeze(0)
        return _at(self.block, asked, hidden, mask, **rest).unsqueeze(0)

    @torch.no_grad()
    def _compare(
        self,
        whole: Whole,
        asked: Asked,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        *args: object,
        **rest: object,
    ) -> bool:
        hidden = hidden.float()
        try:
            with structure.evaluating(self.block), torch.autocast(hidden.device.type, enabled=False):
                expected = asked.taken(whole(hidden, mask, *args, **rest))
                found = _at(self.block, asked, hidden, mask, **rest)
        except (AttributeError, RuntimeError, TypeError):
            return False
        tolerance = 1e-2 * expected.abs().max()  # TF32 has three digits; another computation is wrong in the first
        return found.shape == expected.shape and bool((found - expected).abs().max() <= tolerance)


def _is_bert(block: nn.Module) -> bool:
    for name, parts in _SHAPE.items():
        try:
            part = block.get_submodule(name)
        except AttributeError:
            return False
        if {child for child, _ in part.named_children()} != parts:
            return False
    attention: Any = block.get_submodule("attention.self")
    return (
        not getattr(attention, "is_causal", True)
        and all(hasattr(attention, name) for name in ("attention_head_size", "scaling", "config"))
        and next(block.parameters()).dtype == torch.float32
    )


def _at(block: Any, asked: Asked, hidden: torch.Tensor, mask: torch.Tensor | None, **rest: object) -> torch.Tensor:
    """The block's output where it was asked for, `(positions, width)`, row after row."""
    attention = block.attention.self
    # Where no mask says who sees whom, every token asks: a kernel takes whole sequences.
    by_mask = rest.get("cu_seq_lens_q") is None and (mask is None or isinstance(mask, torch.Tensor))
    rows, columns = asked.grid
    asking = hidden[rows, columns] if by_mask else hidden

    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    if by_mask and mask is not None:
        mask = mask.expand(len(rows), -1, -1, -1)[rows, :, columns].transpose(1, 2)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(
        attention.config._attn_implementation, sys.modules[type(block).__module__].eager_attention_forward
    )
    context, _ = attend(
        attention, heads(attention.query(asking)), heads(attention.key(hidden)), heads(attention.value(hidden)), mask,
        dropout=attention.dropout.p if block.training else 0.0, scaling=attention.scaling,
        **({} if by_mask else rest),
    )  # fmt: skip
    parts = [context.flatten(2), asking]
    context, asking = [part.flatten(0, 1)[asked.kept] if by_mask else asked.taken(part) for part in parts]
    attended = block.attention.output(context, asking)
    return block.output(block.intermediate(attended), attended)
