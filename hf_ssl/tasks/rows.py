"""Encoded rows of a labeled split, in the order that an epoch takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.batching import by_length
from hf_ssl.modalities.rng import example_rng
from hf_ssl.training.module import SizedDataset


class TaskRows(SizedDataset):
    """Encoded rows of a labeled split; with `balanced`, each epoch draws every class equally often.

    The draw, and the order of `group`, depend on (seed, epoch) only, so they are the same after a resume and on any
    number of processes.
    """

    def __init__(self, features: list[dict[str, Any]], *, seed: int = 0, balanced: bool = False) -> None:
        self.features = features
        self.seed = seed
        self.order: np.ndarray | None = None
        self.balanced = balanced
        self.batch = 0
        self.set_epoch(0)

    def group(self, batch: int) -> None:
        """From now on bring rows of similar length together, `batch` of them: little is left to pad.

        The order is shuffled here, so the loader has to take the rows as they come.
        """
        self.batch = batch
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw anew."""
        if self.batch:
            lengths = np.array([len(feature["input_ids"]) for feature in self.features])
            self.order = by_length(lengths, self.batch, example_rng(self.seed, epoch, "length"), jitter=0.04)
        if not self.balanced:
            return
        labels = np.array([feature["labels"] for feature in self.features])
        if labels.ndim != 1:
            raise ConfigError("balanced_sampling needs one class per example.")
        rng = example_rng(self.seed, epoch, "balanced")
        classes = np.unique(labels)
        share = -(-len(labels) // len(classes))
        drawn = [np.resize(rng.permutation(np.flatnonzero(labels == c)), share) for c in classes]
        self.order = rng.permutation(np.concatenate(drawn))[: len(labels)]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.features[index if self.order is None else int(self.order[index])]
