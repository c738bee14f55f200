"""Masked language modeling: what is hidden, with what, and what it costs."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch.nn import functional

import tiny
from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.batching import Asked
from hf_ssl.modalities.rng import example_rng
from hf_ssl.modalities.text.packing import Pieces, collate_rows, isolation_masks, position_offset
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.text.tokens import in_memory
from hf_ssl.objectives.mlm import MaskedLanguageModeling, Masker, ordinary_ids

TEXTS = tiny.corpus(80)


@pytest.fixture
def make(tiny_checkpoint):
    def build(family: str = "bert", **options: Any) -> MaskedLanguageModeling:
        folder = str(tiny_checkpoint(family, "AutoModelForMaskedLM"))
        config = MaskedLanguageModeling.Config(**{"max_length": 64, **options})
        return MaskedLanguageModeling(Text().load(folder, "AutoModelForMaskedLM"), config)

    return build


def _dataset(texts: list[str] = TEXTS) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": texts, "id": [f"id{i}" for i in range(len(texts))]})


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert"])
def test_head_on_masked_positions_gives_the_loss_of_the_full_head(make, family):
    objective = make(family).eval()
    rows = objective.rows(_dataset(), seed=0, training=False)
    batch = objective.collate([rows[i] for i in range(4)])
    base = objective.backbone
    inputs = {"input_ids": batch["input_ids"]}
    inputs["attention_mask"] = isolation_masks(base, batch["document"], batch["position_ids"])
    inputs["position_ids"] = batch["position_ids"] + position_offset(base.config)
    with torch.inference_mode():
        logits = objective.model(**inputs).logits
        mine = objective(**batch)
    assert logits.shape[:2] == batch["input_ids"].shape
    full = functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)
    torch.testing.assert_close(mine.loss, full, atol=1e-5, rtol=1e-5)
    assert int(mine.scalars["predicted"]) == int((batch["labels"] != -100).sum())


def _gradients(objective: MaskedLanguageModeling, batch: dict[str, torch.Tensor], everywhere: bool) -> dict[str, Any]:
    last = objective.last_block
    if everywhere:
        objective.last_block = SimpleNamespace(block=None)
    objective.zero_grad()
    objective(**batch).loss.backward()
    objective.last_block = last
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["bert", "roberta", "electra"])
def test_last_block_at_masked_positions_has_the_gradient_of_the_whole_block(make, family, attention):
    objective = make(family).train()
    objective.model.set_attn_implementation(attention)
    rows = objective.rows(_dataset(), seed=0, training=True)
    batch = objective.collate([rows[i] for i in range(5)])
    found, expected = (_gradients(objective, batch, everywhere) for everywhere in (False, True))
    assert objective.last_block.agrees
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            found[name], expected[name], atol=1e-6 + 1e-5 * float(expected[name].abs().max()), rtol=1e-4
        )


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_attention_by_sequences_has_the_loss_and_the_gradient_of_the_mask(make, family, fixed):
    objective = make(family).train()
    assert objective.way == "sdpa", "where there is no GPU"
    rows = objective.rows(_dataset(), seed=0, training=True)
    whole = objective.collate([rows[i] for i in range(5)])
    expected = objective(**whole).loss
    gradients = _gradients(objective, whole, everywhere=False)
    objective.way = "varlen"
    some = [rows[i] for i in range(5)]
    batch = collate_rows(some, objective.encoder.processor.pad_token_id, fixed=fixed, with_sequences=True)
    torch.testing.assert_close(objective(**batch).loss, expected, atol=1e-6, rtol=1e-5)
    for name, gradient in _gradients(objective, batch, everywhere=False).items():
        scale = float(gradients[name].abs().max())
        torch.testing.assert_close(gradient, gradients[name], atol=1e-6 + 1e-5 * scale, rtol=1e-4)
    assert objective.last_block.agrees is (None if family == "modernbert" else True)


@pytest.mark.parametrize(
    ("named", "way"), [("auto", "sdpa"), ("varlen", "varlen"), ("flex_attention", "flex_attention"), ("eager", "sdpa")]
)
def test_the_attention_that_is_named_keeps_documents_apart(tiny_checkpoint, named, way):
    folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    encoder = Text().load(folder, "AutoModelForMaskedLM", attn_implementation=named)
    objective = MaskedLanguageModeling(encoder, MaskedLanguageModeling.Config(max_length=64))
    assert objective.way == (way if not torch.cuda.is_available() or named != "auto" else "varlen")
    rows = objective.rows(_dataset(), seed=0, training=True)
    assert ("cu_seq_lens" in objective.collate([rows[0]])) is (objective.way == "varlen")


def test_a_model_that_takes_no_sequences_is_masked(tiny_checkpoint):
    folder = str(tiny_checkpoint("mpnet", "AutoModelForMaskedLM"))
    encoder = Text().load(folder, "AutoModelForMaskedLM", attn_implementation="varlen")
    objective = MaskedLanguageModeling(encoder, MaskedLanguageModeling.Config(max_length=64))
    assert objective.way == "sdpa" and objective.packed


def test_last_block_is_the_models_own_again_after_the_step(make):
    objective = make("bert").train()
    block = objective.last_block.block
    own = dict(block.__dict__)
    objective.model.activation_checkpointing_enable()
    rows = objective.rows(_dataset(), seed=0, training=True)
    batch = objective.collate([rows[i] for i in range(3)])
    recomputed = _gradients(objective, batch, everywhere=False)
    assert block.gradient_checkpointing
    objective.model.activation_checkpointing_disable()
    for name, gradient in _gradients(objective, batch, everywhere=False).items():
        torch.testing.assert_close(recomputed[name], gradient)
    assert block.__dict__.keys() - {"gradient_checkpointing", "_gradient_checkpointing_func"} == own.keys() - {
        "gradient_checkpointing"
    }
    with (
        pytest.raises(RuntimeError, match="expected"),
        objective.last_block.only(Asked(batch["asked"], batch["kept"])),
    ):
        raise RuntimeError("expected")
    assert "forward" not in block.__dict__


def test_a_block_that_only_looks_like_berts_keeps_its_own_way(make):
    objective = make("bert").train()

    class Scaled(type(objective.last_block.block)):  # the same parts, put together in another way
        def feed_forward_chunk(self, attention_output: torch.Tensor) -> torch.Tensor:
            return 1.5 * super().feed_forward_chunk(attention_output)

    objective.last_block.block.__class__ = Scaled
    rows = objective.rows(_dataset(), seed=0, training=True)
    batch = objective.collate([rows[i] for i in range(3)])
    loss = objective(**batch).loss
    assert objective.last_block.agrees is False
    objective.last_block = SimpleNamespace(block=None)
    torch.testing.assert_close(loss, objective(**batch).loss)


@pytest.mark.parametrize("family", ["distilbert", "modernbert", "albert", "mpnet", "deberta-v2"])
def test_blocks_of_another_shape_are_left_alone(make, family):
    assert make(family).last_block.block is None


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_eighty_ten_ten(family):
    tokenizer = tiny.tiny_tokenizer(family)
    masker = Masker(tokenizer, "token", 0.15)
    ids = np.resize(masker.ordinary, 40_000)
    masked, labels = masker(ids, np.arange(len(ids)), np.random.default_rng(0))
    chosen = labels != -100
    count = int(chosen.sum())
    assert count == pytest.approx(6000, abs=1)
    np.testing.assert_array_equal(labels[chosen], ids[chosen])
    np.testing.assert_array_equal(masked[~chosen], ids[~chosen])
    hidden = (masked[chosen] == tokenizer.mask_token_id).mean()
    kept = (masked[chosen] == ids[chosen]).mean()
    chance = 1 / len(masker.ordinary)  # a random token may be the original one
    for share, expected in ((hidden, 0.8), (kept, 0.1 + 0.1 * chance), (1 - hidden - kept, 0.1 - 0.1 * chance)):
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize("mask", ["token", "word", "span"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_special_ids_are_neither_produced_nor_predicted(family, mask):
    tokenizer = tiny.tiny_tokenizer(family)
    masker = Masker(tokenizer, mask, 0.5)
    special = set(tokenizer.all_special_ids)
    assert not special & set(ordinary_ids(tokenizer).tolist())
    spelled = f"the nurse {tokenizer.mask_token} measured {tokenizer.sep_token} fever \u16a0\u4e00"
    pieces = Pieces(in_memory(tokenizer, [spelled, *TEXTS]), [str(i) for i in range(len(TEXTS) + 1)], tokenizer, 64)
    assert special & set(pieces.piece(0)[0][1:-1].tolist())
    for repeat in range(20):
        for number in range(20):
            ids, words = pieces.piece(number)
            masked, labels = masker(ids, words, example_rng(0, repeat, number))
            assert not special & set(labels[labels != -100].tolist())
            swapped = masked[(masked != ids) & (masked != tokenizer.mask_token_id)]
            assert not special & set(swapped.tolist())


@pytest.mark.parametrize("mask", ["token", "word", "span"])
@pytest.mark.parametrize("sizes", [(1,), (3,), (1, 2), (4, 1, 1), (1,) * 12, (2, 1, 3, 1, 1, 4, 1, 2) * 5])
def test_mask_ratio_is_right_on_average(mask, sizes):
    masker = Masker(tiny.tiny_tokenizer("bert"), mask, 0.15)
    words = np.concatenate([[-1], np.repeat(np.arange(len(sizes)), sizes), [-1]])
    ids = np.resize(masker.ordinary, len(words))
    draws = 3000
    shares = np.array([(masker(ids, words, example_rng(0, 0, i))[1] != -100).sum() / sum(sizes) for i in range(draws)])
    assert abs(shares.mean() - 0.15) < 4.5 * shares.std(ddof=1) / math.sqrt(draws)


@pytest.mark.parametrize("mask", ["word", "span"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_whole_words_are_hidden_together(family, mask):
    tokenizer = tiny.tiny_tokenizer(family)
    texts = [f"{text} nursery fevers clinician repairer engineered" for text in TEXTS[:40]]
    pieces = Pieces(in_memory(tokenizer, texts), [str(i) for i in range(len(texts))], tokenizer, 128)
    masker = Masker(tokenizer, mask, 0.3)
    several = 0
    for number in range(len(pieces)):
        ids, words = pieces.piece(number)
        special = np.isin(ids, tokenizer.all_special_ids)
        _, labels = masker(ids, words, example_rng(0, 0, number))
        for word in np.unique(words[(words >= 0) & ~special]):
            hidden = labels[(words == word) & ~special] != -100
            assert hidden.all() or not hidden.any()
            several += hidden.all() and len(hidden) > 1
    assert several > 10


def test_spans_hide_neighbours_more_often_than_words_do():
    words = np.arange(400)
    runs = {}
    for mask in ("word", "span"):
        masker = Masker(tiny.tiny_tokenizer("bert"), mask, 0.15)
        hidden = [masker(np.resize(masker.ordinary, 400), words, example_rng(0, 0, i))[1] != -100 for i in range(30)]
        runs[mask] = np.mean([(h[1:] & h[:-1]).sum() / h.sum() for h in hidden])
    assert runs["word"] < 0.25 and runs["span"] > 0.6


def test_masks_depend_on_seed_epoch_and_text_alone(make):
    objective = make(packed=False)
    rows = objective.rows(_dataset(), seed=0, training=True)
    first = [rows[i] for i in range(20)]
    again = [rows[i] for i in reversed(range(20))][::-1]
    other_epoch_rows = objective.rows(_dataset(), seed=0, training=True)
    other_epoch_rows.set_epoch(1)
    other_seed = objective.rows(_dataset(), seed=1, training=True)
    same = [np.array_equal(a["input_ids"], b["input_ids"]) for a, b in zip(first, again, strict=True)]
    assert all(same)
    for other in (other_epoch_rows, other_seed):
        assert sum(np.array_equal(first[i]["labels"], other[i]["labels"]) for i in range(20)) < 8
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = objective.rows(_dataset().select(order), seed=0, training=True)
    for place, original in enumerate(order[:20]):
        for name in ("input_ids", "labels"):
            np.testing.assert_array_equal(shuffled[place][name], rows[int(original)][name])


def test_stand_ins_do_not_depend_on_the_order_of_the_vocabulary():
    class Shuffled:
        all_special_ids = [0]

        def __init__(self, order: list[int]) -> None:
            self.order = order

        def get_vocab(self) -> dict[str, int]:
            return {f"[unused{i}]" if i == 3 else f"token{i}": i for i in self.order}

    assert (
        ordinary_ids(Shuffled([4, 0, 2, 1, 3])).tolist()
        == ordinary_ids(Shuffled([0, 1, 2, 3, 4])).tolist()
        == [1, 2, 4]
    )


def test_evaluation_sees_the_same_masks_in_every_epoch(make):
    rows = make().rows(_dataset(), seed=0, training=False)
    before = [rows[i]["input_ids"] for i in range(len(rows))]
    rows.set_epoch(3)
    assert all(np.array_equal(a, rows[i]["input_ids"]) for i, a in enumerate(before))


def test_packing_does_not_change_which_tokens_are_hidden(make):
    hidden = {}
    for packed in (True, False):
        rows = make(packed=packed).rows(_dataset(), seed=0, training=True)
        labels = np.concatenate([rows[i]["labels"] for i in range(len(rows))])
        hidden[packed] = (len(rows), np.sort(labels[labels != -100]))
    assert hidden[True][0] < hidden[False][0]
    np.testing.assert_array_equal(hidden[True][1], hidden[False][1])


@pytest.mark.parametrize("packed", [True, False])
def test_mean_loss_does_not_depend_on_the_batch_size(make, packed):
    objective = make(packed=packed)
    rows = objective.rows(_dataset(), seed=0, training=False)
    losses = [mean_loss(objective, rows, size, bf16=False) for size in (1, 3, 64)]
    assert losses[0]["perplexity"] == pytest.approx(math.exp(losses[0]["eval_loss"]))
    for other in losses[1:]:
        assert other["eval_loss"] == pytest.approx(losses[0]["eval_loss"], rel=1e-5)


@pytest.mark.parametrize("after_another", [False, True])
def test_a_batch_with_nothing_to_predict_costs_nothing(make, after_another):
    objective = make()
    rows = objective.rows(_dataset(), seed=0, training=True)
    batch = objective.collate([rows[0]])
    if after_another:  # then the last block has its short way
        objective(**batch)
        assert objective.last_block.agrees
    batch["labels"].fill_(-100)
    loss = objective(**batch).loss
    loss.backward()
    assert loss.item() == 0


def test_a_model_without_masks_of_pairs_gets_one_document_a_row(make, said):
    objective = make("deberta-v2", mask="word").train()
    assert not objective.packed and make("bert").packed
    assert "one, with padding" in said.readouterr().err
    rows = objective.rows(_dataset(), seed=0, training=True)
    assert len(rows) == len(rows.pieces)
    batch = objective.collate([rows[i] for i in range(4)])
    assert (batch["document"] < 0).any()
    loss = objective(**batch).loss
    loss.backward()
    assert math.isfinite(loss) and any(p.grad is not None for p in objective.backbone.parameters())
    alone = [objective.eval()(**objective.collate([rows[i]])) for i in range(4)]
    together = objective(**batch)
    counts = torch.stack([one.scalars["predicted"] for one in alone])
    mean = sum(one.loss * count for one, count in zip(alone, counts, strict=True)) / counts.sum()
    torch.testing.assert_close(together.loss, mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1])
def test_impossible_mask_ratio_is_refused(make, ratio):
    with pytest.raises(ConfigError, match="mask_ratio"):
        make(mask_ratio=ratio)
