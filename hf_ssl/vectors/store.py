"""Where embeddings are kept: parquet, FAISS beside `datasets`, Milvus. Every store carries a stamp of what made its vectors.

Vectors of two models live in two spaces: a query of one against a store of the other returns nonsense without an error.
The stamp (weights, pooling, normalization, length) is therefore part of every store, and a stranger is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.evaluation.probes.probes import ProbePrediction, knn_probe
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import PARQUET, Store
from hf_ssl.vectors.faiss import FaissStore
from hf_ssl.vectors.milvus import MilvusStore
from hf_ssl.vectors.parquet import ParquetStore

STORES = ("parquet", "faiss", "milvus")


def open_store(where: str, folder: Path, collection: str | None, index: str = "FLAT") -> Store:
    """Open the store that `--store` names.

    Args:
        where: `"parquet"`, `"faiss"`, `"milvus"` (a file in the run), a path that ends in `.db`, or a server's URI.
        folder: of the run's embed stage.
        collection: of Milvus.
        index: of a Milvus collection.
    """
    if where == "parquet":
        return ParquetStore(folder / PARQUET)
    if where == "faiss":
        return FaissStore(folder)
    return MilvusStore(milvus_uri(where, folder), collection_name(collection), EmbeddingSpec, index=index)


def milvus_uri(where: str, folder: Path) -> str:
    """File or server behind `--store`.

    Raises:
        ConfigError: it is none of the stores.
    """
    if where == "milvus":
        return str(folder / "vectors.db")
    if re.match(r"https?://|tcp://|unix:", where) or where.endswith(".db"):
        return where
    raise ConfigError(
        f"--store is one of {', '.join(STORES)}, a file that ends in .db, or a Milvus server's URI such as "
        f"http://localhost:19530, not {where!r}.{nearest(where, STORES)}"
    )


def collection_name(name: str | None) -> str:
    """A name that Milvus, file and server alike, accepts: letters, digits and underscores, no digit first."""
    safe = re.sub(r"\W", "_", name or "hf_ssl", flags=re.ASCII)
    return safe if re.match(r"[A-Za-z_]", safe) else f"_{safe}"


def classify(
    store: Store, queries: np.ndarray, *, k: int = 20, temperature: float = 0.07, split: str | None = "train"
) -> ProbePrediction:
    """Label vectors by a vote of their nearest labeled neighbors in the store (`hf_ssl.evaluation.probes.probes.knn_probe`).

    Args:
        queries: `(n, dimensions)`, of the store's own model.
        split: only neighbors of this split vote; None: every labeled one.

    Raises:
        DataError: nothing in the store has a label.
    """
    vectors, rows = store.all_vectors()
    voters = [i for i, row in enumerate(rows) if row.get("label") and (split is None or row.get("split") == split)]
    if not voters:
        raise DataError(f"Nothing in the store{f' of split {split!r}' if split else ''} has a label to vote with.")
    labels = np.array([rows[i]["label"] for i in voters])
    return knn_probe(vectors[voters], labels, queries, k=k, temperature=temperature)
