"""Vectors in a parquet file: nothing to install, and read in pieces, so that a million of them need not fit into memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import FIELDS, Hit, Row, Store, StoreAddress, check_queries, row_key, unit

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

FILE = "embeddings.parquet"
ROWS = 16_384  # in memory at once, and in one row group: 25 MB of vectors of 384


class ParquetStore(Store):
    """`embeddings.parquet`: the columns id, content, split, label and vector; the spec is in the file's metadata.

    Search is exact: every vector is read, `ROWS` at a time. What is added goes into a second file, which takes the first
    one's place when it is complete, so a reader sees the old file or the new one.
    """

    schemes: ClassVar[tuple[str, ...]] = (".parquet",)

    def __init__(self, path: Path, spec: EmbeddingSpec) -> None:
        self.path, self.spec = path, spec
        self._writer: Any = None
        self._added: set[str] = set()
        self._known: set[str] | None = None

    @classmethod
    def open(cls, address: StoreAddress, spec: EmbeddingSpec | None = None) -> Self:
        own = address.uri.endswith(".parquet")
        path = Path(address.uri).expanduser() if own else address.folder / FILE
        if not path.is_file():
            if spec is None:
                raise ConfigError(
                    f"There are no vectors at {path}. Run `hf-ssl embed` first, or name another --output."
                )
            return cls(path, spec)
        store = cls(path, EmbeddingSpec.from_json(_spec_text(path), str(path)))
        if spec is not None:
            store.spec.require_same(spec, str(path))
        return store

    def add(self, vectors: np.ndarray, rows: Sequence[Row]) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        known = self._keys()
        keys = [row_key(row) for row in rows]
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        chosen = [place for key, place in first.items() if key not in self._added]
        chosen.sort()
        if not chosen:
            return 0
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            names = [name for name in FIELDS if name in rows[0]]
            told = {f"hf_ssl.{name}": str(value) for name, value in dataclasses.asdict(self.spec).items()}
            fields = [
                *((name, pa.string()) for name in names),
                ("vector", pa.list_(pa.float32(), self.spec.dimensions)),
            ]
            schema = pa.schema(fields, metadata={**told, "hf_ssl.stamp": self.spec.to_json()})
            self._writer = pq.ParquetWriter(self._temporary(), schema, use_dictionary=["split", "label"])
        self._write(np.asarray(vectors, dtype=np.float32)[chosen], [rows[place] for place in chosen])
        self._added.update(keys)
        return sum(keys[place] not in known for place in chosen)

    def _write(self, vectors: np.ndarray, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        schema = self._writer.schema
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.spec.dimensions)
        columns = [pa.array([row.get(name) for row in rows], pa.string()) for name in schema.names[:-1]]
        self._writer.write_table(pa.Table.from_arrays([*columns, flat], schema=schema), row_group_size=ROWS)

    def _keys(self) -> set[str]:
        """Of the rows in the file."""
        if self._known is None:
            rows = self._rows(columns=("id", "content")) if self.path.is_file() else ()
            self._known = {row_key(row) for row in rows}
        return self._known

    def _rows(self, columns: Sequence[str] = FIELDS) -> Iterator[Row]:
        with self._file() as file:
            for batch in _batches(file, [name for name in columns if name in file.schema_arrow.names]):
                yield from batch.to_pylist()

    def _vectors(self) -> Iterator[np.ndarray]:
        """Every vector, `(rows, dimensions)` at a time."""
        with self._file() as file:
            for batch in _batches(file, ["vector"]):
                yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)

    def _file(self) -> ParquetFile:
        return _opened(self.path)

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        queries = check_queries(queries, k, self.spec)
        self._finish()
        scores = np.empty((len(queries), 0), dtype=np.float32)
        places = np.empty((len(queries), 0), dtype=np.int64)
        start = 0
        for vectors in self._vectors():
            similar = queries @ unit(vectors).T
            there = np.arange(start, start + len(vectors))
            start += len(vectors)
            if len(vectors) > k:
                best = np.sort(np.argpartition(-similar, k - 1, axis=1)[:, :k], axis=1)
                similar, there = np.take_along_axis(similar, best, axis=1), there[best]
            scores = np.hstack([scores, similar])
            places = np.hstack([places, np.broadcast_to(there, similar.shape)])
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, places = np.take_along_axis(scores, order, axis=1), np.take_along_axis(places, order, axis=1)
        rows = self._at(np.unique(places))
        return [
            [{**rows[int(place)], "score": float(score)} for place, score in zip(of, told, strict=True)]
            for of, told in zip(places, scores, strict=True)
        ]

    def _at(self, places: np.ndarray) -> dict[int, Row]:
        """Rows by their number in the file; `places` rise. Only the row groups that hold them are read."""
        found: dict[int, Row] = {}
        with self._file() as file:
            columns = [name for name in FIELDS if name in file.schema_arrow.names]
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                here = places[(places >= start) & (places < end)]
                if len(here):
                    rows = file.read_row_group(group, columns=columns).take(here - start).to_pylist()
                    found |= dict(zip(here.tolist(), rows, strict=True))
                start = end
        return found

    def all_vectors(self) -> tuple[np.ndarray, list[Row]]:
        self._finish()
        return np.concatenate([np.empty((0, self.spec.dimensions), np.float32), *self._vectors()]), list(self._rows())

    def __len__(self) -> int:
        self._finish()
        with self._file() as file:
            return int(file.metadata.num_rows)

    def _temporary(self) -> Path:
        return self.path.with_suffix(".tmp")

    def _finish(self) -> None:
        """Rows of the old file that were not added anew follow those that were; then the new file takes its place."""
        if self._writer is None:
            if not self.path.is_file():
                raise ConfigError(f"{self.path}: nothing was added to this store yet.")
            return
        if self.path.is_file():
            rows = self._rows()
            for vectors in self._vectors():
                old = [next(rows) for _ in range(len(vectors))]
                kept = [place for place, row in enumerate(old) if row_key(row) not in self._added]
                if kept:
                    self._write(vectors[kept], [old[place] for place in kept])
        self._writer.close()
        self._temporary().replace(self.path)
        self._writer, self._known, self._added = None, None, set()

    def close(self) -> None:
        if self._writer is not None:
            self._finish()

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._temporary().unlink(missing_ok=True)
            self._writer = None


def _batches(file: ParquetFile, columns: list[str]) -> Iterator[Any]:
    """Rows in pieces. One row group at a time: an iterator over all of them, or threads, read several ahead."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False)


def _spec_text(path: Path) -> str:
    with _opened(path) as file:
        return (file.schema_arrow.metadata or {}).get(b"hf_ssl.stamp", b"").decode()


def _opened(path: Path) -> ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{path} is damaged ({error}). Make it again: hf-ssl embed --overwrite ...") from error
