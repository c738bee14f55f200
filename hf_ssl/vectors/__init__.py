"""Vectors that can be found again: what made them is written beside them, and different makers never mix.

Vectors of two models live in two spaces: a query of one against a store of the other returns nonsense without an error.
What made them (weights, pooling, normalization, length) is therefore part of every store, and a stranger is refused.
"""

from __future__ import annotations

from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import EmbeddingShards, Store, StoreAddress, check_k, check_vectors, content_id

__all__ = ["EmbeddingShards", "EmbeddingSpec", "Store", "StoreAddress", "check_k", "check_vectors", "content_id"]
