"""Audio as data: every way in, what is repaired, what is quarantined, what stays together."""

from __future__ import annotations

import csv
from pathlib import Path

import datasets
import numpy as np
import pytest

import sounds
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.data import load_data
from hf_ssl.modalities.audio import recordings, store
from hf_ssl.modalities.audio.audio import Audio

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')
RATE = sounds.RATE


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No store of another test is found."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(path: Path, samples: np.ndarray, rate: int = RATE, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


def folder(root: Path, count: int = 12, kind: str = "wav") -> Path:
    for number in range(count):
        write(
            root / f"{number % 2}{'ab'[number % 2]}" / f"{number:02d}.{kind}",
            sounds.voice(number, 0.3 + 0.02 * number),
        )
    return root


def load(source, **options):
    return load_data(source, "audio", verbose=False, **options)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_folders_of_every_kind_give_16_khz_mono_and_classes(tmp_path, kind):
    data = load(folder(tmp_path / "data", kind=kind))
    assert data.label_names == ["0a", "1b"] and data.report["files"] == {f".{kind}": 12}
    value = data["train"]["audio"][0]
    samples = Audio().samples(value)
    assert samples.dtype == np.float32 and samples.ndim == 1 and not samples.flags.writeable
    assert data.report["describe"]["unlabeled"]["seconds_max"] <= 0.7


def test_decoding_happens_once(tmp_path):
    source = folder(tmp_path / "data")
    first = load(source)
    store = Path(first["train"]["audio"][0]["store"])
    written = store.stat().st_mtime_ns
    second = load(source)
    assert second.fingerprint == first.fingerprint and store.stat().st_mtime_ns == written
    write(source / "0a" / "00.wav", sounds.voice(99, 0.5))
    third = load(source)
    assert third["train"]["audio"][0]["store"] != str(store) and third.fingerprint != first.fingerprint


def test_the_name_and_the_container_of_a_file_do_not_matter(tmp_path):
    samples = (20_000 * sounds.voice(1, 0.5)).astype(np.int16)
    one = write(tmp_path / "a" / "x.wav", samples, subtype="PCM_16")
    other = write(tmp_path / "b" / "y.flac", samples, subtype="PCM_16")
    digests = [load([path], folder_labels=False)["unlabeled"]["audio"][0]["digest"] for path in (one, other)]
    assert digests[0] == digests[1]
    assert Audio().content_key(str(one)) == digests[0]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_the_tone(tmp_path, rate):
    path = write(tmp_path / "tone.wav", sounds.tone(440, 1.0, rate=rate), rate)
    samples = recordings.read(path, RATE)
    assert abs(len(samples) - RATE) <= 2
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(spectrum.argmax() * RATE / len(samples) - 440) < 2
    inner = samples[1000:-1000]
    np.testing.assert_allclose(np.sqrt(2 * np.square(inner).mean()), 0.3, rtol=0.02)


def test_resampling_without_soxr_is_close_to_it(monkeypatch):
    wave = sounds.voice(3, 1.0, rate=44_100)
    with_soxr = recordings.resample(wave, 44_100, RATE)
    monkeypatch.setitem(__import__("sys").modules, "soxr", None)
    without = recordings.resample(wave, 44_100, RATE)
    shortest = min(len(with_soxr), len(without))
    assert abs(len(with_soxr) - len(without)) <= 1
    assert np.corrcoef(with_soxr[:shortest], without[:shortest])[0, 1] > 0.99


def test_blocks_of_a_long_file_are_resampled_as_one_signal(tmp_path, monkeypatch):
    wave = sounds.voice(4, 3.0, rate=44_100)
    path = write(tmp_path / "long.wav", wave, 44_100, subtype="FLOAT")
    whole = recordings.read(path, RATE)
    monkeypatch.setattr(recordings, "BLOCK_SECONDS", 0.1)
    np.testing.assert_allclose(recordings.read(path, RATE), whole, atol=1e-5)


def test_stereo_in_opposite_phase_is_not_silence(tmp_path):
    voice = sounds.voice(5, 0.5)
    cancelling = write(tmp_path / "cancel.wav", np.stack([voice, -0.9 * voice], 1), subtype="FLOAT")
    same = write(tmp_path / "same.wav", np.stack([voice, voice], 1), subtype="FLOAT")
    one_side = write(tmp_path / "left.wav", np.stack([voice, 0 * voice], 1), subtype="FLOAT")
    np.testing.assert_allclose(recordings.read(cancelling, RATE), voice, atol=1e-6)
    np.testing.assert_allclose(recordings.read(same, RATE), voice, atol=1e-6)
    np.testing.assert_allclose(recordings.read(one_side, RATE), voice / 2, atol=1e-6)
    array = {"array": np.stack([voice, -voice]), "sampling_rate": RATE}
    np.testing.assert_allclose(recordings.read(array, RATE), voice, atol=1e-6)


def faulty(root: Path) -> dict[str, str]:
    """Broken files of every kind, and a word of the reason each must be given."""
    voice = sounds.voice(6, 0.5)
    write(root / "silence.wav", np.zeros(8000, np.float32))
    write(root / "short.wav", voice[:400])
    write(root / "nan.wav", np.where(np.arange(len(voice)) == 77, np.nan, voice).astype(np.float32), subtype="FLOAT")
    write(root / "clipped.wav", np.clip(8 * voice, -1, 1), 44_100)
    write(root / "nothing.wav", voice[:0])
    write(root / "slow.wav", voice, 800)
    (root / "empty.wav").write_bytes(b"")
    (root / "text.wav").write_text("this is not audio")
    whole = write(root / "cut.flac", voice).read_bytes()
    (root / "cut.flac").write_bytes(whole[:30])
    return {"silence": "silence", "short": "shorter than", "nan": "NaN", "clipped": "clipped", "nothing": "no samples",
            "slow": "800 Hz", "empty": "empty file", "text": "not readable", "cut": "not readable"}  # fmt: skip


def test_unusable_files_are_quarantined_with_their_reason(tmp_path):
    root = folder(tmp_path / "data", count=60)
    reasons = faulty(root / "0a")
    data = load(root, max_left_out=0.2)
    found = {Path(item["path"]).stem: item["reason"] for item in data.report["quarantined"]}
    assert found.keys() == reasons.keys()
    assert all(reasons[name] in reason for name, reason in found.items()), found
    assert all(not Path(item["path"]).is_absolute() for item in data.report["quarantined"])
    assert (
        len(data["unlabeled"]) == sum(len(data[name]) for name in ("train",))
        and "quarantined  9 files" in data.report_text()
    )


def test_too_many_unusable_files_stop_everything(tmp_path):
    root = folder(tmp_path / "data", count=12)
    faulty(root / "0a")
    with pytest.raises(DataError, match="9 of 21 recordings cannot be used"):
        load(root)


def test_a_tone_and_speech_do_not_count_as_clipped():
    assert recordings.clipped_share(sounds.tone(50, 1.0)) < 0.05
    assert recordings.clipped_share(sounds.voice(0, 1.0)) < 0.01
    assert recordings.clipped_share(np.sign(sounds.tone(50, 1.0))) > 0.9
    assert recordings.clipped_share(np.zeros(100, np.float32)) == 0


def test_long_files_are_cut_and_their_pieces_stay_in_one_split(tmp_path):
    for number in range(10):
        write(tmp_path / "data" / "ab"[number % 2] / f"{number}.wav", sounds.voice(number, 1.0 + 0.31 * number))
    data = load(tmp_path / "data", max_seconds=0.5, test_fraction=0.3, validation_fraction=0.2)
    longest = [max(value["length"] for value in data[split]["audio"]) for split in data]
    assert max(longest) <= 0.5 * RATE
    sets = [set(data[split]["path"]) for split in ("train", "validation", "test")]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2]) and len(set.union(*sets)) == 10
    assert "stay together" in data.report_text() and "were cut" in data.report_text()
    pieces = [
        v
        for split in ("train", "validation", "test")
        for v, p in zip(data[split]["audio"], data[split]["path"], strict=True)
        if p == "a/0.wav"
    ]
    together = np.concatenate([Audio().samples(piece) for piece in sorted(pieces, key=lambda value: value["start"])])
    np.testing.assert_allclose(together, recordings.read(tmp_path / "data/a/0.wav", RATE))


def table(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_names_files_beside_it_and_parts_of_them(tmp_path):
    source = tmp_path / "data"
    wave = np.concatenate([sounds.tone(300 * (1 + number), 0.5) for number in range(8)])
    for number, name in enumerate(("one", "two", "three", "four")):
        write(source / "clips" / f"{name}.wav", wave + 0.01 * sounds.voice(number, 4.0), subtype="FLOAT")
    rows = [
        {"file": f"clips/{name}.wav", "start": 0.5 * part, "end": 0.5 * part + 0.5, "label": "low" if part < 4 else "high"}
        for name in ("one", "two", "three", "four")
        for part in range(8)
    ]  # fmt: skip
    table(source / "labels.csv", rows)
    data = load(source, validation_fraction=0.25, test_fraction=0.25)
    assert data.label_names == ["high", "low"] and "tables are read" in data.report_text()
    row = next(r for r in data["train"] if r["label"] == 1)
    assert row["audio"]["length"] == 0.5 * RATE
    spectrum = np.abs(np.fft.rfft(Audio().samples(row["audio"])))
    assert spectrum.argmax() * 2 in (300, 600, 900, 1200)
    sides = [set(data[split]["group"]) for split in ("train", "validation", "test")]
    assert sum(map(len, sides)) == 4, "parts of one file are on one side"
    parquet = tmp_path / "parts.parquet"
    datasets.Dataset.from_list([{**r, "file": str(source / r["file"])} for r in rows]).to_parquet(parquet)
    assert load(parquet)["train"].features["label"].names == ["high", "low"]


def test_missing_files_and_impossible_times_are_said(tmp_path):
    rows = [
        {"path": str(write(tmp_path / f"{n}.wav", sounds.voice(n, 0.3))), "label": "ab"[n % 2], "start": 0}
        for n in range(20)
    ]
    rows[3]["path"] = "gone.wav"
    data = load(table(tmp_path / "t.csv", rows))
    assert data.report["quarantined"] == [{"path": "gone.wav", "reason": "no such file"}]
    rows[4]["start"] = "soon"
    with pytest.raises(DataError, match="which is no time"):
        load(table(tmp_path / "t.csv", rows))


def test_groups_hold_speakers_together(tmp_path):
    rows = [
        {"path": str(write(tmp_path / f"{n}.wav", sounds.voice(n, 0.3))), "label": "ab"[n % 2], "speaker": f"s{n % 7}"}
        for n in range(42)
    ]
    data = load(table(tmp_path / "t.csv", rows), group_column="speaker")
    sides = [set(data[split]["group"]) for split in ("train", "validation", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def audio_column() -> datasets.Dataset:
    """As from the Hub: a `datasets.Audio` column that would be decoded on access."""
    import io

    rows = []
    for number in range(20):
        buffer = io.BytesIO()
        soundfile.write(buffer, sounds.voice(number, 0.3, rate=44_100), 44_100, format="WAV")
        rows.append({"audio": {"bytes": buffer.getvalue(), "path": f"{number}.wav"}, "label": number % 2})
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"audio": stored, "label": datasets.ClassLabel(names=["x", "y"])})
    return datasets.Dataset.from_list(rows, features=features).cast_column(
        "audio", datasets.Audio(sampling_rate=16_000)
    )


def test_audio_columns_streams_and_splits_need_no_torchcodec():
    dataset = audio_column()
    data = load(dataset)
    assert data.label_names == ["x", "y"] and abs(data["train"]["audio"][0]["length"] - 0.3 * RATE) < 5
    streamed = load(dataset.to_iterable_dataset(), max_examples=15)
    assert sum(streamed.report["rows"][name] for name in ("train", "validation", "test")) == 15
    parted = load(datasets.DatasetDict({"train": dataset.select(range(12)), "test": dataset.select(range(12, 20))}))
    assert len(parted["test"]) == 8


def test_arrays_need_their_rate():
    rows = [
        {"audio": {"array": sounds.voice(n, 0.3).tolist(), "sampling_rate": RATE}, "label": "ab"[n % 2]}
        for n in range(12)
    ]
    data = load(rows)
    assert data["train"]["audio"][0]["length"] == round(0.3 * RATE)
    with pytest.raises(DataError, match="rate is not known"):
        load([{"audio": row["audio"]["array"], "label": row["label"]} for row in rows])
    with pytest.raises(DataError, match="needs its rate"):
        Audio().samples({"array": np.zeros(10)})


def test_copies_in_another_format_do_not_leak_into_the_pool(tmp_path):
    root = folder(tmp_path / "train", count=20)
    test = [write(tmp_path / "test" / "0a" / "copy.flac", soundfile.read(root / "0a" / "00.wav", dtype="int16")[0])]
    test += [write(tmp_path / "test" / "1b" / f"t{n}.wav", sounds.voice(50 + n, 0.4)) for n in range(3)]
    data = load(tmp_path, validation_fraction=0)
    assert [(leak["split"], leak["exact"]) for leak in data.report["leaks"]] == [("train", 1)]
    assert "0a/00.wav" not in {Path(path).name for path in data["train"]["path"]}


def test_transcripts_keep_recordings_whole(tmp_path):
    rows = [
        {"path": str(write(tmp_path / f"{n}.wav", sounds.voice(n, 1.2))), "transcript": f"word {n}"} for n in range(20)
    ]
    data = load(table(tmp_path / "t.csv", rows), label_kind="transcript", max_seconds=0.5)
    assert data.label_kind == "transcript" and data["train"]["label"][0].startswith("word")
    assert {value["length"] for value in data["train"]["audio"]} == {round(1.2 * RATE)}


def test_identities_of_test_are_others(tmp_path):
    rows = [
        {"path": str(write(tmp_path / f"{n}.wav", sounds.voice(n, 0.3))), "speaker": f"s{n % 8}"} for n in range(40)
    ]
    data = load(table(tmp_path / "t.csv", rows), label_column="speaker", label_kind="identity")
    sides = [set(data[split]["label"]) for split in ("train", "validation", "test")]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_impossible_options_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="max_seconds"):
        load(folder(tmp_path / "data"), max_seconds=0.05)
    with pytest.raises(DataError, match="max_second'.*max_seconds"):
        load(tmp_path / "data", max_second=3)


def test_pieces_are_equal_and_lose_nothing():
    recipe = store.Recipe(RATE, 0.5, 0.1, -70, 0.05)
    samples = np.arange(RATE * 2 + 3, dtype=np.float32)
    pieces = list(store.pieces(samples, recipe))
    assert len(pieces) == 5 and max(len(p) for _, p in pieces) - min(len(p) for _, p in pieces) <= 1
    np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces]), samples)


def test_an_interrupted_store_leaves_nothing_behind(tmp_path, monkeypatch):
    source = folder(tmp_path / "data")
    real, calls = store.content_digest, []

    def fails_later(samples):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(samples)

    monkeypatch.setattr(store, "content_digest", fails_later)
    with pytest.raises(KeyboardInterrupt):
        load(source)
    assert list((tmp_path / "cache").rglob("*.f32")) == [] and list((tmp_path / "cache").rglob("*.tmp")) == []
    monkeypatch.setattr(store, "content_digest", real)
    assert len(load(source)["train"])


@pytest.mark.parametrize("column", ["end", "duration"])
def test_an_end_of_minus_one_is_the_end_of_the_file(tmp_path, column):
    root = folder(tmp_path / "d")
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.wav"))
    rows = [{"file": file, "start": 0.1, column: -1, "label": ("low", "high")[n % 2]} for n, file in enumerate(files)]
    data = load(table(root / "list.csv", rows).parent)
    plain = load(table(root / "list.csv", [{**row, column: ""} for row in rows]).parent)
    lengths, wanted = (
        sorted(row["audio"]["length"] for split in ("train", "validation", "test") for row in one[split])
        for one in (data, plain)
    )
    assert lengths == wanted and any(f"{len(files)} parts" in text for text in data.report["warnings"])


def _calls(root, channels, repeated):
    rows = []
    for number in range(12):
        write(root / f"call{number}.wav", np.stack([sounds.voice(number, 0.4), sounds.voice(number + 50, 0.4)], 1))
        sides = channels if repeated else [channels[number % 2]]
        rows += [{"path": f"call{number}.wav", "channel": side, "label": "ab"[number % 2]} for side in sides]
    return table(root / "calls.csv", rows)


@pytest.mark.parametrize("channels", [(0, 1), ("left", "right"), ("A", "B")])
def test_a_column_of_channels_is_told(tmp_path, channels):
    with pytest.raises(DataError, match="channel"):
        load(_calls(tmp_path / "twice", channels, repeated=True))
    data = load(_calls(tmp_path / "once", channels, repeated=False))
    assert any("'channel'" in text for text in data.report["warnings"])


@pytest.mark.parametrize("shape", ["0:0{:.2f}", "{:.2f}"])
def test_columns_that_say_the_part_are_used(tmp_path, shape):
    rows = []
    for number in range(12):
        write(tmp_path / f"{number}.wav", sounds.voice(number, 1.0))
        rows.append(
            {"path": f"{number}.wav", "start": shape.format(0.1), "end": shape.format(0.7), "label": "ab"[number % 2]}
        )
    assert load(table(tmp_path / "parts.csv", rows)).report["ignored_columns"] == []
