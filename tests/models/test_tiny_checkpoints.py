"""The tiny checkpoints that other tests stand on are sound: they load completely, and repeat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

import tiny


@pytest.mark.parametrize("arch", tiny.TEXT + tiny.IMAGE + tiny.AUDIO + tiny.TIMESERIES)
def test_checkpoint_loads_completely(arch: str, tiny_checkpoint: Callable[..., Path]) -> None:
    auto_class = getattr(transformers, tiny.default_auto_class(arch))
    model, info = auto_class.from_pretrained(tiny_checkpoint(arch), output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    again = tiny.tiny_model(arch).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("arch", tiny.TEXT)
def test_tokenizer_reloads_and_fits_the_model(arch: str, tiny_checkpoint: Callable[..., Path]) -> None:
    folder = tiny_checkpoint(arch)
    saved, loaded = tiny.tiny_tokenizer(arch), transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["The nurse measured the blood pressure.", "Naïve 機器 déjà-vu!"]
    batch = loaded(texts, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], saved(texts, padding=True, return_tensors="pt")["input_ids"])
    assert loaded.mask_token_id is not None
    assert batch.word_ids(0)[0] is None
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    assert len(loaded) == model.config.vocab_size
    with torch.no_grad():
        assert torch.isfinite(model(**batch).logits).all()


def test_seed_decides_the_weights_and_nothing_else() -> None:
    before = torch.get_rng_state()
    one, two = tiny.tiny_bert(seed=1), tiny.tiny_bert(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    key = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(one.state_dict()[key], two.state_dict()[key])
