"""What a store of vectors is, how `--store` finds one, and what every store checks before it writes or searches."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.models.embedding import EmbeddingSpec

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

FIELDS = ("id", "content", "split", "label")
"""What is kept beside a vector: the data's id, a hash of the content, the split, the label. Never the content itself."""

Row = dict[str, Any]
Hit = dict[str, Any]
_DOTTED = re.compile(r"(?P<path>[A-Za-z_][\w.]*:[A-Za-z_]\w*)(@(?P<uri>.*))?")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")  # at least two characters: `C:\x.db` is a path


@dataclass(frozen=True)
class StoreAddress:
    """Where vectors are kept.

    Args:
        uri: as a user writes it after `--store`: `milvus`, `somewhere/x.db`, `http://localhost:19530`. For a class of
            one's own, what follows its `@` (empty without one).
        folder: of the run's embed stage; a store named without a path keeps its files there.
        collection: of a store that has several.
        index: of a store that has a choice.
    """

    uri: str
    folder: Path = Path(".")
    collection: str | None = None
    index: str = "FLAT"

    @classmethod
    def of(
        cls, where: str, folder: Path, collection: str | None = None, index: str = "FLAT"
    ) -> tuple[type[Store], StoreAddress]:
        """The class of store that `--store` names, and the address it is given.

        Raises:
            ConfigError: no store is called so or has this scheme.
        """
        own = _DOTTED.fullmatch(where)
        if own:
            return plugins.find("vectors", own["path"]), cls(own["uri"] or "", folder, collection, index)
        return _of_scheme(where), cls(where, folder, collection, index)


def _of_scheme(where: str) -> type[Store]:
    found = _SCHEME.match(where)
    scheme = found[1] if found else Path(where).suffix or where
    known: dict[str, type[Store]] = {}
    for name in plugins.names("vectors"):
        kind: type[Store] = plugins.find("vectors", name)
        known |= dict.fromkeys((name, *kind.schemes), kind)
    if scheme not in known:
        told = ", ".join(name if name.isalnum() else f"a path that ends in {name}" for name in known)
        raise ConfigError(
            f"No store takes --store {where!r}.{nearest(scheme, known)} There are: {told} (names such as http and https are "
            "those of a server's address). Your own goes by dotted path, such as my_package.my_module:MyStore."
        )
    return known[scheme]


class Store(ABC):
    """A place for vectors. One file with one subclass adds one: `--store` finds it by its file's name or its schemes.

    Contract:
        - A row is known by its id *and* its content: two ids with the same content are two rows, and the same row added
          twice is one (its split and label are those of the last time).
        - Vectors of another model are refused (`EmbeddingSpec.require_same`).
        - What was added is found by the same object, and by others once it is closed.
        - `search` gives the cosine, nearest first. Vectors come out of `all_vectors` as they went in.

    Attributes:
        schemes: what `--store` may begin with besides the file's own name: `"qdrant"` for `qdrant://…`, `".db"` for paths.
        spec: what made the vectors in it.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    spec: EmbeddingSpec

    @classmethod
    @abstractmethod
    def open(cls, address: StoreAddress, spec: EmbeddingSpec | None = None) -> Self:
        """Open a store.

        Args:
            spec: of the vectors that are to be added; a store that is not there is made for it. None: only to search.

        Raises:
            ConfigError: there is none to search, or it holds another model's vectors.
            MissingExtraError: its package is not installed.
        """

    @abstractmethod
    def add(self, vectors: np.ndarray, rows: Sequence[Row]) -> int:
        """Insert or update rows; may be called many times, so that nobody has to hold all vectors at once.

        Args:
            vectors: `(n, dimensions)`.
            rows: of each the `FIELDS`; `split` and `label` may be missing or None.

        Returns:
            how many were not there before.
        """

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """The `k` nearest of each query `(n, dimensions)`, nearest first: the `FIELDS`, and `score`, the cosine."""

    @abstractmethod
    def all_vectors(self) -> tuple[np.ndarray, list[Row]]:
        """Every vector `(n, dimensions)`, and beside it the `FIELDS`."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of vectors in it."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was added, and let others use it."""

    def discard(self) -> None:
        """Close after an error: a store that can leave out what was added since it was opened does."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close() if kind is None else self.discard()


def content_id(modality: Modality, value: object) -> str:
    """32 hex digits that depend on the content alone."""
    content = value if isinstance(value, str) else modality.content_key(value)
    return hashlib.sha256(str(content).encode()).hexdigest()[:32]


def row_key(row: Row) -> str:
    """32 hex digits that a row is known by: its id and its content, so that neither may hide another row."""
    return hashlib.sha256(f"{row.get('id')}\0{row.get('content')}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


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


def check_k(k: int) -> int:
    """How many neighbors.

    Raises:
        ConfigError: fewer than one.
    """
    if k < 1:
        raise ConfigError(f"k is the number of neighbors to find, at least 1; got {k}.")
    return k


def check_queries(queries: np.ndarray, k: int, spec: EmbeddingSpec) -> np.ndarray:
    """Queries `(n, dimensions)` as float32 of length 1.

    Raises:
        ConfigError: `k` is not positive.
        DataError: their shape is not that of the store's vectors.
    """
    check_k(k)
    queries = np.asarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != spec.dimensions:
        raise DataError(
            f"Queries must have the shape (n, {spec.dimensions}) of the store's vectors, not {queries.shape}."
        )
    return unit(queries)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1 as float32; a row of zeros stays what it is."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


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
        """Vectors of every part, in order, one part in memory at a time."""
        return (np.load(self.file(part), allow_pickle=False) for part in range(len(self)))
