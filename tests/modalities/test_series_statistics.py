"""The cheapest baselines of series: numbers that keep levels, the same whatever else is in the call."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ssl.evaluation.probes.probes import linear_probe
from hf_ssl.modalities.timeseries.statistics import levels, series_statistics
from hf_ssl.modalities.timeseries.timeseries import TimeSeries


def waves(
    rng: np.random.Generator, count: int, period: float, level: float = 0.0, length: int = 96
) -> list[np.ndarray]:
    steps = np.arange(length)
    phases = rng.uniform(0, 2 * np.pi, count)
    return [
        (np.sin(2 * np.pi * steps / period + phase) + level + 0.3 * rng.normal(size=length))[None] for phase in phases
    ]


def test_a_series_has_its_numbers_whatever_the_others_are() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(2, length)) for length in (40, 7, 1, 200)]
    series[0][1, :5] = np.nan
    together, alone = series_statistics(series), np.concatenate([series_statistics([one]) for one in series])
    np.testing.assert_array_equal(together, alone)
    assert together.shape == (4, 2 * 26) and np.isfinite(together).all()
    assert np.isfinite(series_statistics([np.full((1, 9), np.nan), np.ones((1, 9))])).all(), (
        "nothing seen; nothing varies"
    )


def test_moments_and_bands_are_what_they_say() -> None:
    values = waves(np.random.default_rng(0), 1, 4)[0]
    row = series_statistics([values])[0]
    assert row[0] == pytest.approx(values.mean(), abs=1e-5) and row[1] == pytest.approx(values.std(), abs=1e-5)
    bands = row[-8:]
    assert bands.sum() == pytest.approx(1, abs=1e-5) and bands.argmax() == 6, (
        "a quarter of a cycle a step lies below one half"
    )
    np.testing.assert_allclose(levels([values])[0], [values.mean(), values.std()], atol=1e-5)


@pytest.mark.parametrize("name", ["random kernels", "statistics"])
def test_levels_tell_classes_apart(name: str) -> None:
    """Two classes that differ in nothing but their level: what scales every series is blind to them."""
    rng = np.random.default_rng(0)
    series = [*waves(rng, 30, 12, 0.0), *waves(rng, 30, 12, 1.5)]
    labels = np.repeat([0, 1], 30)
    features = TimeSeries(TimeSeries.Config()).baselines()[name]([dict_of(one) for one in series])
    known = np.arange(60) % 2 == 0
    guess = linear_probe(features[known], labels[known], features[~known])
    assert (guess.predictions == labels[~known]).mean() > 0.9


def dict_of(values: np.ndarray) -> list[list[float]]:
    """As a row of a data set holds it."""
    return values.tolist()
