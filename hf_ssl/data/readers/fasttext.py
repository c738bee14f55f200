"""Files of fastText: `__label__good __label__cheap the text`, a row a line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from hf_ssl.core.textfiles import UnusableFile, encoding_of_file, open_bytes, read_text
from hf_ssl.data.readers.shape import Table

MARK = "__label__"


def is_fasttext(path: Path) -> bool:
    """Whether a file begins with a label of fastText."""
    try:
        with open_bytes(path, whole=True) as stream:
            return stream.read(len(MARK) + 3).removeprefix(b"\xef\xbb\xbf").startswith(MARK.encode())
    except OSError:
        return False


def read_fasttext(path: Path, encoding: str) -> Table:
    """Columns `text` and `label`: a list of labels where any line has several; None where a line has none.

    Raises:
        UnusableFile: it is no text in this encoding, or holds no rows.
    """
    found = encoding_of_file(path, encoding)
    texts: list[str] = []
    labels: list[list[str]] = []
    for line in read_text(path, found.name).replace("\r\n", "\n").split("\n"):
        own, rest = [], line.strip()
        while rest.startswith(MARK):
            label, _, rest = rest.partition(" ")
            own.append(label.removeprefix(MARK))
            rest = rest.lstrip()
        if own or rest:
            texts.append(rest)
            labels.append(own)
    if not texts:
        raise UnusableFile("no rows")
    several = any(len(own) > 1 for own in labels)
    column = (
        pa.array([own or None for own in labels], pa.list_(pa.string()))
        if several
        else pa.array([own[0] if own else None for own in labels], pa.string())
    )
    made = Table(pa.table({"text": pa.array(texts, pa.string()), "label": column}), rows=len(texts))
    made.notes.append("lines begin with __label__, as those of fastText do: read as labels and texts")
    if found.note:
        made.notes.append(found.note)
    if missing := sum(not own for own in labels):
        made.notes.append(
            f"{missing:,} of {len(labels):,} lines do not begin with __label__, as the others do: they have no label"
        )
    return made
