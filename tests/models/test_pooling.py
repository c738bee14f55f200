"""How a checkpoint says that it is pooled, in every form in which that is written down."""

from __future__ import annotations

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.modalities.text.text import Text
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
    repo = tmp_path / "models--me--weights-alone"
    write(repo, "refs/main", "a" * 40)
    write(repo, f"snapshots/{'a' * 40}/config.json", {"model_type": "bert"})
    with caplog.at_level(logging.WARNING, "hf_ssl"):
        assert saved_pooling(CheckpointRef("me/never-fetched")) is None  # that it is not there, loading says
        assert not caplog.records
        assert saved_pooling(CheckpointRef("me/weights-alone")) is None
    assert [record.getMessage() for record in caplog.records if "--pooling" in record.getMessage()]


def test_the_token_is_not_shown():
    assert "secret" not in repr(CheckpointRef("me/private", token="secret"))


def test_written_and_read_again():
    for text in ("mean", "mean@-2", "cls+mean"):
        assert str(Pooling.parse(text)) == text
    for wrong in ("mean@2", "mean@last", "mean@-0"):
        with pytest.raises(ConfigError, match="counted from the end"):
            Pooling.parse(wrong)


def test_what_follows_the_pooling_of_the_start_is_kept(tmp_path, tiny_checkpoint):
    start = tmp_path / "start"
    shutil.copytree(tiny_checkpoint("bert"), start)
    for name, part in (("2_Dense", {"in_features": 32, "out_features": 8}), ("3_Normalize", None)):
        (start / name).mkdir()
        if part is not None:
            write(start, f"{name}/config.json", part)
            save_file({"linear.weight": torch.ones(8, 32)}, start / name / "model.safetensors")
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"st.models.{kind}"} for i, (path, kind) in enumerate(kinds)
    ]
    write(start, "modules.json", modules)
    write(start, "1_Pooling/config.json", {"pooling_mode": "mean"})
    encoder = Text().load(str(start))
    saved = encoder.save(tmp_path / "saved")
    written = json.loads((saved / "modules.json").read_text())
    assert [part["path"] for part in written] == [path for path, _ in kinds]
    assert (saved / "2_Dense" / "model.safetensors").read_bytes() == (
        start / "2_Dense" / "model.safetensors"
    ).read_bytes()
    assert json.loads((saved / "2_Dense" / "config.json").read_text())["out_features"] == 8
    again = Text().load(str(saved)).save(tmp_path / "again")  # and through a second training, too
    assert json.loads((again / "modules.json").read_text()) == written
    other = encoder.replace(pooling="cls").save(tmp_path / "other")  # its vectors are not what the layer was made for
    assert len(json.loads((other / "modules.json").read_text())) == 2
    outside = [*modules[:2], {**modules[2], "path": "../2_Dense"}]
    write(start, "modules.json", outside)
    assert len(json.loads((Text().load(str(start)).save(tmp_path / "inside") / "modules.json").read_text())) == 2


def test_sentence_transformers_gives_the_vectors_of_the_start(tmp_path, tiny_checkpoint):
    models = pytest.importorskip("sentence_transformers")
    parts = pytest.importorskip("sentence_transformers.models")
    torch.manual_seed(0)
    words = parts.Transformer(str(tiny_checkpoint("bert")))
    pooling = parts.Pooling(words.get_word_embedding_dimension(), pooling_mode="mean")
    start = models.SentenceTransformer(
        modules=[words, pooling, parts.Dense(pooling.get_sentence_embedding_dimension(), 8), parts.Normalize()],
        device="cpu",
    )
    start.save(str(tmp_path / "start"))
    Text().load(str(tmp_path / "start")).save(tmp_path / "saved")
    found = models.SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(["a cell", "the patient"])
    assert found.shape == (2, 8)
    np.testing.assert_allclose(found, start.encode(["a cell", "the patient"]), atol=1e-5)
