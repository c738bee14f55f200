"""One recording from wherever it lies → mono float32 samples at one rate, or the reason why it cannot be used."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError, require

# Below 4 kHz nothing above 2 kHz is left: no speech model was trained on that, and a header that says so is damaged.
RATES = (4_000, 768_000)
BLOCK_SECONDS = 30.0
# Power of the channels' mean over the mean of their powers: 1 for equal channels, 1/2 for one channel alone or for
# independent ones, 0 for channels in opposite phase. Below this the mean would take speech away.
CANCELLING = 0.25


class Unusable(ValueError):
    """A recording that goes into quarantine; the message is the reason."""


def read(
    source: Any, rate: int, start: float | None = None, end: float | None = None, max_clipped: float = 1.0
) -> np.ndarray:
    """Decode, mix down, cut, resample.

    Args:
        source: path, `{"path", "bytes"}` (an undecoded `datasets.Audio` value), `{"array", "sampling_rate"}`, or an array
            that already is mono at `rate`.
        rate: wanted samples per second.
        start, end: part of the recording, in seconds.
        max_clipped: largest share of samples on plateaus at the limit; looked for before resampling rounds them off.

    Returns:
        float32 `(samples,)`.

    Raises:
        Unusable: the file is missing, empty, damaged, clipped, or has an impossible rate.
    """
    if isinstance(source, np.ndarray):
        return _not_clipped(_cut(_mono(source), rate, start, end), max_clipped)
    if isinstance(source, Mapping) and source.get("array") is not None:
        return _from_array(source, rate, start, end, max_clipped)
    if isinstance(source, Mapping):
        content, name = source.get("bytes"), source.get("path")
        if content is not None:
            return _from_file(io.BytesIO(content), rate, start, end, max_clipped)
        source = name
    if not isinstance(source, (str, Path)):
        raise Unusable(f"no audio but {type(source).__name__}")
    path = Path(source)
    if not path.is_file():
        raise Unusable("no such file")
    if path.stat().st_size == 0:
        raise Unusable("empty file")
    return _from_file(path, rate, start, end, max_clipped)


def _from_array(
    source: Mapping[str, Any], rate: int, start: float | None, end: float | None, max_clipped: float
) -> np.ndarray:
    own_rate = source.get("sampling_rate")
    if own_rate is None:
        raise DataError('An array of samples needs its rate: {"array": samples, "sampling_rate": 16000}.')
    samples = _cut(_mono(np.asarray(source["array"], dtype=np.float32)), _checked_rate(int(own_rate)), start, end)
    return resample(_not_clipped(samples, max_clipped), int(own_rate), rate)


def _from_file(file: Any, rate: int, start: float | None, end: float | None, max_clipped: float) -> np.ndarray:
    soundfile = require("soundfile", "audio")
    try:
        with soundfile.SoundFile(file) as stream:
            own_rate = _checked_rate(stream.samplerate)
            first = round((start or 0.0) * own_rate)
            last = stream.frames if end is None else min(stream.frames, round(end * own_rate))
            if stream.frames == 0 or last <= first:
                raise Unusable("no samples" if stream.frames == 0 else f"nothing between {start} s and {end} s")
            channel = _loudest_if_cancelling(stream, first, last)
            resampler, clipped, parts = Resampler(own_rate, rate), 0.0, []
            for block in _blocks(stream, first, last):
                mono = block.mean(axis=1) if channel is None else block[:, channel]
                clipped += clipped_share(mono) * len(mono)
                parts.append(resampler(mono))
            parts.append(resampler.rest())
    except soundfile.LibsndfileError as error:
        raise Unusable(f"not readable as audio: {_first_line(error)}") from error
    except (OSError, RuntimeError, EOFError) as error:
        raise Unusable(f"not readable: {_first_line(error)}") from error
    _check_clipped(clipped / (last - first), max_clipped)
    return np.concatenate(parts).astype(np.float32, copy=False)


def _not_clipped(samples: np.ndarray, max_clipped: float) -> np.ndarray:
    _check_clipped(clipped_share(samples), max_clipped)
    return samples


def _check_clipped(share: float, max_clipped: float) -> None:
    if share > max_clipped:
        raise Unusable(f"clipped: {share:.0%} of the samples are at the limit")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(": ")[2][:150]


def _checked_rate(rate: int) -> int:
    if not RATES[0] <= rate <= RATES[1]:
        raise Unusable(f"sampling rate {rate} Hz is not one of sound ({RATES[0]:,} to {RATES[1]:,} Hz)")
    return rate


def _blocks(stream: Any, first: int, last: int) -> Iterator[np.ndarray]:
    """Float32 `(samples, channels)` blocks: an hour of stereo never lies in memory at its own rate."""
    stream.seek(first)
    left, size = last - first, int(BLOCK_SECONDS * stream.samplerate)
    while left > 0:
        block = stream.read(min(size, left), dtype="float32", always_2d=True)
        if not len(block):
            return  # a header that promises more than the file holds
        left -= len(block)
        yield block


def _loudest_if_cancelling(stream: Any, first: int, last: int) -> int | None:
    if stream.channels == 1:
        return None
    together, alone = 0.0, np.zeros(stream.channels)
    for block in _blocks(stream, first, last):
        together += float(np.square(block.mean(axis=1), dtype=np.float64).sum())
        alone += np.square(block, dtype=np.float64).sum(axis=0)
    return int(alone.argmax()) if together < CANCELLING * alone.mean() else None


def _mono(samples: np.ndarray) -> np.ndarray:
    """The channels' mean, or the loudest one when they would cancel; `(samples,)` of `(samples,)`, `(samples,
    channels)` or `(channels, samples)` (there are fewer channels than samples)."""
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim == 1:
        return samples
    if samples.ndim != 2:
        raise Unusable(f"an array of shape {samples.shape} is not a recording")
    by_channel = samples.T if samples.shape[0] > samples.shape[1] else samples
    alone = np.square(by_channel, dtype=np.float64).sum(axis=1)
    mean = by_channel.mean(axis=0)
    cancelling = np.square(mean, dtype=np.float64).sum() < CANCELLING * alone.mean()
    return by_channel[int(alone.argmax())] if cancelling else mean


def _cut(samples: np.ndarray, rate: int, start: float | None, end: float | None) -> np.ndarray:
    first = round((start or 0.0) * rate)
    piece = samples[first : None if end is None else round(end * rate)]
    if not len(piece):
        raise Unusable("no samples" if not len(samples) else f"nothing between {start} s and {end} s")
    return piece


class Resampler:
    """From one rate to another, block by block: soxr where it is installed, else scipy's polyphase filter."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self.rate_in, self.rate_out = rate_in, rate_out
        self._stream: Any = None
        self._kept: list[np.ndarray] = []
        if rate_in != rate_out:
            try:
                import soxr
            except ModuleNotFoundError:
                return
            self._stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """What can be given out after this block, float32 `(samples,)`."""
        block = np.ascontiguousarray(block, dtype=np.float32)
        if self.rate_in == self.rate_out:
            return block
        if self._stream is not None:
            return self._stream.resample_chunk(block)
        self._kept.append(block)  # scipy's filter has no state to carry over a block's end
        return block[:0]

    def rest(self) -> np.ndarray:
        """What the filter still holds."""
        if self.rate_in == self.rate_out:
            return np.zeros(0, dtype=np.float32)
        if self._stream is not None:
            return self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        from scipy.signal import resample_poly

        common = math.gcd(self.rate_in, self.rate_out)
        whole = np.concatenate(self._kept)
        return resample_poly(whole, self.rate_out // common, self.rate_in // common).astype(np.float32)


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """A whole signal at another rate, float32 `(samples,)`."""
    resampler = Resampler(rate_in, rate_out)
    return np.concatenate([resampler(samples), resampler.rest()])


def fault(samples: np.ndarray, rate: int, *, min_seconds: float, silence_db: float) -> str | None:
    """Why a decoded recording is of no use, or None.

    Args:
        samples: float32 `(samples,)`.
        rate: samples per second.
        min_seconds: shortest that is kept.
        silence_db: root mean square, relative to full scale, below which it counts as silence.
    """
    if not len(samples):
        return "no samples"
    if not np.isfinite(samples).all():
        return f"{int((~np.isfinite(samples)).sum()):,} samples are NaN or infinite"
    if len(samples) < min_seconds * rate:
        return f"shorter than {min_seconds:g} s"
    level = 10 * math.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-20))
    return f"silence ({level:.0f} dB)" if level < silence_db else None


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples within a thousandth of the recording's largest or smallest value, where neighbors are too.

    A saturated converter makes plateaus; a pure tone touches its peak for a sample or two and stays far below 5 %.
    """
    if len(samples) < 3 or not np.isfinite(samples).all():
        return 0.0
    top, bottom = float(samples.max()), float(samples.min())
    limit = max(abs(top), abs(bottom))
    if limit < 0.01:  # silence is all plateau
        return 0.0
    at_limit = (samples >= top - 1e-3 * limit) | (samples <= bottom + 1e-3 * limit)
    return float((at_limit[1:-1] & at_limit[:-2] & at_limit[2:]).mean())
