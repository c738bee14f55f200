"""Found is used plus left out, by reason, for every reader: bad items are put among good ones, and all have to be found again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from data_kinds import picture, tone

from hf_ssl.data import load_data

pytest.importorskip("PIL")
pytest.importorskip("soundfile")

Made = tuple[Any, dict[str, Any]]
GOOD = [
    {"text": f"the shop number {n} sold {n * n} kettles to house {7 * n}", "label": "ab"[n % 2]} for n in range(40)
]
BROKEN = [*GOOD, GOOD[0], {"text": "", "label": "a"}, {"text": None, "label": "b"}]
"""Three that are not used: one that is there already, and two without a text."""
SERIES: dict[str, Any] = {"modality": "timeseries"}
FORECAST: dict[str, Any] = {**SERIES, "horizon": 5, "context_length": 10}
READERS: dict[str, tuple[Callable[[Path], Made], dict[str, int]]] = {}


def reader(name: str, **left_out: int) -> Callable[[Callable[[Path], Made]], Callable[[Path], Made]]:
    """Register what writes files for one reader; `left_out`: how many files, rows, pieces and series cannot be used."""

    def register(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
        READERS[name] = (make, left_out)
        return make

    return register


# -- tables, texts, objects


@reader("csv", rows=4)
def _csv(at: Path) -> Made:
    pd.DataFrame(BROKEN).to_csv(at / "a.csv", index=False)
    with (at / "a.csv").open("a") as stream:
        stream.write("one,two,three\n")
    return at, {}


@reader("tsv", rows=3)
def _tsv(at: Path) -> Made:
    pd.DataFrame(BROKEN).to_csv(at / "a.tsv", index=False, sep="\t")
    return at, {}


@reader("jsonl", rows=4)
def _jsonl(at: Path) -> Made:
    (at / "a.jsonl").write_text("\n".join(map(json.dumps, BROKEN)) + "\n{oops\n")
    return at, {}


@reader("json", rows=3)
def _json(at: Path) -> Made:
    (at / "a.json").write_text(json.dumps(BROKEN))
    return at, {}


@reader("parquet", rows=3)
def _parquet(at: Path) -> Made:
    pd.DataFrame(BROKEN).to_parquet(at / "a.parquet")
    return at, {}


@reader("conll", rows=2)
def _conll(at: Path) -> Made:
    lines = [
        "\n".join(f"{word} {'B-X' if word.isdigit() else 'O'}" for word in row["text"].split())
        for row in [*GOOD, GOOD[0]]
    ]
    (at / "a.conll").write_text("\n\n".join(lines) + "\n\nbad line here\n\n")
    return at, {}


@reader("texts, a file each", files=2, rows=1)
def _texts(at: Path) -> Made:
    for n, row in enumerate(BROKEN[:42]):
        (at / f"{n}.txt").write_text(row["text"])
    (at / ".hidden").write_text("x")
    return at, {}


@reader("texts, a line each", rows=2)
def _lines(at: Path) -> Made:
    (at / "a.txt").write_text("\n".join(row["text"] for row in [*GOOD, GOOD[0], GOOD[1]]))
    return at / "a.txt", {"txt": "lines"}


@reader("dictionaries", rows=3)
def _memory(at: Path) -> Made:
    return BROKEN, {}


@reader("an iterator", rows=3)
def _iterator(at: Path) -> Made:
    return iter(BROKEN), {}


@reader("columns", rows=3)
def _columns(at: Path) -> Made:
    return {name: [row[name] for row in BROKEN] for name in ("text", "label")}, {}


@reader("DataFrame", rows=3)
def _frame(at: Path) -> Made:
    return pd.DataFrame(BROKEN), {}


@reader("Dataset", rows=3)
def _dataset(at: Path) -> Made:
    return datasets.Dataset.from_list(BROKEN), {}


@reader("DatasetDict", rows=4)
def _dict(at: Path) -> Made:
    """The pair of splits holds a row of train in test, and a test row without label."""
    test = [*BROKEN[30:], {"text": "nobody knows what this is about", "label": None}]
    return datasets.DatasetDict(train=datasets.Dataset.from_list(GOOD[:30]), test=datasets.Dataset.from_list(test)), {}


@reader("saved Dataset", rows=3)
def _saved(at: Path) -> Made:
    datasets.Dataset.from_list(BROKEN).save_to_disk(at / "saved")
    return at / "saved", {}


# -- pictures, masks, scans


def pictures(at: Path) -> None:
    for n in range(24):
        (at / "ab"[n % 2]).mkdir(exist_ok=True)
        picture(n).save(at / "ab"[n % 2] / f"{n}.png")


@reader("pictures", files=6, rows=1)
def _pictures(at: Path) -> Made:
    pictures(at)
    (at / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    (at / "a" / "empty.png").write_bytes(b"")
    (at / "a" / "Thumbs.db").write_bytes(b"x")
    (at / "a" / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(200))
    (at / "notes.docx").write_bytes(b"PK\3\4")
    (at / ".hidden").write_text("x")
    picture(0).save(at / "a" / "twin.png")
    return at, {"modality": "image"}


@reader("a table of pictures", files=1, rows=1)
def _named(at: Path) -> Made:
    pictures(at)
    rows = [{"image": f"{'ab'[n % 2]}/{n}.png", "label": "ab"[n % 2]} for n in range(23)]
    pd.DataFrame([*rows, {"image": "a/gone.png", "label": "a"}]).to_csv(at / "list.csv", index=False)
    return at, {"modality": "image"}


@reader("masks", rows=3)
def _masks(at: Path) -> Made:
    from PIL import Image

    for folder in ("im", "mask"):
        (at / folder).mkdir()
    for n in range(19):
        picture(n).save(at / "im" / f"{n}.png")
        pixels = np.zeros((24, 24), np.uint8)
        pixels[n:] = 1
        Image.fromarray(pixels).save(at / "mask" / f"{n}.png")
    (at / "mask" / "16.png").unlink()
    (at / "mask" / "17.png").write_bytes(b"no picture")
    (at / "im" / "18.png").write_bytes(b"no picture")
    pd.DataFrame({"image": [f"im/{n}.png" for n in range(19)], "mask": [f"mask/{n}.png" for n in range(19)]}).to_csv(
        at / "list.csv", index=False
    )
    return at, {"modality": "image", "label_column": "mask"}


@reader("DICOM", files=1)
def _dicom(at: Path) -> Made:
    pytest.importorskip("pydicom")
    from new_user import dicom

    for n in range(24):
        dicom(at / ("benign" if n % 2 else "malignant") / f"IM{n}", f"P{n // 4}", "CT", n)
    (at / "benign" / "IMbad").write_bytes(b"\0" * 128 + b"DICMxx")
    return at, {"modality": "image", "group_column": "PatientID"}


# -- sounds


def sounds(at: Path) -> None:
    for n in range(20):
        tone(at / "ab"[n % 2] / f"{n}.wav", 200 + n, 0.5 + 0.01 * n)
    (at / "a" / "broken.wav").write_bytes(b"RIFFxxxxWAVE")


@reader("sounds", rows=3, pieces=1)
def _sounds(at: Path) -> Made:
    sounds(at)
    (at / "a" / "empty.wav").write_bytes(b"")
    tone(at / "a" / "short.wav", 300, 0.01)
    tone(at / "a" / "twin.wav", 200, 0.5)
    return at, {"modality": "audio"}


@reader("a manifest of parts", files=2, rows=4)
def _parts(at: Path) -> Made:
    sounds(at)
    tone(at / "a" / "unnamed.wav", 400)
    rows: list[dict[str, Any]] = [{"path": f"{'ab'[n % 2]}/{n}.wav", "start": 0.0, "end": 0.4} for n in range(19)]
    for path, start, end in (
        ("a/gone.wav", 0, 0.2),
        ("a/0.wav", 9, 10),
        ("a/2.wav", 0.3, 0.1),
        ("a/broken.wav", 0, 0.1),
    ):
        rows.append({"path": path, "start": start, "end": end})
    pd.DataFrame([{**row, "label": "ab"[n % 2]} for n, row in enumerate(rows)]).to_csv(at / "m.csv", index=False)
    return at, {"modality": "audio"}


@reader("a table of names without suffix", files=2)
def _stems(at: Path) -> Made:
    sounds(at)
    tone(at / "a" / "unnamed.wav", 400)
    pd.DataFrame({"uuid": range(20), "status": ["well", "ill"] * 10}).to_csv(at / "meta.csv", index=False)
    return at, {"modality": "audio", "input_column": "uuid", "label_column": "status"}


# -- series


@reader("a long table", rows=1, series=1)
def _long(at: Path) -> Made:
    stamps = pd.date_range("2023-01-01", periods=200).astype(str)
    values = np.random.default_rng(0).random(1200)
    frame = pd.DataFrame(
        {"item_id": np.repeat(list("abcdef"), 200), "timestamp": np.tile(stamps, 6), "target": values}
    )
    frame.loc[5, "timestamp"] = None
    late = pd.DataFrame({"item_id": ["z"], "timestamp": ["2023-01-01"], "target": [1.0]})
    pd.concat([frame, late]).to_csv(at / "a.csv", index=False)
    return at, FORECAST


@reader("a wide table", rows=1)
def _wide(at: Path) -> Made:
    frame = pd.DataFrame(np.random.default_rng(0).random((200, 3)), columns=list("xyz"))
    frame.insert(0, "date", pd.date_range("2023-01-01", periods=200).astype(str))
    frame.loc[7, "date"] = None
    frame.to_csv(at / "a.csv", index=False)
    return at, {**FORECAST, "target_columns": list("xyz")}


@reader(".ts", rows=4)
def _ts(at: Path) -> Made:
    lines = [f"{n},2,3,{n * n}:{'ab'[n % 2]}" for n in range(20)]
    lines += ["?,?,?,?:a", "1,2,oops,4:a", "0,2,3,0:a", "5,6,7,8:c"]
    (at / "a.ts").write_text("@problemName x\n@classLabel true a b\n@data\n" + "\n".join(lines) + "\n")
    return at, SERIES


@reader(".tsf", rows=1, series=1)
def _tsf(at: Path) -> Made:
    lines = [f"T{n}:2020-01-01 00-00-00:" + ",".join(str(n * k % 17) for k in range(60)) for n in range(1, 20)]
    lines += ["S:2020-01-01 00-00-00:1,2", "Q:2020-01-01 00-00-00:1,2,oops"]
    head = "@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@data\n"
    (at / "a.tsf").write_text(head + "\n".join(lines) + "\n")
    return at, FORECAST


@reader(".arff", rows=3)
def _arff(at: Path) -> Made:
    lines = [f"{n},1,{n % 7},{'xy'[n % 2]}" for n in range(20)] + ["?,?,?,x", "1,2,x", "0,1,0,x"]
    head = "@relation x\n@attribute a numeric\n@attribute b numeric\n@attribute e numeric\n@attribute c {x,y}\n@data\n"
    (at / "a.arff").write_text(head + "\n".join(lines) + "\n")
    return at, SERIES


@reader("a table of the UCR archive", rows=2)
def _ucr(at: Path) -> Made:
    lines = ["\t".join([str(n % 2), *(f"{n * k}.5" for k in range(12))]) for n in range(1, 21)]
    (at / "a.tsv").write_text("\n".join([*lines, lines[3], "1\t" + "\t".join(["oops"] * 12)]) + "\n")
    return at, SERIES


def arrays() -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((30, 2, 40)).astype("float32")
    values[3], values[4], values[6, 0, 0] = np.nan, values[5], np.inf
    return values


@reader(".npy", rows=3)
def _npy(at: Path) -> Made:
    np.save(at / "a.npy", arrays())
    return at, SERIES


@reader(".npz with classes as floats", rows=3)
def _npz(at: Path) -> Made:
    classes = np.arange(30) // 2 % 2.0
    classes[9] = np.nan
    np.savez(at / "a.npz", x=arrays(), y=classes)
    return at, SERIES


@pytest.mark.parametrize("name", READERS)
def test_found_is_used_plus_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    make, left_out = READERS[name]
    source, options = make(tmp_path / "d")
    data = load_data(source, verbose=False, max_left_out=0.5, cache_dir=str(tmp_path / ".cache"), **options)
    accounts = data.report["accounts"]
    for unit, account in accounts.items():
        assert account["found"] == account["used"] + sum(account["left_out"].values()), unit
        assert re.search(rf"{unit} +{account['found']:,} found = {account['used']:,} used", data.report_text())
    assert {unit: sum(a["left_out"].values()) for unit, a in accounts.items() if a["left_out"]} == left_out
    used = {
        row for split in ("unlabeled", "train", "validation", "test") if split in data for row in data[split]["id"]
    }
    assert list(accounts.values())[-1]["used"] == len(used)
    assert not any("neither used" in text for text in data.report["warnings"])


def test_every_reason_has_its_own_example(tmp_path: Path) -> None:
    told = load_data(BROKEN, verbose=False).report["warnings"]
    assert any("empty text" in text and "row 41" in text for text in told)
    assert any("no text" in text and "row 42" in text for text in told)
