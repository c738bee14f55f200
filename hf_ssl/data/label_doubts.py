"""Labels that are labels by their column, and perhaps something else: marks for "not measured", a word and its confidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hf_ssl.core.errors import DataError
from hf_ssl.data.label_words import as_float
from hf_ssl.data.missing_words import perhaps_missing
from hf_ssl.data.readers.files import folders_above
from hf_ssl.data.report import DataReport

MARKS = frozenset(
    (-9.0, -99.0, -999.0, -9999.0, -99999.0, -99.9, -999.9, -999.99, 77.0, 88.0, 98.0, 99.0, 777.0, 888.0, 998.0, 999.0,
     9999.0, 99999.0, 999999.0, 999.9, 999.99, 99.9, 99.99)
)  # fmt: skip
"""What questionnaires and instruments write for an answer or a measurement that is not there."""
BOUND = re.compile(r"\s*(?:[<>≤≥~≈]=?|[LG]T)\s*[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?\s*")
"""An amount that is known to be beyond a bound only: `>10000`."""
_SCORED = re.compile(r"[\s(:|;,=_\[/-]*\d*[.,]\d+\s*%?\s*[)\]]*$|[\s(:|;,=_\[/-]+\d{1,3}\s*%\s*[)\]]*$")
_SCORE_FIRST = re.compile(r"^[(\[]*\d*[.,]\d+\s*%?[)\]]*[\s):|;,=_/-]+(?=[^\W\d])")
MANY = 50
FEW = 10
_NUMBER = r"(?:\d+(?:[.,'\u2019\u00a0\u202f ]\d{3})*(?:[.,]\d+)?|[.,]\d+)"
_AMOUNT = re.compile(
    rf"(?P<bound>[<>≤≥~≈]=?\s*)?\(?(?P<number>[-+\u2212]?\s*(?P<front>[$€£¥₹]|[A-Z]{{3}}\s)?\s*[-+\u2212]?{_NUMBER})"
    r"(?P<unit>\s*/\s*\d+|\s*[^\s\d.,:;|()&+-][^\d.,:;|()&+]{0,11}\d?)?(?:\)|-)?"
)
"""`3.5 kg`, `$3.5`, `3,5 %`, `4.5/5`, `<1.2`."""

_UNIT = re.compile(
    r"\s+\S.*|\s*/\s*\d+|\s*(?:[%‰$€£¥₹°]\w?|[kmµn]?[gmlsVAWJN]|[ckm]?m[²³23]?|min|h|[kMG]?Hz|dB|hPa|bar|ppm|px|USD|EUR|GBP|kWh|[KMGT]B)"
)
"""A unit that no name ends in: `10 mg`, `10%`; `1a` and `2a` may be classes of a school."""


def refuse_amounts(labels: Sequence[Any], report: DataReport) -> None:
    """Amounts as people write them (`3,5`, `3.5 EUR`, `<1.2`) are no classes unless somebody says so.

    Few different ones with a unit (`2.5 mg`, `5 mg`) may be names: that is told.

    Raises:
        DataError: what to say, for amounts and for classes.
    """
    texts = [label.strip() for label in labels if isinstance(label, str)]
    texts = [text for text in texts if not perhaps_missing(text)]
    different = sorted(set(texts))
    found = [_AMOUNT.fullmatch(text) for text in different]
    read = [match for match in found if match is not None]
    if not read or len(read) < len(different) or not all(isinstance(label, str) for label in labels):
        return
    if len({((match["front"] or "").strip(), (match["unit"] or "").strip()) for match in read}) > 1:
        return
    broken = next((match[0] for match in read if re.search(r"[.,]\d", match["number"])), None)
    many = len(different) > MANY and len(different) > 0.3 * len(texts)
    marked = [text for text in texts if as_float(text) is None]
    unit = read[0]["unit"] or read[0]["front"]
    measured = bool(unit) and len(different) > 2 and (unit == read[0]["front"] or _UNIT.fullmatch(unit) is not None)
    if not marked or broken is None and not many and not measured:
        return
    example = next((text for text in different if text in marked and re.search(r"[.,]\d", text)), marked[0])
    bounds = [text for text in marked if BOUND.fullmatch(text)]
    amounts = "label_kind='regression' takes them for amounts, label_kind='class' for classes"
    if re.fullmatch(r"\d+,\d+", example):
        amounts += ", and label_kind='multilabel' with label_separator=',' for several labels in one row"
    if len(bounds) == len(marked):
        amounts += f". {what_to_do(texts, marked).removesuffix('.')}"
    text = f"{len(different):,} different labels in {len(texts):,} rows are written as amounts, such as {example!r}"
    if unit and len(different) <= FEW:
        report.warn(f"{text}, and are taken for classes: {amounts}")
        return
    raise DataError(f"{text}: {amounts}.")


def without_unit(labels: Sequence[str | None]) -> tuple[list[str | None], str]:
    """Amounts without the unit that all of them have (`3.5 kg`, `4.5/5`), and the unit; as they are where there is none."""
    found = [None if label is None else _AMOUNT.fullmatch(label.strip()) for label in labels]
    units = {(match["unit"] or "").strip() for match in found if match is not None}
    unit = units.pop() if len(units) == 1 else ""
    if not unit or any(label is not None and match is None for label, match in zip(labels, found, strict=True)):
        return list(labels), ""
    loss = re.compile(r"\(.*\)|.*-")
    return [
        None if match is None else (match["bound"] or "") + "-" * bool(loss.fullmatch(match[0])) + match["number"]
        for match in found
    ], unit


def tell_marks(labels: Iterable[Any], kind: str, given: Sequence[str], column: str, report: DataReport) -> None:
    """Warn about a number such as -999 or 99 that lies farther from all others than they from each other.

    Args:
        labels: named labels: amounts, or classes that are whole numbers.
        kind: kind of label.
        given: the user's `na_values`, who has said then what is missing.
        column: column of the labels.
        report: is warned.
    """
    if given or kind not in ("regression", "class"):
        return
    counts: Counter[float] = Counter()
    for label in labels:
        value = None if label is None else as_float(label) if isinstance(label, str) else float(label)
        if value is None and label is not None:
            return  # classes that are words
        if value is not None:
            counts[value] += 1
    rest, found = dict(counts), []
    while len(rest) > 2:
        low, high = min(rest), max(rest)
        for edge in (low, high):
            others = [value for value in rest if value != edge]
            width = max(others) - min(others)
            if edge in MARKS and min(abs(edge - value) for value in (min(others), max(others))) > width:
                found.append(edge)
                rest.pop(edge)
                break
        else:
            break
    if not found:
        return
    shown = " and ".join(f"{counts[value]:,} are {value:g}" for value in found)
    words = [f"{value:g}" for value in found]
    report.warn(
        f"of {sum(counts.values()):,} labels in {column!r} {shown}, far from the others ({min(rest):g} to {max(rest):g}), and are taken for "
        f"{'amounts' if kind == 'regression' else 'classes'}: na_values={words} leaves them out, na_values=['nan'] says that they are meant"
    )


def tell_scores(labels: Sequence[Any], given: str | None, column: str, report: DataReport) -> None:
    """`positive (0.87)` is a class and how sure somebody was of it, and no class of its own.

    Raises:
        DataError: nearly all labels are so, and nobody has said `label_kind='class'`.
    """
    present = [label for label in labels if isinstance(label, str)]
    plain = [_SCORE_FIRST.sub("", _SCORED.sub("", label.strip())) for label in present]
    scored = [label for label, word in zip(present, plain, strict=True) if word and word != label.strip()]
    words, every = set(plain), set(present)
    if len(scored) < 0.5 * len(present) or len(words) < 2 or len(every) < max(8, 4 * len(words)):
        return
    if any(as_float(word) is not None or not re.search(r"[^\W\d_]", word) for word in words):
        return
    text = (
        f"labels in {column!r} such as {scored[0]!r} seem to be a word and a number: {len(every):,} different ones, but "
        f"{len(words):,} words ({', '.join(sorted(words)[:4])})"
    )
    if given is not None:
        report.warn(f"{text}; each is a class of its own, as label_kind={given!r} says")
        return
    raise DataError(
        f"{text[0].upper()}{text[1:]}. Write the word into a column of its own (label_column=... names it); if each is a class all the same: "
        "label_kind='class'."
    )


def tell_many_classes(
    labels: Sequence[Any], given: str | None, column: str, modality: str, report: DataReport
) -> None:
    """Classes that nearly every row has another of are ids or texts; of recordings, what is spoken.

    Args:
        given: the user's `label_kind`.

    Raises:
        DataError: they are sentences beside recordings, and nobody has said that each is a class.
    """
    present = [label for label in labels if isinstance(label, str)]
    different = set(present)
    if modality == "audio" and given is None and len(different) > max(2, 0.3 * len(present)):
        if sum(len(label.split()) > 2 for label in different) > 0.5 * len(different):
            raise DataError(
                f"{len(different):,} different labels in {len(present):,} rows, such as {min(different)[:40]!r}: is column {column!r} what is "
                "spoken? Then label_kind='transcript'; if each is a class: label_kind='class'."
            )
    if len(different) > MANY and len(different) > 0.3 * len(present):
        report.warn(
            f"{len(different):,} different labels in {len(present):,} rows, such as {min(different)[:40]!r}: if column {column!r} "
            "holds ids or texts, "
            "another is the label: label_column=..."
        )


_NOT_SAID = re.compile(
    r"[\[(<{*].{1,30}[\])>}*]|[-.?_*\s…]+|x{2,}|(?:inaudible|unintelligible|silence|no speech|noise|music|laughter|unclear|unverständlich)\W*",
    re.IGNORECASE,
)


def tell_no_speech(labels: Sequence[Any], given: Sequence[str], column: str, report: DataReport) -> None:
    """Warn about transcripts that say that nothing is said, or nothing that anybody heard: `[inaudible]`, `(noise)`, `...`.

    Args:
        labels: transcripts, None where there is none.
        given: the user's `na_values`.
        column: of the transcripts.
        report: is warned.
    """
    said = [label for label in labels if isinstance(label, str)]
    found = Counter(label for label in said if _NOT_SAID.fullmatch(label) and label not in given)
    if found:
        words = [word for word, _ in found.most_common(12)]
        report.warn(
            f"{sum(found.values()):,} of {len(said):,} transcripts in {column!r} say that nothing was heard, such as {words[0]!r}: taken for what is "
            f"spoken; na_values={[*given, *words]} leaves them out"
        )


def what_to_do(labels: Sequence[Any], words: Sequence[str]) -> str:
    """Advice about labels that should be amounts and are not.

    Args:
        labels: raw labels.
        words: those of them that are no numbers.
    """
    different = list(dict.fromkeys(words))
    bounds = [word for word in different if BOUND.fullmatch(word)]
    if different and len(bounds) == len(different):
        return (
            f"{len(words):,} of {len(labels):,} say no more than that the amount is beyond a bound. To leave their labels out: na_values={bounds}; "
            "to take "
            "the bound for the amount, write it into the column without its mark."
        )
    if len(words) <= 0.1 * len(labels):
        shown = f"{different}" if len(different) <= 12 else f"[{different[0]!r}, ...]"
        return f"If {'it means' if len(different) == 1 else 'they mean'} a missing value: na_values={shown}."
    return "label_kind='regression' needs numbers; label_kind='class' takes words."


def tell_other_folders(labels: Sequence[Any], paths: Sequence[str | None], column: str, report: DataReport) -> None:
    """Files in folders that are called as classes, and a table that says another class for some of them: one of the two is wrong.

    Args:
        labels: what the table says of every file.
        paths: names of the files, below the source's folder.
        column: of the labels.
        report: is warned.
    """
    said = [None if label is None else str(label).strip().lower() for label in labels]
    known = set(said) - {None}
    above = [{name.lower() for name in folders_above(path or "")} & known for path in paths]
    other = [
        row
        for row, (label, folders) in enumerate(zip(said, above, strict=True))
        if label and folders and label not in folders
    ]
    same = sum(label in folders for label, folders in zip(said, above, strict=True))
    if other and same >= 2 * len(other):
        report.warn(
            f"{len(other):,} of {same + len(other):,} files lie in a folder that is called as another class than column {column!r} says, such as "
            f"{paths[other[0]]} ({labels[other[0]]!r}): the column counts, label_column={column!r} says that this is meant; without the table the "
            "folders count"
        )


_DOUBT = re.compile(r"\s*(?:\?+|\*+|\(\?\))$")
MOST_CLASSES = 200
"""Labels that are compared with each other."""


def tell_typos(labels: Sequence[Any], report: DataReport) -> None:
    """Warn about a rare label that is a common one but for a letter more or less within it (`postive`), or for a mark of doubt (`good?`)."""
    counts = Counter(label for label in labels if isinstance(label, str))
    if len(counts) > MOST_CLASSES:
        return
    doubted = [
        name for name in counts if (bare := _DOUBT.sub("", name)) != name and counts[name] <= 0.8 * counts[bare]
    ]
    if doubted:
        report.warn(
            f"labels with a mark of doubt are classes of their own, such as {doubted[0]!r} ({counts[doubted[0]]:,}) beside "
            f"{_DOUBT.sub('', doubted[0])!r}: na_values={doubted} leaves them out; to count them with the others, take the mark off in the source"
        )
    found = [
        (rare, name)
        for rare, count in counts.items()
        for name, usual in counts.items()
        if count <= 0.34 * usual
        and abs(len(rare) - len(name)) == 1
        and min(len(rare), len(name)) >= 6
        and _one_letter(rare, name)
    ]
    if found:
        shown = ", ".join(
            f"{rare!r} ({counts[rare]:,}) beside {name!r} ({counts[name]:,})" for rare, name in found[:3]
        )
        report.warn(
            f"labels that differ in one letter are different classes: {shown}. If one is a slip, mend it in the source"
        )


def _one_letter(one: str, other: str) -> bool:
    """Whether the longer is the shorter with a letter put in after the first two; not at the end, where plurals differ."""
    short, long = sorted((one, other), key=len)
    return long.isalpha() and any(long[:place] + long[place + 1 :] == short for place in range(2, len(long) - 1))
