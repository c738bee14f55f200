"""Labels for the unlabeled pool, from cheap classifiers that the labels themselves speak for.

A fine-tuned model sees a handful of labels; the pool has thousands of examples of the same domain. Two cheap and different
views of every example, vectors of the frozen checkpoint and features that need none (words, pixels, bands), are each
enough for a classifier, and together they are often better than either: by the mean of their probabilities, or by
teaching each other on the pool (`hf_ssl.training.self_training`). The better of the two becomes the teacher of the model.

Whether there is anything to be learned from it is asked of the labels, by cross-validation: the teacher must be right more
often than logistic regression on the frozen checkpoint, which is where fine-tuning starts. Where it is not, the pool is
left out, and the log says so with both figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.evaluation.probes.selection import Candidate, View, choose, folds_of, probabilities
from hf_ssl.training.self_training import Pool, co_train, similarities, softmax

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality

MOST_LABELS = 2000
"""With more labels there is no co-training: its cost grows with their cube, and they need it least."""
MOST_ITEMS = 4000
"""Labels and pool together, where there is co-training."""


@dataclass
class SoftLabels:
    """What the teacher believes of the pool.

    Args:
        examples: of the pool; None when the labels speak against using it.
        probabilities: `(len(examples), classes)`, rows sum to 1.
        note: what was done and why, for the log.
    """

    examples: datasets.Dataset | None
    probabilities: np.ndarray | None
    note: str


def soft_labels(
    modality: Modality, pool: Pool, split: datasets.Dataset, labels: np.ndarray, classes: int, seed: int
) -> SoftLabels:
    """Teach the pool, if the labels say that the teacher knows more than the frozen checkpoint.

    Args:
        modality: gives the second view (`Modality.self_training_features`); without one, the first teaches itself.
        pool: unlabeled examples.
        split, labels: labeled examples and their classes `(n,)`; a column `group` keeps groups in one fold.
        classes: number of classes.
        seed: of the folds, and of the part of the pool that is used.
    """
    rest = pool.without(split["id"])
    together = len(labels) <= MOST_LABELS
    room = MOST_ITEMS - len(labels) if together else len(rest)
    if len(rest) > room:
        rest = rest.select(np.sort(np.random.default_rng(seed).permutation(len(rest))[:room]))
    if not len(rest):
        return SoftLabels(None, None, "no pool to learn from: it holds nothing but the labeled examples")
    known, pooled = np.arange(len(labels)), np.arange(len(labels), len(labels) + len(rest))
    rows: dict[str, Any] = {"frozen checkpoint": _unit(np.concatenate([pool.vectors(split), pool.vectors(rest)]))}
    second = modality.self_training_features([*split[pool.column], *rest[pool.column]])
    if second is not None:
        rows["second view"] = second
    views = {name: View(part) for name, part in rows.items()}
    groups = list(split["group"]) if "group" in split.column_names else None
    compared = [Candidate("frozen checkpoint", ("frozen checkpoint",)), Candidate("vote", tuple(views))]
    choice = choose(compared, views, labels, classes=classes, seed=seed, groups=groups)
    right = {name: score.accuracy for name, score in choice.scores.items()}
    kernels = [similarities(part) for part in rows.values()] if together else []
    if together and right:
        right["co-training"] = _co_trained_accuracy(kernels, known, pooled, labels, classes, groups, seed)
    teacher = max(right, key=lambda name: (right[name], name == "co-training")) if right else "vote"
    if right and right[teacher] <= right["frozen checkpoint"]:
        most = max(share for name, share in right.items() if name != "frozen checkpoint")
        return SoftLabels(
            None, None,
            f"pool left out: a teacher with it has {most:.1%} of the labels right in cross-validation, logistic regression on "
            f"the frozen checkpoint {right['frozen checkpoint']:.1%}",
        )  # fmt: skip
    if teacher == "co-training":
        _, scores = co_train(kernels, known, pooled, np.eye(classes)[labels], pooled)
        believed = softmax(scores)
    else:
        answers = []
        for name, view in views.items():
            penalty = choice.penalties_of_all[name]
            answers.append(probabilities(view, known, labels, pooled, classes, [penalty])[penalty])
        believed = np.mean(answers, axis=0)
    measured = (
        f"right in cross-validation {right['frozen checkpoint']:.1%} → {right[teacher]:.1%}"
        if right
        else "too few labels to cross-validate"
    )
    kinds = "two views" if second is not None else "one view"
    return SoftLabels(
        rest, believed, f"{len(rest):,} pool examples get soft labels by {teacher} of {kinds} ({measured})"
    )


def _co_trained_accuracy(
    kernels: Sequence[np.ndarray], known: np.ndarray, pooled: np.ndarray, labels: np.ndarray, classes: int,
    groups: Sequence[Any] | None, seed: int,
) -> float:  # fmt: skip
    """Share of the labels that the views get right together after teaching each other on the pool, held out."""
    right: list[float] = []
    for kept, held in folds_of(labels, groups, seed, repeats=1):
        _, scores = co_train(kernels, known[kept], pooled, np.eye(classes)[labels[kept]], known[held])
        right += (scores.argmax(1) == labels[held]).astype(float).tolist()
    return float(np.mean(right))


def _unit(rows: np.ndarray) -> np.ndarray:
    from sklearn.preprocessing import normalize

    return normalize(np.asarray(rows, np.float64))
