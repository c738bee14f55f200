"""How fast this machine runs a checkpoint, and what of a fine-tuning fits into a given time."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.structure import at_work
from hf_ssl.stages.fit import MOST_EPOCHS, SEEN, SEEN_FROM_THE_START, TAUGHT_ROWS
from hf_ssl.stages.reading import reads_in_bf16
from hf_ssl.training.trainer import bf16_is_fast

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data.domain import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

LOOKED_AT = 32
BATCH = 16
"""Rows of a batch, as a fine-tuning has them where nobody says otherwise."""
BACKWARD = 2.5
"""A training step on a row over a forward pass: the pass, the gradient of what flows, that of adapters."""
TRAININGS = 2
"""Of classes: one on parts of the labels, as a rule, and the real one."""
POOL = 1000
FEWEST_STEPS = 10
LONGEST = 256


@dataclass(frozen=True)
class Pace:
    """Seconds of one frozen reading, for one example of each split.

    Args:
        per_example: split → seconds.
        training: a forward pass in the number format that trains, over a reading.
    """

    per_example: dict[str, float]
    training: float = 1.0

    @classmethod
    def measured(cls, ref: CheckpointRef, modality: Modality, data: DomainData) -> Pace:
        """By a few examples of each split; the first ones, in which caches fill, are not counted."""
        encoder = modality.load(ref, dataset=next(iter(data.values())))
        found, training, reads = {}, 1.0, reads_in_bf16(encoder)

        def seconds(values: Sequence[Any], bf16: bool) -> float:
            encoder.embed(values[:2], max_length=LONGEST, bf16=bf16)
            began = time.monotonic()
            encoder.embed(values, max_length=LONGEST, bf16=bf16)
            return (time.monotonic() - began) / max(1, len(values))

        with at_work(encoder.model):
            for split, rows in data.items():
                values = modality.examples(_some(rows), LOOKED_AT)
                found[split] = seconds(values, reads)
                if split == "train" and bf16_is_fast() and not reads:
                    training = seconds(values, True) / max(found[split], 1e-9)
        return cls(distributed.broadcast(found), float(distributed.broadcast(training)))

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
        classes = data.label_kind == "class"
        taught = min(pool, max(TAUGHT_ROWS, labels)) if classes else pool
        rows = labels + taught
        epochs = int(np.clip(-(-(SEEN if classes else SEEN_FROM_THE_START) // rows), 1 if classes else 3, MOST_EPOCHS))
        planned = epochs * -(-rows // BATCH)
        a_row = BACKWARD * self.training * (labels * per_label + taught * per_pool) / rows
        step = BATCH * a_row + self.whole(data, "validation") * epochs / planned
        steps = int(max(0.0, free) / max(step, 1e-9))
        chosen: dict[str, Any] = {} if pool >= min(POOL, len(data.get("unlabeled", ()))) else {"self_training": pool}
        if steps >= planned * (TRAININGS if classes else 1):
            return chosen
        if steps >= FEWEST_STEPS and not classes or peft == "full":
            return {**chosen, "max_steps": max(1, min(steps, planned))}
        return {**chosen, "peft": "linear-probe"}


def _some(split: datasets.Dataset) -> datasets.Dataset:
    chosen = np.unique(np.linspace(0, len(split) - 1, min(len(split), LOOKED_AT)).astype(int))
    return split.select(chosen)
