"""Canonical rows, and what runs along with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np


@dataclass
class Rows:
    """Canonical rows and what runs along with them, all of one length.

    Attributes:
        dataset: canonical columns.
        keys: hash of the normalized content, equal for equal content.
        labels: label as names (None: no label).
        groups: group of each row, or None when there are no groups.
    """

    dataset: datasets.Dataset
    keys: list[str]
    labels: list[Any]
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Sequence[int]) -> Rows:
        """These rows, in this order."""
        if len(rows) == len(self) and all(place == row for place, row in enumerate(rows)):
            return self
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        keys, labels = [self.keys[row] for row in rows], [self.labels[row] for row in rows]
        return Rows(selected(self.dataset, rows), keys, labels, groups)

    def ids(self, rows: Sequence[int]) -> list[str]:
        return list(selected(self.dataset, rows)["id"]) if len(rows) else []


def selected(dataset: datasets.Dataset, rows: Sequence[int]) -> datasets.Dataset:
    """`Dataset.select`, without pickling the rows for a name in the cache, which takes longer than all the rest."""
    return dataset.select(rows, new_fingerprint=_name(dataset, np.asarray(rows, dtype=np.int64).tobytes()))


def added(dataset: datasets.Dataset, name: str, values: Sequence[Any], feature: Any) -> datasets.Dataset:
    """`Dataset.add_column`, without pickling the values."""
    content = f"{name} {feature} ".encode() + "\0".join(map(str, values)).encode("utf-8", "surrogatepass")
    return dataset.add_column(name, list(values), feature=feature, new_fingerprint=_name(dataset, content))


def _name(dataset: datasets.Dataset, content: bytes) -> str:
    digest = hashlib.blake2b(dataset._fingerprint.encode(), digest_size=8)
    digest.update(content)
    return digest.hexdigest()


@dataclass
class CanonicalPart:
    """One part with canonical columns; `label_names` are those of a `ClassLabel`, in its order."""

    split: str | None
    rows: Rows
    label_names: list[str] | None
    has_labels: bool
