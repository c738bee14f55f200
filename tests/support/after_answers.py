"""Answers as tables hold them: lists written as text, yes and no in other languages, words for "nothing", columns whose names hold commas."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from after_base import add, file, pairs, rows_of, silent, told
from data_kinds import Check, labels, texts

from hf_ssl.data import DomainData

T, N = "tables", "names"
SETS = [["a", "b"], ["a"], ["b", "c"], ["c"]] * 10
BITS = [(1, 0), (0, 1), (1, 1), (0, 0)] * 10


def several(wanted: Sequence[Sequence[str]]) -> Check:
    """Every text with its own labels, and no other."""
    expected = {text: sorted(names) for text, names in zip(texts(len(wanted)), wanted, strict=True)}

    def check(data: DomainData) -> bool:
        if data.label_kind != "multilabel":
            return False
        return {row["text"]: sorted(name for name, bit in zip(data.label_names, row["label"], strict=True) if bit) for row in rows_of(data)} == expected

    return check


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows([header, *rows])
    return made.getvalue()


def written(values: Sequence[object]) -> str:
    return table(["text", "label"], list(zip(texts(len(values)), values, strict=True)))


# -- lists as text
numpy_texts = ["[" + " ".join(map(repr, names)) + "]" for names in SETS]
for what, values in (
    ("numpy's", numpy_texts),
    ("arrays of objects", [f"array([{', '.join(map(repr, names))}], dtype=object)" for names in SETS]),
    ("sets", ["{" + ", ".join(map(repr, names)) + "}" for names in SETS]),
    ("frozen sets", [f"frozenset({set(names)!r})" for names in SETS]),
    ("tuples", [repr(tuple(names)) for names in SETS]),
    ("lists in parentheses", ["(" + ", ".join(map(repr, names)) + ")" for names in SETS]),
    ("PostgreSQL's arrays", ["{" + ",".join(names) + "}" for names in SETS]),
    ("a choice of Label Studio", [repr({"choices": names}) for names in SETS]),
    ("a mark per name", [repr({name: int(name in names) for name in "abc"}) for names in SETS]),
):
    add(T, f"several labels written as {what}", file("a.csv", written(values), several(SETS)))
    add(T, f"several labels written as {what}, said to be", file("a.csv", written(values), several(SETS), label_kind="multilabel"), False)
numbers = [[str(ord(name) - 96) for name in names] for names in SETS]
add(T, "several numbers written as numpy's", file("a.csv", written(["[" + " ".join(names) + "]" for names in numbers]), several(numbers)))
marks = [[str(place) for place, name in enumerate("abc") if name in names] for names in SETS]
for what, mark in (("commas", ", "), ("blanks", " ")):
    add(T, f"marks of 0 and 1 in a list with {what}", file("a.csv", written(["[" + mark.join(str(int(name in names)) for name in "abc") + "]" for names in SETS]), several(marks)))
empty_too = [[] if n % 4 == 3 else names for n, names in enumerate(SETS)]
add(T, "empty sets among others", file("a.csv", written([repr(set(names)) for names in empty_too]), several(empty_too)))
words = [("(happy)", "(sad)")[n % 2] for n in range(40)]
add(T, "classes in parentheses", file("a.csv", written(words), pairs(None, words)), False)

# -- yes and no
wanted = [[name for name, bit in zip(("sport", "news"), bits, strict=True) if bit] for bits in BITS]
for yes, no in (("ja", "nein"), ("WAHR", "FALSCH"), ("oui", "non"), ("o", "n"), ("vrai", "faux"), ("sí", "no"), ("sim", "não"), ("да", "нет"), ("はい", "いいえ"), ("是", "否"), ("Tak", "Nie"), ("checked", "unchecked")):
    answers = [(text, *((no, yes)[bit] for bit in bits)) for text, bits in zip(texts(40), BITS, strict=True)]
    add(N, f"label columns of {yes} and {no}", file("a.csv", table(["text", "sport", "news"], answers), silent(several(wanted)), label_columns=["sport", "news"]), False)
for yes, no in ((1, 2), ("kept", "left"), ("A", "B")):
    answers = [(text, *((no, yes)[bit] for bit in bits)) for text, bits in zip(texts(40), BITS, strict=True)]
    add(N, f"label columns of {yes} and {no}", file("a.csv", table(["text", "sport", "news"], answers), several(wanted), label_columns=["sport", "news"]))
    add(N, f"label columns of {yes} and {no}, said to be", file("a.csv", table(["text", "sport", "news"], answers), several(wanted), label_columns=["sport", "news"], yes_values=[str(yes)]), False)
chosen = [(text, *(name if bit else 0 for name, bit in zip(("Sport", "News"), bits, strict=True))) for text, bits in zip(texts(40), BITS, strict=True)]
add(N, "label columns that hold their own name", file("a.csv", table(["text", "Sport", "News"], chosen), several([[name.title() for name in names] for names in wanted]), label_columns=["Sport", "News"]), False)
rated = [(text, *((-1, -1) if n % 4 == 0 else bits)) for n, (text, bits) in enumerate(zip(texts(40), BITS, strict=True))]
add(N, "rows of nothing but -1 in label columns", file("a.csv", table(["text", "sport", "news"], rated), told(lambda data: len(rows_of(data)) == 30), label_columns=["sport", "news"]), False)

# -- words for nothing
for word in (".a", ".z", "#NV", "#N/D", "#WERT!", "#¡VALOR!", "N/D", "(blank)", "(leer)", "<empty>", "[missing]", "k.A.", "keine Angabe", "sin datos", "non renseigné", "weiß nicht", "brak danych", "não informado", "onbekend", "нет данных", "不明", "未知", "없음", "not applicable", "No Answer", "prefer not to say"):
    gone = [word if n % 8 == 3 else label for n, label in enumerate(labels(40))]
    add(N, f"labels of which some are {word}", file("a.csv", written(gone), told(pairs(None, gone))), False)

# -- names with commas and brackets
units = [(text, *bits) for text, bits in zip(texts(40), BITS, strict=True)]
named = [[{"sport": "Sport [yes]", "news": "News, local (1, 2)"}[name] for name in names] for names in wanted]
for what, given in (("", ["Sport [yes]", "News, local (1, 2)"]), (", cut there", ["Sport [yes]", "News", "local (1", "2)"])):
    add(N, f"names of columns with commas and brackets{what}", file("a.csv", table(["text", "Sport [yes]", "News, local (1, 2)"], units), several(named), label_columns=given), False)
