"""Boosted trees as plain arrays: saved as safetensors, read again without running anything, answered with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError

CHUNK = 2048
"""Rows that go through all trees at once."""


@dataclass(frozen=True)
class Trees:
    """The sum of many regression trees.

    Args:
        roots: `(trees,)` node where each begins.
        value, threshold: `(nodes,)` float64: of a leaf, and of a split (left: at most so much).
        feature, left, right: `(nodes,)` int64; a leaf's children are itself.
        missing_left: `(nodes,)` bool: where NaN goes.
        categories: `(nodes,)` int64: row of `bits` whose categories go left; -1: a split by threshold.
        bits: `(splits, 8)` int64, 32 bits each: of 256 categories.
        start: `(1,)` what is added to the sum.
        depth: `(1,)` int64, of the deepest tree.
    """

    roots: np.ndarray
    value: np.ndarray
    threshold: np.ndarray
    feature: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    categories: np.ndarray
    bits: np.ndarray
    start: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, model: Any, rows: np.ndarray) -> Trees:
        """Those of a `HistGradientBoostingRegressor`, whose categories are whole numbers from 0 without a gap.

        scikit-learn keeps them in attributes that may change, so the answers for `rows` are held against its own.

        Raises:
            DataError: they differ.
        """
        trees = [tree for group in model._predictors for tree in group]
        found: dict[str, list[np.ndarray]] = {item.name: [] for item in fields(cls)}
        first = split = 0
        for tree in trees:
            nodes, count = tree.nodes, len(tree.nodes)
            leaf, own = nodes["is_leaf"].astype(bool), np.arange(count)
            found["roots"].append(np.array([first]))
            found["value"].append(np.where(leaf, nodes["value"], 0.0))
            found["threshold"].append(np.where(leaf, 0.0, nodes["num_threshold"]))
            found["feature"].append(np.where(leaf, 0, nodes["feature_idx"]))
            found["left"].append(first + np.where(leaf, own, nodes["left"]))
            found["right"].append(first + np.where(leaf, own, nodes["right"]))
            found["missing_left"].append(nodes["missing_go_to_left"].astype(bool))
            found["categories"].append(
                np.where(nodes["is_categorical"] & ~leaf, split + nodes["bitset_idx"].astype(np.int64), -1)
            )
            found["bits"].append(tree.raw_left_cat_bitsets.reshape(-1, 8))
            first, split = first + count, split + len(found["bits"][-1])
        arrays = {name: np.concatenate(parts) for name, parts in found.items() if parts}
        whole = ("roots", "feature", "left", "right", "categories", "bits")
        made = cls(
            **{name: array.astype(np.int64) if name in whole else array for name, array in arrays.items()},
            start=np.ravel(model._baseline_prediction).astype(np.float64)[:1],
            depth=np.array([max(tree.get_max_depth() for tree in trees)]),
        )
        made.check()
        if not np.allclose(made.answers(rows), model.predict(rows), rtol=1e-6, atol=1e-6):
            raise DataError(
                "The trees that were read from this version of scikit-learn answer otherwise than it does."
            )
        return made

    def answers(self, rows: np.ndarray) -> np.ndarray:
        """`(rows,)`.

        Args:
            rows: `(rows, features)`, NaN where missing.
        """
        parts = [self._answers(rows[first : first + CHUNK]) for first in range(0, len(rows), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _answers(self, rows: np.ndarray) -> np.ndarray:
        at = np.repeat(self.roots[None], len(rows), axis=0)
        number = np.arange(len(rows))[:, None]
        has_categories = bool((self.categories >= 0).any())
        for _ in range(int(self.depth[0])):
            asked = rows[number, self.feature[at]]
            lacking = np.isnan(asked)
            left = asked <= self.threshold[at]
            if has_categories:
                split = self.categories[at]
                code = np.where(lacking | (split < 0), 0, asked).astype(np.int64).clip(0, 255)
                among = (self.bits[split, code >> 5] >> (code & 31)) & 1
                left = np.where(split >= 0, among.astype(bool), left)
            left = np.where(lacking, self.missing_left[at], left)
            at = np.where(left, self.left[at], self.right[at])
        return self.start[0] + self.value[at].sum(axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, to be saved."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def restored(cls, arrays: dict[str, np.ndarray]) -> Trees:
        """Those that were saved, by whomever.

        Raises:
            ValueError, KeyError: they do not fit together.
        """
        found = cls(**{item.name: arrays[item.name] for item in fields(cls)})
        found.check()
        return found

    def check(self) -> None:
        """Raise ValueError where they lead nowhere."""
        nodes = len(self.value)
        same = {
            len(getattr(self, name))
            for name in ("threshold", "feature", "left", "right", "missing_left", "categories")
        }
        if same != {nodes} or not len(self.roots) or not 0 <= int(self.depth[0]) <= 64:
            raise ValueError("the arrays of its trees are of different lengths")
        within = [(self.roots, nodes), (self.left, nodes), (self.right, nodes), (self.feature, 100_000)]
        if any(array.min() < 0 or array.max() >= most for array, most in within):
            raise ValueError("its trees lead to nodes that are not there")
        if self.categories.max() >= len(self.bits) or self.bits.shape[1:] != (8,):
            raise ValueError("its trees name categories that are not there")
        if not (np.isfinite(self.value).all() and np.isfinite(self.start).all()):
            raise ValueError("its trees are not finite")
