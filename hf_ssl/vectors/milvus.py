"""Milvus, as a file (milvus-lite) or a server, by the same code.

Learned by trying (milvus-lite 3.2): `insert` of a known key overwrites on the file and doubles on a server, so rows are
upserted by a key of their own; some index types are accepted and can never be loaded again; after reopening, only
FLAT finds every neighbor; a collection must be loaded before it can be searched; one process at a time has the file.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hf_ssl.core.errors import ConfigError, nearest, require
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.vectors.base import FIELDS, Hit, Row, Store, StoreAddress, check_queries, row_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymilvus import DataType

INDEXES = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX")
STAMPS = "hf_ssl_stamps"
FILE, KEY = "vectors.db", "key"
BATCH = 1000
LONGEST = 1024  # bytes of an id, a split's or a label's name


class MilvusStore(Store):
    """One collection. The token of a server that asks who is there is the environment variable `MILVUS_TOKEN`
    (`user:password` or an API key).
    """

    schemes: ClassVar[tuple[str, ...]] = (".db", "http", "https", "tcp", "unix")

    def __init__(self, uri: str, collection: str) -> None:
        pymilvus = require("pymilvus", "vectors")
        self.uri, self.collection, self._unflushed = uri, collection, False
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

    @classmethod
    def open(cls, address: StoreAddress, spec: EmbeddingSpec | None = None) -> Self:
        """As `Store.open`.

        Raises:
            ConfigError: another process has the file, no such collection, another model's vectors, unknown index.
        """
        if address.index not in INDEXES:
            told = nearest(address.index, INDEXES)
            raise ConfigError(f"The index is one of {', '.join(INDEXES)}, not {address.index!r}.{told}")
        name = collection_name(address.collection)
        store = cls(str(address.folder / FILE) if address.uri == "milvus" else address.uri, name)
        try:
            if spec is not None and not store.client.has_collection(name):
                store._create(spec, address.index)
            store._attach(spec)
        except BaseException:
            store.close()
            raise
        return store

    def _attach(self, spec: EmbeddingSpec | None) -> None:
        """Load the collection, once it is known to be the right one."""
        where = f"{self.uri}, collection {self.collection}"
        if not self.client.has_collection(self.collection):
            there = [name for name in self.client.list_collections() if name != STAMPS]
            raise ConfigError(
                f"{self.uri} has no collection {self.collection!r}.{nearest(self.collection, there)} It has: "
                f"{', '.join(there) or 'none'}."
            )
        self.spec = EmbeddingSpec.from_json(self._stamp_text(), where)
        if spec is not None:
            self.spec.require_same(spec, where)
            fields = self.client.describe_collection(self.collection)["fields"]
            if KEY not in {field["name"] for field in fields}:
                raise ConfigError(
                    f"{where} was made by an earlier version, in which two ids with the same content shared one row. It can "
                    "still be searched; name another --collection to add to."
                )
        self.client.load_collection(self.collection)

    def _create(self, spec: EmbeddingSpec, index: str) -> None:
        kind = require("pymilvus", "vectors").DataType
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, kind.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("vector", kind.FLOAT_VECTOR, dim=spec.dimensions)
        for name in FIELDS:
            schema.add_field(name, kind.VARCHAR, max_length=LONGEST)
        prepared = self.client.prepare_index_params()
        graph, lists = {"M": 32, "efConstruction": 200}, {"nlist": 64}
        options = {"IVF_FLAT": lists, "IVF_SQ8": lists, "HNSW": graph, "HNSW_SQ": graph}
        prepared.add_index("vector", index_type=index, metric_type="COSINE", params=options.get(index, {}))
        self._write_stamp(kind, spec)
        self.client.create_collection(self.collection, schema=schema, index_params=prepared)

    def _write_stamp(self, kind: type[DataType], spec: EmbeddingSpec) -> None:
        # In a collection of its own: milvus-lite does not keep a collection's description.
        if not self.client.has_collection(STAMPS):
            schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", kind.VARCHAR, is_primary=True, max_length=256)
            schema.add_field("stamp", kind.VARCHAR, max_length=8192)
            schema.add_field("nothing", kind.FLOAT_VECTOR, dim=2)  # a collection must have a vector
            prepared = self.client.prepare_index_params()
            prepared.add_index("nothing", index_type="FLAT", metric_type="L2")
            self.client.create_collection(STAMPS, schema=schema, index_params=prepared)
        self.client.upsert(STAMPS, [{"id": self.collection, "stamp": spec.to_json(), "nothing": [0.0, 0.0]}])
        self.client.flush(STAMPS)

    def _stamp_text(self) -> str:
        if not self.client.has_collection(STAMPS):
            return ""
        self.client.load_collection(STAMPS)
        found = self.client.get(STAMPS, [self.collection], output_fields=["stamp"])
        return str(found[0]["stamp"]) if found else ""

    def add(self, vectors: np.ndarray, rows: Sequence[Row]) -> int:
        """As `Store.add`; what is there already is not sent again (the spec says that they are the same vectors)."""
        vectors = np.asarray(vectors, dtype=np.float32)
        new = 0
        for start in range(0, len(rows), BATCH):
            batch = {
                row_key(row): (row, vectors[start + place]) for place, row in enumerate(rows[start : start + BATCH])
            }
            there = self.client.get(self.collection, list(batch), output_fields=[KEY, *FIELDS])
            known = {row[KEY]: _told(row) for row in there}
            sent = [
                {KEY: key, **_told(row), "vector": vector}
                for key, (row, vector) in batch.items()
                if known.get(key) != _told(row)
            ]
            if sent:
                self.client.upsert(self.collection, sent)
                self._unflushed = True
            new += len(batch.keys() - known)
        return new

    def _flush(self) -> None:
        if self._unflushed:
            self.client.flush(self.collection)
            self._unflushed = False

    def __len__(self) -> int:
        self._flush()
        return int(self.client.query(self.collection, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        data = check_queries(queries, k, self.spec)
        self._flush()
        found = self.client.search(self.collection, list(data), limit=k, output_fields=list(FIELDS))
        return [[self._hit(hit) for hit in hits] for hits in found]

    def _hit(self, hit: Mapping[str, Any]) -> Hit:
        told = {name: hit["entity"].get(name) or None for name in FIELDS}
        if told["content"] is None:  # of an earlier version: the content was the key
            told["content"] = hit.get("content", hit.get("id"))
        return {**told, "score": float(hit["distance"])}

    def all_vectors(self) -> tuple[np.ndarray, list[Row]]:
        self._flush()
        vectors, rows = [], []
        for row in self._every():
            vectors.append(np.asarray(row.pop("vector"), dtype=np.float32))
            rows.append({name: row.get(name) or None for name in FIELDS})
        return (np.stack(vectors) if vectors else np.empty((0, self.spec.dimensions), np.float32)), rows

    def _every(self) -> Iterator[dict[str, Any]]:
        iterator = self.client.query_iterator(self.collection, batch_size=BATCH, output_fields=[*FIELDS, "vector"])
        try:
            while batch := iterator.next():
                yield from batch
        finally:
            iterator.close()

    def close(self) -> None:
        """Give the file back to other processes (this one's other stores in the same file are closed, too)."""
        self._flush()
        self.client.close()
        if self.uri.endswith(".db"):
            # The client starts a server thread for the file, and leaves it running with the file locked.
            manager = require("milvus_lite.server_manager", "vectors").server_manager_instance
            manager.release_server(str(Path(self.uri).expanduser()))


def collection_name(name: str | None) -> str:
    """A name that Milvus, file and server alike, accepts: letters, digits and underscores, no digit first."""
    safe = re.sub(r"\W", "_", name or "hf_ssl", flags=re.ASCII)
    return safe if re.match(r"[A-Za-z_]", safe) else f"_{safe}"


def _told(row: Row) -> dict[str, str]:
    """A row as Milvus keeps it: no None, and every name cut to its limit in bytes."""
    return {name: str(row.get(name) or "").encode()[:LONGEST].decode(errors="ignore") for name in FIELDS}
