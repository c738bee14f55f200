"""Every example is a class of its own: learned from few, told of unseen ones, with as many classes as there may be."""

from __future__ import annotations

import datasets
import numpy as np
import torch
from contract_timeseries import waves

import tiny
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.objectives.instance_identity import InstanceIdentity


def pool(values, column: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({column: list(values), "id": [str(i) for i in range(len(values))]})


def made(modality, folder, values, **options):
    torch.manual_seed(0)
    objective = InstanceIdentity(modality.load(str(folder)), InstanceIdentity.Config(**options))
    return objective, objective.rows(pool(values, modality.column), seed=0, training=True)


def test_examples_are_told_apart_after_training(tiny_checkpoint):
    values = waves(12)
    objective, rows = made(TimeSeries(), tiny_checkpoint("patchtst"), values, smoothing=0.1)
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    objective.train()
    for epoch in range(60):
        rows.set_epoch(epoch)
        optimizer.zero_grad()
        objective(**objective.collate([rows[i] for i in range(12)])).loss.backward()
        optimizer.step()
    objective.eval()
    rows.set_epoch(1000)
    batch = objective.collate([rows[i] for i in range(12)])
    with torch.no_grad():
        answers = objective.head(objective.encoder.features({k: v for k, v in batch.items() if k != "labels"}))
    assert (answers.argmax(1) == batch["labels"]).float().mean() > 3 / 12  # chance is 1 / 12


def test_a_perfect_answer_has_loss_zero_whatever_the_smoothing(tiny_checkpoint):
    objective, rows = made(TimeSeries(), tiny_checkpoint("patchtst"), waves(9), smoothing=0.8)
    wanted = torch.full((1, 9), 0.8 / 9)
    wanted[0, 4] += 0.2

    class Perfect(torch.nn.Module):
        out_features = 9

        def forward(self, features):
            return wanted.log()

    objective.head = Perfect()
    batch = objective.collate([rows[4]])
    torch.testing.assert_close(objective(**batch).loss, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_unseen_examples_are_measured_without_a_class(tiny_checkpoint):
    objective, rows = made(Text(), tiny_checkpoint("bert"), tiny.corpus(40)[:24])
    held = objective.rows(pool(tiny.corpus(40)[24:40], "text"), seed=0, training=False)
    assert objective.head.out_features == 24
    found = mean_loss(objective, held, 4, bf16=False)["eval_loss"]
    assert np.isfinite(found) and found > 0
    assert len(objective.collate([held[0], held[1]])["labels"]) == 2


def test_a_large_pool_is_thinned_evenly(tiny_checkpoint):
    objective, rows = made(Text(), tiny_checkpoint("bert"), tiny.corpus(60)[:40], instances=10)
    assert len(rows) == 10 == objective.head.out_features and rows.keys[0] == "0" and rows.keys[-1] == "39"
