"""Masked-word checkpoints with their heads, written as plain folders from files like the released ones: small, and real ones where they are."""

from __future__ import annotations

import json
import re

import pytest
import torch
import transformers

from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo import cli, masked_words

TEXTS = {
    "reaction-bert": ["CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "ClCCBr", "C%12CCCC%12", "F/C=C\\F", "[Na+].[Cl-]"],
    "reaction-albert": ["CC(=O)Oc1ccccc1C(=O)O", "ClCCBr.[nH]1cccc1>>C", "F/C=C\\F"],
    "antibody-bert": ["EVQLVESGGGLVQPGGSLRLSCAASGFTFS", "DIQMTQSPSSLSASVGDRVTITC"],
}  # fmt: skip
# What the released files' classes were: heads for pairs, or for species, that nobody wants, beside the masked-word head.
WHOLE = {
    "reaction-bert": "BertForPreTraining",
    "reaction-albert": "AlbertForMaskedLM",
    "antibody-bert": "BertForPreTraining",
}
HIDDEN = {
    "reaction-bert": "CC(=O)Cl.NCc1ccccc1>>CC(=O)NCc1ccccc1",
    "reaction-albert": "CC(=O)Cl.NCc1ccccc1>>CC(=O)NCc1ccccc1",
    "antibody-bert": "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKGRFTISRDNSKNTLYLQMNSLRAEDTAVYYCAK",
}


@pytest.fixture(params=list(TEXTS))
def released(request, tmp_path, monkeypatch):
    """Name and model: no model_type in the configuration, no tokenizer."""
    name, one = request.param, masked_words.RELEASED[request.param]
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(masked_words, "package_folder", lambda *names: None)
    folder = tmp_path / "cache" / name
    folder.mkdir(parents=True)
    tokens = sorted({token for text in TEXTS[name] for token in re.findall(one.pattern, text)})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "vocab_size": len(words),
    }
    config = getattr(transformers, one.config)(**sizes, **({"embedding_size": 8} if "Albert" in one.config else {}))
    model = getattr(transformers, WHOLE[name])(config)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    plain = {key: value for key, value in config.to_dict().items() if key not in ("model_type", "architectures")}
    (folder / "config.json").write_text(json.dumps(plain), encoding="utf-8")
    return name, model


def test_it_loads_with_its_head_and_splits_into_its_words(released, tmp_path):
    name, whole = released
    folder = cli.write(name, tmp_path / "start", seed=0)
    model, info = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS[name]:
        assert tokenizer.tokenize(text) == re.findall(masked_words.RELEASED[name].pattern, text)
        assert "".join(tokenizer.tokenize(text)) == text
    inputs = tokenizer(TEXTS[name][0], return_tensors="pt")
    with torch.no_grad():
        found = whole.eval()(**inputs)
        wanted = found.logits if "MaskedLM" in WHOLE[name] else found.prediction_logits
        torch.testing.assert_close(model(**inputs).logits, wanted)
    assert inputs["input_ids"][0, 0] == tokenizer.cls_token_id and inputs["input_ids"][0, -1] == tokenizer.sep_token_id


def test_weights_that_lack_the_head_are_refused(released, tmp_path):
    name, whole = released
    file = masked_words.released_folder(name) / "pytorch_model.bin"
    torch.save({key: value for key, value in whole.state_dict().items() if "predictions" not in key}, file)
    with pytest.raises(DataError, match="predictions"):
        masked_words.write_masked_words(name, tmp_path / "start")


@pytest.mark.parametrize("name", list(TEXTS))
def test_what_is_missing_says_what_to_type(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    monkeypatch.setattr(masked_words, "package_folder", lambda *names: None)
    with pytest.raises(MissingExtraError, match=f"fetch {name}"):
        masked_words.write_masked_words(name, tmp_path / "start")
    assert f"fetch {name}" in cli.where()[name]


@pytest.mark.parametrize("name", list(TEXTS))
def test_the_real_one_knows_its_field(name, tmp_path):
    """Most of the hidden tokens of a sequence of its field are found; random weights find next to none."""
    try:
        folder = masked_words.write_masked_words(name, tmp_path / "start")
    except MissingExtraError as absent:
        pytest.skip(str(absent))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    words = tokenizer(HIDDEN[name], return_tensors="pt")["input_ids"]
    places = torch.arange(1, words.shape[1] - 1)
    asked = words.repeat(len(places), 1)
    asked[torch.arange(len(places)), places] = tokenizer.mask_token_id
    with torch.no_grad():
        found = model(input_ids=asked).logits[torch.arange(len(places)), places].argmax(1)
    assert (found == words[0, places]).float().mean() > 0.7
