"""Tables of series in other layouts, calendars and with other rows among them than one would like: read right, told, or refused with what works."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.split import arrays_of

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
WAVE = np.round(10 + 3 * np.sin(np.arange(4000) * 2 * np.pi / 12) + np.random.default_rng(0).normal(size=4000), 2)
DAYS = pd.date_range("2023-03-01", periods=300)
YEARS = range(1970, 2000)


def read(source, **options):
    return load_data(
        source,
        modality="timeseries",
        verbose=False,
        **{"horizon": 3, "context_length": 12, "test_fraction": 0.1, **options},
    )


def start_of(data):
    return data["train"][0]["start"][:10]


def values_of(data, count):
    return arrays_of(data["train"])[0][0, :count]


def matrix(rows, columns, per=None):
    per = per or len(columns)
    return pd.DataFrame([WAVE[per * row : per * row + per] for row in range(rows)], columns=columns)


def years(columns, name="Year", values=YEARS):
    made = matrix(len(list(values)), columns)
    made.insert(0, name, list(values))
    return made


def weeks(columns, stamps):
    made = matrix(len(stamps), columns)
    made.insert(0, "date", list(stamps))
    return made


GERMAN = ["Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]
MONDAYS = pd.date_range("2020-01-06", periods=60, freq="7D").strftime("%Y-%m-%d")
SUNDAYS = pd.date_range("2020-01-12", periods=60, freq="7D").strftime("%Y-%m-%d")
WEEK = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
LAYOUTS = {
    "months": (years(MONTHS), "MS", "1970-01"),
    "months, in German": (years(GERMAN, "Jahr"), "MS", "1970-01"),
    "months, by number": (years([str(n) for n in range(1, 13)]), "MS", "1970-01"),
    "months, called date": (years(MONTHS, "date"), "MS", "1970-01"),
    "months from July": (years(MONTHS[6:] + MONTHS[:6], values=[f"{y}/{(y + 1) % 100:02d}" for y in YEARS]), "MS", "1970-07"),
    "months of Buddhist years": (years(MONTHS, values=[year + 543 for year in YEARS]), "MS", "1970-01"),
    "quarters": (years(["Q1", "Q2", "Q3", "Q4"]), "QS", "1970-01"),
    "halves": (years(["H1", "H2"], values=range(1930, 2000)), "2QS", "1930-01"),
    "weeks": (years([f"W{n}" for n in range(1, 53)], values=range(1990, 2012)), "W", "1990-01-01"),
    "weekdays": (weeks(WEEK, MONDAYS), "D", "2020-01-06"),
    "weekdays of ISO weeks": (weeks(WEEK, [f"2020-W{n:02d}" for n in range(2, 50)]), "D", "2020-01-06"),
    "weekdays of weeks by their end": (weeks(WEEK, SUNDAYS), "D", "2020-01-06"),
    "working days": (weeks(WEEK[:5], MONDAYS), "B", "2020-01-06"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_column_per_part_is_one_series(name):
    table, frequency, start = LAYOUTS[name]
    data = read(table)
    assert data["train"][0]["frequency"] == frequency and start_of(data) == start
    np.testing.assert_allclose(values_of(data, 50), WAVE[:50], rtol=1e-5)
    told = " ".join(data.report["warnings"])
    assert "target_columns=" in told
    channels = ast.literal_eval(re.search(r"target_columns=(\[.*?\])", told)[1])
    rest = [column for column in table if column not in channels]
    meant = read(
        table, target_columns=channels, timestamp_column=rest[0], context_length=4, test_fraction=0.2, max_missing=0.9
    )
    assert len(meant["train"][0]["loc"]) == len(channels)


@pytest.mark.parametrize("name", ["months", "months, in German", "months, by number", "quarters", "weeks"])
def test_a_row_per_part_and_a_column_per_year_is_one_series(name):
    table, frequency, start = LAYOUTS[name]
    turned = table.set_index(table.columns[0]).T.rename_axis("part").reset_index()
    turned.columns = turned.columns.astype(str)
    data = read(turned)
    assert data["train"][0]["frequency"] == frequency and start_of(data) == start
    np.testing.assert_allclose(values_of(data, 50), WAVE[:50], rtol=1e-5)
    told = " ".join(data.report["warnings"])
    assert "for each year" in told and "entered as left out" not in told


def test_rows_of_other_names_and_a_column_per_year_are_series_each():
    table = matrix(4, [str(year) for year in YEARS])
    table.insert(0, "region", ["north", "south", "east", "west"])
    data = read(table)
    assert len(data["train"]) == 4 and "for each year" not in " ".join(data.report["warnings"])


def test_days_of_months_that_do_not_exist_are_no_steps():
    months = pd.period_range("2000-01", periods=24, freq="M")
    rows, at = [], 0
    for month in months:
        size = month.days_in_month
        rows.append([month.year, month.month, *WAVE[at : at + size], *[None] * (31 - size)])
        at += size
    table = pd.DataFrame(rows, columns=["year", "month", *[str(day) for day in range(1, 32)]])
    data = read(table)
    assert data["train"][0]["frequency"] == "D" and start_of(data) == "2000-01-01"
    np.testing.assert_allclose(values_of(data, 400), WAVE[:400], rtol=1e-5)
    account = data.report["accounts"]["rows"]
    assert account["found"] == account["used"] == at
    table.loc[1, "31"] = 1.0
    with pytest.raises(DataError, match="no such day"):
        read(table)


def test_sums_beside_the_parts_are_left_out_and_named():
    table = years(MONTHS)
    table["Annual"] = table[MONTHS].mean(axis=1).round(2)
    table["DJF"] = 1.5
    told = " ".join(read(table).report["warnings"])
    assert "'Annual': left out" in told and "'DJF': one value per year" in told


def test_years_that_begin_in_october_are_asked_about():
    turned = MONTHS[9:] + MONTHS[:9]
    with pytest.raises(DataError, match="1970/71"):
        read(years(turned))
    data = read(years(turned, values=[f"{year}/{(year + 1) % 100:02d}" for year in YEARS]))
    assert start_of(data) == "1970-10"


def test_stations_with_a_row_per_year_each():
    table = pd.concat([years(MONTHS).assign(station=name) for name in ("a", "b")])
    with pytest.raises(DataError, match="item_column='station'"):
        read(table)
    assert len(read(table, item_column="station")["train"]) == 2


@pytest.mark.parametrize(
    "columns",
    [[str(n) for n in range(1, 13)], [f"M{n}" for n in range(1, 13)], WEEK, ["Q1", "Q2", "Q3", "Q4"], ["H1", "H2"]],
)
def test_channels_that_are_called_so_beside_dates_stay_channels(columns):
    table = matrix(300, columns)
    table.insert(0, "date", DAYS.strftime("%Y-%m-%d"))
    data = read(table)
    assert len(data["train"][0]["loc"]) == len(columns) and data["train"][0]["frequency"] == "D"


# -- calendars and day counts ---------------------------------------------------------------------------------------------

ERAS = {
    "Buddhist, day first": lambda d: f"{d:%d/%m}/{d.year + 543}",
    "Buddhist, ISO": lambda d: f"{d.year + 543}-{d:%m-%d}",
    "Buddhist, digits": lambda d: f"{d.year + 543}{d:%m%d}",
    "Buddhist, names": lambda d: f"{d:%d %b} {d.year + 543}",
    "Buddhist, with the time": lambda d: f"{d.year + 543}/{d:%m/%d} 00:00",
    "Reiwa": lambda d: f"令和{d.year - 2018}年{d.month}月{d.day}日",
    "Republic of China": lambda d: f"{d.year - 1911}/{d:%m/%d}",
}


@pytest.mark.parametrize("spelling", ERAS)
def test_years_of_other_eras_are_read_and_told(spelling):
    data = read(pd.DataFrame({"date": [ERAS[spelling](day) for day in DAYS], "y": WAVE[:300]}))
    assert start_of(data) == "2023-03-01" and data["train"][0]["frequency"] == "D"
    assert any("in our years" in line for line in data.report["warnings"])


def test_leap_days_of_the_buddhist_era_exist():
    days = pd.date_range("2024-02-01", periods=200)
    table = pd.DataFrame({"date": [f"{d:%d/%m}/{d.year + 543}" for d in days], "y": WAVE[:200]})
    for options in ({}, {"timestamp_format": "%d/%m/%Y"}):
        assert start_of(read(table, **options)) == "2024-02-01"


@pytest.mark.parametrize("shift", [-621, 3760, 300], ids=["Persian", "Hebrew", "of the future"])
def test_years_that_cannot_be_held_are_refused(shift):
    for stamps in ([f"{d.year + shift}-{d:%m-%d}" for d in DAYS], [f"{d:%d/%m}/{d.year + shift}" for d in DAYS]):
        with pytest.raises(DataError, match="another calendar|Persian or Islamic calendar"):
            read(pd.DataFrame({"date": stamps, "y": WAVE[:300]}))


@pytest.mark.parametrize(
    ("name", "first", "unit"),
    [("JD", 2_460_004.5, "julian"), ("MJD", 60_004.0, "mjd"), ("BJD_TDB", 2_460_004.5, "julian")],
)
def test_days_as_astronomers_count_them(name, first, unit):
    table = pd.DataFrame({name: first + np.arange(300), "mag": WAVE[:300]})
    data = read(table, timestamp_column=name)
    assert start_of(data) == "2023-03-01" and any(
        f"timestamp_unit={unit!r}" in line for line in data.report["warnings"]
    )
    told = read(table, timestamp_column=name, timestamp_unit=unit)
    assert start_of(told) == "2023-03-01" and not told.report["warnings"]


def test_julian_days_in_a_column_of_another_name_are_asked_about():
    table = pd.DataFrame({"time": 2_460_004.5 + np.arange(300) / 24, "mag": WAVE[:300]})
    with pytest.raises(DataError, match="timestamp_unit='julian'"):
        read(table)
    assert read(table, timestamp_unit="julian")["train"][0]["frequency"] == "h"
    with pytest.raises(DataError, match="timestamp_unit='julian'"):
        read(table, timestamp_unit="days")


# -- words, units and sums among the stamps -------------------------------------------------------------------------------


def read_as_advised(folder: Path, table: pd.DataFrame, lost: int, **options):
    """The file is refused, its error names csv_options, and with them all but `lost` rows are read."""
    table.to_csv(folder / "a.csv", index=False)
    with pytest.raises(DataError) as told:
        read(folder / "a.csv", **options)
    found = re.search(r"csv_options=(\{'na_values': \{.*?\}\})", str(told.value))
    data = read(folder / "a.csv", csv_options=ast.literal_eval(found[1]), **options)
    assert sum(data.report["accounts"]["rows"]["left_out"].values()) == lost
    return str(told.value), data


SECONDS = [f"{n / 20:.2f}" for n in range(300)]
MONTHLY = pd.date_range("2010-01-01", periods=240, freq="MS")
FOOTED = {
    "a sum": ([f"{d:%Y-%m-%d}" for d in DAYS], {300: "Total"}, {}),
    "units above": (SECONDS, {0: "ticks"}, {"timestamp_unit": "s"}),
    "mean and spread": (SECONDS, {300: "Mean", 301: "Std"}, {"timestamp_unit": "s"}),
    "today": ([f"{d.day}.{d.month}.{d.year}" for d in DAYS], {0: "heute"}, {}),
    "sums of years": ([f"{d:%Y-%m-%d}" for d in MONTHLY], {12 * n + n - 1: str(2009 + n) for n in range(1, 21)}, {}),
    "sums of quarters": ([f"{d:%Y-%m}" for d in MONTHLY], {3: "Total Q1"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOOTED)
def test_what_stands_among_stamps_is_named_not_the_stamps(tmp_path: Path, kind):
    stamps, put, options = FOOTED[kind]
    values = [str(value) for value in WAVE[: len(stamps)]]
    for row, word in put.items():
        stamps = [*stamps[:row], word, *stamps[row:]]
        values = [*values[:row], "bar" if "units" in kind else "600", *values[row:]]
    said, data = read_as_advised(tmp_path, pd.DataFrame({"time": stamps, "y": values}), len(put), **options)
    assert repr(next(iter(put.values()))) in said
    np.testing.assert_allclose(values_of(data, 20)[:20], WAVE[:20], rtol=1e-5)


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y"])
def test_days_that_do_not_exist_are_named(tmp_path: Path, spelling):
    stamps = [day.strftime(spelling) for day in DAYS]
    stamps[61] = spelling.replace("%d", "31").replace("%m", "04").replace("%Y", "2023")
    said, _ = read_as_advised(tmp_path, pd.DataFrame({"date": stamps, "y": WAVE[:300]}), 1)
    assert repr(stamps[61]) in said and repr(stamps[0]) not in said


def test_two_lines_of_header_are_joined_as_advised(tmp_path: Path):
    rows = "\n".join(
        f"{day:%Y-%m-%d},{a},{b},{c},{d}" for day, a, b, c, d in zip(DAYS, *WAVE[:1200].reshape(4, 300), strict=True)
    )
    for title, options in (("", {}), ("a title\n2024\n", {"skiprows": 2})):
        (tmp_path / "a.csv").write_text(f"{title},North,North,South,South\ntime,temp,hum,temp,hum\n{rows}\n")
        with pytest.raises(DataError) as told:
            read(tmp_path / "a.csv", csv_options=options)
        first = re.search(r"csv_options=(\{.*?\})", str(told.value))[1]
        data = read(tmp_path / "a.csv", csv_options=ast.literal_eval(first))
        assert data.report["columns"]["series"] == "North temp, North hum, South temp, South hum"
        assert data.report["accounts"]["rows"]["found"] == 300


@pytest.mark.parametrize(
    ("zone", "back"), [("Europe/Berlin", True), ("America/New_York", True), ("Australia/Sydney", True), ("", False)]
)
def test_the_hour_that_clocks_repeat_is_named(zone, back):
    stamps = pd.date_range("2024-01-01", periods=8000, freq="h", tz="UTC")
    local = (
        stamps.tz_convert(zone).tz_localize(None)
        if zone
        else stamps.tz_localize(None)[[*range(900), *range(899, 7999)]]
    )
    told = [
        line
        for line in read(pd.DataFrame({"time": local, "y": np.tile(WAVE, 2)})).report["warnings"]
        if "repeat a time stamp" in line
    ]
    again = str(local[local.duplicated()][0])
    assert len(told) == 1 and again in told[0] and ("summer time" in told[0]) == back


# -- totals, labels of moments, marks ---------------------------------------------------------------------------------------


def regions(total: str, how=np.sum):
    made = pd.DataFrame({"North": WAVE[:200], "South": WAVE[200:400], "West": WAVE[400:600]})
    made[total] = np.round(how(made.to_numpy(), axis=1), 1)
    made.insert(0, "date", DAYS[:200].strftime("%Y-%m-%d"))
    return made


@pytest.mark.parametrize(
    ("total", "how", "said"),
    [
        ("Total", np.sum, "the sum of"),
        ("Gesamt", np.sum, "the sum of"),
        ("World", np.sum, "the sum of"),
        ("Average", np.mean, "the mean of"),
        ("All", np.max, "is none"),
    ],
)
def test_totals_are_told_and_left_out_as_advised(total, how, said):
    wide = regions(total, how)
    told = [line for line in read(wide).report["warnings"] if said in line]
    assert len(told) == 1 and "target_columns=['North', 'South', 'West']" in told[0]
    assert not read(wide, target_columns=["North", "South", "West"]).report["warnings"]
    long = wide.melt("date", var_name="region", value_name="sales")
    told = [line for line in read(long, item_column="region").report["warnings"] if said in line]
    assert len(told) == 1 and f"skip_items=[{total!r}]" in told[0]
    data = read(long, item_column="region", skip_items=[total])
    assert list(data["train"]["id"]) == ["North", "South", "West"] and not data.report["warnings"]
    assert sum(data.report["accounts"]["rows"]["left_out"].values()) == 200


def test_series_that_sum_up_nothing_are_not_called_totals():
    assert not read(regions("East", np.max)).report["warnings"]


def test_items_to_skip_have_to_be_there():
    long = regions("Total").melt("date", var_name="region", value_name="sales")
    with pytest.raises(DataError, match="Did you mean 'Total'"):
        read(long, item_column="region", skip_items=["Totl"])
    with pytest.raises(DataError, match="leaves no series"):
        read(long, item_column="region", skip_items=["North", "South", "West", "Total"])


def test_labels_of_moments_are_named():
    table = pd.DataFrame(
        {"subject": np.repeat(["a", "b"], 150), "timestamp": np.tile(np.arange(150), 2), "acc": WAVE[:300]}
    )
    table["activity"] = np.repeat(["walk", "run", "sit"] * 4, 25)
    with pytest.raises(DataError) as told:
        read(table, item_column="subject")
    assert "target_columns=['acc']" in str(told.value) and "item_column='activity'" not in str(told.value)
    data = read(table, item_column="subject", target_columns=["acc"])
    assert any("'activity'" in line and "not used" in line for line in data.report["warnings"])
    assert data.report["ignored_columns"] == ["activity"]
    meant = read(table, item_column="subject", target_columns=["acc"], ignore_columns=["activity"])
    assert not meant.report["warnings"]


@pytest.mark.parametrize("name", ["label", "is_anomaly", "state"])
def test_labels_of_moments_by_number_are_told(name):
    table = pd.DataFrame({"date": DAYS, "a": WAVE[:300], "b": WAVE[300:600], name: np.arange(300) // 30 % 2})
    told = [line for line in read(table).report["warnings"] if repr(name) in line]
    assert len(told) == 1 and f"ignore_columns=[{name!r}]" in told[0]
    left = read(table, ignore_columns=[name])
    assert not left.report["warnings"] and np.shape(left["unlabeled"][0]["series"])[0] == 2
    assert not read(table, target_columns=["a", "b", name]).report["warnings"]


def test_marks_of_missing_values_are_told_at_once(tmp_path: Path):
    values = WAVE[:300].copy()
    values[[5, 50, 51]], values[[9, 99]], values[150] = 9999, -99.9, -999
    pd.DataFrame({"date": DAYS, "t": values}).to_csv(tmp_path / "a.csv", index=False)
    told = " ".join(read(tmp_path / "a.csv").report["warnings"])
    words = ast.literal_eval(re.search(r"na_values=(\[.*?\])", told)[1])
    assert sorted(map(float, words)) == [-999, -99.9, 9999]
    data = read(tmp_path / "a.csv", na_values=words)
    assert not data.report["warnings"] and np.isnan(values_of(data, 200)).sum() == 6


@pytest.mark.parametrize(
    "spelling", ["{month:03}.{year}", "{month:03}/{year}", "{year}/{month:03}", "P{month:02} {year}", "{year}-P{month:02}", "FY{year} P{month:02}"]
)  # fmt: skip
def test_periods_of_an_accounting_year_are_months_and_told(spelling):
    stamps = [spelling.format(month=1 + place % 12, year=1990 + place // 12) for place in range(120)]
    data = read(pd.DataFrame({"period": stamps, "amount": WAVE[:120]}))
    assert data["train"][0]["frequency"] == "MS" and start_of(data).startswith("1990-01")
    np.testing.assert_allclose(values_of(data, 50), WAVE[:50], rtol=1e-5)
    assert any("read as January" in text for text in data.report["warnings"])


def test_periods_beyond_the_twelfth_are_asked_about():
    stamps = [f"{1 + place % 16:03}.{1990 + place // 16}" for place in range(160)]
    with pytest.raises(DataError, match="period"):
        read(pd.DataFrame({"period": stamps, "amount": WAVE[:160]}))
