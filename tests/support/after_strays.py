"""Lines that are as wide as the table and no rows of it, encodings of seven bits, and options that lose lines: second set."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from after_base import add, file, folder, lines, pairs, told
from after_media import as_file, lengths, sounds
from after_series import DAYS, daily, dates, grid
from data_kinds import Check, Made, asked, labels, texts, wave, write

from hf_ssl.data import DomainData

T, S = "tables", "series"
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


# -- files that tell of others, and folders that are no classes
def picture(at: Path, name: str, seed: int) -> Path:
    from PIL import Image

    (at / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(at / name)
    return at


def pictures(names: list[str], check: Check, more: dict[str, str] | None = None, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for seed, name in enumerate(names):
            picture(at / "d", name, seed)
        for name, content in (more or {}).items():
            write(at / "d" / name, content)
        return at / "d", {"modality": "image", **options}, check

    return make


def of_files(data: DomainData) -> bool:
    return data.label_kind is None and len(data["unlabeled"]) == 24


def two_classes(data: DomainData) -> bool:
    return sorted(data.label_names) == ["bad", "good"] and sum(len(data[split]) for split in ("train", "validation", "test")) == 24


numbered = [f"images/IMG_{n:04}.png" for n in range(24)]
add("names", "folders trainA and trainB", pictures([f"{split}{side}/{n}.png" for split in ("train", "test") for side in "AB" for n in range(6)], of_files))
add("names", "folders train1 and train2", pictures([f"train{side}/{n}.png" for side in "12" for n in range(12)], of_files))
add("names", "a sheet with other capitals and suffixes", pictures(numbered, two_classes, {"labels.csv": "file,label\n" + "".join(f"img_{n:04}.JPG,{v}\n" for n, v in enumerate(labels(24)))}))
add("names", "lists of pictures for each split", pictures(numbered, told(of_files), {"train.txt": "".join(f"{n} {i % 2}\n" for i, n in enumerate(numbered[:18])), "test.txt": "".join(f"{n} {i % 2}\n" for i, n in enumerate(numbered[18:]))}), False)


def documents(extra: dict[str, str], check: Check) -> Callable[[Path], Made]:
    return lambda at: ([write(at / "d" / f"{v}/{n}.txt", t) for n, (t, v) in enumerate(PAIRS)] and [write(at / "d" / name, c) for name, c in extra.items()] and (at / "d"), {}, check)


add("names", "lists of texts for each split", documents({"train.txt": "".join(f"{v}/{n}.txt\n" for n, (_, v) in enumerate(PAIRS[:30])), "test.txt": "".join(f"{v}/{n + 30}.txt\n" for n, (_, v) in enumerate(PAIRS[30:]))}, told(pairs())), False)
add("names", "a readme beside folders of texts", documents({"README.md": "About these texts."}, pairs()), False)
add(T, "a table with commas called .txt", file("a.txt", lines(), told(lambda data: len(data["unlabeled"]) == 1)), False)


def shares(at: Path) -> Made:
    from PIL import Image

    for n in range(16):
        picture(at / "d", f"images/{n}.png", n)
        (at / "d" / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.linspace(0, 255, 24 * 24).reshape(24, 24).astype(np.uint8)).save(at / "d" / f"masks/{n}.png")
    write(at / "d" / "a.csv", "image,mask\n" + "".join(f"images/{n}.png,masks/{n}.png\n" for n in range(16)))
    return at / "d", {"modality": "image", "label_column": "mask", "label_kind": "mask"}, asked


add("pictures", "masks of shares", shares)


# -- moments that programs have damaged, or that other countries write
def translated(zero: str) -> list[str]:
    return [stamp.translate({48 + digit: chr(ord(zero) + digit) for digit in range(10)}) for stamp in DAYS.strftime("%Y-%m-%d")]


SHORT: dict[str, Any] = {"horizon": 2, "context_length": 4}
twenty = pd.date_range("2023-01-10", periods=20)
for form in ("%Y-%d-%m", "%Y/%d/%m", "%Y-%d-%m %H:%M"):
    add(S, f"year, day and month as {form}", dates(DAYS.strftime(form), told(daily)))
for what, zero in (("Persian", "۰"), ("Arabic", "٠"), ("wide", "０"), ("Thai", "๐")):
    add(S, f"{what} digits", dates(translated(zero), daily), False)
add(S, "Arabic digits, day first", dates([stamp.translate({48 + digit: chr(0x660 + digit) for digit in range(10)}) for stamp in DAYS.strftime("%d/%m/%Y")], daily), False)
add(S, "the Persian calendar", dates([f"1402/{1 + n // 30:02}/{1 + n % 30:02}" for n in range(180)], asked))
add(S, "minutes and seconds that Excel left", dates([f"{5 * n % 60:02}:00.0" for n in range(500)], asked))
add(S, "times of day without a day", dates([f"{n % 24:02}:00" for n in range(500)], asked))
add(S, "hours 1 to 24 as digits", dates([f"{day:%Y%m%d}{hour:02}00" for day in DAYS[:40] for hour in range(1, 25)], told(grid(960, 24, "h", first="2023-01-05T01", values=list(wave(960))))), False)
add(S, "hours 1 to 25 in a column", dates([f"{day:%Y-%m-%d},{hour}" for day in pd.date_range("2023-10-20", periods=20) for hour in range(1, 26 if day.day == 29 else 25)], told(lambda data: data.report["accounts"]["rows"]["found"] == 481 and data["train"][0]["start"].startswith("2023-10-20")), header="date,hour,sales"), False)
add(S, "days of January without a year", dates(twenty.strftime("%d-%b"), asked, **SHORT))
add(S, "January's days without a year", dates(twenty.strftime("%b-%d"), asked, **SHORT))
add(S, "years and months as fractions", dates([f"{2000 + n / 12:.4f}" for n in range(120)], asked, header="year_decimal,sales"))
add(S, "a thirteenth month", dates([f"{2010 + n // 13},{1 + n % 13}" for n in range(156)], asked, header="year,month,sales"))
EPOCH = [int(day.timestamp()) for day in DAYS]
add(S, "seconds said to be milliseconds", dates(EPOCH, told(lambda data: len(data["train"]) == 1), timestamp_unit="ms"), False)
add(S, "milliseconds said to be seconds", dates([1000 * second for second in EPOCH], daily, timestamp_unit="s"))
add(S, "day first, and a format that says month first", dates(DAYS.strftime("%d/%m/%Y"), daily, timestamp_format="%m/%d/%Y"))
add(S, "World Bank's titles and years", file("a.csv", '"Data Source","World Development Indicators",\n\n"Last Updated Date","2023-05-10",\n\n"Country Name","Country Code",' + ",".join(f'"{year}"' for year in range(1960, 2021)) + ",\n" + "".join(f'"{name}","{name[:3].upper()}",' + ",".join(f'"{number}"' for number in wave(61)) + ",\n" for name in ("Aruba", "Belgium", "Chad", "Denmark")), lambda data: len(data["train"]) == 4 and data["test"][0]["frequency"] == "1", modality="timeseries", horizon=4, context_length=8))
add(S, "InfluxDB's annotations", file("a.csv", "#group,false,false,true,true,false,false\n#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double\n#default,_result,,,,,\n,result,table,_start,_stop,_time,_value\n" + "".join(f",,0,2023-01-01T00:00:00Z,2023-02-01T00:00:00Z,{hour:%Y-%m-%dT%H:%M:%SZ},{number}\n" for hour, number in zip(pd.date_range("2023-01-05", periods=300, freq="h"), wave(300), strict=True)), lambda data: data["test"][0]["frequency"] == "h", modality="timeseries", horizon=12, context_length=32))
add(S, "NASA's header, year and day of the year", file("a.csv", "-BEGIN HEADER-\nNASA/POWER Daily\nLocation: Latitude 1.0\n-END HEADER-\nYEAR,DOY,T2M\n" + "".join(f"{day.year},{day.day_of_year},{number}\n" for day, number in zip(DAYS, wave(500), strict=True)), daily, modality="timeseries", horizon=12, context_length=32))
add(S, "a table called .txt", file("a.txt", "date\tsales\n" + "".join(f"{day:%Y-%m-%d}\t{number}\n" for day, number in zip(DAYS, wave(500), strict=True)), daily, modality="timeseries", horizon=12, context_length=32))
for steps, horizon in ((13, 12), (13, 6), (40, 20)):
    add(S, f"{steps} steps and a horizon of {horizon}", dates(DAYS[:steps].strftime("%Y-%m-%d"), lambda data: len(data["train"]) == 1, horizon=horizon, context_length=4))
add("names", "shares in label columns", file("a.csv", "text,toxic,rude\n" + "".join(f"{t},{n % 4 / 4},{n % 3 / 3:.2f}\n" for n, t in enumerate(texts(40))), asked, label_columns=["toxic", "rude"]))
add(T, "keys of rows in two spellings", file("a.jsonl", "".join(json.dumps({"Text" if n % 2 else "text": t, "label": v}) + "\n" for n, (t, v) in enumerate(PAIRS)), told(pairs())), False)
add(T, "keys in two spellings, both in a row", file("a.jsonl", "".join(json.dumps({"text": t, "Text": "other", "label": v}) + "\n" for t, v in PAIRS), pairs(), input_column="text"), False)


def cut_already(at: Path) -> Made:
    """Files that are parts of recordings, and where these began in them, as UrbanSound8K has them."""
    source, options, check = sounds(as_file(".wav"), lengths())(at)
    names = sorted(file.relative_to(at / "d").as_posix() for file in (at / "d").rglob("*.wav"))
    write(at / "d" / "a.csv", "path,start,end,label\n" + "".join(f"{name},{10 + n},{11 + n},{name.split('/')[0]}\n" for n, name in enumerate(names)))
    return source, {**options, "ignore_columns": ["start", "end"]}, check


add("audio", "places in recordings that were cut already, ignored", cut_already, False)
