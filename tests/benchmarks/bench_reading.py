"""How fast data are read: series of two million rows, pictures, texts. Compare two checkouts with PYTHONPATH.

    python tests/benchmarks/bench_reading.py FOLDER                 makes the files there, and reads them
    PYTHONPATH=OTHER python tests/benchmarks/bench_reading.py FOLDER      reads the same with another checkout

Prints seconds of CPU time (best of `--repeats`) and of the clock for each.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def make(folder: Path, rows: int, pictures: int, texts: int) -> None:
    """Write the files, unless they are there."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    if not (folder / "series.csv").exists():
        length = rows // 200
        stamps = pd.date_range("2020-01-01", periods=length, freq="h").astype(str)
        frame = {
            "item_id": np.repeat(np.arange(200), length),
            "timestamp": np.tile(stamps, 200),
            "target": rng.random(200 * length).round(4),
        }
        pd.DataFrame(frame).to_csv(folder / "series.csv", index=False)
    for number in range(pictures):
        file = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(file)
    if not (folder / "texts.csv").exists():
        draw = random.Random(0)
        words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ala", "eno", "iru", "oke", "uma", "ysi")]
        lines = [{"text": ", ".join(draw.choices(words, k=30)), "label": "ab"[n % 2]} for n in range(texts)]
        pd.DataFrame(lines).to_csv(folder / "texts.csv", index=False)
        (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))


def main() -> None:
    """Make, read, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--pictures", type=int, default=6_000)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    make(given.folder, given.rows, given.pictures, given.texts)
    from hf_ssl.data import load_data

    what: dict[str, tuple[str, dict[str, Any]]] = {
        f"{given.rows:,} rows of series": ("series.csv", {"modality": "timeseries", "horizon": 24}),
        f"{given.pictures:,} pictures": ("pictures", {"modality": "image"}),
        f"{given.texts:,} texts, csv": ("texts.csv", {"near_duplicates": False}),
        f"{given.texts:,} texts, jsonl": ("texts.jsonl", {"near_duplicates": False}),
        f"{given.texts // 4:,} texts, near-duplicates": ("texts.csv", {"max_examples": given.texts // 4}),
    }
    for name, (file, options) in what.items():
        seconds = []
        for _ in range(given.repeats):
            with tempfile.TemporaryDirectory() as cache:
                begun, clock = time.process_time(), time.perf_counter()
                load_data(given.folder / file, verbose=False, cache_dir=cache, **options)
                seconds.append((time.process_time() - begun, time.perf_counter() - clock))
        best = min(seconds)
        print(f"{name:36} {best[0]:7.2f} s of CPU, {best[1]:7.2f} s", flush=True)


if __name__ == "__main__":
    main()
