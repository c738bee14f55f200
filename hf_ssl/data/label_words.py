"""What people write into label columns: words for "missing", one class in two spellings, one column per label."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from typing import Any

from hf_ssl.core.errors import DataError
from hf_ssl.core.letters import LOOK_ALIKE
from hf_ssl.data.missing_words import perhaps_missing
from hf_ssl.data.report import DataReport
from hf_ssl.data.two_writings import SAME_AS, refuse_two_writings

NA_SURELY = frozenset({"nan", "NaN", "NAN", "<NA>", "#N/A", "#NA", "NaT", "-nan", "-NaN", "1.#QNAN", "#N/A N/A", "\\N",
                       "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})  # fmt: skip
"""What programs write for a value that is not there, and nobody means as a word."""
TO_COME = frozenset({"todo", "tbd", "to do", "tba", "unlabeled", "unlabelled", "not labeled", "not labelled", "no label", "unknown", "unk",
                     "unannotated", "not annotated", "pending", "to be labeled", "to be determined", "undefined", "not yet"})  # fmt: skip
"""What people write where a label is still to come, or nobody knows it, in lower case."""

YES, NO, UNSAID = (
    frozenset({"1", "1.0", "true", "yes", "y", "x"}),
    frozenset({"0", "0.0", "false", "no", "n"}),
    frozenset({"", "-1", "-1.0"}),
)
"""What columns of one label each hold."""
EMPTY = "empty"
"""What an empty field is called in `na_values`."""


def without_na_words(labels: list[Any], column: str, given: Sequence[str], report: DataReport) -> list[Any]:
    """Labels with None where the text says that there is none.

    Args:
        labels: raw labels.
        column: their column, for the report.
        given: the user's `na_values`; every other word is then a label.
        report: warned about what was taken for missing.
    """
    words = frozenset(given) if given else NA_SURELY
    numbers = {number for word in words if (number := as_float(word)) is not None}

    def absent(label: Any) -> bool:
        if isinstance(label, str):
            return label.strip() in words or bool(numbers) and as_float(label) in numbers
        if isinstance(label, list) and not label:
            return "[]" in words
        return isinstance(label, (int, float)) and not isinstance(label, bool) and label in numbers

    gone = Counter(str(label) if isinstance(label, list) else label for label in labels if absent(label))
    if not gone:
        return labels
    said = f"of the labels of {column!r} {counted(dict(gone.most_common()))}"
    if given:
        report.decide(f"{said}: no label, as na_values says")
    else:
        report.warn(f"{said}: taken for no label; na_values=[...] says which words mean that")
        report.facts["words_for_no_label"] = report.facts.get("words_for_no_label", 0) + gone.total()
    return [None if absent(label) else label for label in labels]


def counted(words: dict[Any, int]) -> str:
    """`3 are 'NA' and 2 are '-'`."""
    return " and ".join(f"{count:,} are {word!r}" for word, count in list(words.items())[:6])


DITTO = frozenset(
    ("\"", "''", "\u2033", "\u3003", "\u201c", "\u201d", "\u201e", "-\"-", "- \" -", "ditto", "dito", "dto.", "idem", "do.", "same as above",
     "as above", "see above", "s.o.", "siehe oben", "\u2191", "^", "\u540c\u4e0a")
)  # fmt: skip
"""What people write under a label that holds again."""
_TOO_NARROW = re.compile(r"#{3,}")


def tell_na_words(labels: Iterable[Any], kind: str, given: Sequence[str], report: DataReport) -> None:
    """Warn about labels such as `NA` and `todo` that are kept as a class; those of `na_values` are gone already."""
    if kind in ("mask", "transcript", "tags", "regression"):
        return
    every = Counter(label for label in labels if isinstance(label, str))
    perhaps = {label: count for label, count in every.most_common() if perhaps_missing(label)}
    later = {
        label: count
        for label, count in every.most_common()
        if " ".join(label.lower().replace("_", " ").split()) in TO_COME
    }
    above = {
        label: count
        for label, count in every.most_common()
        if label.strip().lower() in DITTO or _TOO_NARROW.fullmatch(label)
    }
    numbers = {as_float(label) for label in every}
    if (
        kind == "class"
        and -1.0 in numbers
        and numbers == {float(number) for number in range(-1, len(numbers) - 1)}
        and len(numbers) > 2
    ):
        # Libraries write it where there is no label; feelings are counted from it, too.
        perhaps |= {label: count for label, count in every.items() if as_float(label) == -1}
    for found, what in (
        (perhaps, "taken for a class"),
        (later, "taken for a class like the others, as words for a label to come"),
        (above, "taken for a class, although they stand for a label above, or for one that a cell had no room for"),
    ):
        if found and len(found) < len(every):
            several = "classes" if len(found) > 1 else "a class"
            report.warn(
                f"of {sum(every.values()):,} labels {counted(found)}: {what.replace('a class', several, 1)}; na_values={[*given, *found]} says that "
                "they are missing"
            )


def shares(values: Sequence[Any]) -> bool:
    """Whether nearly all of a column's values are numbers, several of them no 0 and no 1."""
    numbers = [as_float(str(value)) for value in values if value not in (None, "")]
    found = {number for number in numbers if number is not None}
    return (
        bool(numbers)
        and len(found - {0.0, 1.0, -1.0}) > 1
        and sum(number is None for number in numbers) < 0.1 * len(numbers)
    )


_ALIKE = LOOK_ALIKE | str.maketrans(
    "\u2019\u2018\u00b4`\u2013\u2014\u2011\u2212\u0131",
    4 * "'" + 4 * "-" + "i",
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f",
)
"""Letters and marks that look as Latin ones do (Turkish has i without a dot); marks that nobody sees, of emoji too."""


def one_spelling(rows: list[list[Any]], kind: str, fold: bool | None, report: DataReport) -> list[list[Any]]:
    """Labels that differ in case, blanks, hyphens, marks around them or the spelling of a number only: one class or several?

    Args:
        rows: named labels of every part (lists of names for several labels).
        kind: kind of label.
        fold: the user's `fold_labels`; None: such labels are an error.

    Raises:
        DataError: there are such labels, and nobody has said what they are.
    """
    if kind not in ("class", "multilabel", "identity") or fold is False:
        return rows
    counts: Counter[str] = Counter()
    for part in rows:
        for label in part:
            counts.update([] if label is None else [label] if isinstance(label, str) else label)
    spellings: dict[str, list[str]] = {}
    coded = _coded({_spelled(name) for name in counts}, counts)
    for name in counts:
        spellings.setdefault(coded.get(name) or _spelled(name), []).append(name)
    several = [sorted(names, key=lambda name: -counts[name]) for names in spellings.values() if len(names) > 1]
    if not several:
        refuse_two_writings(counts, fold, report)
        return rows
    shown = "; ".join(
        " and ".join(f"{_seen(name, names)} ({counts[name]:,})" for name in names) for names in several[:4]
    )
    if fold is None:
        raise DataError(
            "Labels differ in case, blanks, hyphens, marks around them, a code in front, short and long words, the spelling of numbers or letters "
            f"that look alike only: "
            f"{shown}. fold_labels=True takes them for one class each (spelled as most are), fold_labels=False for different classes."
        )
    report.warn(f"labels taken for one, because fold_labels=True: {shown}")
    chosen = {name: names[0] for names in several for name in names}

    def one(label: Any) -> Any:
        if label is None:
            return None
        return (
            chosen.get(label, label)
            if isinstance(label, str)
            else list(dict.fromkeys(chosen.get(n, n) for n in label))
        )

    return [[one(label) for label in part] for part in rows]


def _folded(name: str, numbers: bool = True) -> str:
    number = as_float(name) if numbers else None
    if number is not None and math.isfinite(number):
        # Ids of more than 15 digits are no floats: they are compared digit by digit.
        whole = re.fullmatch(r"\s*([-+]?\d+)(?:\.0*)?\s*", name)
        return (
            str(int(whole[1]))
            if whole
            else str(int(number))
            if number.is_integer() and abs(number) < 2**53
            else repr(number)
        )
    return " ".join(
        _latin(name).casefold().replace("i\u0307", "i").split()
    )  # so is the small letter of Turkish \u0130


def _spelled(name: str) -> str:
    """A label as it is compared: `credit_card` and `Credit card`, `yes.` and `yes`, `'spam'` and `spam`, `Class 01` and `class1` are alike."""
    folded = _folded(name)
    if as_float(folded) is not None:
        return folded
    bare = re.sub(r"^[\s\"'“”„«»]+|[\s\"'“”„«».,;:]+$", "", folded) or folded
    if as_float(bare) is not None:
        return _folded(bare)
    spaced = re.sub(r"(?<=\w)[-_ ]+(?=\w)", " ", bare)
    return re.sub(r"(?<=[^\W\d_])(?=\d)", " ", re.sub(r"(?<= )0+(?=\d)", "", spaced))


def _coded(alone: Set[str], names: Iterable[str]) -> dict[str, str]:
    """Labels of a code and a word of which one is a label alone, too (`1 - Yes` beside `1`), and what they are compared as."""
    made = {}
    for name in names:
        found = _CODE_AHEAD.fullmatch(name) or _CODE_BEHIND.fullmatch(name)
        pieces = [] if found is None else list(map(_spelled, found.groups()))
        if len(pieces) == 2 and (set(pieces) <= alone or max(map(len, pieces)) == 1):
            pieces = []  # `A|B` beside `A` and `B` is two labels
        pieces += (*SHORT.get(_spelled(name), ()), *SAME_AS.get(_spelled(name), ()))
        same = next((piece for piece in pieces if piece in alone), None)
        if same is not None:
            made[name] = same
    return made


_CODE_AHEAD = re.compile(r"\s*(\d{1,4}(?=\s*[-–])|(?:\d{1,4}|[A-Z])(?=\s*[:=.)|]|\s+[-–]\s))\s*[-–:=.)|]\s*(\D.*?)\s*")
_CODE_BEHIND = re.compile(r"\s*([^\W\d]{2}.*?)\s*(?:\s[-–:=]\s|\(|\[)\s*(\d{1,4}|[A-Z])[)\]]?\s*")
SHORT: dict[str, tuple[str, ...]] = {
    "y": ("yes",), "n": ("no",), "t": ("true",), "f": ("false", "female"), "m": ("male",), "pos": ("positive",), "neg": ("negative",),
    "neu": ("neutral",), "unk": ("unknown",), "w": ("weiblich",), "j": ("ja",),
}  # fmt: skip
"""Labels in short, and the words that they stand for where those are labels, too."""


def _latin(name: str) -> str:
    return unicodedata.normalize("NFKC", name).translate(_ALIKE)


def _seen(name: str, names: Sequence[str]) -> str:
    """A name as it is shown beside others: by the numbers of its letters where it would look the same."""
    return repr(name) if sum(_latin(other) == _latin(name) for other in names) < 2 else ascii(name)


def one_group_each(
    groups: list[str | None], column: str, spellings: dict[str, str], report: DataReport
) -> list[str | None]:
    """Groups that differ in case, blanks or zeros in front only as one: two would let one patient be on two sides of a split.

    Args:
        groups: of every row, None where there is none.
        column: their column, for the report.
        spellings: folded name → the spelling that came first; filled, so that all parts spell alike.
        report: warned about what was taken for one.
    """
    made: list[str | None] = []
    merged: dict[str, str] = {}
    for group in groups:
        if group is None:
            made.append(None)
            continue
        number = re.fullmatch(r"0*(\d+)(?:\.0*)?", group.strip())
        first = spellings.setdefault(number[1] if number else _folded(group, numbers=False), group)
        if first != group:
            merged[group] = first
        made.append(first)
    if merged:
        other, first = next(iter(merged.items()))
        report.warn(
            f"{len(merged):,} groups of column {column!r} differ from another in case, blanks or zeros in front only, such as {other!r} and "
            f"{first!r}: taken for one; fold_labels=False keeps them apart"
        )
    return made


def as_float(text: str) -> float | None:
    """The number that a text is, or None; `1_2`, which Python reads as 12, is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
