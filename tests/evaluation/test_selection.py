"""What cheap classifiers say of labels held out: often where they are few, groups stay together, and the fits are exact."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hf_ssl.evaluation.probes.selection import (
    PENALTIES,
    USUAL,
    View,
    folds_of,
    held_out,
    not_judged,
    probabilities,
    rounds_for,
)
from hf_ssl.evaluation.probes.soft import Coordinates


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


def test_groups_stay_together_and_rare_classes_only_teach():
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    groups = ["a", "a", "b", "b", "a", "a", "b", "b", "c"]
    for kept, held in folds_of(y, groups, seed=0):
        assert not {groups[row] for row in kept if row != 8} & {groups[row] for row in held}
        assert 8 in kept and 8 not in held
    assert folds_of(np.arange(5), None, seed=0) == []


def test_labels_of_one_group_are_never_on_both_sides_not_even_for_want_of_groups():
    y = np.repeat([0, 1], 6)
    groups = ["a"] * 6 + ["b"] * 6
    assert folds_of(y, None, seed=0) and folds_of(y, groups, seed=0) == []
    assert "group" in not_judged(y, groups) and "two labels" in not_judged(np.arange(3), None)
    two = ["a", "a", "a", "c", "c", "c", "b", "b", "b", "d", "d", "d"]
    splits = folds_of(y, two, seed=0)
    assert splits
    for kept, held in splits:
        assert not {two[row] for row in kept} & {two[row] for row in held} and set(y[kept]) == {0, 1}


@pytest.mark.parametrize("width", [5, 500])
def test_views_are_held_out_again_and_again_where_labels_are_few(width):
    x, y = _blobs(width=width, signal=6.0)
    found = held_out({"v": (Coordinates(x).rows,)}, y, 4)
    assert len(found.rounds) == rounds_for(len(y)) == 4 and rounds_for(10) == 5 and rounds_for(1000) == 1
    assert found.answers["v"].shape == (4, len(y), 4) and found.asked.tolist() == list(range(len(y)))
    right = (found.answers["v"].argmax(-1) == y).mean(1)
    assert (right > 0.8).all() and not np.array_equal(found.answers["v"][0], found.answers["v"][1])
    assert held_out({"v": (x,)}, np.arange(4), 4).rounds == []


def test_the_scaling_that_answers_better_is_taken():
    """A column of noise drowns the others as it is, and counts as one of many where all have the same spread."""
    x, y = _blobs(signal=4.0)
    x[:, 0] = 100 * np.random.default_rng(1).normal(size=len(x))
    plain, equal = (Coordinates(x, standardize=each).rows for each in (False, True))
    assert held_out({"v": (plain, equal)}, y, 4).scalings == {"v": 1}
    assert held_out({"v": (equal, plain)}, y, 4).scalings == {"v": 0}


def test_rows_that_are_all_the_same_say_nothing_and_break_nothing():
    """Such as the readings of a network whose window ends before anything differs: every class is as likely as it is frequent."""
    y = np.array([0, 1, 0, 1, 1])
    found = probabilities(View(np.zeros((8, 16))), np.arange(5), y, np.arange(5, 8), 2, [1.0])
    np.testing.assert_allclose(found[1.0], np.tile([0.4, 0.6], (3, 1)), atol=1e-3)


def test_labels_that_cannot_tell_penalties_apart_do_not_choose_one():
    """Eight labels of classes that overlap pick by luck, hundreds of them and noise do not."""

    def penalty(x: np.ndarray, y: np.ndarray) -> float:
        return held_out({"v": (Coordinates(x).rows,)}, y, 4).penalties["v"]

    assert {penalty(*_blobs(per_class=2, signal=1.0, seed=seed)) for seed in range(4)} == {USUAL}
    assert min(PENALTIES) < penalty(*_blobs(per_class=100)) < USUAL
    assert penalty(np.random.default_rng(0).normal(size=(400, 40)), np.arange(400) % 4) < 0.1
