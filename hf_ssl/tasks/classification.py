"""One class per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.errors import ConfigError, DataError
from hf_ssl.evaluation import metrics
from hf_ssl.tasks.base import Task, TaskModule, TaskRows, head_inputs, last_linear

if TYPE_CHECKING:
    import datasets


class Classification(Task):
    """Single-label classification of texts, images, clips.

    Loss: cross-entropy, optionally weighted by class and focal: `-w_y (1 - p_y)^gamma log p_y` (Lin et al. 2017).

    The new head starts from logistic regression on frozen features and is then trained with the rest: fine-tuning from
    a random head distorts good features first and fits second (LP-FT, Kumar et al. 2022, arXiv:2202.10054).
    """

    label_kind: ClassVar = "class"
    problem_type: ClassVar = "single_label_classification"
    primary_metric: ClassVar = "f1_macro"
    metric_names: ClassVar = ("accuracy", "f1_macro", "f1_micro", "matthews_correlation", "calibration_error")

    learns_from_pool: ClassVar = True

    @dataclass
    class Config(Task.Config):
        """Options of `classification`."""

        class_weight: Literal["none", "balanced"] = field(
            default="none", metadata={"help": "Weight classes by their rarity."}
        )
        focal_gamma: float = field(default=0.0, metadata={"help": "Focus on hard examples (0: plain cross-entropy)."})
        label_smoothing: float = field(default=0.0, metadata={"help": "Share of the target spread over all classes."})
        mixup: float = field(
            default=0.0, metadata={"help": "Pictures: mix pairs; parameter of the Beta draw, 0: off."}
        )
        cutmix: float = field(default=0.0, metadata={"help": "Pictures: paste a part of another, likewise."})

    def __init__(self, config: Any, modality: Any) -> None:
        super().__init__(config, modality)
        self.weights: torch.Tensor | None = None
        self._mixture: tuple[torch.Tensor, float] | None = None

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        feature = train.features[self.label_column]
        self.label_names = list(feature.names)
        counts = np.bincount(np.asarray(train[self.label_column]), minlength=len(self.label_names))
        if (counts > 0).sum() < 2:
            raise DataError(
                f"The training labels are all {self.label_names[int(counts.argmax())]!r}; two classes are needed to learn."
            )
        if self.config.class_weight == "balanced":
            # Inverse frequency, scaled so that the mean weight over the training set is 1: the loss keeps its size.
            inverse = np.where(counts > 0, counts.sum() / np.maximum(counts, 1) / (counts > 0).sum(), 0.0)
            self.weights = torch.tensor(inverse, dtype=torch.float32)

    def forward(self, model: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self._mixture = None
        if model.training and (self.config.mixup or self.config.cutmix):
            inputs, self._mixture = mixed(inputs, self.config.mixup, self.config.cutmix)
        return super().forward(model, inputs)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        terms = self._terms(logits, labels)
        if self._mixture is not None:
            other, share = self._mixture
            terms = share * terms + (1 - share) * self._terms(logits, labels[other])
        return terms.sum(), len(labels)

    def _terms(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = self.weights.to(logits.device) if self.weights is not None else None
        terms = functional.cross_entropy(
            logits, labels, weight=weights, reduction="none", label_smoothing=self.config.label_smoothing
        )
        if self.config.focal_gamma:
            chance = torch.softmax(logits, dim=-1).gather(1, labels.unsqueeze(1)).squeeze(1)
            terms = terms * (1 - chance) ** self.config.focal_gamma
        return terms

    def soft_loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The same loss with a weight for every class: one-hot targets give `loss`."""
        smoothing, classes = self.config.label_smoothing, logits.shape[-1]
        targets = (1 - smoothing) * targets + smoothing * targets.sum(-1, keepdim=True) / classes
        terms = -targets * torch.log_softmax(logits, dim=-1)
        if self.weights is not None:
            terms = terms * self.weights.to(logits.device)
        if self.config.focal_gamma:
            terms = terms * (1 - torch.softmax(logits, dim=-1)) ** self.config.focal_gamma
        return terms.sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(
            self.metric_names, predictions=logits.argmax(-1), scores=softmax(logits), references=labels
        )

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, processor: Any) -> list[Any]:
        chances = softmax(logits)
        return [
            {"prediction": self.label_names[int(row.argmax())], "probability": float(row.max())} for row in chances
        ]

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray:
        return np.asarray(dataset[self.label_column])

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        layer = last_linear(module.model)
        if layer is None or layer.bias is None or layer.out_features != len(self.label_names):
            return None
        inputs, labels = head_inputs(module, rows)
        weight, bias, note = fit_head(inputs, labels, len(self.label_names))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        return note


def mixed(
    inputs: dict[str, torch.Tensor], mixup: float, cutmix: float
) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, float]]:
    """Mix every picture of a batch with another one (mixup, Zhang et al. 2018; cutmix, Yun et al. 2019).

    Args:
        inputs: with `pixel_values` `(batch, channels, height, width)`.
        mixup, cutmix: parameter of the symmetric Beta distribution of the shares; where both are on, a coin decides.

    Returns:
        The mixed inputs, and who was mixed in `(batch,)` with the share of the original. Drawn from torch's global
        generator, whose state is part of a checkpoint.

    Raises:
        ConfigError: the inputs are no pictures.
    """
    if "pixel_values" not in inputs:
        raise ConfigError("mixup and cutmix are for pictures; set both to 0.")
    pixels = inputs["pixel_values"]
    cut = bool(cutmix) and (not mixup or bool(torch.rand(()) < 0.5))
    concentration = torch.full((2,), cutmix if cut else mixup)
    share = float(torch.distributions.Beta(*concentration).sample())
    other = torch.randperm(len(pixels), device=pixels.device)
    if not cut:
        return {**inputs, "pixel_values": pixels.lerp(pixels[other], 1 - share)}, (other, share)
    height, width = pixels.shape[-2:]
    rows, columns = round(height * (1 - share) ** 0.5), round(width * (1 - share) ** 0.5)
    top, left = (int(torch.randint(0, space + 1, ())) for space in (height - rows, width - columns))
    pasted = pixels.clone()
    area = (..., slice(top, top + rows), slice(left, left + columns))
    pasted[area] = pixels[other][area]
    return {**inputs, "pixel_values": pasted}, (other, 1 - rows * columns / (height * width))


def fit_head(inputs: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Multinomial logistic regression as weights of a linear layer; classes without examples get a low bias.

    Returns:
        weight `(classes, width)`, bias `(classes,)`, and a note.
    """
    from sklearn.linear_model import LogisticRegression

    # Inputs that hardly differ (a network with random weights) would need weights so large that the first step of
    # training throws every answer over: below a fiftieth of their size, differences count as noise.
    mean = inputs.mean(0)
    spread = max(inputs.std(0).mean(), 0.02 * np.sqrt(np.square(inputs).mean()), 1e-8)
    fitted = LogisticRegression(C=1.0, max_iter=500).fit((inputs - mean) / spread, labels)
    weight = np.zeros((classes, inputs.shape[1]), dtype=np.float32)
    bias = np.full(classes, -10.0, dtype=np.float32)
    present = fitted.classes_
    if len(present) == 2:  # scikit-learn keeps one row for two classes
        rows, offsets = (
            np.concatenate([-fitted.coef_, fitted.coef_]) / 2,
            np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2,
        )
    else:
        rows, offsets = fitted.coef_, fitted.intercept_
    weight[present] = rows / spread
    bias[present] = offsets - (rows / spread) @ mean
    return weight, bias, f"head starts from logistic regression on {len(labels)} frozen examples"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(-1, keepdims=True)
