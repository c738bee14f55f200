"""Small made-up tables of moments, as files, and what is read of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hf_ssl.data import DomainData, load_data

MONTHS = pd.date_range("2012-01-01", periods=96, freq="MS")
DAYS = pd.date_range("2021-01-05", periods=200)
HOURS = pd.date_range("2023-01-05", periods=200, freq="h")


def load(source: Path, **options: Any) -> DomainData:
    given = {"horizon": 6, "context_length": 12, "cache_dir": str(source.parent / "cache"), **options}
    return load_data(source, "timeseries", verbose=False, **given)


def table(folder: Path, stamps: Any, **columns: Any) -> Path:
    stamps = list(stamps)
    frame = {"date": stamps, "v": np.round(np.sin(np.arange(len(stamps))), 3), **columns}
    pd.DataFrame(frame).to_csv(folder / "a.csv", index=False)
    return folder / "a.csv"


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


def step_and_start(data: DomainData) -> tuple[str, str, int]:
    row = data["train"][0]
    last = data["test"][0]
    return row["frequency"], row["start"], last["offset"] + len(last["series"][0])


def in_zone(zone: str, step: str, count: int = 60, first: str = "2012-01-01") -> list[str]:
    return [stamp.isoformat() for stamp in pd.date_range(first, periods=count, freq=step, tz=zone)]


def spread(moments: pd.DatetimeIndex, **named: str) -> dict[str, Any]:
    return {called: getattr(moments, part) for called, part in named.items()}


HALVES = pd.date_range("2023-01-05", periods=200, freq="30min")
