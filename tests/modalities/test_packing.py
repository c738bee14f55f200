"""Packing changes no token, no state and no logit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tiny
from hf_ssl.modalities.batching import Asked
from hf_ssl.modalities.text.packing import (
    Pieces,
    best_fit,
    collate_rows,
    isolated,
    isolation_masks,
    position_offset,
)
from hf_ssl.modalities.text.tokens import in_memory
from hf_ssl.models.attention import BLOCKS, MASK, SEQUENCES, tried_here
from hf_ssl.models.loading import load_model, load_processor
from hf_ssl.models.structure import find_backbone

FAMILIES = ("bert", "roberta", "distilbert", "modernbert")
LENGTHS = (5, 60, 17, 33, 9)  # 60 and 33 are longer than the sliding window of the tiny ModernBERT


def _row(pieces: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "input_ids": np.concatenate(pieces),
        "labels": np.full(sum(map(len, pieces)), -100),
        "position_ids": np.concatenate([np.arange(len(piece)) for piece in pieces]),
        "document": np.concatenate([np.full(len(piece), i) for i, piece in enumerate(pieces)]),
    }


def _packed_logits(model: torch.nn.Module, rows: list[list[np.ndarray]], way: str = MASK) -> torch.Tensor:
    batch = collate_rows([_row(row) for row in rows], pad_id=model.config.pad_token_id, with_sequences=True)
    base = find_backbone(model)[1]
    inputs = {
        "input_ids": batch["input_ids"],
        **isolated(base, way, batch["document"], batch["position_ids"], batch["cu_seq_lens"]),
        "position_ids": batch["position_ids"] + position_offset(base.config),
    }
    with torch.no_grad(), tried_here(base):
        return model(**inputs).logits


def _pieces(vocabulary: int, lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(5, vocabulary, length) for length in lengths]


@pytest.mark.parametrize(
    ("attention", "way"), [(None, MASK), ("sdpa", MASK), ("eager", MASK), (None, SEQUENCES), (None, BLOCKS)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logits_are_those_of_each_document_alone(tiny_checkpoint, family, attention, way):
    folder = tiny_checkpoint(family, "AutoModelForMaskedLM")
    model, _ = load_model(
        str(folder), "AutoModelForMaskedLM", **({"attn_implementation": attention} if attention else {})
    )
    pieces = _pieces(len(tiny.tiny_tokenizer(family)))
    packed = _packed_logits(model, [pieces[:3], pieces[3:]], way)  # the second row is shorter: padded
    for row, documents in enumerate((pieces[:3], pieces[3:])):
        start = 0
        for piece in documents:
            ids = torch.tensor(piece)[None]
            with torch.inference_mode():
                alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            torch.testing.assert_close(packed[row, start : start + len(piece)], alone, atol=1e-5, rtol=0)
            start += len(piece)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_document_does_not_see_its_neighbours(tiny_checkpoint, family):
    model, _ = load_model(str(tiny_checkpoint(family, "AutoModelForMaskedLM")), "AutoModelForMaskedLM")
    pieces = _pieces(len(tiny.tiny_tokenizer(family)))[:3]
    changed = [pieces[0], pieces[1][::-1].copy(), pieces[2]]
    one, two = _packed_logits(model, [pieces]), _packed_logits(model, [changed])
    first, second = len(pieces[0]), len(pieces[0]) + len(pieces[1])
    torch.testing.assert_close(one[:, :first], two[:, :first], atol=1e-6, rtol=0)
    torch.testing.assert_close(one[:, second:], two[:, second:], atol=1e-6, rtol=0)
    assert (one[:, first:second] - two[:, first:second]).abs().max() > 1e-3


def test_masks_of_both_kinds_allow_what_they_should():
    model = tiny.tiny_model("modernbert")
    document = torch.tensor([[0] * 30 + [1] * 3 + [-1] * 2])
    position = torch.cat([torch.arange(30), torch.arange(3), torch.zeros(2, dtype=torch.long)])[None]
    masks = isolation_masks(find_backbone(model)[1], document, position)
    full, near = masks["full_attention"][0, 0], masks["sliding_attention"][0, 0]
    assert full[0, 29] and not near[0, 29] and near[0, 3]
    assert not full[29, 30] and not near[29, 30] and not full[32, 33]
    assert full.any(-1).all() and near.any(-1).all()


@pytest.mark.parametrize("family", ("bert", "roberta", "modernbert", "albert"))
def test_cut_keeps_every_token_in_order(family):
    tokenizer = tiny.tiny_tokenizer(family)
    sentences = tiny.corpus(60)
    texts = [" ".join(sentences[i : i + 1 + i % 9]) for i in range(40)] + ["a"]
    keys = [f"doc{i}" for i in range(len(texts))]
    pieces = Pieces(in_memory(tokenizer, texts), keys, tokenizer, 24)
    together: dict[str, list[int]] = {key: [] for key in keys}
    for number, name in enumerate(map(pieces.key, range(len(pieces)))):
        ids, words = pieces.piece(number)
        assert len(ids) <= 24 and len(words) == len(ids)
        assert ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id
        assert words[0] == words[-1] == -1 and (words[1:-1] >= 0).all()
        together[name.rpartition("/")[0]] += ids[1:-1].tolist()
    for key, text in zip(keys, texts, strict=True):
        assert together[key] == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len({pieces.key(number) for number in range(len(pieces))}) == len(pieces) == len(pieces.lengths)
    assert int(pieces.number.max()) > 0, "some are cut"


def test_cut_of_nothing_is_nothing():
    assert len(Pieces(in_memory(tiny.tiny_tokenizer("bert"), []), [], tiny.tiny_tokenizer("bert"), 16)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_best_fit_places_each_piece_once_and_never_overfills(seed):
    lengths = np.random.default_rng(seed).integers(1, 65, 300)
    rows = best_fit(lengths, 64)
    assert sorted(piece for row in rows for piece in row) == list(range(300))
    filled = [int(lengths[row].sum()) for row in rows]
    assert max(filled) <= 64
    # Best-fit decreasing needs at most 11/9 of the optimum plus one bin (Johnson 1974).
    assert len(rows) <= 11 / 9 * np.ceil(lengths.sum() / 64) + 4


def test_best_fit_takes_the_fullest_row_with_room():
    assert best_fit(np.array([7, 6, 3, 4]), 10) == [[0, 2], [1, 3]]


def test_collate_pads_with_what_is_not_counted():
    batch = collate_rows([_row([np.arange(4)]), _row([np.arange(2), np.arange(1)])], pad_id=9)
    assert batch["input_ids"].tolist() == [[0, 1, 2, 3], [0, 1, 0, 9]]
    assert batch["document"].tolist() == [[0, 0, 0, 0], [0, 0, 1, -1]]
    assert batch["labels"].eq(-100).all()


@pytest.mark.parametrize("fixed", [False, True])
def test_what_is_asked_for_is_what_has_labels_whatever_the_shapes(fixed):
    rows = [_row([np.arange(9)]), _row([np.arange(4), np.arange(3)]), _row([np.arange(2)])]
    rows[0]["labels"][[0, 3, 8]], rows[1]["labels"][5] = (1, 2, 3), 4
    batch = collate_rows(rows, pad_id=0, fixed=fixed, with_sequences=True)
    asked = Asked(batch["asked"], batch["kept"])
    labels = asked.labels(batch["labels"])
    assert labels[labels != -100].tolist() == [1, 2, 3, 4]
    if fixed:
        assert batch["asked"].shape == (3, 16) and len(labels) == 48 and batch["input_ids"].shape == (3, 64)
    else:
        assert len(labels) == 4 and batch["cu_seq_lens"].tolist() == [0, 9, 13, 16, 18, 20, 27]
    places = torch.arange(batch["labels"].numel()).view_as(batch["labels"])
    real = labels != -100
    torch.testing.assert_close(asked.taken(places)[real], (batch["labels"].flatten() != -100).nonzero()[:, 0])


def test_packed_states_of_a_real_checkpoint_on_real_posts(minilm, newsgroups):
    model, _ = load_model(str(minilm), "AutoModel")
    tokenizer = load_processor(str(minilm), "text")
    texts = [row["text"] for row in newsgroups["test"][:20]]
    pieces = Pieces(in_memory(tokenizer, texts), [str(i) for i in range(len(texts))], tokenizer, 96)
    layout = best_fit(pieces.lengths[:24], 96)
    rows = [[pieces.piece(number)[0] for number in row] for row in layout]
    assert len(rows) < 24
    batch = collate_rows([_row(row) for row in rows], pad_id=tokenizer.pad_token_id)
    mask = isolation_masks(model, batch["document"], batch["position_ids"])
    with torch.inference_mode():
        packed = model(
            input_ids=batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"]
        ).last_hidden_state
        for number, row in enumerate(rows):
            start = 0
            for piece in row:
                ids = torch.tensor(piece, dtype=torch.long)[None]
                alone = model(input_ids=ids).last_hidden_state[0]
                torch.testing.assert_close(packed[number, start : start + len(piece)], alone, atol=1e-5, rtol=0)
                start += len(piece)
