"""Whether an input looks like those that a model was made from: distance from their mean, in units of their spread.

The Mahalanobis distance of features (Lee et al. 2018, arXiv:1807.03888), with one mean for all classes: labels are few here, and
the pool has none. The covariance is shrunk (Ledoit and Wolf 2004), as there are often fewer examples than dimensions. An
example's distance from a cloud that it was part of is too small, so the threshold comes from halves that do not see each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHARE = 0.99
"""Of the model's own examples, so many are inside the threshold."""
LEAST = 100
"""With fewer examples nothing is said: 99 % of a few dozen is all but one of them."""


@dataclass(frozen=True)
class Typical:
    """The cloud of a model's own examples.

    Args:
        mean: `(width,)`.
        root: `(width, width)`, whose product with its transpose is the inverse covariance.
        threshold: distance that 99 % of the examples stay within, when the other half made the cloud.
    """

    mean: np.ndarray
    root: np.ndarray
    threshold: float

    @classmethod
    def of(cls, features: np.ndarray, seed: int = 0) -> Typical | None:
        """Of features `(examples, width)`; None: too few examples, or they do not differ."""
        if len(features) < LEAST or not np.isfinite(features).all():
            return None
        if (features.std(axis=0) <= 1e-6 * np.abs(features).max()).all():  # but for rounding
            return None
        order = np.random.default_rng(seed).permutation(len(features))
        halves = np.array_split(features[order].astype(np.float64), 2)
        apart = [_cloud(first).distances(second) for first, second in (halves, halves[::-1])]
        whole = _cloud(features.astype(np.float64))
        return cls(whole.mean, whole.root, float(np.quantile(np.concatenate(apart), SHARE)))

    def distances(self, features: np.ndarray) -> np.ndarray:
        """`(examples,)`."""
        moved = (np.asarray(features, np.float64) - self.mean) @ self.root
        return np.asarray(np.linalg.norm(moved, axis=1))

    def strangeness(self, features: np.ndarray) -> np.ndarray:
        """Distances in units of the threshold: above 1 an input looks unlike the model's own examples."""
        return self.distances(features) / self.threshold

    def save(self, file: Path) -> None:
        """As safetensors; statistics, no example."""
        from safetensors.numpy import save_file

        tensors = {"mean": self.mean, "root": self.root, "threshold": np.array([self.threshold])}
        save_file({name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}, file)

    @classmethod
    def load(cls, file: Path) -> Typical:
        from safetensors.numpy import load_file

        found = load_file(file)
        return cls(found["mean"], found["root"], float(found["threshold"][0]))


def _cloud(rows: np.ndarray) -> Typical:
    from sklearn.covariance import LedoitWolf

    spread = rows.std(axis=0)
    spread = np.where(spread > 1e-6 * spread.max(), spread, 1.0)  # what is shrunk towards is: equal and unrelated
    fitted = LedoitWolf(store_precision=True).fit(rows / spread)
    values, vectors = np.linalg.eigh(fitted.precision_)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return Typical(fitted.location_ * spread, root / spread[:, None], 1.0)
