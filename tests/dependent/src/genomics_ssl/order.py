"""An objective of one's own: was the sequence left as it is, or were its halves exchanged?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import datasets
import torch
from torch import nn
from torch.nn import functional

from genomics_ssl.dna import DnaEncoder
from hf_ssl import Encoder, LossOutput, Objective, Rows, example_rng, normalize_loss


class WindowOrder(Objective):
    """Predicts whether the two halves of a sequence stand in their order.

    Formula: `-log p(exchanged | vector)`, a linear layer on the pooled vector.
    """

    needs: ClassVar[type[Encoder]] = DnaEncoder
    paper: ClassVar[str] = "none: an example"
    training_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "per_device_train_batch_size": 8}

    @dataclass
    class Config:
        """Options of `WindowOrder`."""

        exchanged: float = field(default=0.5, metadata={"help": "Share of the sequences whose halves are exchanged."})

    config: Config

    def __init__(self, encoder: Encoder, config: Config) -> None:
        super().__init__(encoder, config)
        self.head = nn.Linear(encoder.width, 2)

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> Rows:
        return HalfRows(list(dataset[self.encoder.modality.column]), self.config.exchanged, seed, training)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        features = self.encoder.preprocess([sequence for sequence, _ in rows])
        return {**self.encoder.collate(features), "labels": torch.tensor([label for _, label in rows])}

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | int:
        return batch["attention_mask"].sum()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> LossOutput:
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        logits = self.head(self.encoder.features(batch))
        return LossOutput(
            loss=normalize_loss(
                functional.cross_entropy(logits, labels, reduction="sum"), len(labels), num_items_in_batch
            )
        )


class HalfRows(Rows):
    """Sequences, some with their halves exchanged, drawn anew each epoch."""

    def __init__(self, sequences: list[str], share: float, seed: int, training: bool) -> None:
        super().__init__(seed, training)
        self.sequences, self.share = sequences, share

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[str, int]:
        sequence = self.sequences[index]
        if example_rng(self.seed, self.key, index).random() >= self.share:
            return sequence, 0
        half = len(sequence) // 2
        return sequence[half:] + sequence[:half], 1
