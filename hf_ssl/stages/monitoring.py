"""What is measured along the way of pre-training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.evaluation.monitor.monitor import Monitor, mean_loss
from hf_ssl.objectives.base import Objective, Rows, ViewRows, view_pairs

if TYPE_CHECKING:
    import datasets
    from transformers import TrainingArguments

    from hf_ssl.core.options import PretrainConfig
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)


def build_monitor(
    objective: Objective, data: DomainData, held: datasets.Dataset, held_rows: Rows, args: TrainingArguments, folder: Path,
    config: PretrainConfig,
) -> Monitor:  # fmt: skip
    """What is measured of an objective's encoder: health and drift on held-out examples, a probe on the labeled ones."""
    modality = objective.encoder.modality
    sample = modality.examples(held, config.monitor_examples)

    # Some models have few positions.
    longest = min(128, int(getattr(objective.encoder.processor, "model_max_length", 128)))

    def features(values: Sequence[Any]) -> np.ndarray:
        return objective.adapted.embed(values, max_length=longest, bf16=args.bf16)

    def two_views() -> tuple[np.ndarray, np.ndarray] | None:
        if not isinstance(held_rows, ViewRows):
            return None
        return view_pairs(objective, held_rows, config.monitor_examples, args.bf16)

    labeled, targets, problem_type = probe_examples(data, modality)
    return Monitor(
        objective, folder, embed=lambda: features(sample),
        evaluate=lambda: mean_loss(objective, held_rows, args.per_device_train_batch_size, args.bf16),
        embed_labeled=(lambda: features(labeled)) if labeled is not None else None, targets=targets,
        problem_type=problem_type,
        embed_views=two_views,
        points=config.monitor_points, keep=config.keep_checkpoint, patience=config.early_stopping_patience, seed=config.seed, resume=config.resume,
    )  # fmt: skip


def probe_examples(data: DomainData, modality: Modality) -> tuple[Sequence[Any] | None, np.ndarray | None, str]:
    """What the probes along the way are fitted on: at most 2,000 labeled training examples and their targets."""
    kinds = {"class": "single_label_classification", "multilabel": "multi_label_classification"}
    problem_type = kinds.get(str(data.label_kind), "regression")
    if data.label_kind not in (*kinds, "regression") or "train" not in data:
        return None, None, problem_type
    train = data["train"].select(range(min(2000, len(data["train"]))))
    targets = np.asarray(train["label"])
    counts = np.bincount(targets) if data.label_kind == "class" else np.array([len(targets) // 2])
    if counts[counts > 0].min(initial=len(targets)) < 2:
        logger.info(
            "  no probe along the way: a class has a single label, or there are fewer than four labeled examples"
        )
        return None, None, problem_type
    return train[modality.column], targets, problem_type
