"""How far to trust a single answer: split conformal prediction on examples that the model was not fitted to.

A score says how badly an answer fits the truth; the scores of held-out examples say how large it has to be allowed to be for a
new example's truth to be covered so often (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv:2107.07511, section 1). That
holds where new examples are like the held-out ones; where those also chose the point of training that was kept, it is a little
optimistic; for windows of one series, which are not independent, it is approximate.
"""

from __future__ import annotations

import numpy as np


def limit_of(scores: np.ndarray, confidence: float) -> np.ndarray:
    """The value that a new score stays below with a probability of `confidence`.

    Args:
        scores: `(n, ...)` of held-out examples, NaN where nothing was observed.
        confidence: between 0 and 1.

    Returns:
        `(...)`: the `ceil((n + 1) * confidence)`-th smallest of each column; infinity where n is too small for that.
    """
    shape = np.shape(scores)
    flat = np.sort(np.asarray(scores, np.float64).reshape(shape[0], int(np.prod(shape[1:]))), axis=0)  # NaN goes last
    count = (~np.isnan(flat)).sum(axis=0)
    place = np.ceil((count + 1) * confidence - 1e-9).astype(int)
    padded = np.vstack([flat, np.full((1, flat.shape[1]), np.inf)])
    chosen = padded[np.clip(place - 1, 0, len(flat)), np.arange(flat.shape[1])]
    return np.where(place <= count, chosen, np.inf).reshape(shape[1:])
