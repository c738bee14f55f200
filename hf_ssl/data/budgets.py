"""Numbers of labels to compare with: so many of every class, a share of all labels, or all of them."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence

import datasets
import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.data.splits import labeled_subset

logger = logging.getLogger(__name__)

USUAL = (4, 16, 64)
ALL = "all"
Budget = int | str


def budgets_of(train: datasets.Dataset, asked: Sequence[Budget] | None) -> list[Budget]:
    """The numbers of labels to compare with.

    Args:
        train: labeled rows.
        asked: as the user wrote them (`4`, `"16"`, `"10%"`, `"all"`); None: 4, 16 and 64, as far as there are labels.

    Raises:
        DataError: one asks for more labels than there are; the message has the most that can be asked for.
    """
    most = largest(train)
    if asked is None:
        found: list[Budget] = [budget for budget in USUAL if budget <= most]
        if len(found) < len(USUAL) and (not found or most > int(found[-1])):
            found.append(most)
            logger.info(f"  {_unit(train)}: {', '.join(map(str, found))}; {most} is what there is. --labels_per_class")
        return found
    chosen = [budget if (budget := str(one)) == ALL or budget.endswith("%") else int(float(budget)) for one in asked]
    for one in chosen:
        if isinstance(one, int) and one > most:
            fitting = ",".join(str(other) for other in chosen if not isinstance(other, int) or other <= most)
            raise DataError(
                f"{one} {_unit(train)} were asked for; there are {_smallest(train)}. "
                f"Ask for at most {most}: --labels_per_class {','.join(filter(None, [fitting, str(most)]))}"
            )
    return list(dict.fromkeys(chosen))


def budget_rows(train: datasets.Dataset, budget: Budget, seed: int) -> list[int]:
    """Rows of a labeling budget; those of one seed are nested, the smaller one is in the larger."""
    if budget == ALL:
        return list(range(len(train)))
    if isinstance(budget, int):
        return labeled_subset(train, budget, seed)
    share = share_of(budget)
    if not _has_classes(train):
        return labeled_subset(train, max(1, math.ceil(share * len(train))), seed)
    rows: list[int] = []
    labels = np.asarray(train["label"])
    for number in np.unique(labels):
        of_class = np.flatnonzero(labels == number)
        part = train.select(of_class).remove_columns("label")  # no classes any more: so many in all
        rows += of_class[labeled_subset(part, max(1, math.ceil(share * len(of_class))), seed)].tolist()
    return rows


def share_of(budget: str) -> float:
    """Part of all labels that `"10%"` or `"all"` is."""
    return 1.0 if budget == ALL else float(budget.removesuffix("%")) / 100


def budget_size(train: datasets.Dataset, budget: Budget) -> float:
    """Labels that a budget has: of a class on average where labels are classes, else in all."""
    if isinstance(budget, int):
        return float(budget)
    return share_of(budget) * len(train) / (len(_counts(train)) if _has_classes(train) else 1)


def labels_in(train: datasets.Dataset, budget: Budget) -> int:
    """Labels of a budget in all."""
    return round(budget_size(train, budget) * (len(_counts(train)) if _has_classes(train) else 1))


def largest(train: datasets.Dataset) -> int:
    """Most labels of every class that can be asked for; examples where labels are no classes."""
    return min(_counts(train).values()) if _has_classes(train) else len(train)


def _has_classes(train: datasets.Dataset) -> bool:
    return isinstance(train.features.get("label"), datasets.ClassLabel)


def _counts(train: datasets.Dataset) -> Counter[int]:
    counts = Counter({number: 0 for number in range(train.features["label"].num_classes)})
    counts.update(label for label in train["label"] if label is not None)
    return counts


def _unit(train: datasets.Dataset) -> str:
    return "labels per class" if _has_classes(train) else "labeled examples"


def _smallest(train: datasets.Dataset) -> str:
    if not _has_classes(train):
        return f"{len(train):,}"
    counts = _counts(train)
    number = min(counts, key=lambda one: counts[one])
    return f"{counts[number]} of the smallest class, {train.features['label'].names[number]!r}"
