"""Snappy decompression, for tables whose writer compressed their blocks (TensorFlow's own do not).

Format: https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.wire import varint

_LARGEST = 64 * 2**20  # bytes of a block; TensorFlow's have a quarter of a million
_DENSEST = 64  # a copy of 64 bytes takes 3 at least; whoever promises more than this many bytes for one is lying


def decompress(data: memoryview) -> bytes:
    """The bytes behind a compressed block.

    Raises:
        CheckpointError: the block is damaged, or says to hold more than it can.
    """
    size, at = varint(data, 0)
    if size > min(_DENSEST * len(data), _LARGEST):
        raise CheckpointError(f"a compressed block of {len(data)} bytes says it holds {size}")
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        kind, high = tag & 3, tag >> 2
        if kind == 0:  # a literal; lengths above 60 follow in 1 to 4 bytes
            extra = max(high - 59, 0)
            length = (int.from_bytes(data[at : at + extra], "little") if extra else high) + 1
            at += extra
            if length > len(data) - at:
                raise CheckpointError("a compressed block ends within a literal")
            out += data[at : at + length]
            at += length
        else:
            width = (1, 2, 4)[kind - 1]
            if width > len(data) - at:
                raise CheckpointError("a compressed block ends within a copy")
            offset = int.from_bytes(data[at : at + width], "little")
            at += width
            length = high + 1
            if kind == 1:
                length, offset = (high & 7) + 4, offset | (high >> 3) << 8
            _copy(out, offset, length)
        if len(out) > size:
            raise CheckpointError("a compressed block holds more than it says")
    if len(out) != size:
        raise CheckpointError("a compressed block holds less than it says")
    return bytes(out)


def _copy(out: bytearray, offset: int, length: int) -> None:
    if not 0 < offset <= len(out):
        raise CheckpointError("a compressed block copies from before its beginning")
    for _ in range(length):  # byte by byte: a copy may run into what it writes
        out.append(out[-offset])
