"""How a checkpoint says that it is pooled, in every form in which that is written down."""

from __future__ import annotations

import json
import logging

import pytest

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.pooling import Pooling, saved_pooling, write_sentence_transformers
from hf_ssl.models.reference import CheckpointRef

CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 8}


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (CLS, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "max+mean"),
        ({"pooling_mode_mean_tokens": False}, "mean"),  # as sentence-transformers reads it
        ({"pooling_mode_of_tomorrow": True}, "of_tomorrow"),
        ({"pooling_mode": "cls", "embedding_dimension": 8}, "cls"),
        ({"pooling_mode": ["cls", "mean"]}, "cls+mean"),
    ],
)
def test_old_and_new_keys_of_sentence_transformers(tmp_path, settings, expected):
    write(tmp_path, "1_Pooling/config.json", settings)
    assert str(saved_pooling(CheckpointRef(str(tmp_path)))) == expected


def test_the_modules_say_where_the_pooling_lies(tmp_path):
    write(tmp_path, "modules.json", [{"path": "", "type": "a.Transformer"}, {"path": "pool", "type": "b.c.Pooling"}])
    write(tmp_path, "pool/config.json", CLS)
    assert saved_pooling(CheckpointRef(str(tmp_path))) == Pooling("cls")
    write(tmp_path, "modules.json", [{"path": "", "type": "a.Transformer"}])
    assert saved_pooling(CheckpointRef(str(tmp_path))) is None


def test_our_own_file_comes_first_and_may_say_nothing(tmp_path):
    ref = CheckpointRef(str(tmp_path))
    write(tmp_path, "hf_ssl.json", {"base": {}})  # as runs of earlier versions have it
    assert saved_pooling(ref) is None
    write_sentence_transformers(tmp_path, Pooling("cls"), 8)
    assert saved_pooling(ref) == Pooling("cls")
    write(tmp_path, "hf_ssl.json", {"base": {}, "pooling": "mean@-2"})
    assert saved_pooling(ref) == Pooling("mean", -2)
    write(tmp_path, "hf_ssl.json", "{")
    with pytest.raises(CheckpointError, match="readable JSON"):
        saved_pooling(ref)


def test_from_the_cache_of_the_hub_at_its_revision(tmp_path, monkeypatch):
    """Offline, from a cache that holds two revisions which pool differently."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "models--me--encoder"
    for name, commit, mode in (("main", "a" * 40, "mean"), ("cls", "b" * 40, "cls")):
        write(repo, f"refs/{name}", commit)
        write(repo, f"snapshots/{commit}/modules.json", [{"path": "1_Pooling", "type": "x.Pooling"}])
        write(repo, f"snapshots/{commit}/1_Pooling/config.json", {"pooling_mode": mode})
    assert saved_pooling(CheckpointRef("me/encoder")) == Pooling("mean")
    assert saved_pooling(CheckpointRef("me/encoder", "cls")) == Pooling("cls")


def test_what_the_hub_could_not_be_asked_is_said(tmp_path, monkeypatch, caplog):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.WARNING, "hf_ssl"):
        assert saved_pooling(CheckpointRef("me/never-fetched")) is None
    assert [record.getMessage() for record in caplog.records if "--pooling" in record.getMessage()]


def test_the_token_is_not_shown():
    assert "secret" not in repr(CheckpointRef("me/private", token="secret"))


def test_written_and_read_again():
    for text in ("mean", "mean@-2", "cls+mean"):
        assert str(Pooling.parse(text)) == text
    for wrong in ("mean@2", "mean@last", "mean@-0"):
        with pytest.raises(ConfigError, match="counted from the end"):
            Pooling.parse(wrong)
