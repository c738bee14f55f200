"""Labels for the unlabeled pool, from a teacher that a few labels are enough for: two views that teach each other.

A fine-tuned model sees a handful of labels; the pool has thousands of texts, images or clips of the same domain. Two cheap
and different views of every example, vectors of the frozen checkpoint and features that need no checkpoint (words,
pixels, bands), each give a kernel ridge classifier. What both believe of the pool becomes the target of both in the next
round (co-training, Blum & Mitchell 1998; soft targets as in self-training with noisy students, Xie et al. 2020,
arXiv:1911.04252). The model is then fine-tuned on the labels and on the pool's soft labels together.

Whether that may help is asked of the labels before (`hf_ssl.stages.teacher`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import datasets
    from scipy.sparse import spmatrix


ROUNDS = 4
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
    first = [kernel_ridge(kernel, known, targets, best_penalty(kernel, known, targets), both) for kernel in kernels]
    scores = np.mean(first, axis=0)
    train = np.concatenate([known, pooled])
    penalty = ROUND_PENALTY / np.concatenate([np.ones(len(known)), np.full(len(pooled), POOL_WEIGHT)])
    factors = [cho_factor(kernel[np.ix_(train, train)] + np.diag(penalty), overwrite_a=True) for kernel in kernels]
    across = [kernel[np.ix_(both, train)] for kernel in kernels]
    center = 1 / targets.shape[1]
    for _ in range(ROUNDS):
        taught = np.concatenate([targets, softmax(scores[: len(pooled)])]) - center
        views = [rows @ cho_solve(factor, taught) for rows, factor in zip(across, factors, strict=True)]
        scores = np.mean(views, axis=0)
    return first[0][len(pooled) :], scores[len(pooled) :]


def best_penalty(kernel: np.ndarray, known: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The penalty under which most labeled items are right when left out (closed form: Rifkin & Lippert 2007)."""
    truth, centered = targets.argmax(axis=1), targets - 1 / targets.shape[1]
    right = {}
    for penalty in sorted(PENALTIES, reverse=True):
        inverse = np.linalg.inv(kernel[np.ix_(known, known)] + penalty * np.eye(len(known)))
        left_out = centered - inverse @ centered / np.diag(inverse)[:, None]
        right[penalty] = (left_out.argmax(axis=1) == truth).mean()
    return np.full(len(known), max(right, key=lambda penalty: right[penalty]))


def similarities(rows: np.ndarray | spmatrix) -> np.ndarray:
    """Cosine similarities of dense or sparse rows."""
    from sklearn.preprocessing import normalize

    unit = normalize(rows)
    product = unit @ unit.T
    return np.asarray(product.toarray() if hasattr(product, "toarray") else product, dtype=np.float64)


def kernel_ridge(
    kernel: np.ndarray, train: np.ndarray, targets: np.ndarray, penalty: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Kernel ridge regression onto class indicators, each item with its own penalty (penalty / weight)."""
    center = 1 / targets.shape[1]
    system = kernel[np.ix_(train, train)] + np.diag(penalty)
    return kernel[np.ix_(asked, train)] @ np.linalg.solve(system, targets - center)


def softmax(scores: np.ndarray) -> np.ndarray:
    """What scores of `co_train` say as probabilities `(n, classes)`."""
    shifted = np.exp(SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
    return shifted / shifted.sum(axis=1, keepdims=True)
