"""Which column of a table of moments is what: every type in every role, parts of stamps, names, and what is no channel."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from follow import hints
from series_files import DAYS, HALVES, HOURS, MONTHS, load, parquet, spread, step_and_start, table

from hf_ssl.core.errors import DataError

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


@pytest.mark.parametrize(
    "options",
    [
        {"item_column": "date"},
        {"target_columns": ["v"], "known_covariates": ["v"]},
        {"target_columns": ["v"], "past_covariates": ["v"]},
        {"target_columns": ["date"]},
        {"item_column": "w", "target_columns": ["w"]},
    ],
)
def test_a_column_has_one_role(tmp_path: Path, options: dict[str, Any]):
    with pytest.raises(DataError, match="is named by"):
        load(table(tmp_path, DAYS, w=[row % 5 for row in range(200)]), **options)


def test_names_of_columns_never_clash_with_ours(tmp_path: Path):
    file = table(tmp_path, DAYS, season="winter", id="a", start="here")
    data = load(file, item_column="id", static_columns=["season", "start"], target_columns=["v", "v"])
    assert data["train"][0]["targets"] == 1 and data["train"][0]["static_season"] == "winter"


def test_rows_that_are_series_are_asked_of_by_the_names_they_have(tmp_path: Path):
    rows = {"item_id": ["a", "b"], "start": [0, 5], "target": [[float(row) for row in range(60)]] * 2}
    file = parquet(tmp_path, **rows)
    assert [row["start"] for row in load(file)["train"]] == ["0", "5"]
    for option in ("item_column", "timestamp_column", "static_columns", "past_covariates", "known_covariates"):
        given = "itm" if option.endswith("column") else ["itm"]
        with pytest.raises(DataError, match=option):
            load(file, **{option: given})
    with pytest.raises(DataError, match="no list of numbers"):
        load(file, past_covariates=["item_id"])


NUMBERS = np.random.default_rng(3).permutation(np.arange(10_000, 90_000))[:200]


@pytest.mark.parametrize(
    "name", ["row_id", "transaction_id", "record", "order_no", "customerNo", "ticket", "barcode", "phone", "hash"]
)
def test_another_number_in_every_row_is_no_channel_and_told(tmp_path: Path, name: str):
    data = load(table(tmp_path, DAYS, **{name: NUMBERS}))
    assert len(data["train"][0]["series"]) == 1
    assert any(repr(name) in text and "target_columns" in text for text in data.report["warnings"])
    assert len(load(table(tmp_path, DAYS, **{name: NUMBERS}), target_columns=["v", name])["train"][0]["series"]) == 2


def test_one_zip_code_is_no_channel_and_numbers_alone_are_values(tmp_path: Path):
    data = load(table(tmp_path, DAYS, zip=["08001"] * 200))
    assert len(data["train"][0]["series"]) == 1 and any("'zip'" in text for text in data.report["warnings"])
    alone = load(parquet(tmp_path, date=[f"{day:%Y-%m-%d}" for day in DAYS], order=NUMBERS))
    assert not alone.report["warnings"]
    np.testing.assert_allclose(alone["train"][0]["series"][0][:5], NUMBERS[:5])


def test_a_column_called_as_names_that_may_be_values_is_told(tmp_path: Path):
    file = table(tmp_path, DAYS, customer=NUMBERS % 97)
    data = load(file)
    assert len(data["train"][0]["series"]) == 2
    assert any("'customer'" in text and "target_columns=['v']" in text for text in data.report["warnings"])
    again = load(file, target_columns=["v"])
    assert len(again["train"][0]["series"]) == 1 and not again.report["warnings"]
    assert not load(table(tmp_path, DAYS, customers=NUMBERS % 97)).report["warnings"]


NUMBERS_BESIDE = {
    "a second channel": [0.5 * row % 7 for row in range(240)],
    "whole numbers": [row * row % 97 for row in range(240)],
    "marks of quality": [0 if row % 9 == 0 else 192 for row in range(240)],
    "text of numbers": [f"{row * row % 97 / 10}" for row in range(240)],
}


@pytest.mark.parametrize("kind", NUMBERS_BESIDE)
def test_numbers_beside_a_column_called_value_are_told(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2023-03-01", periods=240, freq="h").astype(str),
            "value": np.sin(np.arange(240.0)),
            "other": NUMBERS_BESIDE[kind],
            "hour": np.arange(240) % 24,
            "row": np.arange(240),
            "table": 0,
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)

    def warnings(**options: Any) -> list[str]:
        data = load(tmp_path, **options)
        return [text for text in data.report["warnings"] if "'other'" in text]

    (told,) = warnings()
    both, meant = hints(told)
    assert both == {"target_columns": ["value", "other"]} and not warnings(**both) and not warnings(**meant)
    assert ("192: 213 times" in told) == (kind == "marks of quality")
