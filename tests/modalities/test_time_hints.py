"""What an error about time stamps advises is tried by following it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError

VALUES = np.sin(np.arange(400.0))
HALF_MONTHS = [
    f"{year}-{month:02d}-{day:02d}" for year in range(2012, 2022) for month in range(1, 13) for day in (1, 15)
]
FIVE_YEARS = [f"{year}-01-01" for year in range(1750, 2021, 5)]


def read(columns: dict, **options):
    frame = pd.DataFrame(columns)
    return load_data(frame, modality="timeseries", horizon=3, target_columns=["y"], verbose=False, **options)


@pytest.mark.parametrize("stamps", [HALF_MONTHS, FIVE_YEARS], ids=["half months", "five years"])
def test_where_no_grid_fits_none_is_named_and_counting_works(stamps):
    columns = {"date": stamps, "t": range(len(stamps)), "y": VALUES[: len(stamps)]}
    with pytest.raises(DataError, match="counts them") as told:
        read(columns, timestamp_column="date")
    assert "frequency=" not in str(told.value)
    row = read(columns, timestamp_column="t")["train"][0]
    assert row["frequency"] == "1"


def test_clocks_that_drift_are_still_told_their_grid():
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.arange(300) * 60 + np.random.default_rng(0).integers(0, 2, 300), unit="s"
    )
    with pytest.raises(DataError, match="frequency='min'"):
        read({"date": stamps.astype(str), "y": VALUES[:300]}, timestamp_column="date")


def test_years_and_weeks_are_read_as_they_are_advised_to_be_written():
    weeks = [(year, week) for year in (2015, 2016, 2017) for week in range(1, 53)]
    with pytest.raises(DataError, match="2015-W01"):
        read({"date": [f"{year}-{week:02d}" for year, week in weeks], "y": VALUES[: len(weeks)]})
    for columns in (
        {"date": [f"{year}-W{week:02d}" for year, week in weeks]},
        {"year": [year for year, _ in weeks], "week": [week for _, week in weeks]},
    ):
        row = read({**columns, "y": VALUES[: len(weeks)]})["train"][0]
        assert row["frequency"] == "W" and row["start"].startswith("2014-12-29")


def test_days_in_other_languages_are_not_promised():
    stamps = [
        f"{day}, {number}. Januar 2015"
        for number, day in enumerate(("Donnerstag", "Freitag", "Samstag", "Sonntag"), 1)
    ]
    with pytest.raises(DataError, match="English"):
        read({"date": stamps, "y": VALUES[: len(stamps)]}, timestamp_column="date")


def test_years_with_weeks_or_quarters_as_one_number():
    weeks = [year * 100 + week for year in (2015, 2016, 2017) for week in range(1, 53 + (year == 2015))]
    quarters = [year * 10 + quarter for year in range(1998, 2020) for quarter in (1, 2, 3, 4)]
    for numbers, step, start, form in ((weeks, "W", "2014-12-29", "%G%V"), (quarters, "QS", "1998-01-01", "%Y%q")):
        columns = {"moment": numbers, "y": VALUES[: len(numbers)]}
        told = read(columns, timestamp_column="moment")
        assert any(form in text for text in told.report["warnings"])
        silent = read(columns, timestamp_column="moment", timestamp_format=form)
        assert not silent.report["warnings"]
        for data in (told, silent):
            row = data["train"][0]
            assert row["frequency"].startswith(step) and row["start"][:7] == start[:7]
        with pytest.raises(DataError, match=form):
            read({**columns, "moment": range(1, len(numbers) + 1)}, timestamp_column="moment", timestamp_format=form)


def test_counters_that_could_be_weeks_or_quarters_stay_counters():
    for numbers in (range(200001, 200051), range(20121, 20125), range(19981, 20181, 10)):
        frame = {"step": list(numbers), "y": VALUES[: len(numbers)]}
        if len(numbers) > 10:
            assert read(frame, timestamp_column="step")["train"][0]["start"] == str(numbers[0])


@pytest.mark.parametrize("part", ["sec", "shift", "half", "ms", "quarter"])
def test_parts_of_the_time_are_not_advised_as_names_of_series(part):
    stamps = pd.date_range("2024-01-01", periods=120, freq="8h")
    values = ["AM", "PM", "am"] * 40 if part == "half" else [0, 20, 40] * 40
    with pytest.raises(DataError) as told:
        read({"date": stamps.strftime("%Y-%m-%d"), part: values, "y": VALUES[:120]})
    assert "part of the time" in str(told.value) and "one column" in str(told.value)
    joined = read({"date": stamps.astype(str), "y": VALUES[:120]})
    assert joined["train"][0]["frequency"] == "8h"


def test_a_clock_before_its_day_is_advised_with_it():
    stamps = pd.date_range("2024-01-13", periods=200, freq="30min")
    columns = {
        "uhrzeit": stamps.strftime("%H:%M"),
        "datum": stamps.strftime("%d.%m.%Y"),
        "y": VALUES[:200],
    }
    with pytest.raises(DataError, match="timestamp_column='datum', time_column='uhrzeit'"):
        read(columns)
    row = read(columns, timestamp_column="datum", time_column="uhrzeit")["train"][0]
    assert row["frequency"] == "30min" and row["start"].startswith("2024-01-13")


@pytest.mark.parametrize(("rate", "digits"), [(256, 5), (256, 3), (3, 3), (30, 3), (29.97, 4)])
def test_rounded_stamps_lie_on_the_steps_that_they_were_rounded_from(rate, digits):
    stamps = np.round(np.delete(np.arange(300), [50, 51]) / rate, digits)
    data = read({"t": stamps, "y": VALUES[:298]}, timestamp_column="t", timestamp_unit="s")
    told = next(text for text in data.report["warnings"] if "rounded" in text)
    step = pd.Timedelta(data["train"][0]["frequency"]).total_seconds()
    assert abs(step * rate - 1) < 1e-3
    assert "2 of 300 steps" in " ".join(data.report["decisions"]) and "frequency=" in told


def test_stamps_that_jitter_are_on_no_even_steps():
    stamps = np.arange(240) * 0.1 + np.random.default_rng(0).uniform(0, 0.05, 240)
    with pytest.raises(DataError, match="no common step"):
        read({"t": stamps.round(3), "y": VALUES[:240]}, timestamp_column="t", timestamp_unit="s")


@pytest.mark.parametrize(
    ("zone", "names"),
    [("America/New_York", ("EST", "EDT")), ("Europe/Berlin", ("CET", "CEST")), ("Europe/London", ("GMT", "BST"))],
)
@pytest.mark.parametrize("form", [None, "%Y-%m-%d %H:%M:%S %Z"])
def test_names_of_zones_are_distances_to_utc(zone, names, form):
    hours = pd.date_range("2023-03-01", periods=900, freq="h", tz=zone)
    text = [stamp.strftime("%Y-%m-%d %H:%M:%S ") + names[bool(stamp.dst())] for stamp in hours]
    data = read({"date": text, "y": np.sin(np.arange(900.0))}, timestamp_format=form)
    assert data["train"][0]["frequency"] == "h"
    assert not any(
        "repeat" in note or "no row" in note for note in [*data.report["warnings"], *data.report["decisions"]]
    )


def test_a_step_that_begins_on_another_day_is_told():
    stamps = pd.date_range("2020-01-05", periods=100, freq="W-SUN").astype(str)
    data = read({"date": stamps, "y": VALUES[:100]}, frequency="W-MON")
    told = next(text for text in data.report["warnings"] if "W-MON" in text)
    assert not any(
        "Sun" in text for text in read({"date": stamps, "y": VALUES[:100]}, frequency="W-SUN").report["warnings"]
    )
    assert "frequency='W-SUN'" in told


def test_the_value_that_is_no_number_is_the_example():
    values = [f"{n},5" for n in range(98)]
    values[40:42] = ["fehlt", "n.v."]
    columns = {"date": pd.date_range("2024-01-01", periods=98).astype(str), "y": values}
    with pytest.raises(DataError, match="such as 'fehlt'") as told:
        read(columns)
    assert "na_values=['fehlt', 'n.v.']" in str(told.value)
    assert read(columns, na_values=["fehlt", "n.v."])["train"].num_rows


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S America/New_York", "%Y-%m-%dT%H:%M:%S%z[America/New_York]", "%a %b %d %H:%M:%S {} %Y"]
)
def test_zones_by_their_region_or_inside_of_stamps(form):
    hours = pd.date_range("2023-03-01", periods=900, freq="h", tz="America/New_York")
    text = [stamp.strftime(form.format("EDT" if stamp.dst() else "EST")) for stamp in hours]
    data = read({"date": text, "y": np.sin(np.arange(900.0))})
    assert data["train"][0]["frequency"] == "h"
    assert not data.report["warnings"]


def test_columns_that_are_nearly_empty_hold_no_stamps_and_a_row_of_units_is_named(tmp_path):
    rows = "".join(f"{row},{VALUES[row]:.3f},,\n" for row in range(300))
    (tmp_path / "a.csv").write_text("X,CH1,Start,Increment\nSequence,Volt,-1.2e-3,1e-6\n" + rows)
    options = {"modality": "timeseries", "horizon": 3, "verbose": False}
    with pytest.raises(DataError, match=r"'skiprows': \[1\]"):
        load_data(tmp_path, **options)
    data = load_data(tmp_path, csv_options={"skiprows": [1]}, timestamp_column="X", **options)
    assert data["train"][0]["frequency"] == "1"
