"""Denoising: a whole text must be rebuilt from the one vector of its damaged copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.batching import places_of, taken
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.text.encoder import TextEncoder, affixes, window
from hf_ssl.objectives.base import Objective, Rows, row_keys
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets


class TSDAE(Objective):
    """Sequential denoising auto-encoder for sentence vectors.

    Predicts: every token of the original text, one after the other, from the vector of a copy with 60 % of its words
    deleted.

    Formula: mean over tokens of `-log p(x_t | x_<t, vector(damaged x))`.

    Reference: Wang et al. 2021 (TSDAE, arXiv:2104.06979). Different here: the decoder is one small Transformer layer
    that sees the vector as its only memory, so that any encoder can be adapted (the paper's decoder is a copy of the
    encoder with its layers tied, which only a few architectures allow). Word embeddings are tied both ways.

    Needs: nothing but an encoder.

    Inputs: `input_ids`, `attention_mask` `(texts, damaged length)`; `target_ids`, `labels` `(texts, length)`; `kept`,
    places of the labels in the flat batch.

    Example:

        objective = TSDAE(Text().load("google-bert/bert-base-uncased"), TSDAE.Config(deletion=0.6))
    """

    needs: ClassVar = TextEncoder
    paper: ClassVar = "Wang et al. 2021, TSDAE (arXiv:2104.06979)"
    training_defaults: ClassVar = {
        "learning_rate": 3e-5, "num_train_epochs": 1, "per_device_train_batch_size": 16, "weight_decay": 0.0,
        "max_grad_norm": 1.0,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `tsdae`."""

        deletion: float = option(0.6, "Share of the tokens deleted from the encoder's input.", gt=0, lt=1)
        pooling: str | None = option(None, "mean, cls or max (default: the checkpoint's own).")
        max_length: int | None = option(None, "Longest text in tokens (default: at most 128).", ge=1)
        predicted: float = option(
            0.25,
            "Share of the positions whose loss is computed; 1 is the paper's, a part is an unbiased estimate.",
            gt=0,
            le=1,
        )

    encoder: TextEncoder
    config: Config

    def __init__(self, encoder: TextEncoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        model = self.model
        set_dropout(model, 0.0)
        self.max_length = config.max_length or window(encoder.processor, 128)
        embedding: Any = model.get_input_embeddings()
        width = embedding.embedding_dim
        heads = max(head for head in (1, 2, 4, 6, 8, 12, 16) if width % head == 0)
        self.memory = nn.Linear(self.encoder.width, width)
        self.position = nn.Embedding(self.max_length, width)
        self.decoder = nn.TransformerDecoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        # There is one memory, so its attention weight is 1 whatever the query is: normalizing the query does nothing.
        self.decoder.add_module("norm2", nn.Identity())
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        nn.init.normal_(self.position.weight, std=0.02)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> DamagedRows:
        return DamagedRows(self.encoder.tokens(dataset).ids, row_keys(dataset), self, seed=seed, training=training)

    def collate(self, rows: Sequence[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        batch = self.encoder.collate([{"input_ids": row["damaged"]} for row in rows])
        longest = max(len(row["target"]) for row in rows)
        target = np.full((len(rows), longest), self.encoder.processor.pad_token_id, dtype=np.int64)
        labels = np.full((len(rows), longest - 1), -100, dtype=np.int64)
        for number, row in enumerate(rows):
            target[number, : len(row["target"])] = row["target"]
            labels[number, : len(row["labels"])] = row["labels"]
        return {
            **batch,
            "target_ids": torch.from_numpy(target),
            "labels": torch.from_numpy(labels),
            "kept": places_of(labels != -100),
        }

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return (batch["target_ids"] != self.encoder.processor.pad_token_id).sum()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        target_ids: torch.Tensor,
        labels: torch.Tensor,
        kept: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        vector = self.encoder.features({"input_ids": input_ids, "attention_mask": attention_mask})
        embedding: Any = self.model.get_input_embeddings()
        shown = target_ids[:, :-1]
        length = shown.shape[1]
        states = embedding(shown) + self.position.weight[:length]
        future = torch.ones(length, length, dtype=torch.bool, device=shown.device).triu(1)
        states = self.norm(self.decoder(states, self.memory(vector).unsqueeze(1), tgt_mask=future, tgt_is_causal=True))
        logits = functional.linear(taken(states, kept), embedding.weight, self.bias)
        loss = functional.cross_entropy(logits.float(), taken(labels, kept), reduction="sum")
        return LossOutput(loss=normalize_loss(loss, (labels != -100).sum(), num_items_in_batch))


class DamagedRows(Rows):
    """A text and its copy with words deleted, damaged anew each epoch."""

    def __init__(
        self, tokens: Sequence[np.ndarray], keys: list[str], objective: TSDAE, *, seed: int, training: bool
    ) -> None:
        super().__init__(seed, training)
        self.keys = keys
        self.config = objective.config
        self.before, self.after = affixes(objective.encoder.processor)
        self.room = objective.max_length - len(self.before) - len(self.after)
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        tokens = self.tokens[index][: self.room].astype(np.int64)
        rng = example_rng(self.seed, self.key, self.keys[index])
        kept = tokens[rng.random(len(tokens)) >= self.config.deletion]
        if not len(kept):
            kept = tokens[int(rng.integers(len(tokens)))][None] if len(tokens) else tokens
        target = np.concatenate([self.before, tokens, self.after]).astype(np.int64)
        labels = target[1:].copy()
        labels[rng.random(len(labels)) >= self.config.predicted] = -100
        return {
            "damaged": np.concatenate([self.before, kept, self.after]).astype(np.int64),
            "target": target,
            "labels": labels,
        }
