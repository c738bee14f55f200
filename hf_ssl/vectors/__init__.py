"""Vectors that can be found again: what made them is written beside them, and different makers never mix."""

from __future__ import annotations

from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import Store, check_vectors, content_id
from hf_ssl.vectors.faiss import FaissStore
from hf_ssl.vectors.milvus import MilvusStore
from hf_ssl.vectors.parquet import EmbeddingShards, ParquetStore
from hf_ssl.vectors.store import STORES, classify, collection_name, milvus_uri, open_store

__all__ = [
    "STORES",
    "FaissStore",
    "MilvusStore",
    "ParquetStore",
    "EmbeddingShards",
    "EmbeddingSpec",
    "Store",
    "check_vectors",
    "classify",
    "collection_name",
    "content_id",
    "milvus_uri",
    "open_store",
]
