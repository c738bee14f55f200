"""Geometry of tables, second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from after_base import add, amounts, csv_of, file, folder, jsonl_of, lines, pairs, pool, rows_of, told
from data_kinds import Check, Made, asked, labels, texts

T = "tables"
TEXTS, LABELS = texts(40), labels(40)
PAIRS = list(zip(TEXTS, LABELS, strict=True))
ROWS = [{"text": t, "label": v} for t, v in PAIRS]
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS})



def stripped(data: Any) -> bool:
    """Every text with its own label, blanks at its ends aside."""
    return {row["text"].strip(): data.label_names[row["label"]] for row in rows_of(data)} == dict(PAIRS)


# -- separators, surplus and missing fields
add(T, "only the header ends with a comma", file("a.csv", lines(header="text,label,")))
add(T, "some lines end with a comma", file("a.csv", "text,label\n" + "".join(f"{t},{v}{',' * (n % 2)}\n" for n, (t, v) in enumerate(PAIRS))), False)
add(T, "every line begins with a comma", file("a.csv", ",text,label\n" + "".join(f",{t},{v}\n" for t, v in PAIRS)), False)
add(T, "every line begins and ends with a pipe", file("a.csv", "|text|label|\n" + "".join(f"|{t}|{v}|\n" for t, v in PAIRS)))
add(T, "Markdown table", file("a.csv", "| text | label |\n|---|---|\n" + "".join(f"| {t} | {v} |\n" for t, v in PAIRS), stripped))
add(T, "two hundred empty rows at the end", file("a.csv", lines() + ",\n" * 200), False)
add(T, "forty empty columns", file("a.csv", "text,label" + "," * 40 + "\n" + "".join(f"{t},{v}{',' * 40}\n" for t, v in PAIRS)), False)
add(T, "Excel's semicolons, CRLF and mark", file("a.csv", lines(sep=";", end="\r\n"), encoding="utf-8-sig"), False)
for name, mark in (("double colon", "::"), ("caret", "^"), ("tilde", "~"), ("unit separator", "\x1f"), ("Hive's", "\x01"), ("two tabs", "\t\t"), ("blank pipe blank", " | ")):
    add(T, f"separated by {name}", file("a.csv", lines(sep=mark), stripped))
add(T, "columns of fixed width", file("a.csv", f"{'text':<90}{'label':<8}\n" + "".join(f"{t:<90}{v:<8}\n" for t, v in PAIRS)))
commas = [f"{t}, really, {'yes, ' * (n % 3)}no" for n, t in enumerate(TEXTS)]
add(T, "tabs, and texts with commas", file("a.csv", "text\tlabel\n" + "".join(f"{t}\t{v}\n" for t, v in zip(commas, LABELS, strict=True)), pairs(commas)), False)
add(T, "semicolons, and texts with commas", file("a.csv", "text;label\n" + "".join(f"{t};{v}\n" for t, v in zip(commas, LABELS, strict=True)), pairs(commas)), False)
add(T, "semicolons, and one comma in every text", file("a.csv", "text;label\n" + "".join(f"Well, {t};{v}\n" for t, v in PAIRS), pairs([f"Well, {t}" for t in TEXTS])), False)
add(T, "pipes, and texts with commas and semicolons", file("a.csv", "text|label\n" + "".join(f"{t}; so|{v}\n" for t, v in zip(commas, LABELS, strict=True)), pairs([f"{t}; so" for t in commas])), False)
add(T, "commas, and a semicolon in every text", file("a.csv", "text,label\n" + "".join(f"{t}; so,{v}\n" for t, v in PAIRS), pairs([f"{t}; so" for t in TEXTS])), False)
add(T, "a tsv whose texts hold two commas each", file("a.tsv", "text\tlabel\n" + "".join(f"a, b, {t}\t{v}\n" for t, v in PAIRS), pairs([f"a, b, {t}" for t in TEXTS])), False)
add(T, "label first", file("a.csv", "label,text\n" + "".join(f"{v},{t}\n" for t, v in PAIRS)), False)
add(T, "label first and texts with unquoted commas", file("a.csv", "label,text\n" + "".join(f"{v},{t}\n" for t, v in zip(commas, LABELS, strict=True)), pairs(commas)))
add(T, "one unquoted comma in every text, label last", file("a.csv", "text,label\n" + "".join(f"Well, {t},{v}\n" for t, v in PAIRS), pairs([f"Well, {t}" for t in TEXTS])))
add(T, "one column with unquoted commas", file("a.csv", "text\n" + "".join(f"{t}\n" for t in commas), pool(commas)))
add(T, "one column", file("a.csv", "text\n" + "".join(f"{t}\n" for t in TEXTS), pool(TEXTS)), False)
add(T, "one column without header", file("a.csv", "".join(f"{t}\n" for t in TEXTS), pool(TEXTS)))
# -- quotes
add(T, "single quotes enclose", file("a.csv", "text,label\n" + "".join(f"'{t}, yes','{v}'\n" for t, v in PAIRS), pairs([f"{t}, yes" for t in TEXTS])))
add(T, "single quotes enclose, no commas inside", file("a.csv", "text,label\n" + "".join(f"'{t}','{v}'\n" for t, v in PAIRS)))
add(T, "quotes escaped by backslashes", file("a.csv", "text,label\n" + "".join(f'"They said \\"{t}\\", twice",{v}\n' for t, v in PAIRS), pairs([f'They said "{t}", twice' for t in TEXTS])))
add(T, "quotes escaped by backslashes in some", file("a.csv", "text,label\n" + "".join(f'"{t} \\"so\\", yes",{v}\n' if n % 8 == 3 else f'"{t}, yes",{v}\n' for n, (t, v) in enumerate(PAIRS)), pairs([f'{t} "so", yes' if n % 8 == 3 else f"{t}, yes" for n, t in enumerate(TEXTS)])))
add(T, "curly quotes enclose", file("a.csv", "text,label\n" + "".join(f"“{t}, yes”,{v}\n" for t, v in PAIRS), pairs([f"{t}, yes" for t in TEXTS])))
add(T, "blank before the quote", file("a.csv", "label, text\n" + "".join(f'{v}, "{t}, yes"\n' for t, v in PAIRS), pairs([f"{t}, yes" for t in TEXTS])))
add(T, "everything in quotes", file("a.csv", '"text","label"\r\n' + "".join(f'"{t}","{v}"\r\n' for t, v in PAIRS)), False)
add(T, "lines wholly in quotes", file("a.csv", '"text,label"\n' + "".join(f'"{t},{v}"\n' for t, v in PAIRS)))
multi = [f"{t}\r\nand so on" for t in TEXTS]
add(T, "texts of two lines, CRLF", file("a.csv", '"text","label"\r\n' + "".join(f'"{t}","{v}"\r\n' for t, v in zip(multi, LABELS, strict=True)), lambda data: {r["text"].replace("\r\n", "\n") for r in rows_of(data)} == {t.replace("\r\n", "\n") for t in multi} and len(data.label_names) == 2), False)
add(T, "texts of two lines, not quoted", file("a.tsv", "text\tlabel\n" + "".join(f"{t}\nand more\t{v}\n" for t, v in PAIRS), asked))
add(T, "inch marks at the end of texts", file("a.tsv", "label\ttext\n" + "".join(f'{v}\t{t} 5"\n' for t, v in PAIRS), pairs([f'{t} 5"' for t in TEXTS])), False)
add(T, "texts that are quotations", file("a.tsv", "label\ttext\n" + "".join(f'{v}\t"{t}" was said\n' for t, v in PAIRS), pairs([f'"{t}" was said' for t in TEXTS])))
add(T, "a quote begins one text in a large tsv", file("a.tsv", "text\tlabel\n" + "".join(f"{chr(34) * (n == 700)}{t}\t{v}\n" for n, (t, v) in enumerate(zip(texts(2000), labels(2000), strict=True))), lambda data: len(rows_of(data)) == 2000))
# -- headers
add(T, "types in the second line", file("a.csv", lines(header="text,label\nstring,category"), told(lambda data: "category" not in data.label_names)))
add(T, "two header lines", file("a.csv", lines(header="Review,Review\ntext,label"), pairs()))
add(T, "a group of columns above", file("a.csv", lines(header="Reviews 2024,\ntext,label"), pairs()))
add(T, "comments above", file("a.csv", lines(header="# exported by X\n# 2024-05-01\ntext,label"), pairs()))
add(T, "comments with commas above", file("a.csv", lines(header="# exported by X, version 2\n# rows: 40, all\ntext,label"), pairs()))
add(T, "header behind a hash", file("a.tsv", lines(sep="\t", header="#text\tlabel")))
add(T, "no-break blanks in the header", file("a.csv", lines(header="\u00a0text\u00a0,\u00a0label")), False)
add(T, "two marks", file("a.csv", "\ufeff" + lines(), encoding="utf-8-sig"))
add(T, "mark inside quotes", file("a.csv", '"\ufefftext","label"\n' + "".join(f'"{t}","{v}"\n' for t, v in PAIRS)))
add(T, "zero-width blanks in the header", file("a.csv", lines(header="text\u200b,label\u200b")))
for name in ("gold_label", "airline_sentiment", "is_spam", "Review Sentiment", "class_label", "Label:", "label (final)", "sentimentLabel", "Klasse", "target_class", "humor?", "Étiquette", "v1", "overall_rating", "Labels "):
    add(T, f"label column called {name}", file("a.csv", lines(header=f"text,{name}"), lambda data: pairs()(data) or told(pool(TEXTS))(data)))
add(T, "label and Label", file("a.csv", "text,label,Label\n" + "".join(f"{t},{v},{n % 5}\n" for n, (t, v) in enumerate(PAIRS)), told(pairs())))
add(T, "label and category", file("a.csv", "text,label,category\n" + "".join(f"{t},{v},c{n % 5}\n" for n, (t, v) in enumerate(PAIRS)), told(pairs())))
add(T, "a column of splits", file("a.csv", "text,label,split\n" + "".join(f"{t},{v},{'test' if n % 5 == 0 else 'train'}\n" for n, (t, v) in enumerate(PAIRS)), lambda data: set(data["test"]["text"]) == set(TEXTS[::5])))
add(T, "a column is_test", file("a.csv", "text,label,is_test\n" + "".join(f"{t},{v},{int(n % 5 == 0)}\n" for n, (t, v) in enumerate(PAIRS)), lambda data: set(data["test"]["text"]) == set(TEXTS[::5])))
add(T, "a column of folds", file("a.csv", "text,label,fold\n" + "".join(f"{t},{v},{n % 5}\n" for n, (t, v) in enumerate(PAIRS)), told(pairs())))
for first, second in (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"), ("text_a", "text_b"), ("text1", "text2"), ("question", "answer"), ("text", "context"), ("sentence", "aspect")):
    add(T, f"columns {first} and {second}", file("a.csv", f"{first},{second},label\n" + "".join(f"{t},It has the number {n},{v}\n" for n, (t, v) in enumerate(PAIRS)), lambda data: "text_pair" in data["train"].column_names or bool(data.report["warnings"])))
add(T, "title and body", file("a.csv", "title,body,label\n" + "".join(f"No {n},{t},{v}\n" for n, (t, v) in enumerate(PAIRS)), pairs()))
# -- files of several tables
HALF = [PAIRS[:20], PAIRS[20:]]


def table(rows: list[tuple[str, str]], header: str = "text,label", sep: str = ",", turn: bool = False) -> str:
    return "".join(line + "\n" for line in [*([header] if header else []), *(f"{v}{sep}{t}" if turn else f"{t}{sep}{v}" for t, v in rows)])


add(T, "columns in another order", folder({"a.csv": table(HALF[0]), "b.csv": table(HALF[1], "label,text", turn=True)}), False)
add(T, "names in another case", folder({"a.csv": table(HALF[0]), "b.csv": table(HALF[1], "Text,LABEL")}), False)
add(T, "another separator", folder({"a.csv": table(HALF[0]), "b.csv": table(HALF[1], "text;label", ";")}), False)
add(T, "another encoding", folder({"a.csv": lines(20), "b.csv": table(HALF[1]).replace("shop", "Büro").encode("utf-16")}, pairs([*TEXTS[:20], *(t.replace("shop", "Büro") for t in TEXTS[20:])])), False)
add(T, "the second without header", folder({"a.csv": table(HALF[0]), "b.csv": table(HALF[1], "")}))
add(T, "numbers in one, words in the other", folder({"a.csv": table([(t, str(n % 2)) for n, (t, _) in enumerate(HALF[0])]), "b.jsonl": "".join(json.dumps({"text": t, "label": n % 2}) + "\n" for n, (t, _) in enumerate(HALF[1]))}, lambda data: data.label_names == ["0", "1"] and len(rows_of(data)) == 40))
add(T, "a label column in one of two", folder({"a.csv": table(HALF[0]), "b.csv": "text\n" + "".join(f"{t}\n" for t, _ in HALF[1])}, lambda data: len(rows_of(data)) == 20 and set(data["unlabeled"]["text"]) >= {t for t, _ in HALF[1]}))
add(T, "train and test have other label names", folder({"train.csv": table(HALF[0]), "test.csv": table([(t, str(n % 2)) for n, (t, _) in enumerate(HALF[1])])}, asked))
add(T, "test without labels", folder({"train.csv": table(PAIRS), "test.csv": "id,text\n" + "".join(f"{n},Another {t}\n" for n, t in enumerate(TEXTS))}, told(lambda data: len(rows_of(data)) == 40)))
# -- missing values
for word in ("\\N", "NULL", "n/a", "?", "-", "missing", "<NA>", "NaT", "#REF!"):
    add(T, f"labels {word}", file("a.csv", "text,label\n" + "".join(f"{t},{word if n % 8 == 0 else v}\n" for n, (t, v) in enumerate(PAIRS)), lambda data, word=word: word not in data.label_names or bool(data.report["warnings"])))
add(T, "empty quoted labels", file("a.csv", '"text","label"\n' + "".join(f'"{t}","{v if n % 8 else ""}"\n' for n, (t, v) in enumerate(PAIRS)), lambda data: data.label_names == ["bad", "good"]), False)
add(T, "blank labels", file("a.csv", "text,label\n" + "".join(f"{t},{v if n % 8 else '  '}\n" for n, (t, v) in enumerate(PAIRS)), lambda data: data.label_names == ["bad", "good"]))
# -- numbers as labels
for name, spell in (
    ("thousands in quotes", lambda n: f'"{1000 + 131 * n:,}.5"'), ("Swiss thousands", lambda n: f"{1000 + 131 * n:,}.5".replace(",", "'")),
    ("thin blanks", lambda n: f"{1000 + 131 * n:,}.5".replace(",", "\u202f")), ("percent", lambda n: f"{1000.5 + 131 * n}%"), ("dollars", lambda n: f"${1000.5 + 131 * n}"),
    ("exponents", lambda n: f"{1000.5 + 131 * n:.6e}"), ("a plus", lambda n: f"+{1000.5 + 131 * n}"),
):  # fmt: skip
    add(T, f"amounts with {name}", file("a.csv", "text,label\n" + "".join(f"{t},{spell(n)}\n" for n, t in enumerate(TEXTS)), amounts([1000.5 + 131 * n for n in range(40)]), label_kind="regression"))
add(T, "amounts with a true minus", file("a.csv", "text,label\n" + "".join(f"{t},\u2212{n}.5\n" for n, t in enumerate(TEXTS)), amounts([-n - 0.5 for n in range(40)]), label_kind="regression"))
add(T, "amounts in accountants' parentheses", file("a.csv", "text,label\n" + "".join(f"{t},({n}.5)\n" for n, t in enumerate(TEXTS)), amounts([-n - 0.5 for n in range(40)]), label_kind="regression"))
add(T, "amounts with either comma", file("a.csv", "text;label\n" + "".join(f"{t};1,{234 + n}\n" for n, t in enumerate(TEXTS)), told(lambda data: True), label_kind="regression"))
# -- parquet and JSON


def parquet(build: Callable[[], Any], check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        import pyarrow as pa
        import pyarrow.parquet as pq

        made = build()
        pq.write_table(made if isinstance(made, pa.Table) else pa.Table.from_pandas(made), at / "a.parquet")
        return at / "a.parquet", options, check or pairs()

    return make


def arrow(**columns: Any) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(*value) if isinstance(value, tuple) else pa.array(value) for name, value in columns.items()})


def types() -> Any:
    import pyarrow as pa

    return pa


add(T, "parquet: texts as bytes", parquet(lambda: arrow(text=[t.encode() for t in TEXTS], label=LABELS)))
add(T, "parquet: labels int8", parquet(lambda: arrow(text=TEXTS, label=([n % 2 for n in range(40)], types().int8())), pairs(TEXTS, ["0", "1"] * 20)), False)
add(T, "parquet: labels of one element", parquet(lambda: arrow(text=TEXTS, label=[[v] for v in LABELS]), lambda data: len(data.label_names) == 2), False)
add(T, "parquet: labels are structures", parquet(lambda: arrow(text=TEXTS, label=[{"name": v, "sure": 0.5} for v in LABELS]), asked))
add(T, "parquet: labels are moments", parquet(lambda: pd.DataFrame({"text": TEXTS, "label": pd.date_range("2024", periods=40)}), asked))
add(T, "parquet: labels are nothing", parquet(lambda: arrow(text=TEXTS, label=([None] * 40, types().null())), told(pool(TEXTS))))
add(T, "parquet: decimals with a fraction", parquet(lambda: pd.DataFrame({"text": TEXTS, "label": [__import__("decimal").Decimal(f"{n}.25") for n in range(40)]}), amounts([n + 0.25 for n in range(40)]), label_kind="regression"), False)
add(T, "parquet: lists of structures as texts", parquet(lambda: arrow(text=[[{"role": "user", "content": t}] for t in TEXTS], label=LABELS), asked))
add(T, "parquet: an index with a name", parquet(lambda: FRAME.set_index(pd.Index([f"k{n}" for n in range(40)], name="key"))), False)
add(T, "parquet: numbers as half floats", parquet(lambda: pd.DataFrame({"text": TEXTS, "label": __import__("numpy").arange(40, dtype="float16") + 0.5}), amounts([n + 0.5 for n in range(40)]), label_kind="regression"))
add(T, "JSON: by rows of an index", file("a.json", FRAME.to_json(orient="index")))
add(T, "JSON: split", file("a.json", FRAME.to_json(orient="split")))
add(T, "JSON: table", file("a.json", FRAME.to_json(orient="table")))
add(T, "JSON: values", file("a.json", FRAME.to_json(orient="values")))
add(T, "JSON: records", file("a.json", FRAME.to_json(orient="records", indent=2)), False)
add(T, "JSON: rows under data", file("a.json", json.dumps({"version": "1.0", "data": ROWS})), False)
add(T, "JSON: splits of one length", file("a.json", json.dumps({"train": ROWS[:20], "test": ROWS[20:]}), lambda data: set(data["test"]["text"]) == set(TEXTS[20:])))
add(T, "JSON: splits of two lengths", file("a.json", json.dumps({"train": ROWS[:30], "test": ROWS[30:]}), lambda data: set(data["test"]["text"]) == set(TEXTS[30:])))
add(T, "JSON lines of lists", file("a.jsonl", "".join(json.dumps([t, v]) + "\n" for t, v in PAIRS)))
add(T, "JSON objects over several lines", file("a.jsonl", "\n".join(json.dumps(row, indent=2) for row in ROWS)))
add(T, "JSON objects in one line", file("a.jsonl", "".join(json.dumps(row) for row in ROWS)))
add(T, "JSON lines with commas after them", file("a.jsonl", "".join(json.dumps(row) + ",\n" for row in ROWS)))
add(T, "JSON lines with NaN", file("a.jsonl", "".join(json.dumps({**row, "score": float("nan")}) + "\n" for row in ROWS)), False)
add(T, "JSON lines in UTF-16", file("a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-16"), False)
add(T, "JSON lines with a mark", file("a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8-sig"), False)
add(T, "JSON: texts nested", jsonl_of([{"review": {"text": t}, "label": v} for t, v in PAIRS], asked))
add(T, "JSON: one text is a number", jsonl_of([*ROWS, {"text": 12345, "label": "good"}], lambda data: len(rows_of(data)) in (40, 41) and bool(data.report["warnings"])))
add(T, "JSON: the same key twice", file("a.jsonl", "".join(f'{{"text": "No {n}", "text": {json.dumps(t)}, "label": "{v}"}}\n' for n, (t, v) in enumerate(PAIRS)), told(pairs())))
add(T, "JSON: labels true and false and null", jsonl_of([{"text": t, "label": None if n % 8 == 0 else n % 2 == 0} for n, t in enumerate(TEXTS)], lambda data: len(data.label_names) == 2), False)
# -- packed, or not what they are called


def packed(kind: str) -> bytes:
    content = lines().encode()
    if kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.csv", content)
        return stream.getvalue()
    return {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind](content)


add(T, "csv.gz", file("a.csv.gz", packed("gz")), False)
for kind in ("zip", "bz2", "xz"):
    add(T, f"csv.{kind}", file(f"a.csv.{kind}", packed(kind)))
add(T, "gz without the suffix", file("a.csv", packed("gz")))
add(T, "a spreadsheet called csv", file("a.csv", packed("zip"), asked))
add(T, "a web page called csv", file("a.csv", "<!DOCTYPE html>\n<html><head><title>Sign in, please</title></head>\n<body>\n" + "<p>a, b</p>\n" * 30 + "</body></html>\n", asked))
add(T, "a pointer of Git LFS", file("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n", asked))
add(T, "NUL bytes", file("a.csv", lines().replace("kettle", "ket\0tle"), pairs([t.replace("kettle", "ket\0tle") for t in TEXTS])))
add(T, "one line in another encoding", file("a.csv", lines().encode() + "Café für Müller,good\n".encode("cp1252"), told(lambda data: True)))
for name, sample, encoding in (("gb18030", "这个商店很好", "gb18030"), ("shift_jis", "この店はとても良いです", "shift_jis"), ("euc_kr", "이 가게는 좋아요", "euc_kr"), ("big5", "這個商店很好", "big5"), ("cp1253", "πολύ καλό κατάστημα", "cp1253"), ("cp1254", "çok güzel bir dükkan ışık", "cp1254"), ("iso8859-15", "für 5 € günstig", "iso8859-15"), ("cp1255", "החנות טובה מאוד", "cp1255"), ("cp1256", "المتجر جيد جدا", "cp1256"), ("utf-16-be", "sehr schön", "utf-16-be"), ("cp437", "trés bon café", "cp437")):
    words = [f"{t} {sample}" for t in TEXTS]
    add(T, f"in {name}", file("a.csv", "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(words, LABELS, strict=True)), pairs(words), encoding))
add(T, "a text file with a table", file("a.txt", lines(sep="\t"), told(lambda data: True)))
add(T, "header only", file("a.csv", "text,label\n", asked))
add(T, "nothing", file("a.csv", "", asked))
# -- several labels a row, words
BITS = pd.DataFrame({"text": TEXTS, "toxic": [n % 2 for n in range(40)], "threat": [n // 2 % 2 for n in range(40)], "insult": [n // 4 % 2 for n in range(40)]})


def multi_hot(data: Any) -> bool:
    found = {row["text"]: {name for name, bit in zip(data.label_names, row["label"], strict=True) if bit} for row in rows_of(data)}
    return found == {t: {name for name in ("toxic", "threat", "insult") if BITS[name][n]} for n, t in enumerate(TEXTS)}


NAMES = ["toxic", "threat", "insult"]
for name, change in (("floats", lambda b: b.astype(float)), ("words", lambda b: b.map({0: "False", 1: "True"})), ("marks", lambda b: b.map({0: "", 1: "x"})), ("Y and N", lambda b: b.map({0: "N", 1: "Y"})), ("shares", lambda b: b * 0.75)):
    made = BITS.assign(**{column: change(BITS[column]) for column in NAMES})
    add(T, f"one column per label, {name}, given", csv_of(made, asked if name == "shares" else multi_hot, label_columns=NAMES), error=name == "shares")
    add(T, f"one column per label, {name}", csv_of(made, asked))
add(T, "one column per label, texts called comment_text", csv_of(BITS.rename(columns={"text": "comment_text"}), asked))
add(T, "a label column and columns of 0 and 1", csv_of(BITS.assign(label=LABELS), pairs()), False)
