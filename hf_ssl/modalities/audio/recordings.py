"""One recording from wherever it lies → mono float32 samples at one rate, or the reason why it cannot be used."""

from __future__ import annotations

import importlib.util
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError, require
from hf_ssl.core.textfiles import nature
from hf_ssl.modalities.audio.headers import Unusable, mended_sizes, wrong_sizes

if TYPE_CHECKING:
    import soundfile

    from hf_ssl.modalities.audio.options import AudioOptions

# Below 4 kHz nothing above 2 kHz is left: no speech model was trained on that, and a header that says so is damaged.
RATES = (4_000, 768_000)
BLOCK_SECONDS = 30.0
# Power of the channels' mean over the mean of their powers: 1 for equal channels, 1/2 for one channel alone or for
# independent ones, 0 for channels in opposite phase. Below this the mean would take speech away.
CANCELLING = 0.25
COARSE = ("PCM_U8", "PCM_S8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "DPCM_8", "VOX_ADPCM")
"""Steps so coarse that the top of any wave is a plateau; only one at full scale is clipped."""
_BY_FFMPEG = (b"\x1aE\xdf\xa3", b"#!AMR", b"0&\xb2u", b"\xff\xf1", b"\xff\xf9", b"MAC ", b"wvpk")
"""How Matroska (webm), AMR, WMA, AAC, APE and WavPack begin."""
BEYOND = 0.5  # seconds that a part may end after its recording, by rounding


def read(
    source: object,
    rate: int,
    start: float | None = None,
    end: float | None = None,
    max_clipped: float = 1.0,
    unit: str = "s",
    full_scale: float = 1.0,
    told: list[str] | None = None,
) -> np.ndarray:
    """Decode, mix down, cut, resample.

    Args:
        source: path, `{"path", "bytes"}` (an undecoded `datasets.Audio` value), `{"array", "sampling_rate"}`, or an array
            that already is mono at `rate`.
        rate: wanted samples per second.
        start, end: part of the recording.
        unit: of `start` and `end`: `"s"`, or `"samples"` at the recording's own rate.
        full_scale: value of the loudest sample that a file of floating-point numbers can hold.
        max_clipped: largest share of samples on plateaus at the limit; looked for before resampling rounds them off.
        told: gets `longer` where a file's header declares less sound than the file holds, and all of it was read; `mixed` where there are
            several channels, `narrow` where the file's own rate is lower than the wanted one.

    Returns:
        float32 `(samples,)`.

    Raises:
        Unusable: the file is missing, empty, damaged, clipped, or has an impossible rate.
    """
    if isinstance(source, np.ndarray):
        return _not_clipped(_cut(_mono(source) / full_scale, rate, start, end), max_clipped)
    if isinstance(source, Mapping) and source.get("array") is not None:
        return _from_array(source, rate, start, end, max_clipped)
    part = _Part(start, end, unit)
    if isinstance(source, Mapping):
        content, name = source.get("bytes"), source.get("path")
        if content is not None:
            return _from_file(mended_sizes(content, told), rate, part, max_clipped, full_scale, told)
        source = name
    if not isinstance(source, (str, Path)):
        raise Unusable(f"no audio but {type(source).__name__}")
    path = Path(source)
    if not path.is_file():
        command = isinstance(source, str) and source.rstrip().endswith("|")
        raise Unusable("a command, which is not run; write its sound to a file" if command else "no such file")
    if path.stat().st_size == 0:
        raise Unusable("empty file")
    with path.open("rb") as stream:
        wrong = wrong_sizes(stream, path.stat().st_size)
    mended = mended_sizes(path.read_bytes(), told) if wrong else path
    return _from_file(mended, rate, part, max_clipped, full_scale, told)


@dataclass(frozen=True)
class _Part:
    """Part of a recording: `start` and `end` in `unit`."""

    start: float | None
    end: float | None
    unit: str

    def samples(self, rate: int, frames: int) -> tuple[int, int]:
        """First and last + 1 sample.

        Raises:
            Unusable: nothing is there, or the part ends after the recording.
        """
        scale = 1 if self.unit == "samples" else rate
        first = round((self.start or 0.0) * scale)
        last = frames if self.end is None else round(self.end * scale)
        if last > frames + BEYOND * rate or first > frames:
            raise Unusable(
                f"part beyond the end: to {last / rate:g} s of {frames / rate:g} s, by its start, end or duration"
            )
        last = min(frames, last)
        if frames == 0 or last <= first:
            raise Unusable(
                "no samples" if frames == 0 else f"nothing between {first / rate:g} s and {last / rate:g} s"
            )
        return first, last


def _from_array(
    source: Mapping[str, Any], rate: int, start: float | None, end: float | None, max_clipped: float
) -> np.ndarray:
    own_rate = source.get("sampling_rate")
    if own_rate is None:
        raise DataError('An array of samples needs its rate: {"array": samples, "sampling_rate": 16000}.')
    samples = _cut(_mono(np.asarray(source["array"], dtype=np.float32)), _checked_rate(int(own_rate)), start, end)
    return resample(_not_clipped(samples, max_clipped), int(own_rate), rate)


def _from_file(
    file: Path | io.BytesIO, rate: int, part: _Part, max_clipped: float, full_scale: float, told: list[str] | None
) -> np.ndarray:
    soundfile = require("soundfile", "audio")
    try:
        with soundfile.SoundFile(file) as stream:
            own_rate = _checked_rate(stream.samplerate)
            if told is not None:
                told += ["mixed"] * (stream.channels > 1) + ["narrow"] * (own_rate < rate)
            first, last = part.samples(own_rate, stream.frames)
            floating = stream.subtype in ("FLOAT", "DOUBLE")
            coarse = stream.subtype in COARSE
            channel = _loudest_if_cancelling(stream, first, last)
            resampler, clipped, parts = Resampler(own_rate, rate), 0.0, []
            for block in _blocks(stream, first, last):
                if floating:
                    block = _in_range(block, full_scale)
                mono = block.mean(axis=1) if channel is None else block[:, channel]
                clipped += 0.0 if coarse and np.abs(mono).max(initial=0.0) < 0.97 else clipped_share(mono) * len(mono)
                parts.append(resampler(mono))
            parts.append(resampler.rest())
    except soundfile.LibsndfileError as error:
        if (samples := _by_torchcodec(file, rate, part, max_clipped)) is not None:
            return samples
        if what := _nature(file):
            raise Unusable(f"not readable as audio: {what}") from error
        why = _first_line(error)
        if "ormat not" in str(error):
            why += "; convert it: ffmpeg -i FILE FILE.wav"
            why += "" if has_torchcodec() else ", or let FFmpeg read it: pip install torchcodec"
        raise Unusable(f"not readable as audio: {why}") from error
    except (OSError, RuntimeError, EOFError) as error:
        raise Unusable(f"not readable: {_first_line(error)}") from error
    _check_clipped(clipped / (last - first), max_clipped)
    return np.concatenate(parts).astype(np.float32, copy=False)


def _by_torchcodec(file: Path | io.BytesIO, rate: int, part: _Part, max_clipped: float) -> np.ndarray | None:
    """What libsndfile does not know (m4a, webm, the sound of a video), by FFmpeg; None: that is not installed, or it is no sound.

    Raises:
        Unusable: as `read`; or torchcodec does not load.
    """
    head = _head(file)
    if not has_torchcodec() or not (head[4:8] == b"ftyp" or head.startswith(_BY_FFMPEG)):
        return None
    try:
        from torchcodec.decoders import AudioDecoder
    except (ImportError, RuntimeError, OSError) as error:
        why = f"torchcodec does not load: {_first_line(error)}; does it find FFmpeg's libraries?"
        raise Unusable(f"not readable as audio: {why}") from error
    try:
        found = AudioDecoder(file.read_bytes() if isinstance(file, Path) else file.getvalue()).get_all_samples()
    except (RuntimeError, ValueError):
        return None
    own_rate, samples = _checked_rate(int(found.sample_rate)), _mono(found.data.numpy())
    first, last = part.samples(own_rate, len(samples))
    return resample(_not_clipped(samples[first:last], max_clipped), own_rate, rate)


def has_torchcodec() -> bool:
    """Whether it is installed; nothing is imported."""
    return importlib.util.find_spec("torchcodec") is not None


def _head(file: Path | io.BytesIO) -> bytes:
    """The first bytes; none where it cannot be opened."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:512]
    try:
        with file.open("rb") as stream:
            return stream.read(512)
    except OSError:
        return b""


def _nature(file: Path | io.BytesIO) -> str | None:
    head = _head(file)
    return None if head[4:8] == b"ftyp" else nature(head)


def _in_range(block: np.ndarray, full_scale: float) -> np.ndarray:
    """Samples of a file of floating-point numbers, whose scale is the writer's affair."""
    peak = float(np.nanmax(np.abs(block), initial=0.0)) if np.isfinite(block).any() else 0.0
    if peak > 2 * full_scale:
        raise Unusable(f"out of range: samples reach {peak:,.0f} where full scale is {full_scale:g}")
    return block / np.float32(full_scale) if full_scale != 1.0 else block


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


def _blocks(stream: soundfile.SoundFile, first: int, last: int) -> Iterator[np.ndarray]:
    """Float32 `(samples, channels)` blocks: an hour of stereo never lies in memory at its own rate."""
    stream.seek(first)
    left, size = last - first, int(BLOCK_SECONDS * stream.samplerate)
    while left > 0:
        block = stream.read(min(size, left), dtype="float32", always_2d=True)
        if not len(block):
            return  # a header that promises more than the file holds
        left -= len(block)
        yield block


def _loudest_if_cancelling(stream: soundfile.SoundFile, first: int, last: int) -> int | None:
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


def hint(reason: str, options: AudioOptions) -> str:
    """The option that keeps recordings which are unusable for this reason; empty where there is none.

    Args:
        reason: message of an `Unusable`, or of `fault`.
        options: `hf_ssl.modalities.audio.options.AudioOptions`.
    """
    parts = "time_unit='ms', 'us', 'min' or 'samples' if start and end are no seconds"
    hints = {
        "shorter than": f"min_seconds=... (now {options.min_seconds:g}) keeps shorter ones",
        "silence": f"silence_db=... (now {options.silence_db:g}) keeps more silent ones",
        "clipped": f"max_clipped=... (now {options.max_clipped:g}) keeps clipped ones",
        "nothing between": f"{parts}; start_column=... and end_column=... if these are other columns",
        "part beyond": f"{parts}; duration_column=... if it is no end; ignore_columns=[...] with both if every file is its part already",
        "out of range": f"full_scale={_scale_of(reason)} if samples are whole numbers",
        "no such file": "audio_root=... says where relative paths begin",
    }
    return next((text for start, text in hints.items() if reason.startswith(start)), "")


def _scale_of(reason: str) -> int:
    """The full scale of whole numbers that reach as far as the reason says: of 16, 24 or 32 bits."""
    found = re.search(r"reach ([\d,]+)", reason)
    peak = int(found[1].replace(",", "")) if found else 0
    return next((1 << bits for bits in (15, 23, 31) if peak <= 1 << bits), 1 << 31)


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


def preview(samples: np.ndarray, rate: int, bars: int = 24) -> str:
    """`0.52 s, -12 dB ▁▃▇█`: length, root mean square of full scale, and loudness over time."""
    level = 10 * math.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-20))
    parts = [float(np.abs(part).max(initial=0.0)) for part in np.array_split(samples, bars)]
    top = max(max(parts), 1e-9)
    shown = "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * part / top))] for part in parts)
    return f"{len(samples) / rate:.2f} s, {level:.0f} dB {shown}"
