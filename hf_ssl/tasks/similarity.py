"""How alike two sentences are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hf_ssl.core.errors import DataError
from hf_ssl.core.fields import option
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.tasks.base import Task, as_float_labels
from hf_ssl.training.gather import gathered

if TYPE_CHECKING:
    import datasets


class Similarity(Task[TextEncoder]):
    """Sentence similarity with one encoder: cosine of two pooled vectors against a gold score.

    Loss: CoSENT (Su 2022), `log(1 + sum over pairs i, j with gold_i < gold_j of exp(20 (cos_i - cos_j)))`: only the
    order of the scores counts, not their unit. The result is a plain `AutoModel` encoder.

    Needs: columns `text`, `text_pair` and a numeric `label`.
    """

    needs: ClassVar = TextEncoder
    label_kind: ClassVar = "regression"
    primary_metric: ClassVar = "spearman"
    metric_names: ClassVar = ("pearson", "spearman")

    @dataclass
    class Config(Task.Config):
        """Options of `similarity`."""

        pooling: str | None = option(None, "mean, cls or max (default: the checkpoint's own).")
        scale: float = option(20.0, "Inverse temperature of the CoSENT loss.", gt=0)

    config: Config

    @property
    def pooling(self) -> str | None:
        return self.config.pooling

    @property
    def auto_class(self) -> str:
        return "AutoModel"

    @property
    def pipeline_tag(self) -> str:
        return "feature-extraction"

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        if "text_pair" not in train.column_names:
            raise DataError("similarity needs two texts per row: name the second with --text_pair_column.")
        if len(set(train[self.label_column])) < 2:
            raise DataError("All pairs have the same score; there is no order to learn.")

    def model_options(self) -> dict[str, Any]:
        return {}

    def encode(self, encoder: TextEncoder, dataset: datasets.Dataset) -> list[dict[str, Any]]:
        limit = self.max_length(encoder)
        first = encoder.preprocess(list(dataset["text"]), limit)
        second = encoder.preprocess(list(dataset["text_pair"]), limit)
        rows: list[dict[str, Any]] = [{"first": a, "second": b} for a, b in zip(first, second, strict=True)]
        if self.label_column in dataset.column_names:
            for row, label in zip(rows, dataset[self.label_column], strict=True):
                row["labels"] = float(label)
        return rows

    def collate_inputs(self, encoder: TextEncoder, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Both texts of a pair follow each other: rows 0 and 1 are the first pair."""
        return encoder.collate([side for pair in features for side in (pair["first"], pair["second"])])

    def collate_labels(self, features: Sequence[dict[str, Any]], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return as_float_labels([feature["labels"] for feature in features])

    def forward(self, encoder: TextEncoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Cosine of every pair, `(pairs, 1)`; both sides go through the encoder in one batch."""
        vectors = encoder.features(inputs)
        left, right = vectors[0::2], vectors[1::2]
        return torch.cosine_similarity(left.float(), right.float()).unsqueeze(1)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        # Every rank computes the loss over the pairs of all; weighting it by the rank's share makes the sum that loss once.
        cosines, gold = gathered(logits)[0].squeeze(1), gathered(labels.unsqueeze(1))[0].squeeze(1)
        return cosent(cosines, gold, self.config.scale) * len(labels), len(labels)

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        return metrics.compute(self.metric_names, predictions=logits.reshape(-1), references=labels)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TextEncoder) -> list[Any]:
        return [{"prediction": float(value)} for value in logits.reshape(-1)]

    def comparison_predictions(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: TextEncoder
    ) -> np.ndarray:
        return logits.reshape(-1)

    def zero_shot(self, encoder: TextEncoder, dataset: datasets.Dataset) -> np.ndarray:
        """Cosine of the two frozen vectors: nothing has to be learned to answer."""
        encoder = encoder.replace(pooling=self.pooling)
        first, second = (
            encoder.embed(dataset[column], max_length=self.max_length(encoder)) for column in ("text", "text_pair")
        )
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        return (first * second).sum(1) / np.maximum(norms, 1e-12)

    def baseline_predictions(self, train: datasets.Dataset, test: datasets.Dataset) -> tuple[str, np.ndarray]:
        """Cosine of TF-IDF vectors, the word weights counted on the training pairs."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True).fit([*train["text"], *train["text_pair"]])
        first, second = (vectorizer.transform(test[column]) for column in ("text", "text_pair"))
        return "TF-IDF cosine", np.asarray(first.multiply(second).sum(axis=1)).ravel()


def cosent(cosines: torch.Tensor, gold: torch.Tensor, scale: float) -> torch.Tensor:
    """CoSENT loss.

    Args:
        cosines: `(pairs,)`, predicted similarity.
        gold: `(pairs,)`, the order that is wanted.
        scale: inverse temperature.

    Returns:
        scalar.
    """
    wrong_way = (cosines.unsqueeze(1) - cosines.unsqueeze(0)) * scale  # [i, j]: how much i is above j
    wrong_way = wrong_way.masked_fill(gold.unsqueeze(1) >= gold.unsqueeze(0), float("-inf"))
    return torch.logsumexp(torch.cat([cosines.new_zeros(1), wrong_way.flatten()]), dim=0)
