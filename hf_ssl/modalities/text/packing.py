"""Rows of text without padding: documents side by side in one row, each seeing only itself.

Padding wastes up to half of a BERT batch (Krell et al. 2021). Here documents are cut to the model's window, placed into
rows of equal length by best fit, and isolated by attention that is told where each document begins (or a block-diagonal
mask) and positions that restart with every document, so a packed row gives each token the state it has alone.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hf_ssl.modalities.batching import Asked
from hf_ssl.modalities.text.encoder import affixes
from hf_ssl.modalities.text.padding_free import position_offset
from hf_ssl.modalities.text.tokens import Tokens
from hf_ssl.models.attention import BLOCKS, MASK, OWN, SEQUENCES, pays, sequences

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


__all__ = ["Pieces", "best_fit", "collate_rows", "isolated", "isolation_masks", "position_offset"]


class Pieces:
    """Tokenized documents, cut into windows: views of the tokens, wherever these lie.

    Nothing is dropped: the tokens of all pieces of a text, put together, are the tokens of the text.

    Args:
        tokens: of every document.
        names: a stable name of every document; the pieces' names, what their masks are keyed on, are made from them.
        tokenizer: gives the special tokens that every piece begins and ends with.
        max_length: of a piece, special tokens included.
    """

    def __init__(
        self, tokens: Tokens, names: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.tokens, self.names = tokens, names
        self.before, self.after = affixes(tokenizer)
        self.room = max_length - len(self.before) - len(self.after)
        lengths = tokens.ids.lengths
        counts = -(-lengths // self.room)
        self.document = np.repeat(np.arange(len(lengths)), counts)
        self.number = np.arange(len(self.document)) - np.repeat(np.cumsum(counts) - counts, counts)
        whole = np.minimum(self.room, lengths[self.document] - self.number * self.room)
        self.lengths = whole + len(self.before) + len(self.after)

    def __len__(self) -> int:
        return len(self.document)

    def key(self, piece: int) -> str:
        """The name of a piece."""
        return f"{self.names[self.document[piece]]}/{self.number[piece]}"

    def piece(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of one piece, and for each the number of its word, -1 for special tokens."""
        document, begin = int(self.document[piece]), int(self.number[piece]) * self.room
        ids, words = (part[document][begin : begin + self.room] for part in (self.tokens.ids, self.tokens.words))
        no_word_before, no_word_after = np.full(len(self.before), -1), np.full(len(self.after), -1)
        return (
            np.concatenate([self.before, ids, self.after]).astype(np.int32),
            np.concatenate([no_word_before, words, no_word_after]).astype(np.int32),
        )


def best_fit(lengths: np.ndarray, row_length: int) -> list[list[int]]:
    """Place pieces into rows: longest first, each into the fullest row that still has room (best-fit decreasing)."""
    rows: list[list[int]] = []
    open_rows: list[tuple[int, int]] = []  # (room left, row number), sorted
    for piece in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[piece])
        place = bisect.bisect_left(open_rows, (length, -1))
        if place < len(open_rows):
            room, row = open_rows.pop(place)
        else:
            room, row = row_length, len(rows)
            rows.append([])
        rows[row].append(piece)
        if room - length > 0:
            bisect.insort(open_rows, (room - length, row))
    return rows


def collate_rows(
    rows: Sequence[dict[str, np.ndarray]], pad_id: int, *, fixed: bool = False, with_sequences: bool = False
) -> dict[str, torch.Tensor]:
    """Stack rows of `input_ids`, `labels`, `position_ids` and `document` (number of the piece within the row).

    Args:
        fixed: shapes are rounded up, so that few of them occur (compiled code, CUDA graphs).
        with_sequences: also say where each document begins.

    Returns:
        `input_ids`, `labels` (-100 where nothing is predicted), `position_ids`, `document` (-1 for padding), each
        `(batch, longest row)`; `asked` and `kept`, see `Asked`; `cu_seq_lens` int32 `(documents + 1,)`, places in the flat
        batch, what pads a row counted as a document.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    longest = -(-longest // 64) * 64 if fixed else longest
    fill = {"input_ids": pad_id, "labels": -100, "position_ids": 0, "document": -1}
    batch = {name: np.full((len(rows), longest), value, dtype=np.int64) for name, value in fill.items()}
    for number, row in enumerate(rows):
        for name in fill:
            batch[name][number, : len(row["input_ids"])] = row[name]
    asked = Asked.of(batch["labels"] != -100, fixed)
    made = {name: torch.from_numpy(array) for name, array in batch.items()}
    made |= {"asked": asked.columns, "kept": asked.kept}
    if with_sequences:
        begins = np.diff(batch["document"], prepend=-2, axis=1) != 0
        begins[:, 0] = True
        made["cu_seq_lens"] = torch.from_numpy(np.append(np.flatnonzero(begins), begins.size).astype(np.int32))
    return made


def isolated(
    model: PreTrainedModel,
    way: str,
    document: torch.Tensor,
    position_ids: torch.Tensor,
    cu_seq_lens: torch.Tensor | None,
) -> dict[str, Any]:
    """What tells a model that a token sees its own document only, in one of the ways of `hf_ssl.models.attention`."""
    if way == SEQUENCES and cu_seq_lens is not None and pays(model, document.device):
        return sequences(cu_seq_lens, document.shape[1])
    if way == BLOCKS:
        return {"attention_mask": isolation_blocks(model, document, position_ids)}
    return {"attention_mask": isolation_masks(model, document, position_ids)}


def isolation_masks(model: nn.Module, document: torch.Tensor, position_ids: torch.Tensor) -> Any:
    """Attention masks that let a token see its own document only.

    Args:
        model: the backbone; one with sliding-window layers (ModernBERT) gets one mask for each kind of layer.
        document: `(batch, length)`, number of the document a token belongs to, -1 for padding (padding sees padding,
            so that no row of the attention matrix is empty).
        position_ids: `(batch, length)`.

    Returns:
        a boolean (SDPA) or additive (eager) mask `(batch, 1, length, length)`, or a dict of them by kind of layer.
    """
    same = document.unsqueeze(2) == document.unsqueeze(1)
    config: Any = model.config
    full = _as_expected(config, same.unsqueeze(1))
    if not _slides(config):
        return full
    distance = (position_ids.unsqueeze(2) - position_ids.unsqueeze(1)).abs()
    near = same & (distance <= config.sliding_window)
    return {"full_attention": full, "sliding_attention": _as_expected(config, near.unsqueeze(1))}


def isolation_blocks(model: nn.Module, document: torch.Tensor, position_ids: torch.Tensor) -> Any:
    """`isolation_masks` for flex attention, which skips blocks of 128 by 128 pairs that see nothing."""
    from torch.nn.attention.flex_attention import create_block_mask

    config: Any = model.config

    def same(row: torch.Tensor, head: torch.Tensor, asking: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return document[row, asking] == document[row, seen]

    def near(row: torch.Tensor, head: torch.Tensor, asking: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        distance = (position_ids[row, asking] - position_ids[row, seen]).abs()
        return same(row, head, asking, seen) & (distance <= config.sliding_window)

    size, length, device = *document.shape, document.device
    mods = {"full_attention": same, **({"sliding_attention": near} if _slides(config) else {})}
    made = {kind: create_block_mask(mod, size, None, length, length, device=str(device)) for kind, mod in mods.items()}
    return made if _slides(config) else made["full_attention"]


def _slides(config: PreTrainedConfig) -> bool:
    return "sliding_attention" in (getattr(config, "layer_types", None) or ())


def _as_expected(config: PreTrainedConfig, allowed: torch.Tensor) -> torch.Tensor:
    if config._attn_implementation in (MASK, OWN):
        return allowed
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
