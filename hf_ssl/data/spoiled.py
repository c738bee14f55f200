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


LOOKED_AT = 2000
"""Values whose letters are looked at one by one."""
_CODE = re.compile(r"_x[0-9A-Fa-f]{4}_")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-f]{2}|\\[nrt](?![a-z])")
_BREAK = re.compile(r"\\[nrt](?!(?:u|eq|o|ot|au|op|ho)(?![a-z])|abla|heta|imes|ext|frac|ight|angle|ewline|oindent)")
_ENTITY = re.compile(r"&(?:lt|gt|quot|apos|#\d{2,5}|#[xX][0-9a-fA-F]{2,5});")
_PERCENT = re.compile(r"%[0-9A-F]{2}\S*%[0-9A-F]{2}|\w%20\w")
_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_ASKING = re.compile(r"[\s\d.,;:!()'\"?-]+")
_LEFT = re.compile(r"[^\";]+\";+\"?")
_QUOTED_PRINTABLE = re.compile(r"(?<=[A-Za-z])(?:=[89A-F][0-9A-F])+(?=[a-z])|=C3=[89AB][0-9A-F]|=\?[\w-]+\?[qQbB]\?")
_LOST_INSIDE = re.compile(r"(?<![/=&?\w])[^\W\d_]+\?[^\W\d_]{2,}(?![=&/])")
_SPACED = re.compile(r"(?:[^\W\d_] ){5,}[^\W\d_]\b")
_SIGNS = re.compile(r"[_\\;&%=?\"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]| \w \w \w ")
"""What all but the first letter of such values hold; cheap, for most values hold none of it."""
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
    "hold question marks within words, which stand for letters that an encoding lacks": (
        lambda text: _LOST_INSIDE.search(text),
        0.2,
    ),
    "hold control characters where quotes, dashes or letters of Windows were (U+0080 to U+009F)": (
        lambda text: re.search("[\x80-\x84\x86-\x9f]", text),
        0.01,
    ),
    "hold codes of terminals, such as colors": (lambda text: re.search(r"\x1b\[[\d;]*[A-Za-z]", text), 0.01),
    "hold characters that nothing shows (U+0000 or the like)": (
        lambda text: re.search("[\x00-\x08\x0e-\x1a]", text),
        0.01,
    ),
    "are written as mails are, quoted-printable (=C3=BC, =?utf-8?Q?...)": (
        lambda text: _QUOTED_PRINTABLE.search(text),
        0.1,
    ),
    "have a blank behind every letter": (lambda text: _SPACED.search(text), 0.1),
    "end in a quote and a separator, as where a table was quoted twice": (lambda text: _LEFT.fullmatch(text), 0.5),
}
"""What is said of values, how they are known, and the share from which it is."""


def _escaped(text: str) -> re.Match[str] | None:
    """A letter or line break that is written out; not what stands in formulas and paths, which hold other letters behind backslashes, too."""
    found = _ESCAPE.search(text)
    if found or "\\" not in text or re.search(r"\\[^nrt\"'\\/]|\b[A-Za-z]:\\", text):
        return found
    return _BREAK.search(text)


def other_letters(text: str) -> str:
    """What a text was before it was read in a neighbor of its encoding: Cyrillic as Western letters, KOI8 as Windows', Turkish as Icelandic.

    Returns:
        "": it does not look so.
    """
    letters = [letter for letter in text if letter.isalpha()]
    western = sum("\u00c0" <= letter <= "\u00ff" for letter in letters)
    if len(letters) >= 8 and western > 0.7 * len(letters):
        made = _again(text, "cp1252", "cp1251") or _again(text, "latin-1", "cp1251")
        return made if _in_small_letters(made) else _again(text, "latin-1", "koi8-r")
    cyrillic = sum("\u0400" <= letter <= "\u04ff" for letter in letters)
    if (
        len(letters) >= 8
        and cyrillic > 0.7 * len(letters)
        and not _in_small_letters(text)
        and re.search(r"\b[а-я][А-Я]{2}", text)
    ):
        made = _again(text, "cp1251", "koi8-r")
        return made if _in_small_letters(made) else ""
    if _WITHIN.search(text) and not _WITHIN.search(made := _again(text, "mac_roman", "cp1252")):
        return made
    if re.search("[ýþðÝÞÐ]", text) and not re.search("[áæíúóÁÆÍÚÓşğı]", text):
        return _again(text, "latin-1", "cp1254")
    return ""


_WITHIN = re.compile("[a-z][\u00c0-\u00de](?![\u00c0-\u00deA-Z])")
"""Capital letters with accents behind small ones, as Windows' text has them that a Macintosh read."""


def _again(text: str, read: str, written: str) -> str:
    try:
        return text.encode(read).decode(written)
    except UnicodeError:
        return ""


def _in_small_letters(text: str) -> bool:
    cased = [letter.islower() for letter in text if letter.isalpha()]
    return bool(cased) and sum(cased) > 0.6 * len(cased)


def tell_spoiled(values: Iterable[object], column: str, report: DataReport) -> None:
    """Warn about values with lost letters, letters that were read as two, and marks of spreadsheets and programs, which are read as they stand.

    Args:
        values: of a column, texts or lists of texts; others are left aside.
        column: its name.
        report: is warned.
    """
    total, lost, garbled, others = 0, list[str](), list[str](), list[str]()
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
                elif total <= LOOKED_AT and other_letters(text):
                    others.append(text)
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
    if others and len(others) >= 0.3 * min(total, LOOKED_AT):
        report.warn(
            f"{len(others):,} of the first {min(total, LOOKED_AT):,} values of {column!r} seem to have been read in a wrong encoding before the file "
            f"was written, such as {others[0][:30]!r} for {other_letters(others[0])[:30]!r}: read as they stand. Export it anew from its source"
        )
    for what, texts in marked.items():
        if len(texts) >= MARKS[what][1] * total:
            report.warn(
                f"{len(texts):,} of {total:,} values of {column!r} {what}, such as {texts[0]!r}: read as they stand. Export the table anew, "
                "or take the marks off in the file"
            )
