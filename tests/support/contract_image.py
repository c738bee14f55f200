"""Images for the contract suite (`test_contracts.py`)."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import tiny
from hf_ssl.core import plugins
from hf_ssl.modalities.image.files import as_reference
from hf_ssl.modalities.image.image import Image


def pictures(count: int = 16, side: int = 32, channels: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Smooth random pictures, uint8 `(side, side, channels)`: a few colored waves each."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    made = []
    for _ in range(count):
        planes = []
        for _ in range(channels):
            fx, fy, phase = rng.uniform(1, 6, 2).tolist() + [rng.uniform(0, 6)]
            planes.append(127 + 120 * np.sin(fx * columns * 3 + fy * rows * 3 + phase))
        made.append(np.stack(planes, axis=2).astype(np.uint8))
    return made


@functools.cache
def _teacher() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="teacher", dir=os.environ.get("HF_SSL_TEST_HOME")))
    return tiny.write_checkpoint("dinov2", folder, seed=3)


class Kind:
    """What every objective and task on images is tried on."""

    modality = Image()
    values = [as_reference(picture) for picture in pictures()]
    # Their loss compares the examples of a micro-batch with each other; SegFormer's head normalizes by batch.
    compares_within_batch = frozenset({"objectives/simclr", "objectives/vicreg", "tasks/segmentation"})
    fixed: dict[str, dict[str, Any]] = {
        "objectives/simclr": {"projector_hidden": 64, "projector_out": 16},
        "objectives/vicreg": {"expander": 64},
        "objectives/mae": {"norm_pixels": False},
        "objectives/distill": {"teacher": str(_teacher()), "patches": 0.5},
        "objectives/dino": {"prototypes": 32, "head_hidden": 48, "head_out": 16, "freeze_last": 0.0},
        "tasks/ordinal": {"order": ["a", "b", "c"]},
    }
    # The pooler of a ViT is not used by token pooling; a key bias shifts all scores of a softmax alike; a bias in
    # front of a batch normalization is taken away again.
    without_gradient = ("pooler", "key.bias", "k_proj.bias", "mask_token")

    def checkpoint(self, tiny_checkpoint: Callable[..., Path], name: str) -> Path:
        """A tiny random checkpoint that the objective or task called `name` starts from."""
        if name == "mae":
            return tiny_checkpoint("vit_mae", "ViTMAEForPreTraining")
        return tiny_checkpoint("segformer" if name == "segmentation" else "vit")

    def unlabeled(self, times: int = 1) -> datasets.Dataset:
        """The values (several times over) with ids."""
        count = times * len(self.values)
        features = datasets.Features({"image": datasets.Image(decode=False), "id": datasets.Value("string")})
        return datasets.Dataset.from_dict(
            {"image": self.values * times, "id": [f"id{i}" for i in range(count)]}, features=features
        )

    def labeled(self, task: str) -> datasets.Dataset:
        """The values with labels of the kind the task needs."""
        count = len(self.values)
        columns: dict[str, Any] = {"image": self.values, "id": [f"id{i}" for i in range(count)]}
        features: dict[str, Any] = {"image": datasets.Image(decode=False), "id": datasets.Value("string")}
        kind = plugins.find("tasks", task).label_kind
        if kind == "class":
            columns["label"] = [i % 3 for i in range(count)]
            features["label"] = datasets.ClassLabel(names=["a", "b", "c"])
        elif kind == "multilabel":
            columns["label"] = [[i % 2, (i // 2) % 2, int(i % 3 == 0)] for i in range(count)]
            features["label"] = datasets.Sequence(datasets.Value("int64"))
        elif kind == "regression":
            columns["label"], features["label"] = [float(i % 5) for i in range(count)], datasets.Value("float64")
        else:
            masks = [(picture[..., :1] > 127).astype(np.uint8) for picture in pictures()]
            columns["label"] = [as_reference(mask * 1) for mask in masks]
            features["label"] = datasets.Image(decode=False)
        return datasets.Dataset.from_dict(columns, features=datasets.Features(features))
