"""How fast this machine runs a checkpoint, and what of a fine-tuning fits into a given time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.structure import at_work

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data.domain import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

LOOKED_AT = 24
BATCH, MOST_EPOCHS, FULL = 16, 20, 1600
"""As a fine-tuning has them where nobody says otherwise: rows of a batch, epochs at the most, rows of an epoch that make three enough."""
BACKWARD = 3.0
"""A training step on a row over a forward pass: the pass, the gradient of what flows, that of the weights (less, for adapters)."""
POOL = 1000
FEWEST_STEPS = 10
LONGEST = 256


@dataclass(frozen=True)
class Pace:
    """Seconds of one forward pass, for one example of each split."""

    per_example: dict[str, float]

    @classmethod
    def measured(cls, ref: CheckpointRef, modality: Modality, data: DomainData) -> Pace:
        """By a few examples of each split; the first ones, in which caches fill, are not counted."""
        encoder = modality.load(ref, dataset=next(iter(data.values())))
        found = {}
        with at_work(encoder.model):
            for split, rows in data.items():
                values = modality.examples(_some(rows), LOOKED_AT)
                encoder.embed(values[:2], max_length=LONGEST)
                began = time.monotonic()
                encoder.embed(values, max_length=LONGEST)
                found[split] = (time.monotonic() - began) / max(1, len(values))
        return cls(distributed.broadcast(found))

    def whole(self, data: DomainData, split: str) -> float:
        """Seconds for a whole split."""
        return self.per_example.get(split, 0.0) * len(data.get(split, ()))

    def tuning(self, data: DomainData, seconds: float, peft: str) -> dict[str, Any]:
        """Options of a fine-tuning that fits into so many seconds: how much of the pool, how many steps.

        An empty mapping is the whole of it. Where not even a few steps fit, the head alone is fitted on frozen features.
        """
        labels, per_label = len(data["train"]), self.per_example["train"]
        per_pool = self.per_example.get("unlabeled", per_label)
        free = seconds - self.whole(data, "train") * 1.5
        pool = min(POOL, len(data.get("unlabeled", ())), int(max(0.0, 0.3 * free) / (1.5 * per_pool)))
        free -= pool * per_pool * 1.5
        rows = labels + pool
        epochs = int(np.clip(-(-FULL // rows), 3, MOST_EPOCHS))
        planned = epochs * -(-rows // BATCH)
        epoch_of_validation = self.whole(data, "validation")
        step = (
            BACKWARD * BATCH * (labels * per_label + pool * per_pool) / rows + epoch_of_validation * epochs / planned
        )
        steps = int(max(0.0, free) / max(step, 1e-9))
        chosen: dict[str, Any] = {} if pool >= min(POOL, len(data.get("unlabeled", ()))) else {"self_training": pool}
        if steps >= planned:
            return chosen
        if steps >= FEWEST_STEPS or peft == "full":
            return {**chosen, "max_steps": max(1, steps)}
        return {**chosen, "peft": "linear-probe"}


def _some(split: datasets.Dataset) -> datasets.Dataset:
    chosen = np.unique(np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(int))
    return split.select(chosen)
