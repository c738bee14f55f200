"""Pairs of texts that are in two splits, once in the other order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hf_ssl.data.report import DataReport
from hf_ssl.data.rows import Rows

HELD_OUT = ("validation", "test")


def tell_swapped(
    splits: dict[str, Rows], values: Callable[[Any], Iterable[tuple[Any, ...]]], report: DataReport
) -> None:
    """Warn about pairs of train and of the pool of which a held-out split has the same two texts, changed about.

    Args:
        splits: canonical rows of every split.
        values: content of canonical rows.
        report: is warned.
    """
    if not all("text_pair" in rows.dataset.column_names for rows in splits.values()):
        return
    held = {pair[::-1] for name in HELD_OUT if name in splits for pair in values(splits[name].dataset)}
    for split in ("train", "unlabeled"):
        if split not in splits:
            continue
        pairs = list(values(splits[split].dataset))
        found = [row for row, pair in enumerate(pairs) if pair in held and pair[0] != pair[1]]
        if found:
            report.warn(
                f"{len(found):,} of {len(pairs):,} pairs of {split} are in validation or test with their two texts changed about (such as id "
                f"{splits[split].ids(found[:1])[0]}), and are kept: write what belongs together into a column, and give group_column=..., or leave "
                "one of the two out of the source"
            )
            return  # the pool is the pairs of train once more
