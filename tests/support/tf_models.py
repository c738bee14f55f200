"""The small TensorFlow models of `tests/models/tensorflow/make_fixtures.py`, and where a Python with TensorFlow is."""

from __future__ import annotations

import importlib.util
import os
import random
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from places import REPOSITORY

from hf_ssl.models.tensorflow import saved_model
from hf_ssl.models.tensorflow.bundle import Bundle
from hf_ssl.models.tensorflow.crc32c import crc32c, masked

FIXTURES = REPOSITORY / "tests" / "models" / "tensorflow" / "fixtures"
TEXT = ("bert_tf2", "bert_tf1", "bert_hub1", "albert_tf2", "albert_tf1", "electra_tf2", "electra_tf1")
PICTURES = ("simclr", "bit", "vit")
PARTS = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
"""The files of a SavedModel that the import reads."""


def archive(name: str) -> Path:
    """The `.tar.gz` of a model."""
    return FIXTURES / f"{name}.tar.gz"


def unpacked(name: str, folder: Path) -> Path:
    """The files of a model, unpacked."""
    with tarfile.open(archive(name)) as content:
        content.extractall(folder, filter="data")
    return folder


def expected(name: str) -> dict[str, np.ndarray]:
    """What TensorFlow was given, and what it answered."""
    with np.load(FIXTURES / f"{name}.npz") as content:
        return dict(content)


def tensorflow_python() -> str | None:
    """A Python that has TensorFlow: `HF_SSL_TF_PYTHON`, or this one; None when there is none."""
    named = os.environ.get("HF_SSL_TF_PYTHON")
    if named:
        return named
    return "" if importlib.util.find_spec("tensorflow") else None


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One of: bits turned, bytes overwritten, cut off, a stretch taken out, a stretch doubled, zeros."""
    data = bytearray(content)
    at = draw.randrange(len(data))
    length = draw.randrange(1, 64)
    way = draw.randrange(6)
    if way == 0:
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif way == 1:
        data[at : at + length] = draw.randbytes(length)
    elif way == 2:
        del data[at:]
    elif way == 3:
        del data[at : at + length]
    elif way == 4:
        data[at:at] = data[at : at + length]
    else:
        data[at : at + length] = bytes(length)
    return bytes(data)


def read_all(folder: Path) -> dict[str, bytes]:
    """Everything the import reads of a SavedModel."""
    bundle = Bundle.open(folder / "variables" / "variables")
    names = saved_model.variable_names(bundle)
    saved_model.read_graph(folder / "saved_model.pb")
    return {name: bundle.tensor(key).tobytes() for name, key in names.items()}


def values_of(bundle: Bundle) -> dict[str, np.ndarray]:
    """All numbers of a checkpoint by their keys."""
    return {
        key: bundle.tensor(key) for key, entry in bundle.entries.items() if entry.kind not in ("string", "bfloat16")
    }


_TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


def bundle_of(values: dict[str, np.ndarray], prefix: Path, sizes: dict[str, int] | None = None) -> None:
    """Write a checkpoint of TensorFlow's format, one block, one data file.

    Args:
        sizes: what the index says of a variable's bytes, where it lies; all begin at byte 0 then.
    """
    data, rows = b"", [(b"", _field(1, 1))]
    for name, value in sorted(values.items(), key=lambda item: item[0].encode()):
        content = value.tobytes()
        shape = b"".join(_field(2, _field(1, size)) for size in value.shape)
        checksum = masked(crc32c(content)).to_bytes(4, "little")
        place = _field(4, 0 if sizes else len(data)) + _field(5, (sizes or {}).get(name, len(content)))
        rows.append(
            (name.encode(), _field(1, _TYPES[value.dtype.name]) + _field(2, shape) + place + b"\x35" + checksum)
        )
        data += content
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table_of(rows))


def table_of(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A table of LevelDB's format with one block, keys sharing what they can."""
    block, before = bytearray(), b""
    for key, value in rows:
        shared = len(before) if key.startswith(before) else len(os.path.commonprefix([before, key]))
        block += _number(shared) + _number(len(key) - shared) + _number(len(value)) + key[shared:] + value
        before = key
    first = _sealed(bytes(block) + (0).to_bytes(4, "little") + (1).to_bytes(4, "little"))
    handle = _number(0) + _number(len(first) - 5)
    index = (
        b"\0"
        + _number(1)
        + _number(len(handle))
        + b"\xff"
        + handle
        + (0).to_bytes(4, "little")
        + (1).to_bytes(4, "little")
    )
    second = _sealed(index)
    footer = b"\0\0" + _number(len(first)) + _number(len(index))
    return first + second + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def _sealed(block: bytes) -> bytes:
    return block + b"\0" + masked(crc32c(block + b"\0")).to_bytes(4, "little")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, bytes):
        return _number(number << 3 | 2) + _number(len(value)) + value
    return _number(number << 3) + _number(value)
