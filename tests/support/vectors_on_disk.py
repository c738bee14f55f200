"""Vectors and embedded runs for the tests of stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import runs

from hf_ssl import Store, StoreAddress, embed
from hf_ssl.vectors import EmbeddingSpec

STAMP = EmbeddingSpec("acme/model", None, "a" * 64, "text", "mean", True, None, 16)


def opened(where: str, spec: EmbeddingSpec | None = None, folder: Path = Path("."), **more: str) -> Store:
    """The store that `--store where` names."""
    kind, address = StoreAddress.of(where, folder, **more)
    return kind.open(address, spec)


def embedded(folder: Path, base: Path, **more: object) -> Path:
    data = {"train": runs.rows(24, 0, labeled=True), "test": runs.rows(8, 500, labeled=True)}
    embed(data=data["train"], test=data["test"], model=str(base), output=str(folder), near_duplicates=False, **more)
    return folder


def points(count: int, seed: int = 0) -> tuple[np.ndarray, list[dict]]:
    found = np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found, [
        {"content": f"{i:032x}", "id": f"row {i}", "split": "train", "label": f"c{i % 3}"} for i in range(count)
    ]
