"""Which point of a run is best for a domain without labels: rules that look at no label of it.

Training loss says nothing of it, and picking by target labels would be picking on the answer (what most published numbers of
domain adaptation do: Musgrave et al. 2021, arXiv:2111.15672). Higher is better for every rule here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.threads import one_blas_thread

TEMPERATURE = 0.05
LOSS_ALLOWED = 0.1
"""Part of what the source's best accuracy is above chance that a point may lose and still be kept."""
OUT = 100.0
"""More than any entropy."""


class SourceGuard:
    """Keeps rules that look at the target alone from points at which the source is not learned any more.

    Sure and varied answers on the target are also given by features that have collapsed. A point counts only while the source's accuracy is
    within `LOSS_ALLOWED` of the best one seen so far; when that rises above the point that was kept, the next good one takes its
    place whatever its score.

    Args:
        classes: of the labels; one in so many is chance.
        seen: accuracies on the source and scores so far, of a run that goes on.
    """

    def __init__(self, classes: int, seen: Sequence[tuple[float, float]] = ()) -> None:
        self.chance, self.best = 1 / classes, 0.0
        self._kept: tuple[float, float] | None = None  # accuracy on the source, score, of the point that is kept
        self._lift = 0.0
        for accuracy, score in seen:
            self.judge(accuracy, score)

    @property
    def learned(self) -> bool:
        """Whether the source was ever learned: by more than a tenth of what is above chance."""
        return self.best >= self.chance + LOSS_ALLOWED * (1 - self.chance)

    def judge(self, accuracy: float, score: float) -> float:
        """A score by which the kept point is the best one: lower than any other where the source is lost."""
        self.best = max(self.best, accuracy)
        floor = self.best - LOSS_ALLOWED * max(0.0, self.best - self.chance)
        if accuracy < floor:
            return -OUT
        if self._kept is not None and self._kept[0] < floor:
            self._lift += OUT
            self._kept = None
        if self._kept is None or score + self._lift > self._kept[1]:
            self._kept = accuracy, score + self._lift
        return score + self._lift


def infomax(chances: np.ndarray) -> float:
    """Information that answers carry of the target's examples: entropy of the mean answer minus mean entropy, in nats.

    High when single answers are sure and all together spread over the classes (Krause et al. 2010, "Discriminative
    Clustering by Regularized Information Maximization"; as a rule of selection "IM" in Musgrave et al. 2022,
    arXiv:2208.07360). Misled where the target's classes are very unequal.

    Args:
        chances: `(examples, classes)` of the target.
    """
    return float(_entropy(chances.mean(0)) - _entropy(chances).mean())


def soft_neighborhood_density(chances: np.ndarray) -> float:
    """Mean entropy of each target example's similarities to the others: high where answers form dense groups.

    Saito et al. 2021, "Tune it the Right Way", arXiv:2108.10860, temperature .05. Blind to two classes that became one.

    Args:
        chances: `(examples, classes)` of the target.
    """
    if len(chances) < 3:
        raise DataError("The rule snd compares the target's examples with each other; it needs three or more.")
    unit = chances / np.maximum(np.linalg.norm(chances, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T / TEMPERATURE
    alike = alike[~np.eye(len(alike), dtype=bool)].reshape(len(alike), -1)
    weights = np.exp(alike - alike.max(1, keepdims=True))
    return float(_entropy(weights / weights.sum(1, keepdims=True)).mean())


@one_blas_thread()
def importance_weights(source: np.ndarray, target: np.ndarray, seed: int = 0) -> np.ndarray:
    """How much likelier each source example is in the target, `(source,)`, with mean 1.

    From a logistic regression that tells the domains apart, cross-fitted over five folds: fitted and asked on the same
    examples it would find them all unlikely.

    Args:
        source, target: features `(n, width)`, `(m, width)`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    if min(len(source), len(target)) < 5:
        raise DataError(
            "Importance weights need five or more examples of the source's validation data and the target."
        )
    x = np.concatenate([source, target]).astype(np.float64)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)
    is_target = np.repeat([0, 1], [len(source), len(target)])
    weights = np.empty(len(source))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(x, is_target):
        fitted = LogisticRegression(C=0.01, max_iter=500, class_weight="balanced").fit(x[train], is_target[train])
        mine = test[test < len(source)]
        chance = np.clip(fitted.predict_proba(x[mine])[:, 1], 0.01, 0.99)
        weights[mine] = chance / (1 - chance)
    return weights / weights.mean()


def importance_weighted(losses: np.ndarray, weights: np.ndarray) -> float:
    """Source validation loss where every example counts as often as the target would have it, negated.

    Sugiyama et al. 2007, "Covariate Shift Adaptation by Importance Weighted Cross Validation".
    """
    return -float((weights * losses).mean())


def deep_embedded_validation(losses: np.ndarray, weights: np.ndarray) -> float:
    """The same with a control variate that takes out most of the weights' variance (DEV), negated.

    You et al. 2019, "Towards Accurate Model Selection in Deep Unsupervised Domain Adaptation", ICML, equation 9.
    """
    weighted = weights * losses
    variance = weights.var()
    slope = -((weighted - weighted.mean()) * (weights - weights.mean())).mean() / variance if variance > 0 else 0.0
    return -float(weighted.mean() + slope * weights.mean() - slope)


def _entropy(chances: np.ndarray) -> np.ndarray:
    safe = np.clip(chances, 1e-12, None)
    entropies: np.ndarray = -(chances * np.log(safe)).sum(-1)
    return entropies
