"""Linear answers that learn from soft labels: how a frozen checkpoint, cheap features and an unlabeled pool become one head.

With a handful of labels two kinds of linear classifiers err differently: those on vectors of a frozen checkpoint, and those
on features that need none (words, pixels, band energies, statistics). Three steps turn that into one better head:

1. *vote*: the weighted mean of their probabilities, each logistic regression with its penalty chosen by cross-validation, the
   weights by what they say of labels held out;
2. *taught*: every view is fitted again, on the labels and on what the vote believes of the pool (sharpened: probabilities
   squared), so that each learns from the others what it could not see in the labels. The mean of the views now is the
   *teacher*;
3. the head of the model is the frozen view fitted on the labels and on what the teacher believes of the pool: one linear
   layer, which the model carries exactly.

Measured on development sets only (`docs/best-answer.md`). Related: co-training (Blum & Mitchell 1998), distillation of
ensembles (Hinton et al. 2015, arXiv:1503.02531), self-training with soft targets (Xie et al. 2020, arXiv:1911.04252).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from hf_ssl.evaluation.probes.selection import clearly_more, held_out, losses_of
from hf_ssl.evaluation.probes.soft import STEPS, Head, between, ridge_head, soft_regression

PENALTY, WEAKER = 1.0, 10.0
"""C of fits on soft labels, for rows of mean squared length 10; the second where cross-validation clearly prefers it. On 8
topics of news 10 costs .02 to .04 macro-F1, on 22 syllables of speech 1 does."""
POOL_SHARE = 0.5
"""Weight of an example of the pool, a labeled one having 1."""
SHARPER, SHARPER_AGAIN = 2.0, 1.5
"""Powers that probabilities of the vote, and of the teacher, are raised to before they are learned from."""
PRIOR, LEAST = 20.0, 0.02
"""Labels that the prior of a vote's shares is worth, and the share below which a view is left out. 5 to 40 differ by .007 macro-F1 on
the development sets, 2 loses .01."""
ALONE = 2.0
"""Standard errors of log loss by which one view has to be better than the vote to answer alone. With one, .07 macro-F1 were lost on a
development set (a view of less worth, by luck); by accuracy, as much."""
FLOOR = 0.2
"""Least share of a class in what is believed of the pool, as a fraction of its share among the labels."""


Scalings: TypeAlias = np.ndarray | tuple[np.ndarray, ...]
"""Rows of a view, or the same rows in several scalings, its own first."""


def _scalings(rows: Scalings) -> tuple[np.ndarray, ...]:
    return rows if isinstance(rows, tuple) else (rows,)


def sharpened(answers: np.ndarray, power: float, shares: np.ndarray) -> np.ndarray:
    """Probabilities raised to a power, no class with less than `FLOOR` of its share among the labels.

    Left alone, a teacher of few labels forgets a class that it is seldom sure of, and what learns from it never predicts it.
    """
    raised = np.clip(answers, 1e-9, None) ** power
    raised /= raised.sum(1, keepdims=True)
    for _ in range(5):
        lift = np.maximum(1.0, FLOOR * shares / np.clip(raised.mean(0), 1e-9, None))
        if (lift < 1.01).all():
            break
        raised *= lift
        raised /= raised.sum(1, keepdims=True)
    return raised


@dataclass(frozen=True)
class Lesson:
    """What was learned from labels and pool.

    Args:
        head: of the view that the model's head reads, from labels and pool; from the labels alone without a pool.
        believed: of the pool, by the teacher `(pool, classes)`.
        teacher: the heads of all views, on their coordinates; their weighted mean is the teacher's answer.
        vote: the same before the pool.
    """

    head: Head
    believed: np.ndarray
    teacher: dict[str, Head]
    vote: dict[str, Head]


def mixed(answers: Mapping[str, np.ndarray], shares: Mapping[str, float]) -> np.ndarray:
    """Weighted mean of the probabilities of several views."""
    return np.sum([shares[name] * each for name, each in answers.items()], axis=0)


@dataclass(frozen=True)
class Recipe:
    """How views become a lesson.

    Args:
        read: the view that the model's head reads.
        shares: weight of each view in the vote; they sum to 1.
        penalties: C of each view's regression on the labels.
        penalty: C of all fits on soft labels.
        ridged: views whose answer to the labels is the mean of a logistic and a ridge regression.
        scalings: which of its scalings each view is read in.
    """

    read: str
    shares: Mapping[str, float]
    penalties: Mapping[str, float]
    penalty: float = PENALTY
    ridged: frozenset[str] = frozenset()
    scalings: Mapping[str, int] = field(default_factory=dict)

    def uses(self, name: str) -> bool:
        """Whether a view answers, or the model's head reads it."""
        return self.shares[name] > 0 or name == self.read

    def rows(self, views: Mapping[str, Scalings]) -> dict[str, np.ndarray]:
        """Every view in its scaling."""
        return {name: _scalings(rows)[self.scalings.get(name, 0)] for name, rows in views.items()}


def voted(
    views: Mapping[str, np.ndarray], recipe: Recipe, known: np.ndarray, y: np.ndarray, classes: int
) -> dict[str, Head]:
    """Step 1: the regression on the labels of every view that is used; arguments as for `learn`."""
    truth = np.eye(classes)[y]
    heads = {}
    for name, rows in views.items():
        if not recipe.uses(name):
            continue
        head = soft_regression(rows[known], truth, penalty=recipe.penalties[name], steps=3 * STEPS)
        heads[name] = between(head, ridge_head(rows[known], truth)) if name in recipe.ridged else head
    return heads


def learn(
    views: Mapping[str, np.ndarray], recipe: Recipe, known: np.ndarray, y: np.ndarray, pooled: np.ndarray, classes: int,
    vote: dict[str, Head] | None = None,
) -> Lesson:  # fmt: skip
    """The three steps.

    Args:
        views: coordinates by name, `(items, columns)` each.
        recipe: what was found for them.
        known, pooled: item numbers; `y` `(len(known),)` are the classes of the first.
        classes: number of classes.
        vote: the first step's result, where it is there already.
    """
    vote = voted(views, recipe, known, y, classes) if vote is None else vote
    if not len(pooled):
        return Lesson(vote[recipe.read], np.zeros((0, classes)), vote, vote)
    used = [name for name in views if recipe.uses(name)]
    truth, present = np.eye(classes)[y], np.bincount(y, minlength=classes) / len(y)
    both = np.concatenate([known, pooled])
    weights = np.concatenate([np.ones(len(known)), np.full(len(pooled), POOL_SHARE)])

    def taught(name: str, believed: np.ndarray, start: Head | None) -> Head:
        targets = np.concatenate([truth, believed])
        return soft_regression(views[name][both], targets, weights, recipe.penalty, start)

    def together(heads: Mapping[str, Head]) -> np.ndarray:
        return mixed({name: heads[name].answers(views[name][pooled]) for name in used}, recipe.shares)

    soft = sharpened(together(vote), SHARPER, present)
    teacher = {name: taught(name, soft, None) for name in used}
    soft = sharpened(together(teacher), SHARPER_AGAIN, present)
    return Lesson(taught(recipe.read, soft, teacher[recipe.read]), soft, teacher, vote)


FROZEN, VOTE, TAUGHT, TEACHER = "frozen probe", "vote", "taught head", "teacher"


@dataclass(frozen=True)
class Answered:
    """What a way to answer said of labeled examples that it was not fitted on.

    Args:
        answers: `(rounds, items, classes)`, in every round by fits on other parts of the labels.
        y: `(items,)` the truth.
        accuracy, macro_f1, log_loss: of those that were asked, mean over the rounds.
    """

    answers: np.ndarray
    y: np.ndarray
    accuracy: float
    macro_f1: float
    log_loss: float

    @classmethod
    def of(cls, answers: np.ndarray, y: np.ndarray) -> Answered:
        """Of answers of one round or of several."""
        each = answers if answers.ndim == 3 else answers[None]
        guesses = each.argmax(-1)
        macro = np.mean([_macro(guess, y) for guess in guesses])
        return cls(each, y, float((guesses == y).mean()), float(macro), float(losses_of(each, y).mean()))

    @property
    def right(self) -> np.ndarray:
        """How often every item was answered rightly `(items,)`."""
        return (self.answers.argmax(-1) == self.y).mean(0)

    @property
    def losses(self) -> np.ndarray:
        """Mean loss of every item `(items,)`."""
        return losses_of(self.answers, self.y)

    @property
    def guesses(self) -> np.ndarray:
        """The class of every item by the mean over the rounds `(items,)`."""
        return self.answers.mean(0).argmax(-1)

    @property
    def first(self) -> Answered:
        """In the first round alone."""
        return Answered.of(self.answers[:1], self.y)


@dataclass(frozen=True)
class Trial:
    """Cross-validation of all ways to answer.

    Args:
        y: classes of the examples that were asked.
        recipe: to fit the views again on everything.
        ways: `"frozen probe"`, every other view by its name, `"vote"`, and with a pool `"taught head"` and `"teacher"`;
            empty where no two classes could be held out.
        best: the way that answers as long as no pool has taught: the vote, or a view that is clearly better alone.
    """

    y: np.ndarray
    recipe: Recipe
    ways: dict[str, Answered]
    best: str = VOTE


def try_all(
    views: Mapping[str, Scalings], prior: Mapping[str, float], read: str, y: np.ndarray, pooled: np.ndarray, classes: int, *,
    groups: Sequence[Any] | None = None, seed: int = 0, ridged: Collection[str] = (),
) -> Trial:  # fmt: skip
    """Cross-validate every way to answer, on the same folds.

    Args:
        views: coordinates by name, `(items, columns)` each, or a tuple of them in several scalings; the first `len(y)` items are
            the labeled ones.
        prior: share of each view in the vote before the labels are asked; they sum to 1.
        read: the view that the model's head reads.
        y: `(labels,)` classes.
        pooled: item numbers of the pool.
        groups: of the labeled examples; they stay in one fold.
        ridged: views that are answered by ridge regression, too.
    """
    both = frozenset(ridged)
    held = held_out(
        {name: _scalings(rows) for name, rows in views.items()}, y, classes, groups=groups, seed=seed, ridged=both
    )
    if not held.rounds:
        return Trial(y[:0], Recipe(read, dict(prior), dict.fromkeys(views, PENALTY), ridged=both), {})
    truth = y[held.asked]
    ways = {FROZEN if name == read else name: Answered.of(answers, truth) for name, answers in held.answers.items()}
    recipe = Recipe(read, stacked(prior, held.answers, truth), held.penalties, ridged=both, scalings=held.scalings)
    alone = better_alone(ways, Answered.of(mixed(held.answers, recipe.shares), truth))
    ways[VOTE] = Answered.of(mixed(held.answers, recipe.shares), truth)
    if alone is not None:
        own = read if alone == FROZEN else alone
        recipe = replace(recipe, shares={name: float(name == own) for name in views})
    if len(pooled):
        recipe, taught = _taught(recipe.rows(views), recipe, y, pooled, classes, held.rounds[0], held.asked)
        ways |= taught
    return Trial(truth, recipe, ways, alone or VOTE)


def _taught(
    views: Mapping[str, np.ndarray], recipe: Recipe, y: np.ndarray, pooled: np.ndarray, classes: int,
    splits: Sequence[tuple[np.ndarray, np.ndarray]], asked: np.ndarray,
) -> tuple[Recipe, dict[str, Answered]]:  # fmt: skip
    """What is learned on the pool, on the same folds, with the better of two penalties."""
    recipes = [replace(recipe, penalty=penalty) for penalty in (PENALTY, WEAKER)]
    sums = [{name: np.zeros((len(y), classes)) for name in (TAUGHT, TEACHER)} for _ in recipes]
    for kept, out in splits:
        vote = voted(views, recipe, kept, y[kept], classes)
        for one, found in zip(recipes, sums, strict=True):
            lesson = learn(views, one, kept, y[kept], pooled, classes, vote)
            found[TAUGHT][out] = lesson.head.answers(views[recipe.read][out])
            each = {name: head.answers(views[name][out]) for name, head in lesson.teacher.items()}
            found[TEACHER][out] = mixed(each, recipe.shares)
    truth = y[asked]
    right = [(found[TAUGHT][asked].argmax(1) == truth).astype(float) for found in sums]
    best = int(clearly_more(right[1], right[0]))  # by log loss the weaker one wins where it is merely more confident
    return recipes[best], {name: Answered.of(answers[asked], truth) for name, answers in sums[best].items()}


def stacked(prior: Mapping[str, float], held: Mapping[str, np.ndarray], y: np.ndarray) -> dict[str, float]:
    """Shares of views in a vote: what makes the labels likeliest, held out, with a prior worth `PRIOR` labels.

    Expectation maximization of the log likelihood of the mixture (stacking: Yao et al. 2018, arXiv:1704.02030) and a
    Dirichlet prior. With a handful of labels it is the prior that speaks, with hundreds the labels.

    Args:
        prior: share of each view before anything was seen; they sum to 1.
        held: probabilities `(items, classes)` of each view, or `(rounds, items, classes)`, for examples that it was not fitted on.
        y: `(items,)` classes of these.
    """
    before = np.array([*prior.values()])
    likely = np.stack([np.exp(-losses_of(held[name], y)) for name in prior])
    shares = before
    for _ in range(200):
        owned = shares[:, None] * likely
        shares = PRIOR * before + (owned / owned.sum(0)).sum(1)
        shares = shares / shares.sum()
    shares = np.where(shares >= LEAST, shares, 0.0)
    return dict(zip(prior, (shares / shares.sum()).tolist(), strict=True))


def better_alone(ways: Mapping[str, Answered], vote: Answered) -> str | None:
    """The one view that has more labels right than the vote and a log loss that is clearly lower, if there is one."""
    best = min(ways, key=lambda name: ways[name].log_loss)
    is_better = ways[best].accuracy > vote.accuracy and clearly_more(vote.losses, ways[best].losses, ALONE)
    return best if is_better else None


def is_refused(offered: Answered, simple: Answered, y: np.ndarray, seed: int = 0) -> str | None:
    """Why the labels speak against what the pool taught, or None.

    Whether a pool helps is seen badly in a handful of labels, and on development sets it mostly does: so it is refused where
    it is worse than the simple way beyond doubt, in accuracy or in macro-F1 (two standard errors) or in log loss, which a
    handful of labels measures better (one); and where nothing is better, neither of the two nor the log loss.
    """
    simple = simple.first  # the pool was tried in the first round alone
    if clearly_more(offered.losses, simple.losses):
        return f"log loss {offered.log_loss:.3f} against {simple.log_loss:.3f}"
    if clearly_more(simple.right, offered.right, 2.0):
        return f"accuracy {offered.accuracy:.1%} against {simple.accuracy:.1%}"
    first, second = simple.guesses, offered.guesses
    drawn = np.random.default_rng(seed).integers(0, len(y), (200, len(y)))
    gains = np.array([_macro(second[rows], y[rows]) - _macro(first[rows], y[rows]) for rows in drawn])
    if offered.macro_f1 - simple.macro_f1 < -2 * gains.std():
        return f"macro-F1 {offered.macro_f1:.3f} against {simple.macro_f1:.3f}"
    better = (
        offered.accuracy > simple.accuracy, offered.macro_f1 > simple.macro_f1, offered.log_loss < simple.log_loss
    )  # fmt: skip
    return None if any(better) else "nothing is better"


def vote_is_better(trial: Trial) -> bool:
    """Whether labels held out say that views answered better before the pool: more of them right, or as many with a log loss clearly lower.

    On texts the pool helps, on series whose network is untrained it often does not (`tests/benchmarks/bench_vote.py`).
    """
    if TEACHER not in trial.ways:
        return True
    vote, teacher = trial.ways[trial.best].first, trial.ways[TEACHER]
    as_many = bool(vote.right.mean() >= teacher.right.mean())
    return clearly_more(vote.right, teacher.right) or (as_many and clearly_more(teacher.losses, vote.losses))


def _macro(guess: np.ndarray, y: np.ndarray) -> float:
    """Macro-F1 over the classes of `y`."""
    classes = int(max(guess.max(), y.max())) + 1
    right = np.bincount(y[guess == y], minlength=classes)
    there = np.bincount(y, minlength=classes)
    total = there + np.bincount(guess, minlength=classes)
    return float((2 * right / np.maximum(total, 1))[there > 0].mean())
