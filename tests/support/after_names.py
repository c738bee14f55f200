"""What counts as the same, names and conventions, second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from after_base import LABELED, add, csv_of, file, folder, jsonl_of, pairs, pool, rows_of, told
from data_kinds import Check, Made, asked, labels, texts, write

from hf_ssl.data import DomainData

SAME, N, F = "sameness", "names", "files"
TEXTS, LABELS = texts(40), labels(40)


def apart(values: Sequence[str], **options: Any) -> Callable[[Path], Made]:
    """Different texts, labeled by turns, all of which must be there (or what is gone must be told)."""
    rows = [{"text": text, "label": f"c{n % 2}"} for n, text in enumerate(values)]

    def check(data: DomainData) -> bool:
        found = {row["text"] for row in rows_of(data)}
        return found == set(values) and len(rows_of(data)) == len(set(values))

    return jsonl_of(rows, check, **options)


ITEMS = ["sodium", "water", "acid", "silver", "copper", "iron", "zinc", "lead", "tin", "gold", "neon", "argon"]


def twins(*ends: str, form: str = "{item} {end}") -> list[str]:
    return [form.format(item=item, end=end) for item in ITEMS for end in ends]


for name, values in (
    ("C, C++ and C#", twins("C", "C++", "C#", form="we write {item} drivers in {end}")), ("at most and at least", twins("≤ 5", "≥ 5")), ("squares and twos", twins("x²", "x2", "x₂")),
    ("circled and plain digits", twins("①", "1")), ("wide and narrow letters", twins("Ａ", "A")), ("ligatures", twins("ﬁn", "fin")), ("Greek", twins("α", "β")), ("signs of numbers", twins("-5", "5", "+5")), ("decimal points", twins("1.5", "15", "1,5", "1 5")),
    ("US and us", twins("US", "us", form="{item} for {end} only")), ("Maße and Masse", twins("Maße", "Masse")), ("dotless i", twins("sıkıldım", "sikildim")), ("Hebrew points", twins("שָׁלוֹם", "שלום")), ("Bengali", twins("কি", "কী", "কু")), ("Tamil", twins("கா", "கி", "கீ")), ("Khmer", twins("កា", "កិ", "កី")),
    ("joiners of Persian", twins("می‌خواهم", "میخواهم")), ("hearts", twins("❤️", "💔", "💛")), ("families", twins("👨‍👩‍👧", "👨‍👩‍👦")), ("DNA", twins("ACGTacgt", "ACGTACGT")), ("question and exclamation", twins("done?", "done!", "done.")), ("LaTeX", twins("$x^2$", "$x_2$", "$\\hat{x}$")),
    ("indents", twins("if x:\n  y\n  z", "if x:\n  y\nz")), ("markup", twins("<b>yes</b>", "yes", "<i>yes</i>")), ("arrows", twins("A → B", "A ← B", "A ↔ B")), ("simplified and traditional", twins("发", "髮", "發")), ("Japanese", twins("はし", "ハシ", "橋")),
    ("hashtags", twins("#fail", "fail", "@fail")), ("versions", twins("1.10", "1.1", "1.1.0")), ("units", twins("5 mg", "5 µg", "5 Mg")), ("Korean", twins("물", "불", "풀")), ("chess", twins("Nf3", "nf3", "Nf3+", "Nf3#")), ("poems and prose", twins("one\ntwo", "one two")),
    ("ratings in stars", twins("★☆☆", "★★☆", "★★★")), ("brackets", twins("(a, b]", "[a, b)", "[a, b]")), ("Braille", twins("⠁⠃", "⠃⠁")), ("music", twins("C♯", "C♭", "C")), ("InChI", twins("/t2-/m0/s1", "/t2-/m1/s1", form="InChI=1S/{item}{end}")), ("paths", twins("/a/b", "\\a\\b", "a b")), ("currencies", twins("5 €", "5 $", "5 £")),
):  # fmt: skip
    add(SAME, name, apart(values), False)
add(SAME, "an underscore", apart(twins("a_b", "a b", "ab")), False)
add(SAME, "long molecules that differ in one mark", apart([f"C1=CC=C2C(=C1)C(=CN2)C[C@{'@' * k}H](C(=O)N[C@H](CC{'C' * n})C(=O)O)N" for n in range(20) for k in (0, 1)], near_duplicates=False), False)
add(SAME, "near molecules are told", lambda at: (*apart([f"C1=CC=C2C(=C1)C(=CN2)C[C@{'@' * k}H](C(=O)N[C@H](CC{'C' * n})C(=O)O)N" for n in range(20) for k in (0, 1)])(at)[:2], lambda data: len(rows_of(data)) == 40 or bool(data.report["warnings"])), False)
add(SAME, "code that differs in one symbol", apart([f"def f_{n}(a, b):\n    return a {sign} b if a else None\n" for n in range(12) for sign in "+-*"], near_duplicates=False), False)
add(SAME, "templates", apart([f"Dear customer, your order {1000 + 37 * n} has been sent to {ITEMS[n % 12]} street {n}" for n in range(60)], near_duplicates=False), False)

# -- folders


def docs(folders: dict[str, int], check: Check, more: dict[str, str] | None = None, **options: Any) -> Callable[[Path], Made]:
    """Text files in folders; every text is its own and names its folder."""

    def make(at: Path) -> Made:
        for place, (name, count) in enumerate(folders.items()):
            for n in range(count):
                write(at / "d" / name / f"{n}.txt", f"In {name.replace('/', ' ')} {texts(1000)[97 * place + n]}")
        for name, content in (more or {}).items():
            write(at / "d" / name, content)
        return at / "d", options, check

    return make


def classes(*names: str, train: int | None = None, test: int | None = None) -> Check:
    def check(data: DomainData) -> bool:
        fine = sorted(data.label_names or []) == sorted(names)
        return fine and test in (None, data.num_rows.get("test")) and train in (None, data.num_rows.get("train"))

    return check


add(N, "IMDB", docs({"train/pos": 12, "train/neg": 12, "train/unsup": 12, "test/pos": 12, "test/neg": 12}, classes("neg", "pos", test=24), {"README": "read me", "imdb.vocab": "the\nand\na", "imdbEr.txt": "0.1\n0.2"}))
add(N, "IMDB without papers", docs({"train/pos": 12, "train/neg": 12, "train/unsup": 12, "test/pos": 12, "test/neg": 12}, classes("neg", "pos", test=24)), False)
add(N, "Train and Test in capitals", docs({"Train/Cats": 12, "Train/Dogs": 12, "Test/Cats": 12, "Test/Dogs": 12}, classes("Cats", "Dogs", test=24)), False)
add(N, "training_set twice", docs({"training_set/training_set/cats": 12, "training_set/training_set/dogs": 12, "test_set/test_set/cats": 12, "test_set/test_set/dogs": 12}, classes("cats", "dogs", test=24)))
add(N, "seg_train twice", docs({"seg_train/seg_train/sea": 12, "seg_train/seg_train/street": 12, "seg_test/seg_test/sea": 12, "seg_test/seg_test/street": 12}, classes("sea", "street", test=24)))
add(N, "folders train_data and test_data", docs({"train_data/sea": 12, "train_data/street": 12, "test_data/sea": 12, "test_data/street": 12}, classes("sea", "street", test=24)))
add(N, "classes above splits", docs({"sea/train": 12, "sea/test": 12, "street/train": 12, "street/test": 12}, classes("sea", "street", test=24)), False)
add(N, "folds", docs({"fold1/sea": 8, "fold1/street": 8, "fold2/sea": 8, "fold2/street": 8, "fold3/sea": 8, "fold3/street": 8}, classes("sea", "street")))
add(N, "dev and eval", docs({"train/a": 12, "train/b": 12, "dev/a": 12, "dev/b": 12, "eval/a": 12, "eval/b": 12}, lambda data: classes("a", "b")(data) and (data.num_rows["test"] == 24 or bool(data.report["warnings"]))))
add(N, "holdout beside classes", docs({"a": 20, "b": 20, "holdout": 20}, told(lambda data: True)))
add(N, "labeled and unlabeled", docs({"labeled/a": 20, "labeled/b": 20, "unlabeled": 20}, classes("a", "b")))
add(N, "a class Validation", docs({"Validation": 20, "Entrance": 20, "Exit": 20}, classes("Entrance", "Exit", "Validation")))
add(N, "classes Dev and Ops", docs({"Dev": 20, "Ops": 20}, classes("Dev", "Ops")))
add(N, "classes val and invalid", docs({"valid": 20, "invalid": 20}, classes("invalid", "valid")))
add(N, "classes called by numbers", docs({"0": 20, "1": 20, "10": 20}, classes("0", "1", "10")), False)
add(N, "classes of one letter's case", docs({"cat": 20, "Cat": 20, "dog": 20}, told(classes("cat", "Cat", "dog"))))
add(N, "a class composed in two ways", docs({"caf\u00e9": 20, "cafe\u0301": 20, "bar": 20}, told(lambda data: len(data.label_names) == 2)))
add(N, "a class in train only", docs({"train/a": 20, "train/b": 20, "train/c": 20, "test/a": 10, "test/b": 10}, classes("a", "b", "c")))
add(N, "a class in test only", docs({"train/a": 20, "train/b": 20, "test/a": 10, "test/b": 10, "test/c": 10}, told(lambda data: True)))
add(N, "an empty class folder", lambda at: (docs({"a": 20, "b": 20}, classes("a", "b"))(at)[0] and (at / "d" / "c").mkdir() or at / "d", {}, told(classes("a", "b"))))
add(N, "images and annotations", docs({"texts": 20, "annotations": 20}, told(lambda data: True)))
# -- spellings of labels


def spelled(values: Sequence[Any], wanted: Sequence[str] | None, **options: Any) -> Callable[[Path], Made]:
    marks = [values[n % len(values)] for n in range(40)]
    return jsonl_of([{"text": t, "label": v} for t, v in zip(TEXTS, marks, strict=True)], (lambda data: sorted(data.label_names) == sorted(wanted)) if wanted else asked, **options)


def told_of(values: Sequence[Any]) -> Callable[[Path], Made]:
    """Labels that may be read in two ways: the user has to be told."""
    return jsonl_of([{"text": t, "label": values[n % len(values)]} for n, t in enumerate(TEXTS)], told(lambda data: True))


add(N, "yes, Yes and YES", spelled(["yes", "no", "Yes", "NO"], None))
add(N, "yes and Yes, folded", spelled(["yes", "no", "Yes", "No"], ["no", "yes"], fold_labels=True))
add(N, "1, 01 and 1.0", spelled(["1", "2", "01", "2.0"], None))
add(N, "no-break blanks behind", spelled(["good", "bad", "good\u00a0", "bad\u00a0"], ["bad", "good"]))
add(N, "zero-width blanks behind", spelled(["good", "bad", "good\u200b", "bad\u200b"], ["bad", "good"]))
add(N, "carriage returns behind", file("a.csv", "text,label\n" + "".join(f"{t},{v}{chr(13) if n % 4 < 2 else ''}\n" for n, (t, v) in enumerate(zip(TEXTS, LABELS, strict=True))), pairs()))
add(N, "accents in two compositions", spelled(["caf\u00e9", "bar", "cafe\u0301"], ["bar", "caf\u00e9"]))
add(N, "wide letters", spelled(["good", "bad", "ｇｏｏｄ"], None))
add(N, "true, 1 and True", told_of([True, False, "true", 0]))
add(N, "one label with a dot", spelled(["good", "bad", "good."], ["bad", "good", "good."]))
add(N, "numbers and words", spelled([1, 2, "three", 4], ["1", "2", "4", "three"]))
add(N, "one class", spelled(["good"], None))
add(N, "labels are long texts", jsonl_of([{"text": t, "label": f"I think that {t}"} for t in TEXTS], asked))
add(N, "labels in a list as text, double quotes", spelled(['["a", "b"]', '["b"]', '["c"]'], None))
add(N, "labels in a list as text, given", spelled(['["a", "b"]', '["b"]', '["c"]'], ["a", "b", "c"], label_kind="multilabel"))
add(N, "labels in a set as text, given", spelled(["{'a', 'b'}", "{'b'}", "{'c'}"], ["a", "b", "c"], label_kind="multilabel"))
add(N, "labels by semicolons, given", spelled(["a; b", "b", "c;a"], ["a", "b", "c"], label_kind="multilabel", label_separator=";"), False)
add(N, "labels by bars", told_of(["a|b", "b", "c|a"]))
add(N, "labels by commas", told_of(["a,b", "b", "c,a", "a,b,c"]))
add(N, "labels by blanks, given", spelled(["a b", "b", "c a"], ["a", "b", "c"], label_kind="multilabel", label_separator=" "), False)
add(N, "empty lists among labels", spelled([["a"], [], ["b", "a"]], ["a", "b"]), False)
add(N, "regression with a word", file("a.csv", "text,label\n" + "".join(f"{t},{n if n != 7 else 'seven'}\n" for n, t in enumerate(TEXTS)), asked, label_kind="regression"))
# -- groups
for name in ("patientId", "SubjectID", "reviewerID", "user.id", "Speaker Name", "author_name", "doc_id", "video_id", "Patient No.", "userID", "subj", "MRN", "participant_number", "source_file", "conversation_id", "thread_id", "article_id", "family_id"):
    add(N, f"a group column {name}", csv_of(pd.DataFrame({"text": TEXTS, "label": LABELS, name: [f"k{n // 4}" for n in range(40)]}), told(pairs())))
for name in ("id", "row_id", "date", "lang", "source", "country", "title", "year", "url", "length"):
    add(N, f"a harmless column {name}", csv_of(pd.DataFrame({"text": TEXTS, "label": LABELS, name: [f"x{n}" if name in ("id", "row_id", "url", "title") else f"y{n // 4}" for n in range(40)]}), lambda data: not data.report["warnings"] and pairs()(data)), False)
# -- tags
WORDS = [f"Mr {name} Smith of {firm} Ltd saw Berlin {n}".split() for n, (name, firm) in enumerate((a, b) for a in ("Jo", "Al", "Ed", "Max", "Tim") for b in ("Acme", "Apex", "Zeta", "Moto"))]
SPANS = ["O", "B-PER", "I-PER", "O", "B-ORG", "I-ORG", "O", "B-LOC", "O"]


def tag_check(wanted: list[str] | None = None) -> Check:
    def check(data: DomainData) -> bool:
        found = rows_of(data)
        return len(found) == 20 and all([data.label_names[tag] for tag in row["tags"]] == (wanted or SPANS) and len(row["tokens"]) == 9 for row in found)

    return check


def conll(change: Callable[[str], str], check: Check | None = None, name: str = "a.conll", form: str = "{word}\t{tag}", gap: str = "\n", tags: Sequence[str] = SPANS, head: str = "", encoding: str = "utf-8", **options: Any) -> Callable[[Path], Made]:
    content = head + gap.join("".join(form.format(word=w, tag=change(t)) + "\n" for w, t in zip(words, tags, strict=True)) for words in WORDS)
    return file(name, content, check or tag_check(), encoding, **{"label_kind": "tags", **options})


add(N, "tags by blanks", conll(lambda t: t, form="{word} {tag}"), False)
add(N, "tags of CoNLL-2003", conll(lambda t: t, form="{word} NN B-NP {tag}", head="-DOCSTART- -X- -X- O\n\n"), False)
add(N, "tags of MultiCoNER", conll(lambda t: t, form="{word} _ _ {tag}", gap="\n# id 1f2 domain=en\n", head="# id 1f2 domain=en\n"), False)
add(N, "tags in CRLF, with a mark", conll(lambda t: t, form="{word}\t{tag}\r", encoding="utf-8-sig"), False)
add(N, "tags in txt", conll(lambda t: t, name="train.txt", form="{word} {tag}", validation_fraction=0.1), False)
add(N, "tags in txt, not said", conll(lambda t: t, told(lambda data: True), name="ner.txt", form="{word} {tag}", label_kind=None))
add(N, "tags in lower case", conll(str.lower, lambda data: tag_check()(data) or tag_check([t[:1] + t[1:].lower() for t in SPANS])(data)))
add(N, "tags with the prefix behind", conll(lambda t: t if t == "O" else f"{t[2:]}-{t[0]}", lambda data: tag_check()(data) or bool(data.report["warnings"])))
add(N, "tags with underscores", conll(lambda t: t.replace("-", "_"), lambda data: tag_check()(data) or tag_check([t.replace("-", "_") for t in SPANS])(data)))
add(N, "a dash for outside", conll(lambda t: "-" if t == "O" else t, lambda data: tag_check()(data) or bool(data.report["warnings"])))
add(N, "zero for outside", conll(lambda t: "0" if t == "O" else t, lambda data: tag_check()(data) or bool(data.report["warnings"])))
add(N, "an empty tag for outside", conll(lambda t: "" if t == "O" else t, lambda data: tag_check()(data) or bool(data.report["warnings"])))
add(N, "tags with small types", conll(lambda t: t if t == "O" else t[:2] + t[2:].lower(), tag_check(["O", "B-per", "I-per", "O", "B-org", "I-org", "O", "B-loc", "O"])), False)
add(N, "words that are hashes", file("a.conll", "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(["#", "#tag", "#1", *words[3:]], SPANS, strict=True)) for words in WORDS), tag_check(), label_kind="tags"))
add(N, "words with no-break blanks", file("a.conll", "\n".join("".join(f"{w}\u00a0x\t{t}\n" for w, t in zip(words, SPANS, strict=True)) for words in WORDS), tag_check(), label_kind="tags"))
add(N, "words that are quotes, tsv", file("a.tsv", "sentence_id\tword\ttag\n" + "".join(f'{n}\t{w}\t{t}\n' for n, words in enumerate(WORDS) for w, t in zip(['"', *words[1:8], '"'], SPANS, strict=True)), tag_check(), label_kind="tags"))
add(N, "words NA, null and nan", csv_of(pd.DataFrame([{"sentence_id": n, "word": w, "tag": t} for n, words in enumerate(WORDS) for w, t in zip(["NA", *words[1:8], "null" if n % 2 else "nan"], SPANS, strict=True)]), tag_check(), label_kind="tags"))
KAGGLE = pd.DataFrame([{"Sentence #": f"Sentence: {n + 1}" if k == 0 else None, "Word": w, "POS": "NN", "Tag": t} for n, words in enumerate(WORDS) for k, (w, t) in enumerate(zip(words, SPANS, strict=True))])
add(N, "Kaggle's table of words", csv_of(KAGGLE, tag_check(), label_kind="tags"), False)
add(N, "Kaggle's table of words in cp1252", file("a.csv", KAGGLE.replace("Jo", "José").to_csv(index=False), tag_check(), "cp1252", label_kind="tags"))
NUMBERED = pd.DataFrame([{"doc_id": n // 5, "sent_id": n % 5, "word": w, "tag": t} for n, words in enumerate(WORDS) for w, t in zip(words, SPANS, strict=True)])
add(N, "sentences numbered anew in every document", csv_of(NUMBERED, tag_check(), label_kind="tags"))
add(N, "sentences numbered anew, no document", csv_of(NUMBERED.drop(columns="doc_id"), tag_check(), label_kind="tags"))
add(N, "words and tags, blank rows between", file("a.csv", "word,tag\n" + "\n".join("".join(f"{w},{t}\n" for w, t in zip(words, SPANS, strict=True)) for words in WORDS), tag_check(), label_kind="tags"))
add(N, "tags in one string", jsonl_of([{"tokens": words, "tags": " ".join(SPANS)} for words in WORDS], tag_check(), label_kind="tags"))
add(N, "words and tags in strings", csv_of(pd.DataFrame([{"tokens": " ".join(words), "tags": " ".join(SPANS)} for words in WORDS]), tag_check(), label_kind="tags"))
add(N, "lists written as text", csv_of(pd.DataFrame([{"tokens": str(words), "ner_tags": str(SPANS)} for words in WORDS]), tag_check(), label_kind="tags"))
add(N, "tags as numbers", jsonl_of([{"tokens": words, "ner_tags": [0, 1, 2, 0, 3, 4, 0, 5, 0]} for words in WORDS], lambda data: len(data.label_names) == 6))
add(N, "one tag too few", jsonl_of([{"tokens": words, "tags": SPANS[: 9 - (n == 7)]} for n, words in enumerate(WORDS)], told(lambda data: data.report["accounts"]["rows"]["left_out"] == {"as many words as tags are needed": 1})))
add(N, "tags O only", jsonl_of([{"tokens": words, "tags": ["O"] * 9} for words in WORDS], asked))
add(N, "spans by offsets", jsonl_of([{"text": " ".join(words), "entities": [[3, 5, "PER"]]} for words in WORDS], told(lambda data: True)))
add(N, "BIOES in train, IOB2 in test", folder({"train.conll": "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(words, ["O", "B-PER", "E-PER", "O", "B-ORG", "E-ORG", "O", "S-LOC", "O"], strict=True)) for words in WORDS[:14]), "test.conll": "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(words, SPANS, strict=True)) for words in WORDS[14:])}, tag_check(), label_kind="tags"))
# -- files that vanish
add(F, "texts in two encodings", folder({f"{c}/{n}.txt": (f"{c} über {t}").encode("cp1252" if n % 2 else "utf-8") for c in ("a", "b") for n, t in enumerate(TEXTS[:20])}, lambda data: {r["text"] for r in rows_of(data)} == {f"{c} über {t}" for c in ("a", "b") for t in TEXTS[:20]}))
add(F, "empty texts among them", folder({f"{c}/{n}.txt": f"{c} {t}" if n else "" for c in ("a", "b") for n, t in enumerate(TEXTS[:20])}, told(lambda data: len(rows_of(data)) == 38)))
add(F, "pdf among texts", folder({f"{c}/{n}.{'pdf' if n < 8 else 'txt'}": f"{c} {t}" for c in ("a", "b") for n, t in enumerate(TEXTS[:20])}, told(lambda data: True)))
add(F, "docx and html among texts", folder({f"{c}/{n}.{'docx' if n < 8 else 'html' if n < 12 else 'txt'}": f"{c} {t}" for c in ("a", "b") for n, t in enumerate(TEXTS[:20])}, told(lambda data: True)))
add(F, "one pickle beside a table", folder({"a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)), "b.pkl": b"\x80\x04."}, told(pairs())))
add(F, "a spreadsheet beside a table", folder({"a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)), "b.xlsx": b"PK\x03\x04"}, told(pairs())))
add(F, "names with a tilde and lock files", folder({"a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)), "~$a.csv": b"\x05user", ".~lock.a.csv#": "x"}, pairs()))
add(F, "a backup beside a table", folder({"a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)), "a.csv~": "x", "a.csv.bak": "x"}, pairs()))
add(F, "a copy of the table", folder({name: "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)) for name in ("a.csv", "a (1).csv")}, told(pairs())))
add(F, "ids that repeat across files", folder({name: "id,text,label\n" + "".join(f"{n},{name[0]} {t},{v}\n" for n, (t, v) in enumerate(zip(TEXTS, LABELS, strict=True))) for name in ("a.csv", "b.csv")}, lambda data: len({r["id"] for r in rows_of(data)}) == 80, id_column="id"))
add(F, "rows that are all the same", file("a.csv", "text,label\n" + "The same text,good\n" * 30 + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)), told(lambda data: len(rows_of(data)) == 41)))
add(F, "one text under two labels", file("a.csv", "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)) + f"{TEXTS[0]},good\n{TEXTS[1]},bad\n", told(lambda data: True)))
add(F, "texts only", folder({f"{n}.txt": t for n, t in enumerate(TEXTS)}, pool(TEXTS)), False)
assert LABELED
