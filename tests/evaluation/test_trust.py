"""Intervals hold what they promise, and strange inputs are told from ordinary ones."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ssl.evaluation.conformal import limit_of
from hf_ssl.evaluation.novelty import Typical


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("count", [19, 40])
def test_new_examples_are_covered_as_often_as_was_asked(confidence, count):
    rng = np.random.default_rng(0)
    covered = [rng.exponential() <= limit_of(rng.exponential(size=count), confidence) for _ in range(4000)]
    assert confidence - 0.02 <= np.mean(covered) <= confidence + 1 / (count + 1) + 0.02


def test_too_few_examples_promise_nothing():
    assert np.isinf(limit_of(np.ones(5), 0.9)) and limit_of(np.ones(9), 0.9) == 1
    assert np.isinf(limit_of(np.ones((0, 3)), 0.5)).all()


def test_missing_scores_are_not_counted_and_columns_stand_alone():
    scores = np.column_stack([np.arange(1.0, 20.0), np.r_[np.arange(1.0, 10.0), np.full(10, np.nan)]])
    assert list(limit_of(scores, 0.5)) == [10, 5]


def cloud(count: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) * np.linspace(0.1, 3, width) + 5


@pytest.mark.parametrize("width", [8, 200])
def test_few_ordinary_inputs_look_strange_and_others_do(width):
    typical = Typical.of(cloud(300, width, 0))
    assert typical is not None
    assert (typical.strangeness(cloud(1000, width, 1)) > 1).mean() < 0.05
    moved = cloud(100, width, 2)
    moved[:, 0] += 3  # thirty spreads of that direction, and small beside the others
    assert (typical.strangeness(moved) > 1).mean() > 0.95


def test_it_survives_a_file_and_says_nothing_of_few_or_equal_examples(tmp_path):
    typical = Typical.of(cloud(100, 5, 0))
    assert typical is not None
    typical.save(tmp_path / "t.safetensors")
    asked = cloud(20, 5, 3)
    assert np.allclose(
        Typical.load(tmp_path / "t.safetensors").strangeness(asked), typical.strangeness(asked), rtol=1e-4
    )
    assert Typical.of(cloud(99, 5, 0)) is None and Typical.of(np.ones((150, 5))) is None
