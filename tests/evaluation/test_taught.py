"""Linear answers that learn from soft labels: exact on hard ones, taught by views that err otherwise, refused where they mislead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hf_ssl.evaluation.probes.soft import Coordinates, between, ridge_head, soft_regression
from hf_ssl.evaluation.probes.taught import (
    FROZEN,
    TAUGHT,
    TEACHER,
    VOTE,
    Answered,
    Recipe,
    Trial,
    better_alone,
    is_refused,
    learn,
    sharpened,
    stacked,
    try_all,
    vote_is_better,
    voted,
)

CLASSES = 4


def planted(noise: float = 1.5, seed: int = 0, count: int = 400) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two views of the same classes with independent noise, as coordinates; and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    views = {
        name: Coordinates(rng.normal(size=(CLASSES, 20))[labels] + noise * rng.normal(size=(count, 20))).rows
        for name in ("net", "cheap")
    }
    return views, labels


PRIOR_SHARES = {"net": 0.5, "cheap": 0.5}


def test_hard_labels_give_logistic_regression():
    x, y = load_digits(return_X_y=True)
    rows = Coordinates(x).rows
    head = soft_regression(rows[:300], np.eye(10)[y[:300]], penalty=0.1, steps=500)
    theirs = LogisticRegression(C=0.1, max_iter=2000, tol=1e-8).fit(rows[:300], y[:300]).predict_proba(rows[300:])
    np.testing.assert_allclose(head.answers(rows[300:]), theirs, atol=0.01)


@pytest.mark.parametrize("kind", ["dense", "wide", "sparse", "standardized"])
def test_a_head_on_coordinates_is_the_same_head_on_the_rows_as_they_were(kind):
    rng = np.random.default_rng(0)
    rows = (
        rng.normal(size=(60, 3000 if kind == "wide" else 40)) * np.linspace(1, 3, 3000 if kind == "wide" else 40) + 2
    )
    given = sparse.csr_matrix(np.where(rows > 3, rows, 0)) if kind == "sparse" else rows
    space = Coordinates(given, standardize=kind == "standardized")
    head = soft_regression(space.rows, np.eye(3)[np.arange(60) % 3])
    np.testing.assert_allclose(space.raw(head).answers(given), head.answers(space.rows), atol=1e-4)
    assert np.square(space.rows).sum(1).mean() == pytest.approx(10, rel=1e-3)


def test_a_column_that_never_changes_says_nothing():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    rows[:, 1] = 7.0
    space = Coordinates(rows, standardize=True)
    head = space.raw(soft_regression(space.rows, np.eye(2)[np.arange(20) % 2]))
    assert np.isfinite(head.weight).all() and (head.weight[:, 1] == 0).all()


def test_rounding_is_not_standardized():
    """A spread of 1 in series that were scaled before differs in its last digit: a head on the rows as they are has to survive that."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([1 + 6e-8 * rng.normal(size=40), rng.normal(size=40)]).astype(np.float32)
    space = Coordinates(rows, standardize=True)
    head = soft_regression(space.rows, np.eye(2)[(rows[:, 1] > 0).astype(int)])
    plain = space.raw(head)
    assert (plain.weight[:, 0] == 0).all()
    np.testing.assert_allclose(plain.answers(rows), head.answers(space.rows), atol=1e-4)


def test_the_pool_teaches_the_head_more_than_the_labels_did():
    views, labels = planted()
    known = np.concatenate([np.flatnonzero(labels == c)[:3] for c in range(CLASSES)])
    rest = np.setdiff1d(np.arange(len(labels)), known)
    order = np.concatenate([known, rest])
    views, y = {name: rows[order] for name, rows in views.items()}, labels[order]
    items, pooled = np.arange(len(known)), np.arange(len(known), len(order))
    trial = try_all(views, PRIOR_SHARES, "net", y[items], pooled, CLASSES)
    assert {FROZEN, "cheap", VOTE, TAUGHT, TEACHER} == trial.ways.keys()
    lesson = learn(views, trial.recipe, items, y[items], pooled, CLASSES)
    right = [
        (head.answers(views["net"][pooled]).argmax(1) == y[pooled]).mean()
        for head in (lesson.vote["net"], lesson.head)
    ]
    assert right[1] > right[0] + 0.08
    np.testing.assert_allclose(lesson.believed.sum(1), 1, atol=1e-5)


def test_without_a_pool_the_head_is_the_probe():
    views, labels = planted(count=40)
    trial = try_all(views, PRIOR_SHARES, "net", labels, np.arange(0), CLASSES)
    lesson = learn(views, trial.recipe, np.arange(40), labels, np.arange(0), CLASSES)
    assert lesson.head is lesson.vote["net"] and len(lesson.believed) == 0 and TAUGHT not in trial.ways


@pytest.mark.parametrize("seed", range(3))
def test_features_that_say_nothing_do_not_cost_the_vote(seed):
    views, labels = planted(noise=2.0, count=120, seed=seed)
    views["cheap"] = np.random.default_rng(5).normal(size=views["cheap"].shape)
    trial = try_all(views, PRIOR_SHARES, "net", labels, np.arange(0), CLASSES)
    assert trial.ways[VOTE].accuracy >= trial.ways[FROZEN].accuracy - 0.02 > 0.4
    assert trial.ways["cheap"].accuracy < 0.4


def test_labels_move_the_shares_and_a_handful_hardly_does():
    """The mixture's own maximum where labels are many; the prior where they are few."""
    rng = np.random.default_rng(0)

    def answers(y: np.ndarray, right: float) -> np.ndarray:
        sure = np.full((len(y), 2), 0.2)
        sure[np.arange(len(y)), np.where(rng.random(len(y)) < right, y, 1 - y)] = 0.8
        return sure

    prior = {"weak": 0.5, "strong": 0.5}
    found = {}
    for count in (8, 4000):
        y = np.arange(count) % 2
        found[count] = stacked(prior, {"weak": answers(y, 0.55), "strong": answers(y, 0.8)}, y)
    assert 0.5 < found[8]["strong"] < 0.75 and found[4000]["strong"] > 0.85
    assert stacked({"one": 0.99, "other": 0.01}, {"one": answers(y, 0.8), "other": answers(y, 0.8)}, y[:0]) == {
        "one": 1.0, "other": 0.0
    }  # fmt: skip


def test_what_misleads_is_refused_and_a_tie_is_no_gain():
    y = np.arange(120) % CLASSES
    good, bad = np.full((120, CLASSES), 0.1), np.full((120, CLASSES), 0.25)
    good[np.arange(120), y] = 0.7
    bad[np.arange(120), (y + 1) % CLASSES] = 0.4
    from hf_ssl.evaluation.probes.taught import Answered

    known, misled = Answered.of(good, y), Answered.of(bad / bad.sum(1, keepdims=True), y)
    assert "log loss" in str(is_refused(misled, known, y))
    assert is_refused(known, known, y) == "nothing is better"
    assert is_refused(known, misled, y) is None


def test_losing_classes_is_refused_although_accuracy_rises():
    """Two rare classes are never answered any more; the log loss is the same, accuracy higher."""
    from hf_ssl.evaluation.probes.taught import Answered

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2, 3], [150, 150, 12, 12])
    before = np.full((len(y), 4), 0.1)
    before[np.arange(len(y)), np.where(rng.random(len(y)) < 0.8, y, (y + 1) % 2)] = 0.7
    after = np.full((len(y), 4), 0.02)
    after[np.arange(len(y)), np.where(y < 2, y, 0)] = 0.94
    after[y >= 2, y[y >= 2]] = 0.04
    reason = is_refused(Answered.of(after, y), Answered.of(before, y), y)
    assert reason is not None and "macro-F1" in reason


def test_a_class_is_never_forgotten_in_what_is_believed():
    answers = np.full((100, 3), 0.01)
    answers[:, 0] = 0.98
    soft = sharpened(answers, 2.0, np.array([1 / 3, 1 / 3, 1 / 3]))
    assert soft.mean(0)[1:].min() > 0.05 and np.allclose(soft.sum(1), 1)


def test_one_label_a_class_cannot_be_compared():
    views, labels = planted(count=40)
    trial = try_all(views, PRIOR_SHARES, "net", np.arange(4), np.arange(4, 40), CLASSES)
    assert trial.ways == {} and sum(trial.recipe.shares.values()) == pytest.approx(1)


def test_groups_stay_in_one_fold():
    """Every group has a mark of its own: with groups split over folds the mark alone would give the class away."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    y = (groups % 2).astype(int)
    rows = Coordinates(np.eye(20)[groups] * 5 + rng.normal(size=(120, 20)) * 0.1).rows
    apart = try_all({"net": rows}, {"net": 1.0}, "net", y, np.arange(0), 2, groups=[str(g) for g in groups])
    mixed = try_all({"net": rows}, {"net": 1.0}, "net", y, np.arange(0), 2)
    assert mixed.ways[FROZEN].accuracy > 0.95 and apart.ways[FROZEN].accuracy < 0.7


@pytest.mark.parametrize("classes", [2, 4])
def test_ridge_heads_answer_as_the_classifier_of_scikit_learn_and_a_ridged_view_lies_between(classes):
    from sklearn.linear_model import RidgeClassifierCV

    views, y = planted(noise=1.0)
    y, rows = y % classes, views["net"]
    theirs = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)).fit(rows[:60], y[:60])
    own = ridge_head(rows[:60], np.eye(classes)[y[:60]])
    assert (own.answers(rows[60:]).argmax(1) == theirs.predict(rows[60:])).mean() > 0.98
    recipe = Recipe("net", PRIOR_SHARES, {"net": 1.0, "cheap": 1.0}, ridged=frozenset({"net"}))
    heads = voted(views, recipe, np.arange(60), y[:60], classes)
    plain = voted(views, Recipe("net", PRIOR_SHARES, {"net": 1.0, "cheap": 1.0}), np.arange(60), y[:60], classes)
    np.testing.assert_allclose(heads["net"].weight, between(plain["net"], own).weight, atol=1e-6)
    np.testing.assert_array_equal(heads["cheap"].weight, plain["cheap"].weight)


def said(y: np.ndarray, right: np.ndarray, sure: float) -> np.ndarray:
    """Answers of two classes: the truth with that certainty where it is right, the other one elsewhere."""
    found = np.full((len(y), 2), 1 - sure)
    found[np.arange(len(y)), np.where(right, y, 1 - y)] = sure
    return found


def test_a_view_that_is_clearly_better_answers_alone_and_luck_does_not():
    """A network that is sure and wrong outvotes the words; a few labels more are luck."""
    y = np.arange(40) % 2
    words, blind = said(y, np.ones(40, bool), 0.9), said(y, np.arange(40) < 22, 0.99)
    ways = {"words": Answered.of(words, y), FROZEN: Answered.of(blind, y)}
    assert better_alone(ways, Answered.of((words + blind) / 2, y)) == "words"
    one, other = said(y, np.arange(40) % 5 > 0, 0.8), said(y, np.arange(40) % 4 > 0, 0.8)
    close = {"words": Answered.of(one, y), FROZEN: Answered.of(other, y)}
    assert better_alone(close, Answered.of((one + other) / 2, y)) is None


def test_alone_it_is_asked_alone_and_teaches_the_head():
    """Cheap features that tell the classes apart beside a network that does it less well and is believed, with and without a pool."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % CLASSES
    views = {
        name: Coordinates(rng.normal(size=(CLASSES, 20))[y] + noise * rng.normal(size=(160, 20))).rows
        for name, noise in (("net", 1.5), ("cheap", 1.0))
    }
    for pooled in (np.arange(0), np.arange(40, 160)):
        trial = try_all(views, {"net": 0.98, "cheap": 0.02}, "net", y[:40], pooled, CLASSES)
        assert trial.best == "cheap" and trial.recipe.shares == {"net": 0.0, "cheap": 1.0}
        assert trial.ways["cheap"].accuracy > trial.ways[VOTE].accuracy
        lesson = learn(views, trial.recipe, np.arange(40), y[:40], pooled, CLASSES)
        assert set(lesson.vote) == {"net", "cheap"}
    assert (lesson.believed.argmax(1) == y[40:]).mean() > 0.95


def test_rounds_are_means_of_items_not_one_answer_more():
    """Right in one of two rounds is half right; the mean of the probabilities would be right or wrong."""
    y = np.array([0, 1])
    rounds = np.stack([said(y, np.array([True, True]), 0.9), said(y, np.array([True, False]), 0.6)])
    way = Answered.of(rounds, y)
    assert way.right.tolist() == [1.0, 0.5] and way.accuracy == 0.75
    assert way.losses[1] == pytest.approx(-(np.log(0.9) + np.log(0.4)) / 2) and way.first.accuracy == 1.0
    assert way.guesses.tolist() == [0, 1]


def test_the_vote_answers_where_the_pool_made_it_clearly_worse():
    y = np.arange(60) % 2
    sure, unsure, wrong = (np.stack([1 - p, p], 1) for p in (0.1 + 0.8 * y, 0.4 + 0.2 * y, 0.9 - 0.8 * y))

    def before(vote: np.ndarray, teacher: np.ndarray) -> bool:
        ways = {VOTE: Answered.of(vote, y), TEACHER: Answered.of(teacher, y)}
        return vote_is_better(Trial(y, Recipe("net", {}, {}), ways))

    assert before(sure, wrong) and before(sure, unsure)
    assert not before(unsure, sure) and not before(wrong, sure) and not before(sure, sure)
    assert vote_is_better(
        Trial(y, Recipe("net", {}, {}), {VOTE: Answered.of(sure, y)})
    )  # without a pool there is no teacher
