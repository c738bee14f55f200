"""Arrays from `.npy` and `.npz` files: plain numbers only, and never more than the file holds."""

from __future__ import annotations

import io
import math
import threading
import tokenize
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from hf_ssl.core.textfiles import MAX_RATIO, UNPACKED_FREE

# What numpy's parser of headers, zipfile and zlib raise for damaged files.
_DAMAGED = (ValueError, OSError, EOFError, SyntaxError, KeyError, TypeError, AttributeError, IndexError, OverflowError, MemoryError,
            RecursionError, NotImplementedError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)  # fmt: skip
# numpy reads headers as Python; parsers of two threads at once make SystemErrors in Python 3.11 (python/cpython#106905).
_HEADERS = threading.Lock()
MOST = 8 << 30
"""Bytes of the arrays of a packed file, unpacked."""


def load_arrays(stream: BinaryIO) -> dict[str, np.ndarray]:
    """Arrays by name; that of a `.npy` file is called `x`.

    Raises:
        ValueError: it is damaged, promises more than it holds, or holds Python objects.
    """
    head = stream.read(6)
    stream.seek(0)
    try:
        if head[:4] != b"PK\x03\x04":
            return {"x": _one(stream)}
        with zipfile.ZipFile(stream) as archive:
            packed = stream.seek(0, io.SEEK_END)
            total = sum(item.file_size for item in archive.infolist())
            if total > min(MOST, max(UNPACKED_FREE, MAX_RATIO * packed)):
                raise ValueError(
                    f"unpacks to {total >> 20:,} MB from {packed >> 10:,} kB, as no arrays of measurements do"
                )
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _one(io.BytesIO(archive.read(name))) for name in names}
    except _DAMAGED as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            why = "not a plain numpy array but Python objects (series of different lengths?); save those as parquet or JSON lines"
            raise ValueError(why) from error
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"not a plain numpy array: {first[:120]}") from error


def _one(stream: BinaryIO) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with _HEADERS:
        shape, by_columns, kind = read(stream)
    begins = stream.tell()
    stream.seek(0, io.SEEK_END)
    there = stream.tell() - begins
    if kind.hasobject:
        raise ValueError("Object arrays")
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > there:
        raise ValueError(f"promises {math.prod(shape):,} values of {kind} and holds {there:,} bytes")
    stream.seek(begins)
    flat = np.empty(math.prod(shape), kind)
    if flat.nbytes:
        flat.view(np.uint8)[:] = np.frombuffer(stream.read(flat.nbytes), np.uint8)
    return flat.reshape(shape, order="F" if by_columns else "C")
