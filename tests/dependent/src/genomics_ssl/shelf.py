"""A store of one's own: vectors in a SQLite file. `--store genomics_ssl.shelf:Shelf@somewhere/vectors.sqlite`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hf_ssl import EmbeddingSpec, HfSslError, Store, StoreAddress

NAMES = ("id", "content", "split", "label")


class Shelf(Store):
    """One table of points; small enough to be searched by multiplying."""

    schemes: ClassVar[tuple[str, ...]] = ("shelf", ".sqlite")

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.database = sqlite3.connect(file)
        self.database.execute("CREATE TABLE IF NOT EXISTS spec (text)")
        columns = ", ".join(NAMES)
        self.database.execute(f"CREATE TABLE IF NOT EXISTS points (key PRIMARY KEY, {columns}, vector)")

    @classmethod
    def open(cls, address: StoreAddress, spec: EmbeddingSpec | None = None) -> Shelf:
        named = address.uri.removeprefix("shelf://")
        file = Path(named) if named else address.folder / "vectors.sqlite"
        if spec is None and not file.is_file():
            raise HfSslError(f"There is no shelf {file}.")
        shelf = cls(file)
        found = shelf.database.execute("SELECT text FROM spec").fetchone()
        if found is None and spec is not None:
            shelf.database.execute("INSERT INTO spec VALUES (?)", (json.dumps(dataclasses.asdict(spec)),))
            shelf.spec = spec
        elif found is not None:
            shelf.spec = EmbeddingSpec(**json.loads(found[0]))
        if spec is not None:
            shelf.spec.require_same(spec, str(file))
        return shelf

    def add(self, vectors: np.ndarray, rows: Sequence[dict[str, Any]]) -> int:
        before = len(self)
        for vector, row in zip(vectors, rows, strict=True):
            key = hashlib.sha256(f"{row['id']}\0{row['content']}".encode()).hexdigest()
            told = [row.get(name) for name in NAMES]
            point = (key, *told, np.asarray(vector, dtype=np.float32).tobytes())
            self.database.execute("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?)", point)
        return len(self) - before

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        if k < 1:
            raise HfSslError(f"k must be at least 1, got {k}.")
        vectors, rows = self.all_vectors()
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        similar = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit.T
        best = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        return [
            [{**rows[place], "score": float(similar[query, place])} for place in places]
            for query, places in enumerate(best)
        ]

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        found = self.database.execute(f"SELECT {', '.join(NAMES)}, vector FROM points").fetchall()
        vectors = [np.frombuffer(row[-1], dtype=np.float32) for row in found]
        rows: list[dict[str, Any]] = [dict(zip(NAMES, row[:-1], strict=True)) for row in found]
        return np.stack(vectors) if vectors else np.empty((0, self.spec.dimensions), np.float32), rows

    def __len__(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM points").fetchone()[0])

    def close(self) -> None:
        self.database.commit()
        self.database.close()
