"""Tables in one folder that are called as versions of one another, or by a letter each: read together, which is told."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import datasets

from hf_ssl.data.readers.files import stem
from hf_ssl.data.report import DataReport

_VERSION = re.compile(
    r"old|new|final|latest|newest|last|copy|backup|bak|draft|original|orig|raw|clean|cleaned|corrected|fixed|updated|update|revised|version|v\d+"
    r"|alt|neu|kopie|sicherung|endgültig|bereinigt|korrigiert|ancien|nouveau|copie|corrigé|viejo|nuevo|copia|corregido|antigo|novo|vecchio|nuovo"
    r"|oud|nieuw|старый|новый|копия|旧|新|副本|コピー|最終"
)
MOST_FILES, MOST_ROWS = 50, 20_000


def tell_versions(tables: Sequence[tuple[Path, datasets.Dataset]], report: DataReport) -> None:
    """Warn about tables of one split of which some may stand for the others (`data1`, `data_final`, `old`), or be another split (`a`, `b`).

    Args:
        tables: files that are read together, and what they hold.
        report: is warned.
    """
    if not 2 <= len(tables) <= MOST_FILES:
        return
    named = [(file, stem(file).lower(), dataset) for file, dataset in tables]
    if all(re.fullmatch("[a-z]", name) for _, name, _ in named) and len({file.parent for file, _, _ in named}) == 1:
        shown = [name for _, name, _ in named]
        splits = [f"{name}={split}" for name, split in zip(shown, ("train", "test", "unlabeled"), strict=False)]
        report.warn(
            f"{len(shown)} tables are called by a letter ({', '.join(shown[:5])}), which says nothing of a split: their rows are read as of one "
            f"table; split_names={splits} says what each is"
        )
        return
    alike: dict[tuple[Path, str], list[tuple[Path, bool, datasets.Dataset]]] = defaultdict(list)
    for file, name, dataset in named:
        words = [word for word in re.split(r"[\W_]+", re.sub(r"(?<=[^\W\d])(?=\d)(?<!\bv)(?<!_v)", " ", name)) if word]
        rest = [word for word in words if not _VERSION.fullmatch(word) and not word.isdigit()]
        version = any(map(_VERSION.fullmatch, words)) or re.search(r" \(\d{1,2}\)$", name) is not None
        alike[file.parent, " ".join(rest)].append((file, version, dataset))
    for found in alike.values():
        if len(found) > 1 and any(version for _, version, _ in found):
            first, last = found[0], found[-1]
            shared, of = _in_both(first[2], last[2])
            report.warn(
                f"{len(found)} tables are called as versions of one ({', '.join(file.name for file, _, _ in found[:4])}), and all are read: "
                f"{shared:,} of {of:,} rows of {last[0].name} are in {first[0].name}, too. If one is meant, give its name instead of its folder's"
            )


def _in_both(one: datasets.Dataset, other: datasets.Dataset) -> tuple[int, int]:
    """Rows of the second table whose values the first has, too, and how many were looked at."""
    columns = [name for name in other.column_names if name in one.column_names]
    rows = [
        list(zip(*(map(str, table[:MOST_ROWS][name]) for name in columns), strict=True)) if columns else []
        for table in (one, other)
    ]
    known = set(rows[0])
    return sum(row in known for row in rows[1]), len(rows[1])
