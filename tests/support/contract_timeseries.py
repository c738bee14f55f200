"""Time series for the contract suite (`test_contracts.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ssl.core import plugins
from hf_ssl.modalities.timeseries.split import spans, standardize
from hf_ssl.modalities.timeseries.timeseries import TimeSeries

CHANNELS, LENGTH = 2, 64


def waves(count: int, length: int = LENGTH, seed: int = 0) -> list[np.ndarray]:
    """Noisy sines of three frequencies, with a few missing values, `(channels, length)` each."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(count):
        phase, step = rng.uniform(0, 6), np.arange(length)
        clean = np.stack([np.sin((row % 3 + 1) * step / 4 + phase), np.cos(step / 6 + phase)])
        values = (clean + 0.2 * rng.standard_normal(clean.shape)).astype(np.float32)
        values[0, rng.integers(0, length, 2)] = np.nan
        found.append(values)
    return found


class Kind:
    """What every objective and task on time series is tried on."""

    # The horizon is forecasting's; every other objective and task leaves it alone when series are examples.
    modality = TimeSeries(TimeSeries.Config(horizon=16))
    values = waves(16)
    compares_within_batch = frozenset({"objectives/ts-contrastive"})
    fixed: dict[str, dict[str, Any]] = {
        "objectives/forecast": {"shorten": 0.3},
        "tasks/ordinal": {"order": ["a", "b", "c"]},
    }
    # A key bias shifts all scores of a softmax alike; a bias in front of a batch norm is taken off again.
    without_gradient = ("k_proj.bias", "position_enc")

    def checkpoint(self, tiny_checkpoint: Callable[..., Path], name: str) -> Path:
        """A tiny random checkpoint that the objective or task called `name` starts from."""
        # Layer norm: with batch norm the loss of a batch is no sum over its examples.
        return tiny_checkpoint(
            "patchtst",
            "AutoModel",
            norm_type="layernorm",
            context_length=LENGTH if name not in ("forecast", "forecasting") else 32,
        )

    def unlabeled(self, times: int = 1) -> datasets.Dataset:
        """The values (several times over) with ids."""
        count = times * len(self.values)
        return datasets.Dataset.from_dict(
            {"series": [value.tolist() for value in self.values] * times, "id": [f"id{i}" for i in range(count)]},
            features=datasets.Features(
                {"series": datasets.List(datasets.List(datasets.Value("float32"))), "id": datasets.Value("string")}
            ),
        )

    def labeled(self, task: str) -> datasets.Dataset:
        """The values with labels of the kind the task needs."""
        if task == "forecasting":
            return self.spans()
        data, count = self.unlabeled(), len(self.values)
        kind = plugins.find("tasks", task).label_kind
        if kind == "class":
            return data.add_column(
                "label", [i % 3 for i in range(count)], feature=datasets.ClassLabel(names=["a", "b", "c"])
            )
        if kind == "multilabel":
            flags = [[i % 2, (i // 2) % 2, int(i % 3 == 0)] for i in range(count)]
            return data.add_column("label", flags, feature=datasets.List(datasets.Value("int64")))
        return data.add_column("label", [float(i % 5) for i in range(count)], feature=datasets.Value("float64"))

    def spans(self) -> datasets.Dataset:
        """One window per series: 48 steps of history and 16 to forecast."""
        rows = []
        for number, value in enumerate(self.values):
            loc, scale = standardize(value[:, :48])
            rows.append(
                {
                    "series": value,
                    "id": f"id{number}",
                    "history": 48,
                    "offset": 0,
                    "start": "",
                    "frequency": "h",
                    "season": 12,
                    "targets": 1,
                    "known": 0,
                    "loc": loc,
                    "scale": scale,
                    "naive_error": np.ones(CHANNELS),
                    "naive_square": np.ones(CHANNELS),
                }  # fmt: skip
            )
        return spans(rows)
