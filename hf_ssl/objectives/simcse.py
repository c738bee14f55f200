"""Contrastive learning of sentence and document vectors without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Batch, Features
from hf_ssl.modalities.text.crops import TokenCrops
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.objectives import losses
from hf_ssl.objectives.base import Objective, ViewRows, row_keys
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets


class SimCSE(Objective):
    """Contrastive learning: two views of a text are closer to each other than to other texts of the batch.

    Predicts: which vector of the batch is the other view of the same text.

    Formula: InfoNCE, `-log exp(cos(a_i, b_i) / t) / sum_j exp(cos(a_i, b_j) / t)`, mean over both directions.

    Reference: views by dropout: Gao et al. 2021 (SimCSE, arXiv:2104.08821). Views by two independent crops of a
    document: Izacard et al. 2022 (Contriever, arXiv:2112.09118).

    Needs: dropout in the model for `view="dropout"`; texts longer than a sentence for `view="crop"`.

    Inputs: `input_ids`, `attention_mask` `(2 x texts, length)`, the two views of text `i` at `2i` and `2i + 1`;
    `labels` `(texts,)`, which only counts the loss terms.

    Both views go through the encoder in one forward pass. Negatives are the other texts of the micro-batch on all
    processes: a larger `per_device_train_batch_size` gives more of them, gradient accumulation does not.

    Example:

        objective = SimCSE(Text().load("sentence-transformers/all-MiniLM-L6-v2"), SimCSE.Config(view="crop"))
    """

    needs: ClassVar = TextEncoder
    paper: ClassVar = "Gao et al. 2021, SimCSE (arXiv:2104.08821)"
    training_defaults: ClassVar = {
        "learning_rate": 2e-5, "num_train_epochs": 1, "per_device_train_batch_size": 64, "weight_decay": 0.01,
        "max_grad_norm": 1.0, "dataloader_drop_last": True,
    }  # fmt: skip

    @dataclass
    class Config(Options):
        """Options of `simcse`."""

        view: Literal["dropout", "crop"] = option(
            "crop", "Two dropout masks of the same text, or two crops of a document."
        )
        temperature: float = option(0.05, "Temperature of the softmax over cosines.", gt=0)
        pooling: str | None = option(None, "mean, cls or max (default: the checkpoint's own).")
        max_length: int | None = option(None, "Longest view in tokens (default: at most 128).", ge=1)
        shortest: float = option(
            0.2, "Shortest crop, as a share of the text; the longest is half of it.", gt=0, le=0.5
        )

    encoder: TextEncoder
    config: Config

    def __init__(self, encoder: TextEncoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        self.crops = TokenCrops(encoder, config.max_length, config.shortest, 0.5)
        if config.view == "crop":
            set_dropout(self.model, 0.0)
        elif not any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in self.model.modules()):
            raise ConfigError("view=dropout needs a model with dropout; this one has none. Use --view crop.")

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> ViewRows:
        store = self.crops.store(dataset)
        return ViewRows(store, row_keys(dataset), seed=seed, training=training)

    def _view(self, tokens: np.ndarray, rng: np.random.Generator) -> Features:
        """A random crop, or the beginning of the text."""
        if self.config.view == "crop":
            return self.crops.cut(tokens, rng)
        return self.crops.framed(tokens[: self.crops.room])

    def random_view(self, items: Sequence[np.ndarray], rngs: Sequence[np.random.Generator]) -> Batch | None:
        if self.config.view == "dropout":
            return None
        return self.encoder.collate([self._view(tokens, rng) for tokens, rng in zip(items, rngs, strict=True)])

    def collate(self, rows: Sequence[tuple[np.ndarray, np.random.Generator]]) -> Batch:
        batch = self.encoder.collate([self._view(tokens, rng) for tokens, rng in rows for _ in range(2)])
        return {**batch, "labels": torch.arange(len(rows))}

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return batch["attention_mask"].sum()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        was_training = self.model.training
        if self.config.view == "dropout":
            self.model.train()  # the views differ by dropout alone, in evaluation too
        vectors = self.encoder.features({"input_ids": input_ids, "attention_mask": attention_mask})
        self.model.train(was_training)
        total = losses.info_nce(vectors[0::2], vectors[1::2], self.config.temperature)
        return LossOutput(loss=normalize_loss(total, len(labels), num_items_in_batch))
