"""Logistic regression on soft labels, in few columns, and the way back to a head on rows as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ssl.core.threads import one_blas_thread

FEW = 256
"""Columns that wide or sparse rows are brought to (latent semantic analysis): better than all of them at few labels."""
WIDEST = 2048
"""Dense rows of up to so many columns stay as they are."""
ALPHAS = tuple(np.logspace(-3, 3, 10).tolist())
"""Penalties of ridge regression, for rows of mean squared length 10; chosen by generalized cross-validation."""
RIDGE_SCALE = 4.0
"""What answers between -1 and 1 are multiplied by to be logits. 1 to 32, chosen by labels held out, is no better (`docs/best-answer.md`)."""
STEPS = 60  # of L-BFGS; each fit starts where the one before ended


@dataclass(frozen=True)
class Head:
    """A linear layer and its softmax.

    Args:
        weight: `(classes, width)`.
        bias: `(classes,)`.
    """

    weight: np.ndarray
    bias: np.ndarray

    def answers(self, rows: Any) -> np.ndarray:
        """Probabilities `(items, classes)` of dense or sparse rows."""
        return softmax(np.asarray(rows @ self.weight.T) + self.bias)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


class Coordinates:
    """Rows of one view in few columns, and the way back to a head on the rows as they were.

    Args:
        rows: `(items, width)`, dense or sparse, of everything that is known: labeled examples and the pool. What the
            columns are is found without labels.
        standardize: divide every column by its spread (dense rows; their mean is taken away in any case).
    """

    def __init__(self, rows: Any, *, standardize: bool = False) -> None:
        from scipy import sparse
        from sklearn.decomposition import TruncatedSVD

        wide = bool(sparse.issparse(rows)) or rows.shape[1] > WIDEST
        self.mean, self.spread = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        if not sparse.issparse(rows):
            self.mean = np.asarray(rows, np.float64).mean(0)
        if standardize and not sparse.issparse(rows):
            self.spread = np.asarray(rows, np.float64).std(0)
            # A constant says nothing, nor does what differs by the rounding of float32 alone: divided by its spread that noise would
            # weigh as much as anything.
            least = np.maximum(
                1e-8 * max(1e-30, self.spread.max(initial=0.0)), 1e-5 * np.abs(rows).max(0, initial=0.0)
            )
            self.spread[self.spread < least] = np.inf
        self.back: np.ndarray | None = None
        if wide:
            few = max(1, min(FEW, min(rows.shape) - 1))
            scaled = rows if sparse.issparse(rows) else (rows - self.mean) / self.spread
            found = TruncatedSVD(few, random_state=0).fit(scaled)
            self.back = found.components_.T
        self.factor = 1.0
        moved = self._moved(rows)
        length = float(np.square(moved).sum()) / max(1, len(moved))
        self.factor = float(np.sqrt(10.0 / length)) if length > 0 else 1.0
        self.rows: np.ndarray = moved * self.factor

    def _moved(self, rows: Any) -> np.ndarray:
        if hasattr(rows, "toarray"):
            return np.asarray(rows @ self.back)
        centered = (np.asarray(rows, np.float64) - self.mean) / self.spread
        return centered if self.back is None else centered @ self.back

    def raw(self, head: Head) -> Head:
        """The head on the view's own rows that answers as `head` does on these."""
        weight = head.weight * self.factor
        if self.back is not None:
            weight = weight @ self.back.T
        weight = weight / self.spread
        return Head(weight.astype(np.float32), (head.bias - weight @ self.mean).astype(np.float32))


@one_blas_thread()
def soft_regression(
    rows: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None, penalty: float = 1.0,
    start: Head | None = None, steps: int = STEPS,
) -> Head:  # fmt: skip
    """Multinomial logistic regression on soft labels: least `sum w_i CE(t_i, p_i) + |W|^2 / 2C`.

    Args:
        rows: `(items, width)`.
        targets: `(items, classes)`, rows sum to 1.
        weights: `(items,)`.
        penalty: C.
        start: of the search.
        steps: most steps of it.
    """
    from scipy.optimize import minimize

    width, classes = rows.shape[1], targets.shape[1]
    shares = np.ones(len(rows), np.float32) if weights is None else weights.astype(np.float32)
    rows, targets = rows.astype(np.float32), targets.astype(np.float32)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        flat = flat.astype(np.float32)
        weight, bias = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        logits = rows @ weight + bias
        logits -= logits.max(1, keepdims=True)
        log_sums = np.log(np.exp(logits).sum(1, keepdims=True))
        total = -(shares * (targets * (logits - log_sums)).sum(1)).sum() + 0.5 / penalty * np.square(weight).sum()
        slope = (np.exp(logits - log_sums) - targets) * shares[:, None]
        gradient = np.concatenate([(rows.T @ slope + weight / penalty).ravel(), slope.sum(0)])
        return float(total), gradient.astype(np.float64)

    first = np.zeros((width + 1) * classes) if start is None else np.concatenate([start.weight.T.ravel(), start.bias])
    best = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 20}).x
    return Head(best[: width * classes].reshape(width, classes).T.copy(), best[width * classes :].copy())


def ridge_head(rows: np.ndarray, targets: np.ndarray) -> Head:
    """Least squares on -1 and 1, the penalty by generalized cross-validation: what random kernels are made for.

    Args:
        rows: `(items, width)`.
        targets: `(items, classes)`, rows sum to 1.
    """
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=ALPHAS).fit(rows, 2 * targets - 1)
    return Head(np.atleast_2d(model.coef_) * RIDGE_SCALE, np.atleast_1d(model.intercept_) * RIDGE_SCALE)


def between(first: Head, second: Head) -> Head:
    """One head whose logits are the mean of both."""
    return Head((first.weight + second.weight) / 2, (first.bias + second.bias) / 2)
