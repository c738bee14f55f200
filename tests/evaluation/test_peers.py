"""Peers as they really run, where they are installed (`pip install "hf_ssl[peers]"`), and what each is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.metrics.forecast import seasonal_naive
from hf_ssl.evaluation.peers.base import Asked, Series

PLACES = ("the harbour", "a ship", "the captain", "our anchor")
TOOLS = ("the compiler", "a program", "the debugger", "our linker")


def sentences(seed: int, each: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], each)
    return [f"{rng.choice((PLACES, TOOLS)[label])} is here again" for label in labels], labels


def test_a_support_vector_machine_reads_frozen_vectors() -> None:
    rng = np.random.default_rng(0)
    labels, truth = np.repeat([0, 2], 8), np.repeat([0, 2], 20)
    vectors, test = (rng.normal(size=(len(y), 6)) + 3.0 * (y[:, None] - 1.0) for y in (labels, truth))
    asked = Asked([], labels, [], vectors, test, "single_label_classification", 0, "")
    found = plugins.find("peers", "svm")().answer(asked)
    assert set(found.predictions) == {0, 2} and (found.predictions == truth).mean() > 0.9
    with pytest.raises(ConfigError, match="forecasts"):
        plugins.find("peers", "svm")().forecast(Series(np.zeros((1, 9, 1)), 3, 3))


@pytest.mark.slow
def test_setfit_learns_from_pairs(tmp_path: Path) -> None:
    pytest.importorskip("setfit", reason="setfit is not installed")
    from hf_ssl import demo

    texts, labels = sentences(0, 8)
    test, truth = sentences(1, 20)
    peer = plugins.find("peers", "setfit")()
    peer.check("text", "class")
    asked = Asked(texts, labels + 1, test, None, None, "single_label_classification", 0, str(demo.minilm_path()))
    found = peer.answer(asked)
    assert found.scores is not None and found.scores.shape == (40, 2)
    assert (found.predictions == truth + 1).mean() > 0.9


@pytest.mark.slow
def test_statsforecast_is_better_than_the_last_season_where_there_is_a_trend() -> None:
    pytest.importorskip("statsforecast", reason="statsforecast is not installed")
    steps = np.arange(96 + 12)
    values = np.stack(
        [0.05 * steps + np.sin(2 * np.pi * steps / 12), np.ones(len(steps)), np.cos(2 * np.pi * steps / 12)]
    )
    values = values[None, :, :].transpose(0, 2, 1).astype(np.float32)
    past, future = values[:, :96].copy(), values[:, 96:]
    past[0, 40:43, 0] = np.nan
    past[0, :, 1] = np.where(np.arange(96) < 90, np.nan, 1.0)
    peer = plugins.find("peers", "statsforecast")()
    peer.check("timeseries", "future")
    found, naive = peer.forecast(Series(past, 12, 12)), seasonal_naive(past, 12, 12)
    assert found.shape == future.shape and np.isfinite(found).all()
    errors = [np.abs(one - future)[0, :, 0].mean() for one in (found, naive)]
    assert errors[0] < 0.5 * errors[1]
    np.testing.assert_allclose(found[0, :, 1], 1.0, err_msg="too little history: the last season again")
