"""One grade per example, of grades that have an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.encoder import Encoder, Features
from hf_ssl.tasks.base import Task, TaskModule, TaskRows
from hf_ssl.tasks.heads import by_class, set_head, softmax

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder


class Ordinal(Task[Encoder]):
    """Ordinal classification: grades 0 to K - 1 of a disease, stars, age groups. Chosen with `--task ordinal`.

    Loss: binary cross-entropy over the K - 1 questions "is the grade above k?" (CORAL, Cao et al. 2020,
    arXiv:1901.07884, eq. 4): `-sum_k [y > k] log P(> k) + [y <= k] log P(<= k)`. A grade two steps off costs two
    questions, not one. Each P is a sum of the upper part of one softmax over grades, so the K - 1 answers never
    contradict each other (what CORAL shares weights for), and the result is an ordinary classifier.

    Answer: the median grade, the highest k with P(>= k) above one half, which has the least expected absolute error. The
    transformers pipeline shows the likeliest grade: the same wherever one grade has more than half of the probability.

    The order is that of numbers where all names are numbers, else `order` says it.
    """

    label_kind: ClassVar = "class"
    problem_type: ClassVar = "single_label_classification"
    primary_metric: ClassVar = "quadratic_kappa"
    metric_names: ClassVar = ("quadratic_kappa", "mae", "accuracy", "f1_macro")

    @dataclass
    class Config(Task.Config):
        """Options of `ordinal`."""

        order: list[str] | None = option(None, "Grades from least to most: low,medium,high.")

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self._grade = np.zeros(0, dtype=np.int64)  # of every class number of the data

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        names = list(train.features[self.label_column].names)
        order = self.config.order or (names if all(map(_is_number, names)) else None)
        if order is None:
            raise DataError(f"The order of {_shown(names)} is not known. Give --order, least first: low,medium,high.")
        order = [str(name) for name in order]
        if sorted(order) != sorted(names):
            stray = [name for name in order if name not in names]
            hint = nearest(stray[0], names) if stray else ""
            raise DataError(
                f"order must name every grade of the data once: {_shown(names)}; got {_shown(order)}.{hint}"
            )
        self._grade = np.array([order.index(name) for name in names])
        self.label_names = order
        if len(np.unique(self.probe_targets(train))) < 2:
            raise DataError("The training labels are all one grade; two are needed to learn.")

    def take_labels(self, names: Sequence[str]) -> None:
        super().take_labels(names)
        self._grade = np.arange(len(names))

    def collate_labels(self, features: Sequence[Features], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.from_numpy(self._grade[[int(feature["labels"]) for feature in features]])

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        chances = torch.log_softmax(logits, dim=-1)
        upto = torch.logcumsumexp(chances, dim=-1)[:, :-1]  # log P(<= k)
        above = torch.logcumsumexp(chances.flip(-1), dim=-1).flip(-1)[:, 1:]  # log P(> k)
        more = labels.unsqueeze(1) > torch.arange(upto.shape[1], device=labels.device)
        return -torch.where(more, above, upto).sum(), len(labels)

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(self.metric_names, predictions=median_grade(logits), references=labels)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> list[Any]:
        chances, grades = softmax(logits), median_grade(logits)
        return [
            {
                "prediction": self.label_names[grade],
                "probability": float(row[grade]),
                "probabilities": by_class(self.label_names, row),
            }
            for row, grade in zip(chances, grades, strict=True)
        ]

    def comparison_predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: Encoder) -> np.ndarray:
        return median_grade(logits)

    def comparison_references(self, dataset: datasets.Dataset) -> np.ndarray:
        return self.probe_targets(dataset)

    def probe_targets(self, dataset: datasets.Dataset) -> np.ndarray:
        return self._grade[np.asarray(dataset[self.label_column])]

    def warm_start(self, module: TaskModule, rows: TaskRows) -> str | None:
        return set_head(module, rows, len(self.label_names))


def median_grade(logits: np.ndarray) -> np.ndarray:
    """The first grade whose probability together with all lower ones reaches one half, `(rows,)`."""
    return (softmax(logits).cumsum(-1) >= 0.5 - 1e-9).argmax(-1)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
