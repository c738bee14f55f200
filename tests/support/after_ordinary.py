"""Plain ordinary files: read without any option, and without a warning."""

# A line per file: what is in it, and what must come out.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from after_base import add, csv_of, file, folder, jsonl_of, lines, pairs, pool, rows_of, silent, told
from after_media import as_file, look, pictures, saved, sounds
from after_media import lengths as sound_lengths
from after_names import SPANS, WORDS, classes, conll, docs, tag_check
from after_series import DAYS, HOURS, MONTHS, daily, dates, frame, gluon, grid, hourly, monthly, raw
from data_kinds import Case, Check, labels, picture, texts, wave

ORDINARY = "ordinary"
TEXTS, LABELS = texts(40), labels(40)
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS})
PROSE = [f"{t}. {'It rained, and nobody came; still, we stayed.' if n % 3 else 'Well: that is that!'}" for n, t in enumerate(TEXTS)]


def plain(name: str, make: Any) -> None:
    def quiet(at: Path) -> Any:
        source, options, check = make(at)
        return source, options, silent(check)

    add(ORDINARY, name, quiet, False)


plain("csv", file("a.csv", lines()))
plain("csv with commas in quotes", csv_of(FRAME.assign(text=PROSE), pairs(PROSE)))
plain("csv with quotes and newlines", csv_of(FRAME.assign(text=[f'"{p}"\nsaid she' for p in PROSE]), pairs([f'"{p}"\nsaid she' for p in PROSE])))
plain("tsv", file("a.tsv", lines(sep="\t")))
plain("csv of Excel", file("a.csv", lines(sep=";", end="\r\n"), encoding="utf-8-sig"))
plain("csv with ids and dates", csv_of(FRAME.assign(id=range(40), date="2024-01-05", url="https://example.com")))
plain("csv with names in capitals", file("a.csv", lines(header="Text,Label")))
plain("csv in Chinese", csv_of(FRAME.assign(text=[f"{t} 这个商店很好" for t in TEXTS]), pairs([f"{t} 这个商店很好" for t in TEXTS])))
plain("csv of stars", csv_of(FRAME.assign(label=[n % 5 + 1 for n in range(40)]), pairs(TEXTS, [str(n % 5 + 1) for n in range(40)])))
plain("train, dev and test", folder({f"{s}.csv": "text,label\n" + "".join(f"{s} {t},{v}\n" for t, v in zip(TEXTS, LABELS, strict=True)) for s in ("train", "dev", "test")}, lambda data: [data.num_rows[s] for s in ("train", "validation", "test")] == [40, 40, 40]))
plain("a pool beside", folder({"train.csv": lines(), "unlabeled.txt": "".join(f"{t}, they say\n" for t in texts(200))}, lambda data: len(data["unlabeled"]) == 200, txt="lines"))
plain("json lines", jsonl_of([{"text": t, "label": v} for t, v in zip(TEXTS, LABELS, strict=True)]))
plain("json", file("a.json", json.dumps([{"text": t, "label": v} for t, v in zip(TEXTS, LABELS, strict=True)])))
plain("json lines of SetFit", jsonl_of([{"text": t, "label": n % 2, "label_text": v} for n, (t, v) in enumerate(zip(TEXTS, LABELS, strict=True))], pairs(TEXTS, [str(n % 2) for n in range(40)])))
plain("parquet of pandas", lambda at: (FRAME.iloc[::-1].to_parquet(at / "a.parquet") or at / "a.parquet", {}, pairs()))
plain("frame", lambda at: (FRAME, {}, pairs()))
plain("lists", lambda at: ({"text": TEXTS, "label": LABELS}, {}, pairs()))
plain("texts in folders", docs({"sports": 20, "politics": 20}, classes("politics", "sports")))
plain("texts in folders of splits", docs({"train/pos": 12, "train/neg": 12, "test/pos": 12, "test/neg": 12}, classes("neg", "pos", test=24)))
plain("texts with a readme", docs({"a": 20, "b": 20}, classes("a", "b"), {"README.md": "x", "LICENSE": "x"}))
plain("texts only", folder({f"{n}.txt": t for n, t in enumerate(PROSE)}, pool(PROSE)))
plain("unlabeled csv", csv_of(pd.DataFrame({"id": range(40), "text": PROSE}), pool(PROSE)))
plain("amounts", csv_of(FRAME.assign(label=[n * 1.5 + 0.25 for n in range(40)]), lambda data: data.label_kind == "regression", label_kind="regression"))
plain("several labels", jsonl_of([{"text": t, "label": ["a", "b"] if n % 3 else ["c"]} for n, t in enumerate(TEXTS)], lambda data: data.label_kind == "multilabel"))
plain("pairs", csv_of(pd.DataFrame({"text": TEXTS, "text_pair": PROSE, "label": LABELS}), lambda data: "text_pair" in data["train"].column_names))
plain("CoNLL", conll(lambda t: t, tag_check(), form="{word} {tag}", label_kind=None))
plain("words and tags in json lines", jsonl_of([{"tokens": w, "ner_tags": SPANS} for w in WORDS], tag_check()))
plain("days", dates(DAYS.strftime("%Y-%m-%d"), daily))
plain("hours", dates(HOURS.strftime("%Y-%m-%d %H:%M:%S"), hourly))
plain("months", dates(MONTHS.strftime("%Y-%m"), monthly, header="Month,#Passengers"))
plain("ETT", frame(lambda: pd.DataFrame({"date": HOURS, **{c: wave(900) + n for n, c in enumerate(("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"))}}), grid(900, 24, "h", channels=7)))
plain("electricity", frame(lambda: pd.DataFrame({"date": HOURS, **{str(k): wave(900) + k for k in range(6)}, "OT": wave(900)}), grid(900, 24, "h", channels=7)))
plain("Nixtla", frame(lambda: pd.concat([pd.DataFrame({"unique_id": u, "ds": DAYS, "y": wave(500)}) for u in ("a", "b")]), grid(500, 7, "D", 2)))
plain("GluonTS", gluon(lambda row, n: row, grid(500, 7, "D", 3)))
plain("business days", dates(pd.bdate_range("2020-01-01", periods=400).strftime("%Y-%m-%d"), grid(400, 5, "B"), header="Date,Close"))
plain("prices of shares", frame(lambda: pd.DataFrame({"Date": pd.bdate_range("2020-01-01", periods=400), "Open": wave(400), "High": wave(400) + 1, "Low": wave(400) - 1, "Close": wave(400), "Volume": (wave(400) * 1e6).astype(int)}), grid(400, 5, "B", channels=5)))
plain("UCR", raw("X_TRAIN.tsv", "".join(f"{n % 2 + 1}\t" + "\t".join(f"{v:.6f}" for v in np.random.default_rng(n).standard_normal(60)) + "\n" for n in range(40)), lambda data: data.label_names == ["1", "2"]))
plain("arrays", lambda at: ((at / "d").mkdir() or np.savez(at / "d" / "a.npz", x=np.random.default_rng(0).standard_normal((60, 3, 50)), y=np.arange(60) % 2) or at / "d", {"modality": "timeseries"}, lambda data: data.label_names == ["0", "1"]))
plain("png in folders", pictures(saved(".png", "PNG"), look()))
plain("jpg in folders", pictures(saved(".jpg", "JPEG"), look()))
plain("jpg and png mixed", pictures(lambda folder, n: saved(".jpg", "JPEG")(folder, n) if n % 2 else saved(".png", "PNG")(folder, n), look()))
plain("pictures with a readme", pictures(saved(".png", "PNG"), look(), {"README.md": "x", "LICENSE.txt": "x"}))


def unlabeled(at: Path) -> Any:
    (at / "d").mkdir()
    for n in range(24):
        picture(n).save(at / "d" / f"{n:04d}.jpg")
    return at / "d", {"modality": "image"}, lambda data: len(data["unlabeled"]) == 24


plain("pictures only", unlabeled)
plain("wav in folders", sounds(as_file(".wav"), sound_lengths()))
plain("flac in folders", sounds(as_file(".flac"), sound_lengths()))
plain("mp3 in folders", sounds(as_file(".mp3"), sound_lengths(within=3000)))
plain("ogg at 44.1 kHz", sounds(as_file(".ogg", 44_100), sound_lengths(within=3000)))
add("audio", "stereo wav", sounds(lambda stem, n, x: as_file(".wav")(stem, n, np.stack([x, 0.5 * x], axis=1)), told(sound_lengths())), False)
assert Case and Check and rows_of
