"""What the probes are offered of a frozen text encoder: other tokens and other layers, read in one pass."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

import tiny
from hf_ssl.modalities.text.text import Text
from hf_ssl.stages import reading
from hf_ssl.stages.reading import HEAD, frozen_rows
from hf_ssl.tasks.base import TaskModule
from hf_ssl.tasks.classification import Classification


def module_of(folder: str, adapts: bool) -> TaskModule:
    task = Classification(Classification.Config(max_length=16), Text())
    names = datasets.Features({"label": datasets.ClassLabel(names=["a", "b"])})
    task.fit_labels(datasets.Dataset.from_dict({"label": [0, 1]}, features=names))
    encoder = Text().load(folder, task.auto_class, new_head=True, pooling="mean", **task.model_options())
    if adapts:
        encoder.adapt_head()
    return TaskModule(encoder, task)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("adapts", [True, False])
def test_readings_are_what_the_backbone_alone_gives(kind, adapts, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "bf16_is_fast", lambda: False)
    module = module_of(str(tiny.write_checkpoint(kind, tmp_path / kind)), adapts)
    encoder, texts = module.encoder, tiny.corpus(5)
    rows = datasets.Dataset.from_dict({"text": texts})
    found = frozen_rows(module, module.task.encode(encoder, rows))
    module.eval()
    own = encoder.preprocess(texts, 16)
    with torch.no_grad():
        batch = encoder.collate(own)
        states = encoder.backbone(**batch, output_hidden_states=True).hidden_states
    mean = encoder.replace(pooling="mean").embed(texts, max_length=16)
    first = encoder.replace(pooling="cls").embed(texts, max_length=16)
    np.testing.assert_allclose(found["first token"], first, atol=2e-5)
    width = mean.shape[1]
    np.testing.assert_allclose(found["last layers"][:, -width:], mean, atol=2e-5)
    mask = batch["attention_mask"].unsqueeze(-1)
    below = ((states[-2] * mask).sum(1) / mask.sum(1)).numpy()
    np.testing.assert_allclose(found["last layers"][:, -2 * width : -width], below, atol=2e-5)
    assert ("mean" in found) != (encoder.head is not None or kind == "modernbert")
    assert found.keys() - {"mean"} == {HEAD, "first token", "last layers", "layers"}
    assert not encoder.backbone.config.output_hidden_states, "reading leaves no switch behind"


def test_where_the_machine_is_fast_in_bfloat16_texts_are_read_so_and_the_vectors_stay_the_same_but_for_rounding(
    tmp_path, monkeypatch
):
    module = module_of(str(tiny.write_checkpoint("bert", tmp_path / "bert")), adapts=True)
    rows, found = datasets.Dataset.from_dict({"text": tiny.corpus(40)}), {}
    for fast in (False, True):
        monkeypatch.setattr(reading, "bf16_is_fast", lambda fast=fast: fast)
        found[fast] = frozen_rows(module, module.task.encode(module.encoder, rows))
    for name, exact in found[False].items():
        quick = found[True][name]
        assert quick.dtype == np.float32 and not np.array_equal(quick, exact), "another arithmetic"
        off = np.linalg.norm(quick - exact, axis=1) / np.linalg.norm(exact, axis=1)
        assert off.max() < 0.02, name
    monkeypatch.setattr(type(module.encoder), "reads_in_bf16", False)
    again = frozen_rows(module, module.task.encode(module.encoder, rows))
    assert all(np.array_equal(again[name], found[False][name]) for name in again), "kinds of data that do not want it"
