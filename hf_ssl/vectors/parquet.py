"""Vectors in parquet files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import _unit


class EmbeddingShards:
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
        self.stamp = EmbeddingSpec.from_json(
            (self.table.schema.metadata or {}).get(b"hf_ssl.stamp", b"").decode(), str(path)
        )

    @staticmethod
    def write(path: Path, stamp: EmbeddingSpec, columns: dict[str, Any], vectors: np.ndarray) -> None:
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
