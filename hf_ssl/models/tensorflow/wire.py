"""Protocol buffers, as far as TensorFlow's files need them: the fields of a message, without schema and without copying.

TensorFlow's index entries, object graphs and SavedModels are protocol buffers whose few fields of interest are read here
by number. Nothing is trusted: a length beyond the message, an endless number or an unknown wire type is an error, and no
more memory is taken than the file has bytes.
Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hf_ssl.core.errors import CheckpointError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: of the field in the message's definition.
        value: an integer, or the bytes of a string or of a message within.
    """

    number: int
    value: int | memoryview

    @property
    def integer(self) -> int:
        """The value of a numeric field.

        Raises:
            CheckpointError: it holds bytes.
        """
        if isinstance(self.value, int):
            return self.value
        raise CheckpointError(f"field {self.number} should hold a number")

    @property
    def signed(self) -> int:
        """The value of an `int32` or `int64` field, which is written as 64 bits of two's complement."""
        return self.integer - (1 << 64) if self.integer >> 63 else self.integer

    @property
    def message(self) -> memoryview:
        """The bytes of a field of text, bytes or a message.

        Raises:
            CheckpointError: it holds a number.
        """
        if isinstance(self.value, int):
            raise CheckpointError(f"field {self.number} should hold bytes")
        return self.value

    @property
    def text(self) -> str:
        """The value of a string field; what is not UTF-8 is replaced."""
        return bytes(self.message).decode("utf-8", errors="replace")


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends.

    Raises:
        CheckpointError: the data end within it, or it is longer than 64 bits.
    """
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise CheckpointError("a number is longer than 64 bits")
    raise CheckpointError("the data end within a number")


def fields(data: memoryview) -> Iterator[Field]:
    """The fields of a message, in the order they were written.

    Raises:
        CheckpointError: the bytes are no message.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise CheckpointError("a field has the number 0")
        if kind == _VARINT:
            value, at = varint(data, at)
            yield Field(number, value)
            continue
        if kind == _BYTES:
            size, at = varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise CheckpointError(f"field {number} has the unknown wire type {kind}")
        if size > len(data) - at:
            raise CheckpointError(f"field {number} is longer than its message")
        chunk = data[at : at + size]
        at += size
        yield Field(number, chunk if kind == _BYTES else int.from_bytes(chunk, "little"))
