"""Where embeddings are kept: parquet, FAISS beside `datasets`, Milvus. Every store carries a stamp of what made its vectors.

Vectors of two models live in two spaces: a query of one against a store of the other returns nonsense without an error.
The stamp (weights, pooling, normalisation, length) is therefore part of every store, and a stranger is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hf_ssl.errors import ConfigError, DataError, nearest
from hf_ssl.evaluation.probes import ProbePrediction, knn_probe
from hf_ssl.milvus import MilvusStore

PARQUET, FAISS = "embeddings.parquet", "vectors.faiss"
STORES = ("parquet", "faiss", "milvus")


@dataclass(frozen=True)
class Stamp:
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

    def refuse(self, other: Stamp, where: str) -> None:
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
    def from_json(cls, text: str, where: str) -> Stamp:
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

    stamp: Stamp

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


class PartFiles:
    """Vectors of part of the rows, one file per part, so that an interrupted or divided embedding goes on where it was.

    A file appears complete or not at all, so several processes may fill the same folder.
    """

    def __init__(self, folder: Path, count: int, size: int) -> None:
        self.folder, self.count, self.size = folder, count, size
        folder.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return -(-self.count // self.size)

    def rows(self, part: int) -> range:
        """Row numbers of a part."""
        return range(part * self.size, min((part + 1) * self.size, self.count))

    def file(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.npy"

    def missing(self, rank: int = 0, world: int = 1) -> list[int]:
        """Parts of this process that are still to be made."""
        return [part for part in range(rank, len(self), world) if not self.file(part).is_file()]

    def save(self, part: int, vectors: np.ndarray) -> None:
        """Write one part."""
        temporary = self.file(part).with_suffix(".tmp.npy")
        np.save(temporary, vectors)
        temporary.replace(self.file(part))

    def load(self) -> Iterator[np.ndarray]:
        """Vectors of every part, in order."""
        return (np.load(self.file(part), allow_pickle=False) for part in range(len(self)))


class ParquetStore:
    """`embeddings.parquet`: columns id (the data's), content (a hash of it), split, label, vector; the stamp is in the file's metadata."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        if not path.is_file():
            raise ConfigError(f"There are no vectors at {path}. Run `hf-ssl embed` first, or name another --output.")
        self.path, self.table = path, pq.read_table(path)
        self.stamp = Stamp.from_json((self.table.schema.metadata or {}).get(b"hf_ssl.stamp", b"").decode(), str(path))

    @staticmethod
    def write(path: Path, stamp: Stamp, columns: dict[str, Any], vectors: np.ndarray) -> None:
        """Write the file, whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        known = {f"hf_ssl.{name}": str(value) for name, value in dataclasses.asdict(stamp).items()}
        table = pa.table({**columns, "vector": flat}).replace_schema_metadata(
            {**known, "hf_ssl.stamp": stamp.to_json()}
        )
        temporary = path.with_suffix(".tmp")
        pq.write_table(table, temporary)
        temporary.replace(path)

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        flat = self.table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        kept = [name for name in self.table.column_names if name != "vector"]
        return flat.reshape(len(self.table), -1), self.table.select(kept).to_pylist()

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        vectors, rows = self.all_vectors()
        similar = _unit(queries) @ _unit(vectors).T
        order = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        return [[{**rows[i], "score": float(similar[q, i])} for i in found] for q, found in enumerate(order)]

    def close(self) -> None:
        self.table = None


class FaissStore:
    """`vectors.faiss`, an exact index that `datasets` loads: `dataset.load_faiss_index("vector", file)`."""

    def __init__(self, folder: Path) -> None:
        import datasets

        from hf_ssl.errors import require

        require("faiss", "vectors")
        self.stamp = ParquetStore(folder / PARQUET).stamp
        if not (folder / FAISS).is_file():
            raise ConfigError(
                f"There is no FAISS index in {folder}. Run `hf-ssl embed --store faiss` with this --output."
            )
        self.parquet = ParquetStore(folder / PARQUET)
        self.rows = datasets.Dataset.from_parquet(str(folder / PARQUET), cache_dir=str(folder / ".cache"))
        self.rows.load_faiss_index("vector", str(folder / FAISS))

    @staticmethod
    def write(folder: Path, vectors: np.ndarray) -> None:
        """Build the index over the parquet's rows, in their order."""
        from hf_ssl.errors import require

        require("faiss", "vectors")
        import datasets

        rows = datasets.Dataset.from_dict({"row": list(range(len(vectors)))})
        # 0 is inner product (faiss.METRIC_INNER_PRODUCT); datasets' own default is L2.
        rows.add_faiss_index_from_external_arrays(_unit(vectors), "vector", metric_type=0)
        rows.save_faiss_index("vector", str(folder / FAISS))

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        return self.parquet.all_vectors()

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        found = self.rows.search_batch("vector", _unit(queries), k=min(k, len(self.rows)))
        table = self.parquet.table.drop_columns(["vector"])
        return [
            [
                {**row, "score": float(score)}
                for row, score in zip(table.take(list(places)).to_pylist(), scores, strict=True)
            ]
            for scores, places in zip(found.total_scores, found.total_indices, strict=True)
        ]

    def close(self) -> None:
        self.rows.drop_index("vector")


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
    return MilvusStore(milvus_uri(where, folder), collection_name(collection), Stamp, index=index)


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
    """Label vectors by a vote of their nearest labelled neighbours in the store (`hf_ssl.evaluation.probes.knn_probe`).

    Args:
        queries: `(n, dimensions)`, of the store's own model.
        split: only neighbours of this split vote; None: every labelled one.

    Raises:
        DataError: nothing in the store has a label.
    """
    vectors, rows = store.all_vectors()
    voters = [i for i, row in enumerate(rows) if row.get("label") and (split is None or row.get("split") == split)]
    if not voters:
        raise DataError(f"Nothing in the store{f' of split {split!r}' if split else ''} has a label to vote with.")
    labels = np.array([rows[i]["label"] for i in voters])
    return knn_probe(vectors[voters], labels, queries, k=k, temperature=temperature)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
