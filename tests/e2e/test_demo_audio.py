"""Real recordings and the real Whisper encoder, where their packages are there."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sounds
from hf_ssl import demo
from hf_ssl.core.errors import CheckpointError, DataError, MissingExtraError
from hf_ssl.data import load_data
from hf_ssl.demo import audio as demo_audio
from hf_ssl.demo import whisper as demo_whisper
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.models.loading import load_model


def have(name: str):
    try:
        return demo_audio.folder_of(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_syllables_are_taken_apart():
    assert demo_audio.split_syllable("ㄅㄚ3") == ("ㄅ", "ㄚ", "3")
    assert demo_audio.split_syllable("ㄓ") == ("ㄓ", "", "1")
    assert demo_audio.split_syllable("ㄢ4") == ("none", "ㄢ", "4")
    assert demo_audio.split_syllable("ㄇㄜ1") is None


def test_what_is_missing_is_named_with_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    if not Path("/usr/share/gcin-voice").exists():
        with pytest.raises(MissingExtraError, match="demo fetch gcin"):
            demo_audio.folder_of("gcin")
    with pytest.raises(DataError, match="'gcim' cannot be fetched.*gcin"):
        demo.fetch("gcim")
    assert {"gcin", "tuxpaint", "asterisk", "whisper"} <= demo.where().keys()


def test_gcin_counts_and_split_by_syllable():
    have("gcin")
    rows = demo_audio.gcin()
    assert len(rows) == 2_334 and Counter(row["tone"] for row in rows).keys() == {"1", "2", "3", "4"}
    sides = {
        split: {row["syllable"] for row in rows if row["split"] == split} for split in ("train", "validation", "test")
    }
    assert not (
        sides["train"] & sides["test"] or sides["train"] & sides["validation"] or sides["validation"] & sides["test"]
    )
    assert len({row["initial"] for row in rows}) == 22


def test_written_tables_load_and_hold_938_test_clips(tmp_path):
    have("gcin")
    pytest.importorskip("soundfile")
    folder = demo_audio.write_gcin(tmp_path / "gcin")
    with (folder / "test.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 938
    data = load_data(
        folder, "audio", cache_dir=str(tmp_path / "cache"), max_examples=300, min_seconds=0.05, verbose=False
    )
    assert data.report["quarantined"] == [] and 0.2 < data.report["describe"]["test"]["seconds_median"] < 0.5
    assert data.report["leaks"] == []


def test_fewer_recordings_of_each_table_where_somebody_asks(tmp_path):
    have("gcin")
    folder = demo_audio.write_gcin(tmp_path / "few", per_class=8, limit=100)
    tables = {path.stem: list(csv.DictReader(path.open(encoding="utf-8"))) for path in folder.glob("*.csv")}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "train": 8 * 22, "validation": 100, "test": 100, "unlabeled": 100,
    }  # fmt: skip
    assert set(Counter(row["label"] for row in tables["train"]).values()) == {8}


def test_asterisk_has_its_silent_and_empty_files_quarantined(tmp_path):
    root = have("asterisk")
    pytest.importorskip("soundfile")
    russian = next(path for path in root.iterdir() if path.name.startswith("ru"))
    data = load_data(russian, "audio", cache_dir=str(tmp_path), folder_labels=False, max_examples=None, verbose=False)
    reasons = {item["path"]: item["reason"] for item in data.report["quarantined"]}
    assert reasons.pop("is.wav") == "no samples"
    assert len(reasons) == 10 and all("silence" in reason for reason in reasons.values())


def test_captions_have_transcripts():
    have("tuxpaint")
    rows = demo_audio.tuxpaint(["es"])
    assert len(rows) > 500 and sum(row["transcript"] is not None for row in rows) > 0.95 * len(rows)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    try:
        return demo_audio.write_whisper(tmp_path_factory.mktemp("whisper"))
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_whisper_loads_whole_and_transcribes(whisper):
    import torch
    import transformers

    _, report = load_model(str(whisper), "AutoModel")
    assert report.matched == report.compared == 167 and report.missing == []
    root = have("asterisk")
    pytest.importorskip("soundfile")
    model = transformers.WhisperForConditionalGeneration.from_pretrained(whisper)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(whisper)
    tokenizer = transformers.AutoTokenizer.from_pretrained(whisper)
    prompt = next(root.rglob("en_*/agent-alreadyon.wav"))
    features = extractor(Audio().samples(str(prompt)), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        text = tokenizer.decode(model.generate(features)[0], skip_special_tokens=True)
    assert "already logged on" in text


def test_a_damaged_or_other_model_file_is_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"\x06\x00\x00\x00\x06\x00Other\x00" + bytes(40))
    with pytest.raises(CheckpointError, match="is Other in layout 6"):
        demo_whisper.read_ctranslate2(tmp_path / "model.bin")


def test_sound_enters_the_small_encoder_as_large_as_the_positions_that_are_added(tmp_path):
    """With a spread of 0.02 for all weights it would be a twenty-fifth of them, and random features nearly the same for all."""
    import torch

    folder = demo_audio.write_small(tmp_path)
    encoder = Audio().load(str(folder))
    batch = encoder.collate(encoder.preprocess([sounds.voice(0, 1.0)]))
    positions = encoder.model.embed_positions.weight
    with torch.inference_mode():
        entered = encoder.model(batch["input_features"], output_hidden_states=True).hidden_states[0][0] - positions
    assert entered.std() > 0.3 * positions.std()


def test_small_encoder_is_an_ordinary_checkpoint(tmp_path):
    folder = demo_audio.write_small(tmp_path, seed=3)
    encoder = Audio().load(str(folder))
    assert encoder.processor.n_samples == 16_000 and encoder.model.config.max_source_positions == 50
    assert np.isfinite(encoder.embed([np.random.default_rng(0).normal(size=8_000).astype(np.float32)])).all()
