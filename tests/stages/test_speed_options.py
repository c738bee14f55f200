"""What makes a GPU faster, by the options that name it: the same answers, or an error that says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

import hf_ssl
import tiny
from hf_ssl.core.errors import ConfigError


@pytest.fixture
def some(tmp_path: Path, tiny_checkpoint: Any) -> dict[str, Any]:
    texts = tiny.corpus(60)
    middle = sorted(map(len, texts))[len(texts) // 2]
    rows = datasets.Dataset.from_dict(
        {"text": texts, "label": ["short" if len(t) < middle else "long" for t in texts]}
    )
    model = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    return {"data": rows, "model": model, "output": str(tmp_path / "run"), "near_duplicates": False}


def _vectors(folder: str) -> np.ndarray:
    return np.array(pq.read_table(Path(folder) / "embed" / "embeddings.parquet")["vector"].to_pylist())


def _losses(folder: Path) -> list[float]:
    lines = (folder / "finetune" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_texts_side_by_side_give_the_vectors_the_training_and_the_scores_of_a_padded_batch(
    some, tiny_checkpoint, tmp_path
):
    """Without dropout: it draws a number for every token that is computed, so that padding shifts the draws."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    some["model"] = str(tiny_checkpoint("bert", "AutoModelForMaskedLM", **still))
    scores, losses, weights = [], [], []
    for bare in (False, True):
        where = {**some, "output": str(tmp_path / f"run-{bare}")}
        hf_ssl.embed(**where, padding_free=bare)
        options = {
            "max_steps": 4,
            "logging_steps": 1,
            "early_stopping_patience": 0,
            "self_training": 0,
            "peft": "lora",
        }
        result = hf_ssl.finetune(**where, **options, padding_free=bare)
        scores.append(hf_ssl.evaluate(**{name: value for name, value in where.items() if name != "model"}).metrics)
        losses.append(_losses(tmp_path / f"run-{bare}"))
        weights.append(load_file(result.path / "model" / "model.safetensors"))
    np.testing.assert_allclose(_vectors(str(tmp_path / "run-True")), _vectors(str(tmp_path / "run-False")), atol=1e-5)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5) and len(losses[0]) == 4
    assert all(np.abs(weights[0][name] - weights[1][name]).max() < 1e-4 for name in weights[0])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_pretraining_takes_the_attention_that_is_named(some):
    options = {"objective": "mlm", "max_steps": 2, "monitor_points": 1, "max_length": 32}
    result = hf_ssl.pretrain(**some, **options, attn_implementation="varlen")
    assert (result.path / "curve.jsonl").is_file()
    with pytest.raises(ConfigError, match="varlen"):
        hf_ssl.pretrain(**{**some, "output": some["output"] + "2"}, **options, attn_implementation="varlens")
