"""What is known in advance: lists that reach beyond the target, tables of the future, and where a window sees it."""

from __future__ import annotations

import datasets
import numpy as np
import pandas as pd
import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.data import load_data, load_rows
from hf_ssl.modalities.timeseries.origins import origins_of
from hf_ssl.modalities.timeseries.split import arrays_of
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

DAYS = pd.date_range("2024-01-01", periods=120, freq="D")
KNOWN = {"horizon": 7, "known_covariates": ["promo"], "target_columns": ["sales"]}


def shop(name: str = "a", days: int = 120) -> pd.DataFrame:
    count = np.arange(days, dtype=float)
    return pd.DataFrame({"item_id": name, "date": DAYS[:days], "sales": count, "promo": 1000 + count})


def rows(data: object, **options: object) -> datasets.Dataset:
    return load_rows(data, "timeseries", verbose=False, **options)["rows"]


def ahead_of(split: datasets.Dataset) -> np.ndarray:
    """What is known of the steps to be forecast."""
    row, values = split[0], arrays_of(split)[0]
    return values[-1, row["history"] - 7 : row["history"]]


def test_rows_without_a_target_and_a_table_of_the_future_say_the_same() -> None:
    table = shop()
    past, later = table[:100], table[100:].drop(columns="sales")
    joined = pd.concat([past, later])
    for found in (rows(joined, **KNOWN), rows(past, future=later, **KNOWN), rows(past, future=table[100:], **KNOWN)):
        assert found[0]["history"] == 100 and found[0]["known"] == 1
        np.testing.assert_array_equal(ahead_of(found), 1000 + np.arange(100.0, 107.0))


def test_lists_known_in_advance_may_reach_beyond_the_target() -> None:
    """GluonTS's `feat_dynamic_real`, of two channels; without an option, as its name says it."""
    gluon = datasets.Dataset.from_dict(
        {
            "item_id": ["a"], "start": ["2024-01-01"], "freq": ["D"], "target": [np.arange(100.0)],
            "feat_dynamic_real": [[np.arange(107.0) + 1000, np.arange(107.0) + 2000]],
        }
    )  # fmt: skip
    found = rows(gluon, horizon=7)
    assert found[0]["known"] == 2 and found[0]["history"] == 100
    np.testing.assert_array_equal(ahead_of(found), 2000 + np.arange(100.0, 107.0))
    data = load_data(gluon, "timeseries", horizon=7, verbose=False)
    train = arrays_of(data["train"])[0]
    np.testing.assert_array_equal(train[1, :5], 1007 + np.arange(5.0))
    assert data["test"][0]["offset"] + arrays_of(data["test"])[0].shape[1] == 100, (
        "nothing is measured behind the target"
    )


def test_a_window_knows_the_dates_and_covariates_of_its_steps_ahead() -> None:
    modality = TimeSeries(TimeSeries.Config(**KNOWN, static_columns=["kind"]))
    table = pd.concat([shop("a").assign(kind="x"), shop("b", 110).assign(kind="y")])
    data = load_data(table, modality, verbose=False)
    asked = origins_of(modality, data["test"], 7)
    loc, scale = (np.array(data["test"][name][0]) for name in ("loc", "scale"))
    for window in (0, len(asked) - 1):
        day = asked.future[window, 0, 0] * scale[0] + loc[0]
        assert asked.times[window, 0] == DAYS[round(float(day))]
        promo = asked.past[window, -7:, 1] * scale[1] + loc[1]
        np.testing.assert_allclose(promo, 1000 + day + np.arange(7), atol=1e-2)
    assert set(asked.static["kind"]) == {"x", "y"} and asked.known == 1 and len(asked.take(np.array([0]))) == 1
    few = origins_of(modality, data["train"], 7, most=10)
    assert len(few) == 10 and set(few.names) == {"a", "b"}


def test_a_future_that_cannot_be_says_why() -> None:
    past, later = shop()[:100], shop()[100:]
    with pytest.raises(DataError, match="known_covariates"):
        rows(past, future=later, horizon=7)
    with pytest.raises(DataError, match="promo, only item_id"):
        rows(past, future=later.drop(columns="promo"), **KNOWN)
    with pytest.raises(DataError, match="double vs large_string"):
        rows(past, future=later.assign(promo="yes"), **KNOWN)
