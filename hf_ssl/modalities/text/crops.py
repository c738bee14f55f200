"""Random crops of texts, cut from tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.modalities.encoder import Batch, Features
from hf_ssl.modalities.text.encoder import TextEncoder, affixes, window

if TYPE_CHECKING:
    import datasets


class TokenCrops:
    """Cuts random pieces from texts that were tokenized once.

    Args:
        encoder: whose tokenizer it is.
        length: longest piece in tokens, with special ones.
        shortest, longest: of a piece, as shares of its text.
    """

    def __init__(self, encoder: TextEncoder, length: int | None, shortest: float, longest: float) -> None:
        self.encoder, self.shortest, self.longest = encoder, shortest, longest
        self.before, self.after = affixes(encoder.processor)
        self.room = (length or window(encoder.processor, 128)) - len(self.before) - len(self.after)

    def store(self, dataset: datasets.Dataset) -> Sequence[np.ndarray]:
        """Token ids of every text, without special ones."""
        return self.encoder.tokens(dataset).ids

    def cut(self, tokens: np.ndarray, rng: np.random.Generator) -> Features:
        """A random piece; texts of few tokens stay nearly whole."""
        longest = max(1, min(self.room, int(self.longest * len(tokens))))
        shortest = max(1, min(longest, int(self.shortest * len(tokens))))
        length = int(rng.integers(shortest, longest + 1))
        start = int(rng.integers(0, max(0, len(tokens) - length) + 1))
        return self.framed(tokens[start : start + length])

    def framed(self, tokens: np.ndarray) -> Features:
        """Tokens with special ones around them."""
        return {"input_ids": np.concatenate([self.before, tokens, self.after]).astype(np.int64)}

    def batch(self, items: Sequence[np.ndarray], rngs: Sequence[np.random.Generator]) -> Batch:
        """One piece of every text."""
        return self.encoder.collate([self.cut(tokens, rng) for tokens, rng in zip(items, rngs, strict=True)])
