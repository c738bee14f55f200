"""Tokens of very many texts: made by several processes, once, in a file; the same as those of few."""

from __future__ import annotations

import logging
import os

import datasets
import numpy as np
import pytest

import tiny
from hf_ssl.core.errors import DataError
from hf_ssl.modalities.text import tokens
from hf_ssl.modalities.text.tokens import Preparation, in_memory, tokens_of

TEXTS = [*tiny.corpus(120), ""]


def _same(one: tokens.Tokens, other: tokens.Tokens) -> bool:
    parts = ((one.ids, other.ids), (one.words, other.words))
    return all(len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in parts)


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_of_many_are_those_of_few_and_are_made_once(workers, tmp_path, monkeypatch, caplog):
    tokenizer, dataset = tiny.tiny_tokenizer("bert"), datasets.Dataset.from_dict({"text": TEXTS})
    few = tokens_of(dataset, "text", tokenizer, Preparation())
    assert _same(few, in_memory(tokenizer, TEXTS)) and few.ids.lengths.tolist() == [len(row) for row in few.ids]
    monkeypatch.setattr(tokens, "FEW", 10)
    how = Preparation(workers, str(tmp_path))
    with caplog.at_level(logging.INFO, logger="hf_ssl"):
        many = tokens_of(dataset, "text", tokenizer, how)
        kept = list(how.folder.iterdir())
        assert _same(few, many) and len(kept) == 1, "and nothing unfinished"
        monkeypatch.setattr(tokens, "tokenize", None)
        assert _same(few, tokens_of(dataset, "text", tokenizer, how))
    assert "cache" in caplog.text
    order = np.arange(len(TEXTS))[::-1]
    monkeypatch.undo()
    monkeypatch.setattr(tokens, "FEW", 10)
    backwards = tokens_of(dataset.select(order), "text", tokenizer, how)
    assert np.array_equal(backwards.ids[0], few.ids[len(TEXTS) - 1]) and np.array_equal(backwards.ids[-1], few.ids[0])
    tokens_of(dataset, "text", tiny.tiny_tokenizer("roberta"), how)
    assert len(list(how.folder.iterdir())) == 3, "another order and another tokenizer are other tokens"


def test_a_cache_that_cannot_be_written_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "FEW", 10)
    tokenizer, dataset = tiny.tiny_tokenizer("bert"), datasets.Dataset.from_dict({"text": TEXTS})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="--cache_dir"):
        tokens_of(dataset, "text", tokenizer, Preparation(1, str(tmp_path / "file")))

    def full(self: object, *given: object, **named: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(datasets.Dataset, "save_to_disk", full)
    with pytest.raises(DataError, match=os.strerror(28)):
        tokens_of(dataset, "text", tokenizer, Preparation(1, str(tmp_path)))
    assert not list((tmp_path / "hf_ssl_tokens").iterdir()), "what was begun is gone"
