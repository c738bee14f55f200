"""Series by hand: forecast metrics, baselines, views, spectra, pooling, random kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.metrics.forecast import (
    Scales,
    error_by_step,
    forecast_metrics,
    gmean,
    quantile_metrics,
    seasonal_naive,
    steady,
)
from hf_ssl.evaluation.probes.linear_forecast import least_absolute, ridge
from hf_ssl.modalities.timeseries.backbones import pool
from hf_ssl.modalities.timeseries.distort import described, filled, make
from hf_ssl.modalities.timeseries.grid import times_from
from hf_ssl.modalities.timeseries.random_kernels import random_kernel_features
from hf_ssl.modalities.timeseries.windows import fill
from hf_ssl.objectives import losses
from hf_ssl.objectives.ts_contrastive import SeriesContrastive, log_spectrum


def test_seasonal_naive_and_metrics_by_hand():
    past = np.arange(8.0).reshape(1, 8, 1).repeat(2, 0)
    past[1, 7] = np.nan
    naive = seasonal_naive(past, 6, 4)
    assert naive[0, :, 0].tolist() == [4, 5, 6, 7, 4, 5] and naive[1, 3, 0] == 3
    scales = Scales(*(np.array([[v]]) for v in (10.0, 2.0, 4.0, 16.0)))
    truth = np.array([[[1.0], [np.nan]], [[2.0], [3.0]]])
    found = forecast_metrics(truth.copy() * 0, truth, np.array([0, 0]), scales, naive=np.nan_to_num(truth) + 1)
    assert found["mae"] == pytest.approx(2.0) and found["mse"] == pytest.approx(14 / 3)
    assert found["mase"] == pytest.approx(2.0 * 2 / 4) and found["rmsse"] == pytest.approx(np.sqrt(14 / 3 * 4 / 16))
    assert found["mase_ratio"] == pytest.approx(2.0)
    raw = np.array([12.0, 14.0, 16.0])
    assert found["smape"] == pytest.approx(100 * np.mean(2 * (raw - 10) / (raw + 10)))
    quantiles = np.stack([np.nan_to_num(truth) - 1, np.nan_to_num(truth) + 1], axis=-1)
    levels = quantile_metrics(quantiles, np.array([0.1, 0.9]), truth, np.array([0, 0]), scales)
    assert levels["coverage"] == 1 and levels["wql"] == pytest.approx(2 * 3 * 0.1 * 2 / raw.sum())
    assert error_by_step(truth * 0, truth).tolist() == [1.5, 3.0]
    assert gmean(np.array([2.0, 8.0, np.nan, 0.0])) == pytest.approx(4.0)
    with pytest.raises(DataError, match="NaN or infinite"):
        forecast_metrics(truth * np.nan, truth, np.array([0, 0]), scales)


def test_constant_series_are_left_out_of_the_mean():
    scales = Scales(*(np.array([[v], [v]]) for v in (0.0, 1.0)), np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]))
    truth = np.ones((4, 2, 1))
    found = forecast_metrics(truth * 0, truth, np.array([0, 0, 1, 1]), scales)
    assert found["mase"] == pytest.approx(1.0)


def test_least_absolute_errors_are_not_drawn_to_what_lies_far_off():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 3)).astype(np.float32)
    targets = (inputs @ np.array([[1.0], [2.0], [0.0]]) + 1).astype(np.float32)
    targets[:60] += 50  # what least squares is drawn to
    weight, bias, penalty = ridge(inputs, targets)
    robust, offset = least_absolute(inputs, targets, weight, bias, 1e-3, rounds=30)
    np.testing.assert_allclose(robust[0], [1, 2, 0], atol=0.05)
    assert abs(offset[0] - 1) < 0.05 < abs(bias[0] - 1)


def views(windows: np.ndarray, seeds: range, count: int = 1, **options: Any) -> torch.Tensor:
    """`(windows, count, context, channels)`."""
    config = SeriesContrastive.Config(**options)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    places, parts = (torch.from_numpy(part) for part in described(windows, config, rngs, count))
    made = make(torch.from_numpy(windows), places, parts, config.stretch > 0)
    return made.unflatten(0, (count, -1)).transpose(0, 1)


STILL = {"noise": 0.0, "mask_ratio": 0.0, "sign_flip": False}


def test_views_keep_shape_and_depend_on_their_generator_only():
    values = np.random.default_rng(0).normal(size=(5, 60, 2)).astype(np.float32)
    values[:2, :10], values[3, 20:24] = np.nan, np.nan
    options = {"stretch": 0.5, "warp": 0.2}
    whole = views(values, range(5), 2, **options)
    parts = [views(values[rows.start : rows.stop], rows, 2, **options) for rows in (range(3), range(3, 5))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6, equal_nan=True)
    assert whole.shape == (5, 2, 60, 2) and (~whole.isnan()).float().mean() > 0.7
    assert not torch.equal(whole[:, 0].nan_to_num(), whole[:, 1].nan_to_num())


def test_a_crop_goes_back_and_forth_or_is_stretched():
    ramp = np.arange(40, dtype=np.float32)[None, :, None] + np.zeros((30, 1, 1), np.float32)
    for seen in views(ramp, range(30), crop=0.3, **STILL)[:, 0, :, 0].numpy():
        kept = seen.max() - seen.min() + 1
        assert kept >= 12 and set(np.abs(np.diff(seen))) <= {0.0, 1.0}
        assert set(seen) == set(np.arange(seen.min(), seen.max() + 1))
    for seen in views(ramp, range(30), crop=0.3, stretch=1.0, **STILL)[:, 0, :, 0].numpy():
        steps = np.diff(seen)
        np.testing.assert_allclose(steps, steps[0], atol=2e-5)
        assert 11 / 39 - 1e-4 <= steps[0] <= 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_windows_with_hardly_a_step_have_views(length):
    short = np.full((4, 24, 1), np.nan, np.float32)
    short[:, -length:] = 3.0
    for stretch in (0.0, 1.0):
        seen = views(short, range(4), stretch=stretch, **STILL)
        assert (seen == 3.0).all()


def test_what_is_disturbed_stays_within_its_options():
    flat = np.ones((400, 40, 1), np.float32)
    loud = views(flat, range(400), noise=0.5, mask_ratio=0.0, sign_flip=False)[:, 0, :, 0] - 1
    spread = loud.std(1)
    assert spread.max() < 0.7 and float(spread.mean()) == pytest.approx(0.25, abs=0.03)
    assert abs(float(loud.mean())) < 0.01
    flipped = views(flat, range(400), noise=0.0, mask_ratio=0.0, sign_flip=True)[:, 0, 0, 0]
    assert 160 < int((flipped == -1).sum()) < 240 and set(flipped.tolist()) == {1.0, -1.0}
    hidden = views(flat, range(400), noise=0.0, mask_ratio=0.6, sign_flip=False)[:, 0, :, 0].isnan()
    assert float(hidden.float().mean()) == pytest.approx(0.3, abs=0.03) and not hidden.all(1).any()
    assert torch.equal(hidden[:, ::2], hidden[:, 1::2]), "spans of two steps"
    warped = views(flat, range(400), warp=0.2, **STILL)[:, 0, :, 0]
    assert float(warped[:, 0].std()) == pytest.approx(0.2, abs=0.03)
    assert (warped.diff().abs() < 0.2).all()


def test_missing_values_are_filled_as_on_the_host():
    values = np.random.default_rng(1).normal(size=(6, 30, 2)).astype(np.float32)
    values[0, 5:9], values[1, :, 1], values[2, 3, 0] = np.nan, np.nan, np.nan
    for mine, theirs in zip(filled(torch.from_numpy(values)), fill(values), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(theirs), rtol=0, atol=1e-6)


def test_contrast_and_spectrum_by_hand():
    def nt_xent(views: torch.Tensor, temperature: float) -> float:
        return float(losses.nt_xent(*views.chunk(2), temperature)) / (len(views) / 2)

    same = torch.eye(4).repeat(2, 1)
    assert nt_xent(same, 0.1) < 0.01 < nt_xent(torch.randn(8, 4), 0.1)
    shuffled = torch.cat([torch.eye(4), torch.eye(4).roll(1, 0)])
    assert nt_xent(shuffled, 0.1) > 5
    wave = torch.sin(torch.arange(256) * 2 * np.pi * 8 / 64)[None, None]
    assert int(log_spectrum(wave, 64)[0, 0].argmax()) == 8
    torch.testing.assert_close(log_spectrum(wave, 64), log_spectrum(-wave, 64))


def test_pooling_leaves_out_what_was_not_observed():
    hidden, seen = torch.randn(2, 1, 4, 3), torch.tensor([[[0.0, 0, 1, 1]], [[1.0, 1, 1, 1]]])
    torch.testing.assert_close(pool(hidden, seen, "mean")[0, 0], hidden[0, 0, 2:].mean(0))
    torch.testing.assert_close(pool(hidden, seen, "max")[0, 0], hidden[0, 0, 2:].max(0).values)
    assert pool(hidden, seen, "mean-std").shape == (2, 1, 6)


def test_random_kernels_tell_frequencies_apart():
    rng = np.random.default_rng(0)
    series = [
        np.sin(np.arange(80) * (0.2 + 0.4 * (i % 2)) + rng.uniform(0, 6))[None].astype(np.float32) for i in range(40)
    ]
    features = random_kernel_features(series, kernels=50)
    assert features.shape == (40, 100) and np.isfinite(features).all()
    np.testing.assert_allclose(random_kernel_features(series[:3], kernels=50), features[:3], atol=1e-5)
    longer = [np.concatenate([item, item[:, :55]], axis=1) for item in series[:5]]  # another median length of the call
    np.testing.assert_allclose(random_kernel_features([series[0], *longer], kernels=50)[0], features[0], atol=1e-5)
    from sklearn.linear_model import RidgeClassifier

    labels = np.arange(40) % 2
    assert RidgeClassifier().fit(features[:20], labels[:20]).score(features[20:], labels[20:]) == 1.0


def test_times_follow_the_grid():
    def days(start, frequency, first, count):
        found = times_from(start, frequency, first, count)
        return None if found is None else [str(day)[:10] for day in found]

    assert days("2024-01-31T00:00:00", "D", 1, 2) == ["2024-02-01", "2024-02-02"]
    assert days("2024-01-01T00:00:00", "MS", 11, 2) == ["2024-12-01", "2025-01-01"]
    assert days("2024-01-05T00:00:00", "B", 0, 2) == ["2024-01-05", "2024-01-08"]
    assert days("2024-01-03T00:00:00", "W", 1, 1) == ["2024-01-10"]
    assert str(times_from("2024-01-01T00:00:00", "15min", 5, 1)[0])[:16] == "2024-01-01T01:15"
    assert days("", "D", 0, 1) is None and days("7", "1", 0, 1) is None


def test_steps_that_were_the_same_in_every_season_are_found():
    past = np.array([0, 5, 1, 0, 6, 1, 0, 7, np.nan], np.float32).reshape(1, 9, 1)
    assert steady(past, 5, 3)[0, :, 0].tolist() == [True, False, True, True, False]
    past[0, [2, 5], 0] = np.nan
    assert not steady(past, 3, 3)[0, 2, 0]  # nothing was observed there
    past[0, 5, 0] = 1
    assert not steady(past, 3, 3)[0, 2, 0]  # once is not every season
    assert not steady(past, 5, 1).any() and not steady(past, 5, 8).any()
