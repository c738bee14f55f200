"""One class per example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.figures import confusion_matrix
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.batching import brought
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.tasks.base import Task, TaskModule, TaskRows
from hf_ssl.tasks.heads import by_class, set_head, softmax

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder


class Classification(Task[Encoder]):
    """Single-label classification of texts, images, clips.

    Loss: cross-entropy, optionally weighted by class and focal: `-w_y (1 - p_y)^gamma log p_y` (Lin et al. 2017).

    The new head starts from logistic regression on frozen features and is then trained with the rest: fine-tuning from
    a random head distorts good features first and fits second (LP-FT, Kumar et al. 2022, arXiv:2202.10054).
    """

    label_kind: ClassVar = "class"
    is_default: ClassVar = True
    problem_type: ClassVar = "single_label_classification"
    primary_metric: ClassVar = "f1_macro"
    metric_names: ClassVar = (
        "accuracy",
        "f1_macro",
        "f1_macro_present",
        "f1_micro",
        "matthews_correlation",
        "calibration_error",
    )

    learns_from_pool: ClassVar = True

    @dataclass
    class Config(Task.Config):
        """Options of `classification`."""

        class_weight: Literal["none", "balanced"] = option("none", "Weight classes by their rarity.")
        focal_gamma: float = option(0.0, "Focus on hard examples (0: plain cross-entropy).", ge=0)
        label_smoothing: float = option(0.0, "Share of the target spread over all classes.", ge=0, lt=1)
        mixup: float = option(0.0, "Pictures: mix pairs; parameter of the Beta draw, 0: off.", ge=0)
        cutmix: float = option(0.0, "Pictures: paste a part of another, likewise.", ge=0)
        tta: Literal["none", "flip", "crops"] = option(
            "none", "Pictures, at evaluation: average over mirror images; or over five crops too."
        )

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
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

    def forward(self, encoder: Encoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self._mixture = None
        if encoder.model.training and (self.config.mixup or self.config.cutmix):
            inputs, self._mixture = mixed(inputs, self.config.mixup, self.config.cutmix)
        logits = super().forward(encoder, inputs)
        if encoder.model.training or self.config.tta == "none":
            return logits
        views = other_views(inputs, self.config.tta)
        answers = [logits, *(super(Classification, self).forward(encoder, view) for view in views)]
        chances = torch.stack([torch.log_softmax(answer.float(), dim=-1) for answer in answers])
        return chances.logsumexp(dim=0) - math.log(len(chances))  # the logarithm of the mean probability

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        terms = self._terms(logits, labels)
        if self._mixture is not None:
            other, share = self._mixture
            terms = share * terms + (1 - share) * self._terms(logits, labels[other])
        return terms.sum(), len(labels)

    def _terms(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = self.weights = None if self.weights is None else brought(self.weights, logits.device)
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
            self.weights = brought(self.weights, logits.device)
            terms = terms * self.weights
        if self.config.focal_gamma:
            terms = terms * (1 - torch.softmax(logits, dim=-1)) ** self.config.focal_gamma
        return terms.sum()

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(
            self.metric_names, predictions=logits.argmax(-1), scores=softmax(logits), references=labels
        )

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> list[Any]:
        return [
            {"prediction": self.label_names[int(row.argmax())], "probability": float(row.max()), "probabilities": by_class(self.label_names, row)}
            for row in softmax(logits)
        ]  # fmt: skip

    def answers(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder, limits: np.ndarray | None = None
    ) -> list[dict[str, Any]]:
        """The class, its probability, those of all classes, and (with `limits`) the classes that cannot be excluded."""
        rows = self.predictions(logits, dataset, encoder)
        for row in rows:
            if limits is not None:
                likely = sorted(row["probabilities"], key=lambda name: -row["probabilities"][name])
                kept = [name for name in likely if 1 - row["probabilities"][name] <= float(limits)]
                row["plausible"] = kept or [row["prediction"]]
        return rows

    def calibration_scores(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What the true class lacks of certainty (Sadinle et al. 2019, arXiv:1609.00451): least ambiguous sets of classes."""
        return 1 - softmax(logits)[np.arange(len(labels)), labels.astype(int)]

    def figures(
        self, logits: np.ndarray, labels: np.ndarray, dataset: datasets.Dataset, encoder: Encoder
    ) -> dict[str, str]:
        """Which classes are taken for which."""
        return {"confusion_matrix": confusion_matrix(logits.argmax(-1), labels, self.label_names)}

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray:
        return np.asarray(dataset[self.label_column])

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        return set_head(module, rows, len(self.label_names))


def other_views(inputs: dict[str, torch.Tensor], kind: str) -> Iterator[dict[str, torch.Tensor]]:
    """What an answer is averaged over besides the pictures themselves (Krizhevsky et al. 2012, section 4.1).

    Args:
        inputs: with `pixel_values` `(batch, channels, height, width)`.
        kind: `"flip"`, the mirror images; `"crops"`, also four corners and the center, each 7/8 of the sides and brought
            back to the full size, and their mirror images.

    Raises:
        ConfigError: the inputs are no pictures.
    """
    if "pixel_values" not in inputs:
        raise ConfigError("tta is for pictures; set it to none.")
    pixels = inputs["pixel_values"]
    yield {**inputs, "pixel_values": pixels.flip(-1)}
    if kind == "flip":
        return
    height, width = pixels.shape[-2:]
    rows, columns = height * 7 // 8, width * 7 // 8
    down, right = height - rows, width - columns
    for top, left in ((0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)):
        part = pixels[..., top : top + rows, left : left + columns]
        crop = functional.interpolate(part, (height, width), mode="bilinear", antialias=True)
        yield {**inputs, "pixel_values": crop}
        yield {**inputs, "pixel_values": crop.flip(-1)}


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
