"""Time series as data: files, tables, schemas; grid, gaps, cut in time; errors that say what to type."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import load_data
from hf_ssl.modalities.timeseries.files import is_ucr_table, read_series_file
from hf_ssl.modalities.timeseries.split import arrays_of, spans, standardize
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.modalities.timeseries.windows import Windows, fill

TS = """# a comment
@problemName waves
@timestamps false
@univariate false
@classLabel true up down
@data
1,2,3:4,5,6:up
7,?,9:1,1,1:down
"""
TSF = """@relation two
@attribute series_name string
@attribute start_timestamp date
@frequency hourly
@horizon 2
@missing true
@equallength false
@data
T1:2020-01-01 00-00-00:1,2,3,?
T2:2020-01-01 02-00-00:5,6
"""
ARFF = """@relation flat
@attribute a numeric
@attribute b numeric
@attribute target {x,y}
@data
1.5,?,x
2,3,y
"""
RELATIONAL = r"""@relation nested
@attribute relational_atr relational
@attribute t1 numeric
@attribute t2 numeric
@end relational_atr
@attribute target {x,y}
@data
"1,2\n3,4",x
"5,6\n7,8",y
"""


def hourly(rows: int, start: str = "2021-03-01", seed: int = 0, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    step = np.arange(rows)
    values = np.sin(step * 2 * np.pi / 24) + 0.1 * rng.standard_normal(rows)
    return pd.DataFrame({"timestamp": pd.date_range(start, periods=rows, freq="h"), "target": values, **columns})


def load(source: object, **options: object):
    return load_data(source, "timeseries", verbose=False, **options)


@pytest.mark.parametrize(
    ("name", "text", "shapes", "labels"),
    [
        ("a.ts", TS, [(2, 3), (2, 3)], ["up", "down"]),
        ("a.tsf", TSF, [(1, 4), (1, 2)], [None, None]),
        ("a.arff", ARFF, [(1, 2), (1, 2)], ["x", "y"]),
        ("b.arff", RELATIONAL, [(2, 2), (2, 2)], ["x", "y"]),
    ],
)
def test_files_are_read(tmp_path: Path, name, text, shapes, labels):
    (tmp_path / name).write_text(text)
    records = read_series_file(tmp_path / name)
    assert [record.values.shape for record in records] == shapes
    assert [record.label for record in records] == labels
    assert all(record.values.dtype == np.float32 for record in records)


def test_missing_values_and_starts_survive(tmp_path: Path):
    (tmp_path / "a.tsf").write_text(TSF)
    first, second = read_series_file(tmp_path / "a.tsf")
    assert np.isnan(first.values[0, 3]) and first.start == "2020-01-01 00:00:00" and second.frequency == "h"
    (tmp_path / "a.ts").write_text(TS)
    assert np.isnan(read_series_file(tmp_path / "a.ts")[1].values[0, 1])


def test_bad_series_files_are_quarantined_with_their_line(tmp_path: Path):
    for number in range(6):
        (tmp_path / f"good{number}.ts").write_text(TS.replace("1,2", f"{number},2").replace("7,?", f"{number},?"))
    (tmp_path / "bad.ts").write_text(TS + "1,abc:2,3:up\n")
    data = load(tmp_path, max_left_out=0.2)
    assert data.report["quarantined"][0]["path"] == "bad.ts" and "line 9" in data.report["quarantined"][0]["reason"]


def test_ucr_tables_without_header(tmp_path: Path):
    rng = np.random.default_rng(0)
    for split, rows in (("train", 30), ("test", 12)):
        lines = ["\t".join([str(row % 2 + 1), *(f"{v:.4f}" for v in rng.normal(size=20))]) for row in range(rows)]
        (tmp_path / split).mkdir()
        (tmp_path / split / f"X_{split.upper()}.tsv").write_text("\n".join(lines))
    (tmp_path / "train" / "notes.csv").write_text("name,age,city,a,b,c,d,e\nx,1,y,1,2,3,4,5\n")
    assert not is_ucr_table(tmp_path / "train" / "notes.csv")
    (tmp_path / "train" / "notes.csv").unlink()
    data = load(tmp_path)
    assert data.label_names == ["1", "2"] and len(data["test"]) == 12
    assert arrays_of(data["train"])[0].shape == (1, 20)


def test_numpy_files(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(20, 2, 9)).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=values, y=np.arange(20) % 2)
    data = load(tmp_path / "train.npz")
    assert {item.shape for item in arrays_of(data["train"])} == {(2, 9)} and data.label_kind == "class"


def test_long_table_unsorted_with_gaps_and_duplicates():
    frame = pd.concat([hourly(400, item_id="a"), hourly(400, seed=1, item_id="b")])
    frame = frame.drop(frame.index[50:60]).sample(frac=1, random_state=0)
    again = frame.iloc[:3].assign(target=99.0)
    data = load(pd.concat([frame, again]), horizon=24)
    decided = " ".join([*data.report["decisions"], *data.report["warnings"]])
    assert "sorted" in decided and "repeat a time stamp: took their last" in decided and "missing values" in decided
    assert "step of h" in decided and data.label_kind == "future"
    first = arrays_of(data["train"])[0]
    assert np.isnan(first).sum() >= 10


def test_duplicates_can_be_averaged_or_refused():
    frame = pd.concat([hourly(300), hourly(300).assign(target=5.0)])
    mean = arrays_of(load(frame, horizon=12, duplicates="mean")["train"])[0]
    np.testing.assert_allclose(mean[0, 0], (hourly(1)["target"][0] + 5) / 2, rtol=1e-5)
    with pytest.raises(DataError, match="duplicates='last'"):
        load(frame, horizon=12, duplicates="fail")


def test_summer_time_neither_repeats_nor_skips_an_hour():
    stamps = pd.date_range("2021-03-20", periods=500, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    text = pd.DataFrame({"timestamp": stamps.astype(str), "target": np.arange(500.0)})
    for frame in (text, text.assign(timestamp=stamps)):
        data = load(frame, horizon=12)
        assert not np.isnan(arrays_of(data["train"])[0]).any()
        assert "UTC" in " ".join(data.report["decisions"])
        assert "repeat" not in " ".join(data.report["decisions"])


@pytest.mark.parametrize(("step", "alias"), [("15min", "15min"), ("D", "D"), ("MS", "MS"), ("W", "W"), ("QS", "QS")])
def test_steps_are_found(step, alias):
    frame = pd.DataFrame({"ds": pd.date_range("2000-01-02", periods=120, freq=step), "y": np.arange(120.0)})
    data = load(frame, horizon=4)
    assert data["train"][0]["frequency"] == alias and not np.isnan(arrays_of(data["train"])[0]).any()


def test_whole_numbers_are_time_stamps_too():
    frame = pd.DataFrame({"timestamp": np.arange(0, 900, 3), "value": np.arange(300.0)})
    assert arrays_of(load(frame, horizon=5)["train"])[0].shape[1] == 210


def test_wide_table_with_year_month_day_and_covariates():
    frame = hourly(600)
    stamps = frame.pop("timestamp")
    frame = frame.assign(
        year=stamps.dt.year,
        month=stamps.dt.month,
        day=stamps.dt.day,
        hour=stamps.dt.hour,
        temp=1.0,
        price=np.arange(600.0),
    )
    data = load(frame, horizon=24, target_columns=["target"], past_covariates=["temp"], known_covariates=["price"])
    row = data["train"][0]
    assert row["targets"] == 1 and len(row["loc"]) == 3
    values = arrays_of(data["train"])[0]
    np.testing.assert_allclose(values[2, :10], np.arange(24.0, 34.0))  # what is known lies a horizon ahead


def test_missing_known_covariates_are_refused():
    frame = hourly(300, price=np.where(np.arange(300) > 280, np.nan, 1.0))
    with pytest.raises(DataError, match="known for every step"):
        load(frame, horizon=12, target_columns=["target"], known_covariates=["price"])


def test_gluonts_and_fev_rows():
    gluon = datasets.Dataset.from_dict(
        {
            "item_id": ["a", "b"],
            "start": ["2020-01-01", "2020-01-03"],
            "freq": ["H", "H"],
            "target": [list(np.arange(200.0)), list(np.arange(240.0))],
            "feat_static_cat": [[1], [2]],
        }  # fmt: skip
    )
    data = load(gluon, horizon=12)
    assert list(data["train"]["id"]) == ["a", "b"] and data["train"][0]["season"] == 24
    stamps = [list(pd.date_range("2020-01-01", periods=200, freq="h")) for _ in range(2)]
    fev = datasets.Dataset.from_dict(
        {"id": ["a", "b"], "timestamp": stamps, "target": [[float(v) for v in range(200)]] * 2}
    )
    data = load(fev, horizon=12)
    assert data["train"][0]["frequency"] == "h" and len(data["test"]) == 2


def test_one_moment_cuts_all_series_of_a_panel():
    late = hourly(200, start="2021-03-10", item_id="late")
    data = load(pd.concat([hourly(500, item_id="early"), late]), horizon=10, context_length=20)
    early, late_row = data["test"][0], data["test"][1]
    begin = [
        pd.Timestamp(row["start"]) + pd.Timedelta(hours=row["offset"] + row["history"]) for row in (early, late_row)
    ]
    assert begin[0] == begin[1]
    each = load(pd.concat([hourly(500, item_id="early"), late]), horizon=10, context_length=20, cut="each")
    assert len(arrays_of(each["train"])[1][0]) == 140


def test_nothing_after_the_cut_reaches_train_or_scalers():
    frame = pd.concat([hourly(500, item_id="a"), hourly(500, seed=1, item_id="b")])
    clean = load(frame, horizon=24)
    cut = pd.Timestamp(clean["train"][0]["start"]) + pd.Timedelta(hours=arrays_of(clean["train"])[0].shape[1])
    spoiled = frame.assign(target=np.where(frame["timestamp"] >= cut, 1e9, frame["target"]))
    found = load(spoiled, horizon=24)
    for split in ("unlabeled", "train"):
        for name in ("loc", "scale", "naive_error", "naive_square", "frequency"):
            assert clean[split][name] == found[split][name]
        for mine, theirs in zip(arrays_of(clean[split]), arrays_of(found[split]), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert max(arrays_of(found["test"])[0].max() for _ in [0]) == 1e9


def test_a_stride_that_misses_hours_of_the_day_is_told():
    def told(stride):
        return [line for line in load(hourly(500), horizon=12, stride=stride).report["decisions"] if "places" in line]

    assert "4 of the season's 24 places" in told(6)[0] and told(5) == told(1) == []


def test_train_fraction_shortens_train_only():
    frame = hourly(1000)
    whole, part = load(frame, horizon=24), load(frame, horizon=24, train_fraction=0.1)
    assert arrays_of(part["train"])[0].shape[1] == 70 and part["train"][0]["offset"] == 630
    assert part["train"]["loc"] == whole["train"]["loc"]
    np.testing.assert_array_equal(arrays_of(part["unlabeled"])[0], arrays_of(whole["unlabeled"])[0])
    np.testing.assert_array_equal(arrays_of(part["test"])[0], arrays_of(whole["test"])[0])


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (hourly(30), {"horizon": 24}, "horizon=24 is too long"),
        (hourly(300).assign(target=np.nan), {"horizon": 5}, "without any value before the cut in channel 0"),
        (hourly(300).assign(target=["x"] * 300), {"horizon": 5}, "holds text such as 'x'"),
        (hourly(300).drop(columns="timestamp"), {"horizon": 5}, "timestamp_column="),
        (hourly(300), {"horizon": 5, "target_columns": ["targt"]}, "Did you mean 'target'"),
        (hourly(300), {"horizon": 5, "frequency": "parsec"}, "no known step"),
        (hourly(300).assign(timestamp="soon"), {"horizon": 5}, "cannot be read"),
        (
            pd.concat([hourly(300, item_id="a"), hourly(300, item_id="b").assign(timestamp=pd.date_range("2021", periods=300, freq="37min"))]),
            {"horizon": 5}, "no common step",
        ),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_do(frame, options, message):
    with pytest.raises(DataError, match=message):
        load(frame, **options)


def test_horizon_and_splits_exclude_each_other():
    with pytest.raises(DataError, match="made in time"):
        load(hourly(300), test=hourly(50), horizon=5)
    with pytest.raises(ConfigError, match="at least 1"):
        load(hourly(300), horizon=0)


def test_windows_are_views_and_cover_every_place():
    series = [np.arange(20, dtype=np.float32)[None], np.arange(100, 107, dtype=np.float32)[None]]
    windows = Windows(series, context=5, horizon=2, shortest=5)
    assert len(windows) == 14 + 1
    assert np.shares_memory(windows.past(3), series[0]) and np.shares_memory(windows.future(14), series[1])
    past, future, owner = windows.batch([0, 13, 14])
    assert past[0, :, 0].tolist() == [0, 1, 2, 3, 4] and future[0, :, 0].tolist() == [5, 6]
    assert future[1, :, 0].tolist() == [18, 19] and owner.tolist() == [0, 0, 1]
    with pytest.raises(IndexError):
        windows.place(15)


def test_history_is_looked_back_at_but_never_forecast():
    series = [np.arange(30, dtype=np.float32)[None]]
    windows = Windows(series, context=10, horizon=4, history=[10])
    futures = np.concatenate([windows.future(i)[0] for i in range(len(windows))])
    assert futures.min() == 10 and len(windows) == 17


def test_scaling_of_constant_empty_and_missing_channels():
    values = np.stack([np.full(50, 1e6), np.full(50, np.nan), np.r_[np.nan, np.arange(49.0)]]).astype(np.float32)
    loc, scale = standardize(values)
    assert loc[0] == 1e6 and scale[:2].tolist() == [1, 1] and np.isfinite([*loc, *scale]).all()
    back = (values - loc[:, None]) / scale[:, None] * scale[:, None] + loc[:, None]
    np.testing.assert_allclose(back, values, rtol=1e-5)
    filled, seen = fill(values.T[None])
    assert np.isfinite(filled).all() and not seen[0, :, 1].any()
    assert filled[0, 0, 2] == pytest.approx(np.arange(49.0).mean())


def test_spans_round_trip_and_rows_of_unequal_channels():
    rows = [{"series": np.ones((2, 3), np.float32), "id": "a", "history": 0, "offset": 0, "start": "", "frequency": "", "season": 1, "targets": 2,
             "known": 0, "loc": np.zeros(2), "scale": np.ones(2), "naive_error": np.ones(2), "naive_square": np.ones(2)}]  # fmt: skip
    assert arrays_of(spans(rows))[0].shape == (2, 3)
    ragged = datasets.Dataset.from_dict({"series": [[[1.0, 2.0], [3.0]]]})
    assert np.isnan(arrays_of(ragged)[0][1, 1])
    assert TimeSeries().validate([[1.0], [float("inf")]]) == "infinite value"
    assert TimeSeries().validate([[None, None]]) == "series without any observed value"
    assert "different lengths" in TimeSeries().validate([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("suffix", [".tsv", ".ts"])
def test_classes_of_series_are_told_where_forecasts_are_asked_for(tmp_path: Path, suffix: str):
    rows = [(row % 2 + 1, np.sin(np.arange(60) / 4 + row)) for row in range(12)]
    if suffix == ".tsv":
        lines = ["\t".join([str(label), *(f"{value:.4f}" for value in values)]) for label, values in rows]
    else:
        lines = ["@problemName a", "@timeStamps false", "@univariate true", "@classLabel true 1 2", "@data"]
        lines += [",".join(f"{value:.4f}" for value in values) + f":{label}" for label, values in rows]
    file = tmp_path / f"a{suffix}"
    file.write_text("\n".join(lines) + "\n")
    data = load_data(str(file), "timeseries", horizon=6, verbose=False)
    told = [text for text in data.report["warnings"] if "'label'" in text]
    assert len(told) == 1 and "2 classes" in told[0] and data.report["ignored_columns"] == ["label"]
    meant = load_data(str(file), "timeseries", horizon=6, ignore_columns=["label"], verbose=False)
    assert not any("'label'" in text for text in meant.report["warnings"])
    assert load_data(str(file), "timeseries", verbose=False).label_names == ["1", "2"]
