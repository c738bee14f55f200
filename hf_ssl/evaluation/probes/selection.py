"""What cheap classifiers say of labels that they were not fitted on: the labeled budget alone is asked.

A classifier is a logistic regression on a view of the examples (vectors of a frozen encoder, word frequencies, pixels …). All fits
are exact, in the space that the labeled examples span, so that their cost depends on the number of labels and hardly on the
width of a view. Few labels are held out several times over, in other partitions: one partition of forty labels says one thing, the
next another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.threads import one_blas_thread
from hf_ssl.evaluation.probes.probes import PROBLEM_TYPES, grouped_folds, splitter
from hf_ssl.evaluation.probes.soft import ridge_head

if TYPE_CHECKING:
    from scipy.sparse import spmatrix

FOLDS = 5
ENOUGH, MOST_ROUNDS = 300, 5
"""Labels are held out until so many were asked, and no more often than that."""
PENALTIES = tuple((10.0 ** (np.arange(-6, 5) / 2)).tolist())
"""Values of C for rows whose mean squared length is 10 per example; the grid is the same for every view."""
USUAL, UNUSUAL = 10.0, 3.0
"""The C that is taken unless another one has a log loss that is lower by so many standard errors. On the development sets, at 4 labels a class,
the least log loss takes penalties that are too strong (`docs/best-answer.md`)."""
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
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    inner, outer = view.coordinates(known, asked)
    found: dict[float, np.ndarray] = {}
    model = LogisticRegression(max_iter=500, tol=1e-4, warm_start=True)
    # Thousands of small fits: scikit-learn's looks at options and values would be a tenth of their time.
    with one_blas_thread(), config_context(skip_parameter_validation=True, assume_finite=True):
        for penalty in sorted(penalties):  # from the strongest on, each starts where the one before ended
            model.C = penalty
            model.fit(inner, y)
            answer = np.zeros((len(asked), classes))
            answer[:, model.classes_] = model.predict_proba(outer)
            found[penalty] = answer
    return found


def folds_of(
    y: np.ndarray, groups: Sequence[Any] | None, seed: int, folds: int = FOLDS, repeats: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`(kept, held)` row numbers, stratified; labels of one group (patient, recording) are never on both sides.

    Classes with a single label (with groups: with labels from a single group) stay in the training part: they can be predicted
    wrongly, never rightly.

    Returns:
        an empty list where fewer than two classes can be held out; `not_judged` says why.
    """
    asked = _classes_to_ask(y, groups)
    often = np.flatnonzero(np.isin(y, asked))
    if len(asked) < 2:
        return []
    rare = np.setdiff1d(np.arange(len(y)), often)
    found = []
    for repeat in range(repeats):
        splits = _round(
            y[often], None if groups is None else [groups[int(row)] for row in often], folds, seed + repeat
        )
        found += [(np.concatenate([often[kept], rare]), often[held]) for kept, held in splits]
    return found


def _classes_to_ask(y: np.ndarray, groups: Sequence[Any] | None) -> np.ndarray:
    """Classes with labels from two places: rows, or groups."""
    places = (
        np.arange(len(y)) if groups is None else np.unique([str(group) for group in groups], return_inverse=True)[1]
    )
    pairs = np.unique(np.stack([y, places]), axis=1)[0]
    classes, counts = np.unique(pairs, return_counts=True)
    return classes[counts >= 2]


def _round(y: np.ndarray, groups: Sequence[Any] | None, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """One partition; with groups, of as many folds as they allow, or none."""
    most = min(folds, int(np.unique(y, return_counts=True)[1].min()))
    if groups is None:
        return list(splitter(PROBLEM_TYPES[0], most, seed).split(y, y))
    for number in range(min(most, len(set(groups))), 1, -1):
        for attempt in range(5):  # some shuffles leave a class on one side
            found = grouped_folds(y, groups, PROBLEM_TYPES[0], number, seed + 1000 * attempt)
            if found is not None:
                return found
    return []


def not_judged(y: np.ndarray, groups: Sequence[Any] | None) -> str:
    """Why `folds_of` found nothing, for people."""
    if len(_classes_to_ask(y, None)) < 2:
        return "fewer than two classes have two labels, so none can be held out"
    return "labels of a class come from one group each, so none can be held out without its group"


@dataclass(frozen=True)
class HeldOut:
    """What views say of labeled examples that they were not fitted on.

    Args:
        rounds: partitions of the labels, each of `(kept, held)` row numbers; none where no two classes can be held out.
        asked: row numbers that were held out, in order; the same in every round.
        scalings: which of a view's scalings answers better.
        penalties: C of each view.
        answers: by view `(rounds, len(asked), classes)`.
    """

    rounds: list[list[tuple[np.ndarray, np.ndarray]]]
    asked: np.ndarray
    scalings: dict[str, int]
    penalties: dict[str, float]
    answers: dict[str, np.ndarray]


def rounds_for(labels: int) -> int:
    """How often labels are held out: five times where they are few, once where they are hundreds."""
    return int(np.clip(ENOUGH // max(1, labels), 1, MOST_ROUNDS))


def held_out(
    views: Mapping[str, Sequence[np.ndarray]], y: np.ndarray, classes: int, *, groups: Sequence[Any] | None = None, seed: int = 0,
    ridged: Collection[str] = (),
) -> HeldOut:  # fmt: skip
    """Cross-validate every view on the same folds.

    Penalty and scaling are chosen by log loss in the first round, where it is clear, and answer in all of them.

    Args:
        views: rows by name, in one or several scalings, of mean squared length 10 per item; the first `len(y)` items are the labeled ones.
        y: `(labels,)` classes.
        classes: number of classes.
        groups: of the labeled examples; they stay in one fold.
        seed: of the folds.
        ridged: views whose answer is the mean of a logistic and a ridge regression.
    """
    drawn = [folds_of(y, groups, seed + number, repeats=1) for number in range(rounds_for(len(y)))]
    rounds = [splits for splits in drawn if splits]
    if not rounds:
        nothing = np.arange(0)
        return HeldOut([], nothing, dict.fromkeys(views, 0), dict.fromkeys(views, 1.0), {})
    asked = np.unique(np.concatenate([held for _, held in rounds[0]]))
    scalings, penalties, answers = {}, {}, {}
    for name, scaled in views.items():
        tried = [_by_penalty(View.ready(rows), y, rounds[0], classes, PENALTIES) for rows in scaled]
        place, penalty = _scaling([{c: found[asked] for c, found in each.items()} for each in tried], y[asked])
        rows = scaled[place]
        later = (_by_penalty(View.ready(rows), y, splits, classes, (penalty,))[penalty] for splits in rounds[1:])
        found = np.stack([tried[place][penalty], *later])
        if name in ridged:
            found = _between(found, np.stack([_by_ridge(rows, y, splits, classes) for splits in rounds]))
        scalings[name], penalties[name], answers[name] = place, penalty, found[:, asked]
    return HeldOut(rounds, asked, scalings, penalties, answers)


def _scaling(tried: Sequence[Mapping[float, np.ndarray]], y: np.ndarray) -> tuple[int, float]:
    """Place of the scaling and C: the view's own, unless another one is better by more than a standard error."""
    best = [_penalty(each, y) for each in tried]
    own, place = losses_of(tried[0][best[0]], y), 0
    for other in range(1, len(tried)):
        if clearly_more(own, losses_of(tried[other][best[other]], y)):
            place = other
    return place, best[place]


def _penalty(tried: Mapping[float, np.ndarray], y: np.ndarray) -> float:
    """The usual C, unless another one is clearly better: a handful of labels hardly tells them apart, and picks by luck."""
    losses = {c: losses_of(answers, y) for c, answers in tried.items()}
    best = min(losses, key=lambda c: (round(float(losses[c].mean()), 4), c))  # of equals the stronger penalty
    return best if clearly_more(losses[USUAL], losses[best], UNUSUAL) else USUAL


def _by_penalty(
    view: View,
    y: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: int,
    penalties: Sequence[float],
) -> dict[float, np.ndarray]:
    """Answers `(len(y), classes)` for every C, 0 where an example was never asked."""
    found = {penalty: np.zeros((len(y), classes)) for penalty in penalties}
    for kept, held in splits:
        for penalty, answer in probabilities(view, kept, y[kept], held, classes, penalties).items():
            found[penalty][held] = answer
    return found


def _by_ridge(
    rows: np.ndarray, y: np.ndarray, splits: Sequence[tuple[np.ndarray, np.ndarray]], classes: int
) -> np.ndarray:
    truth, found = np.eye(classes)[y], np.zeros((len(y), classes))
    for kept, held in splits:
        found[held] = ridge_head(rows[kept], truth[kept]).answers(rows[held])
    return found


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The mean of the logits of two answers."""
    mean = np.sqrt(np.clip(first, 1e-9, None) * np.clip(second, 1e-9, None))
    return mean / mean.sum(-1, keepdims=True)


def losses_of(answers: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log of the probability of the truth `(items,)`, mean over the rounds if there are any.

    Args:
        answers: `(items, classes)` or `(rounds, items, classes)`.
    """
    losses = -np.log(np.clip(answers[..., np.arange(len(y)), y], 1e-7, 1.0))
    return losses if losses.ndim == 1 else losses.mean(0)


def clearly_more(first: np.ndarray, second: np.ndarray, errors: float = 1.0) -> bool:
    """Whether the first is larger by more than so many standard errors of the paired difference."""
    gain = first - second
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    return bool(gain.mean() > errors * error)
