"""Spectrograms that are computed where the waves are, against the extractors of transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import sounds
import tiny
from hf_ssl.modalities.audio import backbones, spectra
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.objectives.simclr import SimCLR

RATE = 16_000
EXTRACTORS = {
    "whisper": transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2),
    "whisper of 128 bands": transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=1),
    "whisper, odd hop": transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2, hop_length=151),
    "ast": transformers.ASTFeatureExtractor(max_length=128),
    "ast of few bands, plain": transformers.ASTFeatureExtractor(max_length=200, num_mel_bins=64, do_normalize=False),
}


def waves() -> list[np.ndarray]:
    """A voice, a tone, silence, one longer than any window, one of 30 ms, one shorter than a window of 25 ms, one that is loud."""
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    return [
        sounds.voice(0, 0.7), sounds.tone(440.0, 1.0), np.zeros(8000, np.float32), sounds.voice(1, 3.1), noise[:480], noise[:300],
        3 * noise,
    ]  # fmt: skip


def together(clips: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = backbones.padded(clips)
    return batch["input_values"], batch["attention_mask"].bool()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_they_are_those_of_the_extractor(name: str) -> None:
    processor, clips = EXTRACTORS[name], waves()
    assert spectra.are_known(processor)
    expected, found = backbones.inputs(processor, clips, RATE), spectra.made(processor, *together(clips))
    assert found.keys() == expected.keys()
    for part, value in expected.items():
        assert found[part].shape == value.shape == spectra.shapes(processor, len(clips))[part], part
        assert found[part].dtype == value.dtype
        torch.testing.assert_close(found[part], value, rtol=0, atol=0 if part == "attention_mask" else 2e-3)
    key = next(iter(expected))
    assert float((found[key] - expected[key]).abs().mean()) < 2e-5


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_clip_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    processor, clips = EXTRACTORS[name], waves()
    whole = spectra.made(processor, *together(clips))
    for row, clip in enumerate(clips):
        for part, value in spectra.made(processor, *together([clip])).items():
            torch.testing.assert_close(value[0], whole[part][row], rtol=0, atol=1e-4)


def test_what_only_the_extractor_knows_is_left_to_it() -> None:
    dithered = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2, dither=0.1)
    for processor in (dithered, transformers.SeamlessM4TFeatureExtractor()):
        assert not spectra.are_known(processor)
        assert not AudioEncoder(Audio(), tiny.tiny_model("whisper"), processor).defers
    slow = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2, sampling_rate=8000)
    assert not AudioEncoder(Audio(), tiny.tiny_model("whisper"), slow).defers, "sounds would have to be resampled"


@pytest.mark.parametrize("name", ["whisper", "ast"])
def test_views_that_are_made_later_are_those_of_the_host(name: str) -> None:
    encoder = AudioEncoder(Audio(Audio.Config()), tiny.tiny_model("whisper"), EXTRACTORS[name])
    clips = [sounds.voice(0, 0.5), sounds.tone(300.0, 0.31)]

    def rngs() -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in range(2)]

    host = encoder.views(clips, rngs(), SimCLR.views)[0]
    with encoder.deferring() as later:
        drawn = encoder.views(clips, rngs(), SimCLR.views)[0]
        assert all(value.is_meta and value.shape == host[part].shape for part, value in drawn.items())
        sent = later.packed(drawn)
    assert sent is not None
    made = encoder.rendered(sent)
    assert made.keys() == host.keys()
    for part, value in host.items():
        torch.testing.assert_close(made[part], value, rtol=0, atol=5e-3)
    key = next(iter(host))
    assert float((made[key] - host[key]).abs().mean()) < 1e-4
