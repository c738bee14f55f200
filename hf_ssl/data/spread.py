"""Whole groups for one side of a split, so that both sides know every class."""

from __future__ import annotations

import numpy as np

MOST_CELLS = 20_000_000
MOST = 0.5
"""Share of the rows that may go to the held-out side for the sake of rare classes."""


def spare(has: np.ndarray) -> bool:
    """Whether one of some groups can be taken away and the rest still have every class, `(groups, classes)` bool."""
    counts = has.sum(axis=0)
    return len(has) > 1 and bool(((counts > 1) | ~has).all(axis=1).any())


def one_of_each(
    strata: np.ndarray, groups: np.ndarray, fraction: float, seed: int, later: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Groups taken one by one: one for each class, the rarest first, then others until the size fits.

    Args:
        strata: class of every row, from 0, `(rows,)` int64.
        groups: group of every row, from 0, `(rows,)` int64.
        fraction: share of the rows that is wanted.
        seed: order in which groups are tried.
        later: parts that are split off afterwards; a class with groups enough keeps one for each of them, too.

    Returns:
        Rows that stay and rows that are held out; None where they would be more than half, or there are too many groups to try.
    """
    count, classes = int(groups.max()) + 1, int(strata.max()) + 1
    if count * classes > MOST_CELLS:
        return None
    table = np.bincount(groups * classes + strata, minlength=count * classes).reshape(count, classes)
    has, sizes = table > 0, table.sum(axis=1)
    left = has.sum(axis=0)
    least = np.where(left >= later + 2, later + 1, 1)
    order = np.random.default_rng(seed).permutation(count)
    held, covered = np.zeros(count, bool), np.zeros(classes, bool)

    def free(some: np.ndarray) -> np.ndarray:
        return some[~held[some] & ((left - has[some] >= least) | ~has[some]).all(axis=1)]

    def leaves_some(group: int) -> bool:
        stay = ~held
        stay[group] = False
        return later == 0 or spare(has[stay])

    def take(group: int) -> None:
        held[group] = True
        covered[has[group]] = True
        left[has[group]] -= 1

    for name in np.argsort(left, kind="stable"):
        found = free(order[has[order, name]]) if not covered[name] else order[:0]
        new = (has[found] & ~covered).sum(axis=1)
        far = abs(table[found, name] - fraction * table[:, name].sum())
        for group in found[np.lexsort((far, -new))].tolist():
            if leaves_some(group):
                take(group)
                break
    target = fraction * len(groups)
    for group in order.tolist():
        now = sizes[held].sum()
        nearer = abs(now + sizes[group] - target) < abs(now - target)
        if nearer and len(free(np.array([group]))) and leaves_some(group):
            take(group)
    rows = held[groups]
    if not 0 < rows.sum() <= max(target, MOST * len(groups)):
        return None
    return np.flatnonzero(~rows), np.flatnonzero(rows)
