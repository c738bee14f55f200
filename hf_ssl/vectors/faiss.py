"""Vectors in a FAISS index: an exact one, in a file that is mapped rather than read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from hf_ssl.core.errors import ConfigError, require
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import FIELDS, Hit, Row, Store, StoreAddress, check_queries, row_key, unit

if TYPE_CHECKING:
    from faiss import Index

FILE = "vectors.faiss"


class FaissStore(Store):
    """`vectors.faiss`, inner products of vectors of length 1, and `vectors.rows.parquet`: whose they are, in the same order.

    Made anew beside `embeddings.parquet` its rows stand in that file's order, so that
    `dataset.load_faiss_index("vector", file)` fits too.
    """

    schemes: ClassVar[tuple[str, ...]] = (".faiss",)

    def __init__(self, path: Path, spec: EmbeddingSpec, index: Index, rows: list[Row]) -> None:
        self.path, self.spec, self.index, self.rows = path, spec, index, rows
        self.places = {row_key(row): place for place, row in enumerate(rows)}
        self.changed = False

    @classmethod
    def open(cls, address: StoreAddress, spec: EmbeddingSpec | None = None) -> Self:
        faiss = require("faiss", "vectors")
        path = Path(address.uri).expanduser() if address.uri.endswith(".faiss") else address.folder / FILE
        if not path.is_file():
            if spec is None:
                raise ConfigError(
                    f"There is no FAISS index at {path}. Run `hf-ssl embed --store {address.uri}` first."
                )
            return cls(path, spec, faiss.IndexFlatIP(spec.dimensions), [])
        # Indexes of earlier versions have no rows of their own: theirs are those of embeddings.parquet.
        of_rows = next((file for file in (_rows_of(path), path.parent / "embeddings.parquet") if file.is_file()), None)
        if of_rows is None:
            raise ConfigError(
                f"{path} has lost {_rows_of(path).name}. Run `hf-ssl embed --store {address.uri}` again."
            )
        stored, rows = _read(of_rows)
        if spec is not None:
            stored.require_same(spec, str(path))
        try:
            index = faiss.read_index(str(path), 0 if spec is not None else faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ConfigError(f"{path} is damaged ({error}). Make it again: hf-ssl embed --overwrite ...") from error
        if index.ntotal != len(rows):
            raise ConfigError(
                f"{path} has {index.ntotal:,} vectors, and {of_rows.name} {len(rows):,} rows: one of them is of another time. "
                f"Run `hf-ssl embed --store {address.uri}` again."
            )
        return cls(path, stored, index, rows)

    def add(self, vectors: np.ndarray, rows: Sequence[Row]) -> int:
        vectors = np.asarray(vectors, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        new: list[int] = []
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            told = {name: row.get(name) for name in FIELDS} | {"length": float(length)}
            known = self.places.setdefault(row_key(row), len(self.rows))
            if known < len(self.rows):  # the spec and the key say that its vector is the same
                self.rows[known] = told
                continue
            self.rows.append(told)
            new.append(place)
        if new:
            self.index.add(unit(vectors[new]))
        self.changed = True
        return len(new)

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        scores, places = self.index.search(check_queries(queries, k, self.spec), min(k, max(1, len(self.rows))))
        return [
            [{**self._told(place), "score": float(score)} for score, place in zip(*found, strict=True) if place >= 0]
            for found in zip(scores, places, strict=True)
        ]

    def _told(self, place: int) -> Row:
        return {name: self.rows[place].get(name) for name in FIELDS}

    def all_vectors(self) -> tuple[np.ndarray, list[Row]]:
        vectors = self.index.reconstruct_n(0, len(self.rows)).reshape(len(self.rows), -1)
        lengths = np.array([row.get("length") or 1.0 for row in self.rows], dtype=np.float32)
        return vectors * lengths[:, None], [self._told(place) for place in range(len(self.rows))]

    def __len__(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        if self.changed:
            import pyarrow as pa
            import pyarrow.parquet as pq

            faiss = require("faiss", "vectors")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            texts = [pa.array([row.get(name) for row in self.rows], pa.string()) for name in FIELDS]
            lengths = pa.array([row.get("length") for row in self.rows], pa.float32())
            table = pa.Table.from_arrays([*texts, lengths], names=[*FIELDS, "length"])
            index, of_rows = self.path.with_suffix(".tmp"), _rows_of(self.path).with_suffix(".tmp")
            faiss.write_index(self.index, str(index))
            pq.write_table(table.replace_schema_metadata({"hf_ssl.stamp": self.spec.to_json()}), of_rows)
            of_rows.replace(_rows_of(self.path))
            index.replace(self.path)
            self.changed = False

    def discard(self) -> None:
        self.changed = False


def _rows_of(path: Path) -> Path:
    return path.with_suffix(".rows.parquet")


def _read(file: Path) -> tuple[EmbeddingSpec, list[Row]]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    spec = EmbeddingSpec.from_json((schema.metadata or {}).get(b"hf_ssl.stamp", b"").decode(), str(file))
    names = [name for name in (*FIELDS, "length") if name in schema.names]
    return spec, pq.read_table(file, columns=names).to_pylist()
