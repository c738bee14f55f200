"""A second column of labels beside the one that is used: what somebody corrected, reviewed or decided later, or another judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import type_of, values_of
from hf_ssl.data.column_names import (
    HARMLESS,
    HOLDS_IN_THE_END,
    NOT_THE_ANSWER,
    called_as_label,
    distinct_labels,
    distinct_values,
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
    "corrigido", "corretto", "gecorrigeerd", "konsens", "mehrheit", "majorité", "mayoría", "consenso", "accord",
}  # fmt: skip
"""Words in names of columns that say what was decided after the first label."""
JUDGES = {"annotator", "rater", "coder", "judge", "reviewer", "expert", "reader", "labeler", "labeller", "observer", "examiner", "radiologist",
          "pathologist", "doctor", "physician", "worker", "crowdworker", "assessor", "evaluator", "grader", "marker", "codierer", "kodierer",
          "bewerter", "beurteiler", "gutachter", "annotateur", "codeur", "anotador", "codificador", "evaluador", "avaliador", "annotatore",
          "valutatore", "beoordelaar", "разметчик", "эксперт", "оценщик", "标注员", "标注者", "評価者"}  # fmt: skip
"""People whose column holds what each of them said."""
MOST_ROWS, HEAD, MOST_CLASSES = 20_000, 200, 200
MOST_SAID = 20


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
        elif re.fullmatch(rf"{re.escape(used)}[ _.]?\d+", name):
            filled = sum(map(bool, _texts(part.dataset, name)))
            report.warn(
                f"{part.origin}: column {name!r} is not used, is called as {used!r} is and holds a value in {filled:,} of {size:,} rows: for several "
                f"labels of a row write them into one column; ignore_columns=[{name!r}] says that {used!r} is meant"
            )
        elif other := judged_anew(part.dataset, used, name):
            report.warn(
                f"{part.origin}: column {name!r} is not used, and holds labels as {used!r} does, in {other:,} of {size:,} rows another one (such as "
                f"{_example(part.dataset, used, name)}): took {used!r}; label_column={name!r} takes it, ignore_columns=[{name!r}] says that "
                f"{used!r} is meant"
            )
        elif repeats_labels(part.dataset, used, name) and (more := _says_more(part.dataset, used, name)):
            report.warn(
                f"{part.origin}: column {name!r} is not used, and holds a label in {more:,} of {size:,} rows that have none in {used!r}: they are "
                f"read as unlabeled; label_column={name!r} takes it, ignore_columns=[{name!r}] says that {used!r} is meant"
            )


def _says_more(dataset: datasets.Dataset, label: str, name: str) -> int:
    return sum(
        bool(other) and not own for own, other in zip(_texts(dataset, label), _texts(dataset, name), strict=True)
    )


def refuse_judges(ignored: Sequence[str], part: SourcePart, report: DataReport) -> list[str]:
    """Columns of a table without a label that hold what several people said of each row: which one is the label?

    Those that are not called as people are hold the same values, and agree far more often than by chance.

    Returns:
        Columns that are told of.

    Raises:
        DataError: they are called as people who judge.
    """
    said = {name: values for name in ignored if (values := _said(name, part))}
    people = [name for name in said if _called_as_judge(name)]
    first = next(iter(people or [name for name in said if not _are_bits(said[name])]), None)
    if first is None:
        return []
    among = people if people else [name for name in said if set(said[name]) == set(said[first])]
    least = 0.2 if people else 0.4
    pairs = {
        name: [(own, other) for own, other in zip(said[first], said[name], strict=True) if own and other]
        for name in among
    }
    found = [
        name
        for name in among
        if name == first or (_agreement(pairs[name]) >= least if pairs[name] else {*said[name]} == {*said[first]})
    ]
    rows = [sorted({said[name][row] for name in found} - {""}) for row in range(len(said[first]))]
    apart = [values for values in rows if len(values) > 1]
    if len(found) < 2 or not (apart or people):
        return []
    differ = f"differ in {len(apart):,} of {len(rows):,} rows"
    differ += f" (such as {apart[0][0][:30]!r} and {apart[0][1][:30]!r})" if apart else ""
    text = (
        f"{part.origin} has no label column, but {' and '.join(map(repr, found[:6]))} hold the same labels and {differ}, as where several people "
        f"label each row: label_column={first!r} takes one of them; {_in_the_end(said, found)}; ignore_columns={found} leaves them aside"
    )
    if people:
        raise DataError(f"{text}.")
    report.warn(text)
    return found


def _in_the_end(said: Mapping[str, list[str]], found: Sequence[str]) -> str:
    """Where it stands what most of several people say, or what to do."""
    known = {value for name in found for value in said[name]}
    others = [name for name in said if name not in found and set(said[name]) <= known]
    settled = next((name for name in others if not CORRECTIONS.isdisjoint(words_of_name(name))), None)
    if settled is None:
        return "to learn what most say, write that into a column called label"
    return f"label_column={settled!r} what seems to hold in the end"


def _said(name: str, part: SourcePart) -> list[str]:
    """The values of a column of few different ones, as text; [] for any other."""
    if not HARMLESS.isdisjoint(words_of_name(name)) or not NOT_THE_ANSWER.isdisjoint(words_of_name(name)):
        return []
    few = 2 <= distinct_values(part.dataset, name) <= min(MOST_SAID, max(2, len(part.dataset) // 5))
    return _texts(part.dataset, name) if few else []


def _are_bits(values: Sequence[str]) -> bool:
    return {value.lower() for value in values} <= YES | NO | {""}


def _called_as_judge(name: str) -> bool:
    return not JUDGES.isdisjoint(re.sub(r"\d+$", "", word) for word in words_of_name(name))


def repeats_labels(dataset: datasets.Dataset, label: str, name: str) -> bool:
    """Whether a column that is called as a judge says what the labels are wherever there are any, so that it is no group."""
    if not _called_as_judge(name):
        return False
    both = [
        (own, other) for own, other in zip(_texts(dataset, label), _texts(dataset, name), strict=True) if own and other
    ]
    return all(own == other for own, other in both) and {*_texts(dataset, name)} <= {*_texts(dataset, label), ""}


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
