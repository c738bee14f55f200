"""A padded batch of texts, computed without its padding: the backbone sees the real tokens side by side.

Heads and pooling get states where they expect them, `(batch, length, width)`, zero for padding, so nothing else changes.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from hf_ssl.models.attention import sequences

_NAMES = ("input_ids", "token_type_ids")
PLACES, BEGINS = "real_tokens", "cu_seq_lens"
"""Entries of a batch: places of the real tokens in the flat batch, and where each text begins among them."""


def describe_padding(attention_mask: np.ndarray) -> dict[str, torch.Tensor]:
    """`PLACES` and `BEGINS` of a mask `(batch, length)`, made where the lengths are known, so that no device is asked."""
    lengths = attention_mask.sum(1)
    return {
        PLACES: torch.from_numpy(np.flatnonzero(attention_mask)),
        BEGINS: torch.from_numpy(np.append(0, np.cumsum(lengths)).astype(np.int32)),
    }


class PaddingFree:
    """Hooks of a backbone: batches that have `PLACES` are computed without padding, others as ever."""

    def __init__(self, backbone: PreTrainedModel) -> None:
        self.shape, self.places = torch.Size(), torch.empty(0)
        self.names = [*inspect.signature(type(backbone).forward).parameters][1:]
        self.offset = position_offset(backbone.config)
        self._handles = [
            backbone.register_forward_pre_hook(self._flatten, with_kwargs=True),
            backbone.register_forward_hook(self._pad, with_kwargs=True),
        ]

    def remove(self) -> None:
        """Let the backbone be as it was."""
        for handle in self._handles:
            handle.remove()

    def _flatten(
        self, module: PreTrainedModel, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self.shape = torch.Size()
        if kwargs.get(PLACES) is None:
            return None
        kwargs = {**dict(zip(self.names, args, strict=False)), **kwargs}
        places, begins = kwargs.pop(PLACES), kwargs.pop(BEGINS)
        self.shape, self.places = kwargs["input_ids"].shape, places
        flat = {name: kwargs[name].flatten()[places].unsqueeze(0) for name in _NAMES if kwargs.get(name) is not None}
        token = torch.arange(len(places), device=places.device)
        begin = begins.long()[torch.searchsorted(begins.long(), token, right=True) - 1]
        told = sequences(begins, self.shape[1])
        return (), {**kwargs, **flat, **told, "position_ids": (token - begin + self.offset).unsqueeze(0)}

    def _pad(
        self,
        module: PreTrainedModel,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        output: BaseModelOutputWithPooling,
    ) -> BaseModelOutputWithPooling:
        if not self.shape:
            return output
        assert output.last_hidden_state is not None  # every backbone gives it
        output.last_hidden_state = self._padded(output.last_hidden_state)
        if output.hidden_states is not None:
            output.hidden_states = tuple(map(self._padded, output.hidden_states))
        if getattr(output, "pooler_output", None) is not None:  # it read the first text only
            pooler: Any = module.pooler
            output.pooler_output = pooler(output.last_hidden_state)
        return output

    def _padded(self, states: torch.Tensor) -> torch.Tensor:
        flat = states.new_zeros(self.shape.numel(), states.shape[-1])
        return flat.index_copy(0, self.places, states[0]).view(*self.shape, -1)


def position_offset(config: PreTrainedConfig) -> int:
    """First position of a document: RoBERTa's relatives start after the padding index, everybody else at 0."""
    shifted = (
        "roberta",
        "xlm-roberta",
        "camembert",
        "roberta-prelayernorm",
        "mpnet",
        "data2vec-text",
        "longformer",
        "xmod",
    )
    return config.pad_token_id + 1 if config.model_type in shifted else 0
