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


def test_months_in_other_languages_are_not_promised():
    stamps = [f"1. {month} {year}" for year in (2015, 2016) for month in ("Januar", "Februar", "Dezember")]
    with pytest.raises(DataError, match="English"):
        read({"date": stamps, "y": VALUES[: len(stamps)]}, timestamp_column="date")
