"""New words for a domain: chosen by what they save, matched as whole words, started as the mean of their pieces."""

from __future__ import annotations

import pytest
import torch

import tiny
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models import loading, vocabulary

WORD = "cardiomyopathy"


def ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_candidates_are_ranked_by_the_tokens_they_save():
    tokenizer = tiny.tiny_tokenizer("bert")
    texts = ["Cardiomyopathy, so cardiomyopathy; stenosis 12345 x"] * 10 + ["oncogene"] * 3
    found = vocabulary.candidates(texts, tokenizer, min_count=5)
    assert [candidate.word for candidate in found][:2] == [WORD, "stenosis"], "lower-cased, as the tokenizer does"
    assert found[0].count == 20 and found[0].pieces == len(ids(tokenizer, WORD))
    assert found[0].saved == 20 * (found[0].pieces - 1)
    assert "oncogene" not in {candidate.word for candidate in found}, "too rare"
    assert not {"12345", "x"} & {candidate.word for candidate in found}
    assert vocabulary.candidates(texts, tokenizer, top=1, min_count=5) == found[:1]
    assert vocabulary.candidates(["the nurse"] * 20, tokenizer) == []


def test_fertility_falls_when_words_are_added():
    tokenizer = tiny.tiny_tokenizer("bert")
    texts = ["the nurse", f"the {WORD}"]
    before = vocabulary.fertility(texts, tokenizer)
    assert before == pytest.approx((len(ids(tokenizer, "the nurse")) + len(ids(tokenizer, f"the {WORD}"))) / 4)
    vocabulary.extend(tiny.tiny_model("bert"), tokenizer, [WORD, "nurse", "the"])
    assert vocabulary.fertility(texts, tokenizer) == 1.0
    assert vocabulary.fertility([], tokenizer) == 0.0


@pytest.mark.parametrize("arch", tiny.TEXT)
def test_extension(arch, tmp_path):
    tokenizer, model = tiny.tiny_tokenizer(arch), tiny.tiny_model(arch)
    untouched = "the nurse measured cardiomyopathies"
    before, rows = ids(tokenizer, untouched), model.get_input_embeddings().weight.shape[0]
    table = model.get_input_embeddings().weight.detach().clone()
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    result = vocabulary.extend(model, tokenizer, [WORD, WORD])

    assert result.words == (WORD,) and len(result.ids) == 1
    new = model.get_input_embeddings().weight
    assert len(tokenizer) <= new.shape[0] == model.config.vocab_size
    assert torch.equal(new[:rows][: result.ids[0]], table[: result.ids[0]]), "the old rows stay"
    assert torch.allclose(new[result.ids[0]], table[list(result.pieces[0])].mean(0), atol=1e-6)
    assert (model.get_output_embeddings().weight is new) == tied
    # Matched as a whole word, at the start, in the middle and in brackets, with no stray space token around it.
    assert ids(tokenizer, WORD) == list(result.ids)
    middle = ids(tokenizer, f"the {WORD}")
    assert middle == ids(tokenizer, "the") + list(result.ids)
    assert ids(tokenizer, f"({WORD})").count(result.ids[0]) == 1
    assert ids(tokenizer, untouched) == before, "a longer word that starts with it is left alone"

    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, report = loading.load_model(str(tmp_path), tiny.default_auto_class(arch))
    batch = loading.load_processor(str(tmp_path), "text")(f"the {WORD} measured", return_tensors="pt")
    assert report.backbone_complete and not report.missing
    assert result.ids[0] in batch["input_ids"][0]
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_untied_output_embeddings_and_biases_start_as_means_too():
    tokenizer = tiny.tiny_tokenizer("bert")
    model = tiny.tiny_model("bert", tie_word_embeddings=False)
    output = model.get_output_embeddings()
    assert output.weight is not model.get_input_embeddings().weight
    with torch.no_grad():
        output.bias.copy_(torch.randn_like(output.bias))
    old_weight, old_bias = output.weight.detach().clone(), output.bias.detach().clone()
    result = vocabulary.extend(model, tokenizer, [WORD])
    pieces, new = list(result.pieces[0]), model.get_output_embeddings()
    assert torch.allclose(new.weight[result.ids[0]], old_weight[pieces].mean(0), atol=1e-6)
    assert torch.allclose(new.bias[result.ids[0]], old_bias[pieces].mean(), atol=1e-6)
    assert torch.equal(new.bias[: len(old_bias)], old_bias)


def test_spare_rows_are_used_before_the_table_grows():
    tokenizer = tiny.tiny_tokenizer("bert")
    model = tiny.tiny_model("bert", vocab_size=len(tokenizer) + 8)
    rows = model.get_input_embeddings().weight.shape[0]
    result = vocabulary.extend(model, tokenizer, [WORD])
    new = model.get_input_embeddings().weight
    assert new.shape[0] == rows
    assert torch.allclose(new[result.ids[0]], new[list(result.pieces[0])].mean(0), atol=1e-6)


def test_words_that_are_one_token_change_nothing():
    tokenizer, model = tiny.tiny_tokenizer("bert"), tiny.tiny_model("bert")
    size = len(tokenizer)
    known = next(token for token in tokenizer.get_vocab() if token.isalpha() and len(token) > 3)
    assert vocabulary.extend(model, tokenizer, [known]) == vocabulary.Extension((), (), ())
    assert len(tokenizer) == size


def test_what_cannot_be_added_is_refused():
    tokenizer, model = tiny.tiny_tokenizer("bert"), tiny.tiny_model("bert")
    with pytest.raises(ConfigError, match="without white space"):
        vocabulary.extend(model, tokenizer, ["blood pressure"])
    with pytest.raises(ConfigError, match="tokenizer does not know"):
        vocabulary.extend(model, tokenizer, ["Жизнь"])
    with pytest.raises(CheckpointError, match="embedding rows"):
        vocabulary.extend(tiny.tiny_model("bert", vocab_size=50), tokenizer, [WORD])


def test_the_real_tokenizer(minilm):
    model, _ = loading.load_model(str(minilm))
    tokenizer = loading.load_processor(str(minilm), "text")
    found = vocabulary.candidates(["Tachyarrhythmia was seen. No tachyarrhythmia."] * 10, tokenizer)
    assert [candidate.word for candidate in found] == ["tachyarrhythmia"]
    vocabulary.extend(model, tokenizer, ["tachyarrhythmia"])
    assert tokenizer.tokenize("No Tachyarrhythmia.") == ["no", "tachyarrhythmia", "."]
