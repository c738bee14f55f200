"""Made-up files of every kind that real users have, each with what must come out of it.

A case writes its files into a folder and returns what to load, with which options, and a check of the result. `classify` says
whether it was right, a clear error (a `DataError` that names an option or a line), or wrong.
"""

from __future__ import annotations

import gzip
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hf_ssl.core.errors import HfSslError
from hf_ssl.data import DomainData, load_data

Check = Callable[[DomainData], bool]
Made = tuple[Any, dict[str, Any], Check]


@dataclass(frozen=True)
class Case:
    """One file: the kind it is of, its name, what writes it, and whether an error is an answer at all."""

    kind: str
    name: str
    make: Callable[[Path], Made]
    error: bool = True


CASES: list[Case] = []


def case(kind: str, error: bool = True) -> Callable[[Callable[[Path], Made]], Callable[[Path], Made]]:
    """Register a case; `error=False`: it has to be read."""

    def register(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
        CASES.append(Case(kind, make.__name__.strip("_"), make, error))
        return make

    return register


def add(kind: str, name: str, make: Callable[[Path], Made], error: bool = True) -> None:
    CASES.append(Case(kind, name, make, error))


def classify(one: Case, folder: Path) -> tuple[str, str]:
    """`"right"`, `"clear error"` or `"wrong"`, and what was said."""
    source, options, check = one.make(folder)
    try:
        data = load_data(source, **{"verbose": False, "cache_dir": str(folder / ".cache"), **options})
    except HfSslError as error:
        text = str(error)
        clear = any(mark in text for mark in ("=", "line ", "row", "Row ", "column", "file", "abels", "Series"))
        return ("clear error" if one.error and clear else "wrong"), text
    except Exception as error:  # a raw traceback is the thing that must not be
        return "wrong", f"{type(error).__name__}: {error}"
    accounts = data.report["accounts"].items()
    uneven = [unit for unit, a in accounts if a["found"] != a["used"] + sum(a["left_out"].values())]
    told = "; ".join(data.report["warnings"])
    if uneven:
        return "wrong", f"accounts of {uneven} do not add up: {dict(accounts)}"
    return ("right" if check(data) else "wrong"), told


def asked(data: DomainData) -> bool:
    """Nothing but an error is right."""
    return False


# -- what is expected -----------------------------------------------------------------------------------------------------

NOUNS = ["printer", "kettle", "jacket", "camera", "blanket", "lantern", "violin", "pump"]
GOOD, BAD = ["warm", "clever", "bright", "gentle"], ["cold", "awful", "stale", "noisy"]


def texts(count: int) -> list[str]:
    return [
        f"The {NOUNS[n % 8]} from shop {100 + 7 * n} was {(GOOD if n % 2 else BAD)[n % 4]} and order {3000 + n * n} came"
        for n in range(count)
    ]


def labels(count: int) -> list[str]:
    return ["good" if n % 2 else "bad" for n in range(count)]


def reviews(count: int = 40, classes: int = 2, wanted: list[str] | None = None) -> Check:
    """All the texts, as they are, and so many classes."""
    expected = set(wanted if wanted is not None else texts(count))

    def check(data: DomainData) -> bool:
        found = {text for split in ("train", "validation", "test") if split in data for text in data[split]["text"]}
        return found == expected and len(data.label_names) == classes

    return check


def write(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def lines(count: int = 40, sep: str = ",", end: str = "\n", header: str | None = None) -> str:
    head = header if header is not None else f"text{sep}label"
    body = [f"{text}{sep}{label}" for text, label in zip(texts(count), labels(count), strict=True)]
    return (head + end if head else "") + "".join(line + end for line in body)


def table(
    name: str, content: str | bytes, check: Check | None = None, encoding: str = "utf-8", **options: Any
) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        return write(at / name, content, encoding), options, check or reviews()

    return make


# -- 1. geometry of tables ------------------------------------------------------------------------------------------------

T = "tables"
quoted = [f'"{text}, indeed"' for text in texts(40)]
add(
    T,
    "every line ends with a comma",
    table("a.csv", "text,label\n" + "".join(f"{t},{v},\n" for t, v in zip(texts(40), labels(40), strict=False))),
    error=False,
)
add(
    T,
    "header and lines end with a comma",
    table("a.csv", "text,label,\n" + "".join(f"{t},{v},\n" for t, v in zip(texts(40), labels(40), strict=False))),
    error=False,
)
add(
    T,
    "three trailing tabs",
    table(
        "a.tsv", "text\tlabel\n" + "".join(f"{t}\t{v}\t\t\t\n" for t, v in zip(texts(40), labels(40), strict=False))
    ),
    error=False,
)
add(
    T,
    "trailing semicolons",
    table("a.csv", "text;label\n" + "".join(f"{t};{v};\n" for t, v in zip(texts(40), labels(40), strict=False))),
)
add(T, "semicolons", table("a.csv", lines(sep=";")), error=False)
add(T, "tabs in a csv", table("a.csv", lines(sep="\t")), error=False)
add(T, "pipes", table("a.csv", lines(sep="|")), error=False)
add(T, "commas in a tsv", table("a.tsv", lines()), error=False)
add(T, "sep line", table("a.csv", "sep=;\n" + lines(sep=";")), error=False)
add(T, "quoted sep line", table("a.csv", '"sep=|"\r\n' + lines(sep="|", end="\r\n")), error=False)
add(T, "utf-16 with mark", table("a.csv", lines(), encoding="utf-16"), error=False)
add(T, "utf-16 without mark", table("a.csv", lines(), encoding="utf-16-le"), error=False)
add(T, "utf-32", table("a.csv", lines(), encoding="utf-32"), error=False)
add(T, "utf-8 with mark", table("a.csv", lines(), encoding="utf-8-sig"), error=False)
accented = [f"{text} für Müller" for text in texts(40)]
body = "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(accented, labels(40), strict=False))
for encoding in ("cp1252", "latin-1", "cp850", "mac_roman"):
    add(T, f"{encoding}", table("a.csv", body, reviews(wanted=accented), encoding))
polish = [f"{text} źdźbło świeże" for text in texts(40)]
add(
    T,
    "cp1250",
    table(
        "a.csv",
        "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(polish, labels(40), strict=False)),
        reviews(wanted=polish),
        "cp1250",
    ),
)
russian = [f"{text} хорошо" for text in texts(40)]
for encoding in ("cp1251", "koi8_r"):
    add(
        T,
        encoding,
        table(
            "a.csv",
            "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(russian, labels(40), strict=False)),
            reviews(wanted=russian),
            encoding,
        ),
    )
add(T, "old mac line ends", table("a.csv", lines(end="\r")))
add(T, "windows line ends", table("a.csv", lines(end="\r\n")), error=False)
add(T, "blank lines between", table("a.csv", lines().replace("\n", "\n\n")), error=False)
add(
    T,
    "quoted values with commas",
    table(
        "a.csv",
        "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(quoted, labels(40), strict=False)),
        reviews(wanted=[f"{t}, indeed" for t in texts(40)]),
    ),
    error=False,
)
several = [f"{text},\nas they said, twice" for text in texts(40)]
add(
    T,
    "texts of several lines",
    table(
        "a.csv",
        "text,label\n" + "".join(f'"{t}",{v}\n' for t, v in zip(several, labels(40), strict=False)),
        reviews(wanted=several),
    ),
)
letters = [f"Dear all,\n{text}, as I said.\n\nBest, B." for text in texts(40)]
add(
    T,
    "letters",
    table(
        "a.csv",
        "text,label\n" + "".join(f'"{t}",{v}\n' for t, v in zip(letters, labels(40), strict=False)),
        reviews(wanted=letters),
    ),
)
doubled = [f'{text} "they said"' for text in texts(40)]
add(
    T,
    "doubled quotes",
    table(
        "a.csv",
        "text,label\n"
        + "".join('"' + t.replace('"', '""') + f'",{v}\n' for t, v in zip(doubled, labels(40), strict=False)),
        reviews(wanted=doubled),
    ),
    error=False,
)


def stray(at: Path) -> Made:
    rows = [f'"{t}' if n % 10 == 3 else f"{t}" for n, t in enumerate(texts(120))]
    marks = [f'{v}"' if n % 10 == 7 else v for n, v in enumerate(labels(120))]
    content = "text\tlabel\n" + "".join(f"{t}\t{v}\n" for t, v in zip(rows, marks, strict=False))
    return (
        write(at / "a.tsv", content),
        {},
        lambda data: sum(data.num_rows[s] for s in ("train", "validation", "test")) == 120,
    )


add(T, "stray quotes in a tsv", stray)
inches = [f'{text} 15" wide' for text in texts(40)]
add(
    T,
    "inch marks",
    table(
        "a.csv",
        "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(inches, labels(40), strict=False)),
        reviews(wanted=inches),
    ),
)
began = [f'"{t.split()[1]}" {t}' for t in texts(40)]
add(
    T,
    "texts that begin with a quoted word",
    table(
        "a.csv",
        "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(began, labels(40), strict=False)),
        reviews(wanted=began),
    ),
)
mixed = "text,label\n" + "".join(
    (f'"{t}, yes",{v}\n' if n != 12 else f'"{t},{v}\n')
    for n, (t, v) in enumerate(zip(texts(40), labels(40), strict=False))
)
add(T, "one quote never closed", table("a.csv", mixed, asked))
add(
    T,
    "last quote never closed",
    table("a.csv", lines() + '"The last one, good\n', reviews(wanted=[*texts(40), '"The last one'])),
)


def ragged(count: int) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        rows = [
            f"{t},{v}" + (",more,and more" if n < count else "")
            for n, (t, v) in enumerate(zip(texts(100), labels(100), strict=False))
        ]
        return write(at / "a.csv", "text,label\n" + "\n".join(rows)), {}, reviews(wanted=texts(100)[count:])

    return make


add(T, "three rows too wide", ragged(3))
add(T, "half of the rows too wide", ragged(50))
short = "text,label,year\n" + "".join(
    f"{t},{v},2020\n" if n % 25 else f"{t}\n" for n, (t, v) in enumerate(zip(texts(100), labels(100), strict=False))
)
add(T, "rows too short", table("a.csv", short, reviews(wanted=[t for n, t in enumerate(texts(100)) if n % 25])))
unquoted = "text,label\n" + "".join(f"Well, {t},{v}\n" for t, v in zip(texts(40), labels(40), strict=False))
add(T, "unquoted commas everywhere", table("a.csv", unquoted, asked))
add(
    T,
    "row numbers without a name",
    table(
        "a.csv",
        "text,label\n"
        + "".join(f"{n + 1},{t},{v}\n" for n, (t, v) in enumerate(zip(texts(40), labels(40), strict=False))),
    ),
    error=False,
)
add(
    T,
    "row names without a name",
    table(
        "a.csv",
        "text,label\n"
        + "".join(f"r{n}x,{t},{v}\n" for n, (t, v) in enumerate(zip(texts(40), labels(40), strict=False))),
    ),
)
add(T, "pandas index", table("a.csv", pd.DataFrame({"text": texts(40), "label": labels(40)}).to_csv()), error=False)
add(T, "header in capitals", table("a.csv", lines(header="TEXT,Label")), error=False)
add(T, "header with blanks", table("a.csv", lines(header=" text , label ")), error=False)
add(T, "header missing", table("a.csv", lines(header="")))
add(
    T,
    "header missing and followed",
    table("a.csv", lines(header=""), csv_options={"names": ["text", "label"]}),
    error=False,
)
add(T, "title above", table("a.csv", "Reviews of 2024\n" + lines()))
add(
    T,
    "title above and followed",
    table("a.csv", "Reviews of 2024\n\n" + lines(), csv_options={"skiprows": 2}),
    error=False,
)
add(
    T,
    "header repeated within",
    table("a.csv", lines(20) + "text,label\n" + "".join(line + "\n" for line in lines(40).splitlines()[21:])),
    error=False,
)
add(
    T,
    "two columns called text",
    table(
        "a.csv",
        "text,text,label\n"
        + "".join(f"{t},title {n},{v}\n" for n, (t, v) in enumerate(zip(texts(40), labels(40), strict=False))),
    ),
)
add(
    T,
    "Text and text",
    table(
        "a.csv",
        "Text,text,label\n"
        + "".join(f"title {n},{t},{v}\n" for n, (t, v) in enumerate(zip(texts(40), labels(40), strict=False))),
    ),
    error=False,
)


def na_labels(word: str, kept: bool) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        marks = [word if n % 10 == 0 else v for n, v in enumerate(labels(100))]
        content = "text,label\n" + "".join(f"{t},{m}\n" for t, m in zip(texts(100), marks, strict=False))

        def check(data: DomainData) -> bool:
            told = any(repr(word) in text for text in data.report["warnings"])
            return told and (word in data.label_names) == kept and len(data.label_names) == 2 + kept

        return write(at / "a.csv", content), {}, check

    return make


add(T, "labels nan", na_labels("nan", False))
add(T, "labels #N/A", na_labels("#N/A", False))
add(T, "labels NA", na_labels("NA", True))
add(T, "labels None", na_labels("None", True))


def na_texts(at: Path) -> Made:
    rows = [*texts(96), "nan", "nan", "NaN", "nan"]
    return (
        write(at / "a.csv", "text,label\n" + "".join(f"{t},{v}\n" for t, v in zip(rows, labels(100), strict=False))),
        {},
        reviews(wanted=texts(96)),
    )


add(T, "texts nan", na_texts)


def parquet(frame: Callable[[], Any], check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        import pyarrow as pa
        import pyarrow.parquet as pq

        made = frame()
        pq.write_table(made if isinstance(made, pa.Table) else pa.Table.from_pandas(made), at / "a.parquet")
        return at / "a.parquet", options, check or reviews()

    return make


def decimals() -> Any:
    import decimal

    import pyarrow as pa

    return pa.table(
        {"text": texts(40), "label": pa.array([decimal.Decimal(n % 2) for n in range(40)], pa.decimal128(5, 2))}
    )


def nested() -> Any:
    return pd.DataFrame({"text": [{"title": "a", "body": t} for t in texts(40)], "label": labels(40)})


add(T, "parquet decimal labels", parquet(decimals))
add(T, "parquet decimal labels followed", parquet(decimals, label_kind="class"), error=False)
add(T, "parquet nested texts", parquet(nested, asked))
add(
    T,
    "parquet list labels",
    parquet(
        lambda: pd.DataFrame({"text": texts(40), "label": [["a", "b"] if n % 2 else ["b", "c"] for n in range(40)]}),
        reviews(classes=3),
    ),
    error=False,
)
add(
    T,
    "parquet categories",
    parquet(lambda: pd.DataFrame({"text": texts(40), "label": pd.Categorical(labels(40))})),
    error=False,
)
add(
    T,
    "parquet large strings",
    parquet(lambda: pd.DataFrame({"text": texts(40), "label": labels(40)}).convert_dtypes()),
    error=False,
)


def one_per_label(values: tuple[str, str], given: bool) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        rows = [f"{t},{values[n % 2]},{values[n // 2 % 2]},{values[n // 4 % 2]}" for n, t in enumerate(texts(80))]
        path = write(
            at / "a.csv", "comment_text,toxic,obscene,threat\n".replace("comment_text", "text") + "\n".join(rows)
        )
        options = {"label_columns": ["toxic", "obscene", "threat"]} if given else {}

        def check(data: DomainData) -> bool:
            return (
                given
                and sorted(data.label_names) == ["obscene", "threat", "toxic"]
                and data.label_kind == "multilabel"
            )

        return path, options, check

    return make


add(T, "one column per label", one_per_label(("0", "1"), False))
add(T, "one column per label, given", one_per_label(("0", "1"), True), error=False)
add(T, "one yes-no column per label, given", one_per_label(("no", "yes"), True), error=False)


def jsonl(rows: list[Any], check: Check | None = None, raw: list[str] = [], **options: Any) -> Callable[[Path], Made]:  # noqa: B006
    def make(at: Path) -> Made:
        content = [json.dumps(row) for row in rows] + raw
        return write(at / "a.jsonl", "\n".join(content)), options, check or reviews()

    return make


plain = [{"text": t, "label": v} for t, v in zip(texts(40), labels(40), strict=False)]
surrogates = [
    {"text": t + ("\ud83d" if n in (3, 17) else ""), "label": v}
    for n, (t, v) in enumerate(zip(texts(80), labels(80), strict=False))
]
add(
    T,
    "half an emoji",
    jsonl(
        surrogates,
        lambda data: (
            sum(data.num_rows[s] for s in ("train", "validation", "test")) in (78, 80)
            and bool(data.report["warnings"])
        ),
    ),
    error=False,
)
add(T, "one bad line of json", jsonl(plain, raw=['{"text": "oops']), error=False)
add(
    T,
    "labels of mixed types",
    jsonl([{"text": t, "label": (n % 2) if n % 4 else str(n % 2)} for n, t in enumerate(texts(40))]),
    error=False,
)
add(T, "a list among the texts", jsonl([*plain, {"text": ["a", "b"], "label": "good"}]), error=False)
add(
    T,
    "keys in other case",
    jsonl([{"Text": t, "Label": v} for t, v in zip(texts(40), labels(40), strict=False)]),
    error=False,
)
add(T, "json of columns", table("a.json", json.dumps({"text": texts(40), "label": labels(40)})), error=False)
add(
    T, "json of pandas", table("a.json", pd.DataFrame({"text": texts(40), "label": labels(40)}).to_json()), error=False
)
add(T, "huge whole numbers", jsonl([{**row, "n": 10**30} for row in plain]), error=False)
add(T, "label column besides", table("a.csv", lines(header="text,sentiment")))
add(
    T,
    "label column besides, followed",
    table("a.csv", lines(header="text,sentiment"), label_column="sentiment"),
    error=False,
)


# -- 2. dates and steps ---------------------------------------------------------------------------------------------------

S = "series"


def wave(count: int, season: int = 12) -> np.ndarray:
    rng = np.random.default_rng(count)
    return np.round(100 + 10 * np.sin(np.arange(count) * 2 * np.pi / season) + 0.3 * rng.standard_normal(count), 2)


def expect(
    steps: int, season: int | None = None, frequency: str | None = None, series: int = 1, channels: int = 1
) -> Check:
    """So many series of so many steps (with those of test), of this season and step, and nothing missing."""

    def check(data: DomainData) -> bool:
        if "test" not in data or len(data["train"]) != series:
            return False
        row = data["test"][0]
        length = row["offset"] + len(row["series"][0])
        seasons = {row["season"] for row in data["train"]}
        fine = length == steps and len(row["series"]) == channels and (season is None or seasons == {season})
        return fine and (frequency is None or row["frequency"] == frequency)

    return check


def series(
    stamps: Any, check: Check, *, header: str = "date,sales", sep: str = ",", values: Any = None, **options: Any
) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        numbers = wave(len(stamps)) if values is None else values
        content = (
            header + "\n" + "".join(f"{stamp}{sep}{value}\n" for stamp, value in zip(stamps, numbers, strict=False))
        )
        return (
            write(at / "sales.csv", content),
            {"modality": "timeseries", "horizon": 12, "context_length": 32, **options},
            check,
        )

    return make


MONTHS = pd.date_range("2012-01-01", periods=120, freq="MS")
DAYS = pd.date_range("2023-01-05", periods=500, freq="D")
HOURS = pd.date_range("2023-01-05", periods=900, freq="h")
monthly, daily, hourly = expect(120, 12, "MS"), expect(500, 7, "D"), expect(900, 24, "h")
for form in (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d/%m/%y",
    "%b %Y",
    "%Y-%m",
    "%Y%m",
    "%d %B %Y",
    "%YM%m",
):
    add(S, f"months as {form}", series(MONTHS.strftime(form), monthly))
for form in (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%y",
    "%Y%m%d",
    "%d-%b-%Y",
    "%B %d, %Y",
    "%Y-%m-%dT00:00:00Z",
    "%A %d %B %Y",
):
    add(S, f"days as {form}", series(DAYS.strftime(form), daily))
for form in (
    "%Y-%m-%d %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%Y-%m-%d %I:%M:%S %p",
    "%Y%m%d%H",
    "%Y%m%d%H%M",
    "%Y%m%d%H%M%S",
    "%d.%m.%Y %H:%M:%S",
):
    add(S, f"hours as {form}", series(HOURS.strftime(form), hourly))
add(S, "12 hours without am and pm", series(HOURS.strftime("%Y-%m-%d %I:%M"), asked))
add(
    S,
    "few days, both orders possible",
    series(
        pd.date_range("2023-03-01", periods=12, freq="D").strftime("%d/%m/%Y"),
        lambda data: data["test"][0]["frequency"] == "D",
        horizon=2,
        context_length=4,
    ),
)
add(
    S,
    "one day a month on the same day",
    series(
        pd.date_range("2012-01-05", periods=120, freq="MS").map(lambda d: d.replace(day=5)).strftime("%d/%m/%Y"),
        monthly,
    ),
)
for name, nano in (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)):
    add(S, f"epoch {name} of hours", series(HOURS.as_unit("ns").asi8 // nano, hourly))
    add(S, f"epoch {name} of days", series(DAYS.as_unit("ns").asi8 // nano, daily))
add(S, "epoch seconds with a fraction", series([f"{t / 1e9 + 0.5:.1f}" for t in HOURS.as_unit("ns").asi8], hourly))
add(
    S,
    "epoch seconds with a fraction, unit given",
    series([f"{t / 1e9:.1f}" for t in HOURS.as_unit("ns").asi8], hourly, timestamp_unit="s"),
    error=False,
)
add(S, "Excel's days, unit given", series(range(44931, 44931 + 500), daily, timestamp_unit="excel"), error=False)
add(S, "counters", series(range(500), expect(500)), error=False)
add(S, "counters by ten", series(range(0, 5000, 10), expect(500)), error=False)
add(S, "years", series(range(1900, 2020), expect(120)), error=False)
add(S, "format given", series(DAYS.strftime("%Y|%d|%m"), daily, timestamp_format="%Y|%d|%m"), error=False)
add(S, "day first given", series(MONTHS.strftime("%d/%m/%Y"), monthly, day_first=True), error=False)
for alias, steps, season, found in (
    ("ME", 120, 12, "MS"), ("W-SUN", 200, 52, "W"), ("W-WED", 200, 52, "W"), ("28D", 130, 13, "28D"), ("QE", 60, 4, "QS"), ("QS-FEB", 60, 4, "QS"),
    ("YE", 60, 1, "YS"), ("B", 400, 5, "B"), ("15min", 900, 96, "15min"), ("2MS", 60, 6, "2MS"), ("30min", 900, 48, "30min"), ("10s", 900, 1, "10s"),
    ("BME", 120, 12, "MS"), ("6h", 900, None, "6h"), ("2QS", 60, 2, "2QS"),
):  # fmt: skip
    stamps = pd.date_range("2012-01-01", periods=steps, freq=alias)
    add(S, f"step {alias}", series(stamps.strftime("%Y-%m-%d %H:%M:%S"), expect(steps, season, found)), error=False)
    if alias in ("ME", "W-SUN", "QE", "B", "YE"):
        add(
            S,
            f"step {alias}, given",
            series(stamps.strftime("%Y-%m-%d"), expect(steps, season, found), frequency=alias),
            error=False,
        )
for alias in ("M", "H", "W", "MS", "h"):
    stamps = pd.date_range("2012-01-01", periods=200, freq={"M": "MS", "H": "h", "W": "W"}.get(alias, alias))
    add(
        S,
        f"step given as {alias}",
        series(stamps.strftime("%Y-%m-%d %H:%M:%S"), expect(200), frequency=alias),
        error=False,
    )
add(
    S,
    "quarters by name",
    series([f"{2000 + n // 4}Q{n % 4 + 1}" for n in range(60)], expect(60, 4, "QS")),
    error=False,
)
add(
    S,
    "quarters by name, quarter first",
    series([f"Q{n % 4 + 1} {2000 + n // 4}" for n in range(60)], expect(60, 4, "QS")),
)
add(
    S,
    "ISO weeks",
    series(
        [
            f"{d.isocalendar().year}-W{d.isocalendar().week:02d}"
            for d in pd.date_range("2015-01-05", periods=200, freq="W-MON")
        ],
        expect(200, 52, "W"),
    ),
    error=False,
)
zone = pd.date_range("2023-01-05", periods=4000, freq="h", tz="Europe/Berlin")
add(
    S,
    "hours with a zone over summer time",
    series(zone.map(lambda t: t.isoformat()), expect(4000, 24, "h")),
    error=False,
)
add(
    S,
    "hours of local time over summer time",
    series(
        zone.tz_localize(None).strftime("%Y-%m-%d %H:%M"),
        lambda data: bool(data.report["warnings"]) or data.report["decisions"],
    ),
)
add(
    S,
    "days and moments mixed",
    series([d.strftime("%Y-%m-%d") if d.hour == 0 else d.strftime("%Y-%m-%d %H:%M") for d in HOURS], hourly),
    error=False,
)
add(S, "wrong step given", series(DAYS.strftime("%Y-%m-%d"), asked, frequency="h"))
add(
    S,
    "one row without a date",
    series([*DAYS[:100].strftime("%Y-%m-%d"), "", *DAYS[100:].strftime("%Y-%m-%d")], daily),
)
add(S, "infinite value", series(DAYS.strftime("%Y-%m-%d"), asked, values=[*wave(499), math.inf]))
add(
    S,
    "units in the second line",
    series(
        ["", *DAYS.strftime("%Y-%m-%d")],
        lambda data: daily(data) and any("left out: no time stamp" in line for line in data.report["warnings"]),
        values=["kWh", *wave(500)],
    ),
)
add(
    S,
    "decimal comma",
    series(
        DAYS.strftime("%d.%m.%Y"),
        daily,
        header="date;sales",
        sep=";",
        values=[str(v).replace(".", ",") for v in wave(500)],
    ),
    error=False,
)
add(
    S,
    "thousands with dots",
    series(
        DAYS.strftime("%Y-%m-%d"),
        lambda data: any("three digits" in text for text in data.report["warnings"]),
        header="date;sales",
        sep=";",
        values=[f"{int(v * 12):,}".replace(",", ".") for v in wave(500)],
    ),
)
add(
    S,
    "thousands with dots, given",
    series(
        DAYS.strftime("%Y-%m-%d"),
        daily,
        header="date;sales",
        sep=";",
        values=[f"{int(v * 12):,}".replace(",", ".") for v in wave(500)],
        csv_options={"thousands": "."},
    ),
    error=False,
)
add(
    S,
    "thousands and decimal comma",
    series(
        DAYS.strftime("%Y-%m-%d"),
        daily,
        header="date;sales",
        sep=";",
        values=[f"{v * 100:,.2f}".replace(",", "x").replace(".", ",").replace("x", ".") for v in wave(500)],
    ),
    error=False,
)
add(
    S,
    "missing values as NA and ?",
    series(
        DAYS.strftime("%Y-%m-%d"),
        daily,
        values=["NA" if n == 7 else "?" if n == 9 else v for n, v in enumerate(wave(500))],
    ),
    error=False,
)
add(S, "no header", series(DAYS[1:].strftime("%Y-%m-%d"), asked, header="2023-01-05,101.5"))
add(
    S,
    "no header, followed",
    series(
        DAYS[1:].strftime("%Y-%m-%d"), daily, header="2023-01-05,101.5", csv_options={"names": ["timestamp", "value"]}
    ),
    error=False,
)


def frame(build: Callable[[], pd.DataFrame], check: Check, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        build().to_csv(at / "load.csv", index=False)
        return at / "load.csv", {"modality": "timeseries", "horizon": 12, "context_length": 32, **options}, check

    return make


def stores(name: str, values: list[Any], count: int = 900) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {name: value, "date": pd.date_range("2023-01-05", periods=count, freq="h"), "load": wave(count, 24 + n)}
        )
        for n, value in enumerate(values)
    ]
    return pd.concat(parts, ignore_index=True)


for name in ("store", "sensor", "item_id", "area", "id", "meter_nr"):
    add(
        S, f"three series by numeric {name}", frame(lambda name=name: stores(name, [1, 2, 3]), expect(900, 24, "h", 3))
    )
add(
    S,
    "three series by name",
    frame(lambda: stores("unique_id", ["a", "b", "c"]), expect(900, 24, "h", 3)),
    error=False,
)
add(
    S,
    "three series, item column given",
    frame(lambda: stores("store", [1, 2, 3]), expect(900, 24, "h", 3), item_column="store"),
    error=False,
)
add(S, "three series by text", frame(lambda: stores("branch", ["north", "south", "east"]), expect(900, 24, "h", 3)))
add(S, "one store alone", frame(lambda: stores("store", [7]), expect(900, 24, "h", 1)), error=False)
add(
    S,
    "index column",
    frame(lambda: stores("store", [7])[["date", "load"]].reset_index(), expect(900, 24, "h", 1)),
    error=False,
)


def two_columns(clock: str) -> Callable[[Path], Made]:
    days, times = HOURS.strftime("%Y-%m-%d"), HOURS.strftime(clock)
    made = pd.DataFrame({"date": days, "time": times, "load": wave(900, 24)})
    return frame(lambda: made, expect(900, 24, "h", 1))


for clock in ("%H:%M", "%H:%M:%S", "%I:%M %p", "%H", "%H%M"):
    add(S, f"day and time {clock} in two columns", two_columns(clock))
add(
    S,
    "day and hour in two columns",
    frame(
        lambda: pd.DataFrame({"Date": HOURS.strftime("%d/%m/%Y"), "Hour": HOURS.hour, "load": wave(900, 24)}),
        expect(900, 24, "h", 1),
    ),
)
add(
    S,
    "year, month, day, hour",
    frame(
        lambda: pd.DataFrame(
            {"year": HOURS.year, "month": HOURS.month, "day": HOURS.day, "hour": HOURS.hour, "load": wave(900, 24)}
        ),
        expect(900, 24, "h", 1),
    ),
    error=False,
)
add(
    S,
    "year and month",
    frame(lambda: pd.DataFrame({"Year": MONTHS.year, "Month": MONTHS.month, "sales": wave(120)}), monthly),
    error=False,
)
add(
    S,
    "wide with three channels",
    frame(
        lambda: pd.DataFrame({"date": HOURS, "a": wave(900), "b": wave(900) + 1, "c": wave(900) * 2}),
        expect(900, 24, "h", 1, 3),
    ),
    error=False,
)
add(
    S,
    "one column per month",
    frame(
        lambda: pd.DataFrame(
            {
                "product": ["x", "y"],
                **{m.strftime("%Y-%m"): [v, v + 1] for m, v in zip(MONTHS, wave(120), strict=False)},
            }
        ),
        expect(120, 12, "MS", 2),
    ),
    error=False,
)
add(
    S,
    "days twice",
    frame(lambda: pd.concat([pd.DataFrame({"date": DAYS, "sales": wave(500)})] * 2), asked),
)
add(
    S,
    "gaps of half",
    frame(
        lambda: pd.DataFrame({"date": DAYS, "sales": wave(500)}).sample(frac=0.4, random_state=0).sort_values("date"),
        asked,
    ),
)
add(
    S,
    "gaps of half, allowed",
    frame(
        lambda: pd.DataFrame({"date": DAYS, "sales": wave(500)}).sample(frac=0.4, random_state=0).sort_values("date"),
        lambda data: data["train"][0]["frequency"] == "D",
        max_missing=0.7,
    ),
    error=False,
)
add(
    S,
    "holidays missing from business days",
    frame(
        lambda: pd.DataFrame({"date": pd.bdate_range("2020-01-01", periods=400), "close": wave(400)}).drop(
            [5, 90, 200]
        ),
        expect(400, 5, "B"),
    ),
    error=False,
)
add(
    S,
    "frame with dates as index",
    lambda at: (
        pd.DataFrame({"sales": wave(500)}, index=DAYS),
        {"modality": "timeseries", "horizon": 12, "context_length": 32},
        daily,
    ),
    error=False,
)
add(
    S,
    "frame of periods",
    lambda at: (
        pd.DataFrame({"sales": wave(120)}, index=pd.period_range("2012-01", periods=120, freq="M")),
        {"modality": "timeseries", "horizon": 12, "context_length": 32},
        monthly,
    ),
    error=False,
)


# -- 3. what counts as the same -------------------------------------------------------------------------------------------

SAME = "sameness"


def different(values: list[str], label: list[str] | None = None, **options: Any) -> Callable[[Path], Made]:
    """All of these texts are different and must stay."""

    def make(at: Path) -> Made:
        pd.DataFrame({"text": values, "label": label or labels(len(values))}).to_csv(at / "a.csv", index=False)

        def check(data: DomainData) -> bool:
            return (
                sum(data.num_rows[s] for s in ("train", "validation", "test")) == len(values)
                and len(data.label_names) == 2
            )

        return at / "a.csv", options, check

    return make


SUBJECTS = ["आज का मौसम", "वह घर", "मेरी किताब", "यह गाड़ी", "उसकी दुकान", "नदी का पानी", "पुराना मंदिर", "छोटा बच्चा"]
MATRAS = ["ता", "ती", "तू", "तु", "ते", "तो", "तौ", "ति", "तै", "तं", "तः", "त", "का", "की", "कु", "के", "को", "कि", "कै", "कं"]
THAI = [
    "มา",
    "ม่า",
    "ม้า",
    "ม๊า",
    "ม๋า",
    "นา",
    "น่า",
    "น้า",
    "ปา",
    "ป่า",
    "ป้า",
    "ขาว",
    "ข่าว",
    "ข้าว",
    "เสือ",
    "เสื่อ",
    "เสื้อ",
    "ใกล",
    "ใกล้",
    "ไกล",
]
add(SAME, "Hindi", different([f"{a} {b}" for a in SUBJECTS for b in MATRAS]), error=False)
add(SAME, "Thai", different([f"{a}{b}" for a in ("คำว่า", "ฉันเห็น", "เขาพูดถึง", "นี่คือ") for b in THAI]), error=False)
add(
    SAME,
    "Arabic with and without marks",
    different([f"{word} {n}" for n in range(20) for word in ("كَتَبَ", "كُتِبَ", "كُتُب", "كتب")]),
    error=False,
)
add(
    SAME,
    "emoji pairs",
    different(
        [f"train {n} to the fair again today {mark}" for n in range(60) for mark in "😀😡"], ["happy", "angry"] * 60
    ),
    error=False,
)
add(
    SAME,
    "skin tones and flags",
    different([f"see you at {n} {mark}" for n in range(20) for mark in ("👍🏻", "👍🏿", "🇫🇷", "🇩🇪")]),
    error=False,
)
chain = ["C" * n for n in range(1, 21)]
add(
    SAME,
    "SMILES",
    different(
        [
            s
            for c in chain
            for s in (f"{c}[C@H](N)O", f"{c}[C@@H](N)O", f"{c}C(N)O", f"{c}C(=N)O", f"{c}c1ccccc1", f"{c}C1CCCCC1")
        ]
    ),
    error=False,
)
add(
    SAME,
    "code",
    different(
        [s for n in range(20) for s in (f"x{n} += 1", f"x{n} -= 1", f"x{n} == 1", f"x{n} != 1", f"X{n} += 1")]
        + [f"if a{n}:\n    b()\nc()" for n in range(10)]
        + [f"if a{n}:\n    b()\n    c()" for n in range(10)]
    ),
    error=False,
)
add(
    SAME,
    "formulae",
    different(
        [
            s
            for n in range(1, 21)
            for s in (f"x^{n} + y", f"x^{n} - y", f"x_{n} + y", f"(x^{n}) + y", f"x² + {n}", f"x2 + {n}")
        ]
    ),
    error=False,
)
add(
    SAME,
    "case",
    different([s for n in range(30) for s in (f"us {n} go", f"US {n} go", f"Polish {n} the", f"polish {n} the")]),
    error=False,
)
add(
    SAME,
    "punctuation",
    different([s for n in range(40) for s in (f"You came at {n}?", f"You came at {n}!", f"You came at {n}...")]),
    error=False,
)
add(
    SAME,
    "Chinese",
    different([f"我{a}{b}" for a in "买卖看见吃喝想要写读" for b in "书车房花鱼米面菜水酒"]),
    error=False,
)


def merged(values: list[str], kept: int, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        of_pairs = labels(40) * 2 if values[:40] == texts(40) else [label for label in labels(40) for _ in (0, 1)]
        pd.DataFrame({"text": values, "label": of_pairs}).to_csv(at / "a.csv", index=False)
        return (
            at / "a.csv",
            {"max_left_out": 1.0, **options},
            lambda data: sum(data.num_rows[s] for s in ("train", "validation", "test")) == kept,
        )

    return make


add(SAME, "each text twice", merged([*texts(40), *texts(40)], 40), error=False)
add(
    SAME,
    "accents composed in two ways",
    merged([s for n in range(40) for s in (f"caf\u00e9 number {n} of us", f"cafe\u0301 number {n} of us")], 40),
    error=False,
)
add(
    SAME,
    "blanks",
    merged([s for n in range(40) for s in (f"the  shop {n} of\tus ", f"the shop {n} of us")], 40),
    error=False,
)
add(
    SAME,
    "words only, asked for",
    merged([s for n in range(40) for s in (f"The shop {n}, of us!", f"the shop {n} of us")], 40, normalize="words"),
    error=False,
)
add(
    SAME,
    "exact, asked for",
    merged(
        [s for n in range(40) for s in (f"the  shop {n} of us", f"the shop {n} of us")],
        80,
        normalize="exact",
        near_duplicates=False,
    ),
    error=False,
)


# -- 4. names and conventions ---------------------------------------------------------------------------------------------

N = "names"


def text_folders(folders: dict[str, int], check: Check, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        number = 0
        for folder, count in folders.items():
            for _ in range(count):
                write(at / "d" / folder / f"{number}.txt", f"{texts(number + 1)[-1]} number {number}")
                number += 1
        return at / "d", options, check

    return make


add(
    N,
    "a class called pool",
    text_folders(
        {"pool": 20, "garden": 20, "kitchen": 20},
        lambda data: sorted(data.label_names) == ["garden", "kitchen", "pool"],
    ),
)
add(
    N,
    "a class called pool, followed",
    text_folders(
        {"pool": 20, "garden": 20, "kitchen": 20},
        lambda data: sorted(data.label_names) == ["garden", "kitchen", "pool"],
        split_names=[],
    ),
    error=False,
)
add(
    N,
    "classes train, bus, car",
    text_folders({"train": 20, "bus": 20, "car": 20}, lambda data: len(data.label_names) == 3),
)
add(
    N,
    "class pool inside splits",
    text_folders(
        {"train/pool": 20, "train/garden": 20, "test/pool": 10, "test/garden": 10},
        lambda data: sorted(data.label_names) == ["garden", "pool"] and data.num_rows["test"] == 20,
    ),
)
add(
    N,
    "class pool inside splits, followed",
    text_folders(
        {"train/pool": 20, "train/garden": 20, "test/pool": 10, "test/garden": 10},
        lambda data: sorted(data.label_names) == ["garden", "pool"] and data.num_rows["test"] == 20,
        split_names=["train", "test"],
    ),
    error=False,
)
add(
    N,
    "classes test and control",
    text_folders({"test": 20, "control": 20}, lambda data: sorted(data.label_names) == ["control", "test"]),
)
add(
    N,
    "train and test of classes",
    text_folders(
        {"train/a": 20, "train/b": 20, "test/a": 10, "test/b": 10},
        lambda data: data.label_names == ["a", "b"] and data.num_rows["test"] == 20,
    ),
    error=False,
)
add(
    N,
    "classes beside unlabeled",
    text_folders(
        {"a": 20, "b": 20, "unlabeled": 30},
        lambda data: data.label_names == ["a", "b"] and data.num_rows["unlabeled"] == 30,
    ),
    error=False,
)


def spelled(values: list[Any], classes: int, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        pd.DataFrame({"text": texts(len(values)), "label": values}).to_csv(at / "a.csv", index=False)
        return at / "a.csv", options, lambda data: len(data.label_names) == classes

    return make


add(N, "Positive and positive", spelled(["Positive", "negative", "positive", "Negative"] * 20, 2))
add(
    N,
    "Positive and positive, folded",
    spelled(["Positive", "negative", "positive", "Negative"] * 20, 2, fold_labels=True),
    error=False,
)
add(
    N,
    "Positive and positive, kept",
    spelled(["Positive", "negative", "positive", "Negative"] * 20, 4, fold_labels=False),
    error=False,
)
add(N, "0 and 0.0", spelled(["0", "1", "0.0", "1.0"] * 20, 2))
add(N, "labels with blanks", spelled(["good ", " bad", "good", "bad"] * 20, 2), error=False)
add(N, "true and True", spelled(["true", "False", "True", "false"] * 20, 2))
add(N, "labels 0.0 and 1.0", spelled(["0.0", "1.0"] * 40, 2))
add(
    N,
    "float labels with gaps",
    lambda at: (
        pd.DataFrame({"text": texts(80), "label": [float(n % 2) if n % 5 else None for n in range(80)]}),
        {"label_kind": "class"},
        lambda data: data.label_names == ["0", "1"],
    ),
    error=False,
)
add(
    N,
    "bool labels",
    lambda at: (
        pd.DataFrame({"text": texts(80), "label": [bool(n % 2) for n in range(80)]}),
        {},
        lambda data: len(data.label_names) == 2,
    ),
    error=False,
)
add(N, "prices as labels", spelled([100 + 7 * n for n in range(80)], 80))
add(N, "prices as labels, given", spelled([100 + 7 * n for n in range(80)], 0, label_kind="regression"), error=False)
add(N, "several labels by commas", spelled(["a,b", "b", "c,a", "c"] * 20, 3, label_kind="multilabel"))
add(
    N,
    "several labels by commas, given",
    spelled(["a,b", "b", "c,a", "c"] * 20, 3, label_kind="multilabel", label_separator=","),
    error=False,
)
add(
    N,
    "lists as text",
    spelled(["['a', 'b']", "['b']", "['c', 'a']", "['c']"] * 20, 3, label_kind="multilabel"),
    error=False,
)
add(N, "lists as text, kind open", spelled(["['a', 'b']", "['b']", "['c', 'a']", "['c']"] * 20, 3))
add(
    N,
    "regression with decimal comma",
    spelled(["1,5", "2,25", "3,0", "4,75"] * 20, 0, label_kind="regression"),
    error=False,
)


def grouped(name: str, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        pd.DataFrame({"text": texts(80), "label": labels(80), name: [f"p{n % 16}" for n in range(80)]}).to_csv(
            at / "a.csv", index=False
        )

        def check(data: DomainData) -> bool:
            sides = [set(data[split]["group"]) for split in ("train", "test") if "group" in data[split].column_names]
            return len(sides) == 2 and not sides[0] & sides[1]

        return at / "a.csv", options, check

    return make


for name in ("group", "Patient_ID", "speaker", "subject id", "Author"):
    add(N, f"a column {name}", grouped(name))
add(N, "a column Patient_ID, given", grouped("Patient_ID", group_column="patient_id"), error=False)


def tagged(scheme: str, kind: str = "conll") -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        spans = [["Ann", "Lee"], ["Bo"], ["Cy", "de", "Witt"]]
        rows, wanted = [], []
        for n in range(60):
            name, place = spans[n % 3], ["Perth"] if n % 2 else ["New", "York"]
            words = [
                *name,
                *(["Dee"] if n % 5 == 0 else []),
                "likes",
                *place,
                f"number{n}",
                "#1" if n % 7 == 0 else ".",
            ]
            tags = written(len(name), "PER", scheme, False)
            true = ["B-PER", *["I-PER"] * (len(name) - 1)]
            if n % 5 == 0:  # a second person right behind the first
                tags, true = tags + written(1, "PER", scheme, True), [*true, "B-PER"]
            tags = [*tags, "O", *written(len(place), "LOC", scheme, False), "O", "O"]
            wanted.append((words, [*true, "O", "B-LOC", *["I-LOC"] * (len(place) - 1), "O", "O"]))
            rows.append((words, tags))
        if kind == "conll":
            write(
                at / "a.conll", "\n\n".join("\n".join(f"{w} {t}" for w, t in zip(*row, strict=False)) for row in rows)
            )
        elif kind == "words":
            write(
                at / "a.csv",
                "Sentence #,Word,Tag\n"
                + "".join(
                    f"{f'Sentence: {n}' if not k else ''},{w},{t}\n"
                    for n, row in enumerate(rows)
                    for k, (w, t) in enumerate(zip(*row, strict=False))
                ),
            )
        else:
            write(at / "a.jsonl", "\n".join(json.dumps({"tokens": w, "ner_tags": t}) for w, t in rows))

        def check(data: DomainData) -> bool:
            true = {" ".join(words): tags for words, tags in wanted}
            names = data.label_names
            found = {
                " ".join(row["tokens"]): [names[tag] for tag in row["tags"]]
                for split in ("train", "validation", "test")
                for row in data[split]
            }
            return found == (true if scheme != "IO" else {text: joined_spans(tags) for text, tags in true.items()})

        return at, {"label_kind": "tags"}, check

    return make


def joined_spans(tags: list[str]) -> list[str]:
    """What IO can tell: spans that touch are one."""
    return [
        tag if tag == "O" or not k or tags[k - 1] == "O" or tags[k - 1][2:] != tag[2:] else f"I-{tag[2:]}"
        for k, tag in enumerate(tags)
    ]


def written(length: int, kind: str, scheme: str, touches: bool) -> list[str]:
    """Tags of one span in a scheme."""
    if scheme == "IOB1":
        return [f"{'B' if touches else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
    if scheme == "IOB2":
        return [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
    if scheme == "IO":
        return [f"I-{kind}"] * length
    single, last = ("S", "E") if scheme == "BIOES" else ("U", "L")
    return [f"{single}-{kind}"] if length == 1 else [f"B-{kind}", *[f"I-{kind}"] * (length - 2), f"{last}-{kind}"]


for scheme in ("IOB1", "IOB2", "BIOES", "BILOU", "IO"):
    add(N, f"tags in {scheme}", tagged(scheme), error=False)
add(N, "IOB1 in JSON lines", tagged("IOB1", "jsonl"), error=False)
add(N, "one word per row", tagged("IOB2", "words"), error=False)
add(N, "one word per row in BIOES", tagged("BIOES", "words"), error=False)


# -- 5. nothing vanishes --------------------------------------------------------------------------------------------------

V = "files"


def links(outside: bool, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        home = at / "data"
        for number, text in enumerate(texts(20)):
            write(home / "good" / f"{number}.txt", text)
            write((at / "elsewhere" if outside else home / ".store") / f"{number}.txt", text.replace("shop", "house"))
        (home / "bad").symlink_to(at / "elsewhere" if outside else home / ".store", target_is_directory=True)
        return home, options, lambda data: sorted(data.label_names) == ["bad", "good"]

    return make


add(V, "a linked folder inside", links(False), error=False)
add(V, "a linked folder outside", links(True))
add(V, "a linked folder outside, followed", links(True, follow_links=True), error=False)


def circle(at: Path) -> Made:
    make = text_folders({"a": 10, "b": 10}, lambda data: data.label_names == ["a", "b"])
    source, options, check = make(at)
    (source / "a" / "again").symlink_to(source, target_is_directory=True)
    return source, options, check


add(V, "a circle of links", circle, error=False)
add(
    V,
    "hidden and system files",
    lambda at: (
        write(at / "d" / ".DS_Store", b"\0")
        and write(at / "d" / "Thumbs.db", b"\0")
        and write(at / "d" / "a.csv", lines()).parent,
        {},
        reviews(),
    ),
    error=False,
)
add(
    V,
    "a readme beside",
    lambda at: (
        write(at / "d" / "README.md", "# read me") and write(at / "d" / "a.csv", lines()).parent,
        {},
        reviews(),
    ),
    error=False,
)
add(
    V,
    "an archive beside",
    lambda at: (
        write(at / "d" / "more.zip", b"PK\3\4") and write(at / "d" / "a.csv", lines()).parent,
        {},
        asked,
    ),
)
add(
    V,
    "texts beside a table",
    lambda at: (
        [write(at / "d" / f"{n}.txt", t) for n, t in enumerate(texts(9))]
        and write(at / "d" / "a.csv", lines()).parent,
        {},
        asked,
    ),
)
add(
    V,
    "one damaged gz of eleven",
    lambda at: (
        [
            write(at / "d" / f"{n}.jsonl.gz", gzip.compress(json.dumps(row).encode()))
            for n, row in enumerate(plain[:30])
        ]
        and write(at / "d" / "x.jsonl.gz", b"\x1f\x8bno").parent,
        {"test_fraction": 0, "validation_fraction": 0},
        lambda data: data.num_rows["train"] == 30,
    ),
)
add(
    V,
    "ids that repeat",
    lambda at: (
        pd.DataFrame({"text": texts(40), "label": labels(40), "key": [f"k{n % 39}" for n in range(40)]}),
        {"id_column": "key"},
        lambda data: len({i for s in data for i in data[s]["id"]}) == 40 and bool(data.report["warnings"]),
    ),
    error=False,
)
add(
    V,
    "ids that repeat with numbers",
    lambda at: (
        pd.DataFrame(
            {"text": texts(40), "label": labels(40), "key": ["a", "a", "a-2", "a-2", *[f"k{n}" for n in range(36)]]}
        ),
        {"id_column": "key"},
        lambda data: len({i for s in data for i in data[s]["id"]}) == 40,
    ),
    error=False,
)


def tone(
    path: Path, hertz: float, seconds: float = 0.5, rate: int = 16_000, subtype: str = "PCM_16", scale: float = 0.5
) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, scale * np.sin(2 * np.pi * hertz * time), rate, subtype=subtype, format="WAV")
    return path


A = "audio"


def sounds(change: Callable[[Path, int], None], check: Check, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for number in range(20):
            kind = "low" if number % 2 else "high"
            path = tone(at / "d" / kind / f"{number}.wav", (200 if number % 2 else 800) + number, 0.5 + 0.01 * number)
            change(path, number)
        return at / "d", {"modality": "audio", **options}, check

    return make


def resized(size: int) -> Callable[[Path, int], None]:
    def change(path: Path, number: int) -> None:
        content = bytearray(path.read_bytes())
        content[4:8] = struct.pack("<I", size)
        place = content.index(b"data") + 4
        content[place : place + 4] = struct.pack("<I", size)
        path.write_bytes(bytes(content))

    return change


def all_sounds(data: DomainData) -> bool:
    """All twenty, each at its full length."""
    lengths = sorted(row["length"] for split in ("train", "validation", "test") for row in data[split]["audio"])
    return lengths == [int((0.5 + 0.01 * n) * 16_000) for n in range(20)] and len(data.label_names) == 2


add(A, "sizes 0, through a pipe", sounds(resized(0), all_sounds), error=False)
add(A, "sizes unknown, through a pipe", sounds(resized(0xFFFFFFFF), all_sounds), error=False)
add(A, "sizes of ffmpeg's pipe", sounds(resized(0x7FFFFFFF), all_sounds), error=False)
add(
    A,
    "all cut short",
    sounds(lambda path, n: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) and None, asked),
)
add(
    A,
    "float in the range of 16 bits",
    sounds(lambda path, n: tone(path, 300 + n, 0.5 + 0.01 * n, subtype="FLOAT", scale=20_000) and None, asked),
)
add(
    A,
    "float in the range of 16 bits, given",
    sounds(
        lambda path, n: tone(path, 300 + n, 0.5 + 0.01 * n, subtype="FLOAT", scale=20_000) and None,
        all_sounds,
        full_scale=32768,
    ),
    error=False,
)
add(
    A,
    "named m4a, and are",
    sounds(
        lambda path, n: path.rename(path.with_suffix(".m4a")).write_bytes(b"\0\0\0\x20ftypM4A ") and None,
        asked,
    ),
)
add(
    A,
    "named without suffix",
    sounds(lambda path, n: path.rename(path.with_suffix("")) and None, all_sounds),
    error=False,
)
add(
    A,
    "a fifth is short",
    sounds(lambda path, n: tone(path, 300, 0.05) and None if n < 4 else None, asked),
)


def manifest(
    columns: Callable[[int, int], dict[str, Any]], name: str = "m.jsonl", **options: Any
) -> Callable[[Path], Made]:
    """Eight recordings of four seconds: low, high, low, high; each row is one second."""

    def make(at: Path) -> Made:
        import soundfile

        rows = []
        for talk in range(8):
            time = np.arange(16_000) / 16_000
            parts = [0.5 * np.sin(2 * np.pi * ((200 if n % 2 == 0 else 800) + talk + 10 * n) * time) for n in range(4)]
            (at / "d" / "clips").mkdir(parents=True, exist_ok=True)
            soundfile.write(at / "d" / "clips" / f"talk{talk}.wav", np.concatenate(parts), 16_000)
            rows += [{**columns(talk, n), "label": "low" if n % 2 == 0 else "high"} for n in range(4)]
        if name.endswith("jsonl"):
            write(at / "d" / name, "\n".join(map(json.dumps, rows)))
        else:
            pd.DataFrame(rows).to_csv(at / "d" / name, index=False, sep="\t" if name.endswith("tsv") else ",")

        def check(data: DomainData) -> bool:
            from hf_ssl.modalities.audio.audio import Audio

            splits = [split for split in ("train", "validation", "test") if split in data]
            for split in splits:
                for row in data[split]:
                    samples = Audio().samples(row["audio"])
                    peak = np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples)
                    if len(samples) != 16_000 or data.label_names[row["label"]] != ("low" if peak < 500 else "high"):
                        return False
            return sum(data.num_rows[s] for s in splits) == 32

        return at / "d", {"modality": "audio", **options}, check

    return make


def at_path(talk: int) -> str:
    return f"clips/talk{talk}.wav"


add(
    A,
    "NeMo: offset and duration",
    manifest(lambda t, n: {"audio_filepath": at_path(t), "offset": float(n), "duration": 1.0}),
    error=False,
)
add(
    A,
    "start and duration",
    manifest(lambda t, n: {"path": at_path(t), "start": n, "duration": 1.0}, "m.csv"),
    error=False,
)
add(A, "start and end", manifest(lambda t, n: {"path": at_path(t), "start": n, "end": n + 1}, "m.csv"), error=False)
add(
    A,
    "onset and offset",
    manifest(lambda t, n: {"file_name": at_path(t), "onset": n, "offset": n + 1.0}, "m.tsv"),
    error=False,
)
add(
    A,
    "start_ms and end_ms",
    manifest(lambda t, n: {"path": at_path(t), "start_ms": 1000 * n, "end_ms": 1000 * n + 1000}, "m.csv"),
    error=False,
)
add(
    A,
    "milliseconds called start and end",
    manifest(lambda t, n: {"path": at_path(t), "start": 1000 * n, "end": 1000 * n + 1000}, "m.csv"),
)
add(
    A,
    "milliseconds called start and end, given",
    manifest(lambda t, n: {"path": at_path(t), "start": 1000 * n, "end": 1000 * n + 1000}, "m.csv", time_unit="ms"),
    error=False,
)
add(
    A,
    "start_sample and end_sample",
    manifest(
        lambda t, n: {"path": at_path(t), "start_sample": 16_000 * n, "end_sample": 16_000 * n + 16_000}, "m.csv"
    ),
    error=False,
)
add(A, "start and offset", manifest(lambda t, n: {"path": at_path(t), "start": n, "offset": n + 1}, "m.csv"))
add(
    A,
    "backslashes",
    manifest(lambda t, n: {"path": at_path(t).replace("/", "\\"), "start": n, "end": n + 1}, "m.csv"),
    error=False,
)
add(
    A,
    "Common Voice: names only",
    manifest(
        lambda t, n: {"path": f"talk{t}.wav", "start": n, "end": n + 1},
        "train.tsv",
        test_fraction=0,
        validation_fraction=0,
    ),
    error=False,
)


def kaldi(at: Path) -> Made:
    source, options, check = manifest(lambda t, n: {"path": at_path(t), "start": n, "end": n + 1})(at)
    (source / "m.jsonl").unlink()
    write(source / "wav.scp", "".join(f"talk{t} clips/talk{t}.wav\n" for t in range(8)))
    write(source / "segments", "".join(f"talk{t}-{n} talk{t} {n} {n + 1}\n" for t in range(8) for n in range(4)))
    write(
        source / "utt2label",
        "".join(f"talk{t}-{n} {'low' if n % 2 == 0 else 'high'}\n" for t in range(8) for n in range(4)),
    )
    return source, options, check


add(A, "Kaldi", kaldi)


# -- pictures and masks ---------------------------------------------------------------------------------------------------

P = "pictures"


def picture(seed: int, kind: int = 0) -> Any:
    from PIL import Image as pil

    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    pixels[4:20, 4:20, kind] = 255
    return pil.fromarray(pixels)


def pictures(save: Callable[[Path, int], None], check: Check, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for number in range(24):
            folder = at / "d" / ("round" if number % 2 else "square")
            folder.mkdir(parents=True, exist_ok=True)
            save(folder, number)
        return at / "d", {"modality": "image", **options}, check

    return make


def count_pictures(count: int) -> Check:
    return lambda data: (
        sum(data.num_rows[s] for s in ("train", "validation", "test")) == count
        and data.label_names == ["round", "square"]
    )


def saved(name: str, form: str, **how: Any) -> Callable[[Path, int], None]:
    return lambda folder, n: picture(n, n % 2).save(folder / f"{n}{name}", format=form, **how)


def pages(form: str, suffix: str, count: int = 3) -> Callable[[Path, int], None]:
    def save(folder: Path, n: int) -> None:
        more = [picture(1000 + 10 * n + k, n % 2) for k in range(count - 1)]
        picture(n, n % 2).save(folder / f"{n}{suffix}", format=form, save_all=True, append_images=more)

    return save


add(P, "jfif", pictures(saved(".jfif", "JPEG"), count_pictures(24)), error=False)
add(P, "no suffix", pictures(saved("", "PNG"), count_pictures(24)), error=False)
add(P, "wrong suffix", pictures(saved(".jpg", "PNG"), count_pictures(24)), error=False)
add(P, "capital suffix", pictures(saved(".PNG", "PNG"), count_pictures(24)), error=False)
add(P, "TIFF of several pages", pictures(pages("TIFF", ".tif"), asked))
add(
    P, "TIFF of several pages, first", pictures(pages("TIFF", ".tif"), count_pictures(24), frames="first"), error=False
)
add(P, "TIFF of several pages, all", pictures(pages("TIFF", ".tif"), count_pictures(72), frames="all"), error=False)
add(P, "animated GIF", pictures(pages("GIF", ".gif"), asked))
add(P, "animated WEBP", pictures(pages("WEBP", ".webp"), asked))
add(P, "animated PNG", pictures(pages("PNG", ".png"), asked))
add(
    P,
    "HEIC",
    pictures(lambda folder, n: write(folder / f"{n}.heic", b"\0\0\0\x18ftypheic" + bytes(200)) and None, asked),
)
add(
    P,
    "half are videos",
    pictures(
        lambda folder, n: (
            picture(n, n % 2).save(folder / f"{n}.png")
            if n < 12
            else write(folder / f"{n}.mp4", b"\0\0\0\x18ftypisom" + bytes(200)) and None
        ),
        asked,
    ),
)


def stray_table(at: Path) -> Made:
    source, options, _ = pictures(saved(".png", "PNG"), count_pictures(24))(at)
    write(source / "notes.csv", "camera,lens\nA,50\nB,35\n")
    return source, options, count_pictures(24)


add(P, "a stray table", stray_table)


def sheet(columns: Callable[[int], dict[str, Any]], labels_option: bool) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for number in range(24):
            (at / "d" / "pics").mkdir(parents=True, exist_ok=True)
            picture(number, number % 2).save(at / "d" / "pics" / f"{number}.png")
        pd.DataFrame([columns(n) for n in range(24)]).to_csv(at / "d" / "labels.csv", index=False)
        if labels_option:
            return (
                at / "d" / "pics",
                {"modality": "image", "labels_file": str(at / "d" / "labels.csv")},
                count_pictures(24),
            )
        return at / "d", {"modality": "image"}, count_pictures(24)

    return make


def shape(n: int) -> str:
    return "round" if n % 2 else "square"


add(P, "a sheet of labels", sheet(lambda n: {"file_name": f"{n}.png", "label": shape(n)}, True), error=False)
add(
    P,
    "a sheet of labels called Image and Class",
    sheet(lambda n: {"Image": f"{n}.png", "Class": shape(n)}, True),
    error=False,
)
add(P, "a sheet of labels without suffixes", sheet(lambda n: {"id": f"{n}", "label": shape(n)}, True), error=False)
add(P, "a table of paths", sheet(lambda n: {"image": f"pics/{n}.png", "label": shape(n)}, False), error=False)
add(P, "a table of names", sheet(lambda n: {"filename": f"{n}.png", "Label": shape(n)}, False), error=False)
add(P, "a table of backslashes", sheet(lambda n: {"path": f"pics\\{n}.png", "label": shape(n)}, False), error=False)
add(P, "a table that names half", sheet(lambda n: {"image": f"pics/{n % 12}.png", "label": shape(n % 12)}, False))


def masks(
    draw: Callable[[int], Any], classes: list[int] | None, suffix: str = ".png", **options: Any
) -> Callable[[Path], Made]:
    """`classes`: what pixels must be in the end; None: nothing is right but an error."""

    def make(at: Path) -> Made:
        for number in range(16):
            for folder in ("im", "mask"):
                (at / "d" / folder).mkdir(parents=True, exist_ok=True)
            picture(number).save(at / "d" / "im" / f"{number}.png")
            draw(number).save(at / "d" / "mask" / f"{number}{suffix}")
        pd.DataFrame(
            {"image": [f"im/{n}.png" for n in range(16)], "mask": [f"mask/{n}{suffix}" for n in range(16)]}
        ).to_csv(at / "d" / "list.csv", index=False)

        def check(data: DomainData) -> bool:
            from hf_ssl.tasks.segmentation import mask_of

            found = {value for row in data["train"] for value in np.unique(mask_of(row["label"])).tolist()}
            return classes is not None and sorted(found) == classes

        return at / "d", {"modality": "image", "label_column": "mask", **options}, asked if classes is None else check

    return make


def drawn(values: list[Any], mode: str = "L") -> Callable[[int], Any]:
    from PIL import Image as pil

    def draw(n: int) -> Any:
        shape = (24, 24) if mode in ("L", "P", "I;16") else (24, 24, 3)
        pixels = np.zeros(shape, np.uint16 if mode == "I;16" else np.uint8)
        for place, value in enumerate(values):
            pixels[6 * place : 6 * place + 6 + n % 3] = value
        made = pil.fromarray(pixels)
        if mode == "P":
            made = made.convert("P")
            made.putdata(pixels.ravel().tolist())
        return made

    return draw


add(P, "masks of 0, 1, 2", masks(drawn([0, 1, 2]), [0, 1, 2]), error=False)
add(P, "masks of 0, 1, 255", masks(drawn([0, 1, 255]), [0, 1, 255]), error=False)
add(P, "masks of 0 and 255", masks(drawn([0, 255]), [0, 1]), error=False)
add(P, "masks of 0, 128, 255", masks(drawn([0, 128, 255]), [0, 1, 2]))
add(
    P,
    "masks of 0, 128, 255, given",
    masks(drawn([0, 128, 255]), [0, 1, 2], mask_values=["0", "128", "255"]),
    error=False,
)
add(P, "masks of 0, 50, 100, 150", masks(drawn([0, 50, 100, 150]), [0, 1, 2, 3]))
add(P, "masks of a palette", masks(drawn([0, 1, 2], "P"), [0, 1, 2]), error=False)
add(P, "masks in JPEG", masks(drawn([0, 2]), None, ".jpg"))
add(P, "masks in JPEG, given", masks(drawn([0, 255]), [0, 1], ".jpg", mask_values=["0", "255"]), error=False)
add(P, "masks in colors", masks(drawn([(0, 0, 0), (255, 0, 0), (0, 255, 0)], "RGB"), [0, 1, 2]))
add(
    P,
    "masks in colors, given",
    masks(
        drawn([(0, 0, 0), (255, 0, 0), (0, 255, 0)], "RGB"), [0, 1, 2], mask_values=["#000000", "#ff0000", "#00ff00"]
    ),
    error=False,
)
add(P, "masks in gray saved as colors", masks(drawn([(0, 0, 0), (1, 1, 1), (2, 2, 2)], "RGB"), [0, 1, 2]), error=False)
add(P, "masks of 16 bits", masks(drawn([0, 1, 2], "I;16"), [0, 1, 2]))
add(P, "masks of 16 bits, sparse", masks(drawn([0, 1000, 2000], "I;16"), None))
