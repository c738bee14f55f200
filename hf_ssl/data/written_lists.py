"""Lists, sets, tuples, arrays and dicts that a table holds as text (`['a', 'b']`, `['a' 'b']`, `{'choices': ['a']}`): several labels of a row."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.data.report import DataReport

_CALLED = re.compile(r"(?:np\.|numpy\.)?(?:array|frozenset|set|tuple|list)\((.*?)(?:,\s*dtype=[^()]*)?\)", re.DOTALL)
_QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_TEXTS = re.compile(rf"\s*{_QUOTED}(?:\s+{_QUOTED})*\s*")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rf"\s*{_NUMBER}(?:\s+{_NUMBER})*\s*")
_PAIRS = ("[]", "{}", "()")


def are_lists(texts: Sequence[str]) -> list[str]:
    """Those of some labels that are a list, set, tuple, array or dict written as text.

    Brackets alone are no list where all are of another kind than `[]`: `(happy)` and `{joy}` are words.
    """
    found = [
        text
        for text in texts
        if (plain := text.strip()) and (plain[:1] + plain[-1:] in _PAIRS or _CALLED.fullmatch(plain))
    ]
    sure = any(text.strip()[:1] not in "({" or re.search(r"[,'\"]", text) for text in found)
    return found if sure else []


def read_list(text: str) -> list[Any] | str:
    """The labels in one text; the text itself where it is no list.

    Raises:
        DataError: numpy or pandas has left out the middle, or a dict holds something else than labels.
    """
    plain = text.strip()
    if called := _CALLED.fullmatch(plain):
        plain = called[1].strip() or "[]"
    if plain[:1] + plain[-1:] not in _PAIRS:
        return text
    inner = plain[1:-1]
    if re.search(r"(?:^|[\s,])(?:\.\.\.|…)(?:[\s,]|$)", inner):
        raise DataError(
            f"A label is a list whose middle was left out when it was written: {text.strip()[:60]!r}. Write the table anew from its source, the "
            "names of the labels joined by '|'."
        )
    if _TEXTS.fullmatch(inner):
        return [ast.literal_eval(one) for one in re.findall(_QUOTED, inner)]
    if _NUMBERS.fullmatch(inner):
        return [float(one) if re.search(r"[.eE]", one) else int(one) for one in inner.split()]
    for read in (ast.literal_eval, json.loads):
        try:
            value = read(plain)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            return _of_dict(value, text)
        if isinstance(value, (set, frozenset)):
            return sorted(value, key=str)
        return list(value) if isinstance(value, (list, tuple)) else [value]
    return [part.strip().strip("'\"") for part in inner.split(",") if part.strip()]  # [a, b] without quotes


def _of_dict(value: dict[Any, Any], text: str) -> list[Any]:
    """`{'choices': ['a', 'b']}` → its list; `{'a': 1, 'b': 0}` → the names that are 1."""
    held = list(value.values())
    if held and all(isinstance(one, (bool, int)) and one in (0, 1) for one in held):
        return [name for name, one in value.items() if one]
    if not held or len(held) == 1 and isinstance(held[0], (list, str)):
        return (held[0] if isinstance(held[0], list) else [held[0]]) if held else []
    raise DataError(
        f"A label is a structure written as text, {text.strip()[:60]!r}. Write what is meant of it into a column of its own, several labels joined "
        "by '|', and name it: label_column=..."
    )


def only_one(label: object) -> object:
    """The only label of a list, None of an empty one; anything else is what it is.

    Raises:
        DataError: a list holds several.
    """
    if not isinstance(label, (list, tuple, np.ndarray)):
        return label
    if len(label) > 1:
        raise DataError(
            f"label_kind='class', but a row has {len(label)} labels ({', '.join(map(str, label[:3]))}). For several in a row: "
            "label_kind='multilabel'."
        )
    found: object = label[0] if len(label) else None
    return found


_BITS = frozenset({"0", "1", "0.0", "1.0", "True", "False"})


def tell_lists(labels: Sequence[Any], report: DataReport) -> None:
    """Lists of labels that perhaps are single classes or votes, and empty ones that perhaps mean that nobody has labeled the row.

    Args:
        labels: lists, those that are missing left out.
        report: is warned.
    """
    empty = sum(not len(label) for label in labels)
    named = [[str(name) for name in label] for label in labels]
    twice = [names for names in named if len(set(names)) < len(names) and not set(names) <= _BITS]
    if twice:
        report.warn(
            f"{len(twice):,} of {len(labels):,} lists of labels hold one of them twice, such as {', '.join(twice[0])[:60]!r}, as where several "
            "people vote: each label counts once for a row. To learn what most of them say, write that into a column of its own: label_column=..."
        )
    meant = "label_kind='multilabel' says that this is meant"
    if empty < len(labels) and max(map(len, labels), default=0) == 1:
        rest = f", and leaves the {empty:,} that have none without a label" if empty else ""
        report.warn(
            f"the labels are lists, and none of {len(labels):,} rows has more than one: label_kind='class' takes each for one class{rest}; {meant}"
            + (" (a row without any is then none of the labels)" if empty else "")
        )
    elif empty:
        report.warn(
            f"{empty:,} of {len(labels):,} rows have an empty list of labels: taken to be none of them; na_values=['[]'] leaves them without a "
            f"label, {meant}"
        )
