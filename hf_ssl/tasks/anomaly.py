"""Series that are not like the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.timeseries.backbones import MASK_NAMES, shown
from hf_ssl.modalities.timeseries.encoder import TimeSeriesEncoder
from hf_ssl.models import structure
from hf_ssl.tasks.base import Task

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality


class Anomaly(Task[TimeSeriesEncoder]):
    """Anomaly scoring by what a model cannot fill in.

    Every patch of a series is hidden once, in `groups` turns of evenly spread patches, and predicted from the rest. The
    score is the mean squared error, in spreads of what was shown, over the worst patches: an anomaly is often short.

    Loss: that error over all patches, of normal examples only. Labels of anomalies serve the metrics and nothing else, so
    a handful of normal examples is enough to train on.

    Reference: reconstruction of hidden parts as anomaly score: Goswami et al. 2024 (MOMENT, arXiv:2402.03885, section 4.3).
    """

    needs: ClassVar = TimeSeriesEncoder
    label_kind: ClassVar = "class"
    primary_metric: ClassVar = "roc_auc"
    metric_names: ClassVar = ("roc_auc", "average_precision")
    training_defaults: ClassVar = {**Task.training_defaults, "learning_rate": 5e-4, "bf16": False}

    @dataclass
    class Config(Task.Config):
        """Options of `anomaly`."""

        normal: str | None = option(None, "Name of the normal class (default: the most frequent).")
        groups: int = option(4, "Turns in which all patches are hidden.", ge=2)
        worst: float = option(0.1, "Share of the patches whose error is the score.", gt=0, le=1)

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self.normal = 0

    @property
    def auto_class(self) -> str:
        return "AutoModelForTimeSeriesPretraining"

    @property
    def pipeline_tag(self) -> str | None:
        return None

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        self.label_names = list(train.features[self.label_column].names)
        counts = np.bincount(np.asarray(train[self.label_column]), minlength=len(self.label_names))
        name = self.config.normal
        if name is not None and name not in self.label_names:
            raise ConfigError(
                f"normal={name!r}, but the classes are {', '.join(self.label_names)}.{nearest(name, self.label_names)}"
            )
        self.normal = int(counts.argmax()) if name is None else self.label_names.index(name)
        if not counts[self.normal]:
            raise DataError(
                f"The training data have no example of the normal class {self.label_names[self.normal]!r}."
            )

    def model_options(self) -> dict[str, Any]:
        return {}

    def forward(self, encoder: TimeSeriesEncoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """`(batch, 2)`: mean error, and score."""
        inner: Any = structure.unwrap_peft(encoder.model)
        name = MASK_NAMES[inner.config.model_type]
        errors = patch_errors(inner, inputs["past_values"], inputs[name], name, self.config.groups)
        counted = torch.isfinite(errors).flatten(1)
        flat = torch.where(counted, errors.flatten(1), torch.zeros_like(counted, dtype=errors.dtype))
        kept = max(1, round(self.config.worst * flat.shape[1]))
        return torch.stack([flat.sum(1) / counted.sum(1).clamp(min=1), flat.topk(kept, dim=1).values.mean(1)], dim=1)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        return (logits[:, 0] * (labels == self.normal)).sum(), len(labels)

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(self.metric_names, scores=logits[:, 1], references=(labels != self.normal).astype(int))

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TimeSeriesEncoder) -> list[Any]:
        """The score of every series; where to draw the line is for its user to say."""
        return [{"prediction": float(score)} for score in logits[:, 1]]

    def comparison_predictions(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TimeSeriesEncoder
    ) -> np.ndarray:
        return logits[:, 1]

    def comparison_references(self, dataset: datasets.Dataset) -> np.ndarray:
        return (np.asarray(dataset[self.label_column]) != self.normal).astype(int)


def patch_errors(
    model: nn.Module, past: torch.Tensor, seen: torch.Tensor, mask_name: str, groups: int
) -> torch.Tensor:
    """Mean squared error of every patch when it is hidden, `(batch, channels, patches)`, NaN where nothing was observed.

    Args:
        model: `PatchTSTForPretraining` or `PatchTSMixerForPretraining`.
        past, seen: `(batch, context, channels)`, values and where they were observed.
        mask_name: what the model calls `seen`.
        groups: patch `i` is hidden in turn `i % groups`, with everything that overlaps it.
    """
    owner: Any = model
    config = owner.config
    length, step = config.patch_length, config.patch_stride
    patches = (past.shape[1] - length) // step + 1
    start = past.shape[1] - (length + step * (patches - 1))
    index = (
        start + step * torch.arange(patches, device=past.device)[:, None] + torch.arange(length, device=past.device)
    )
    found = past.new_full((past.shape[0], past.shape[2], patches), float("nan"))
    for turn in range(groups):
        mine = torch.arange(turn, patches, groups, device=past.device)
        if not len(mine):
            continue
        hidden = torch.zeros(past.shape[1], dtype=torch.bool, device=past.device)
        hidden[index[mine].flatten()] = True
        visible = seen & ~hidden[None, :, None]
        count = visible.sum(dim=1, keepdim=True).clamp(min=1)
        mean = torch.where(visible, past, torch.zeros_like(past)).sum(dim=1, keepdim=True) / count
        with shown(model):
            output = owner.model(past_values=torch.where(visible, past, mean), **{mask_name: visible})
        guess = owner.head(output.last_hidden_state)[:, :, mine]
        truth = ((past - output.loc) / output.scale)[:, start:].unfold(1, length, step).transpose(1, 2)[:, :, mine]
        there = seen[:, start:].unfold(1, length, step).transpose(1, 2)[:, :, mine]
        square = torch.where(there, (guess - truth.clamp(-10, 10)) ** 2, torch.zeros_like(guess))
        number = there.sum(dim=3)
        found[:, :, mine] = torch.where(number > 0, square.sum(dim=3) / number.clamp(min=1), found[:, :, mine])
    return found
