"""Texts that are something else than what somebody wrote: files packed into text, addresses, numbers; and texts that say their own label."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from hf_ssl.data.label_words import as_float
from hf_ssl.data.report import DataReport

LOOKED_AT = 1000
FEWEST = 10
"""Of fewer texts nothing is said."""
SHORTEST = 40
"""Characters of a text that may have been cut off."""
FIELDS = frozenset(
    (254, 255, 256, 511, 512, 1000, 1023, 1024, 1999, 2000, 3999, 4000, 4096, 8000, 32_759, 32_767, 65_535)
)
"""Characters that fit into fields of databases and cells of sheets."""
_CUT = re.compile(
    r"(?:\u2026|\.\.\.|\[\.\.\.\]|\[?\+\d+ chars\]?"
    r"|\[?\(?(?:truncated|cut off|read more|see more|show more|weiterlesen|mehr anzeigen|lire la suite)\)?\]?[.\u2026\u00bb>]*)\s*$",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
_PACKED = re.compile(r"(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"%PDF", b"PK\x03\x04", b"GIF8", b"\x1f\x8b")
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf)://\S+|www\.\S+\.\S+")
_FILE = re.compile(
    r"(?:[\w.~ -]*[\\/])*[\w. ()-]{1,80}\.(?:pdf|docx?|txt|rtf|odt|html?|xml|json|eml|msg|md|csv|jpe?g|png|tiff?|wav|mp3)"
)
_LIST = re.compile(r"[\[(]\s*(['\"]).*\1\s*,?\s*[\])]", re.DOTALL)
_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-f]{32,128}")


def _is_packed(text: str) -> bool:
    packed = re.sub(r"^data:[\w/+.;=-]+,|\s+", "", text)
    if not _PACKED.fullmatch(packed) or packed.isalpha() and (packed.isupper() or packed.islower()):
        return False
    try:
        inside = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return False
    if inside.startswith(_BEGINNINGS):
        return True
    try:
        return sum(letter.isprintable() or letter.isspace() for letter in inside.decode("utf-8")) > 0.95 * len(inside)
    except UnicodeDecodeError:
        return False


def _is_json(text: str) -> bool:
    try:
        return text[:1] in "{[" and isinstance(json.loads(text), (dict, list))
    except ValueError:
        return False


KINDS: dict[str, Callable[[str], bool]] = {
    "RTF, with the marks of a word processor": lambda text: text.startswith("{\\rtf"),
    "pages or pieces of HTML or XML, with their tags": lambda text: sum(map(len, _TAG.findall(text))) > 0.15 * len(text),
    "base64, which is a file or text packed as letters": _is_packed,
    "JSON, with its marks and names": _is_json,
    "lists of words, as Python writes them": lambda text: _LIST.fullmatch(text) is not None and ("', '" in text or '", "' in text),
    "addresses, and what lies there is not read": lambda text: _ADDRESS.fullmatch(text) is not None,
    "names of files, and the files are not opened": lambda text: _FILE.fullmatch(text) is not None,
    "numbers": lambda text: as_float(text.replace(",", ".")) is not None,
    "lists of numbers": lambda text: len(text) > 20 and re.fullmatch(r"[-+\d\s.,;\[\]()eE]+", text) is not None,
    "ids, which say nothing": lambda text: _ID.fullmatch(text) is not None,
}  # fmt: skip
"""What texts may be that nobody wrote for a reader, and how each is known."""


def tell_odd_texts(texts: Sequence[object], column: str, report: DataReport) -> None:
    """Warn about a column of which half are files packed into text, addresses, numbers or the like, and of texts that were cut off.

    Args:
        texts: of the column; what is no text is left aside.
        column: its name.
        report: is warned.
    """
    shown = [text for text in (value.strip() for value in _some(texts) if isinstance(value, str)) if text]
    if len(shown) < FEWEST:
        return
    _tell_cut_texts(texts, column, report)
    found = Counter(next((what for what, is_so in KINDS.items() if is_so(text)), "") for text in shown)
    found.pop("", None)
    for what, count in found.most_common(1):
        if count >= 0.5 * len(shown):
            report.warn(
                f"{count:,} of {len(shown):,} texts of {column!r} looked at are {what}: read as they stand. Write out what they mean to say; "
                f"another column is named with input_column=..., and input_column={column!r} says that these are meant"
            )


def _tell_cut_texts(texts: Sequence[object], column: str, report: DataReport) -> None:
    """Texts that end where a field or a preview was full: many of exactly the greatest length, or with a mark that says so."""
    every = [text for text in texts[:] if isinstance(text, str) and text.strip()]
    lengths = Counter(map(len, every))
    longest = max(lengths, default=0)
    full = [text for text in every if len(text) == longest] if longest >= SHORTEST else []
    below = sum(lengths[longest - short] for short in range(1, 21)) / 20
    wide = not all(map(str.isascii, every))
    by_bytes = [len(text.encode("utf-8", "replace")) for text in every] if wide else [0] * len(every)
    most = max(by_bytes, default=0)
    near = [
        text for text, size in zip(every, by_bytes, strict=True) if size > most - 4
    ]  # a cut within a letter takes it away
    under = sum(most - 24 < size <= most - 4 for size in by_bytes) / 5
    some = [text for text in _some(every) if isinstance(text, str) and len(text) >= SHORTEST]
    marked = [text for text in some if _CUT.search(text[-40:])]
    cut = len(full) >= max(5, 0.02 * len(every), 5 * below) and _end_within_words(full, every)
    by_size = not cut and wide and most >= SHORTEST and len(near) >= max(5, 0.05 * len(every), 5 * under)
    told = {
        f"have exactly {longest:,} characters, and none has more": full if cut else [],
        f"have {most - 3:,} to {most:,} bytes, and none has more": near
        if by_size and _end_within_words(near, every)
        else [],
        "looked at end as previews do": marked if len(marked) >= max(5, 0.2 * len(some)) else [],
    }
    for what, found in told.items():
        if found:
            report.warn(
                f"{len(found):,} texts of {column!r} {what}, such as one that ends in {found[0][-20:]!r}: were they cut off? Read as they stand. "
                f"Export them whole from where they are from; input_column={column!r} says that these are meant"
            )


def _end_within_words(texts: Sequence[str], every: Sequence[str]) -> bool:
    """Whether many end in what is no word of any text but the beginning of one, or at a length that fields of databases and sheets have."""
    if len(set(texts)) < 5 or float(np.mean([len(text.split()) > len(text) / 15 for text in texts])) < 0.8:
        return False
    if len(texts[0]) in FIELDS:
        return True
    words = {word for text in every[: 20 * LOOKED_AT] for word in text.split()[:-1]}
    begun = {word[:end] for word in words for end in range(1, min(len(word), 30))} - words
    return float(np.mean([text.split()[-1] in begun and not text[-1].isspace() for text in texts])) >= 0.25


def tell_own_labels(texts: Sequence[object], labels: Sequence[object], column: str, report: DataReport) -> None:
    """Warn about texts that begin or end with their own label (`POS: ...`, `[spam] ...`, `... #urgent`), where a model reads it.

    Args:
        texts, labels: of rows, in the same order; None where there is no label.
        column: of the texts.
        report: is warned.
    """
    pairs = [
        (text, label)
        for text, label in zip(_some(texts), _some(labels), strict=True)
        if isinstance(text, str) and isinstance(label, str) and label.strip()
    ]
    if len(pairs) < FEWEST or len({label for _, label in pairs}) < 2:
        return
    own = [(text, label) for text, label in pairs if _says(text, label)]
    if len(own) >= 0.8 * len(pairs):
        report.warn(
            f"{len(own):,} of {len(pairs):,} texts of {column!r} looked at begin or end with their own label, such as {own[0][1]!r}: "
            "a model learns to read it there, and texts to come do not have it. Take it off the texts"
        )


def _says(text: str, label: str) -> bool:
    word = re.escape(label.strip())
    ahead = rf"\W*(?:__label__|label\s*[:=]\s*|class\s*[:=]\s*)?{word}\s*[\]\)>}}:|=\-–—#*/]"
    behind = rf"(?:__label__|[#\[(<{{|:=\-–—]\s*){word}\W*$"
    marked = rf"__label__{word}\b"
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in (rf"\A{ahead}", behind, marked))


def _some(values: Sequence[object]) -> list[object]:
    places = np.unique(np.linspace(0, max(0, len(values) - 1), min(len(values), LOOKED_AT)).astype(int))
    return [values[int(place)] for place in places]
