"""What the second set of made-up files shares: how a file is written, and what is expected of it before it is tried.

The first set (`data_kinds.py`) was written by those who wrote the readers. This one was written afterwards, by someone else, from
public reports about other tools; what is expected was written down before any file was read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from data_kinds import Case, Check, Made, labels, texts, write

from hf_ssl.data import DomainData

AFTER: list[Case] = []
LABELED = ("train", "validation", "test")


def add(kind: str, name: str, make: Callable[[Path], Made], error: bool = True) -> None:
    """Register a file; `error=False`: it has to be read, an error is no answer."""
    AFTER.append(Case(kind, name, make, error))


@dataclass(frozen=True)
class Told:
    """A check, and whether there was a warning; `right`: the check alone, once the user has decided."""

    right: Check

    def __call__(self, data: DomainData) -> bool:
        return bool(data.report["warnings"]) and self.right(data)


def told(check: Check) -> Check:
    """Right, and the user was warned."""
    return Told(check)


def silent(check: Check) -> Check:
    """Right, and nothing was warned about: an ordinary file."""
    return lambda data: not data.report["warnings"] and check(data)


def rows_of(data: DomainData) -> list[dict[str, Any]]:
    return [row for split in LABELED if split in data for row in data[split]]


def pairs(wanted: Sequence[str] | None = None, marks: Sequence[str] | None = None) -> Check:
    """Every text with its own label, and no other."""
    words = list(wanted if wanted is not None else texts(40))
    expected = dict(zip(words, marks if marks is not None else labels(len(words)), strict=True))

    def check(data: DomainData) -> bool:
        if data.label_kind != "class":
            return False
        return {row["text"]: data.label_names[row["label"]] for row in rows_of(data)} == expected

    return check


def amounts(wanted: Sequence[float]) -> Check:
    """Every text with its own amount."""
    expected = dict(zip(texts(len(wanted)), wanted, strict=True))

    def check(data: DomainData) -> bool:
        found = {row["text"]: row["label"] for row in rows_of(data)}
        return found.keys() == expected.keys() and all(abs(found[t] - expected[t]) < 1e-3 for t in found)

    return check


def pool(wanted: Sequence[str]) -> Check:
    """Unlabeled texts, all of them."""
    return lambda data: set(data["unlabeled"]["text"]) == set(wanted) and not rows_of(data)


def file(
    name: str, content: str | bytes, check: Check | None = None, encoding: str = "utf-8", **options: Any
) -> Callable[[Path], Made]:
    """One file in a folder of its own."""
    return lambda at: (write(at / "d" / name, content, encoding), options, check or pairs())


def folder(files: dict[str, str | bytes], check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    """A folder of files."""

    def make(at: Path) -> Made:
        for name, content in files.items():
            write(at / "d" / name, content)
        return at / "d", options, check or pairs()

    return make


def csv_of(frame: pd.DataFrame, check: Check | None = None, how: dict[str, Any] | None = None, **options: Any) -> Any:
    """A frame as a csv file."""
    return file("a.csv", frame.to_csv(index=False, **(how or {})), check, **options)


def jsonl_of(rows: Sequence[Any], check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    return file("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows), check, **options)


def lines(count: int = 40, sep: str = ",", header: str | None = None, end: str = "\n", last: str = "") -> str:
    """`text<sep>label` lines of plain texts."""
    head = f"text{sep}label" if header is None else header
    body = [f"{t}{sep}{v}{last}" for t, v in zip(texts(count), labels(count), strict=True)]
    return end.join([*([head] if head else []), *body]) + end
