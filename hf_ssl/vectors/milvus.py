"""Milvus, as a file (milvus-lite) or a server, by the same code.

Learned by trying (milvus-lite 3.2): `insert` of a known key overwrites on the file and doubles on a server, so rows are
upserted by a hash of their content; some index types are accepted and can never be loaded again; after reopening, only
FLAT finds every neighbor; a collection must be loaded before it can be searched; one process at a time has the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import ConfigError, nearest, require

INDEXES = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX")
STAMPS = "hf_ssl_stamps"
FIELDS = ("content", "id", "split", "label")
BATCH = 1000
LONGEST = 1024  # bytes of an id, a split's or a label's name


class MilvusStore:
    """One collection.

    Args:
        uri: path ending in `.db`, or a server's address. A server that asks who is there gets the environment variable
            `MILVUS_TOKEN` (`user:password` or an API key).
        collection: its name.
        stamp_class: `hf_ssl.vectors.base.EmbeddingSpec`.
        stamp: of the vectors that are to be added; a new collection is made for it, an existing one must have the same.
            None opens for searching.
        index: exact search by default.

    Raises:
        ConfigError: another process has the file, no such collection, another model's vectors, unknown index.
        MissingExtraError: pymilvus is not installed.
    """

    def __init__(self, uri: str, collection: str, stamp_class: Any, stamp: Any = None, index: str = "FLAT") -> None:
        pymilvus = require("pymilvus", "vectors")
        if index not in INDEXES:
            raise ConfigError(f"The index is one of {', '.join(INDEXES)}, not {index!r}.{nearest(index, INDEXES)}")
        self.uri, self.collection = uri, collection
        # It logs a traceback for every error that it also raises.
        for name in ("pymilvus", "milvus_lite", "grpc._server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        told, access = "is the server running?", {"uri": uri, "token": os.environ.get("MILVUS_TOKEN", "")}
        if uri.endswith(".db"):
            file = Path(uri).expanduser()
            file.parent.mkdir(parents=True, exist_ok=True)
            told, access = "another process is using it; only one can", {"uri": str(file)}
        try:
            self.client = pymilvus.MilvusClient(**access)
        except pymilvus.MilvusException as error:
            raise ConfigError(f"Milvus at {uri} does not open ({told}): {getattr(error, 'message', error)}") from error
        if stamp is not None and not self.client.has_collection(collection):
            self._create(pymilvus, stamp, index)
        if not self.client.has_collection(collection):
            there = [name for name in self.client.list_collections() if name != STAMPS]
            self.close()
            raise ConfigError(
                f"{uri} has no collection {collection!r}.{nearest(collection, there)} It has: {', '.join(there) or 'none'}."
            )
        self.stamp = stamp_class.from_json(self._stamp_text(), f"{uri}, collection {collection}")
        if stamp is not None:
            try:
                self.stamp.require_same(stamp, f"{uri}, collection {collection}")
            except ConfigError:
                self.close()
                raise
        self.client.load_collection(collection)

    def _create(self, pymilvus: Any, stamp: Any, index: str) -> None:
        kind = pymilvus.DataType
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("content", kind.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", kind.FLOAT_VECTOR, dim=stamp.dimensions)
        for name in FIELDS[1:]:
            schema.add_field(name, kind.VARCHAR, max_length=LONGEST)
        prepared = self.client.prepare_index_params()
        graph, lists = {"M": 32, "efConstruction": 200}, {"nlist": 64}
        options = {"IVF_FLAT": lists, "IVF_SQ8": lists, "HNSW": graph, "HNSW_SQ": graph}
        prepared.add_index("vector", index_type=index, metric_type="COSINE", params=options.get(index, {}))
        self._write_stamp(kind, stamp)
        self.client.create_collection(self.collection, schema=schema, index_params=prepared)

    def _write_stamp(self, kind: Any, stamp: Any) -> None:
        # In a collection of its own: milvus-lite does not keep a collection's description.
        if not self.client.has_collection(STAMPS):
            schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", kind.VARCHAR, is_primary=True, max_length=256)
            schema.add_field("stamp", kind.VARCHAR, max_length=8192)
            schema.add_field("nothing", kind.FLOAT_VECTOR, dim=2)  # a collection must have a vector
            prepared = self.client.prepare_index_params()
            prepared.add_index("nothing", index_type="FLAT", metric_type="L2")
            self.client.create_collection(STAMPS, schema=schema, index_params=prepared)
        self.client.upsert(STAMPS, [{"id": self.collection, "stamp": stamp.to_json(), "nothing": [0.0, 0.0]}])
        self.client.flush(STAMPS)

    def _stamp_text(self) -> str:
        if not self.client.has_collection(STAMPS):
            return ""
        self.client.load_collection(STAMPS)
        found = self.client.get(STAMPS, [self.collection], output_fields=["stamp"])
        return str(found[0]["stamp"]) if found else ""

    def add(self, vectors: np.ndarray, rows: Sequence[dict[str, Any]]) -> int:
        """Upsert rows; those that are there already are not sent again (the stamp says that they are the same vectors).

        Returns:
            how many were new.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        new = 0
        for start in range(0, len(rows), BATCH):
            batch = list(rows[start : start + BATCH])
            known = {row["content"]: row for row in self._get([row["content"] for row in batch])}
            sent = [
                {**{name: _short(row.get(name)) for name in FIELDS}, "vector": vectors[start + offset]}
                for offset, row in enumerate(batch)
                if _told(known.get(row["content"])) != _told(row)
            ]
            if sent:
                self.client.upsert(self.collection, sent)
            new += sum(row["content"] not in known for row in batch)
        self.client.flush(self.collection)
        return new

    def _get(self, ids: list[str]) -> list[dict[str, Any]]:
        return self.client.get(self.collection, ids, output_fields=list(FIELDS))

    def __len__(self) -> int:
        return int(self.client.query(self.collection, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        data = np.asarray(queries, dtype=np.float32)
        found = self.client.search(self.collection, list(data), limit=k, output_fields=list(FIELDS))
        return [[self._hit(hit) for hit in hits] for hits in found]

    def _hit(self, hit: Any) -> dict[str, Any]:
        told = {name: hit["entity"].get(name) or None for name in FIELDS}
        return {**told, "content": hit.get("content", hit.get("id")), "score": float(hit["distance"])}

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        vectors, rows = [], []
        for row in self._every():
            vectors.append(np.asarray(row.pop("vector"), dtype=np.float32))
            rows.append({name: row.get(name) or None for name in FIELDS})
        return (np.stack(vectors) if vectors else np.empty((0, self.stamp.dimensions), np.float32)), rows

    def _every(self) -> Iterator[dict[str, Any]]:
        iterator = self.client.query_iterator(self.collection, batch_size=BATCH, output_fields=[*FIELDS, "vector"])
        try:
            while batch := iterator.next():
                yield from batch
        finally:
            iterator.close()

    def close(self) -> None:
        """Give the file back to other processes (this one's other stores in the same file are closed, too)."""
        self.client.close()
        if self.uri.endswith(".db"):
            # The client starts a server thread for the file, and leaves it running with the file locked.
            manager = require("milvus_lite.server_manager", "vectors").server_manager_instance
            manager.release_server(str(Path(self.uri).expanduser()))


def _short(value: Any) -> str:
    """A name as Milvus keeps it: no None, and cut to its limit in bytes."""
    return str(value or "").encode()[:LONGEST].decode(errors="ignore")


def _told(row: dict[str, Any] | None) -> tuple[str, ...] | None:
    return None if row is None else tuple(_short(row.get(name)) for name in FIELDS)
