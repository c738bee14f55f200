"""Which of several cheap classifiers to trust, asked of the labeled budget alone.

Every candidate answers every labeled example from folds that it was not fitted on; the answers are compared example by
example. The best one by cross-validation is often best by luck where labels are few, so a candidate has to be better than
a simpler one by more than one standard error of the difference (Breiman et al. 1984, Classification and Regression Trees,
section 3.4.3): with nothing between them, the simpler one is taken.

A candidate is a logistic regression on a view of the examples (vectors of a frozen encoder, word frequencies, pixels …),
or the mean of the probabilities of several. The penalty is chosen inside, by log loss. All fits are exact, in the space
that the labeled examples span, so that their cost depends on the number of labels and hardly on the width of a view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.evaluation.probes.probes import PROBLEM_TYPES, grouped_folds, splitter

if TYPE_CHECKING:
    from scipy.sparse import spmatrix

FOLDS = 5
REPEATS = 3
PENALTIES = tuple(float(c) for c in np.geomspace(1e-3, 1e2, 11))
"""Values of C for rows whose mean squared length is 1 per example; the grid is the same for every view."""
SPANNED = 2000
"""Up to so many labels a fit is made in the space that they span; above it in the view's own."""


class View:
    """Rows of features of one kind, labeled ones and those to be answered alike.

    Args:
        rows: `(items, width)`, dense or sparse. They are scaled so that the mean squared length is the number that makes
            one grid of penalties serve every view.
    """

    def __init__(self, rows: Any) -> None:
        from scipy import sparse

        self.rows: Any = rows.tocsr().astype(np.float64) if sparse.issparse(rows) else np.asarray(rows, np.float64)
        squares = np.square(self.rows.data if sparse.issparse(rows) else self.rows).sum()
        length = float(squares) / max(1, self.rows.shape[0])
        self.scale = np.sqrt(10.0 / length) if length > 0 else 1.0

    @classmethod
    def ready(cls, rows: np.ndarray) -> View:
        """Of rows that have that length already."""
        view = cls(rows)
        view.scale = 1.0
        return view

    def coordinates(self, known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both in an orthonormal basis of what the known rows span: the same regression, fewer columns."""
        basis, others = self.rows[known], self.rows[asked]
        if basis.shape[1] <= len(known) or len(known) > SPANNED:
            return _dense(basis) * self.scale, _dense(others) * self.scale
        gram = _dense(basis @ basis.T)
        values, vectors = np.linalg.eigh(gram)
        keep = values > values.max(initial=0.0) * 1e-10
        if not keep.any():  # all rows are 0: they say nothing, and the regression still wants a column
            return np.zeros((len(known), 1)), np.zeros((len(asked), 1))
        roots = np.sqrt(values[keep])
        inner = vectors[:, keep] * roots
        outer = _dense(others @ basis.T) @ (vectors[:, keep] / roots)
        return inner * self.scale, outer * self.scale


def _dense(rows: np.ndarray | spmatrix) -> np.ndarray:
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)


def probabilities(
    view: View, known: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int, penalties: Sequence[float]
) -> dict[float, np.ndarray]:
    """Logistic regression for several penalties, `C -> (len(asked), classes)`; classes without examples get 0."""
    from sklearn.linear_model import LogisticRegression

    inner, outer = view.coordinates(known, asked)
    found: dict[float, np.ndarray] = {}
    model = LogisticRegression(max_iter=500, tol=1e-4, warm_start=True)
    for penalty in sorted(penalties):  # from the strongest on, each starts where the one before ended
        model.set_params(C=penalty).fit(inner, y)
        answer = np.zeros((len(asked), classes))
        answer[:, model.classes_] = model.predict_proba(outer)
        found[penalty] = answer
    return found


@dataclass(frozen=True)
class Candidate:
    """A way to classify.

    Args:
        name: for people, such as `"mean of the last layer"`.
        views: names of the views whose logistic regressions are averaged.
    """

    name: str
    views: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """What cross-validation says of a candidate.

    Args:
        accuracy, macro_f1, log_loss: over the held-out answers.
        answers: `(items, classes)` probabilities, each from folds without the item, averaged over the repeats.
    """

    accuracy: float
    macro_f1: float
    log_loss: float
    answers: np.ndarray


@dataclass(frozen=True)
class Choice:
    """The candidate that was chosen.

    Args:
        candidate: it.
        penalties: of its views.
        penalties_of_all: of the views of all candidates.
        scores: of all candidates, by name.
        best: name of the candidate with the highest score.
        reason: one sentence.
    """

    candidate: Candidate
    penalties: dict[str, float]
    penalties_of_all: dict[str, float]
    scores: dict[str, Score]
    best: str
    reason: str


def folds_of(
    y: np.ndarray, groups: Sequence[Any] | None, seed: int, folds: int = FOLDS, repeats: int = REPEATS
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`(kept, held)` row numbers, stratified, groups kept together where every class has enough of them.

    Classes with a single example stay in the training part: they can be predicted wrongly, never rightly.

    Returns:
        an empty list where no class has two examples.
    """
    counts = np.bincount(y)
    often = np.flatnonzero(counts[y] >= 2)
    if len(np.unique(y[often])) < 2:
        return []
    rare = np.setdiff1d(np.arange(len(y)), often)
    number = min(folds, int(counts[counts >= 2].min()))
    found = []
    for repeat in range(repeats):
        inner = None if groups is None else [groups[int(row)] for row in often]
        apart = number if inner is None else min(number, len(set(inner)))
        grouped = grouped_folds(y[often], inner, PROBLEM_TYPES[0], apart, seed + repeat) if apart > 1 else None
        splits = grouped or splitter(PROBLEM_TYPES[0], number, seed + repeat).split(often, y[often])
        found += [(np.concatenate([often[kept], rare]), often[held]) for kept, held in splits]
    return found


def held_out_answers(
    view: View, y: np.ndarray, splits: Sequence[tuple[np.ndarray, np.ndarray]], classes: int
) -> tuple[float, np.ndarray]:
    """The penalty of least log loss, and what the regression with it says of every example from folds without it.

    Returns:
        C, and `(len(y), classes)` averaged over the repeats; 0 where an example was never asked.
    """
    sums = {penalty: np.zeros((len(y), classes)) for penalty in PENALTIES}
    seen = np.zeros(len(y))
    for kept, held in splits:
        seen[held] += 1
        for penalty, answer in probabilities(view, kept, y[kept], held, classes, PENALTIES).items():
            sums[penalty][held] += answer
    tried = seen > 0
    losses = {penalty: log_loss(answer[tried] / seen[tried, None], y[tried]) for penalty, answer in sums.items()}
    best = min(losses, key=lambda penalty: (round(losses[penalty], 4), penalty))
    return best, sums[best] / np.maximum(seen, 1)[:, None]


def choose(
    candidates: Sequence[Candidate], views: Mapping[str, View], y: np.ndarray, *, classes: int, seed: int = 0,
    groups: Sequence[Any] | None = None,
) -> Choice:  # fmt: skip
    """The simplest candidate that is not worse than the best by more than one standard error.

    Args:
        candidates: from the simplest to the most complicated.
        views: by name; the first `len(y)` rows are the labeled examples.
        y: `(n,)` class numbers.
        classes: number of classes.
        seed: of the folds.
        groups: as in `linear_probe`.
    """
    items = np.arange(len(y))
    splits = folds_of(y, groups, seed)
    used = sorted({name for candidate in candidates for name in candidate.views})
    if not splits:
        first = candidates[0]
        fixed = dict.fromkeys(used, 1.0)
        return Choice(
            first,
            dict.fromkeys(first.views, 1.0),
            fixed,
            {},
            first.name,
            "no class has two labels: nothing was compared",
        )
    held_out: dict[str, np.ndarray] = {}
    penalties: dict[str, float] = {}
    for name in used:
        penalties[name], held_out[name] = held_out_answers(views[name], y, splits, classes)
    tried = np.isin(items, np.concatenate([held for _, held in splits]))
    scores = {}
    for candidate in candidates:
        answers = np.mean([held_out[name] for name in candidate.views], axis=0)
        scores[candidate.name] = _score(answers, y, tried)
    return _simplest(candidates, penalties, scores, y, tried)


def _simplest(
    candidates: Sequence[Candidate],
    penalties: Mapping[str, float],
    scores: dict[str, Score],
    y: np.ndarray,
    tried: np.ndarray,
) -> Choice:
    best = max(candidates, key=lambda candidate: (scores[candidate.name].accuracy, -scores[candidate.name].log_loss))
    right = {name: (score.answers.argmax(1) == y)[tried].astype(float) for name, score in scores.items()}
    for candidate in candidates:
        gain = right[best.name] - right[candidate.name]
        error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
        if candidate is best or gain.mean() <= error:
            break
    share, top = scores[candidate.name].accuracy, scores[best.name].accuracy
    reason = (
        f"{candidate.name}: {share:.1%} of the labels are right in cross-validation"
        + ("" if candidate is best else f"; {best.name} has {top:.1%}, which is less than one standard error more")
    )  # fmt: skip
    return Choice(
        candidate, {name: penalties[name] for name in candidate.views}, dict(penalties), scores, best.name, reason
    )


def _score(answers: np.ndarray, y: np.ndarray, tried: np.ndarray) -> Score:
    from sklearn.metrics import f1_score

    guess = answers[tried].argmax(1)
    macro = f1_score(y[tried], guess, average="macro", labels=np.unique(y[tried]), zero_division=0)
    return Score(float((guess == y[tried]).mean()), float(macro), log_loss(answers[tried], y[tried]), answers)


def log_loss(answers: np.ndarray, y: np.ndarray) -> float:
    """Mean of -log of the probability of the truth."""
    return float(-np.log(np.clip(answers[np.arange(len(y)), y], 1e-7, 1.0)).mean())
