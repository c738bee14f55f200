"""What a fine-tuned model leaves behind so that its later answers can say how far to trust them.

Two small files in the run, neither of them published: errors on validation data (`hf_ssl.evaluation.conformal`), and the mean and
spread of the features of its own examples (`hf_ssl.evaluation.novelty`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.evaluation.conformal import limit_of
from hf_ssl.evaluation.novelty import Typical
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.stages.reading import reads_in_bf16

if TYPE_CHECKING:
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

SCORES, TYPICAL = "validation_errors.npy", "typical_inputs.safetensors"
EXAMPLES = 512
"""Of the labeled ones and of the pool together."""


def keep_reference(
    folder: Path,
    task: Task[Any],
    encoder: Encoder,
    data: DomainData,
    held: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> None:
    """Write both files into a fine-tuning's folder, by one process of several.

    Args:
        encoder: as it was trained.
        held: logits and labels of the validation rows; None: there are none.
    """
    if not distributed.is_main():
        return
    scores = task.calibration_scores(*held) if held is not None else None
    if scores is not None:
        np.save(folder / SCORES, scores.astype(np.float32))
    if task.unit == "window":  # what is unusual in a forecast's history, its error says
        return
    values: list[Any] = []
    for split in ("train", "unlabeled"):
        if split in data:
            chosen = np.random.default_rng(seed).permutation(len(data[split]))[: EXAMPLES // 2]
            values += inputs_of(data[split].select(np.sort(chosen)), task.modality)
    typical = Typical.of(encoder.embed(values, max_length=task.max_length(encoder), bf16=reads_in_bf16(encoder)), seed)
    if typical is not None:
        typical.save(folder / TYPICAL)


def limits_of(folder: Path, confidence: float) -> np.ndarray | None:
    """How large an answer's error may be, by what was kept; None where nothing was, or too little for that confidence."""
    file = folder / SCORES
    if not file.is_file():
        return None
    limits = limit_of(np.load(file, allow_pickle=False), confidence)
    if not np.isfinite(limits).all():
        logger.warning(
            f"no intervals: the run had too few validation examples to say what holds for {confidence:.0%} of the answers. "
            "A lower --confidence of predict may do, or fine-tune with more validation data."
        )
        return None
    return limits


def typical_of(folder: Path) -> Typical | None:
    """The model's own examples, where the run kept what they are like."""
    file = folder / TYPICAL
    return Typical.load(file) if file.is_file() else None
