"""Types of spans that differ in case or separators only (`B-Drug` and `I-DRUG`): one type, or two?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from hf_ssl.core.errors import DataError
from hf_ssl.data.report import DataReport

_PREFIX = re.compile(r"(?:[BIESLUMW]|begin|inside|end|last|single|unit)[-_/:|.]", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<=\w)[-_. :/]+(?=\w)|(?<=[a-z])(?=[A-Z])")
_SEVERAL = re.compile(r"[BIESLUMW]-[^|+,;/\s]+[|+,;/][BIESLUMW]-\S+")
LEAST_LETTERS = 3


def one_type(
    rows: Sequence[Sequence[list[str] | None]], fold: bool | None, report: DataReport
) -> list[list[list[str] | None]]:
    """Tags of every part, with one spelling of each type where the user says so.

    Args:
        rows: tags of every sentence of every part.
        fold: the user's `fold_labels`; None: types that differ in case or separators only are an error.
        report: told what was taken for one.

    Raises:
        DataError: there are such, and nobody has said what they are.
    """
    parts = [list(part) for part in rows]
    joined = Counter(tag for part in parts for row in part for tag in row or () if _SEVERAL.fullmatch(tag))
    if joined:
        report.warn(
            f"{sum(joined.values()):,} words have two tags in one, such as {joined.most_common(1)[0][0]!r}: each is read as a tag of its own. Write "
            "one tag for each word, or a column of tags for each kind"
        )
    if fold is False:
        return parts
    counts = Counter(_cut(tag)[1] for part in parts for row in part for tag in row or ())
    spans = any(_cut(tag)[0] for part in parts for row in part for tag in row or ())
    alike: dict[str, list[str]] = {}
    for name in counts:
        plain = _BETWEEN.sub("", name).casefold()
        if sum(letter.isalpha() for letter in plain) >= (2 if spans else LEAST_LETTERS):
            alike.setdefault(plain, []).append(name)
    several = [sorted(names, key=lambda name: -counts[name]) for names in alike.values() if len(names) > 1]
    if not several:
        return parts
    shown = "; ".join(" and ".join(f"{name!r} ({counts[name]:,} words)" for name in names) for names in several[:4])
    if fold is None:
        raise DataError(
            f"Types of tags differ in case or separators only: {shown}. fold_labels=True takes them for one each (spelled as most are), "
            "fold_labels=False for different types."
        )
    report.warn(f"types of tags taken for one, because fold_labels=True: {shown}")
    chosen = {name: names[0] for names in several for name in names}

    def one(tag: str) -> str:
        prefix, name = _cut(tag)
        return prefix + chosen.get(name, name)

    return [[None if row is None else [one(tag) for tag in row] for row in part] for part in parts]


def _cut(tag: str) -> tuple[str, str]:
    """`B-`, `PER` of `B-PER`; nothing and the tag of others."""
    found = _PREFIX.match(tag)
    return (found[0], tag[found.end() :]) if found else ("", tag)
