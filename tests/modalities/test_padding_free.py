"""Without padding every answer is the one it was with padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tiny
from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.text.text import Text
from hf_ssl.models import adapters

TEXTS = [" ".join(tiny.corpus(12)[: 1 + i % 7]) for i in range(12)]
FAMILIES = ("bert", "roberta", "modernbert", "electra")


def _loaded(tiny_checkpoint: Any, family: str, head: str = "AutoModel", **options: Any) -> Encoder:
    return Text().load(str(tiny_checkpoint(family, head)), head, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_the_same(tiny_checkpoint, family):
    padded, bare = (_loaded(tiny_checkpoint, family) for _ in range(2))
    assert bare.leave_padding_out() and bare.is_padding_free and not padded.is_padding_free
    seen: list[int] = []
    bare.backbone.get_input_embeddings().register_forward_hook(lambda m, args, out: seen.append(args[0].numel()))
    for pooling in ("mean", "cls", "lasttoken"):
        found, expected = (one.replace(pooling=pooling).embed(TEXTS) for one in (bare, padded))
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-4)
    assert sum(seen) == 3 * sum(len(row["input_ids"]) for row in bare.preprocess(TEXTS)), (
        "only real tokens are computed"
    )


@pytest.mark.parametrize("method", [None, "lora"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["AutoModelForSequenceClassification", "AutoModelForTokenClassification"])
def test_logits_and_gradients_are_the_same(tiny_checkpoint, family, head, method):
    answers, gradients = [], []
    for bare in (False, True):
        encoder = _loaded(tiny_checkpoint, family, head, num_labels=3, expect_new=("*",))
        encoder.model.load_state_dict(answers[0][0] if answers else encoder.model.state_dict())
        start = {name: part.clone() for name, part in encoder.model.state_dict().items()}
        assert not bare or encoder.leave_padding_out()
        if method:
            torch.manual_seed(0)
            encoder = encoder.replace(model=adapters.apply(encoder.model, method, missing=encoder.report.missing))
        model = encoder.model.eval()
        batch = encoder.collate(encoder.preprocess(TEXTS[:6]))
        assert ("real_tokens" in batch) is bare
        logits = encoder.logits(dict(batch))
        if logits.ndim == 3:
            logits = logits[batch["attention_mask"].bool()]
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
        answers.append((start, logits.detach()))
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(answers[1][1], answers[0][1], atol=1e-5, rtol=1e-4)
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradients[1][name], gradient, atol=1e-6 + 1e-4 * float(gradient.abs().max()), rtol=1e-3
        )


@pytest.mark.parametrize("family", ["mpnet", "deberta-v2"])
def test_a_family_that_cannot_keeps_its_padding(tiny_checkpoint, family):
    encoder = _loaded(tiny_checkpoint, family)
    before = encoder.embed(TEXTS)
    assert not encoder.leave_padding_out() and not encoder.is_padding_free
    np.testing.assert_array_equal(encoder.embed(TEXTS), before)


def test_what_is_no_text_has_no_padding_to_leave_out(tiny_checkpoint):
    with pytest.raises(ConfigError, match="padding_free"):
        Image().load(str(tiny_checkpoint("vit"))).leave_padding_out()


def test_a_real_checkpoint_on_real_posts(minilm, newsgroups):
    texts = [row["text"] for row in newsgroups["test"][:24]]
    padded, bare = (Text().load(str(minilm)) for _ in range(2))
    assert bare.leave_padding_out()
    found, expected = (one.embed(texts, max_length=96) for one in (bare, padded))
    np.testing.assert_allclose(found, expected, atol=2e-5)
