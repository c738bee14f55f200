"""A task of one's own: classes weighted by the square root of their rarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import datasets
import numpy as np
import torch
from torch.nn import functional

from hf_ssl import Encoder, Task


class RareClass(Task[Encoder]):
    """One class per example; a class with a quarter of the examples counts twice."""

    label_kind: ClassVar[str] = "class"
    problem_type: ClassVar[str | None] = "single_label_classification"
    primary_metric: ClassVar[str] = "balanced_accuracy"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train, label_names)
        self.label_names = list(train.features[self.label_column].names)
        counts = np.bincount(np.asarray(train[self.label_column]), minlength=len(self.label_names))
        self.weights = torch.tensor(1 / np.sqrt(np.maximum(counts, 1)), dtype=torch.float32)
        self.weights /= self.weights.mean()

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | int]:
        terms = functional.cross_entropy(logits, labels, weight=self.weights.to(logits.device), reduction="sum")
        return terms, len(labels)

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        right = logits.argmax(-1) == labels
        return {
            "accuracy": float(right.mean()),
            "balanced_accuracy": float(np.mean([right[labels == label].mean() for label in np.unique(labels)])),
        }

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> list[Any]:
        return [{"prediction": self.label_names[int(row.argmax())]} for row in logits]
