"""CRC-32C (Castagnoli), the checksum of TensorFlow's files, with NumPy: many short stretches side by side.

A byte at a time in Python would take minutes for a model. The data are cut into stretches of equal length, whose
checksums advance together, a byte of each per step; their checksums are then joined two by two. Appending n zero bytes
to a message is a linear map on the 32 bits of its checksum, so joining needs that map alone.
Polynomial and masking: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4, tensorflow/core/lib/hash/crc32c.h.
"""

from __future__ import annotations

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_MASK_DELTA = 0xA282EAD8
_STRETCH = 1024  # bytes of a stretch: the steps that are done one after the other
_PART = 64 * 2**20  # bytes done at a time, so that a large tensor takes little memory more


def _first_table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


_TABLE = _first_table()
_BYTES = [int(value) for value in _TABLE]


def crc32c(data: bytes | memoryview | np.ndarray, start: int = 0) -> int:
    """The checksum of `data`, or of what had the checksum `start` followed by `data`."""
    flat = np.frombuffer(data, dtype=np.uint8)
    for begin in range(0, len(flat), _PART):
        start = _extend(start, flat[begin : begin + _PART])
    return start


def masked(checksum: int) -> int:
    """As it is stored: rotated and shifted, because checksums of data that hold checksums are weak."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _extend(start: int, data: np.ndarray) -> int:
    whole = len(data) // _STRETCH
    whole = 1 << (whole.bit_length() - 1) if whole > 1 else 0  # a power of two, to be halved
    if whole:
        start = _joined(start, _stretches(data[: whole * _STRETCH].reshape(whole, _STRETCH)), whole * _STRETCH)
        rest = data[whole * _STRETCH :]
        return _extend(start, rest) if len(rest) else start
    value = start ^ 0xFFFFFFFF
    for byte in data.tobytes():
        value = _BYTES[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _stretches(rows: np.ndarray) -> np.ndarray:
    """One checksum of every row, [rows, bytes] → [rows]."""
    words = np.ascontiguousarray(rows.view("<u4").T)  # a step of four bytes of every row lies together
    tables = _four_tables()
    values = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for step in words:
        values = values ^ step
        values = (
            tables[3][values & 0xFF]
            ^ tables[2][(values >> 8) & 0xFF]
            ^ tables[1][(values >> 16) & 0xFF]
            ^ tables[0][values >> 24]
        )
    return values ^ np.uint32(0xFFFFFFFF)


@functools.cache
def _four_tables() -> list[np.ndarray]:
    tables = [_TABLE]
    for _ in range(3):
        tables.append(_TABLE[tables[-1] & 0xFF] ^ (tables[-1] >> 8))
    return tables


def _joined(start: int, values: np.ndarray, length: int) -> int:
    size = _STRETCH
    while len(values) > 1:
        values = _appended(values[0::2], size) ^ values[1::2]
        size *= 2
    return int(_appended(np.array([start], dtype=np.uint32), length)[0] ^ values[0])


def _appended(values: np.ndarray, zeros: int) -> np.ndarray:
    """Checksums of messages after `zeros` zero bytes more, up to the constant that joining cancels."""
    result = np.zeros_like(values)
    for bit, column in enumerate(_zeros(zeros)):
        result ^= np.where(values >> np.uint32(bit) & 1, column, np.uint32(0)).astype(np.uint32)
    return result


@functools.cache
def _zeros(count: int) -> tuple[np.uint32, ...]:
    """The map of appending `count` zero bytes: where each of the 32 bits goes."""
    columns = np.uint32(1) << np.arange(32, dtype=np.uint32)
    power = np.array([_BYTES[int(c) & 0xFF] ^ (int(c) >> 8) for c in columns], dtype=np.uint32)  # one byte
    result = columns
    while count:
        if count & 1:
            result = _times(power, result)
        power = _times(power, power)
        count >>= 1
    return tuple(result)


def _times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The map `left` after the map `right`, both as 32 columns."""
    result = np.zeros(32, dtype=np.uint32)
    for bit in range(32):
        result ^= np.where(right >> np.uint32(bit) & 1, left[bit], np.uint32(0)).astype(np.uint32)
    return result
