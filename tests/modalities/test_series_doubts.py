"""Series in unlike tables, archives with their splits in names, stretches that stand still, places as channels, days without a year."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hf_ssl
from hf_ssl.core.errors import DataError

RNG = np.random.default_rng(0)
STEPS = pd.date_range("2024-01-01", periods=200, freq="h")


def wave(count: int = 200) -> np.ndarray:
    return np.round(10 + 5 * np.sin(np.arange(count) / 7) + RNG.normal(size=count), 3)


def tables(root: Path, odd: dict[str, str | None]) -> Path:
    """Five tables of two channels, of which the fourth has its columns renamed (None: left out) as `odd` says."""
    root.mkdir()
    for place in range(5):
        frame = pd.DataFrame({"timestamp": STEPS, "temp": wave(), "pressure": wave()})
        if place == 3:
            frame = frame.drop(columns=[name for name, new in odd.items() if new is None]).rename(
                columns={k: v for k, v in odd.items() if v}
            )
            if "flow" in odd:
                frame["flow"] = wave()
        frame.to_csv(root / f"pump{place}.csv", index=False)
    return root


@pytest.mark.parametrize("horizon", [None, 6])
@pytest.mark.parametrize(
    ("odd", "common"),
    [({"pressure": None}, ["temp"]), ({"temp": "temp_F"}, ["pressure"]), ({"flow": "more"}, ["temp", "pressure"])],
)
def test_tables_of_other_channels_are_refused_and_the_option_reads_what_all_have(odd, common, horizon, tmp_path):
    source = tables(tmp_path / "pumps", odd)
    options = {"modality": "timeseries", "item_column": "file", **({"horizon": horizon} if horizon else {})}
    with pytest.raises(
        DataError,
        match=rf"pump3.csv has other channels .* than pump0.csv \(temp, pressure\).*target_columns=\[{', '.join(map(repr, common))}\]",
    ):
        hf_ssl.load_data(source, **options)
    data = hf_ssl.load_data(source, **options, target_columns=common, verbose=False)
    assert np.asarray(data["unlabeled"][0]["series"]).shape[0] == len(common) and len(data["unlabeled"]) == 5


def test_columns_in_another_order_are_the_same_channels(tmp_path):
    source = tables(tmp_path / "pumps", {})
    frame = pd.read_csv(source / "pump3.csv")
    frame[["timestamp", "pressure", "temp"]].to_csv(source / "pump3.csv", index=False)
    data = hf_ssl.load_data(source, modality="timeseries", item_column="file", verbose=False)
    found = {
        name: np.asarray(row) for name, row in zip(data["unlabeled"]["id"], data["unlabeled"]["series"], strict=True)
    }
    assert any(np.allclose(series[0], frame["temp"], atol=1e-3) for series in found.values())


@pytest.mark.parametrize("kind", ["tsv", "ts", "arff"])
def test_archives_keep_the_splits_that_their_names_say(kind, tmp_path):
    values = {part: [(n % 2, wave(40) * (1 + n % 2)) for n in range(20)] for part in ("TRAIN", "TEST")}
    for part, rows in values.items():
        numbers = [(label, ",".join(map(str, row))) for label, row in rows]
        content = {
            "tsv": "\n".join(f"{label}\t" + row.replace(",", "\t") for label, row in numbers),
            "ts": "@problemName Coffee\n@univariate true\n@equalLength true\n@seriesLength 40\n@classLabel true 0 1\n@data\n"
            + "\n".join(f"{row}:{label}" for label, row in numbers),
            "arff": "@relation Coffee\n" + "".join(f"@attribute att{i} numeric\n" for i in range(40)) + "@attribute target {0,1}\n@data\n"
            + "\n".join(f"{row},{label}" for label, row in numbers),
        }[kind]  # fmt: skip
        (tmp_path / f"Coffee_{part}.{kind}").write_text(content + "\n")
    data = hf_ssl.load_data(tmp_path, modality="timeseries", verbose=False, near_duplicates=False)
    assert data.num_rows["test"] == 20 and data.num_rows["train"] + data.num_rows["validation"] == 20


def series(file: Path, **columns: object) -> Path:
    pd.DataFrame({"time": STEPS, **columns}).to_csv(file, index=False)
    return file


def warned(file: Path, **options: object) -> str:
    return "\n".join(hf_ssl.load_data(file, modality="timeseries", verbose=False, **options).report["warnings"])


def test_zeros_and_values_that_stand_still_are_told(tmp_path):
    gap, stuck = wave(), wave()
    gap[50:90], stuck[60:120] = 0, stuck[60]
    file = series(tmp_path / "gap.csv", value=gap)
    assert "40 times 0 from step 50" in warned(file) and "na_values=['0']" in warned(file)
    assert "stood still" not in warned(file, na_values=["0"])
    assert "60 times" in warned(series(tmp_path / "stuck.csv", value=stuck, other=wave()))


@pytest.mark.parametrize("kind", ["plain", "nights", "steps", "counts", "constant"])
def test_series_that_rest_by_nature_stay_quiet(kind, tmp_path):
    values = {
        "plain": wave(), "nights": np.where(np.arange(200) % 60 < 30, 0.0, wave()), "steps": np.repeat(wave(8), 25),
        "counts": RNG.poisson(0.3, 200).astype(float), "constant": np.full(200, 3.0),
    }[kind]  # fmt: skip
    assert "stood still" not in warned(series(tmp_path / "a.csv", value=values, other=wave()))


def test_places_on_a_map_are_told_as_channels(tmp_path):
    file = series(tmp_path / "track.csv", lat=48 + np.arange(200) / 1e5, lon=11 + np.arange(200) / 1e5, speed=wave())
    assert "ignore_columns=['lat', 'lon'] leaves them out" in warned(file)
    assert "places on a map" not in warned(file, ignore_columns=["lat", "lon"])
    assert "places on a map" not in warned(file, target_columns=["lat", "lon", "speed"])


def test_days_of_a_leap_year_without_their_year_are_asked_about_and_read_by_the_option(tmp_path):
    days = pd.date_range("2024-01-01", periods=200, freq="D")
    pd.DataFrame({"date": days.strftime("%b %d"), "value": wave()}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="days, or years.*timestamp_format='%b %d'"):
        hf_ssl.load_data(tmp_path / "a.csv", modality="timeseries")
    data = hf_ssl.load_data(tmp_path / "a.csv", modality="timeseries", timestamp_format="%b %d", verbose=False)
    assert np.asarray(data["unlabeled"][0]["series"]).shape == (1, 200)


@pytest.mark.parametrize(
    ("factor", "offset", "words"),
    [(1.8, 32, "Fahrenheit"), (1 / 1.8, -32 / 1.8, "became Celsius"), (1, 273.15, "kelvin"), (1e-3, 0, "divided by 1000")],
)  # fmt: skip
@pytest.mark.parametrize("step", [40, 110])
def test_a_unit_that_changes_within_a_series_is_told(factor, offset, words, step, tmp_path):
    values = wave() + 40
    file = series(tmp_path / "unit.csv", value=np.where(np.arange(200) < step, values, factor * values + offset))
    assert words in warned(file) and f"up to step {step}," in warned(file)


@pytest.mark.parametrize("kind", ["level", "trend", "growth", "walk", "noise", "wind"])
def test_levels_that_change_by_nature_are_no_other_unit(kind, tmp_path):
    steps = np.arange(200)
    values = {
        "level": wave() + np.where(steps < 90, 0, 30), "trend": wave() + steps / 4, "growth": wave() * np.exp(steps / 50),
        "walk": np.cumsum(RNG.normal(size=200)), "noise": RNG.normal(size=200),
        "wind": np.where(steps < 120, 77, 29) + np.where(steps < 120, 1.8, 1.0) * 25 * np.sin(steps / 9),
    }[kind]  # fmt: skip
    assert "another unit" not in warned(series(tmp_path / "a.csv", value=values, other=wave()))
