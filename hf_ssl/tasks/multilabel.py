"""Any number of labels per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.batching import brought
from hf_ssl.modalities.encoder import Encoder, Features
from hf_ssl.tasks.base import Task
from hf_ssl.tasks.heads import by_class

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder


class MultiLabel(Task[Encoder]):
    """Multi-label classification: an independent yes or no for every label.

    Loss: binary cross-entropy with logits, mean over examples and labels, optionally with positives weighted by their
    rarity.
    """

    label_kind: ClassVar = "multilabel"
    is_default: ClassVar = True
    problem_type: ClassVar = "multi_label_classification"
    primary_metric: ClassVar = "multilabel_f1_macro"
    metric_names: ClassVar = (
        "multilabel_accuracy",
        "multilabel_f1_macro",
        "multilabel_f1_micro",
        "roc_auc",
        "average_precision",
    )

    @dataclass
    class Config(Task.Config):
        """Options of `multilabel`."""

        positive_weight: bool = option(False, "Weight positives by (negatives / positives), at most 100.")
        threshold: float = option(0.5, "Probability from which a label is given.", gt=0, lt=1)

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self.weights: torch.Tensor | None = None

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        targets = np.asarray(train[self.label_column], dtype=np.float32)
        if targets.ndim != 2:
            raise DataError(
                "multilabel needs a list of labels per example; give --label_kind multilabel when loading."
            )
        self.label_names = list(label_names or (f"label_{i}" for i in range(targets.shape[1])))
        if self.config.positive_weight:
            positives = targets.sum(0)
            self.weights = torch.from_numpy(
                np.clip((len(targets) - positives) / np.maximum(positives, 1), 1e-2, 100.0)
            )

    def collate_labels(self, features: Sequence[Features], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.tensor(np.asarray([feature["labels"] for feature in features], dtype=np.float32))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        weights = self.weights = None if self.weights is None else brought(self.weights, logits.device)
        total = functional.binary_cross_entropy_with_logits(
            logits, labels.float(), pos_weight=weights, reduction="sum"
        )
        return total, labels.numel()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        chosen = (chances >= self.config.threshold).astype(int)
        return metrics.compute(self.metric_names, predictions=chosen, scores=chances, references=labels.astype(int))

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> list[Any]:
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        names = np.array(self.label_names)
        return [
            {
                "prediction": "|".join(names[row >= self.config.threshold]), "probability": float(row.max()),
                "probabilities": by_class(self.label_names, row),
            }
            for row in chances
        ]  # fmt: skip

    def comparison_predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> np.ndarray:
        return (1 / (1 + np.exp(-logits.astype(np.float64))) >= self.config.threshold).astype(int)

    def comparison_references(self, dataset: datasets.Dataset) -> np.ndarray:
        return self.probe_targets(dataset)

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray:
        return np.asarray(dataset[self.label_column], dtype=int)
