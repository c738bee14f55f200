"""Labels for the unlabeled pool, from a teacher that a few labels are enough for: two views that teach each other.

A fine-tuned model sees a handful of labels; the pool has thousands of texts, images or clips of the same domain. Two cheap
and different views of every example, vectors of the frozen checkpoint and features that need no checkpoint (words,
pixels, bands), each give a kernel ridge classifier. What both believe of the pool becomes the target of both in the next
round (co-training, Blum & Mitchell 1998; soft targets as in self-training with noisy students, Xie et al. 2020,
arXiv:1911.04252). The model is then fine-tuned on the labels and on the pool's soft labels together.

Whether that may help is asked of the labeled budget alone, by cross-validation; where it does not, the pool is left out
and the log says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality

ROUNDS = 4
FOLDS = 5
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)  # of the first fit, for rows of length 1; chosen by leaving one label out
ROUND_PENALTY = 0.3
POOL_WEIGHT = 0.3  # of a pool example against a labeled one
SHARPNESS = 20.0  # of the softmax over ridge scores, which lie mostly between 0 and 1


class Pool:
    """Part of the unlabeled pool, and the frozen checkpoint's view of it, computed once for many fits.

    Args:
        dataset: pool examples, with ids.
        column: of the content.
        embed: values to vectors `(n, hidden)` of the frozen checkpoint.
    """

    def __init__(self, dataset: datasets.Dataset, column: str, embed: Callable[[list[Any]], np.ndarray]) -> None:
        self.dataset, self.column, self.embed = dataset, column, embed
        self._known: dict[str, np.ndarray] = {}

    def without(self, ids: Sequence[str]) -> datasets.Dataset:
        """The pool without examples that have a label of their own."""
        labeled = set(ids)
        keep = [row for row, name in enumerate(self.dataset["id"]) if name not in labeled]
        return self.dataset.select(keep)

    def vectors(self, split: datasets.Dataset) -> np.ndarray:
        """Vectors of examples, each computed once."""
        new = [row for row, name in enumerate(split["id"]) if name not in self._known]
        if new:
            part = split.select(new)
            self._known.update(zip(part["id"], self.embed(list(part[self.column])), strict=True))
        return np.stack([self._known[name] for name in split["id"]])


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
    """Teach two views on the labels and the pool.

    Args:
        modality: gives the second view (`Modality.self_training_features`); without one, the first teaches itself.
        pool: unlabeled examples.
        split, labels: labeled examples and their classes `(n,)`.
        classes: number of classes.
        seed: of the cross-validation folds.
    """
    rest = pool.without(split["id"])
    if not len(rest):
        return SoftLabels(None, None, "no pool to learn from: it holds nothing but the labeled examples")
    kernels = [_kernel(np.concatenate([pool.vectors(split), pool.vectors(rest)]))]
    second = modality.self_training_features([*split[pool.column], *rest[pool.column]])
    if second is not None:
        kernels.append(_kernel(second))
    known = np.arange(len(labels))
    pooled = np.arange(len(labels), len(labels) + len(rest))
    views = "two views" if second is not None else "one view"
    plain, taught = _cross_validated(kernels, known, pooled, labels, classes, seed)
    if plain is not None and taught is not None and taught < plain:
        note = f"pool left out: with it {taught:.1%} of the labels are right in cross-validation, without {plain:.1%}"
        return SoftLabels(None, None, note)
    measured = (
        f"right in cross-validation {plain:.1%} → {taught:.1%}"
        if plain is not None and taught is not None
        else "too few labels to cross-validate"
    )
    _, scores = co_train(kernels, known, pooled, np.eye(classes)[labels], pooled)
    note = f"{len(rest):,} pool examples get soft labels from {views} ({measured})"
    return SoftLabels(rest, _softmax(scores), note)


def co_train(
    kernels: Sequence[np.ndarray], known: np.ndarray, pooled: np.ndarray, targets: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the views together, before and after the rounds on the pool.

    Args:
        kernels: `(items, items)` similarities, one per view.
        known, pooled, asked: item numbers of labeled, unlabeled and wanted items.
        targets: `(len(known), classes)`.

    Returns:
        two arrays `(len(asked), classes)`: first view on the labels alone; mean over views after the rounds.
    """
    from scipy.linalg import cho_factor, cho_solve

    both = np.concatenate([pooled, asked])
    first = [_ridge(kernel, known, targets, _penalty(kernel, known, targets), both) for kernel in kernels]
    scores = np.mean(first, axis=0)
    train = np.concatenate([known, pooled])
    penalty = ROUND_PENALTY / np.concatenate([np.ones(len(known)), np.full(len(pooled), POOL_WEIGHT)])
    factors = [cho_factor(kernel[np.ix_(train, train)] + np.diag(penalty), overwrite_a=True) for kernel in kernels]
    across = [kernel[np.ix_(both, train)] for kernel in kernels]
    center = 1 / targets.shape[1]
    for _ in range(ROUNDS):
        taught = np.concatenate([targets, _softmax(scores[: len(pooled)])]) - center
        views = [rows @ cho_solve(factor, taught) for rows, factor in zip(across, factors, strict=True)]
        scores = np.mean(views, axis=0)
    return first[0][len(pooled) :], scores[len(pooled) :]


def _penalty(kernel: np.ndarray, known: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The penalty under which most labeled items are right when left out (closed form: Rifkin & Lippert 2007)."""
    truth, centered = targets.argmax(axis=1), targets - 1 / targets.shape[1]
    right = {}
    for penalty in sorted(PENALTIES, reverse=True):
        inverse = np.linalg.inv(kernel[np.ix_(known, known)] + penalty * np.eye(len(known)))
        left_out = centered - inverse @ centered / np.diag(inverse)[:, None]
        right[penalty] = (left_out.argmax(axis=1) == truth).mean()
    return np.full(len(known), max(right, key=lambda penalty: right[penalty]))


def _cross_validated(
    kernels: Sequence[np.ndarray], known: np.ndarray, pooled: np.ndarray, labels: np.ndarray, classes: int, seed: int
) -> tuple[float | None, float | None]:
    """Share of labeled items that the first view alone, and the taught views, get right when held out."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    if folds < 2:
        return None, None
    right: list[tuple[float, float]] = []
    for train, held in StratifiedKFold(folds, shuffle=True, random_state=seed).split(known, labels):
        plain, taught = co_train(kernels, known[train], pooled, np.eye(classes)[labels[train]], known[held])
        right += [
            (float(a == truth), float(b == truth))
            for a, b, truth in zip(plain.argmax(1), taught.argmax(1), labels[held], strict=True)
        ]
    plain_share, taught_share = np.mean(right, axis=0)
    return float(plain_share), float(taught_share)


def _kernel(rows: Any) -> np.ndarray:
    """Cosine similarities of dense or sparse rows."""
    from sklearn.preprocessing import normalize

    unit = normalize(rows)
    product = unit @ unit.T
    return np.asarray(product.toarray() if hasattr(product, "toarray") else product, dtype=np.float64)


def _ridge(
    kernel: np.ndarray, train: np.ndarray, targets: np.ndarray, penalty: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Kernel ridge regression onto class indicators, each item with its own penalty (penalty / weight)."""
    center = 1 / targets.shape[1]
    system = kernel[np.ix_(train, train)] + np.diag(penalty)
    return kernel[np.ix_(asked, train)] @ np.linalg.solve(system, targets - center)


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
    return shifted / shifted.sum(axis=1, keepdims=True)
