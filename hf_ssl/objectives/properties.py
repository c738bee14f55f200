"""Predict what can be computed from the input itself: n-grams, edges, bands, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import Options, option
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.objectives.base import Rows
from hf_ssl.objectives.single_view import Item, NumberedRows, SingleViewObjective
from hf_ssl.training.module import LossOutput, normalize_loss

if TYPE_CHECKING:
    import datasets

LARGEST = 4.0  # spreads: a target further out is cut, so that one odd example is not the whole gradient


class PropertyRows(Rows):
    """Rows with what is to be predicted of every example.

    Args:
        rows: the examples.
        targets: `(examples, properties)` float32.
    """

    def __init__(self, rows: NumberedRows, targets: np.ndarray) -> None:
        super().__init__(rows.seed, rows.training)
        self.rows, self.targets = rows, targets

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self.rows.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Item, np.ndarray]:
        return self.rows[index], self.targets[index]


class Properties(SingleViewObjective):
    """Regression of many cheap properties of the whole input from one random view of it.

    Predicts: the main directions of the kind of data's cheap features (`Modality.cheap_features`: TF-IDF of words and runs of
    characters; edges, shades and pixels; band energies; series' statistics and random kernels), each with mean 0 and spread
    1 over the pool.

    Formula: mean Huber loss over all properties, `W f(view)` against the property.

    Reference: adapting a pretrained encoder to at most 4,000 molecules by regression of computed properties: arXiv:2503.03360;
    computed targets for pictures: Wei et al. 2022 (MaskFeat, arXiv:2112.09133).

    Needs: any kind of data with cheap features.

    Inputs: the model's, one view each, and `labels` `(examples, properties)`.

    Example:

        objective = Properties(Text().load("answerdotai/ModernBERT-base"), Properties.Config(directions=32))
    """

    paper: ClassVar = "arXiv:2503.03360; Wei et al. 2022, MaskFeat (arXiv:2112.09133)"
    training_defaults: ClassVar = {
        "learning_rate": 5e-5, "num_train_epochs": 5, "per_device_train_batch_size": 32, "weight_decay": 0.01,
        "max_grad_norm": 1.0,
    }  # fmt: skip
    crop = (0.6, 1.0)

    @dataclass
    class Config(Options):
        """Options of `properties`."""

        directions: int = option(32, "Main directions of every kind of cheap features that are predicted.", ge=1)
        pooling: str | None = option(None, "How the backbone's output is pooled.")
        max_length: int | None = option(None, "Longest piece of a text in tokens (default: at most 128).", ge=4)

    config: Config

    def __init__(self, encoder: Encoder, config: Config) -> None:
        super().__init__(encoder.replace(pooling=config.pooling), config)
        self.kinds = encoder.modality.cheap_features()
        if not self.kinds:
            raise ConfigError(f"{encoder.modality.name} has no cheap features (Modality.cheap_features) to predict.")
        self.found: list[Directions] = []
        self.head: nn.Linear | None = None

    def rows(self, dataset: datasets.Dataset, *, seed: int, training: bool) -> PropertyRows:
        rows = self.numbered(dataset, seed=seed, training=training)
        values = self.whole(dataset, rows)
        if not self.found:
            for kind in self.kinds:
                kind.fit(values)
            self.found = [Directions(kind.rows(values), self.config.directions, seed) for kind in self.kinds]
        found = [one(kind.rows(values)) for one, kind in zip(self.found, self.kinds, strict=True)]
        targets = np.clip(np.concatenate(found, axis=1), -LARGEST, LARGEST).astype(np.float32)
        width = targets.shape[1]
        if self.head is None or self.head.out_features != width:
            self.head = nn.Linear(self.encoder.width, width, device=next(self.model.parameters()).device)
        return PropertyRows(rows, targets)

    def collate(self, rows: Sequence[tuple[Item, np.ndarray]]) -> dict[str, torch.Tensor]:
        labels = torch.from_numpy(np.stack([targets for _, targets in rows]))
        return {**self.drawn([item for item, _ in rows]), "labels": labels}

    def forward(self, labels: torch.Tensor, num_items_in_batch: Any = None, **inputs: torch.Tensor) -> LossOutput:
        assert self.head is not None, "rows comes first"
        guess = self.head(self.encoder.features(inputs)).float()
        total = functional.huber_loss(guess, labels, reduction="sum")
        return LossOutput(loss=normalize_loss(total, labels.numel(), num_items_in_batch))


class Directions:
    """The main directions of features, each with mean 0 and spread 1 over the rows that they were found on.

    Args:
        rows: dense or sparse, `(examples, width)`.
        most: directions at the most.
    """

    def __init__(self, rows: Any, most: int, seed: int) -> None:
        from scipy import sparse
        from sklearn.decomposition import TruncatedSVD

        self.center, self.spread = np.zeros(1), np.ones(1)
        if not sparse.issparse(rows):
            rows = np.asarray(rows, np.float64)
            self.center, spread = rows.mean(axis=0), rows.std(axis=0)
            self.spread = np.where(spread > 1e-9 * max(1.0, float(np.abs(rows).max(initial=0))), spread, np.inf)
        count = max(1, min(most, min(rows.shape) - 1))
        self.found = TruncatedSVD(count, random_state=seed)
        made = self.found.fit_transform(self._scaled(rows))
        self.mean, deviation = made.mean(axis=0), made.std(axis=0)
        self.deviation = np.where(deviation > 1e-9, deviation, np.inf)

    def _scaled(self, rows: Any) -> Any:
        from scipy import sparse

        return rows if sparse.issparse(rows) else (np.asarray(rows, np.float64) - self.center) / self.spread

    def __call__(self, rows: Any) -> np.ndarray:
        """`(examples, directions)`."""
        return np.asarray((self.found.transform(self._scaled(rows)) - self.mean) / self.deviation)
