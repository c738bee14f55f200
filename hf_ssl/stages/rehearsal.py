"""Whether training the network pays, asked of labels that it was not trained on.

A head that was found on frozen vectors is hard to improve on with a handful of labels, and training may well make it worse. So the
training is rehearsed: on two thirds of the labels, from the head that these alone would give, and what comes out answers the
last third beside its own start and beside the teacher. Training that does not answer better there is left out.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_ssl.evaluation.probes.selection import clearly_more
from hf_ssl.evaluation.probes.taught import Answered, stacked
from hf_ssl.stages.candidates import Findings, Fold

logger = logging.getLogger(__name__)

NETWORK = "trained network"
ENOUGH = 30
"""Labels held out, from which on a verdict ends the rehearsal before its last fold. On the development sets it was that of all folds."""


@dataclass(frozen=True)
class Rehearsal:
    """What came out.

    Args:
        pays: whether the trained network answers better than its start.
        share: of the trained network in the run's answer, beside the teacher.
        scores: of the network.
        reason: in a sentence.
    """

    pays: bool
    share: float
    scores: dict[str, float]
    reason: str


def rehearse(found: Findings, y: np.ndarray, train: Callable[[Findings, Fold], np.ndarray]) -> Rehearsal:
    """Train on the kept labels of a fold and ask the held ones, fold after fold, until `ENOUGH` labels give a verdict.

    A verdict is that training pays (`judged`), or that the network has fewer right than its start had.

    Args:
        found: with folds.
        y: classes of the whole labeled split.
        train: trains a network from what a fold says, and gives its probabilities `(len(fold.held), classes)`.
    """
    answers: list[np.ndarray] = []
    for fold in found.folds:
        answers.append(train(dataclasses.replace(found, head=fold.head, believed=fold.believed, folds=[]), fold))
        asked = found.folds[: len(answers)]
        truth = y[np.concatenate([one.held for one in asked])]
        start = Answered.of(np.concatenate([one.start for one in asked]), truth)
        trained = Answered.of(np.concatenate(answers), truth)
        verdict = judged(start, trained, np.concatenate([one.teacher for one in asked]), truth)
        if len(truth) >= ENOUGH and (verdict.pays or trained.accuracy < start.accuracy):
            break
    return verdict


def judged(start: Answered, trained: Answered, teacher: np.ndarray, y: np.ndarray) -> Rehearsal:
    """Training pays where more labels are right, by more than a standard error, or as many with a log loss clearly lower.

    Args:
        start, trained: answers for the same labels `y`.
        teacher: its probabilities of them.
    """
    as_many = bool(trained.right.mean() >= start.right.mean())
    pays = clearly_more(trained.right, start.right) or (as_many and clearly_more(start.losses, trained.losses))
    share = stacked({NETWORK: 0.5, "teacher": 0.5}, {NETWORK: trained.answers, "teacher": teacher}, y)[NETWORK]
    reason = (
        f"trained on parts of the labels, the network has {trained.accuracy:.1%} of {len(y):,} labels held out right, its start "
        f"{start.accuracy:.1%}"
    )
    scores = {
        "accuracy": round(trained.accuracy, 4), "macro_f1": round(trained.macro_f1, 4), "log_loss": round(trained.log_loss, 4),
        "accuracy_of_start": round(start.accuracy, 4),
    }  # fmt: skip
    return Rehearsal(pays, share if pays else 0.0, scores, reason)
