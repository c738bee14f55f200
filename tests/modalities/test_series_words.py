"""Calendars in other languages, lines of numbers without a header, and the column of time stamps that an error proposes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.lines import label_position
from hf_ssl.modalities.timeseries.split import arrays_of
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

RNG = np.random.default_rng(0)


def read(source: object, **options: object):
    return load_data(source, modality="timeseries", verbose=False, **options)


def forecast(columns: dict[str, object], **options: object):
    rows = len(next(iter(columns.values())))
    return read(pd.DataFrame({**columns, "value": np.sin(np.arange(rows))}), horizon=3, **options)["train"][0]


@pytest.mark.parametrize(
    ("year", "week"),
    [("Jahr", "KW"), ("Jahr", "Woche"), ("année", "semaine"), ("año", "semana"), ("anno", "settimana"), ("år", "uke"),
     ("År", "Vecka"), ("jaar", "week"), ("ISO-Jahr", "Kalenderwoche")],
)  # fmt: skip
@pytest.mark.parametrize("spelling", ["{}", "KW {:02d}"])
def test_years_and_weeks_in_two_columns(year, week, spelling):
    weeks = [(2018 + place // 52, place % 52 + 1) for place in range(104)]
    row = forecast({week: [spelling.format(number) for _, number in weeks], year: [number for number, _ in weeks]})
    assert row["frequency"] == "W" and row["start"].startswith("2018-01-01")


MONTHS = {
    ("Jahr", "Monat"): "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    ("année", "mois"): "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    ("año", "mes"): "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    ("anno", "mese"): "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}


@pytest.mark.parametrize("columns", MONTHS)
def test_months_by_name_and_number(columns):
    names, rows = MONTHS[columns].split(), [(2015 + place // 12, place % 12) for place in range(60)]
    years = [year for year, _ in rows]
    for months in ([names[month] for _, month in rows], [month + 1 for _, month in rows]):
        assert forecast({columns[1]: months, columns[0]: years})["frequency"] == "MS"
    row = forecast({"date": [f"{names[month]} {year}" for year, month in rows]})
    assert row["frequency"] == "MS" and row["start"].startswith("2015-01")


def test_months_of_excel_in_german_and_the_option_that_is_named():
    short = "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez".split()
    stamps = [f"{short[place % 12]} {15 + place // 12}" for place in range(60)]
    for options in ({}, {"timestamp_format": "%b %y"}):
        assert forecast({"date": stamps}, **options)["start"].startswith("2015-01")


@pytest.mark.parametrize(
    "form", ["T{1} {0}", "{1}. Quartal {0}", "{1}er trimestre {0}", "{1}T{0}", "{0}-T{1}", "K{1} {0}"]
)
def test_quarters_in_one_column(form):
    row = forecast({"date": [form.format(2010 + place // 4, place % 4 + 1) for place in range(48)]})
    assert row["frequency"] == "QS" and row["start"].startswith("2010-01")


@pytest.mark.parametrize("columns", [("Jahr", "Quartal"), ("année", "trimestre"), ("año", "trimestre")])
@pytest.mark.parametrize("form", ["{}", "T{}"])
def test_quarters_in_two_columns(columns, form):
    quarters = [form.format(place % 4 + 1) for place in range(48)]
    assert (
        forecast({columns[1]: quarters, columns[0]: [2010 + place // 4 for place in range(48)]})["frequency"] == "QS"
    )


@pytest.mark.parametrize("columns", [("Jahr", "Tag des Jahres"), ("année", "jour de l'année"), ("año", "día del año")])
def test_days_of_the_year(columns):
    days = pd.date_range("2021-01-01", periods=500)
    assert forecast({columns[0]: days.year, columns[1]: days.day_of_year})["frequency"] == "D"


@pytest.mark.parametrize("form", ["KW {1:02d}/{0}", "{1:02d}. KW {0}", "{0}-KW{1:02d}", "Semaine {1} {0}"])
def test_weeks_in_one_column(form):
    stamps = [form.format(2018 + place // 52, place % 52 + 1) for place in range(104)]
    assert forecast({"date": stamps})["frequency"] == "W"
    with pytest.raises(DataError, match="52 or 53"):
        forecast({"date": [*stamps, form.format(2019, 53)]})


# -- lines of numbers -----------------------------------------------------------------------------------------------------


def lines(tmp_path: Path, rows: list[list[object]], name: str = "heart.csv", mark: str = ",") -> Path:
    (tmp_path / name).write_text("\n".join(mark.join(map(str, row)) for row in rows) + "\n")
    return tmp_path / name


def beats(count: int = 40, steps: int = 20) -> list[list[object]]:
    return [[round(float(value), 5) for value in RNG.normal(size=steps)] for _ in range(count)]


@pytest.mark.parametrize("mark", [",", ";"])
def test_the_label_may_be_the_last_column(tmp_path: Path, mark):
    rows = [[*row, f"{place % 4}.000e+00"] for place, row in enumerate(beats())]
    data = read(lines(tmp_path, rows, mark=mark))
    assert data.label_names == ["0", "1", "2", "3"] and arrays_of(data["train"])[0].shape == (1, 20)
    told = next(warning for warning in data.report["warnings"] if "label_position" in warning)
    assert "last of 21 columns" in told
    assert not any(
        "label_position" in one for one in read(tmp_path / "heart.csv", label_position="last").report["warnings"]
    )
    with pytest.raises(DataError):
        read(tmp_path / "heart.csv", label_position="first")


def test_filled_up_series_of_one_class_in_each_file(tmp_path: Path):
    for name, label in (("normal.csv", 0), ("abnormal.csv", 1)):
        lines(tmp_path, [[*row, 0.0, 0.0, float(label)] for row in beats(20)], name)
    data = read(tmp_path)
    assert data.label_names == ["0", "1"] and arrays_of(data["train"])[0].shape == (1, 22)


def test_series_without_a_label_keep_all_their_values(tmp_path: Path):
    data = read({"unlabeled": str(lines(tmp_path, beats()))})
    assert arrays_of(data["unlabeled"])[0].shape == (1, 20)
    assert any("no labels" in warning for warning in data.report["warnings"])
    filled = lines(tmp_path, [[*row, 0.0, 0.0] for row in beats()], "filled.csv")
    assert arrays_of(read({"unlabeled": str(filled)})["unlabeled"])[0].shape == (1, 22)


def test_the_first_column_needs_no_word_and_numbers_of_columns_are_no_series(tmp_path: Path):
    rows = [[place % 2 + 1, *row] for place, row in enumerate(beats())]
    data = read(lines(tmp_path, [list(range(21)), *rows]))
    assert data.label_names == ["1", "2"] and data.report["accounts"] is not None
    assert sum(len(data[name]) for name in ("train", "validation", "test")) == 40
    assert not any("label_position" in warning for warning in data.report["warnings"])


def test_where_both_ends_may_be_the_label_it_is_asked(tmp_path: Path):
    rows = [[place % 2, *row, place % 3] for place, row in enumerate(beats())]
    with pytest.raises(DataError, match="label_position='first' or 'last'") as asked:
        read(lines(tmp_path, rows))
    assert "0, 1" in str(asked.value) and "0, 1, 2" in str(asked.value)
    assert read(tmp_path / "heart.csv", label_position="last").label_names == ["0", "1", "2"]
    assert read(tmp_path / "heart.csv", label_position="first").label_names == ["0", "1"]


def test_pictures_as_lines_of_whole_numbers_are_told():
    rows = [[str(place % 3), *(str(value) for value in RNG.integers(0, 256, 12)), "0"] for place in range(30)]
    position, told = label_position(rows)
    assert position == "first" and "label_position='last'" in told


def test_an_unknown_position_is_refused():
    with pytest.raises(Exception, match="label_position"):
        read(pd.DataFrame({"series": [[1.0, 2.0]]}), label_position="middle")
    assert TimeSeries.Config(label_position="none").label_position == "none"


# -- which column holds the times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "options", "column"),
    [
        ({"EAN": [541448820001234567] * 40, "Datum": [20240201 + day % 28 for day in range(40)], "kWh": range(40)}, {}, "Datum"),
        ({"run_id": [run for run in range(4) for _ in range(10)], "t": [step / 10 for _ in range(4) for step in range(10)],
          "x": RNG.normal(size=40)}, {"item_column": "run_id"}, "t"),
        ({"subject": ["a"] * 20 + ["b"] * 20, "n": [*range(20), *range(20)], "x": RNG.normal(size=40)}, {"item_column": "subject"}, "n"),
        ({"compound": ["A"] * 40, "trimestre": [f"T{p % 4 + 1} {2010 + p // 4}" for p in range(40)], "x": RNG.normal(size=40)}, {}, "trimestre"),
    ],
)  # fmt: skip
def test_the_proposed_column_holds_the_times(columns, options, column):
    with pytest.raises(DataError, match=f"timestamp_column='{column}'"):
        read(pd.DataFrame(columns), horizon=3, **options)


def test_where_no_column_holds_times_none_is_proposed():
    doses = {
        "compound": ["A"] * 20 + ["B"] * 20,
        "dose": [10.0**-place for place in range(20)] * 2,
        "x": RNG.normal(size=40),
    }
    with pytest.raises(DataError, match="rise evenly") as told:
        read(pd.DataFrame(doses), horizon=3)
    assert not re.search("timestamp_column='", str(told.value))


# -- words among values ---------------------------------------------------------------------------------------------------


def measured(words: dict[int, str], **options: object):
    values = [words.get(place, f"{place % 7 + 0.5}") for place in range(120)]
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=120).astype(str), "value": values})
    return read(frame, horizon=3, validation_fraction=0, test_fraction=0, **options)


@pytest.mark.parametrize("word", ["Bad", "No Good", "offline"])
def test_words_of_a_bad_measurement_are_missing_when_that_is_said(word):
    words = {3: word, 50: word}
    with pytest.raises(DataError, match=re.escape(f"na_values=['{word}']")):
        measured(words)
    values = arrays_of(measured(words, na_values=[word])["train"])[0]
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [3, 50]


def test_numbers_that_mean_nothing_in_any_spelling():
    values = arrays_of(measured({3: "-999.00", 50: "-999"}, na_values=["-999"])["train"])[0]
    assert np.flatnonzero(np.isnan(values[0])).tolist() == [3, 50]


@pytest.mark.parametrize("word", ["-", "\\N", "?"])
def test_marks_of_nothing_in_many_values_are_told(word):
    data = measured({place: word for place in range(1, 120, 6)})
    assert any(f"20 are {word!r}" in warning and "taken for missing" in warning for warning in data.report["warnings"])
    assert not any("taken for missing" in one for one in measured({5: word}).report["warnings"])
    assert not any(
        "taken for missing" in one
        for one in measured({p: word for p in range(1, 120, 6)}, na_values=[word]).report["warnings"]
    )


@pytest.mark.parametrize(
    ("step", "said"),
    [("ME", "MS (month, dated by its last day), from 2020-01-31 to 2024-12-31"), ("MS", "MS (month), from 2020-01-01 to 2024-12-01"),
     ("QE", "QS (quarter, dated by its last day), from 2020-03-31 to 2034-12-31"),
     ("h", "h (hour), from 2020-01-01 00:00:00 to 2020-01-03 11:00:00")],
)  # fmt: skip
def test_the_report_says_from_when_to_when(step, said):
    frame = pd.DataFrame(
        {"date": pd.date_range("2020-01-01", periods=60, freq=step).astype(str), "value": np.sin(np.arange(60))}
    )
    assert any(said in one for one in read(frame, horizon=3).report["decisions"])
