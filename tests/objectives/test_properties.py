"""What can be computed from an input is learned from a part of it, and measured alike on unseen examples."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from contract_timeseries import waves

import tiny
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.objectives.properties import Directions, Properties


def pool(values, column: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({column: list(values), "id": [str(i) for i in range(len(values))]})


def made(modality, folder, values, **options):
    torch.manual_seed(0)
    objective = Properties(modality.load(str(folder)), Properties.Config(**options))
    return objective, objective.rows(pool(values, modality.column), seed=0, training=True)


@pytest.mark.parametrize(("kind", "width"), [("text", 8), ("series", 12)])  # four directions of every kind of property
def test_targets_have_mean_0_and_spread_1_and_unseen_ones_the_same_scale(kind, width, tiny_checkpoint):
    if kind == "text":
        values, modality, folder = tiny.corpus(80), Text(), tiny_checkpoint("bert")
    else:
        values, modality, folder = waves(80), TimeSeries(), tiny_checkpoint("patchtst")
    objective, rows = made(modality, folder, values[:60], directions=4)
    spread = rows.targets.std(axis=0)
    assert rows.targets.shape == (60, width) and np.abs(rows.targets.mean(axis=0)).max() < 0.3
    assert ((spread > 0.5) & (spread < 1.01)).all()
    again = objective.rows(pool(values[:60], modality.column), seed=0, training=False)
    np.testing.assert_allclose(again.targets, rows.targets, atol=1e-4)
    held = objective.rows(pool(values[60:], modality.column), seed=0, training=False)
    assert held.targets.shape[1] == width and np.isfinite(mean_loss(objective, held, 8, bf16=False)["eval_loss"])


def test_the_level_of_a_series_is_learned_from_a_part_of_it(tiny_checkpoint):
    levels = np.linspace(-3, 3, 48)
    values = [wave + level for wave, level in zip(waves(48), levels, strict=True)]
    modality = TimeSeries(TimeSeries.Config(standardize="none"))
    objective, rows = made(modality, tiny_checkpoint("patchtst"), values, directions=2)
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    start = mean_loss(objective, rows, 48, bf16=False)["eval_loss"]
    objective.train()
    for epoch in range(40):
        rows.set_epoch(epoch)
        optimizer.zero_grad()
        objective(**objective.collate([rows[i] for i in range(48)])).loss.backward()
        optimizer.step()
    assert mean_loss(objective, rows, 48, bf16=False)["eval_loss"] < 0.6 * start


def test_constant_and_repeated_features_are_no_targets_of_infinite_size():
    rows = np.column_stack([np.ones(20), np.arange(20.0), np.arange(20.0)])
    found = Directions(rows, 3, 0)(rows)
    assert np.isfinite(found).all() and np.abs(found).max() < 10
    assert np.isfinite(Directions(np.zeros((5, 2)), 3, 0)(np.zeros((5, 2)))).all()
