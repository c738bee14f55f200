"""Random views of clips stay within the limits that the options set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

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
    how, rngs = dataclasses.replace(STILL, **limits), [np.random.default_rng(seed) for seed in range(count)]
    places, parts = sound_views.described([len(wave)] * count, RATE, rngs, how, 1)
    made, sound = sound_views.make(
        sound_views.joined([wave] * count, False),
        torch.from_numpy(places),
        torch.from_numpy(parts),
        int(places[..., 2].max()),
    )
    assert not made[~sound].any()
    return [row[there].numpy() for row, there in zip(made, sound, strict=True)]


def test_without_room_for_anything_else_a_view_is_the_clip_through_an_equalizer():
    wave = sounds.voice(0, 0.5)
    wave = wave * np.hanning(len(wave)).astype(np.float32)  # what an equalizer lets sound beyond the ends is cut off
    before = np.abs(np.fft.rfft(wave))
    loud = before > 0.01 * before.max()
    for seen in views(wave):
        gain = 20 * np.log10(np.abs(np.fft.rfft(seen))[loud] / before[loud])
        assert len(seen) == len(wave) and seen.dtype == np.float32
        assert np.abs(gain).max() <= sound_views.GAIN_DB + 0.1 and gain.std() > 0.1


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_an_equalizer_has_its_gains_at_its_bands_and_no_delay(rate):
    gains = np.random.default_rng(0).uniform(-9, 9, (5, sound_views.BANDS))
    taps = sound_views.equalizer(gains, rate)
    frequency = np.fft.rfftfreq(1 << 15, 1 / rate)
    response = np.fft.rfft(np.roll(np.pad(taps, ((0, 0), (0, (1 << 15) - taps.shape[1]))), -(taps.shape[1] // 2), 1))
    found = 20 * np.log10(np.abs(response))
    assert np.abs(np.angle(response)).max() < 1e-6 and np.abs(found).max() <= 9.1
    mels = 2595 * np.log10(1 + frequency / 700)
    bands = [np.abs(mels - band).argmin() for band in np.linspace(0, mels[-1], sound_views.BANDS)]
    assert np.abs(found[:, bands[1:-1]] - gains[:, 1:-1]).max() < 0.8, "corners are rounded"


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
    shares = np.array([float((seen == 0).mean()) for seen in views(wave, count=60, gap=0.3)])
    assert shares.max() <= 0.3 and 20 <= (shares == 0).sum() <= 40 and shares[shares > 0].mean() > 0.1
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


def clips() -> list[np.ndarray]:
    return [sounds.voice(0, 0.5), sounds.tone(300.0, 0.31), sounds.voice(1, 0.8), sounds.tone(900.0, 0.2)]


def test_views_that_are_made_together_are_those_that_are_made_alone():
    """An accelerator makes many at once, of one padded length: batches and their lengths change nothing."""
    how, waves = dataclasses.replace(STILL, share=0.5, speed=0.2, noise=20.0, gap=0.3), clips()

    def made(part: slice, at_once: int) -> list[torch.Tensor]:
        rngs = [np.random.default_rng(seed) for seed in range(len(waves))][part]
        places, parts = sound_views.described([len(wave) for wave in waves[part]], RATE, rngs, how, 2)
        flat = sound_views.joined(waves[part], False)
        rows = [torch.from_numpy(numbers).flatten(0, 1) for numbers in (places, parts)]
        found = []
        for start in range(0, len(rows[0]), at_once):
            several = [row[start : start + at_once].unsqueeze(0) for row in rows]
            longest = int(several[0][..., 2].max()) if at_once == 1 else 20_000
            wave, sound = sound_views.together(flat, *(one.flatten(0, 1) for one in several), longest)
            found += [sound_views.normalized(wave, sound)[row][sound[row]] for row in range(len(wave))]
        return found

    whole = made(slice(0, 4), 8)
    alone = made(slice(0, 4), 1)
    split = [made(slice(0, 3), 2), made(slice(3, 4), 2)]
    again = [*split[0][:3], split[1][0], *split[0][3:], split[1][1]]
    for one, other, third in zip(whole, alone, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)
        torch.testing.assert_close(one, third, rtol=0, atol=2e-5)


def test_transforms_on_a_gpu_have_few_lengths_that_are_hardly_longer():
    lengths = {least: sound_views.fast_length(least, few=True) for least in range(1000, 300_000, 37)}
    assert all(least <= found <= 1.21 * least for least, found in lengths.items()) and len(set(lengths.values())) < 60


def test_samples_of_16_bits_travel_as_such_and_others_as_they_are():
    exact = [np.array([0, 1, -7, 32767, -32767], dtype=np.float32) / 32768, np.array([0.25], dtype=np.float32)]
    found = sound_views.joined(exact, compact=True)
    assert found.dtype == torch.int16 and found.tolist() == [0, 1, -7, 32767, -32767, 8192]
    for other in (1e-6, 1.5, -1.0):
        assert sound_views.joined([*exact, np.array([other], dtype=np.float32)], compact=True).dtype == torch.float32
    how, rngs = dataclasses.replace(STILL, speed=0.1, noise=20.0), [np.random.default_rng(seed) for seed in range(2)]
    waves = [np.round(wave * 20_000) / np.float32(32768) for wave in clips()[:2]]
    numbers = [torch.from_numpy(part) for part in sound_views.described([len(w) for w in waves], RATE, rngs, how, 1)]
    views = [sound_views.make(sound_views.joined(waves, compact), *numbers, 20_000)[0] for compact in (True, False)]
    torch.testing.assert_close(*views, rtol=0, atol=1e-6)


@pytest.mark.parametrize("limits", [{"share": 0.0}, {"share": 1.2}, {"speed": 1.0}, {"gap": -0.1}])
def test_impossible_limits_are_refused(limits):
    with pytest.raises(ConfigError, match="view_share .* view_speed .* view_gap"):
        dataclasses.replace(STILL, **limits)
