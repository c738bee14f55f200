"""Stamps in the spellings of many files: read right, told where another reading exists, or refused with an option that works."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from series_files import DAYS, HOURS, in_zone, load, parquet, step_and_start, table

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data


@pytest.mark.parametrize(
    ("zone", "step"),
    [
        *[("Europe/Berlin", step) for step in ("MS", "QS", "YS", "D", "W")],
        *[(zone, step) for zone in ("Asia/Tokyo", "Australia/Sydney", "America/New_York") for step in ("MS", "D")],
    ],
)
def test_days_and_longer_steps_begin_where_the_clock_on_the_wall_says(tmp_path: Path, zone: str, step: str):
    step = {"W": "W-MON"}.get(step, step)
    written = in_zone(zone, step, first="2012-01-02" if step == "W-MON" else "2012-01-01")
    first = written[0][:10] if step in ("D", "W-MON") else written[0][:7]
    data = load(table(tmp_path, written))
    found, start, count = step_and_start(data)
    assert (found, start[: len(first)], count) == (step.split("-")[0], first, 60)
    moments = pa.array(pd.DatetimeIndex(pd.to_datetime(written, utc=True)).tz_convert(zone))
    again = load(parquet(tmp_path, date=moments, v=np.arange(60) % 7))
    assert step_and_start(again) == (found, start, count)


def test_hours_are_counted_on_one_time_line_whatever_their_zones(tmp_path: Path):
    stamps = [
        (moment + pd.Timedelta(hours=zone)).strftime("%Y-%m-%dT%H:%M:%S") + f"{zone:+03d}:00"
        for moment, zone in zip(HOURS, [1] * 90 + [9] * 110, strict=True)
    ]
    assert step_and_start(load(table(tmp_path, stamps))) == ("h", "2023-01-05T00:00:00", 200)


@pytest.mark.parametrize("zone", ["+02:00", "Z", "+0530"])
@pytest.mark.parametrize("bare", [range(100), range(100, 200), range(50, 53)], ids=["first", "last", "three"])
def test_stamps_without_the_zone_of_their_neighbors_are_told(tmp_path: Path, zone: str, bare: range):
    stamps = [f"{moment:%Y-%m-%dT%H:%M:%S}" + ("" if row in bare else zone) for row, moment in enumerate(HOURS)]
    data = load(table(tmp_path, stamps))
    assert step_and_start(data)[2] == 200
    assert any("no zone" in text and f"{len(bare)} of 200" in text for text in data.report["warnings"])


@pytest.mark.parametrize(
    ("stamps", "step", "start", "warned"),
    [
        (pd.date_range("1960-01-01", periods=200).strftime("%d.%m.%y"), "D", "1960-01-01", True),
        (pd.date_range("1968-12-01", periods=200).strftime("%d/%m/%y"), "D", "1968-12-01", True),
        (pd.date_range("1996-06-01", periods=96, freq="MS").strftime("%b-%y"), "MS", "1996-06", True),
        (pd.date_range("2000-01-01", periods=60, freq="MS").strftime("%b-%y"), "MS", "2000-01", True),
        (pd.date_range("2000-01-01", periods=60, freq="MS").strftime("%m/%y"), "MS", "2000-01", True),
        (pd.date_range("2000-01-01", periods=60, freq="MS").strftime("%y-%m"), "MS", "2000-01", True),
        (pd.date_range("2000-01-01", periods=60, freq="MS").strftime("%y%m"), "MS", "2000-01", True),
        (pd.date_range("1955-01-01", periods=60, freq="MS").strftime("%b '%y"), "MS", "1955-01", True),
        ([f"31/12/{year % 100:02d}" for year in range(1950, 2020)], "YS", "1950", True),
        ([f"Q{row % 4 + 1} {(1958 + row // 4) % 100:02d}" for row in range(60)], "QS", "1958-01", True),
        (pd.date_range("2021-01-05", periods=200).strftime("%d.%m.%y"), "D", "2021-01-05", False),
        (HOURS.strftime("%y%m%d%H%M"), "h", "2023-01-05", True),
        ([str(int(day.strftime("%d%m%y"))) for day in DAYS], "D", "2021-01-05", True),
        ([str(int(day.strftime("%d%m%Y"))) for day in DAYS], "D", "2021-01-05", True),
    ],
)  # fmt: skip
def test_years_of_two_digits_and_digits_that_lost_zeros(tmp_path: Path, stamps, step, start, warned):
    data = load(table(tmp_path, stamps))
    found, first, count = step_and_start(data)
    assert (found, first[: len(start)], count) == (step, start, len(stamps))
    assert any("two digits" in text or "says so" in text for text in data.report["warnings"]) == warned


def test_the_year_is_asked_for_only_where_it_may_be_one(tmp_path: Path):
    file = table(tmp_path, pd.date_range("1965-06-01", periods=200).strftime("%y-%m-%d"))
    with pytest.raises(DataError) as told:
        load(file)
    assert "'%y-%m-%d'" in str(told.value) and "'%d-%m-%y'" not in str(told.value)
    assert step_and_start(load(file, timestamp_format="%y-%m-%d"))[1].startswith("1965-06-01")


def test_days_of_a_year_that_is_not_named_are_no_months(tmp_path: Path):
    file = table(tmp_path, pd.date_range("2022-01-01", periods=180).strftime("%b-%d"))
    with pytest.raises(DataError, match="timestamp_format='%b-%d'"):
        load(file)
    assert step_and_start(load(file, timestamp_format="%b-%d"))[::2] == ("D", 180)


@pytest.mark.parametrize("stamps", [range(100), range(5000, 5100)])
def test_counters_have_no_step_of_time(tmp_path: Path, stamps: range):
    file = table(tmp_path, stamps)
    for given in ("h", "D", "MS", "YS", "0", "-1", "1.5", "B", "W"):
        with pytest.raises(DataError, match="frequency='1'"):
            load(file, frequency=given, timestamp_column="date")
    assert load(file, frequency="2", timestamp_column="date")["train"][0]["frequency"] == "2"


def test_steps_go_forward(tmp_path: Path):
    for given in ("-1D", "0h", "-1h", "0", "-MS", "parsec"):
        with pytest.raises(DataError, match="frequency=.*leave it out"):
            load(table(tmp_path, DAYS), frequency=given)


def test_years_take_the_step_of_years(tmp_path: Path):
    data = load(table(tmp_path, range(1900, 2000)), frequency="YS", timestamp_column="date")
    assert step_and_start(data) == ("YS", "1900-01", 100)


@pytest.mark.parametrize(
    ("odd", "place"),
    [("1970-01-01", 5), ("1900-01-01", 0), ("2099-12-31", 199), ("9999-12-31", 199), ("0001-01-01", 3)],
)
def test_a_stamp_far_from_all_others_is_named_and_can_be_left_out(tmp_path: Path, odd: str, place: int):
    stamps = [f"{day:%Y-%m-%d}" for day in DAYS]
    stamps[place] = odd
    with pytest.raises(DataError, match=odd) as told:
        load(table(tmp_path, stamps))
    assert f"row {place}" in str(told.value) and "max_missing=" not in str(told.value)
    data = load(table(tmp_path, stamps), csv_options={"na_values": [odd]})
    assert step_and_start(data)[0] == "D" and any("no time stamp" in text for text in data.report["warnings"])


def test_a_grid_that_is_all_but_empty_is_never_made(tmp_path: Path):
    seconds = [
        int(moment.timestamp()) + row % 3 for row, moment in enumerate(pd.date_range("2001", periods=80, freq="20D"))
    ]
    with pytest.raises(DataError):
        load(table(tmp_path, seconds), timestamp_unit="s", frequency="s", max_missing=1)
    seconds[3] = 0
    with pytest.raises(DataError, match=r"'0' \(row 3\)"):
        load(table(tmp_path, seconds))


def test_gaps_beyond_meaning_are_joined_by_a_coarser_step(tmp_path: Path):
    rng = np.random.default_rng(0)
    days = pd.date_range("1990-01-01", periods=60, freq="MS") + pd.to_timedelta(rng.integers(0, 28, 60), unit="D")
    stamps = [
        *days,
        days[-1] + pd.Timedelta(hours=1),
        days[-1] + pd.Timedelta(hours=2),
        days[-1] + pd.Timedelta(hours=3),
    ]
    with pytest.raises(DataError, match="frequency=") as told:
        load(table(tmp_path, stamps), frequency="h")
    assert "max_missing=" not in str(told.value)
    step = str(told.value).split("frequency='")[-1].split("'")[0]
    assert load(table(tmp_path, stamps), frequency=step)["train"][0]["frequency"] == step


def test_seconds_among_milliseconds_are_read_each_in_its_own_unit(tmp_path: Path):
    seconds = HOURS.as_unit("s").asi8
    stamps = [second if row < 120 else 1000 * second for row, second in enumerate(seconds)]
    data = load(table(tmp_path, stamps))
    assert step_and_start(data) == ("h", "2023-01-05T00:00:00", 200)
    assert any("120 in s" in text for text in data.report["warnings"])


def test_one_bad_series_among_many_is_named(tmp_path: Path):
    stores = [(day, f"s{store}") for store in range(12) for day in DAYS]
    monthly = [(day, "month by month") for day in pd.date_range("2021-01-05", periods=7, freq="ME")]
    turned = [(day.strftime("%Y-%d-%m"), "turned") for day in DAYS if day.day <= 12]
    for odd in (monthly, turned):
        stamps, store = zip(*stores, *odd, strict=True)
        stamps = [f"{day:%Y-%m-%d}" if isinstance(day, pd.Timestamp) else day for day in stamps]
        file = table(tmp_path, stamps, store=store)
        warnings = load(file, item_column="store")["train"], load(file, item_column="store").report["warnings"]
        (said,) = [text for text in warnings[1] if repr(odd[0][1]) in text]
        limit = float(said.split("max_missing=")[1].split()[0])
        again = load(file, item_column="store", max_missing=limit).report["warnings"]
        assert not any("max_missing" in text for text in again)


def test_durations_count_from_a_beginning_that_is_told(tmp_path: Path):
    hours = [dt.timedelta(hours=row) for row in range(60)]
    for file in (
        parquet(tmp_path, t=pa.array(hours), v=np.arange(60) % 7),
        table(tmp_path, [str(pd.Timedelta(hour)) for hour in hours]),
    ):
        data = load(file, timestamp_column="t" if file.suffix == ".parquet" else "date")
        assert step_and_start(data)[::2] == ("h", 60) and any("durations" in text for text in data.report["warnings"])


@pytest.mark.parametrize(
    ("zone", "step", "count"), [("Europe/Berlin", "12h", 300), ("Europe/Berlin", "6h", 500), ("Asia/Tokyo", "D", 60)]
)
def test_half_days_in_a_zone_with_summer_time_are_even(tmp_path: Path, zone: str, step: str, count: int):
    naive = pd.date_range("2021-02-05", periods=count, freq=step)
    for stamps in (naive.tz_localize(zone), naive.tz_localize("UTC").tz_convert(zone)):
        data = load(table(tmp_path, [stamp.isoformat() for stamp in stamps]))
        assert step_and_start(data)[::2] == (step, count) and not data.report["warnings"]


def test_days_that_a_user_asks_for_are_those_of_the_wall(tmp_path: Path):
    hours = pd.date_range("2021-01-05", periods=24 * 40, freq="h", tz="Asia/Tokyo")
    values = np.repeat(np.arange(40) % 7, 24)
    pd.DataFrame({"date": [hour.isoformat() for hour in hours], "v": values}).to_csv(tmp_path / "a.csv", index=False)
    for file in (tmp_path / "a.csv", parquet(tmp_path, date=pa.array(hours), v=values)):
        data = load(file, frequency="D")
        assert step_and_start(data) == ("D", "2021-01-05T00:00:00", 40)
        assert np.array(data["train"][0]["series"])[0][:7].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_years_of_two_and_of_four_digits_and_dates_of_two_orders(tmp_path: Path):
    mixed = [day.strftime("%d.%m.%y" if row % 3 == 0 else "%d.%m.%Y") for row, day in enumerate(DAYS)]
    assert step_and_start(load(table(tmp_path, mixed))) == ("D", "2021-01-05T00:00:00", 200)
    turned = [day.strftime("%Y-%d-%m" if row % 3 == 0 else "%d/%m/%Y") for row, day in enumerate(DAYS)]
    with pytest.raises(DataError, match=r"'2021-05-01' \(row 0\).*67 such rows"):
        load(table(tmp_path, turned))


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%m/%d/%Y"])
def test_months_of_four_and_five_weeks_are_not_repeated(tmp_path: Path, form: str) -> None:
    """Sixty different dates, 14 of which lie in the month of the one before: nothing to join."""
    days = pd.Timestamp("2020-02-01") + pd.to_timedelta(np.cumsum([0, *[4, 5, 4] * 20][:60]) * 7, unit="D")
    lines = [f"{day.strftime(form)},{50 + number % 7}.5" for number, day in enumerate(days)]
    (tmp_path / "a.csv").write_text("period_end,sales\n" + "\n".join(lines) + "\n")
    given = {"modality": "timeseries", "horizon": 6, "timestamp_column": "period_end", "verbose": False}
    with pytest.raises(DataError, match="4-4-5") as refused:
        load_data(str(tmp_path / "a.csv"), **given)
    assert "duplicates" not in str(refused.value)
    (tmp_path / "b.csv").write_text("period,sales\n" + "\n".join(f"{n},{50 + n % 7}.5" for n in range(60)) + "\n")
    data = load_data(str(tmp_path / "b.csv"), **{**given, "timestamp_column": "period"})
    assert len(data["train"]) and not any("repeat" in text for text in data.report["warnings"])


@pytest.mark.parametrize(("rate", "step"), [(1, "s"), (4, "250ms"), (32, "31250us"), (64, "15625us")])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_below_their_start_and_rate(tmp_path: Path, rate: int, step: str, channels: int):
    rows = [[f"{row * (channel + 2) % 37}.5" for channel in range(channels)] for row in range(200)]
    above = [["1677628800.000000"] * channels, [f"{rate}.000000"] * channels]
    (tmp_path / "ACC.csv").write_text("".join(", ".join(row) + "\n" for row in above + rows))
    row = load_data(tmp_path, modality="timeseries", horizon=6, verbose=False)["train"][0]
    assert row["frequency"] == step and str(row["start"]).startswith("2023-03-01")
    assert np.asarray(row["series"]).shape[0] == channels


def test_times_since_1970_above_others_are_no_start_and_rate(tmp_path: Path):
    (tmp_path / "a.csv").write_text("".join(f"{1677628800 + 3600 * row}\n" for row in range(60)))
    with pytest.raises(DataError):
        load_data(tmp_path, modality="timeseries", horizon=6, verbose=False)
