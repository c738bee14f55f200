"""A stream of examples: canonical rows in blocks, shared out among readers, with the place of every block.

A block is read, shuffled and thrown away: memory holds one, whatever the size of the source. Where a block begins is noted by the
source itself (`IterableDataset.state_dict`), which is exact because nothing between here and the source keeps rows back. The hash of
what a block holds is noted too, so that a source which gives other rows than before is found out when a run is resumed.

Which rows are held out is decided by a hash of their content (or of their group): no list of them is kept, every process comes
to the same answer, and equal rows are on one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import datasets
from datasets.distributed import split_dataset_by_node

from hf_ssl.core.errors import DataError

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

HELD = 256
"""Held-out rows to measure on, at most."""
LOOKED_AT = 8
"""Blocks that are looked through for them."""
EMPTY = 64
"""Blocks in a row without a row to train on, after which something must be wrong."""
MANY = 8
"""Shards per reader from which on each reads its own; with fewer, all read all and keep their share of the rows."""


@dataclass
class Place:
    """Where a reader is: JSON-safe.

    Args:
        turn: how often the source has been gone through.
        state: of the source in this turn; None: at its beginning.
    """

    turn: int = 0
    state: dict[str, Any] | None = None


@dataclass
class Block:
    """Canonical rows that were read together.

    Args:
        rows: `id`, the modality's column, and what was to be kept.
        place: where they begin.
        digest: of the content of all rows that were read there.
        keys: what the rows are told apart by.
    """

    rows: datasets.Dataset
    place: Place
    digest: str
    keys: list[str]
    usable: Callable[[datasets.Dataset], datasets.Dataset] = field(repr=False)

    def checked(self) -> Block:
        """The same without the rows whose content turns out to be broken when it is decoded."""
        return self.of(self.usable(self.rows))

    def of(self, rows: datasets.Dataset) -> Block:
        """The same place with some of the rows."""
        return Block(rows, self.place, self.digest, [], self.usable)


class Stream:
    """Examples that are read as they are needed; iterating over it gives canonical rows, once.

    Args:
        source: raw rows, in shards.
        canonical: makes canonical rows of raw ones (as `load_rows` does).
        modality: as given by the user.
        size: rows of a block.
        seed: of the order of shards, and of which rows are held out.
        group: column whose values stay together.
        known: keys of rows that must not be trained on (those of validation and test).
    """

    def __init__(
        self,
        source: datasets.IterableDataset,
        canonical: Callable[[list[dict[str, Any]]], datasets.Dataset],
        modality: Modality,
        *,
        size: int,
        seed: int,
        group: str | None = None,
        known: frozenset[str] = frozenset(),
    ) -> None:
        self.source, self.canonical, self.size, self.seed = source, canonical, size, seed
        self.modality, self.looks = modality, modality.streaming()
        self.group, self.known, self.fraction = group, known, 0.0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for block in self._turn(self.source, Place()):
            yield from block.rows

    def hold_out(self, fraction: float) -> tuple[datasets.Dataset, datasets.Dataset]:
        """The first rows to train on (at most a block of them), and the held-out ones to measure on.

        From now on `blocks` leaves out all rows that are held out, those beyond the first ones too.

        Raises:
            DataError: there are too few.
        """
        self.fraction = fraction
        kept: list[datasets.Dataset] = []
        held: list[datasets.Dataset] = []
        for looked_at, block in enumerate(self._turn(self.source, Place()), start=1):
            apart = [self._is_held(key) for key in block.keys]
            held.append(block.rows.select([row for row, out in enumerate(apart) if out]))
            if sum(map(len, kept)) < self.size:
                kept.append(block.rows.select([row for row, out in enumerate(apart) if not out]))
            found = sum(map(len, held))
            if found >= HELD or (found >= 2 and looked_at >= LOOKED_AT) or looked_at >= EMPTY:
                break
        counts = [sum(map(len, parts)) for parts in (kept, held)]
        if not kept or counts[0] < 2 or counts[1] < 2:
            raise DataError(
                f"Of the first rows of the stream {counts[0] if kept else 0:,} are there to train on and {counts[1]:,} are held out; two of each are "
                "needed. Give a larger --eval_fraction, or more data."
            )
        pool, apart_rows = (
            datasets.concatenate_datasets([part for part in parts if len(part)]) for parts in (kept, held)
        )
        return pool.select(range(min(len(pool), self.size))), apart_rows.select(range(min(len(apart_rows), HELD)))

    def blocks(self, reader: int, readers: int, place: Place | None = None) -> Iterator[Block]:
        """Blocks of rows to train on for one of several readers, without end: behind the last one it begins again.

        Raises:
            DataError: there is nothing to train on.
        """
        here, empty = place or Place(), 0
        while empty < EMPTY:
            empty += 1
            for block in self._turn(self._share(reader, readers), here):
                rows = self._to_train_on(block)
                empty = 0 if rows else empty + 1
                if rows:
                    yield block.of(block.rows.select(rows))
                elif empty >= EMPTY:
                    break
            here = Place(here.turn + 1)
        raise DataError("The stream has no rows to train on: all of them are held out or unusable, or there are none.")

    def _to_train_on(self, block: Block) -> list[int]:
        contents = block.keys if self.group is None or not self.known else self._contents(block.rows)
        return [
            row for row, key in enumerate(block.keys)
            if not self._is_held(key) and not (self.known and contents[row] in self.known)
        ]  # fmt: skip

    def place(self, turn: int, state: dict[str, Any] | None) -> Place:
        """A place that was noted."""
        return Place(turn, state)

    def _share(self, reader: int, readers: int) -> datasets.IterableDataset:
        if readers > 1 and self.source.num_shards >= MANY * readers:
            return self.source.shard(readers, reader, contiguous=False)
        return split_dataset_by_node(self.source, reader, readers)

    def _turn(self, source: datasets.IterableDataset, place: Place) -> Iterator[Block]:
        """All rows of a share once, from a place on. The order of the shards is another one in each turn."""
        if source is self.source:
            source = split_dataset_by_node(source, 0, 1)  # a copy, which has an epoch of its own
        source.set_epoch(1 + place.turn + 1_000_003 * (self.seed % 1000))
        if place.state is not None:
            source.load_state_dict(place.state)
        before = place.state
        for batch in source.iter(batch_size=self.size):
            names = list(batch)
            raw = [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
            rows = self.canonical(raw)
            keys = self._keys(rows)
            digest = hashlib.blake2b("\n".join(keys).encode("utf-8", "surrogatepass"), digest_size=8)
            yield Block(rows, Place(place.turn, before), digest.hexdigest(), keys, self._usable)
            before = source.state_dict()

    def _keys(self, rows: datasets.Dataset) -> list[str]:
        """What tells rows apart: their group, or their content."""
        if self.group is not None:
            return [str(value) for value in rows[self.group]]
        return self._contents(rows)

    def _contents(self, rows: datasets.Dataset) -> list[str]:
        return [self.looks.content_key(value) for value in rows[self.modality.column][:]]

    def _is_held(self, key: str) -> bool:
        digest = hashlib.blake2b(f"{self.seed}/{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self.fraction * 2**64

    def _usable(self, rows: datasets.Dataset) -> datasets.Dataset:
        modality = type(self.modality)(self.modality.config)  # which may remember what it has seen, and is thrown away
        return rows.select(
            [row for row, value in enumerate(rows[modality.column]) if modality.validate(value) is None]
        )
