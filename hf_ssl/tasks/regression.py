"""A number per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.encoder import Encoder, Features
from hf_ssl.tasks.base import Task, TaskModule, TaskRows, as_float_labels, head_inputs, last_linear

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder


class Regression(Task[Encoder]):
    """Regression: one real number per example.

    Loss: squared error in units of the training targets' variance, so that learning rates do not depend on whether the
    target is in grams or tonnes. The scale is folded into the head's last layer, so the model answers in the target's
    own unit.
    """

    label_kind: ClassVar = "regression"
    is_default: ClassVar = True
    problem_type: ClassVar = "regression"
    primary_metric: ClassVar = "spearman"
    metric_names: ClassVar = ("mae", "rmse", "pearson", "spearman")

    def __init__(self, config: Task.Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self.mean, self.spread = 0.0, 1.0

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        targets = np.asarray(train[self.label_column], dtype=np.float64)
        if not np.isfinite(targets).all():
            raise DataError(f"{int((~np.isfinite(targets)).sum())} training targets are not finite numbers.")
        if targets.std() == 0:
            raise DataError(f"All training targets are {targets[0]:g}; there is nothing to learn.")
        self.mean, self.spread = float(targets.mean()), float(targets.std())
        self.label_names = ["value"]

    def collate_labels(self, features: Sequence[Features], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return as_float_labels([float(feature["labels"]) for feature in features])

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        return (((logits.squeeze(-1) - labels) / self.spread) ** 2).sum(), len(labels)

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(self.metric_names, predictions=logits.reshape(-1), references=labels)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> list[Any]:
        return [{"prediction": float(value)} for value in logits.reshape(-1)]

    def answers(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder, limits: np.ndarray | None = None
    ) -> list[dict[str, Any]]:
        """The value, and (with `limits`) the interval that holds the true one as often as was asked for."""
        rows = self.predictions(logits, dataset, encoder)
        if limits is not None:
            for row in rows:
                row |= {"low": row["prediction"] - float(limits), "high": row["prediction"] + float(limits)}
        return rows

    def calibration_scores(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Absolute errors."""
        return np.abs(logits.reshape(-1) - labels)

    def comparison_predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> np.ndarray:
        return logits.reshape(-1)

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray:
        return np.asarray(dataset[self.label_column], dtype=np.float64)

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        """Ridge regression on frozen features; it also puts the answers on the target's scale."""
        from sklearn.linear_model import RidgeCV

        layer = last_linear(module.model)
        if layer is None or layer.bias is None or layer.out_features != 1:
            return None
        inputs, labels = head_inputs(module, rows)
        center, scale = inputs.mean(0), inputs.std(0).mean() + 1e-8
        fitted = RidgeCV(alphas=np.logspace(-1, 5, 13)).fit((inputs - center) / scale, labels)
        weight = fitted.coef_ / scale
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.reshape(1, -1).astype(np.float32)))
            layer.bias.fill_(float(fitted.intercept_ - weight @ center))
        return f"head starts from ridge regression on {len(labels)} frozen examples"
