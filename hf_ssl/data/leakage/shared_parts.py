"""Sentences that a few texts of train and of a held-out split share: quoted mails, windows that overlap, chapters of one document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hf_ssl.data.report import DataReport
from hf_ssl.data.rows import Rows, selected

MOST_ROWS, MOST_HELD = 20_000, 5_000
"""Rows of train and of a held-out split that are looked at."""
LEAST_WORDS, COMMON = 7, 3
"""Words of a sentence that says where it is from, and rows of train up to which it may stand in: in more of them it is a phrase of all."""
FEWEST, SHARE = 5, 0.1
_ENDS = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")


def tell_shared_parts(
    splits: Mapping[str, Rows],
    known: Mapping[tuple[str, str], Mapping[str, Collection[int]]],
    values: Callable[[Any], Iterable[tuple[Any, ...]]],
    report: DataReport,
) -> None:
    """Warn where held-out texts have a whole sentence in common with a few of train, and are no copies.

    Args:
        splits: canonical rows of every split.
        known: copies of train that were found, by split and held-out split.
        values: content of canonical rows.
        report: is warned.
    """
    if "train" not in splits:
        return
    gone = {row for (name, _), hits in known.items() if name == "train" for rows in hits.values() for row in rows}
    where: dict[str, list[int]] = {}
    for row, parts in enumerate(_sentences(splits["train"], MOST_ROWS, values)):
        for part in parts if row not in gone else ():
            where.setdefault(part, []).append(row)
    rare = {part: rows[0] for part, rows in where.items() if len(rows) <= COMMON}
    for name in ("test", "validation"):
        if name not in splits or not rare:
            continue
        each = list(_sentences(splits[name], MOST_HELD, values))
        counts = Counter(part for parts in each for part in parts)
        shared = [
            (row, next(part for part in parts if part in rare and counts[part] <= COMMON))
            for row, parts in enumerate(each)
            if any(part in rare and counts[part] <= COMMON for part in parts)
        ]
        if len(shared) >= max(FEWEST, SHARE * len(each)):
            row, part = shared[0]
            (own,), (theirs,) = splits[name].ids([row]), splits["train"].ids([rare[part]])
            report.warn(
                f"{len(shared):,} of {len(each):,} texts of {name} share a sentence with a few of train, such as {part[:50]!r} (ids {own} and "
                f"{theirs}), as replies that quote a mail or pieces of one document do: kept. If such belong together, name a column that says so: "
                "group_column=...; near_duplicates=False does not look for it"
            )
            return  # the other held-out split is cut from the same texts


def _sentences(rows: Rows, most: int, values: Callable[[Any], Iterable[tuple[Any, ...]]]) -> Iterable[set[str]]:
    """Long sentences of each text, without marks of quotes and in small letters."""
    dataset = selected(rows.dataset, range(min(most, len(rows))))
    for value in values(dataset):
        texts = [part for part in value if isinstance(part, str)]
        parts = (part.lstrip("> ").strip().lower() for text in texts for part in _ENDS.split(text))
        yield {part for part in parts if part.count(" ") >= LEAST_WORDS - 1}
