"""Values that a program spoiled before the file was written: lost letters, letters read as two, marks of spreadsheets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from hf_ssl.data.report import DataReport

_GARBLED = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]+"
)
"""A letter of UTF-8 that was read as Windows-1252 or Latin-1."""


def meant(text: str) -> str:
    """`grÃ¶ÃŸe` → `größe`: what a text was before its UTF-8 was read as Windows-1252; other texts as they are."""

    def letters(found: re.Match[str]) -> str:
        for encoding in ("cp1252", "latin-1"):
            try:
                return found[0].encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
        return found[0]

    return _GARBLED.sub(letters, text)


def _around(text: str) -> str:
    """The word with the first letters that were read as two."""
    return next((word for word in text.split() if meant(word) != word), text[:40])


_CODE = re.compile(r"_x[0-9A-Fa-f]{4}_")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-f]{2}|\\[nrt](?![a-z])")
_BREAK = re.compile(r"\\[nrt](?!(?:u|eq|o|ot|au|op|ho)(?![a-z])|abla|heta|imes|ext|frac|ight|angle|ewline|oindent)")
_ENTITY = re.compile(r"&(?:lt|gt|quot|apos|#\d{2,5});")
_PERCENT = re.compile(r"%[0-9A-F]{2}\S*%[0-9A-F]{2}|\w%20\w")
_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_ASKING = re.compile(r"[\s\d.,;:!()'\"?-]+")
_LEFT = re.compile(r"[^\";]+\";+\"?")
_SIGNS = re.compile(r"_x|\\[uxnrt]|\?\?|;\"|\";|&\w+;|&#|%\d")
"""What all but the first letter of such values hold."""
MARKS: dict[str, tuple[Callable[[str], object], float]] = {
    "begin with = and stand in quotes, as a spreadsheet keeps text": (
        lambda text: text[:2] == '="' and text[-1:] == '"',
        0.01,
    ),
    "begin with an apostrophe, as a spreadsheet keeps text": (
        lambda text: text[0] == "'" and text.count("'") == 1,
        0.5,
    ),
    "hold _x000D_ or the like, which stands for a line break in .xlsx": (lambda text: _CODE.search(text), 0.01),
    "hold letters and line breaks written as \\u00e4, \\n or the like": (lambda text: _escaped(text), 0.2),
    "hold letters written as HTML does, &lt; or the like": (lambda text: _ENTITY.search(text), 0.2),
    "hold letters written as addresses of pages do, %20 or the like": (lambda text: _PERCENT.search(text), 0.5),
    "are written as Python writes bytes": (lambda text: text[0] == "b" and _BYTES.fullmatch(text), 0.5),
    "are question marks, which stand for letters that an encoding lacks": (
        lambda text: "??" in text and _ASKING.fullmatch(text),
        0.2,
    ),
    "end in a quote and a separator, as where a table was quoted twice": (lambda text: _LEFT.fullmatch(text), 0.5),
}
"""What is said of values, how they are known, and the share from which it is."""


def _escaped(text: str) -> re.Match[str] | None:
    """A letter or line break that is written out; not what stands in formulas and paths, which hold other letters behind backslashes, too."""
    found = _ESCAPE.search(text)
    if found or "\\" not in text or re.search(r"\\[^nrt\"'\\/]|\b[A-Za-z]:\\", text):
        return found
    return _BREAK.search(text)


def tell_spoiled(values: Iterable[object], column: str, report: DataReport) -> None:
    """Warn about values with lost letters, letters that were read as two, and marks of spreadsheets and programs, which are read as they stand.

    Args:
        values: of a column, texts or lists of texts; others are left aside.
        column: its name.
        report: is warned.
    """
    total, lost, garbled = 0, list[str](), list[str]()
    marked: dict[str, list[str]] = {}
    for value in values:
        total += 1
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                continue
            if not text.isascii():
                if "\ufffd" in text:
                    lost.append(text)
                elif meant(text) != text:
                    garbled.append(text)
            bare = text.strip()
            if bare and (bare[0] in "='b" or _SIGNS.search(bare)):
                for what, (is_so, _) in MARKS.items():
                    if found := is_so(bare):
                        start = max(0, found.start() - 15) if isinstance(found, re.Match) else 0
                        marked.setdefault(what, []).append(bare[start : start + 40])
    if lost and len(lost) >= 0.01 * total:
        place = lost[0].index("\ufffd")
        report.warn(
            f"{len(lost):,} of {total:,} values of {column!r} hold U+FFFD, what is left of a letter that was lost, such as "
            f"{lost[0][max(0, place - 15) : place + 15]!r}. Unless another warning says that it was put there now, the file was read in a wrong "
            "encoding before it was written: export it anew from its source"
        )
    if garbled and len(garbled) >= 0.01 * total:
        report.warn(
            f"{len(garbled):,} of {total:,} values of {column!r} hold letters that were read as two, such as {_around(garbled[0])!r} for "
            f"{meant(_around(garbled[0]))!r}: UTF-8 was read in another encoding before the file was written. Export it anew from its source"
        )
    for what, texts in marked.items():
        if len(texts) >= MARKS[what][1] * total:
            report.warn(
                f"{len(texts):,} of {total:,} values of {column!r} {what}, such as {texts[0]!r}: read as they stand. Export the table anew, "
                "or take the marks off in the file"
            )
