"""What a store of vectors is, and what a vector must say of itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError

PARQUET, FAISS = "embeddings.parquet", "vectors.faiss"


@dataclass(frozen=True)
class EmbeddingSpec:
    """What made the vectors.

    Args:
        model: Hub id or folder, for people; `weights_sha` is what is compared.
        revision: commit on the Hub.
        pooling, normalized, max_length: how a vector was made of the model's output.
    """

    model: str
    revision: str | None
    weights_sha: str
    modality: str
    pooling: str
    normalized: bool
    max_length: int | None
    dimensions: int

    def require_same(self, other: EmbeddingSpec, where: str) -> None:
        """Stop when vectors of `other` are about to meet vectors of this stamp.

        Raises:
            ConfigError: names every difference.
        """
        names = [
            item.name for item in dataclasses.fields(self) if item.name not in ("model", "revision", "max_length")
        ]
        unlike = [
            f"{name} {getattr(self, name)!r}, not {getattr(other, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        if unlike:
            raise ConfigError(
                f"{where} holds vectors of {self.model}; these are of {other.model}: {'; '.join(unlike)}. Vectors of different "
                "models must not be mixed or compared. Use the same --model and --pooling, or another store or collection."
            )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> EmbeddingSpec:
        """Read a stamp.

        Raises:
            ConfigError: there is none: the store was not made here.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{where} has no stamp of hf_ssl, so nobody knows which model its vectors are of."
            ) from error


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
