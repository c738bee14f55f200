"""The third set: what a clinic, a plant, a grid operator, a call centre, chemists and annotators export.

Its author had read the readers' code, and wrote the files from what those programs are known to export.

What is expected stood here before any file was read: the right reading, the right reading with a warning, or an error.
"""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from after_base import Told, amounts, file, folder, pairs, pool, rows_of
from data_kinds import Case, Check, Made, asked, labels, picture, texts, tone, wave, write

from hf_ssl.data import DomainData

CASES: list[Case] = []
TEXTS, LABELS = texts(40), labels(40)
PAIRS = list(zip(TEXTS, LABELS, strict=True))
SERIES: dict[str, Any] = {"modality": "timeseries", "horizon": 12, "context_length": 32}
DAYS, HOURS = pd.date_range("2023-01-05", periods=500, freq="D"), pd.date_range("2023-01-05", periods=900, freq="h")


def new(kind: str, name: str, make: Callable[[Path], Made], error: bool = True) -> None:
    CASES.append(Case(kind, name, make, error))


def grid(steps: int, step: str | None = None, series: int = 1, missing: int = 0) -> Check:
    """So many series of so many steps, so many of them missing, and the values of `wave` where they are one channel."""

    def check(data: DomainData) -> bool:
        if "test" not in data or len(data["train"]) != series:
            return False
        row = data["test"][0]
        seen = np.array(row["series"], dtype=float)
        first = np.array(data["train"][0]["series"], dtype=float)
        whole = np.concatenate([first, seen], axis=1) if first.shape[1] <= row["offset"] else seen
        return row["offset"] + seen.shape[1] == steps and step in (None, row["frequency"]) and int(np.isnan(whole).any(axis=0).sum()) <= missing + 12

    return check


def table(header: str, rows: list[str], name: str = "a.csv", check: Check | None = None, encoding: str = "utf-8", end: str = "\n", top: str = "", tail: str = "", **options: Any) -> Callable[[Path], Made]:
    content = top + end.join([*([header] if header else []), *rows]) + end + tail
    return file(name, content, check, encoding, **options)


def stamped(stamps: Any, header: str, check: Check, sep: str = ",", values: Any = None, name: str = "a.csv", encoding: str = "utf-8", top: str = "", tail: str = "", **options: Any) -> Callable[[Path], Made]:
    numbers = wave(len(stamps)) if values is None else values
    return table(header, [f"{stamp}{sep}{value}" for stamp, value in zip(stamps, numbers, strict=True)], name, check, encoding, top=top, tail=tail, **{**SERIES, **options})


def told(check: Check) -> Check:
    return Told(check)


def german(values: Any) -> list[str]:
    return [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in values]


def json_of(rows: Any, check: Check | None = None, name: str = "a.json", **options: Any) -> Callable[[Path], Made]:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) if name.endswith("l") else json.dumps(rows, ensure_ascii=False)
    return file(name, content, check, **options)


# -- spreadsheets of many countries
X = "spreadsheets"
UMLAUTS = [f"{t} für 5 € – schön" for t in TEXTS]
new(X, "German Excel, reviews", table("Bewertung;Klasse", [f"{t};{v}" for t, v in zip(UMLAUTS, LABELS, strict=True)], check=pairs(UMLAUTS), encoding="cp1252", end="\r\n", input_column="Bewertung", label_column="Klasse"), False)
new(X, "German Excel, amounts", table("text;label", [f"{t};{n},5" for n, t in enumerate(TEXTS)], check=amounts([n + 0.5 for n in range(40)]), label_kind="regression"), False)
new(X, "German Excel, load every quarter of an hour", stamped(pd.date_range("2023-01-05", periods=900, freq="15min").strftime("%d.%m.%Y %H:%M"), "Datum;Leistung [kW]", grid(900, "15min"), ";", german(wave(900) * 100), encoding="cp1252"))
new(X, "German Excel with a sum below", stamped(DAYS.strftime("%d.%m.%Y"), "Datum;Umsatz", grid(500, "D"), ";", german(wave(500)), tail="Summe;50.000,00\n"))
new(X, "French Excel, flow", stamped(HOURS.strftime("%d/%m/%Y %H:%M"), "Horodatage;Débit (m³/h)", grid(900, "h"), ";", [f"{1000 + v:,.1f}".replace(",", "\u00a0").replace(".", ",") for v in wave(900)], encoding="cp1252", timestamp_column="Horodatage"))
new(X, "Japanese Excel, daily sales", stamped([f"{d.year}年{d.month}月{d.day}日" for d in DAYS], "日付,売上", grid(500, "D"), ",", [f'"{1000 + v:,.0f}"' for v in wave(500)], encoding="cp932", timestamp_column="日付"))
KANA = [f"{t} とても良いです" for t in TEXTS]
new(X, "Japanese Excel, reviews", table("レビュー,評価", [f"{t},{v}" for t, v in zip(KANA, LABELS, strict=True)], check=pairs(KANA), encoding="cp932", input_column="レビュー", label_column="評価"))
new(X, "title, author and a blank line above", table("text;label", [f"{t};{v}" for t, v in PAIRS], top="Bericht: Bewertungen;\nErstellt: 05.01.2024;\n;\n"))
new(X, "errors of formulas among values", stamped(DAYS.strftime("%Y-%m-%d"), "date,sales", grid(500, "D", missing=2), values=["#DIV/0!" if n == 7 else "#N/A" if n == 40 else v for n, v in enumerate(wave(500))]))
new(X, "accounting, losses in parentheses", table("text,label", [f'{t},"{f"(${n + 1:,}.00)" if n % 3 == 0 else f"${1000 + n:,}.00"}"' for n, t in enumerate(TEXTS)], check=amounts([-(n + 1.0) if n % 3 == 0 else 1000.0 + n for n in range(40)]), label_kind="regression"))
new(X, "Unicode text of Excel", table("text\tlabel", [f"{t}\t{v}" for t, v in PAIRS], name="a.txt", encoding="utf-16", end="\r\n", check=told(lambda data: True)))
new(X, "Google Sheets, cells of two lines", table("text\tlabel", [f'"{t}\nand ""more"""\t{v}' for t, v in PAIRS], name="a.tsv", check=pairs([f'{t}\nand "more"' for t in TEXTS])), False)
new(X, "Brazilian, semicolons and UTF-8", table("Texto;Rótulo", [f"{t} não;{v}" for t, v in PAIRS], check=pairs([f"{t} não" for t in TEXTS]), input_column="Texto", label_column="rótulo"), False)
new(X, "Swiss, thousands by apostrophes", stamped(DAYS.strftime("%d.%m.%Y"), "Datum;Umsatz CHF", grid(500, "D"), ";", [f"{1000 + v:,.2f}".replace(",", "’") for v in wave(500)]))
new(X, "Indian lakhs", stamped(DAYS.strftime("%d-%b-%Y"), "Date,Turnover", grid(500, "D"), ",", [f'"{1},{23 + n % 50:02d},{n % 1000:03d}.50"' for n in range(500)]))
new(X, "yes and no in German", table("text;label", [f"{t};{'Ja' if n % 2 else 'Nein'}" for n, t in enumerate(TEXTS)], check=pairs(TEXTS, ["Ja" if n % 2 else "Nein" for n in range(40)])), False)
new(X, "thumbs up and down", table("text,label", [f"{t},{'👍' if n % 2 else '👎'}" for n, t in enumerate(TEXTS)], check=pairs(TEXTS, ["👍" if n % 2 else "👎" for n in range(40)])), False)

# -- statistics programs and databases
D = "exports"
new(D, "R, row names and a shorter header", table('"text" "label"', [f'"{n + 1}" "{t}" "{v}"' for n, (t, v) in enumerate(PAIRS)], name="a.csv"))
new(D, "pandas with its index", table(",text,label", [f"{n},{t},{v}" for n, (t, v) in enumerate(PAIRS)]), False)
new(D, "SAS, dots for missing values", stamped(DAYS.strftime("%d%b%Y").str.upper(), "date,sales", grid(500, "D", missing=50), values=["." if n % 10 == 3 else v for n, v in enumerate(wave(500))]))
new(D, "psql, aligned", table(" text | label ", ["-" * 40 + "+-------", *[f" {t} | {v} " for t, v in PAIRS]], tail="(40 rows)\n", check=lambda data: {row["text"].strip() for row in rows_of(data)} == set(TEXTS)))
new(D, "Elasticsearch's hits", json_of([{"_index": "i", "_id": str(n), "_document": {"text": t, "label": v}} for n, (t, v) in enumerate(PAIRS)], name="a.jsonl", input_column="_document.text", label_column="_document.label"), False)
new(D, "Elasticsearch's hits, nothing said", json_of([{"_index": "i", "_id": str(n), "_document": {"text": t, "label": v}} for n, (t, v) in enumerate(PAIRS)], asked, "a.jsonl"))
new(D, "MongoDB", json_of([{"_id": {"$oid": f"{n:024x}"}, "text": t, "label": v} for n, (t, v) in enumerate(PAIRS)], name="a.jsonl"), False)
new(D, "rows of the Hub's viewer", json_of({"features": [{"name": "text"}], "rows": [{"row_idx": n, "row": {"text": t, "label": v}} for n, (t, v) in enumerate(PAIRS)]}))
new(D, "GraphQL", json_of({"data": {"reviews": {"edges": [{"node": {"text": t, "label": v}} for t, v in PAIRS]}}}))
new(D, "Spark's parts and its mark", folder({"part-00000-a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in PAIRS[:20]), "part-00001-a.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in PAIRS[20:]), "_SUCCESS": "", "._SUCCESS.crc": "x"}), False)


def parquet(build: Callable[[], Any], check: Check | None = None, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        import pyarrow.parquet as pq

        pq.write_table(build(), at / "a.parquet")
        return at / "a.parquet", options, check or pairs()

    return make


def arrow(**columns: Any) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def mapped() -> Any:
    import pyarrow as pa

    return pa.table({"text": TEXTS, "label": LABELS, "more": pa.array([[("k", str(n))] for n in range(40)], pa.map_(pa.string(), pa.string()))})


new(D, "parquet, structures, named", parquet(lambda: arrow(review=[{"body": t, "stars": n % 5} for n, t in enumerate(TEXTS)], label=LABELS), input_column="review.body"), False)
new(D, "parquet, structures in structures", parquet(lambda: arrow(doc=[{"meta": {"label": v}, "body": {"text": t}} for t, v in PAIRS]), input_column="doc.body.text", label_column="doc.meta.label"), False)
new(D, "parquet with a map", parquet(mapped))
new(D, "parquet, categories", parquet(lambda: __import__("pyarrow").Table.from_pandas(pd.DataFrame({"text": TEXTS, "label": pd.Categorical(LABELS)}))), False)
new(D, "parquet, moments of a zone", parquet(lambda: __import__("pyarrow").Table.from_pandas(pd.DataFrame({"ts": HOURS.tz_localize("UTC").tz_convert("Europe/Berlin"), "load": wave(900)})), grid(900, "h"), **SERIES), False)
new(D, "parquet, texts repeated by annotators", parquet(lambda: arrow(text=[t for t in TEXTS for _ in range(2)], label=[v for v in LABELS for _ in range(2)], annotator=["a", "b"] * 40), told(lambda data: True)))

# -- annotators
L = "annotators"
HASHES = [{"_input_hash": n, "_task_hash": -n} for n in range(40)]
new(L, "prodigy, accepted and rejected", json_of([{"text": t, "label": v, "answer": "reject" if n % 5 == 0 else "accept", **h} for n, ((t, v), h) in enumerate(zip(PAIRS, HASHES, strict=True))], told(lambda data: True), "a.jsonl"))
new(L, "prodigy, choices", json_of([{"text": t, "options": [{"id": "good", "text": "Good"}, {"id": "bad", "text": "Bad"}], "accept": [v], "answer": "accept"} for t, v in PAIRS], told(pool(TEXTS)), "a.jsonl"))
new(L, "prodigy, spans", json_of([{"text": t, "tokens": [{"text": w, "id": i} for i, w in enumerate(t.split())], "spans": [{"start": 4, "end": 9, "label": "THING"}], "answer": "accept"} for t in TEXTS], asked, "a.jsonl"))
new(L, "doccano, classes", json_of([{"id": n, "text": t, "label": [v], "Comments": []} for n, (t, v) in enumerate(PAIRS)], lambda data: {row["text"] for row in rows_of(data)} == set(TEXTS) and sorted(data.label_names) == ["bad", "good"], "a.jsonl"))
new(L, "doccano, spans", json_of([{"id": n, "text": t, "label": [[4, 9, "THING"]]} for n, t in enumerate(TEXTS)], asked, "a.jsonl"))
STUDIO = [{"id": n, "data": {"text": t}, "annotations": [{"result": [{"value": {"choices": [v]}, "from_name": "sentiment", "type": "choices"}]}]} for n, (t, v) in enumerate(PAIRS)]
new(L, "Label Studio, JSON", json_of(STUDIO, asked))
new(L, "Label Studio, JSON_MIN", json_of([{"id": n, "text": t, "sentiment": v, "annotator": 1, "lead_time": 3.5, "created_at": "2024-01-05T10:00:00Z"} for n, (t, v) in enumerate(PAIRS)], told(pairs())))
new(L, "Label Studio, CSV", table("annotation_id,annotator,created_at,id,lead_time,sentiment,text,updated_at", [f"{n},1,2024-01-05T10:00:00.1Z,{n},3.5,{v},{t},2024-01-05T10:00:00.1Z" for n, (t, v) in enumerate(PAIRS)], label_column="sentiment"))
new(L, "brat, .txt and .ann", folder({f"{n}.{end}": t if end == "txt" else f"T1\tTHING 4 9\t{t[4:9]}\n" for n, t in enumerate(TEXTS) for end in ("txt", "ann")}, asked))
new(L, "INCEpTION, WebAnno TSV", file("a.tsv", "#FORMAT=WebAnno TSV 3.3\n#T_SP=custom.Span|label\n\n\n" + "".join(f"#Text={t}\n" + "".join(f"{n + 1}-{i + 1}\t{i}-{i + 3}\t{w}\t{'THING' if i == 1 else '_'}\t\n" for i, w in enumerate(t.split())) + "\n" for n, t in enumerate(TEXTS)), asked))
new(L, "spaCy's training data", json_of([[t, {"entities": [[4, 9, "THING"]]}] for t in TEXTS], asked))
new(L, "conversations of ShareGPT", json_of([{"conversations": [{"from": "human", "value": t}, {"from": "gpt", "value": v}]} for t, v in PAIRS], asked))
new(L, "whether two annotators agree", table("text,label_a,label_b", [f"{t},{v},{v if n % 4 else 'bad'}" for n, (t, v) in enumerate(PAIRS)], check=told(lambda data: True)))

# -- clinic
C = "clinic"
NOTES = [f"Patient {n % 8}: {t}" for n, t in enumerate(TEXTS)]
new(C, "notes of patients", table("patient_id;note;icd10", [f"P{n % 8:03d};{t};{'J45.0' if n % 2 else 'I10'}" for n, t in enumerate(NOTES)], check=asked, input_column="note", label_column="icd10"))
new(C, "notes of patients, grouped", table("patient_id;note;icd10", [f"P{n % 8:03d};{t};{'J45.0' if n % 2 else 'I10'}" for n, t in enumerate(NOTES)], check=pairs(NOTES, ["J45.0" if n % 2 else "I10" for n in range(40)]), input_column="note", label_column="icd10", group_column="patient_id"), False)
new(C, "EEG at 256 Hz, time in seconds", stamped([f"{n / 256:.8f}" for n in range(900)], "time,Fp1", grid(900)))
new(C, "EEG at 250 Hz, a named unit", stamped([f"{n / 250:.3f}" for n in range(900)], "time,Fp1", grid(900, "4ms"), timestamp_unit="s"))
new(C, "glucose with words for its ends", stamped(pd.date_range("2023-01-05", periods=900, freq="5min").strftime("%Y-%m-%dT%H:%M:%S"), "Timestamp (YYYY-MM-DDThh:mm:ss),Glucose Value (mg/dL)", asked, values=["Low" if n == 5 else "High" if n == 77 else round(v) for n, v in enumerate(wave(900))]))
new(C, "pulse of a wrist, nested", json_of([{"dateTime": f"{d:%m/%d/%y %H:%M:%S}", "value": {"bpm": round(v), "confidence": 2}} for d, v in zip(HOURS, wave(900), strict=True)], grid(900, "h"), **SERIES, target_columns=["value.bpm"]))


def ecg(at: Path) -> Made:
    rng = np.random.default_rng(0)
    np.savez(at / "ecg.npz", x=rng.standard_normal((60, 12, 500)).astype(np.float32), y=np.arange(60) % 2)
    return at / "ecg.npz", {"modality": "timeseries"}, lambda data: len(rows_of(data)) == 60


new(C, "ECG of twelve leads", ecg, False)


def dicom(at: Path, patient: str, kind: str, n: int) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.2", generate_uid(entropy_srcs=[patient, str(n)])
    one = FileDataset(str(at), {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = np.random.default_rng(n).integers(0, 4000, (24, 24), dtype=np.uint16)
    one.Rows, one.Columns, one.SamplesPerPixel, one.PhotometricInterpretation, one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 24, 24, 1, "MONOCHROME2", 16, 12, 11, 0
    one.PatientID, one.Modality, one.InstanceNumber, one.RescaleSlope, one.RescaleIntercept = patient, kind, n, 1, -1024
    one.PixelData = pixels.tobytes()
    at.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(at)


def scans(at: Path) -> Made:
    for n in range(24):
        dicom(at / "d" / ("benign" if n % 2 else "malignant") / f"PAT{n // 4:03d}" / f"IM{n:04d}", f"PAT{n // 4:03d}", "CT", n)
    return at / "d", {"modality": "image"}, lambda data: len(rows_of(data)) == 24 and sorted(data.label_names) == ["benign", "malignant"]


new(C, "DICOM without suffixes, a folder per patient", scans)
new(C, "questionnaire, SPSS codes", table("text,label", [f"{t},{9 if n % 10 == 3 else n % 2 + 1}" for n, t in enumerate(TEXTS)], check=lambda data: sorted(data.label_names) in (["1", "2"], ["1", "2", "9"]), na_values=["9"]))

# -- plant and laboratory
F = "plant"
BLOCK = "Device:\tSpectro X\nSerial:\t12345\nOperator:\tJo\nDate:\t2024-01-05\n\n"
new(F, "a block of facts above the table", table("text\tlabel", [f"{t}\t{v}" for t, v in PAIRS], name="a.tsv", top=BLOCK))
new(F, "a block of facts above a series", stamped(HOURS.strftime("%Y-%m-%d %H:%M:%S"), "Date\tTemp", grid(900, "h"), "\t", name="a.tsv", top=BLOCK))
LVM = "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\n***End_of_Header***\t\n\nChannels\t1\n***End_of_Header***\t\n"
new(F, "LabVIEW's .lvm", stamped([f"{n * 0.01:.6f}" for n in range(900)], "X_Value\tVoltage", asked, "\t", name="run.lvm", top=LVM))
new(F, "LabVIEW's .lvm called .txt", stamped([f"{n * 0.01:.6f}" for n in range(900)], "X_Value\tVoltage", asked, "\t", name="run.txt", top=LVM))
new(F, "names and units in two lines", stamped(["", *HOURS.strftime("%Y-%m-%d %H:%M")], "time,temp", grid(900, "h"), values=["degC", *wave(900)]))
new(F, "three machines in epoch seconds", table("ts;machine;temp", [f"{int(d.timestamp())};M{k};{v}" for d, v in zip(HOURS, wave(900), strict=True) for k in range(3)], check=grid(900, "h", 3), **SERIES))
new(F, "a column of states", table("time,temp,status", [f"{d:%Y-%m-%d %H:%M},{v},{'ALARM' if n % 50 == 0 else 'OK'}" for n, (d, v) in enumerate(zip(HOURS, wave(900), strict=True))], check=grid(900, "h"), **SERIES))
new(F, "a row per day, a column per hour", table("Date," + ",".join(f"H{n}" for n in range(1, 25)), [f"{d:%Y-%m-%d}," + ",".join(str(v) for v in wave(24)) for d in DAYS[:60]], check=grid(1440, "h"), **SERIES))
new(F, "milliseconds since 1970 with gaps", stamped([int(d.timestamp() * 1000) for n, d in enumerate(HOURS) if n % 20 != 7], "timestamp,temp", grid(900, "h", missing=45)))


def shots(name: Callable[[int], str], check: Check, more: dict[str, str | bytes] | None = None, mode: str = "RGB", **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for n in range(24):
            path = at / "d" / name(n)
            path.parent.mkdir(parents=True, exist_ok=True)
            made = picture(n)
            if mode == "I;16":
                from PIL import Image

                made = Image.fromarray(np.asarray(made.convert("L")).astype(np.uint16) * 200)
            made.save(path)
        for other, content in (more or {}).items():
            write(at / "d" / other, content)
        return at / "d", {"modality": "image", **options}, check

    return make


def look(names: list[str], count: int = 24) -> Check:
    return lambda data: len(rows_of(data)) == count and sorted(data.label_names) == names


new(F, "OK and NG, with what Windows leaves", shots(lambda n: f"{'OK' if n % 2 else 'NG'}/{n}.bmp", look(["NG", "OK"]), {"OK/Thumbs.db": "x", "desktop.ini": "x", ".DS_Store": "x"}), False)
new(F, "class in the names of files", shots(lambda n: f"{'OK' if n % 2 else 'NG'}_{n:04d}.png", lambda data: not rows_of(data) and len(data["unlabeled"]) == 24))
new(F, "MVTec", shots(lambda n: f"train/good/{n}.png" if n < 12 else f"test/{'good' if n % 2 else 'broken'}/{n}.png" if n < 20 else f"ground_truth/broken/{n}_mask.png", asked))
new(F, "pictures of 16 bits", shots(lambda n: f"{'a' if n % 2 else 'b'}/{n}.png", look(["a", "b"]), mode="I;16"))
new(F, "LabelMe, JSON beside pictures", shots(lambda n: f"{n}.png", told(lambda data: not rows_of(data)), {f"{n}.json": json.dumps({"shapes": [{"label": "scratch", "points": [[1, 1], [5, 5]]}], "imagePath": f"{n}.png"}) for n in range(24)}))
COCO = {"images": [{"id": n, "file_name": f"{n}.png", "height": 24, "width": 24} for n in range(24)], "annotations": [{"id": n, "image_id": n, "category_id": 1 + n % 2, "iscrowd": int(n % 3 == 0), "segmentation": {"counts": [10, 20, 546], "size": [24, 24]}, "bbox": [1, 1, 5, 5], "area": 20} for n in range(24)], "categories": [{"id": 1, "name": "scratch"}, {"id": 2, "name": "dent"}]}
new(F, "COCO, crowds and run lengths", shots(lambda n: f"images/{n}.png", told(lambda data: not rows_of(data)), {"annotations/instances.json": json.dumps(COCO)}))
new(F, "a table of names without folders", shots(lambda n: f"shots/2024-01/{n}.png", look(["NG", "OK"]), {"results.csv": "file_name,label\n" + "".join(f"{n}.png,{'OK' if n % 2 else 'NG'}\n" for n in range(24))}))

# -- grid and weather
G = "grid"
new(G, "ENTSO-E, ranges of an hour", stamped([f"{d:%d.%m.%Y %H:%M} - {d + pd.Timedelta('1h'):%d.%m.%Y %H:%M}" for d in HOURS], "MTU (CET),Actual Total Load", grid(900, "h"), timestamp_column="MTU (CET)"))
new(G, "settlement periods", table("SETTLEMENT_DATE,SETTLEMENT_PERIOD,ND", [f"{d:%d-%b-%Y},{p + 1},{v}" for d in DAYS[:20] for p, v in enumerate(wave(48))], check=grid(960, "30min"), **SERIES, timestamp_column="SETTLEMENT_DATE"))
LOCAL = pd.date_range("2023-03-20", periods=900, freq="h", tz="Europe/Berlin")
new(G, "offsets before and after the clocks change", stamped([d.isoformat() for d in LOCAL], "time,load", grid(900, "h")), False)
new(G, "local time over the change in spring", stamped([f"{d:%Y-%m-%d %H:%M}" for d in LOCAL], "time,load", grid(901, "h", missing=1)))
AUTUMN = pd.date_range("2023-10-20", periods=900, freq="h", tz="Europe/Berlin")
new(G, "local time over the change in autumn", stamped([f"{d:%Y-%m-%d %H:%M}" for d in AUTUMN], "time,load", told(lambda data: True)))
new(G, "names of zones behind", stamped([f"{d:%Y-%m-%d %H:%M} {d.tzname()}" for d in LOCAL], "time,load", grid(900, "h")))
new(G, "one instant in two zones", stamped([d.tz_convert("UTC" if n % 2 else "Asia/Tokyo").isoformat() for n, d in enumerate(LOCAL)], "time,load", grid(900, "h")))
new(G, "compact ISO", stamped(HOURS.strftime("%Y%m%dT%H%MZ"), "time,load", grid(900, "h")))
new(G, "Australian market, five minutes", stamped([f'"{d:%Y/%m/%d %H:%M:%S}"' for d in pd.date_range("2023-01-05 00:05", periods=900, freq="5min")], "SETTLEMENTDATE,TOTALDEMAND", grid(900, "5min"), timestamp_column="SETTLEMENTDATE"), False)
new(G, "Persian years", stamped([f"1402/{1 + n // 31:02d}/{1 + n % 31:02d}" for n in range(186)], "date,load", told(lambda data: True)))
new(G, "Buddhist years", stamped([f"{d.year + 543}-{d:%m-%d}" for d in DAYS], "date,load", told(lambda data: True)))
new(G, "financial years", stamped([f"FY{1960 + n}/{(61 + n) % 100:02d}" for n in range(60)], "year,load", asked))
new(G, "weeks by their beginning, in words", stamped([f"w/c {d:%d/%m/%Y}" for d in pd.date_range("2019-01-07", periods=200, freq="7D")], "week,load", asked))
new(G, "a column per week", table("region," + ",".join(f"{d:%G-W%V}" for d in pd.date_range("2019-01-07", periods=200, freq="7D")), [f"{r}," + ",".join(map(str, wave(200))) for r in ("north", "south")], check=grid(200, None, 2), **SERIES))
new(G, "weather with a flag for missing", stamped(HOURS.strftime("%Y%m%d%H"), "MESS_DATUM;TT_TU", told(grid(900, "h", missing=9)), ";", values=[-999 if n % 100 == 5 else v for n, v in enumerate(wave(900))], timestamp_column="MESS_DATUM"))

# -- call centre
K = "calls"


def calls(build: Callable[[Path], dict[str, str]], check: Check, rate: int = 8000, **options: Any) -> Callable[[Path], Made]:
    def make(at: Path) -> Made:
        for n in range(20):
            tone(at / "d" / "recordings" / "2023" / f"c{n}.wav", (200 if n % 2 else 800) + n, 0.5 + 0.01 * n, rate)
        for name, content in build(at / "d").items():
            write(at / "d" / name, content)
        return at / "d", {"modality": "audio", **options}, check

    return make


def twenty(data: DomainData) -> bool:
    return len(rows_of(data)) == 20 and len(data.label_names) == 2


new(K, "a list with backslashes and a drive", calls(lambda at: {"calls.csv": "Datei;Ergebnis\n" + "".join(f"D:\\calls\\recordings\\2023\\c{n}.wav;{'gut' if n % 2 else 'schlecht'}\n" for n in range(20))}, told(twenty), label_column="Ergebnis", input_column="Datei"))
new(K, "Kaldi with languages", calls(lambda at: {"wav.scp": "".join(f"c{n} {at}/recordings/2023/c{n}.wav\n" for n in range(20)), "utt2lang": "".join(f"c{n} {'de' if n % 2 else 'en'}\n" for n in range(20)), "text": "".join(f"c{n} hello number {n}\n" for n in range(20)), "utt2spk": "".join(f"c{n} s{n % 5}\n" for n in range(20))}, told(lambda data: True)))
new(K, "Kaldi with a pipe", calls(lambda at: {"wav.scp": "".join(f"c{n} sox {at}/recordings/2023/c{n}.wav -t wav - |\n" for n in range(20)), "text": "".join(f"c{n} hello number {n}\n" for n in range(20))}, asked))
new(K, "turns of conversations", table("call_id,speaker,utterance,sentiment", [f"{n // 5},{'agent' if n % 2 else 'customer'},{t},{v}" for n, (t, v) in enumerate(PAIRS)], check=asked, input_column="utterance", label_column="sentiment"))
new(K, "Whisper's JSON, a file per call", folder({f"{v}/{n}.json": json.dumps({"text": t, "segments": [{"id": 0, "start": 0.0, "end": 2.5, "text": t}], "language": "en"}) for n, (t, v) in enumerate(PAIRS)}, told(pool(TEXTS))))
new(K, "subtitles", folder({f"{n}.srt": f"1\n00:00:01,000 --> 00:00:02,500\n{t}\n" for n, t in enumerate(TEXTS)}, asked))
new(K, "mails", folder({f"{v}/{n}.eml": f"From: a@b\nSubject: x\n\n{t}\n" for n, (t, v) in enumerate(PAIRS)}, asked))
new(K, "a chat's export", file("chat.txt", "".join(f"[05.01.23, 10:{n:02d}:00] Anna: {t}\n" for n, t in enumerate(TEXTS)), lambda data: len(data["unlabeled"]) in (1, 40)))
new(K, "times by a clock in a list of parts", calls(lambda at: {"parts.csv": "audio,start,end,label\n" + "".join(f"recordings/2023/c{n}.wav,0:00:00.1,0:00:00.4,{'low' if n % 2 else 'high'}\n" for n in range(20))}, twenty, 16_000))

# -- chemistry and code
M = "molecules"
SMILES = [f"C{'C' * (n % 7)}(=O)N[C@{'@' * (n % 2)}H](C{'C' * (n // 7)})C(=O)O" for n in range(40)]
new(M, "SMILES and activities", table("smiles,active", [f"{s},{n % 2}" for n, s in enumerate(SMILES)], check=pairs(SMILES, ["0", "1"] * 20), input_column="smiles", label_column="active"))
new(M, "SMILES, nothing said", table("smiles,activity", [f"{s},{n % 2}" for n, s in enumerate(SMILES)], check=lambda data: pairs(SMILES, ["0", "1"] * 20)(data) or told(pool(SMILES))(data)))
new(M, "SMILES and pIC50", table("Smiles;pIC50", [f"{s};{4 + n / 10:.1f}".replace(".", ",") for n, s in enumerate(SMILES)], check=lambda data: {row["text"] for row in rows_of(data)} == set(SMILES), input_column="Smiles", label_column="pIC50", label_kind="regression"))
new(M, "InChI with commas", table("inchi,label", [f'"InChI=1S/C{n + 2}H6O/c1-2-3/h3H,2H2,1H3",{v}' for n, v in enumerate(LABELS)], check=pairs([f"InChI=1S/C{n + 2}H6O/c1-2-3/h3H,2H2,1H3" for n in range(40)]), input_column="inchi"), False)
new(M, ".smi", table("", [f"{s} mol{n}" for n, s in enumerate(SMILES)], name="a.smi", check=asked))
new(M, "FASTA", file("a.fasta", "".join(f">p{n}\n{'ACDEFGHIKL' * 3}{'ACDEFGHIKLMNPQRSTVWY'[n % 20]}\n" for n in range(40)), asked))
new(M, "source code by language", folder({f"{'python' if n % 2 else 'java'}/{n}.{'py' if n % 2 else 'java'}": f"x = {n}\nprint(x)\n" for n in range(40)}, asked))
new(M, "a web page's table", file("a.html", "<table>" + "".join(f"<tr><td>{t}</td><td>{v}</td></tr>" for t, v in PAIRS) + "</table>", asked))
new(M, "YAML", file("a.yaml", "".join(f"- text: {t}\n  label: {v}\n" for t, v in PAIRS), asked))
new(M, "mixed: a table, pictures, a document, an archive", folder({"reviews.csv": "text,label\n" + "".join(f"{t},{v}\n" for t, v in PAIRS), "logo.png": b"\x89PNG\r\n", "notes.docx": b"PK\3\4", "old.zip": b"PK\3\4"}, told(pairs())))
assert io
