"""A row per day and a column per part of it: made long where the names say so, asked about where they do not."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from hf_ssl import load_data

NAMES = {
    "H1": [f"H{part + 1}" for part in range(24)], "numbers from 0": [str(part) for part in range(24)],
    "numbers from 1": [str(part + 1) for part in range(48)], "INT": [f"INT{part + 1}" for part in range(96)],
    "Interval": [f"Interval {part + 1}" for part in range(48)], "hh_": [f"hh_{part}" for part in range(48)],
    "kWh_hhmm": [f"kWh_{part // 2:02d}{30 * (part % 2):02d}" for part in range(48)],
    "five minutes": [f"{part // 12:02d}:{5 * (part % 12):02d}" for part in range(288)],
}  # fmt: skip


def written(folder: Path, names: list[str], meters: tuple[str, ...] = (), total: bool = False, days: int = 20) -> str:
    lines = [",".join([*(["meter"] if meters else []), "date", *names, *(["Total"] if total else [])])]
    for place, meter in enumerate(meters or ("",)):
        for day in range(days):
            values = [round(20 + 3 * np.sin(part / 4) + day % 7 + 5 * place, 2) for part in range(len(names))]
            start = [*([meter] if meters else []), str(datetime.date(2023, 1, 1) + datetime.timedelta(day))]
            lines.append(",".join(map(str, [*start, *values, *([round(sum(values), 2)] if total else [])])))
    (folder / "load.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / "load.csv")


@pytest.mark.parametrize("kind", list(NAMES))
def test_parts_of_a_day_become_steps(tmp_path, kind):
    names = NAMES[kind]
    data = load_data(written(tmp_path, names), modality="timeseries", verbose=False)
    series = np.asarray(data["unlabeled"][0]["series"])
    assert series.shape == (1, 20 * len(names))
    np.testing.assert_allclose(series[0, :3], [round(20 + 3 * np.sin(part / 4), 2) for part in range(3)], rtol=1e-5)
    assert any(f"{len(names)} columns are parts of a day" in one for one in data.report["warnings"])


def test_each_meter_has_its_days_and_a_total_is_told(tmp_path):
    path = written(tmp_path, NAMES["hh_"], meters=("MAC0", "MAC1"), total=True)
    data = load_data(path, modality="timeseries", item_column="meter", verbose=False)
    assert [np.asarray(row["series"]).shape for row in data["unlabeled"]] == [(1, 960), (1, 960)]
    assert any("ignore_columns=['Total']" in one for one in data.report["warnings"])


def test_channels_that_are_only_numbered_stay_and_are_told(tmp_path):
    names = [f"V{part + 1:02d}" for part in range(24)]
    data = load_data(written(tmp_path, names), modality="timeseries", verbose=False)
    assert np.asarray(data["unlabeled"][0]["series"]).shape == (24, 20)
    assert any("call them H1 ... H24" in one for one in data.report["warnings"])


def test_targets_that_are_named_stay_channels(tmp_path):
    names = NAMES["H1"]
    data = load_data(written(tmp_path, names), modality="timeseries", target_columns=names, verbose=False)
    assert np.asarray(data["unlabeled"][0]["series"]).shape == (24, 20)


def test_empty_cells_are_told(tmp_path):
    lines = [
        f"{datetime.date(2023, 1, 1) + datetime.timedelta(day)},{'' if day % 4 == 0 else day}" for day in range(120)
    ]
    (tmp_path / "load.csv").write_text("\n".join(["date,load", *lines]), encoding="utf-8")
    data = load_data(str(tmp_path / "load.csv"), modality="timeseries", verbose=False)
    assert any("'load' has no number in 30 of 120 rows" in one for one in data.report["warnings"])
