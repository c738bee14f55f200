"""TensorFlow's checkpoint files are read as TensorFlow wrote them, and nothing in a damaged one is believed."""

from __future__ import annotations

import random
import resource
import shutil
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tf_models import PARTS, expected, mutated, read_all, unpacked

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import saved_model, snappy, table, wire
from hf_ssl.models.tensorflow.bundle import Bundle, ordered_key
from hf_ssl.models.tensorflow.crc32c import crc32c, masked


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("kinds", tmp_path_factory.mktemp("kinds"))


def test_every_type_of_value_is_read_as_tensorflow_reads_it(kinds: Path) -> None:
    bundle, known = Bundle.open(kinds / "kinds"), expected("kinds")
    names = saved_model.variable_names(bundle)
    seen = set()
    for name, values in known.items():
        if name.startswith("kinds/"):
            key = f"{name}/.ATTRIBUTES/VARIABLE_VALUE"
            ours = bundle.tensor(key)
            assert ours.dtype == values.dtype and np.array_equal(ours, values), name
            seen.add(bundle.entries[key].kind)
            assert names[name] == key
    assert {"bfloat16", "float16", "float64", "int8", "uint64", "complex128", "bool"} <= seen and len(seen) == 15
    text = bundle.tensor("kinds/v_string/.ATTRIBUTES/VARIABLE_VALUE")
    assert text.tolist() == [[b"a", b"\xff\x00"], [b"", b"long" * 100]]


def test_variables_in_pieces_and_in_two_files_are_put_together(kinds: Path) -> None:
    bundle, known = Bundle.open(kinds / "parts"), expected("kinds")
    assert len(bundle.shards) == 2 and len(bundle.entries["scope/rows"].slices) == 3
    for name in ("scope/rows", "scope/columns", "plain"):
        assert np.array_equal(bundle.tensor(name), known[name])


def test_a_data_file_that_is_gone_is_named(kinds: Path, tmp_path: Path) -> None:
    shutil.copytree(kinds, tmp_path, dirs_exist_ok=True)
    (tmp_path / "parts.data-00001-of-00002").unlink()
    with pytest.raises(CheckpointError, match="parts.data-00001-of-00002"):
        Bundle.open(tmp_path / "parts")


def test_a_changed_value_is_found_by_its_checksum(kinds: Path, tmp_path: Path) -> None:
    shutil.copytree(kinds, tmp_path, dirs_exist_ok=True)
    key = "kinds/v_float32/.ATTRIBUTES/VARIABLE_VALUE"
    entry = Bundle.open(tmp_path / "kinds").entries[key]
    data = tmp_path / "kinds.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[entry.offset] ^= 1
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        Bundle.open(tmp_path / "kinds").tensor(key)


@pytest.mark.parametrize("text, value", [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"", 0)])
def test_checksums_of_the_standard(text: bytes, value: int) -> None:
    assert crc32c(text) == value  # RFC 3720, appendix B.4


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 4096, 100_003])
def test_long_data_have_the_checksum_of_their_parts_in_turn(size: int) -> None:
    data = random.Random(size).randbytes(size)
    whole, step = crc32c(data), 0
    for begin in range(0, size, 777):
        step = crc32c(data[begin : begin + 777], step)
    assert whole == step


def test_names_of_slices_sort_as_their_numbers_do() -> None:
    numbers = [-(2**40), -70000, -64, -1, 0, 63, 64, 8191, 8192, 2**40]
    keys = [ordered_key("a", [(number, -1)]) for number in numbers]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    assert ordered_key("a\0b", []) == b"\0a\0\xffb\0\x01\0"


def test_compressed_blocks_are_read() -> None:
    packed = (
        bytes([12]) + bytes([3 << 2]) + b"abcd" + bytes([(7 << 2) | 2, 4, 0])
    )  # a literal, then 8 bytes from 4 back
    assert snappy.decompress(memoryview(packed)) == b"abcdabcdabcd"
    block = b"".join([bytes([0, 1, 1]), b"k", b"v", (0).to_bytes(4, "little"), (1).to_bytes(4, "little")])

    def stored(content: bytes, kind: int) -> bytes:
        return content + bytes([kind]) + masked(crc32c(content + bytes([kind]))).to_bytes(4, "little")

    squeezed = bytes([len(block), (len(block) - 1) << 2]) + block
    data = stored(squeezed, 1)
    handle = bytes([0, len(squeezed)])
    index = stored(bytes([0, 1, 2]) + b"k" + handle + (0).to_bytes(4, "little") + (1).to_bytes(4, "little"), 0)
    footer = bytes([0, 0]) + bytes([len(data), len(index) - 5])
    file = data + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    assert [(key, bytes(value)) for key, value in table.entries(file)] == [(b"k", b"v")]


@pytest.mark.parametrize(
    "packed",
    [bytes([200, 255, 255, 7]) + b"\0a", bytes([4, (3 << 2)]) + b"ab", bytes([8, (7 << 2) | 2, 4, 0]), bytes([2, 0]) + b"a",
     bytes([1, 63 << 2, 255])],
)  # fmt: skip
def test_damaged_compression_is_an_error(packed: bytes) -> None:
    with pytest.raises(CheckpointError):
        snappy.decompress(memoryview(packed))


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x00\x01", b"\x0f", b"\xff" * 11, b"\x09abc"])
def test_damaged_messages_are_errors(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        list(wire.fields(memoryview(data)))


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * 100, b"version https://git-lfs.github.com/spec/v1\n" + b"o" * 100]
)
def test_what_is_no_index_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.index").write_bytes(content)
    with pytest.raises(CheckpointError, match="model.index"):
        Bundle.open(tmp_path / "model")


def largest_memory() -> int:
    """The most bytes this process has held; tracemalloc would make the test ten times as long."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("name", PARTS)
def test_a_hundred_damaged_files_each_are_an_error_or_read_the_same(name: str, tmp_path: Path) -> None:
    """300 in all: never another exception, never other values, never much memory or time."""
    folder = unpacked("bert_tf2", tmp_path / "model")
    good, content = read_all(folder), (folder / name).read_bytes()
    draw = random.Random(name)
    refused = 0
    before, began = largest_memory(), time.monotonic()
    for _ in range(100):
        (folder / name).write_bytes(mutated(content, draw))
        try:
            values = read_all(folder)
        except CheckpointError as error:
            refused += 1
            assert str(error).endswith(".") and len(str(error)) < 1000
        else:
            # Of the graph most bytes are never read; a value is only taken when its checksum holds.
            assert values == good
    assert largest_memory() - before < 64 * 2**20 and time.monotonic() - began < 60
    assert refused >= (20 if name == "saved_model.pb" else 50)


def with_checksums(change: Callable[[bytearray], None], content: bytes) -> bytes:
    """A table whose last data block was changed by somebody who knows about checksums."""
    data = bytearray(content)
    footer = memoryview(bytes(data[-48:]))
    _, at = wire.varint(footer, 0)
    _, at = wire.varint(footer, at)
    place, at = wire.varint(footer, at)  # of the index block
    size, _ = wire.varint(footer, at)
    index = memoryview(bytes(data[place : place + size]))
    at = 0
    for _ in range(3):
        value, at = wire.varint(index, at)
        if _ == 1:
            key = value
    first, at = wire.varint(index, at + key)
    length, _ = wire.varint(index, at)
    block = data[first : first + length]
    change(block)
    data[first : first + length] = block
    kind = bytes(data[first + length : first + length + 1])
    data[first + length + 1 : first + length + 5] = masked(crc32c(bytes(block) + kind)).to_bytes(4, "little")
    return bytes(data)


def test_files_made_to_deceive_take_no_memory(kinds: Path, tmp_path: Path) -> None:
    """Shapes, sizes and offsets of any size, with the right checksums."""
    content = (kinds / "kinds.index").read_bytes()
    shutil.copytree(kinds, tmp_path, dirs_exist_ok=True)
    draw = random.Random(3)
    tracemalloc.start()
    try:
        for _ in range(100):

            def change(block: bytearray, at: int = draw.randrange(20, 600), byte: int = draw.randrange(256)) -> None:
                block[at % len(block)] = byte

            (tmp_path / "kinds.index").write_bytes(with_checksums(change, content))
            try:
                bundle = Bundle.open(tmp_path / "kinds")
                for key in bundle:
                    bundle.tensor(key)
            except CheckpointError:
                pass
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
