"""Stamps in the spellings of many files: read right, told where another reading exists, or refused with an option that works."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_ssl.core.errors import DataError
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


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "Australia/Sydney", "America/New_York", "UTC"])
@pytest.mark.parametrize("step", ["MS", "QS", "YS", "D", "W"])
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


WORDS = pa.array([["a", "b"][: row % 3] for row in range(40)])
ODD = {
    "words": WORDS,
    "records": pa.array([[{"a": row}] for row in range(40)]),
    "struct": pa.array([{"a": row, "b": "x"} for row in range(40)]),
    "pairs": pa.array([[row, row] for row in range(40)], pa.list_(pa.int64(), 2)),
    "large": pa.array([[float(row)] * 3 for row in range(40)], pa.large_list(pa.float64())),
    "bytes": pa.array([b"x%d" % (row % 2) for row in range(40)]),
    "moment": pa.array([dt.datetime(2023, 1, 1) + dt.timedelta(hours=row) for row in range(40)]),
    "clock": pa.array([dt.time(row % 24, row) for row in range(40)]),
    "elapsed": pa.array([dt.timedelta(hours=row) for row in range(40)]),
    "empty": pa.array([float("nan")] * 40),
    "none": pa.array([None] * 40),
    "endless": pa.array([float("inf") if row % 2 else 1.0 for row in range(40)]),
    "flag": pa.array([row % 2 == 0 for row in range(40)]),
    "far": pa.array([2**62 + row for row in range(40)]),
    "decimal": pa.array([1 + row for row in range(40)]).cast(pa.decimal128(30, 2)),
}
ROLES = (
    {}, {"timestamp_column": "x"}, {"time_column": "x"}, {"timestamp_column": "x", "timestamp_format": "%Y%m%d"}, {"item_column": "x"},
    {"timestamp_column": "x", "timestamp_unit": "days"}, {"horizon": None, "input_column": "x"}, {"horizon": None, "label_column": "x"},
    {"target_columns": ["x"]}, {"past_covariates": ["x"]}, {"known_covariates": ["x"]}, {"static_columns": ["x"]}, {"item_column": "x,x"},
    {"item_column": "x,date"}, {"timestamp_column": "x", "frequency": "D"},
)  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_columns_of_every_type_in_every_role_are_read_or_refused(tmp_path: Path, kind: str):
    file = parquet(tmp_path, date=[f"{day:%Y-%m-%d}" for day in DAYS[:40]], v=np.arange(40) % 7, x=ODD[kind])
    for role in ROLES:
        try:
            data = load(file, **role)
        except DataError as error:
            assert "=[]" not in str(error)
        else:
            assert sum(data.num_rows.values())


def test_durations_count_from_a_beginning_that_is_told(tmp_path: Path):
    hours = [dt.timedelta(hours=row) for row in range(60)]
    for file in (
        parquet(tmp_path, t=pa.array(hours), v=np.arange(60) % 7),
        table(tmp_path, [str(pd.Timedelta(hour)) for hour in hours]),
    ):
        data = load(file, timestamp_column="t" if file.suffix == ".parquet" else "date")
        assert step_and_start(data)[::2] == ("h", 60) and any("durations" in text for text in data.report["warnings"])


def test_a_label_that_is_a_record_is_refused_and_lists_of_one_length_are_series(tmp_path: Path):
    lists = pa.array([[float(row), 1.0, 2.0] for row in range(40)], pa.list_(pa.float64(), 3))
    data = load(parquet(tmp_path, series=lists, label=["a", "b"] * 20), horizon=None)
    assert data.label_names == ["a", "b"] and np.array(data["train"][0]["series"]).shape == (1, 3)


def test_two_columns_of_names_and_no_time_among_them(tmp_path: Path):
    file = table(tmp_path, [*DAYS, *DAYS], store=[1] * 200 + [2] * 200)
    assert len(load(file, item_column="store,store")["train"]) == 2
    with pytest.raises(DataError, match="item_column='store'"):
        load(file, item_column="store,date")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("unix", [int(day.timestamp()) for day in DAYS]),
        ("ts_ms", [int(day.timestamp() * 1000) for day in DAYS]),
        ("record_id", list(range(5000, 5200))),
        ("down", list(range(900, 700, -1))),
        ("year", list(DAYS.year)),
        ("mnth", list(DAYS.month)),
        ("dow", list(DAYS.day_of_week + 1)),
    ],
)  # fmt: skip
def test_columns_that_say_which_row_or_when_are_no_channels(tmp_path: Path, name: str, values: list[int]):
    file = table(tmp_path, DAYS, **{name: values})
    data = load(file)
    assert data["train"][0]["targets"] == 1 and any(repr(name) in text for text in data.report["warnings"])
    again = load(file, target_columns=["v", name])
    assert again["train"][0]["targets"] == 2 and not any("no values" in text for text in again.report["warnings"])


def test_the_time_once_more_is_seen_through_gaps_and_many_series(tmp_path: Path):
    some = DAYS[[row for row in range(200) if row % 7 != 3]]
    stamps = [*some, *some]
    unix = [int(day.timestamp()) for day in stamps]
    file = table(tmp_path, stamps, store=[1] * len(some) + [2] * len(some), unix=unix)
    data = load(file, item_column="store")
    assert [row["targets"] for row in data["train"]] == [1, 1]


def test_a_column_that_rises_evenly_is_the_value_where_there_is_no_other(tmp_path: Path):
    pd.DataFrame({"date": DAYS, "count_of_days": range(7, 207)}).to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv")
    assert data["train"][0]["targets"] == 1 and not data.report["warnings"]


def spread(moments: pd.DatetimeIndex, **named: str) -> dict[str, Any]:
    return {called: getattr(moments, part) for called, part in named.items()}


HALVES = pd.date_range("2023-01-05", periods=200, freq="30min")


@pytest.mark.parametrize(
    ("columns", "step", "start"),
    [
        (spread(HOURS, YEAR="year", MO="month", DY="day", HR="hour"), "h", "2023-01-05"),
        (spread(HALVES, year="year", month="month", day="day", hour="hour", minute="minute"), "30min", "2023-01-05"),
        (spread(DAYS, YEAR="year", DOY="day_of_year"), "D", "2021-01-05"),
        (spread(HOURS, Year="year", DOY="day_of_year", hour="hour"), "h", "2023-01-05"),
        (spread(MONTHS, yr="year", mo="month"), "MS", "2012-01"),
        ({"Year": MONTHS.year, "Mon": MONTHS.strftime("%b")}, "MS", "2012-01"),
        ({"Year": range(1950, 2020)}, "1", "1950"),
        ({"date": HALVES.strftime("%Y-%m-%d"), **spread(HALVES, hour="hour", minute="minute")}, "30min", "2023-01-05"),
        ({"dteday": HOURS.strftime("%Y-%m-%d"), **spread(HOURS, hr="hour")}, "h", "2023-01-05"),
        ({"OperDay": HOURS.strftime("%m/%d/%Y"), "HourEnding": [f"{hour + 1:02d}:00" for hour in HOURS.hour]}, "h", "2023-01-05"),
    ],
)  # fmt: skip
def test_parts_of_a_stamp_in_columns_of_their_own(tmp_path: Path, columns: dict[str, Any], step: str, start: str):
    frame = pd.DataFrame(columns)
    frame["load"] = np.round(np.sin(np.arange(len(frame))), 3)
    frame["min"] = [61 + row % 30 for row in range(len(frame))]
    frame.to_csv(tmp_path / "a.csv", index=False)
    stamp = next((name for name in ("dteday", "OperDay") if name in columns), None)
    data = load(tmp_path / "a.csv", timestamp_column=stamp)
    found, first, count = step_and_start(data)
    assert (found, first[: len(start)], count) == (step, start, len(frame)) and data["train"][0]["targets"] == 2


@pytest.mark.parametrize("names", [MONTHS[:12].strftime("%b"), MONTHS[:12].strftime("%B"), ["Q1", "Q2", "Q3", "Q4"]])
def test_a_year_in_a_row_becomes_a_row_each(tmp_path: Path, names):
    values = {name: [round(100 + year + place / 16, 4) for year in range(20)] for place, name in enumerate(names)}
    frame = pd.DataFrame({"Year": range(1990, 2010), **values, "J-D": 0.5})
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv")
    assert step_and_start(data) == ("MS" if len(values) == 12 else "QS", "1990-01", 20 * len(values))
    assert np.allclose(np.array(data["train"][0]["series"])[0][:3], [100, 100 + 1 / 16, 100 + 2 / 16], atol=1e-4)
    assert any("J-D" in text for text in data.report["warnings"])


def test_years_of_several_lands_and_things(tmp_path: Path):
    keys = [(area, item, year) for area in (2, 3) for item in ("wheat", "rye") for year in range(1950, 2000)]
    area, item, year = zip(*keys, strict=True)
    frame = pd.DataFrame({"Area Code": area, "Item": item, "Year": year, "Value": np.sin(np.arange(200.0))})
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="item_column='Area Code,Item'"):
        load(tmp_path / "a.csv")
    assert len(load(tmp_path / "a.csv", item_column="Area Code,Item")["train"]) == 4


def test_a_column_of_words_is_named_for_series_only_where_it_names_one(tmp_path: Path):
    with pytest.raises(DataError) as told:
        load(table(tmp_path, DAYS, open=[row % 7 > 0 for row in range(200)]))
    assert "target_columns=['v']" in str(told.value) and "item_column" not in str(told.value)
    file = table(tmp_path, DAYS, coin="BTC/USD", unix=[int(day.timestamp()) for day in DAYS])
    with pytest.raises(DataError, match=r"target_columns=\['v'\].*item_column='coin'"):
        load(file)
    assert load(file, item_column="coin")["train"][0]["targets"] == 1
