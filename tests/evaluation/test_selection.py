"""Which cheap classifier to trust: the signal wins, luck does not, groups stay together, and the fits are exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hf_ssl.evaluation.probes.selection import Candidate, View, choose, folds_of, probabilities


def _blobs(classes=4, per_class=16, width=40, signal=2.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), per_class)
    return rng.normal(size=(classes, width))[y] * signal / np.sqrt(width) + rng.normal(size=(len(y), width)), y


def test_fits_in_the_spanned_space_are_the_same_regression():
    x, y = load_digits(return_X_y=True)
    view, known, asked = View(np.hstack([x, x**2, x**3])), np.arange(60), np.arange(60, 200)
    for penalty in (0.01, 1.0):
        rows = view.rows * view.scale
        model = LogisticRegression(C=penalty, max_iter=5000, tol=1e-8).fit(rows[known], y[known])
        wanted = model.predict_proba(rows[asked])
        got = probabilities(view, known, y[known], asked, 10, [penalty])[penalty]
        np.testing.assert_allclose(got, wanted, atol=0.02)


def test_sparse_and_dense_rows_are_one_view():
    x, y = _blobs(width=200)
    known, asked = np.arange(0, len(y), 2), np.arange(1, len(y), 2)
    dense, thin = (
        probabilities(View(rows), known, y[known], asked, 4, [1.0])[1.0] for rows in (x, sparse.csr_matrix(x))
    )
    np.testing.assert_allclose(dense, thin, atol=1e-6)


def test_the_better_view_is_chosen_and_noise_is_not():
    x, y = _blobs(signal=6.0)
    noise = np.random.default_rng(1).normal(size=x.shape)
    candidates = [
        Candidate("noise", ("noise",)),
        Candidate("signal", ("signal",)),
        Candidate("both", ("noise", "signal")),
    ]
    choice = choose(candidates, {"noise": View(noise), "signal": View(x)}, y, classes=4)
    assert choice.candidate.name == "signal"
    assert choice.scores["signal"].accuracy > 0.9 > 0.5 > choice.scores["noise"].accuracy


def test_between_equals_the_simpler_one_is_taken():
    """Twenty draws of two views that carry the same: the second is hardly ever taken although it is best half the time."""
    taken = best = 0
    for seed in range(20):
        x, y = _blobs(signal=2.5, seed=seed, per_class=8)
        rng = np.random.default_rng(100 + seed)
        views = {"first": View(x + rng.normal(size=x.shape)), "second": View(x + rng.normal(size=x.shape))}
        choice = choose([Candidate(name, (name,)) for name in views], views, y, classes=4, seed=seed)
        taken += choice.candidate.name == "second"
        best += choice.best == "second"
    assert best >= 5 and taken < best


def test_groups_stay_together_and_rare_classes_only_teach():
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    groups = ["a", "a", "b", "b", "a", "a", "b", "b", "c"]
    for kept, held in folds_of(y, groups, seed=0):
        assert not {groups[row] for row in kept if row != 8} & {groups[row] for row in held}
        assert 8 in kept and 8 not in held
    assert folds_of(np.arange(5), None, seed=0) == []


def test_without_two_labels_of_a_class_the_first_is_taken():
    x = np.eye(3)
    choice = choose([Candidate("only", ("v",))], {"v": View(x)}, np.arange(3), classes=3)
    assert choice.candidate.name == "only" and choice.scores == {}


@pytest.mark.parametrize("width", [5, 500])
def test_more_labels_than_columns_and_fewer(width):
    x, y = _blobs(width=width, signal=6.0)
    choice = choose([Candidate("v", ("v",))], {"v": View(x)}, y, classes=4)
    assert choice.scores["v"].accuracy > 0.8 and set(choice.penalties) == {"v"}


def test_rows_that_are_all_the_same_say_nothing_and_break_nothing():
    """Such as the readings of a network whose window ends before anything differs: every class is as likely as it is frequent."""
    y = np.array([0, 1, 0, 1, 1])
    found = probabilities(View(np.zeros((8, 16))), np.arange(5), y, np.arange(5, 8), 2, [1.0])
    np.testing.assert_allclose(found[1.0], np.tile([0.4, 0.6], (3, 1)), atol=1e-3)
