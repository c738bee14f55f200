"""Splitting labeled rows by class and by group, and choosing few labels per class."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, HfSslWarning
from hf_ssl.data.label_kinds import KINDS
from hf_ssl.data.label_words import as_float
from hf_ssl.data.report import DataReport
from hf_ssl.data.spread import one_of_each


def split_rows(
    labels: Sequence[Any],
    kind: str,
    groups: Sequence[str] | None,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    report: DataReport,
) -> dict[str, list[int]]:
    """Split labeled rows into `train`, `validation` and `test`; a fraction of 0 makes no such split.

    Classes are spread evenly (several labels: by the rarest one of the row; amounts: by quintile), a group is never on
    two sides, and the same seed gives the same split.

    Args:
        labels: label names (amounts for regression) of every row.
        kind: kind of label.
        groups: group of every row, or None.
        validation_fraction: part of all rows, in [0, 1).
        test_fraction: part of all rows, in [0, 1).
        seed: seed of the split.
        report: told about every fallback.

    Returns:
        Sorted row numbers of every split that was asked for.

    Raises:
        DataError: too few rows or groups to split off what was asked for.
    """
    strata = KINDS[kind].strata(labels)
    if KINDS[kind].whole:  # what is verified are identities that were never heard; whole ones hold whole recordings
        groups = list(labels)
    rest, splits = np.arange(len(labels)), {}
    left = 1.0
    for split, fraction, later in (
        ("test", test_fraction, int(validation_fraction > 0)),
        ("validation", validation_fraction, 0),
    ):
        if fraction:
            try:
                rest, held = _hold_out(rest, strata, groups, fraction / left, seed, split, later, report)
            except DataError as error:
                if kind != "class" or any(as_float(str(label)) is None for label in labels):
                    raise
                raise DataError(f"{error} If the labels are amounts: label_kind='regression'.") from error
            splits[split] = held.tolist()
            left -= fraction
    return {"train": rest.tolist(), **splits}


def check_labels(kind: str, labels: dict[str, Sequence[Any]], report: DataReport) -> None:
    """Every class must be learnable: two classes at least, and none that only validation or test has.

    Args:
        kind: kind of label.
        labels: split → label names.
        report: unseen tags or multi-label names are only warned about, because rare ones are common there.

    Raises:
        DataError: one class only, or a class that `train` has no example of.
    """
    of = KINDS[kind]
    if of.holds is None or "train" not in labels:
        return
    names = {split: set(of.names_in(rows)) for split, rows in labels.items()}
    known = names["train"]
    if of.needs_two and of.holds == "name" and len(known) < 2:
        raise DataError(
            f"All {len(labels['train']):,} labeled rows have the same class ({', '.join(known)}); two are needed. "
            + _repeated(report)
            + _taken_for_missing(report)
            + "To pre-train on them, put them in a folder named unlabeled."
        )
    if of.needs_two and len(known) < 2:
        raise DataError(
            f"All words of train have the same tag ({', '.join(known)}); two are needed. Which column holds the tags? tags_column=..., or "
            "conll_columns=... in CoNLL files."
        )
    for split in ("validation", "test"):
        unseen = sorted(names.get(split, set()) - known)
        if unseen and of.unseen != "meant":
            shown = ", ".join(unseen[:5]) + (f" and {len(unseen) - 5} more" if len(unseen) > 5 else "")
            text = f"{split} has {len(unseen)} labels that train has no example of: {shown}"
            if of.unseen == "error":
                if len(known) == 1:
                    raise DataError(
                        f"{text}. All of train is {next(iter(known))!r}, as in data made for finding what is odd; a classifier has to see "
                        f"examples of both. Move some to train, or give the folder or file of {split} alone as data: it is split anew."
                    )
                raise DataError(f"{text}. Move some to train, remove those rows, or check how the classes are spelt.")
            report.warn(text)
        missing = sorted(known - names[split]) if split in names and of.problem_type else []
        if missing:
            _tell_missing(split, missing, names, report)


def _tell_missing(split: str, missing: list[str], names: Mapping[str, set[str]], report: DataReport) -> None:
    """Nothing that is measured on a split tells of a class that it has no row of.

    Args:
        names: classes of every split.
    """
    shown = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    text = f"{split} has no row of {len(missing)} of {len(names['train'])} classes ({shown}): no figure on it tells how well they are found"
    ways = report.facts.get("split_off", {})
    if split not in ways:
        report.warn(
            f"{text}. Add rows of them, or give data without {split}: it is split off then, {split}_fraction says how much"
        )
        return
    unit = "group" if ways[split] == "in whole groups" else "row"
    smaller = " group_column=... may name smaller groups." if unit == "group" else ""
    other = "test" if split == "validation" else "validation"
    has_it = other in ways and set(missing) <= names.get(other, set())
    fewer = f" {other}_fraction=0 leaves those of {other} to the rest," if has_it else ""
    report.warn(
        f"{text}. It was split off {ways[split]}, and a class needs a {unit} of its own for each part: label more {unit}s of it, or give "
        f"{split}=...;{fewer} {split}_fraction=0 does without {split}.{smaller}"
    )


def _repeated(report: DataReport) -> str:
    """What else may be wrong where rows were removed before."""
    gone = report.facts.get("duplicates", {}).get("train", {})
    if not gone.get("removed"):
        return ""
    return f"({gone['rows']:,} rows that repeat another were removed, {gone['conflicts']:,} of them with another label; dedup=False keeps them.) "


def _taken_for_missing(report: DataReport) -> str:
    """Labels that may be the other class."""
    gone = report.facts.get("words_for_no_label", 0)
    return (
        f"({gone:,} labels were taken for missing ones, such as nan: na_values=['empty'] takes them for a class.) "
        if gone
        else ""
    )


def few_label_subset(
    dataset: datasets.Dataset, per_class: int, seed: int = 0, *, column: str = "label", incomplete: str = "raise"
) -> list[int]:
    """Rows of a balanced subset with `per_class` examples of every class.

    Subsets of one seed are nested (4 ⊂ 16 ⊂ 64), and the smaller one is the beginning of the larger. Which rows are
    chosen depends on their ids and the seed only, not on the order of the rows or on other rows being there. Groups
    play no role.

    Args:
        dataset: labeled rows, `column` being a `ClassLabel`.
        per_class: examples of every class, at least 1.
        seed: seed of the draw.
        column: column of the class.
        incomplete: what to do about classes with fewer rows: `"raise"`, or `"keep"` what there is and warn.

    Returns:
        Row numbers: one of every class, then a second of every class, and so on.

    Raises:
        DataError: the labels are no classes, or a class has too few rows.
    """
    if incomplete not in {"raise", "keep"}:
        raise DataError(f"incomplete={incomplete!r} must be 'raise' or 'keep'.")
    if per_class < 1:
        raise DataError(f"per_class must be at least 1, got {per_class}.")
    feature = dataset.features.get(column)
    if not isinstance(feature, datasets.ClassLabel):
        raise DataError(f"Labels per class need a column {column!r} of classes; here it is {feature}.")
    ids = list(dataset["id"]) if "id" in dataset.column_names else [str(row) for row in range(len(dataset))]
    by_class: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(dataset[column]):
        if label is not None:
            by_class[label].append(row)
    short = {
        name: len(by_class[number]) for number, name in enumerate(feature.names) if len(by_class[number]) < per_class
    }
    if short:
        shown = ", ".join(f"{name} ({count})" for name, count in list(short.items())[:10])
        text = f"{len(short)} classes have fewer than {per_class} examples: {shown}"
        if incomplete == "raise":
            raise DataError(f"{text}. Ask for at most {min(short.values())}, the size of the smallest class.")
        warnings.warn(HfSslWarning(text), stacklevel=2)
    drawn = [
        sorted(by_class[number], key=lambda row: _draw(seed, ids[row]))[:per_class]
        for number in range(len(feature.names))
    ]
    return [rows[place] for place in range(per_class) for rows in drawn if place < len(rows)]


def labeled_subset(dataset: datasets.Dataset, budget: int, seed: int = 0) -> list[int]:
    """Rows of a labeling budget: so many of every class, or, where labels are no classes, so many in all.

    Several labels, amounts and tags leave nothing to balance by, so the rows are drawn at random. Subsets of one seed
    are nested, and depend on ids and seed only, as those of `few_label_subset`.

    Args:
        dataset: labeled rows.
        budget: examples of every class, or examples.
        seed: seed of the draw.

    Raises:
        DataError: there are not enough rows.
    """
    if isinstance(dataset.features.get("label"), datasets.ClassLabel):
        return few_label_subset(dataset, budget, seed)
    if not 1 <= budget <= len(dataset):
        raise DataError(f"{budget} labeled examples were asked for; there are {len(dataset):,}. Ask for fewer.")
    ids = list(dataset["id"]) if "id" in dataset.column_names else [str(row) for row in range(len(dataset))]
    return sorted(range(len(dataset)), key=lambda row: _draw(seed, ids[row]))[:budget]


def _draw(seed: int, row_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{row_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _hold_out(
    rows: np.ndarray,
    strata: np.ndarray,
    groups: Sequence[str] | None,
    fraction: float,
    seed: int,
    split: str,
    later: int,
    report: DataReport,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stay, and those of the split. `later`: how many parts are split off afterwards, and need their examples, too."""
    if groups is not None:
        names = np.array([groups[row] for row in rows], dtype=object)
        kept, held = _hold_out_groups(strata[rows], names, fraction, seed, split, later, report)
    else:
        kept, held = _hold_out_rows(strata[rows], fraction, seed, split, later, report)
    return np.sort(rows[kept]), np.sort(rows[held])


def _hold_out_rows(
    strata: np.ndarray, fraction: float, seed: int, split: str, later: int, report: DataReport
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import StratifiedShuffleSplit

    _, strata, counts = np.unique(strata, return_inverse=True, return_counts=True)
    single = counts[strata] == 1
    movable = np.flatnonzero(~single)
    classes = int((counts > 1).sum())
    size = max(1, round(fraction * len(strata)))
    if size < classes:
        report.decide(f"{split}: {classes} rows instead of {size}, one for every class")
        size = classes
    if classes == 0 or len(movable) - size < classes:
        raise DataError(
            f"{len(strata)} labeled rows of {len(counts)} classes are too few to split off {split}. "
            f"Give {split}=..., set {split}_fraction=0, or label more."
        )
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    kept, held = next(splitter.split(np.zeros((len(movable), 1)), strata[movable]))
    kept, held = np.concatenate([movable[kept], np.flatnonzero(single)]), movable[held]
    # Proportions round down to none for a rare class: one of its rows is taken, where one is left for each later part, too.
    rare = [name for name in np.flatnonzero(counts >= later + 2) if not (strata[held] == name).any()]
    more = np.array([kept[strata[kept] == name][0] for name in rare], dtype=np.int64)
    return kept[~np.isin(kept, more)], np.concatenate([held, more])


def _hold_out_groups(
    strata: np.ndarray, groups: np.ndarray, fraction: float, seed: int, split: str, later: int, report: DataReport
) -> tuple[np.ndarray, np.ndarray]:
    """Of several ways to split whole groups, the one that loses no class from either side and is closest in size."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    names, groups = np.unique(groups.astype(str), return_inverse=True)
    count = len(names)
    if count < 2:
        raise DataError(
            f"{split} cannot be split off: all {len(groups)} rows left are of one group. "
            f"{_repeated(report)}Give {split}=..., or set validation_fraction=0 and test_fraction=0; if another column says which rows belong "
            "together: group_column=..."
        )
    folds = min(max(2, round(1 / fraction)), count)
    nothing = np.zeros((len(groups), 1))
    shuffled = GroupShuffleSplit(n_splits=8, test_size=max(1, round(fraction * count)), random_state=seed)
    ways = list(shuffled.split(nothing, groups=groups))
    if np.bincount(strata).max() >= folds and count <= 20_000:  # its cost grows with groups x folds, in Python
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")
            stratified = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
            ways += [way for way in stratified.split(nothing, strata, groups) if len(way[0]) and len(way[1])]
    classes, strata = np.unique(strata, return_inverse=True)
    pairs = np.unique(np.stack([groups, strata]), axis=1)
    enough = np.bincount(pairs[1], minlength=len(classes)) >= later + 2

    def lost(way: tuple[np.ndarray, np.ndarray]) -> tuple[int, int, int, int]:
        kept, held = (len(np.unique(strata[rows])) for rows in way)
        stay = pairs[:, np.isin(pairs[0], groups[way[0]])]
        left = np.bincount(stay[1], minlength=len(classes))
        own = np.flatnonzero(np.bincount(stay[0], left[stay[1]] == 1, minlength=count) == 0)  # has no class alone
        stuck = later and not (len(np.unique(stay[0])) > 1 and np.isin(own, stay[0]).any())
        return len(classes) - kept, int(stuck), len(classes) - held, int((enough & (left <= later)).sum())

    def off(way: tuple[np.ndarray, np.ndarray]) -> float:
        return abs(len(way[1]) - fraction * len(groups))

    best = min(ways, key=lambda way: (*lost(way), off(way)))
    if any(lost(best)):
        built = one_of_each(strata, groups, fraction, seed, later)
        if built is not None and lost(built) < lost(best):
            size = round(fraction * len(groups))
            report.decide(
                f"{split}: {len(built[1]):,} rows instead of {size:,}, so that it has a group of every class that can be spared"
            )
            return built
    return best
