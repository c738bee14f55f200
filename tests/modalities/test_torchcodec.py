"""Recordings that libsndfile does not know are read by torchcodec, where it is installed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

import sounds
from hf_ssl.data import load_data
from hf_ssl.modalities.audio import recordings
from hf_ssl.modalities.audio.headers import Unusable

soundfile = pytest.importorskip("soundfile", reason='needs the audio extra: pip install "hf_ssl[audio]"')
M4A = b"\0\0\0\x20ftypM4A "


class Decoder:
    """Stereo at 44.1 kHz: the last byte of the file, in thirds, for one second."""

    def __init__(self, content: bytes) -> None:
        if content.endswith(b"broken"):
            raise RuntimeError("no sound in it")
        self.pitch = 100 * content[-1]

    def get_all_samples(self) -> SimpleNamespace:
        wave = torch.sin(2 * torch.pi * self.pitch * torch.arange(44_100) / 44_100)
        return SimpleNamespace(data=torch.stack([0.5 * wave, 0.1 * wave]), sample_rate=44_100)


@pytest.fixture
def installed(monkeypatch) -> ModuleType:
    for name in ("torchcodec", "torchcodec.decoders"):
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    module.AudioDecoder = module.VideoDecoder = Decoder  # type: ignore[attr-defined]
    return module


def test_a_file_of_ffmpegs_kinds_is_mixed_down_cut_and_resampled(installed, tmp_path):
    path = tmp_path / "clip.m4a"
    path.write_bytes(M4A + bytes([5]))
    for source in (path, {"path": "clip.m4a", "bytes": path.read_bytes()}):
        whole = recordings.read(source, 16_000)
        assert (
            whole.dtype == np.float32 and len(whole) == 16_000 and np.abs(whole).max() == pytest.approx(0.3, abs=0.01)
        )
        assert np.abs(np.fft.rfft(whole)).argmax() == 500
        assert len(recordings.read(source, 16_000, start=0.25, end=0.75)) == 8_000
    with pytest.raises(Unusable, match="beyond the end"):
        recordings.read(path, 16_000, start=0.5, end=9.0)


def test_what_is_no_sound_or_belongs_to_libsndfile_is_refused_as_ever(installed, tmp_path):
    (tmp_path / "silent.webm").write_bytes(b"\x1aE\xdf\xa3broken")
    (tmp_path / "damaged.wav").write_bytes(b"RIFF\x20\0\0\0WAVEjunk" + bytes([5]))
    for name in ("silent.webm", "damaged.wav"):
        with pytest.raises(Unusable, match="not readable as audio"):
            recordings.read(tmp_path / name, 16_000)


def test_without_ffmpegs_libraries_the_reason_says_so(installed, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    (tmp_path / "clip.m4a").write_bytes(M4A + bytes([5]))
    with pytest.raises(Unusable, match="FFmpeg's libraries"):
        recordings.read(tmp_path / "clip.m4a", 16_000)


def test_files_that_were_left_out_are_read_once_it_is_installed(request, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(10):
        soundfile.write(folder / f"{number}.wav", sounds.voice(number, 0.4), 16_000)
    (folder / "clip.m4a").write_bytes(M4A + bytes([5]))
    if importlib.util.find_spec("torchcodec") is None:
        assert len(load_data(folder, "audio", verbose=False)["unlabeled"]) == 10
    request.getfixturevalue("installed")
    assert len(load_data(folder, "audio", verbose=False)["unlabeled"]) == 11


@pytest.mark.parametrize("suffix", ["m4a", "mka", "mp4"])
def test_the_real_one_gives_back_what_was_written(tmp_path, suffix):
    try:
        from torchcodec.encoders import AudioEncoder
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"needs torchcodec and FFmpeg's libraries: {str(error).splitlines()[0]}")
    wave, path = sounds.tone(440.0, 1.0), tmp_path / f"tone.{suffix}"
    AudioEncoder(torch.from_numpy(wave)[None], sample_rate=16_000).to_file(str(path))
    found = recordings.read(Path(path), 16_000)
    assert len(found) == pytest.approx(16_000, abs=2_100), "codecs fill their last frame"
    middle = found[4_000:12_000] * np.hanning(8_000)
    assert np.abs(np.fft.rfft(middle)).argmax() * 2 == 440
    assert np.square(found[4_000:12_000]).mean() == pytest.approx(np.square(wave[4_000:12_000]).mean(), rel=0.1)
