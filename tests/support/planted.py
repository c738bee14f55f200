"""Comparisons and domains whose answer is known because they are made up: what the statistics say of them."""

from __future__ import annotations

import numpy as np

from hf_ssl.evaluation.comparison.paired import paired_bootstrap
from hf_ssl.evaluation.comparison.verdict import HELPED, UNCLEAR, items_needed, verdict
from hf_ssl.evaluation.gap import proxy_a_distance


def pair(rng: np.random.Generator, items: int, gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classifiers that share most of their mistakes: 60 % right, the second better by `gain`."""
    references = rng.integers(0, 4, items)
    shared, own = rng.random(items), rng.random((2, items))
    right = [np.where(own[arm] < 0.8, shared, own[arm] / 0.2 % 1) < 0.6 + arm * gain for arm in (0, 1)]
    wrong = (references + rng.integers(1, 4, (2, items))) % 4
    a, b = (np.where(right[arm], references, wrong[arm]) for arm in (0, 1))
    return references, a, b


def equal_arms(simulations: int) -> tuple[float, float]:
    """Share of comparisons of equally good arms whose interval covers 0, and whose verdict is that nothing can be told."""
    covered = unclear = 0
    for seed in range(simulations):
        references, a, b = pair(np.random.default_rng(seed), 400, 0.0)
        found = paired_bootstrap("f1_macro", a, b, references, n_resamples=400, seed=seed)
        covered += found.low <= 0 <= found.high
        unclear += verdict(found).word == UNCLEAR
    return covered / simulations, unclear / simulations


def three_points(simulations: int) -> tuple[int, float]:
    """Test items that a pilot of 600 asks for to show three points, and how often so many show them."""
    references, a, b = pair(np.random.default_rng(1), 600, 0.03)
    needed = items_needed(paired_bootstrap("accuracy", a, b, references))
    assert needed is not None
    found = 0
    for seed in range(simulations):
        references, a, b = pair(np.random.default_rng(100 + seed), needed, 0.03)
        found += verdict(paired_bootstrap("accuracy", a, b, references, n_resamples=200, seed=seed)).word == HELPED
    return needed, found / simulations


def one_domain(simulations: int) -> list[float]:
    """p-values of the distance between two samples of one distribution, every second one in groups."""
    rng, found = np.random.default_rng(0), []
    for draw in range(simulations):
        x = rng.normal(size=(120, 32))
        groups = np.repeat(np.arange(30), 4) if draw % 2 else None
        x = x + (rng.normal(size=(30, 32))[groups] * 2 if groups is not None else 0)
        halves = (groups[:60], groups[60:]) if groups is not None else (None, None)
        gap = proxy_a_distance(
            x[:60], x[60:], source_groups=halves[0], target_groups=halves[1], n_permutations=99, seed=draw
        )
        found.append(gap.p_value)
    return found
