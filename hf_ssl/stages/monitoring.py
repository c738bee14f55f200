"""What is measured along the way of pre-training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.monitor.monitor import Monitor, mean_loss
from hf_ssl.objectives.base import Objective, Rows, ViewRows, view_pairs
from hf_ssl.stages.candidates import stratified

if TYPE_CHECKING:
    import datasets
    from transformers import TrainingArguments

    from hf_ssl.core.options import PretrainConfig
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

PROBED = 2000
"""Labeled examples that the probe along the way is fitted on, at most."""


def build_monitor(
    objective: Objective, data: DomainData, held: datasets.Dataset, held_rows: Rows, args: TrainingArguments, folder: Path,
    config: PretrainConfig,
) -> Monitor:  # fmt: skip
    """What is measured of an objective's encoder: health and drift on held-out examples, a probe on the labeled ones."""
    modality = objective.encoder.modality
    sample = modality.examples(held, config.monitor_examples)
    if len(sample) < 2:
        raise DataError(
            f"The pool gives {len(sample)} window(s) to measure on; at least 2 are needed. "
            "Give longer series or more of them, or a shorter --context_length."
        )

    # Some models have few positions.
    longest = min(128, int(getattr(objective.encoder.processor, "model_max_length", 128)))

    def features(values: Sequence[Any]) -> np.ndarray:
        return objective.adapted.embed(values, max_length=longest, bf16=args.bf16)

    def two_views() -> tuple[np.ndarray, np.ndarray] | None:
        if not isinstance(held_rows, ViewRows):
            return None
        return view_pairs(objective, held_rows, config.monitor_examples, args.bf16)

    probed = probe_examples(data, modality)
    # A step forward and back costs three passes over its batch, a measurement one over all that it reads.
    read = len(sample) + len(held) + (len(probed.values) if probed is not None else 0)
    worth = read / (3 * args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
    return Monitor(
        objective, folder, embed=lambda: features(sample),
        evaluate=lambda: mean_loss(objective, held_rows, args.per_device_train_batch_size, args.bf16),
        embed_labeled=(lambda: features(probed.values)) if probed is not None else None,
        targets=probed.targets if probed is not None else None, groups=probed.groups if probed is not None else None,
        problem_type=probed.problem_type if probed is not None else "regression",
        embed_views=two_views,
        points=config.monitor_points, worth=worth, keep=config.keep_checkpoint, patience=config.early_stopping_patience,
        seed=config.seed, resume=config.resume,
    )  # fmt: skip


@dataclass(frozen=True)
class Probed:
    """Labeled training examples for the probes along the way.

    Args:
        values: their contents.
        targets: classes, numbers, or rows of zeros and ones.
        problem_type: as in transformers.
        groups: patient, recording, author … of each; None where nothing says, or all are of one.
    """

    values: Sequence[Any]
    targets: np.ndarray
    problem_type: str
    groups: list[str] | None


def probe_examples(data: DomainData, modality: Modality) -> Probed | None:
    """What the probes along the way are fitted on: at most 2,000 labeled training examples; None where labels are none or too few.

    Of more, every class keeps its share, whatever the order of the file; classes with a single label are left out.
    """
    kind = kind_of(data.label_kind)
    problem_type = kind.problem_type
    if problem_type is None or "train" not in data:
        return None
    train = data["train"]
    if kind.in_classes:
        labels = np.asarray(train["label"])
        often = np.flatnonzero(np.bincount(labels)[labels] >= 2)
        rows = often[stratified(labels[often], PROBED, 0)]
        if len(rows) < len(labels) and len(often) < len(labels):
            logger.info(
                f"  probe along the way: {len(labels) - len(often)} examples whose class has a single label are left out"
            )
    else:
        rows = np.sort(np.random.default_rng(0).permutation(len(train))[:PROBED])
    targets = np.asarray(train["label"])[rows] if len(rows) else np.zeros(0)
    if len(rows) < 4 or (kind.in_classes and len(np.unique(targets)) < 2):
        logger.info("  no probe along the way: fewer than four labeled examples, or than two classes with two labels")
        return None
    chosen = train.select(rows)
    groups = [str(group) for group in chosen["group"]] if "group" in chosen.column_names else []
    return Probed(chosen[modality.column], targets, problem_type, groups if len(set(groups)) > 1 else None)
