"""Random views of clips stay within the limits that the options set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import sounds
import tiny
from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.audio import views as sound_views
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.objectives.simclr import SimCLR

RATE = 16_000
STILL = sound_views.Views(share=1.0, speed=0.0, noise=200.0, gap=0.0)  # leaves the equalizer alone


def views(wave: np.ndarray, count: int = 20, **limits: float) -> list[np.ndarray]:
    how = dataclasses.replace(STILL, **limits)
    return [sound_views.view(wave, RATE, np.random.default_rng(seed), how) for seed in range(count)]


def test_without_room_for_anything_else_a_view_is_the_clip_through_an_equalizer():
    wave = sounds.voice(0, 0.5)
    before = np.abs(np.fft.rfft(wave))
    loud = before > 0.01 * before.max()
    for seen in views(wave):
        gain = 20 * np.log10(np.abs(np.fft.rfft(seen))[loud] / before[loud])
        assert len(seen) == len(wave) and seen.dtype == np.float32
        assert np.abs(gain).max() <= sound_views.GAIN_DB + 0.1 and gain.std() > 0.1


def test_a_view_holds_at_least_its_share_of_the_clip():
    wave = sounds.voice(0, 0.5)
    lengths = np.array([len(seen) for seen in views(wave, share=0.7)]) / len(wave)
    assert 0.699 <= lengths.min() < 0.85 < lengths.max() <= 1.0


def test_speed_moves_length_and_pitch_together():
    wave = sounds.tone(500.0, 1.0)
    for seen in views(wave, speed=0.2):
        pitch = np.abs(np.fft.rfft(seen * np.hanning(len(seen)), 4 * RATE)).argmax() / 4
        assert 395 <= pitch <= 605
        assert pitch / 500 == pytest.approx(len(wave) / len(seen), rel=0.01)
    lengths = [len(seen) for seen in views(wave, speed=0.2)]
    assert min(lengths) < 0.92 * len(wave) and max(lengths) > 1.08 * len(wave)


def test_noise_is_never_stronger_than_allowed():
    wave = sounds.tone(500.0, 1.0)
    clear, noisy = views(wave), views(wave, noise=15.0)
    ratios = [10 * np.log10((c**2).mean() / ((n - c) ** 2).mean()) for c, n in zip(clear, noisy, strict=True)]
    # The noise is drawn after the equalizer, which is that of `clear`: what differs is the noise alone.
    assert 14.5 <= min(ratios) < 25 and max(ratios) <= 40.5


def test_gaps_are_silent_and_no_longer_than_their_share():
    wave = np.ones(RATE, dtype=np.float32)
    shares = [float((sound_views.gap(wave, np.random.default_rng(seed), 0.3) == 0).mean()) for seed in range(30)]
    assert max(shares) <= 0.3 and np.mean(shares) > 0.1
    assert all(np.all(seen != 0) for seen in views(wave + sounds.voice(0, 1.0), gap=0.0, noise=30.0))


def test_options_reach_the_views_and_a_view_depends_on_its_generator_alone():
    processor = tiny.tiny_processor("wav2vec2")
    wave = sounds.voice(0, 0.5)

    def batch(**options: float):
        modality = Audio(Audio.Config(**options))
        rngs = [np.random.default_rng(seed) for seed in (1, 2)]
        encoder = AudioEncoder(modality, tiny.tiny_model("wav2vec2"), processor)
        return encoder.views([wave, wave], rngs, SimCLR.views)[0]["input_values"].numpy()

    whole = {"view_share": 1.0, "view_speed": 0.0}
    assert batch(**whole).shape == (4, len(wave))
    np.testing.assert_array_equal(batch(), batch())
    noisy, clear = batch(**whole, view_noise=0.0, view_gap=0.0), batch(**whole, view_noise=60.0, view_gap=0.0)
    assert not np.allclose(noisy, clear, atol=0.05)


@pytest.mark.parametrize("limits", [{"share": 0.0}, {"share": 1.2}, {"speed": 1.0}, {"gap": -0.1}])
def test_impossible_limits_are_refused(limits):
    with pytest.raises(ConfigError, match="view_share .* view_speed .* view_gap"):
        dataclasses.replace(STILL, **limits)
