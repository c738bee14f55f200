"""Several labels in one text (`red, green`, `cat and dog`): what stands between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

_SIGNS = (";", ",", "/", "+", "&", "\n", "\t", "、", "，", "；", "•", "·", "#")
_WORDS = tuple(
    f"{mark}{word}{mark}" for word in "and und et y e og och en i ja ve и".split() for mark in (" ", "_", "-")
)
"""Words between two labels, which stand in names of one (`food and drink`), too."""
_OF_LISTS = frozenset(";,\t\n、，；")
"""Marks that names of one label seldom have: most parts occur twice, that is enough."""
_LISTED = ("|", ";", ",", "/", "、", "；", "，", "&", "+", "\n", " and ", " und ", " et ")
LONGEST, MOST_NAMES, MOST_WORDS, FEWEST_ROWS = 40, 200, 50, 10


_ENCLOSED = tuple(
    re.compile(rf"(?:\s*{begin}[^{begin}{end}]+{end}\s*)+")
    for begin, end in (("\\{", "\\}"), ("\\[", "\\]"), ("<", ">"), ("\\(", "\\)"))
)


def enclosed(texts: Iterable[str]) -> bool:
    """Whether all labels stand in brackets of one kind, several of them in some texts: `{red}{green}`, `[red] [green]`."""
    every = list(texts)
    pattern = next((one for one in _ENCLOSED if every and one.fullmatch(every[0])), None)
    if pattern is None or not all(map(pattern.fullmatch, every)):
        return False
    return any(len(in_brackets(text)) > 1 for text in every)


def in_brackets(text: str) -> list[str]:
    """The labels of a text in which each stands in brackets."""
    return [part.strip() for part in re.findall(r"[{\[<(]([^{}\[\]<>()]+)[}\]>)]", text)]


def other_separator(texts: Iterable[str], mark: str) -> str:
    """What to tell of a second mark that separates labels where the first does not; "": there is none."""
    pieces = {piece.strip() for text in texts for piece in text.split(mark)}
    other = separator_of(pieces)
    if other is None:
        return ""
    example = next(piece for piece in sorted(pieces) if other in piece)
    return f"; labels such as {example!r} hold others with {other!r}: write {mark!r} for it in the file, or each such is a label of its own"


def separator_of(texts: set[str]) -> str | None:
    """What separates several labels in one text: every part of those that hold it occurs in another label too.

    One text alone, and any with blanks or words (`very good` is a name), has to be made of labels that stand alone, too.
    """
    for mark in (*_SIGNS, *_WORDS, " "):
        several = [[part.strip() for part in text.split(mark)] for text in texts if mark in text.strip()]
        alone = {text.strip() for text in texts if mark not in text.strip()}
        if len(several) < 2 or mark not in _SIGNS:
            if several and all(set(parts) <= alone for parts in several):
                return mark
            if mark == " " or len(several) < (2 if alone else 3):
                continue
        counts = Counter(part for parts in several for part in set(parts))
        counts.update(alone)
        known = [bool(part) and counts[part] > 1 for parts in several for part in parts]
        standing = all(not alone.isdisjoint(parts) for parts in several)
        listed = sum(known) >= 0.7 * len(known) and (
            mark in _OF_LISTS or (mark in "+&" or mark in _WORDS) and standing
        )
        if (all(known) or listed) and len(counts) <= len(texts):
            return mark
    return None


def separator_in(values: Sequence[str], blanks: bool) -> str | None:
    """What separates short names in a column of lists of them, the same names again and again (`red, green`, `blue, red, old`).

    Args:
        values: of the column.
        blanks: they may be separated by nothing else, too.
    """
    for mark in (*_LISTED, " ") if blanks else _LISTED:
        rows = [[part.strip() for part in value.split(mark) if part.strip()] for value in values]
        if sum(len(row) > 1 for row in rows) < max(FEWEST_ROWS, 0.3 * len(rows)):
            continue
        counts = Counter(part for row in rows for part in row)
        again = sum(count for count in counts.values() if count > 1)
        if mark == " " and len(counts) > MOST_WORDS:
            continue
        short = all(len(part) <= LONGEST and len(part.split()) < 5 for part in counts)
        number = all(part.replace(".", "").isdigit() for part in counts) and mark not in "|;"
        if (
            short
            and not number
            and 2 <= len(counts) <= min(MOST_NAMES, len(rows) // 2)
            and again >= 0.9 * counts.total()
        ):
            return mark
    return None
