"""A column that says the split of every row (`split`, `is_test`): followed, because not to see it would mix test with train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import datasets

from hf_ssl.data.column_names import named, plain_name
from hf_ssl.data.columns import selected
from hf_ssl.data.readers.files import split_named
from hf_ssl.data.readers.folders import ReadOptions, SourcePart

NAMES = (
    "split",
    "splits",
    "subset",
    "set",
    "partition",
    "data_split",
    "dataset_split",
    "split_name",
    "usage",
    "phase",
    "tvt",
)
FLAGS = {
    "is_test": "test", "is_valid": "validation", "is_validation": "validation", "is_val": "validation", "is_dev": "validation",
    "is_train": "train", "is_training": "train", "istest": "test", "isvalid": "validation", "istrain": "train",
}  # fmt: skip
FOLDS = ("fold", "folds", "kfold", "cv_fold", "fold_id")


def by_split_column(
    parts: list[SourcePart], ignored: Sequence[str], used: set[str | None], how: ReadOptions
) -> list[SourcePart]:
    """Parts whose rows say their split become a part per split; other parts stay.

    Args:
        parts: what was read.
        ignored: the user's `ignore_columns`: those are not followed.
        used: columns that are used for something else.
        how: words that say a split, and the report.
    """
    made = []
    for part in parts:
        own = [name for name in part.dataset.column_names if name not in ignored and name not in used]
        found = _splits_of(part, own, how) if part.split is None else None
        if found is None:
            _tell_folds(part, own, how)
            made.append(part)
            continue
        name, splits = found
        counts = {split: splits.count(split) for split in dict.fromkeys(splits)}
        shown = ", ".join(f"{count:,} {split}" for split, count in counts.items())
        how.report.decide(
            f"{part.origin}: column {name!r} says the split of every row ({shown}); ignore_columns=[{name!r}] does not follow it"
        )
        for split in counts:
            rows = [row for row, own_split in enumerate(splits) if own_split == split]
            made.append(replace(part, split=split, dataset=selected(part.dataset, rows)))
    return made


def _splits_of(part: SourcePart, there: list[str], how: ReadOptions) -> tuple[str, list[str]] | None:
    for alias in NAMES:
        name = named(alias, there)
        if name is None or not isinstance(part.dataset.features[name], (datasets.Value, datasets.ClassLabel)):
            continue
        values = _texts(part.dataset, name)
        words = {value: split_named(value, how.words) for value in set(values)}
        if len(set(words.values())) > 1 and None not in words.values():
            return name, [str(words[value]) for value in values]
    flags: dict[str, tuple[str, list[bool]]] = {}
    for name in there:
        split = FLAGS.get(plain_name(name))
        values = [value.lower() for value in _texts(part.dataset, name)] if split else []
        if split and set(values) in ({"0", "1"}, {"true", "false"}, {"0.0", "1.0"}):
            flags[split] = name, [value in ("1", "true", "1.0") for value in values]
    if not flags:
        return None
    other = "test" if set(flags) == {"train"} else "train"
    splits = [
        next((split for split, (_, marks) in flags.items() if marks[row]), other) for row in range(len(part.dataset))
    ]
    return next(iter(flags.values()))[0], splits


def _texts(dataset: datasets.Dataset, name: str) -> list[str]:
    feature: Any = dataset.features[name]
    if isinstance(feature, datasets.ClassLabel):
        return [feature.names[value] if value is not None and value >= 0 else "" for value in dataset[name]]
    return ["" if value is None else str(value).strip() for value in dataset[name]]


def _tell_folds(part: SourcePart, there: list[str], how: ReadOptions) -> None:
    for alias in FOLDS:
        if (name := named(alias, there)) is None or part.split is not None:
            continue
        values = set(_texts(part.dataset, name))
        if 2 <= len(values) <= 20 and all(value.isdigit() for value in values):
            how.report.warn(
                f"{part.origin}: column {name!r} numbers {len(values)} folds and is not followed: rows are split "
                f"anew. group_column={name!r} keeps folds "
                f"whole, ignore_columns=[{name!r}] says that this is meant"
            )
