"""Whether a checkpoint was tuned with labels, from what lies beside its weights."""

from __future__ import annotations

import json
import shutil

import pytest

import hf_ssl
import tiny
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.tuned import tuned_with_labels


def test_a_sentence_encoder(minilm):
    """The real one: its files of sentence-transformers are not in every copy, its name is not that of a folder."""
    files = [path.name for path in minilm.iterdir()]
    told = tuned_with_labels(str(minilm))
    assert (told is not None) == any("sentence" in name or name == "modules.json" for name in files)


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("modules.json", [], "modules.json"),
        ("hf_ssl.json", {"stage": "finetune"}, "hf_ssl's finetune"),
        ("config.json", {"architectures": ["ViTForImageClassification"]}, "ViTForImageClassification"),
        ("config.json", {"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering"),
        ("config.json", {"architecture": "vit", "pretrained_cfg": {"tag": "augreg_in21k_ft_in1k"}}, "ft_in1k"),
        ("config.json", {"architectures": ["BertForMaskedLM"]}, None),
        ("config.json", {"architectures": ["ViTMAEForPreTraining"]}, None),
        ("config.json", {"architecture": "vit", "pretrained_cfg": {"tag": "lvd142m"}}, None),
    ],
)
def test_files_that_say_so(file, content, found, tmp_path):
    (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    told = tuned_with_labels(str(tmp_path))
    assert (told is None) if found is None else (told is not None and found in told)


def test_what_pretraining_made_is_not_tuned(tmp_path):
    """Its folder has files for sentence-transformers, because any text model gets them."""
    (tmp_path / "hf_ssl.json").write_text(json.dumps({"stage": "pretrain"}), encoding="utf-8")
    (tmp_path / "modules.json").write_text("[]", encoding="utf-8")
    assert tuned_with_labels(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "tuned"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", True), ("intfloat/e5-small", True), ("BAAI/bge-small-en-v1.5", True),
        ("textattack/bert-base-uncased-SST-2", True), ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", True),
        ("timm/vit_base_patch16_224.augreg_in21k_ft_in1k", True),
        ("google-bert/bert-base-uncased", False), ("answerdotai/ModernBERT-base", False), ("facebook/dinov2-small", False),
        ("timm/vit_small_patch14_dinov2.lvd142m", False), ("google/small-model", False),
    ],
)  # fmt: skip
def test_names(name, tuned, monkeypatch):
    """Where no file can be read, the name is all there is."""
    monkeypatch.setattr(CheckpointRef, "file", lambda self, name: None)
    assert (tuned_with_labels(name) is not None) == tuned


def test_pretraining_from_such_a_start_says_so(tmp_path, caplog):
    start = tiny.write_checkpoint("bert", tmp_path / "start")
    shared = {"data": tiny.corpus(40), "max_steps": 1, "monitor_points": 1, "near_duplicates": False}
    plain = hf_ssl.pretrain(**shared, model=str(start), output=str(tmp_path / "plain"))
    assert "tuned with labels" not in caplog.text
    tuned = shutil.copytree(start, tmp_path / "tuned")
    (tuned / "modules.json").write_text("[]", encoding="utf-8")
    (tuned / "sentence_bert_config.json").write_text("{}", encoding="utf-8")
    hf_ssl.pretrain(**shared, model=str(tuned), output=str(tmp_path / "again"))
    assert "usually hurts" in caplog.text
    assert tuned_with_labels(str(plain.path / "model")) is None, "what came out of masked words alone"
