"""Lines that are as wide as the table and no rows of it, encodings of seven bits, and options that lose lines: second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from after_base import add, file, folder, lines, pairs, told
from data_kinds import Made, asked, labels, texts, write

T = "tables"
PAIRS = list(zip(texts(40), labels(40), strict=True))
KANA = [f"電車で良い第{n}回 {'abc'[n % 3] * 3}" for n in range(40)]
ACCENTS = [f"café crème {n} à la carte déjà" for n in range(40)]


def table(words: list[str], header: str = "text,label") -> str:
    return header + "\n" + "".join(f"{text},{label}\n" for text, label in zip(words, labels(40), strict=True))


# -- encodings whose bytes are all ASCII
for codec in ("iso2022_jp", "iso2022_kr", "hz"):
    words = KANA if codec == "iso2022_jp" else [word.replace("電車で良い第", "기차로 좋은 " if codec == "iso2022_kr" else "我们坐火车去").replace("回", "") for word in KANA]
    add(T, f"written in {codec}", file("a.csv", table(words).encode(codec), told(pairs(words))), False)
add(T, "written in UTF-7", file("a.csv", table(ACCENTS).encode("utf-7"), pairs(ACCENTS)))
add(T, "colors of a terminal in texts", file("a.csv", table([f"\x1b[31m{t}\x1b(B\x1b[m" for t in texts(40)]), pairs([f"\x1b[31m{t}\x1b(B\x1b[m" for t in texts(40)])), False)
add(T, "sums and plus signs in texts", file("a.csv", table([f"C++ and a+b-c, +49{n}1701, ~{{x}}".replace(",", ";") for n in range(40)]), pairs([f"C++ and a+b-c, +49{n}1701, ~{{x}}".replace(",", ";") for n in range(40)])), False)
# -- lines that are no rows
again = "\ufefftext,label\n"
add(T, "files with marks put together", file("a.csv", again + "".join((again if n in (13, 27) else "") + f"{t},{v}\n" for n, (t, v) in enumerate(PAIRS)), told(pairs())), False)
add(T, "files with marks and quotes put together", file("a.csv", '\ufeff"text","label"\n' + "".join(('\ufeff"text","label"\n' if n == 20 else "") + f'"{t}","{v}"\n' for n, (t, v) in enumerate(PAIRS)), told(pairs())), False)
dated = [f"2024-05-{1 + n % 28:02} 10:00:00,{t},{v}\n" for n, (t, v) in enumerate(PAIRS)]
add(T, "Qualtrics' three header lines", file("a.csv", "StartDate,text,label\nStart Date,\"Please tell us, in words:\",How was it?\n" + '"{""ImportId"":""startDate""}","{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"\n' + "".join(dated)))
add(T, "questions below the header", file("a.csv", "when,text,label\nStart date and time,Please tell us,How was it?\n" + "".join(dated)))
add(T, "SurveyMonkey's second line", file("a.csv", "text,label\nOpen-Ended Response,Response\n" + "".join(f"{t},{v}\n" for t, v in PAIRS)))
add(T, "a first text that asks", file("a.csv", table(["Was it good?", *texts(40)[1:]]), pairs(["Was it good?", *texts(40)[1:]])), False)
add(T, "a second table below", file("a.csv", lines() + "\nlabel,count\ngood,20\nbad,20\n"))
add(T, "blank lines in the middle", file("a.csv", "text,label\n" + "".join(f"{t},{v}\n" + "\n" * (n in (9, 30)) for n, (t, v) in enumerate(PAIRS))), False)
add(T, "a few rows one column to the right", file("a.csv", "id,text,label,note\n" + "".join(f",{n},{t},{v}\n" if n in (7, 23) else f"{n},{t},{v},\n" for n, (t, v) in enumerate(PAIRS)), told(lambda data: pairs([t for n, t in enumerate(texts(40)) if n not in (7, 23)], [v for n, v in enumerate(labels(40)) if n not in (7, 23)])(data))), False)
add(T, "many rows one column to the right", file("a.csv", "id,text,label,note\n" + "".join(f",{n},{t},{v}\n" if n % 4 == 1 else f"{n},{t},{v},\n" for n, (t, v) in enumerate(PAIRS)), asked))
add(T, "a few rows one column to the left", file("a.csv", "id,text,label\n" + "".join(f"{t},{v},\n" if n in (7, 23) else f"{n},{t},{v}\n" for n, (t, v) in enumerate(PAIRS)), told(lambda data: len({row["text"] for row in data["train"]} & set(labels(2))) == 0)), False)
add(T, "some rows without an id", file("a.csv", "id,text,label\n" + "".join(f"{n if n % 5 else ''},{t},{v}\n" for n, (t, v) in enumerate(PAIRS))), False)
add(T, "some rows without an id and numbers as texts", file("a.csv", "id,text,label\n" + "".join(f"{n if n % 5 else ''},{t if n % 7 else n},{v}\n" for n, (t, v) in enumerate(PAIRS)), pairs([t if n % 7 else str(n) for n, t in enumerate(texts(40))])), False)
# -- titles
add(T, "three lines of title and a semicolon in one", file("a.csv", "Export of reviews\nCreated: 2024-05-01; by me\nFilter: none\n\n" + lines(sep=";")))
add(T, "titles padded with separators", file("a.csv", "Report of May;;\n;;\n" + "id;text;label\n" + "".join(f"{n};{t};{v}\n" for n, (t, v) in enumerate(PAIRS))))
add(T, "two titles padded with separators", file("a.csv", "Report of May,,\nNorth,,\nid,text,label\n" + "".join(f"{n},{t},{v}\n" for n, (t, v) in enumerate(PAIRS))))
# -- options that lose lines, or fit not
ragged = "".join(f"{t}{', more' * (n in (3, 9))},{v}\n" for n, (t, v) in enumerate(PAIRS))
add(T, "lines that pandas is told to skip", file("a.csv", "text,label\n" + ragged, told(lambda data: data.report["accounts"]["rows"]["found"] == 40 and not pairs()(data)), csv_options={"on_bad_lines": "skip"}), False)
add(T, "only the first lines asked for", file("a.csv", lines(), told(lambda data: data.report["accounts"]["rows"]["used"] == 30), csv_options={"nrows": 30}), False)
add(T, "another separator than the file's asked for", file("a.csv", lines(), csv_options={"sep": "|"}))
add(T, "packed twice", lambda at: twice(at))


def twice(at: Path) -> Made:
    return write(at / "d" / "a.csv.gz", gzip.compress(gzip.compress(lines().encode()))), {}, pairs()


def array(at: Path) -> Made:
    (at / "d").mkdir()
    np.save(at / "d" / "a.npy", np.ones(3))
    return at / "d", {}, asked


add("files", "an array where texts are asked for", array)
add("files", "a volume among pictures", folder({"a.nii.gz": gzip.compress(b"\0" * 400)}, asked, modality="image"))
