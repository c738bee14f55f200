"""What a store of vectors is, and what a vector must say of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.models.embedding import EmbeddingSpec

PARQUET, FAISS = "embeddings.parquet", "vectors.faiss"


class Store(Protocol):
    """What every store can do."""

    stamp: EmbeddingSpec

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        """The `k` nearest of each query, nearest first: `id`, `content`, `split`, `label`, and `score`, the cosine."""

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Every vector, and beside it a dict of `id`, `content`, `split`, `label`."""

    def close(self) -> None:
        """Let others use it."""


def content_id(modality: Any, value: Any) -> str:
    """32 hex digits that depend on the content alone: the same content is one row, however often it is added."""
    content = value if isinstance(value, str) else modality.content_key(value)
    return hashlib.sha256(str(content).encode()).hexdigest()[:32]


def check_vectors(vectors: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """float32 vectors that can be searched.

    Raises:
        DataError: a vector is not finite, or is all zeros; stores take both without a word, and never find them again.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        bad = ~np.isfinite(vectors).all(axis=1) | (np.linalg.norm(vectors, axis=1) < 1e-12)
    if bad.any():
        some = ", ".join(np.asarray(ids)[bad][:5])
        raise DataError(
            f"{int(bad.sum())} of {len(vectors)} vectors are not finite or are zero ({some} …); nothing was written."
        )
    return vectors


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
