"""Sorted tables of keys and values, as LevelDB and TensorFlow's `.index` files have them.

A table is a row of blocks. Its last 48 bytes say where the index block is, whose values say where the data blocks are. In
a block, every key leaves out what it shares with the one before it. Behind every block stand its compression and a
checksum.
Format: https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

from __future__ import annotations

from collections.abc import Iterator

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import snappy
from hf_ssl.models.tensorflow.crc32c import crc32c, masked
from hf_ssl.models.tensorflow.wire import varint

_FOOTER = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER = 5  # one byte of compression, four of checksum
_PLAIN, _SNAPPY = 0, 1
_LONGEST_KEY = 64 * 1024
# Of all keys together. One may share all but a byte with the one before it, and take four bytes of the file and 64 kB of
# memory; those of a model with ten thousand variables take one or two million bytes.
_ALL_KEYS = 64 * 2**20
_MOST_ENTRIES = 1_000_000


def entries(table: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a whole table, in the order of the keys.

    Raises:
        CheckpointError: it is no table, or damaged.
    """
    data = memoryview(table)
    if len(data) < _FOOTER or bytes(data[-8:]) != _MAGIC:
        raise CheckpointError("it is not a table of TensorFlow (its last 8 bytes are others)")
    footer = data[-_FOOTER:-8]
    _, at = _handle(footer, 0)  # the index of filters, of which TensorFlow writes none
    place, _ = _handle(footer, at)
    before = b""
    taken = letters = count = 0
    for _, value in _pairs(_block(data, place)):
        block = _block(data, _handle(value, 0)[0])
        taken += len(block)
        if taken > snappy._DENSEST * len(data):  # blocks named again and again
            raise CheckpointError("the blocks of the table overlap")
        for key, content in _pairs(block):
            if before and key <= before:
                raise CheckpointError("the keys of the table are not in order")
            before = key
            letters, count = letters + len(key), count + 1
            if letters > _ALL_KEYS or count > _MOST_ENTRIES:
                raise CheckpointError("it has more names than any model")
            yield key, content


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: memoryview, place: tuple[int, int]) -> memoryview:
    offset, size = place
    if offset + size + _TRAILER > len(data) - _FOOTER:
        raise CheckpointError("a block of the table lies outside the file")
    content, kind = data[offset : offset + size], data[offset + size]
    stored = int.from_bytes(data[offset + size + 1 : offset + size + _TRAILER], "little")
    if masked(crc32c(data[offset : offset + size + 1])) != stored:
        raise CheckpointError("the checksum of a block of the table is wrong")
    if kind == _SNAPPY:
        return memoryview(snappy.decompress(content))
    if kind != _PLAIN:
        raise CheckpointError(f"a block of the table has the unknown compression {kind}")
    return content


def _pairs(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if len(block) < 4:
        raise CheckpointError("a block of the table is too short")
    restarts = int.from_bytes(block[-4:], "little")  # where keys stand in full; needed for searching only
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise CheckpointError("a block of the table is too short for its restarts")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        rest, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or rest > end - at or size > end - at - rest or shared + rest > _LONGEST_KEY:
            raise CheckpointError("an entry of the table does not fit into its block")
        key = key[:shared] + bytes(block[at : at + rest])
        at += rest
        yield key, block[at : at + size]
        at += size
