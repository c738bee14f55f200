"""A second column of labels beside the one that is used: what somebody corrected, reviewed or decided later, or another judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import (
    HARMLESS,
    HOLDS_IN_THE_END,
    NOT_THE_ANSWER,
    called_as_label,
    distinct_labels,
    words_of_name,
)
from hf_ssl.data.label_words import NO, YES
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

CORRECTIONS = HOLDS_IN_THE_END | {
    "correct", "correction", "corrections", "reviewed", "review", "revised", "revision", "adjudicated", "adjudication", "consensus", "checked",
    "verified", "validated", "manual", "fixed", "truth", "golden", "majority", "agreed", "confirmed", "cleaned", "relabeled", "relabelled",
    "amended", "updated", "korrigiert", "korrektur", "geprüft", "endgültig", "überprüft", "corrigé", "corrigée", "vérifié", "corregido", "revisado",
    "corrigido", "corretto", "gecorrigeerd",
}  # fmt: skip
"""Words in names of columns that say what was decided after the first label."""
JUDGES = {"annotator", "rater", "coder", "judge", "reviewer", "expert", "reader", "labeler", "labeller", "observer", "examiner", "radiologist",
          "pathologist", "doctor", "physician"}  # fmt: skip
"""People whose column holds what each of them said."""
MOST_ROWS, HEAD, MOST_CLASSES = 20_000, 200, 200


def tell_second_labels(ignored: list[str], used: str, part: SourcePart, report: DataReport) -> None:
    """Columns beside the label that are called as labels are or hold its values, and say something else: which was meant?"""
    size = len(part.dataset)
    for name in ignored:
        beside = (HARMLESS - {"id", "index", "type"}).isdisjoint(words_of_name(name))
        count = distinct_labels(part.dataset, name) if called_as_label(name) and beside else 0
        if 2 <= count <= max(2, min(200, size // 2)):
            head = part.dataset.select_columns(list(dict.fromkeys([used, name])))[:MOST_ROWS]
            pairs = zip(head[used], head[name], strict=True)
            ways = {(str(own), str(other)) for own, other in pairs if own is not None is not other}
            if not len(ways) == len({own for own, _ in ways}) == len({other for _, other in ways}):
                report.warn(
                    f"{part.origin}: column {name!r} is not used, and is called as labels are ({count} values): took {used!r}; "
                    f"label_column={name!r} takes it, ignore_columns=[{name!r}] says that {used!r} is meant"
                )
        elif other := judged_anew(part.dataset, used, name):
            report.warn(
                f"{part.origin}: column {name!r} is not used, and holds labels as {used!r} does, in {other:,} of {size:,} rows another one (such as "
                f"{_example(part.dataset, used, name)}): took {used!r}; label_column={name!r} takes it, ignore_columns=[{name!r}] says that "
                f"{used!r} is meant"
            )


def judged_anew(dataset: datasets.Dataset, label: str, name: str) -> int:
    """Rows in which a column says another label than the one of labels; 0: it holds something else, or the same.

    Its values are those of the labels, and agree with them far more often than by chance; where they are yes and no, the column is
    called as a correction or a judge, too.
    """
    kinds = [type_of(dataset, column) for column in (label, name)]
    words = {re.sub(r"\d+$", "", word) for word in words_of_name(name)}
    if not all(isinstance(kind, (datasets.Value, datasets.ClassLabel)) for kind in kinds):
        return 0
    corrected, judge = not CORRECTIONS.isdisjoint(words), not JUDGES.isdisjoint(words)
    if not (corrected or judge or NOT_THE_ANSWER.isdisjoint(words)):
        return 0
    labels = _texts(dataset, label)
    if not corrected and not set(_texts(dataset, name, HEAD)) <= {*labels, ""}:
        return 0
    both = [(own, other) for own, other in zip(labels, _texts(dataset, name), strict=True) if own and other]
    known, found = {own for own, _ in both}, {other for _, other in both}
    other_ones = sum(own != other for own, other in both)
    if len(known) < 2 or not other_ones:
        return 0
    bits = {own.lower() for own in known} <= YES | NO
    if corrected and not bits and found <= known:
        return other_ones
    alike = found <= known and len(found) > 1 and len(known) <= MOST_CLASSES and (judge or not bits)
    return other_ones if (corrected or alike) and _agreement(both) >= (0.2 if judge else 0.4) else 0


def _agreement(pairs: Sequence[tuple[str, str]]) -> float:
    """Cohen's kappa: how much more often than by chance two columns say the same; 1 is always."""
    first, second = Counter(own for own, _ in pairs), Counter(other for _, other in pairs)
    same = sum(own == other for own, other in pairs) / len(pairs)
    chance = sum(count * second[value] for value, count in first.items()) / len(pairs) ** 2
    return (same - chance) / (1 - chance) if chance < 1 else 0.0


def _texts(dataset: datasets.Dataset, column: str, most: int = MOST_ROWS) -> list[str]:
    """The values of a column as text, "" where there is none."""
    return ["" if value is None else str(value).strip() for value in values_of(dataset, column, most)]


def _example(dataset: datasets.Dataset, label: str, name: str) -> str:
    pairs: Sequence[tuple[str, str]] = list(zip(_texts(dataset, label), _texts(dataset, name), strict=True))
    own, other = next((own, other) for own, other in pairs if own and other and own != other)
    return f"{own[:30]!r} and {other[:30]!r}"
