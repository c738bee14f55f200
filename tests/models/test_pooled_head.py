"""A head on the mean of the tokens, inside the stock class: the same answers, after saving, in every family that allows it."""

from __future__ import annotations

import pytest
import torch
import transformers

from hf_ssl.models.pooled_head import PooledHead
from hf_ssl.models.structure import find_backbone


def _model(folder, classes=3):
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=classes).eval()


def _batch(model):
    ids = torch.randint(5, model.config.vocab_size, (4, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 6:], mask[1, 2:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("arch", ["bert", "roberta", "electra", "distilbert"])
def test_stock_class_answers_the_mean(arch, tiny_checkpoint, tmp_path):
    model = _model(tiny_checkpoint(arch))
    head = PooledHead.find(model)
    assert head is not None
    torch.nn.init.normal_(model.get_submodule(head.linear).weight)
    batch = _batch(model)
    with torch.no_grad():
        states = find_backbone(model)[1](**batch).last_hidden_state
        mean = (states * batch["attention_mask"].unsqueeze(-1)).sum(1) / batch["attention_mask"].sum(1, keepdim=True)
        pooled = (mean - mean.mean(1, keepdim=True)) / mean.std(1, keepdim=True, correction=0)
        torch.testing.assert_close(head.pool(states, batch["attention_mask"]), pooled, atol=1e-4, rtol=1e-3)
        linear = model.get_submodule(head.linear)
        wanted = pooled @ linear.weight.T + linear.bias
        torch.testing.assert_close(head.logits(model, states, batch["attention_mask"]), wanted, atol=1e-3, rtol=1e-3)
        head.write(model)
        model.save_pretrained(tmp_path / "saved")
        again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
        torch.testing.assert_close(again(**batch).logits, wanted, atol=2e-3 * float(wanted.abs().max()), rtol=0)


@pytest.mark.parametrize("arch", ["bert", "electra"])
def test_looking_for_it_changes_nothing(arch, tiny_checkpoint):
    model = _model(tiny_checkpoint(arch))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers, config = len(find_backbone(model)[1].encoder.layer), model.config.to_dict()
    assert PooledHead.find(model) is not None
    assert len(find_backbone(model)[1].encoder.layer) == layers and model.config.to_dict() == config
    assert before.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("arch", ["albert", "deberta-v2", "mpnet"])
def test_shared_layers_and_positions_inside_attention_are_refused(arch, tiny_checkpoint):
    assert PooledHead.find(_model(tiny_checkpoint(arch))) is None


def test_real_weights(minilm):
    model = _model(minilm, classes=20)
    head = PooledHead.find(model)
    assert head is not None
    batch = _batch(model)
    with torch.no_grad():
        wanted = head.logits(model, find_backbone(model)[1](**batch).last_hidden_state, batch["attention_mask"])
        head.write(model)
        assert (model(**batch).logits - wanted).abs().max() < 1e-3 * wanted.abs().max()
