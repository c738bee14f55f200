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
Places = tuple[torch.Tensor, ...]


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
    def only(self, wanted: torch.Tensor, places: Places | None = None) -> Iterator[None]:
        """Inside, the block returns `(1, wanted positions, width)` for `wanted`, a bool tensor `(batch, length)`.

        `places` is its `nonzero(as_tuple=True)`, where that is known.
        """
        block, whole = self.block, self.block.forward
        own = {name: block.__dict__[name] for name in ("forward", "gradient_checkpointing") if name in block.__dict__}
        block.forward = partial(self._forward, whole, wanted, places or wanted.nonzero(as_tuple=True))
        block.gradient_checkpointing = False  # it would run on the way back, when `forward` is the old one again
        try:
            yield
        finally:
            del block.forward, block.gradient_checkpointing
            block.__dict__.update(own)

    def _forward(
        self, whole: Whole, wanted: torch.Tensor, places: Places, hidden: torch.Tensor, mask: torch.Tensor | None = None,
        *args: object, **rest: object,
    ) -> torch.Tensor:  # fmt: skip
        if self.agrees is None and len(places[0]):
            self.agrees = self._compare(whole, wanted, places, hidden, mask, *args, **rest)
        if not self.agrees:
            return whole(hidden, mask, *args, **rest)[places].unsqueeze(0)
        return _at(self.block, wanted, places, hidden, mask).unsqueeze(0)

    @torch.no_grad()
    def _compare(
        self, whole: Whole, wanted: torch.Tensor, places: Places, hidden: torch.Tensor, mask: torch.Tensor | None,
        *args: object, **rest: object,
    ) -> bool:  # fmt: skip
        hidden = hidden.float()
        try:
            with structure.evaluating(self.block), torch.autocast(hidden.device.type, enabled=False):
                expected = whole(hidden, mask, *args, **rest)[places]
                found = _at(self.block, wanted, places, hidden, mask)
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


def _at(
    block: Any, wanted: torch.Tensor, at: Places, hidden: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:  # fmt: skip
    """The block's output at `wanted`, `(wanted positions, width)`, row by row as `output[wanted]` has them."""
    attention = block.attention.self
    counts = wanted.sum(dim=1)
    # The wanted positions of each row come first, in order; rows with fewer are filled with positions that are dropped. One
    # column at least: attention over no position at all has no shape.
    places = wanted.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, : max(int(counts.max()), 1)]
    kept = at[0], wanted.cumsum(1)[at] - 1  # as numbers: an index by a mask makes a GPU's host wait
    rows = torch.arange(len(places), device=places.device).unsqueeze(1)
    asking = hidden[rows, places]

    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    if mask is not None:
        mask = mask.expand(len(rows), -1, -1, -1)[rows, :, places].transpose(1, 2)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(
        attention.config._attn_implementation, sys.modules[type(block).__module__].eager_attention_forward
    )
    context, _ = attend(
        attention,
        heads(attention.query(asking)),
        heads(attention.key(hidden)),
        heads(attention.value(hidden)),
        mask,
        dropout=attention.dropout.p if block.training else 0.0,
        scaling=attention.scaling,
    )
    attended = block.attention.output(context.flatten(2)[kept], asking[kept])
    return block.output(block.intermediate(attended), attended)
