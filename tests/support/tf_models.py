"""The small TensorFlow models of `tests/models/tensorflow/make_fixtures.py`, and where a Python with TensorFlow is."""

from __future__ import annotations

import importlib.util
import os
import tarfile
from pathlib import Path

import numpy as np
from places import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "models" / "tensorflow" / "fixtures"
TEXT = ("bert_tf2", "bert_tf1", "albert_tf2", "albert_tf1", "electra_tf2", "electra_tf1")
PICTURES = ("simclr", "bit", "vit")


def archive(name: str) -> Path:
    """The `.tar.gz` of a model."""
    return FIXTURES / f"{name}.tar.gz"


def unpacked(name: str, folder: Path) -> Path:
    """The files of a model, unpacked."""
    with tarfile.open(archive(name)) as content:
        content.extractall(folder, filter="data")
    return folder


def expected(name: str) -> dict[str, np.ndarray]:
    """What TensorFlow was given, and what it answered."""
    with np.load(FIXTURES / f"{name}.npz") as content:
        return dict(content)


def tensorflow_python() -> str | None:
    """A Python that has TensorFlow: `HF_SSL_TF_PYTHON`, or this one; None when there is none."""
    named = os.environ.get("HF_SSL_TF_PYTHON")
    if named:
        return named
    return "" if importlib.util.find_spec("tensorflow") else None
