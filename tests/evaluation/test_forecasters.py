"""Forecasts without the network: each by hand, what boosting makes of covariates, trees as arrays, and how shares are chosen."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import retail
import torch
import transformers
from sklearn.ensemble import HistGradientBoostingRegressor
from tiny_series import tiny_timesfm

from hf_ssl.core.errors import ConfigError, DataError, MissingExtraError
from hf_ssl.data import load_data
from hf_ssl.evaluation.forecasters.base import forecaster
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.evaluation.probes.ensemble_selection import shares_of
from hf_ssl.evaluation.probes.trees import Trees
from hf_ssl.modalities.timeseries.origins import Origins, origins_of
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

HORIZON = 14


@pytest.fixture(scope="module")
def shops() -> tuple[Origins, Origins]:
    """Windows of a panel with covariates: the training span, and what comes after it."""
    modality = TimeSeries(TimeSeries.Config(horizon=HORIZON, **retail.OPTIONS))
    data = load_data(retail.panel(9, 420), modality, verbose=False)
    return origins_of(modality, data["train"], HORIZON, most=1500), origins_of(
        modality, data["test"], HORIZON, most=200
    )


def waves(windows: int, context: int = 96, horizon: int = 12, seed: int = 0) -> Origins:
    """A trend, a season of 12 and little noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(context + horizon) + rng.integers(0, 50, windows)[:, None]
    values = 0.02 * steps + np.sin(2 * np.pi * steps / 12) + 0.02 * rng.standard_normal(steps.shape)
    none = np.full((windows, horizon), np.datetime64("NaT", "ns"))
    past, future = values[:, :context, None].astype(np.float32), values[:, context:, None].astype(np.float32)
    return Origins(past, future, np.array(["a"] * windows), none, {}, 12)


def error(found: np.ndarray, asked: Origins) -> float:
    return float(np.nanmean(np.abs(found - asked.future)))


def learned(train: Origins, name: str = "boosting", held: Origins | None = None) -> Any:
    one = forecaster(name)
    one.learn(train, held, "mae")
    return one


@pytest.mark.parametrize("name", ["smoothing", "linear", "boosting"])
def test_a_trend_and_a_season_are_seen(name: str) -> None:
    one, asked = learned(waves(200), name), waves(40, seed=1)
    found = one.forecast(asked)
    assert found.shape == asked.future.shape and np.isfinite(found).all()
    assert error(found, asked) < 0.5 * error(forecaster("seasonal-naive").forecast(asked), asked)


def test_windows_with_gaps_or_with_nothing_are_answered() -> None:
    asked = waves(3)
    asked.past[0, 30:45] = np.nan
    asked.past[1, :90] = np.nan  # fewer values than a season
    asked.past[2] = np.nan
    for name in ("seasonal-naive", "smoothing", "linear", "boosting"):
        assert np.isfinite(learned(waves(200), name).forecast(asked)).all(), name
    whole = forecaster("smoothing").forecast(waves(1))
    assert np.abs(forecaster("smoothing").forecast(asked)[0] - whole[0]).max() < 0.3, (
        "a gap is what the model expects there"
    )


def without(asked: Origins, what: str) -> Origins:
    """The same windows without covariates, dates, or what the shops are."""
    if what == "covariates":
        return replace(asked, past=asked.past[:, :, :1], known=0)
    if what == "calendar":
        return replace(asked, times=np.full_like(asked.times, np.datetime64("NaT")))
    return replace(asked, static={}, names=np.array(["one"] * len(asked)))


def test_boosting_uses_covariates_calendar_and_kind(shops: tuple[Origins, Origins]) -> None:
    train, asked = shops
    whole = error(learned(train).forecast(asked), asked)
    naive = error(forecaster("seasonal-naive").forecast(asked), asked)
    smooth = error(forecaster("smoothing").forecast(asked), asked)
    poorer = {
        what: error(learned(without(train, what)).forecast(without(asked, what)), asked)
        for what in ("covariates", "kind")
    }
    assert whole < 0.75 * smooth < 0.75 * naive
    assert poorer["covariates"] > 1.2 * whole and poorer["kind"] > whole


def test_the_calendar_says_what_one_year_cannot() -> None:
    """A closing day on every 25th: no lag of whole weeks knows it."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(1200) * np.timedelta64(1, "D")
    rng = np.random.default_rng(0)
    shut = (days.astype("datetime64[D]") - days.astype("datetime64[M]")).astype(int) == 24
    values = (np.where(shut, -3.0, 0.0) + 0.1 * rng.standard_normal(1200)).astype(np.float32)
    places = np.arange(56, 1186)
    steps = places[:, None] + np.arange(14)
    past = np.stack([values[place - 56 : place] for place in places])[:, :, None]
    asked = Origins(past, values[steps][:, :, None], np.array(["a"] * len(places)), days[steps], {}, 7)
    train, test = asked.take(np.arange(900)), asked.take(np.arange(914, len(places)))
    dated = error(learned(train).forecast(test), test)
    counted = error(learned(without(train, "calendar")).forecast(without(test, "calendar")), test)
    assert dated < 0.15 < counted


def test_what_was_never_met_is_answered_and_other_columns_are_refused(shops: tuple[Origins, Origins]) -> None:
    train, asked = shops
    one = learned(train)
    odd = replace(
        asked, names=np.array(["new"] * len(asked)), static={"kind": np.array(["kiosk"] * len(asked)), "size": np.array(["?"] * len(asked))}
    )  # fmt: skip
    assert np.isfinite(one.forecast(odd)).all()
    with pytest.raises(DataError, match="other covariates"):
        one.forecast(without(asked, "covariates"))


def test_what_was_learned_is_known_again(shops: tuple[Origins, Origins]) -> None:
    train, asked = shops
    for name in ("linear", "boosting"):
        one, other = learned(train, name), forecaster(name)
        other.restore(*one.state())
        np.testing.assert_array_equal(other.forecast(asked), one.forecast(asked))


def test_several_channels_are_told_apart() -> None:
    first, second = waves(150), waves(150, seed=3)
    both = replace(
        first, past=np.concatenate([first.past, 2 - second.past], axis=2), future=np.concatenate([first.future, 2 - second.future], axis=2)
    )  # fmt: skip
    found = learned(both).forecast(both)
    assert found.shape == (150, 12, 2) and error(found, both) < 0.15


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_trees_as_arrays_answer_as_scikit_learn_does(loss: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(800, 5))
    rows[:, 0] = rng.integers(0, 40, 800)
    rows[rng.random((800, 5)) < 0.1] = np.nan
    truth = np.nan_to_num(rows[:, 1]) + np.isin(rows[:, 0], [1, 7, 33, 39]) + np.isnan(rows[:, 2])
    model = HistGradientBoostingRegressor(
        loss=loss, categorical_features=[0], max_iter=30, max_depth=8, random_state=0
    ).fit(rows, truth)
    asked = rng.normal(size=(5000, 5))
    asked[:, 0] = rng.integers(0, 40, 5000)
    asked[rng.random((5000, 5)) < 0.1] = np.nan
    trees = Trees.of(model, rows)
    np.testing.assert_allclose(trees.answers(asked), model.predict(asked), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(Trees.restored(trees.arrays()).answers(asked), trees.answers(asked))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {"left": a["left"] + len(a["left"])}, lambda a: {"feature": a["feature"] - 1}, lambda a: {"value": a["value"] * np.nan},
        lambda a: {"threshold": a["threshold"][1:]}, lambda a: {"categories": a["categories"] + 9}, lambda a: {"depth": a["depth"] + 10**6},
        lambda a: {"roots": a["roots"][:0]},
    ],
)  # fmt: skip
def test_trees_that_lead_nowhere_are_refused(change: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 2))
    arrays = Trees.of(HistGradientBoostingRegressor(max_iter=3, max_depth=3).fit(rows, rows[:, 0]), rows).arrays()
    with pytest.raises(ValueError, match=r"trees"):
        Trees.restored({**arrays, **change(arrays)})


def test_too_few_windows_are_told() -> None:
    few = waves(3)
    few.future[:] = np.nan
    for name in ("linear", "boosting"):
        with pytest.raises(DataError, match="needs"):
            learned(few, name)


def test_shares_are_never_worse_than_the_best_alone_and_simple_where_nothing_is_gained() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(300, 4, 1))
    truth[:20] = np.nan
    noisy = {
        name: truth + rng.normal(0, spread, truth.shape) for name, spread in (("a", 1.0), ("b", 1.0), ("far", 9.0))
    }
    shares = shares_of(noisy, truth)
    mean = sum(share * noisy[name] for name, share in shares.items())
    alone = min(np.nanmean(np.abs(ahead - truth)) for ahead in noisy.values())
    assert set(shares) == {"a", "b"} and sum(shares.values()) == pytest.approx(1)
    assert np.nanmean(np.abs(mean - truth)) < 0.85 * alone, "independent errors cancel"
    assert shares_of({"a": truth, "b": noisy["b"]}, truth) == {"a": 1.0}
    assert shares_of({"first": noisy["a"], "same": noisy["a"].copy()}, truth) == {"first": 1.0}


# -- other packages and released models ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["auto-ets", "auto-theta", "auto-arima", "statsforecast"])
def test_statistical_forecasts_see_a_trend(name: str) -> None:
    pytest.importorskip("statsforecast", reason="statsforecast is not installed")
    asked, one = waves(3), forecaster(name)
    asked.past[0, 40:43] = np.nan
    asked.past[1, :90] = np.nan
    one.check()
    found = one.forecast(asked)
    assert found.shape == asked.future.shape and np.isfinite(found).all()
    np.testing.assert_array_equal(
        found[1], seasonal_naive(asked.past, 12, 12)[1], err_msg="too little history: the last season again"
    )
    assert error(found[[0, 2]], asked.take(np.array([0, 2]))) < 0.5 * error(seasonal_naive(asked.past, 12, 12), asked)


def test_timesfm_answers_as_its_own_class_does(tmp_path: Any) -> None:
    folder = tiny_timesfm(tmp_path)
    asked = waves(3, context=64)
    one = forecaster(f"timesfm@{folder}")
    one.check()
    model = transformers.TimesFm2_5ModelForPrediction.from_pretrained(folder).eval()
    with torch.inference_mode():
        history = [torch.from_numpy(past[:, 0]) for past in asked.past]
        expected = model(past_values=history, forecast_context_len=64, truncate_negative=False).mean_predictions[
            :, :12
        ]
    np.testing.assert_allclose(one.forecast(asked)[:, :, 0], expected.numpy(), atol=1e-5)
    with pytest.raises(ConfigError, match="forecasts 16 steps"):
        one.forecast(waves(1, context=64, horizon=24))


def test_chronos_is_given_covariates_where_they_belong(
    shops: tuple[Origins, Origins], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is not needed here: a stand-in with its call says what it was given."""
    given: list[dict[str, Any]] = []

    class Pipeline:
        quantiles = (0.1, 0.5, 0.9)

        @classmethod
        def from_pretrained(cls, checkpoint: str, device_map: str) -> Pipeline:
            if checkpoint != "folder":
                raise OSError("no such checkpoint")
            return cls()

        def predict(self, inputs: list[dict[str, Any]], prediction_length: int) -> list[torch.Tensor]:
            given.extend(inputs)
            return [torch.arange(3.0)[None, :, None].expand(1, 3, prediction_length) for _ in inputs]

    stand_in = types.ModuleType("chronos")
    stand_in.Chronos2Pipeline = Pipeline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chronos", stand_in)
    asked = shops[1].take(np.arange(2))
    found = forecaster("chronos@folder").forecast(asked)
    np.testing.assert_array_equal(found, np.ones((2, HORIZON, 1)))
    first = given[0]
    context = asked.past.shape[1]
    assert first["target"].shape == (1, context - HORIZON)
    np.testing.assert_array_equal(first["target"][0], asked.past[0, HORIZON:, 0])
    assert set(first["past_covariates"]) == set(first["future_covariates"]) == {"known 1", "known 2", "known 3"}
    np.testing.assert_array_equal(first["future_covariates"]["known 1"], asked.past[0, -HORIZON:, 1])
    np.testing.assert_array_equal(first["past_covariates"]["known 1"], asked.past[0, :-HORIZON, 1])
    with pytest.raises(Exception, match="from nowhere"):
        forecaster("chronos@nowhere").forecast(asked)


def test_names_that_cannot_be_say_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="No forecaster is called 'bosting'. Did you mean 'boosting'"):
        forecaster("bosting")
    with pytest.raises(ConfigError, match="timesfm@google/timesfm-2.5"):
        forecaster("timesfm").check()
    with pytest.raises(ConfigError, match="takes no checkpoint"):
        forecaster("boosting@somewhere").check()
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None)
    for name, pip in (("auto-ets", "statsforecast"), ("chronos@amazon/chronos-2", "chronos-forecasting")):
        with pytest.raises(MissingExtraError, match=f"pip install .*{pip}"):
            forecaster(name).check()
