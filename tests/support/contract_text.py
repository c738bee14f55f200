"""Text for the contract suite (`test_contracts.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets

import tiny
from hf_ssl.core import plugins
from hf_ssl.modalities.text.text import Text


class Kind:
    """What every objective and task on text is tried on."""

    modality = Text()
    values = tiny.corpus(16)[:16]
    # Their loss compares the examples of a micro-batch with each other, so splitting the batch takes negatives (or
    # pairs) away: by definition it is another loss, not a sum over examples.
    compares_within_batch = frozenset({"objectives/simcse", "tasks/similarity"})
    # Short pieces make several rows of mlm; computing the loss at every position makes few samples of tsdae comparable.
    fixed: dict[str, dict[str, Any]] = {
        "objectives/simcse": {"view": "crop"},
        "objectives/tsdae": {"predicted": 1.0},
        "objectives/mlm": {"max_length": 32},
        "tasks/ordinal": {"order": ["a", "b", "c"]},
    }
    # Zero by construction: the pooler of a bare AutoModel is not used by token pooling; a key bias shifts all scores
    # of a softmax alike.
    without_gradient = ("pooler", "key.bias", "position")

    def checkpoint(self, tiny_checkpoint: Callable[..., Path], name: str) -> Path:
        """A tiny random checkpoint that the objective or task called `name` starts from."""
        return tiny_checkpoint("bert", "AutoModelForMaskedLM")

    def unlabeled(self, times: int = 1) -> datasets.Dataset:
        """The values (several times over) with ids."""
        count = times * len(self.values)
        return datasets.Dataset.from_dict({"text": self.values * times, "id": [f"id{i}" for i in range(count)]})

    def labeled(self, task: str) -> datasets.Dataset:
        """The values with labels of the kind the task needs."""
        count = len(self.values)
        columns: dict[str, Any] = {"text": self.values, "id": [f"id{i}" for i in range(count)]}
        features: dict[str, Any] = {"text": datasets.Value("string"), "id": datasets.Value("string")}
        kind = plugins.find("tasks", task).label_kind
        if task == "similarity":
            columns["text_pair"], features["text_pair"] = self.values[::-1], datasets.Value("string")
        if kind == "class":
            columns["label"] = [i % 3 for i in range(count)]
            features["label"] = datasets.ClassLabel(names=["a", "b", "c"])
        elif kind == "multilabel":
            columns["label"] = [[i % 2, (i // 2) % 2, int(i % 3 == 0)] for i in range(count)]
            features["label"] = datasets.Sequence(datasets.Value("int64"))
        elif kind == "regression":
            columns["label"], features["label"] = [float(i % 5) for i in range(count)], datasets.Value("float64")
        else:
            columns["tokens"] = [text.split() for text in self.values]
            columns["tags"] = [[len(word) % 3 for word in text.split()] for text in self.values]
            features["tokens"] = datasets.Sequence(datasets.Value("string"))
            features["tags"] = datasets.Sequence(datasets.ClassLabel(names=["O", "B-X", "I-X"]))
        return datasets.Dataset.from_dict(columns, features=datasets.Features(features))
