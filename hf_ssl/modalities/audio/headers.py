"""WAV files whose headers do not say how long they are: written through a pipe, or by a program that did not come to its end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

HEAD = 1 << 16  # bytes in which a WAV file's samples begin
UNKNOWN = {0, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0xFFFFFF00, 0x7FFFFFFE}
"""Sizes that programs write when they do not know them."""
LEFT_OVER = 1024
"""Bytes behind the declared end that are not worth a look."""


class Unusable(ValueError):
    """A recording that goes into quarantine; the message is the reason."""


def _chunks(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, declared size and place of the content of each chunk of a RIFF file, as far as `head` goes."""
    place = 12
    while place + 8 <= len(head):
        size = int.from_bytes(head[place + 4 : place + 8], "little")
        yield head[place : place + 4], size, place + 8
        place += 8 + size + size % 2


def wrong_sizes(stream: BinaryIO, size: int) -> str:
    """How the header of a WAV file is wrong about its length: `unknown` (written through a pipe), `less` (as it was when the file was
    last flushed); empty: it is right."""
    head = stream.read(HEAD)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return ""
    for name, declared, place in _chunks(head):
        if name == b"data":
            if declared in UNKNOWN and size > place:
                return "unknown"
            if declared > size - place + 1:
                raise Unusable(f"cut short: {size - place:,} of {declared:,} bytes are there")
            return "less" if _sound_behind(stream, place + declared, size) else ""
    return ""


def _sound_behind(stream: BinaryIO, end: int, size: int) -> bool:
    """Whether samples go on behind the declared end, and not the chunks, tags, text or zeros that programs write there.

    Raises:
        Unusable: another file goes on.
    """
    if size - end < LEFT_OVER:
        return False
    for place in (end, end + 1):  # a byte that makes the size even
        stream.seek(place)
        rest = stream.read(HEAD)
        if rest[:4] == b"RIFF" and rest[8:12] == b"WAVE":
            raise Unusable("another WAV file is joined behind it: take them apart")
        if place + 8 + int.from_bytes(rest[4:8], "little") <= size + 1 and rest[:4].isascii() and rest[:4].isalnum():
            return False
        if rest.startswith((b"LIST", b"ID3", b"TAG", b"APETAGEX", b"LYRICS")):
            return False
        if rest[:64].isascii() and rest[:64].decode("ascii").replace("\n", "").replace("\t", "").isprintable():
            return False
    return any(rest)


def mended_sizes(content: bytes, told: list[str] | None = None) -> io.BytesIO:
    """The file with the sizes that it has."""
    wrong = wrong_sizes(io.BytesIO(content), len(content))
    if not wrong:
        return io.BytesIO(content)
    if wrong == "less" and told is not None:
        told.append("longer")
    fixed = bytearray(content)
    for name, _, place in _chunks(content[:HEAD]):
        if name == b"data":
            fixed[place - 4 : place] = (len(content) - place).to_bytes(4, "little")
            break
    fixed[4:8] = (len(content) - 8).to_bytes(4, "little")
    return io.BytesIO(bytes(fixed))
