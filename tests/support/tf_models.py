"""The small TensorFlow models of `tests/models/tensorflow/make_fixtures.py`, and where a Python with TensorFlow is."""

from __future__ import annotations

import importlib.util
import os
import random
import tarfile
from pathlib import Path

import numpy as np
from places import REPOSITORY

from hf_ssl.models.tensorflow import saved_model
from hf_ssl.models.tensorflow.bundle import Bundle

FIXTURES = REPOSITORY / "tests" / "models" / "tensorflow" / "fixtures"
TEXT = ("bert_tf2", "bert_tf1", "bert_hub1", "albert_tf2", "albert_tf1", "electra_tf2", "electra_tf1")
PICTURES = ("simclr", "bit", "vit")
PARTS = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
"""The files of a SavedModel that the import reads."""


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


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One of: bits turned, bytes overwritten, cut off, a stretch taken out, a stretch doubled, zeros."""
    data = bytearray(content)
    at = draw.randrange(len(data))
    length = draw.randrange(1, 64)
    way = draw.randrange(6)
    if way == 0:
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif way == 1:
        data[at : at + length] = draw.randbytes(length)
    elif way == 2:
        del data[at:]
    elif way == 3:
        del data[at : at + length]
    elif way == 4:
        data[at:at] = data[at : at + length]
    else:
        data[at : at + length] = bytes(length)
    return bytes(data)


def read_all(folder: Path) -> dict[str, bytes]:
    """Everything the import reads of a SavedModel."""
    bundle = Bundle.open(folder / "variables" / "variables")
    names = saved_model.variable_names(bundle)
    saved_model.read_graph(folder / "saved_model.pb")
    return {name: bundle.tensor(key).tobytes() for name, key in names.items()}
