"""Bytes of a file as text: which encoding, how long a line may be, how far a `.gz` may unpack."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from hf_ssl.core import encodings

MAX_LINE = 64 << 20
"""Bytes. A longer line is no row of a table that anybody means; reading it would take twenty times its size in memory."""
UNPACKED_FREE = 256 << 20
MAX_RATIO = 200
"""A `.gz` of text becomes five to twenty times its size; one that becomes more than 200 times (and more than 256 MB) is
made to fill the memory."""
MAX_WHOLE = 2 << 30
"""Bytes of a file that has to be read as a whole (`.json`, `.txt`, CoNLL)."""
LEAST_UTF8 = 0.2
"""Of lines with letters beyond ASCII, those in UTF-8 from which on a file is one of UTF-8 with others among them."""
SAMPLE = 1 << 20
DEFAULT_ENCODING = "utf-8-sig"
MIXED = "utf-8 with lines that are not"
"""Name of the encoding of files whose lines are UTF-8 but for a few; `open_text` puts `UNDECODABLE` into these."""
UNDECODABLE = "\ue00e"
BAD_LINES = "lines that are not UTF-8, as the others are"
codecs.register_error("hf_ssl.undecodable", lambda error: (UNDECODABLE, error.end))  # type: ignore[attr-defined]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_NATURES = (
    (b"\x1f\x8b", "is packed with gzip; unpack it, or let its name end in .gz after that of what is in it (.csv.gz)"),
    (b"PK\x03\x04", "is a ZIP archive or a spreadsheet (.xlsx); unpack it, or save the sheet as .csv"),
    (b"BZh", "is packed with bzip2; unpack it"),
    (b"\xfd7zXZ\0", "is packed with xz; unpack it"),
    (b"(\xb5/\xfd", "is packed with zstd; unpack it"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet or document of old (.xls, .doc); save it as .csv or text"),
    (b"%PDF", "is a PDF document"),
    (b"PAR1", "is a parquet file; let its name end in .parquet"),
    (b"SQLite format 3", "is an SQLite database; export its table as .csv"),
    (b"\x89HDF", "is an HDF5 file; save what is in it as .csv, .parquet or .npy"),
    (b"\x93NUMPY", "is an array of numpy; let its name end in .npy"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself; fetch it: git lfs pull"),
)


def nature(head: bytes) -> str | None:
    """What a file is that is not what its name says, by its first bytes; None: nothing that is known here.

    Args:
        head: the first bytes, a hundred or more.
    """
    plain = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if plain.startswith((b"<!doctype html", b"<html")):
        return "is a web page; was the download refused?"
    if head[4:8] == b"ftyp" and head[8:12].lower() not in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return "is a video or sound (MP4)"
    if head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b" and _unpacked(head)[257:262] == b"ustar":
        return "is a tar archive; unpack it"
    return next((what for mark, what in _NATURES if head.startswith(mark)), None)


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""


class UnusableFile(ValueError):
    """Why one file cannot be read; the caller puts it into quarantine."""


@dataclass(frozen=True)
class Encoding:
    """How the bytes of a file become text, and what the user should be told about it (None: nothing)."""

    name: str
    note: str | None = None


class _Bounded(io.RawIOBase):
    """A binary stream that refuses endless lines and exploding archives while it is read, before memory fills."""

    def __init__(self, stream: BinaryIO, packed: int | None, max_line: int | None) -> None:
        self._stream, self._packed, self._max_line = stream, packed, max_line
        self._total, self._line = 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._total += len(piece)
        if self._packed is not None and self._total > max(UNPACKED_FREE, MAX_RATIO * self._packed):
            raise UnusableFile(
                f"unpacks to more than {self._total >> 20:,} MB from {max(self._packed >> 20, 1):,} MB, as no text does; "
                "unpack it yourself if that is meant"
            )
        if self._max_line is not None:
            last = piece.rfind(b"\n")
            self._line = self._line + len(piece) if last < 0 else len(piece) - last - 1
            if self._line > self._max_line:
                raise UnusableFile(f"a line is longer than {self._max_line >> 20} MB; is it a table or text at all?")
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_bytes(path: Path, whole: bool = False) -> io.BufferedReader:
    """The bytes of a file, unpacked where its name ends in `.gz`; see `_Bounded` for what is refused.

    Args:
        path: the file.
        whole: it is not read by lines, so that these may be of any length.
    """
    max_line = None if whole else MAX_LINE
    packed = path.suffix.lower() == ".gz"
    stream = gzip.open(path, "rb") if packed else path.open("rb")
    return io.BufferedReader(_Bounded(stream, path.stat().st_size if packed else None, max_line), 1 << 18)  # type: ignore[arg-type]


@contextmanager
def open_text(path: Path, encoding: str, whole: bool = False) -> Iterator[TextIO]:
    """Text of a file, line ends as they are.

    Raises:
        UnusableFile: it cannot be read, or is not text in this encoding (with the byte).
    """
    try:
        name, errors = (DEFAULT_ENCODING, "hf_ssl.undecodable") if encoding == MIXED else (encoding, "strict")
        with io.TextIOWrapper(open_bytes(path, whole), encoding=name, errors=errors, newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise UnusableFile(undecodable(path, encoding) or f"not {encoding}: {error.reason}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnusableFile(f"not readable: {error}") from error


def read_text(path: Path, encoding: str) -> str:
    """All of a file's text. Raises as `open_text`, and for files too large to be read whole."""
    if path.stat().st_size > MAX_WHOLE:
        raise UnusableFile(f"is larger than {MAX_WHOLE >> 30} GB; split it into several files")
    with open_text(path, encoding, whole=True) as stream:
        return stream.read()


def encoding_of_file(path: Path, given: str, *, by_lines: bool = False) -> Encoding:
    """The encoding to read a file in: the one that was asked for, else by its byte order mark, else UTF-8 where it is
    that, else a legacy one that all of its likely readings agree on.

    Args:
        path: the file.
        given: the user's `encoding`; anything but the default is taken at its word.
        by_lines: the reader leaves out (and counts) rows that hold `UNDECODABLE`: a file of UTF-8 but for a few lines is `MIXED`.

    Raises:
        UnusableFile: it is not text in the encoding that was asked for, readings disagree (both are shown), or some lines are of
            another encoding than most.
    """
    if given.lower().replace("_", "-") not in ("utf-8-sig", "utf-8", "utf8"):
        try:
            " ".encode(given)  # not `codecs.lookup`, which finds base64 and the like too
        except (LookupError, ValueError) as error:
            raise UnusableFile(
                f"there is no encoding of text {given!r}; common ones: encoding='utf-8', 'cp1252', 'utf-16'"
            ) from error
        return Encoding(given)
    try:
        with open_bytes(path, whole=True) as stream:
            head = stream.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise UnusableFile(f"not readable: {error}") from error
    if what := nature(head):
        raise UnusableFile("is packed twice; unpack it" if "gzip" in what and path.suffix.lower() == ".gz" else what)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, None if name == "utf-8-sig" else f"has the byte order mark of {name.upper()}")
    if wide := _wide(head):
        return Encoding(wide, f"has no byte order mark; read as {wide.upper()}, because every other byte is 0")
    problem = undecodable(path, "utf-8")
    if problem is None:
        return _seven_bit(path) or Encoding("utf-8-sig")
    good, bad = _lines_of_utf8(path)
    if good < LEAST_UTF8 * (len(bad) + good):
        return _legacy(path, problem)
    if by_lines and min(bad) > 1:
        return Encoding(MIXED)
    raise UnusableFile(
        f"not UTF-8 in {len(bad):,} of its lines (the first: line {min(bad)}), and UTF-8 in {good:,} others with letters beyond ASCII: mend those "
        "lines, or take them out"
    )


def _seven_bit(path: Path) -> Encoding | None:
    """Encodings whose bytes are all ASCII: letters of other scripts between marks, which would be read as signs and letters of ours.

    Raises:
        UnusableFile: it may be one, or plain text.
    """
    with open_bytes(path, whole=True) as stream:
        while piece := stream.read(SAMPLE):
            if not any(
                mark in piece for mark in (b"\x1b", b"~", b"+")
            ):  # single bytes are found a hundred times as fast
                continue
            piece += stream.readline()
            if (found := encodings.seven_bit(piece)) is None:
                continue
            name, sure = found
            if sure and undecodable(path, name) is None:
                example = encodings.example(piece[: 2 * SAMPLE].decode(name, "replace"))
                return Encoding(
                    name, f"read as {name}, such as {example!r} (encoding='ascii' takes every byte as it is)"
                )
            if not sure:
                raise UnusableFile(
                    "seems to be UTF-7, which writes letters beyond ASCII as +...-: encoding='utf-7' reads them, encoding='ascii' leaves them"
                )
    return None


def _lines_of_utf8(path: Path) -> tuple[int, list[int]]:
    """How many lines with letters beyond ASCII are UTF-8, and the numbers of those that are not."""
    good, bad = 0, []
    with open_bytes(path, whole=True) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                bad.append(number)
            else:
                good += not line.isascii()
    return good, bad


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: text of Western letters has a zero in every other byte."""
    if len(head) < 16 or b"\0" not in head:
        return None
    even, odd = head[0::2].count(0) / (len(head) / 2), head[1::2].count(0) / (len(head) / 2)
    if odd > 0.6 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 and odd < 0.1 else None


def _legacy(path: Path, problem: str) -> Encoding:
    """Windows or DOS text of old: read where only one encoding makes words of it, else shown in each, to choose from."""
    with open_bytes(path, whole=True) as stream:
        lines = [line for line in stream.read(8 * SAMPLE).split(b"\n") if any(byte > 127 for byte in line)][:2000]
    content = b"\n".join(lines)
    if not content or content.count(b"\0") > len(content) // 100:
        raise UnusableFile(f"{problem}: is it text at all?")
    found = encodings.readings(content)
    if not found:
        raise UnusableFile(f"{problem}, and no other encoding fits it. Which one was it written in? encoding=...")
    if not encodings.only_one(found):
        raise UnusableFile(
            f"{problem}. Which of these reads right? {encodings.shown(content, found)}; or another: encoding=..."
        )
    name, text = found[0]
    return Encoding(
        name, f"is not UTF-8; read as {name}, such as {encodings.example(text)!r} (encoding=... chooses another)"
    )


def undecodable(path: Path, encoding: str) -> str | None:
    """Why a file is not text in this encoding (with the byte offset), or None. Reads in pieces, whatever the size."""
    decoder = codecs.getincrementaldecoder(encoding)()
    before, pending = 0, 0
    try:
        with open_bytes(path, whole=True) as stream:
            while piece := stream.read(SAMPLE):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    return f"not {encoding} at byte {before - pending + error.start}"
                before += len(piece)
        pending = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:  # the file ends within a character
        return f"not {encoding} at byte {before - pending}"
    except (OSError, EOFError, zlib.error) as error:
        return f"not readable: {error}"
    return None
