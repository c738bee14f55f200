"""Audio for the contract suite (`test_contracts.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import sounds
from hf_ssl.core import plugins
from hf_ssl.modalities.audio.audio import Audio


class Kind:
    """What every objective and task on audio is tried on: short voiced sounds of different lengths."""

    modality = Audio()
    values = [sounds.voice(seed, 0.15 + 0.05 * seed) for seed in range(16)]
    compares_within_batch = frozenset({"objectives/simclr", "objectives/vicreg"})
    fixed: dict[str, dict[str, Any]] = {
        "objectives/hubert-units": {"clusters": 6},
        "objectives/wav2vec2": {"negatives": 10},
        "tasks/ordinal": {"order": ["a", "b", "c"]},
    }
    # A key bias shifts all scores of a softmax alike; objectives that mask nothing do not use the mask vector
    # (that those that mask do train it is tested in test_audio_objectives.py).
    without_gradient = ("k_proj.bias", "masked_spec_embed")

    def checkpoint(self, tiny_checkpoint: Callable[..., Path], name: str) -> Path:
        """A tiny random checkpoint that the objective or task called `name` starts from."""
        auto_class = {"wav2vec2": "AutoModelForPreTraining"}.get(name, "AutoModel")
        return tiny_checkpoint("wav2vec2", auto_class, layerdrop=0.0, feat_extract_norm="layer")

    def unlabeled(self, times: int = 1) -> datasets.Dataset:
        """The values (several times over) with ids."""
        values = [*self.values] * times
        return _dataset({"audio": values, "id": [f"id{i}" for i in range(len(values))]})

    def labeled(self, task: str) -> datasets.Dataset:
        """The values with labels of the kind the task needs."""
        count = len(self.values)
        columns: dict[str, Any] = {"audio": self.values, "id": [f"id{i}" for i in range(count)]}
        kind = plugins.find("tasks", task).label_kind
        labels, feature = {
            "class": ([i % 3 for i in range(count)], datasets.ClassLabel(names=["a", "b", "c"])),
            "identity": ([i % 3 for i in range(count)], datasets.ClassLabel(names=["a", "b", "c"])),
            "multilabel": (
                [[i % 2, (i // 2) % 2, int(i % 3 == 0)] for i in range(count)], datasets.List(datasets.Value("int64")),
            ),
            "regression": ([float(i % 5) for i in range(count)], datasets.Value("float64")),
            "transcript": (["ab", "ba", "a b", "b"] * (count // 4), datasets.Value("string")),
        }[kind]  # fmt: skip
        return _dataset({**columns, "label": labels}, label=feature)


def _dataset(columns: dict[str, Any], **features: Any) -> datasets.Dataset:
    stored = [{"array": np.asarray(value), "sampling_rate": 16_000} for value in columns["audio"]]
    types = {
        "audio": {"array": datasets.List(datasets.Value("float32")), "sampling_rate": datasets.Value("int64")},
        "id": datasets.Value("string"),
        **features,
    }
    return datasets.Dataset.from_dict({**columns, "audio": stored}, features=datasets.Features(types))
