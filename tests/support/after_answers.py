"""Answers as tables hold them: lists written as text, yes and no in other languages, words for "nothing", columns whose names hold commas."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import csv
import io
import json
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


# -- notes below a table
for last in (["Total rows: 40", "Exported by Survey 3.2 on 01/02/2024"], ["Grand Total: 40 reviews", "Confidential - do not distribute", "Page 1 of 1"], ["Quelle: Statistisches Bundesamt", "© 2024"], ["Source: own survey"], ["*** End of report ***"], ["40 records exported"], ["Seite 1 von 1"], ["出典：統計局"], ["Note: texts were shortened."]):
    for blank in ("", "\n"):
        add(T, f"{last[0]} below the table{' and a blank line' * bool(blank)}", file("a.csv", written(labels(40)) + blank + "".join(f'"{line}",\n' for line in last), told(lambda data, last=last: len(rows_of(data)) == 40 and set(last) <= set(data["unlabeled"]["text"]))))
closing = [*texts(39), "Source: my own eyes and ears"]
add(T, "a last text that begins as notes do", file("a.csv", table(["text", "label"], list(zip(closing, labels(40), strict=True))), silent(pairs(closing))), False)
add(T, "texts alone, the last of which begins as notes do", file("a.csv", table(["text"], [[one] for one in closing]), silent(lambda data: len(data["unlabeled"]) == 40)), False)

# -- tables that are called .txt
rows = list(zip(texts(40), labels(40), strict=True))
psql = " text | label \n------+-------\n" + "".join(f" {t} | {v} \n" for t, v in rows) + "(40 rows)\n"
one_document = told(lambda data: len(data["unlabeled"]) == 1)
objects = [json.dumps({"text": t, "label": v}) for t, v in rows]
add(T, "psql's table called .txt", file("a.txt", psql, one_document), False)
add(T, "JSON lines called .txt", file("a.txt", "\n".join(objects) + "\n", one_document), False)
add(T, "a JSON list called .txt", file("a.txt", "[\n" + ",\n".join(objects) + "\n]\n", one_document), False)
add(T, "a JSON list called .jsonl", file("a.jsonl", "[\n" + ",\n".join(objects) + "\n]\n", told(pairs())), False)

# -- splits in other languages
for column, names in (("usage", ("Trainieren", "Prüfen", "Testen")), ("subset", ("entraînement", "validation", "test")), ("partition", ("treino", "validação", "teste")), ("what", ("обучение", "проверка", "тест")), ("set", ("训练", "验证", "测试"))):
    said = [names[0] if n % 4 < 2 else names[n % 4 - 1] for n in range(40)]
    add(N, f"column {column} of {names[0]} and {names[2]}", file("a.csv", table(["text", "label", column], [(*row, word) for row, word in zip(rows, said, strict=True)]), lambda data: [len(data[split]) for split in ("train", "validation", "test")] == [20, 10, 10]))

# -- questions with line breaks, and words of a table whose columns are named
asks = '"Please tell us.\nBe honest:","How was it,\nin all?"\n'
add(T, "questions with line breaks below the header", file("a.csv", "text,label\n" + asks + "".join(f"{t},{v}\n" for t, v in rows)))
words_below = [(f"Sentence: {n}" if not place else "", word, "B-geo" if word == "north" else "O") for n in range(40) for place, word in enumerate(f"we went north on day {n}".split())]
add(N, "one word per row with named columns", file("a.csv", table(["Sent no", "Word", "Tag"], words_below), lambda data: data.label_kind == "tags" and len(rows_of(data)) == 40, tokens_column="Word", tags_column="Tag"))
