"""TensorFlow's checkpoint files ("tensor bundles"), read without TensorFlow.

A bundle is `PREFIX.index`, a table of names with kind, shape, place and checksum, and one or more
`PREFIX.data-0000K-of-0000N` with the values. SavedModels keep theirs under `variables/variables`, `tf.train.Checkpoint` and
the older `Saver` under the prefix that was given. A variable that was cut over several machines has an entry that lists
its slices, each kept under a name of its own; they are put together again.
Format: tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import table, wire
from hf_ssl.models.tensorflow.crc32c import crc32c, masked

# Numbers of tensorflow/core/framework/types.proto. What NumPy has no type for is read as the integers it is stored in,
# and `Bundle.tensor` widens it.
_BFLOAT16, _STRING = 14, 7
_DTYPES: dict[int, tuple[str, str]] = {
    1: ("float32", "<f4"), 2: ("float64", "<f8"), 3: ("int32", "<i4"), 4: ("uint8", "<u1"), 5: ("int16", "<i2"),
    6: ("int8", "<i1"), 8: ("complex64", "<c8"), 9: ("int64", "<i8"), 10: ("bool", "?"), 11: ("qint8", "<i1"),
    12: ("quint8", "<u1"), 13: ("qint32", "<i4"), _BFLOAT16: ("bfloat16", "<u2"), 15: ("qint16", "<i2"),
    16: ("quint16", "<u2"), 17: ("uint16", "<u2"), 18: ("complex128", "<c16"), 19: ("float16", "<f2"),
    22: ("uint32", "<u4"), 23: ("uint64", "<u8"), 24: ("float8_e5m2", "<u1"), 25: ("float8_e4m3fn", "<u1"),
}  # fmt: skip
_NOT_VALUES = {20: "resource", 21: "variant", 29: "int4", 30: "uint4"}
_MOST_DIMENSIONS = 32  # NumPy's own limit; TensorFlow would write up to 254
_LARGEST_INDEX = 256 * 2**20  # bytes; that of a model with ten thousand variables has one or two million


@dataclass(frozen=True)
class Slice:
    """The part of a variable that one machine kept: where it begins and how long it is in every dimension."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    whole: tuple[bool, ...]  # dimensions that were not cut: they are written in another way in the slice's name

    def key(self, name: str) -> bytes:
        """The name under which its values are kept (tensorflow/core/util/saved_tensor_slice_util.cc)."""
        return ordered_key(
            name,
            [(0, -1) if whole else (start, length)
             for start, length, whole in zip(self.starts, self.lengths, self.whole, strict=True)],
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What the index says of one variable.

    Attributes:
        dtype: number of its type in TensorFlow.
        shape: its dimensions.
        shard: which of the data files.
        offset, size: where its bytes are in that file.
        checksum: masked CRC-32C of these bytes.
        slices: not empty when the values are kept in pieces, under other names.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    slices: tuple[Slice, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the type, as TensorFlow prints it."""
        if self.dtype == _STRING:
            return "string"
        return _DTYPES[self.dtype][0] if self.dtype in _DTYPES else _NOT_VALUES.get(self.dtype, f"type {self.dtype}")


@dataclass
class Bundle:
    """An opened checkpoint: shapes at once, values on demand.

    Attributes:
        prefix: path without `.index`.
        entries: of every variable by its key in the checkpoint, sorted by name.
        shards: the data files.
    """

    prefix: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    shards: list[Path] = field(default_factory=list)
    _pieces: dict[bytes, Entry] = field(default_factory=dict)
    _checked: set[Entry] = field(default_factory=set)

    @classmethod
    def open(cls, prefix: Path) -> Bundle:
        """Read the index of a checkpoint and find its data files.

        Args:
            prefix: such as `variables/variables` or `bert_model.ckpt`, without `.index`.

        Raises:
            CheckpointError: a file is absent, damaged, or no such checkpoint.
        """
        index = prefix.with_name(prefix.name + ".index")
        try:
            if index.stat().st_size > _LARGEST_INDEX:
                raise CheckpointError("it is larger than any index")
            content = index.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{index} cannot be read: {error}") from error
        except CheckpointError as error:
            raise CheckpointError(f"{index}: {error}.") from error
        if content.startswith(b"version https://git-lfs"):
            raise CheckpointError(f"{index} is a Git LFS pointer. In the clone run: git lfs install && git lfs pull")
        bundle = cls(prefix)
        try:
            bundle._read(content)
        except CheckpointError as error:
            raise CheckpointError(f"{index} is damaged or no index of a TensorFlow checkpoint: {error}.") from error
        absent = [path.name for path in bundle.shards if not path.is_file()]
        if absent:
            raise CheckpointError(f"{index.name} in {prefix.parent} names data files that are absent: {absent[0]}"
                                  f"{f' and {len(absent) - 1} more' if len(absent) > 1 else ''}.")  # fmt: skip
        bundle._weigh()
        return bundle

    def _weigh(self) -> None:
        """Compare what the index promises of each data file with its size, before anything is read or allocated.

        TensorFlow writes every byte for one variable. Entries that share theirs would make a small file as large in
        memory as somebody likes.
        """
        promised: Counter[int] = Counter()
        ends: dict[int, int] = {}
        for entry in (*self.entries.values(), *self._pieces.values()):
            if not entry.slices:
                promised[entry.shard] += entry.size
                ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.size)
        for path, number in zip(self.shards, sorted(ends), strict=True):
            length = path.stat().st_size
            with path.open("rb") as file:
                pointer = file.read(23) == b"version https://git-lfs"
            if pointer:
                raise CheckpointError(
                    f"{path} is a Git LFS pointer. In the clone run: git lfs install && git lfs pull"
                )
            if ends[number] > length:
                raise CheckpointError(
                    f"{path} has {length:,} bytes, its index says {ends[number]:,}: it was cut off, or is of another checkpoint."
                )
            if promised[number] > length:
                raise CheckpointError(
                    f"{path} has {length:,} bytes, and the variables in its index take {promised[number]:,}: the index is damaged."
                )

    def _read(self, content: bytes) -> None:
        shards = None
        for key, value in table.entries(content):
            if key == b"":
                shards = _read_header(value)
            elif key.startswith(b"\0"):  # a slice of a variable: its name is no text
                self._pieces[key] = _read_entry(value)
            else:
                self.entries[key.decode("utf-8", errors="replace")] = _read_entry(value)
        if shards is None:
            raise CheckpointError("it has no header")
        named = {entry.shard for entry in (*self.entries.values(), *self._pieces.values()) if not entry.slices}
        if named and not 0 <= min(named) <= max(named) < shards:
            raise CheckpointError(f"it has {shards} data files and names the one numbered {max(named)}")
        self.shards = [
            self.prefix.with_name(f"{self.prefix.name}.data-{number:05d}-of-{shards:05d}") for number in sorted(named)
        ]
        self._count = shards

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def tensor(self, name: str) -> np.ndarray:
        """The values of a variable.

        Returns:
            An array of its shape; bfloat16 and float8 as float32, which holds each of their values; strings as bytes
            objects.

        Raises:
            CheckpointError: the bytes are not there, or are others than those that were written.
        """
        if name not in self.entries:
            raise CheckpointError(f"{self.prefix} has no variable {name!r}.")
        entry = self.entries[name]
        try:
            return self._joined(name, entry) if entry.slices else self._values(entry)
        except (CheckpointError, OSError) as error:
            raise CheckpointError(f"{name} in {self.prefix} cannot be read: {error}.") from error

    def _values(self, entry: Entry) -> np.ndarray:
        count = math.prod(entry.shape)
        if entry.dtype == _STRING:
            return _strings(self._bytes(entry), count, entry.checksum).reshape(entry.shape)
        if entry.dtype not in _DTYPES:
            raise CheckpointError(f"values of the type {entry.kind} are not read")
        stored = np.dtype(_DTYPES[entry.dtype][1])
        if entry.size != count * stored.itemsize:
            raise CheckpointError(f"{count} values of {entry.kind} do not take {entry.size} bytes")
        data = self._bytes(entry)
        if entry not in self._checked and masked(crc32c(data)) != entry.checksum:
            raise CheckpointError("its checksum (CRC-32C) is wrong: the file is damaged")
        self._checked.add(entry)  # a value is read twice, to be written and to be compared
        return _widened(np.frombuffer(data, dtype=stored).reshape(entry.shape), entry.kind)

    def _bytes(self, entry: Entry) -> bytes:
        path = self.prefix.with_name(f"{self.prefix.name}.data-{entry.shard:05d}-of-{self._count:05d}")
        length = path.stat().st_size
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > length:
            raise CheckpointError(
                f"it should end at byte {entry.offset + entry.size} of {path.name}, which has {length}"
            )
        with path.open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)

    def _joined(self, name: str, entry: Entry) -> np.ndarray:
        if sum(math.prod(piece.lengths) for piece in entry.slices) != math.prod(entry.shape):
            raise CheckpointError("its slices do not fill it exactly")
        if len(set(entry.slices)) != len(entry.slices):
            raise CheckpointError("one of its slices is named twice")
        parts = []
        for piece in entry.slices:
            found = self._pieces.get(piece.key(name))
            if found is None or found.shape != piece.lengths or found.slices or found.dtype != entry.dtype:
                raise CheckpointError("one of its slices is absent or has another shape")
            place = tuple(slice(start, start + size) for start, size in zip(piece.starts, piece.lengths, strict=True))
            parts.append((place, self._values(found)))
        seen, whole = np.zeros(entry.shape, dtype=bool), np.empty(entry.shape, dtype=parts[0][1].dtype)
        for place, values in parts:
            if seen[place].any():
                raise CheckpointError("its slices overlap")
            seen[place], whole[place] = True, values
        return whole


def _read_header(data: memoryview) -> int:
    shards = 1
    for item in wire.fields(data):
        if item.number == 1:
            shards = item.integer
        if item.number == 2 and item.integer != 0:
            raise CheckpointError("it was written on a big-endian machine; write it again on another one")
    if not 0 < shards < 100_000:
        raise CheckpointError(f"it says it has {shards} data files")
    return shards


def _read_entry(data: memoryview) -> Entry:
    numbers = {3: 0, 4: 0, 5: 0, 6: 0}
    dtype, dims, pieces = 0, [], []
    for item in wire.fields(data):
        if item.number == 1:
            dtype = item.integer
        elif item.number == 2:
            dims = _read_shape(item.message)
        elif item.number in numbers:
            numbers[item.number] = item.signed
        elif item.number == 7:
            pieces.append(item.message)
    if min(numbers.values()) < 0:
        raise CheckpointError("an entry has a negative place")
    shape = tuple(dims)
    return Entry(
        dtype,
        shape,
        shard=numbers[3],
        offset=numbers[4],
        size=numbers[5],
        checksum=numbers[6],
        slices=tuple(_read_slice(piece, shape) for piece in pieces),
    )


def _read_shape(data: memoryview) -> list[int]:
    dims = []
    for item in wire.fields(data):
        if item.number == 2:
            sizes = [inner.signed for inner in wire.fields(item.message) if inner.number == 1]
            dims.append(sizes[0] if sizes else 0)
        elif item.number == 3 and item.integer:
            raise CheckpointError("a variable has no known shape")
    if len(dims) > _MOST_DIMENSIONS or any(size < 0 for size in dims):
        raise CheckpointError("a variable has an impossible shape")
    return dims


def _read_slice(data: memoryview, shape: tuple[int, ...]) -> Slice:
    extents = []
    for item in wire.fields(data):
        if item.number == 1:
            numbers = {inner.number: inner.signed for inner in wire.fields(item.message)}
            extents.append((numbers.get(1, 0), numbers.get(2, -1)))
    if len(extents) != len(shape):
        raise CheckpointError("a slice has another number of dimensions than its variable")
    lengths = tuple(size if length < 0 else length for (_, length), size in zip(extents, shape, strict=True))
    starts = tuple(start for start, _ in extents)
    if any(start < 0 or start + size > all_ for start, size, all_ in zip(starts, lengths, shape, strict=True)):
        raise CheckpointError("a slice lies outside its variable")
    return Slice(starts, lengths, tuple(length < 0 for _, length in extents))


def _widened(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == "bfloat16":  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    if kind.startswith("float8"):
        import torch

        return torch.from_numpy(values.copy()).view(getattr(torch, kind)).float().numpy()
    return values


def _strings(data: bytes, count: int, checksum: int) -> np.ndarray:
    """`count` lengths, their checksum, then the strings one after the other."""
    view, at, sizes = memoryview(data), 0, []
    if count > len(data):
        raise CheckpointError(f"{count} strings do not fit into {len(data)} bytes")
    for _ in range(count):
        size, at = wire.varint(view, at)
        sizes.append(size)
    lengths = b"".join(size.to_bytes(4 if size < 1 << 32 else 8, "little") for size in sizes)
    start = at + 4
    if start + sum(sizes) != len(data) or bytes(view[at:start]) != masked(crc32c(lengths)).to_bytes(4, "little"):
        raise CheckpointError("the lengths of its strings are wrong: the file is damaged")
    if masked(crc32c(view[at:], crc32c(lengths))) != checksum:
        raise CheckpointError("its checksum (CRC-32C) is wrong: the file is damaged")
    values = np.empty(count, dtype=object)
    for number, size in enumerate(sizes):
        values[number] = bytes(view[start : start + size])
        start += size
    return values


def ordered_key(name: str, extents: list[tuple[int, int]]) -> bytes:
    """The key of a slice: numbers and text in bytes that sort as they do (tensorflow/core/lib/strings/ordered_code.cc)."""
    text = name.encode().replace(b"\xff", b"\xff\0").replace(b"\0", b"\0\xff") + b"\0\x01"
    numbers = b"".join(_signed(start) + _signed(length) for start, length in extents)
    return _unsigned(0) + text + _unsigned(len(extents)) + numbers


def _unsigned(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(digits)]) + digits


def _signed(value: int) -> bytes:
    bits = (~value if value < 0 else value).bit_length()
    size = bits // 7 + 1  # the sign and the length share the first bits, in unary
    header = ((1 << size) - 1) << (8 * size - size)
    digits = (value & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    return (int.from_bytes(digits, "big") ^ header).to_bytes(size, "big")
