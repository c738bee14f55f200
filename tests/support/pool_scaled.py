"""A probe for a handful of labels, which the benchmarks compare with."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from hf_ssl.evaluation.probes.probes import clean_features, fixed_c


def pool_scaled_probe(
    pool_x: np.ndarray, train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, *, c: float | None = None
) -> np.ndarray:
    """Logistic regression on features standardized by the unlabeled pool, with a fixed penalty.

    For a handful of labels: their own mean and spread are mostly noise, and so is a penalty cross-validated on them, while
    the pool's features cost no label.

    Args:
        pool_x: `(n, d)` features of unlabeled examples.
        train_x, train_y, test_x: as in `linear_probe`.
        c: inverse penalty; default `fixed_c`, for test examples like the labeled ones. Where they come from other
            households, patients or machines a stronger penalty was better (ElectricDevices: a fiftieth of it).

    Returns:
        a class for each test example.
    """
    pool_x, train_x, test_x = clean_features(pool_x, train_x, test_x)
    mean, spread = pool_x.mean(0), pool_x.std(0)
    spread = np.where(spread > 1e-6 * (np.abs(mean) + 1), spread, 1.0)
    c = c or fixed_c(train_x.shape[1])
    model = LogisticRegression(C=c, max_iter=1000, tol=1e-3).fit((train_x - mean) / spread, train_y)
    return model.predict((test_x - mean) / spread)
