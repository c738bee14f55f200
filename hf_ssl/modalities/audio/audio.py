"""Audio: speech and other recordings, of any length, rate and number of channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.by_name import ByName
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.one_column import values_of
from hf_ssl.modalities.audio import recordings, store
from hf_ssl.modalities.audio.headers import Unusable
from hf_ssl.modalities.audio.lists import is_kaldi, locate, name_of, read_kaldi
from hf_ssl.modalities.audio.options import AudioOptions
from hf_ssl.modalities.audio.segments import Spans, contradicted, find_spans, is_time, unit_of
from hf_ssl.modalities.base import Modality

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.audio.encoder import AudioEncoder

RECORDING = "recording"
TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet", ".gz")
SUFFIXES = (
    ".wav",
    ".wave",
    ".flac",
    ".mp3",
    ".ogg",
    ".oga",
    ".opus",
    ".aiff",
    ".aif",
    ".aifc",
    ".au",
    ".w64",
    ".caf",
    ".rf64",
)
UNREAD = (
    ".m4a",
    ".aac",
    ".wma",
    ".amr",
    ".webm",
    ".mp4",
    ".m4b",
    ".mka",
    ".3gp",
    ".mov",
    ".mkv",
    ".avi",
    ".ape",
    ".wv",
)
"""Recordings that libsndfile does not read: torchcodec does where it is installed; else they are met as unusable files, with the
command that converts them, and not passed over."""
_MAGIC = (b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"RF64")


CHANNELS = ("l", "r", "left", "right", "a", "b", "none", "", "links", "rechts")
"""What a column calls channels, beside their numbers."""


class Audio(Modality):
    """Recordings. A value is a piece of a memory-mapped file of mono float32 samples: `{"store", "start", "length",
    "digest"}`. Where a value is asked for, a path, an array at `sampling_rate`, or `{"array", "sampling_rate"}` will do
    too."""

    name = "audio"
    column = "audio"
    aliases = ("audio", "audio_filepath", "audio_path", "audio_file", "wav_path", "wav_file", "wav_filename", "clip_path", "path",
               "file", "file_path", "filepath", "file_name", "filename", "fname", "wav", "clip", "speech", "sound")  # fmt: skip
    suffixes = (*SUFFIXES, *UNREAD)
    default_objective = "masked-spectrogram"
    processor = "audio"
    labeled_class = "AutoModelForAudioClassification"
    pipeline_tag = "audio-classification"
    baseline = "log-mel statistics"
    decodes = True
    tables_name_files = True
    root_option = "audio_root"
    block = 64

    @dataclass
    class Config(AudioOptions):
        """How recordings are read and cut."""

    config: Config

    # -- data side --------------------------------------------------------------------------------------------------

    def read_files(self, files: list[Path], root: Path, quarantine: list[dict[str, str]]) -> datasets.Dataset:
        """Names only; `decode` reads them, whichever way the recordings came in. Lists of Kaldi say what their rows are."""
        import datasets

        lists = [file for file in files if is_kaldi(file)]
        if any(file.name == "wav.scp" for file in lists):
            rows, notes = read_kaldi([file for file in lists if file.name == "wav.scp"], root)
            if not rows:
                raise DataError("wav.scp names no recording: it is empty.")
            self._pending += notes
            return datasets.Dataset.from_dict(rows)
        plain = [file for file in files if file not in lists]
        columns = {
            self.column: [str(file) for file in plain],
            "path": [str(file.relative_to(root)) if file.is_relative_to(root) else file.name for file in plain],
        }
        return datasets.Dataset.from_dict(
            columns, features=datasets.Features({name: datasets.Value("string") for name in columns})
        )

    def stream_file(self, file: Path, root: Path) -> Iterator[dict[str, Any]]:
        """Its name: the block that it comes in is decoded together."""
        yield {self.column: str(file), "path": file.relative_to(root).as_posix()}

    def open_values(self, rows: datasets.Dataset) -> None:
        for value in rows[self.column][:1]:  # all of them lie in one
            store.load(value)

    def canonicalize(self, dataset: datasets.Dataset, folders: Sequence[Path] = ()) -> Any:
        """`datasets.Audio` columns as path and bytes: decoding them there would need torchcodec and FFmpeg."""
        import datasets

        for name, feature in (dataset.features or {}).items():
            if isinstance(feature, datasets.Audio) and feature.decode:
                # A stream encodes what it yields by its features, for which datasets.Audio wants torchcodec as well.
                stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
                streamed = isinstance(dataset, datasets.IterableDataset)
                dataset = dataset.cast_column(name, stored if streamed else datasets.Audio(decode=False))
        return dataset

    def decode(
        self,
        dataset: datasets.Dataset,
        column: str,
        *,
        root: Path | None,
        cache: Path,
        quarantine: list[dict[str, str]],
        whole: bool = False,
    ) -> tuple[datasets.Dataset, list[str]]:
        """Decode every recording once into the cache; rows become pieces of at most `max_seconds`.

        Columns called start and end (or start_time, end_time …), in seconds, say which part of the file a row means.
        Where a recording gives several rows, a column `recording` says which belong together.
        """
        import datasets

        own = self.config
        spans = find_spans(dataset.column_names, own.start_column, own.end_column, own.duration_column, own.time_unit)
        self.consumed |= set(spans.columns)
        by_name = ByName(root)
        sources = store.Sources(lambda: self._sources(dataset, column, root, spans, by_name))
        path, index = store.build(sources, self._recipe(whole), cache)
        quarantine += index.faults
        if not len(index):  # whoever asked says what is wrong with all of them
            return datasets.Dataset.from_dict({self.column: []}), []
        open_ends = sum(
            str(value) in ("-1", "-1.0") for name in (spans.end, spans.length) if name for value in dataset[name]
        )
        told = [f"{open_ends:,} parts end at -1: taken up to the end of their files"] if open_ends else []
        told += [*by_name.notes(), *([spans.note] if spans.note else []), *self._doubts(dataset, column, spans, index)]
        return self._pieces(dataset, column, path, index), [*told, *self._notes(index)]

    def _doubts(self, dataset: datasets.Dataset, column: str, spans: Spans, index: store.Index) -> list[str]:
        """Whole files where the table may mean parts of them: one file in many rows, durations that files do not have.

        Raises:
            DataError: many rows name a file that another row names too, and no column says which part.
        """
        channels = _channel_column(dataset)
        advice = (
            f"column {channels!r} says a channel, which is not read: channels are mixed. Write the channel that is meant into a file of its own"
            if channels
            else ""
        )
        if spans.columns:
            return [*([advice] if channels else []), *contradicted(spans, dataset)]
        notes = []
        values = [name_of(value, row) for row, value in enumerate(dataset[column])]
        again = len(values) - len(set(values))
        if again:
            example = next(name for name, count in Counter(values).items() if count > 1)
            text = (
                f"{again:,} of {len(values):,} rows name a file that another row names too ({example}), and no column "
                f"is known to say which part of it is meant: "
                "start_column=... with end_column=... or duration_column=..."
            )
            if channels and again > max(2, 0.1 * len(values)):
                raise DataError(
                    f"{again:,} of {len(values):,} rows name a file that another row names too ({example}), and {advice}."
                )
            times = [name for name in dataset.column_names if name != column and _may_be_times(dataset, name)]
            if again > max(2, 0.1 * len(values)) and times:
                raise DataError(
                    f"{text}. Columns of numbers: {', '.join(times[:8])}. Where rows do mean whole files, leave those columns out of the table."
                )
            notes.append(text)
        if channels:
            notes.append(advice)
        if spans.unused is not None:
            real: Counter[int] = Counter()
            for row, length in zip(index.row, index.length, strict=True):
                real[row] += length
            said = list(dataset[spans.unused])
            unit = {"ms": 1e3, "us": 1e6, "min": 1 / 60, "samples": float(self.config.sampling_rate)}.get(
                self.config.time_unit or unit_of(spans.unused), 1.0
            )
            off = [
                row for row, length in real.items() if _differs(said[row], unit, length / self.config.sampling_rate)
            ]
            if len(off) > 0.02 * len(real):
                notes.append(
                    f"column {spans.unused!r} without a start is taken for the length of whole files and not used, though "
                    f"{len(off):,} of {len(real):,} files are of "
                    f"another length, such as {values[off[0]]} (duration_column={spans.unused!r} cuts)"
                )
        return notes

    def hint(self, reason: str) -> str:
        """The option that keeps recordings left out for this reason."""
        said = recordings.hint(reason, self.config)
        if reason.startswith("shorter than") and self.consumed and self.config.time_unit is None:
            said += "; or start and end are in another unit: time_unit='s', 'ms', 'min' or 'samples' (frames of 10 ms: write seconds)"
        return said

    def recognizes(self, file: Path) -> bool:
        """Recordings whose name does not say so, and lists of Kaldi."""
        if file.suffix.lower() in TABLES:
            return False
        if is_kaldi(file):
            return True
        try:
            with file.open("rb") as stream:
                head = stream.read(12)
        except OSError:
            return False
        return (
            head.startswith(_MAGIC)
            or head[:4] == b"RIFF"
            and head[8:] == b"WAVE"
            or head[:4] == b"FORM"
            and head[8:11] == b"AIF"
        )

    def _recipe(self, whole: bool) -> store.Recipe:
        own = self.config
        if own.max_seconds <= own.min_seconds or own.sampling_rate < recordings.RATES[0]:
            raise ConfigError(
                f"max_seconds ({own.max_seconds}) must exceed min_seconds ({own.min_seconds}), and sampling_rate "
                f"({own.sampling_rate}) be {recordings.RATES[0]} or more."
            )
        limits = (own.min_seconds, own.silence_db, own.max_clipped)
        if own.full_scale <= 0:
            raise ConfigError(f"full_scale is the value of the loudest sample, above 0; found {own.full_scale}.")
        return store.Recipe(own.sampling_rate, own.max_seconds, *limits, whole, own.full_scale)

    def _sources(
        self, dataset: datasets.Dataset, column: str, root: Path | None, spans: Spans, by_name: ByName
    ) -> Iterator[store.Source]:
        row = -1
        for batch in dataset.select_columns(list(dict.fromkeys([column, *spans.columns]))).iter(
            batch_size=store.AHEAD
        ):
            for place, value in enumerate(batch[column]):
                row, name = row + 1, name_of(value, row + 1)
                start, end, unit = spans.seconds({name: batch[name][place] for name in spans.columns}, row)
                located = locate(value, root, self.config.audio_root, by_name)
                if root is not None and Path(name).is_relative_to(root):
                    name = Path(name).relative_to(root).as_posix()
                yield store.Source(row, located, name, start, end, unit)

    def _pieces(self, dataset: datasets.Dataset, column: str, path: Path, index: store.Index) -> datasets.Dataset:
        import datasets

        content = [
            {"store": str(path), "start": start, "length": length, "digest": digest}
            for start, length, digest in zip(index.start, index.length, index.digest, strict=True)
        ]
        # Removed only after the new column is there: a table without columns forgets how many rows it has.
        old = {name: f"{name} before decoding" for name in {column, self.column} if name in dataset.column_names}
        pieces = dataset.rename_columns(old).select(index.row)
        feature = {
            "store": datasets.Value("string"), "start": datasets.Value("int64"), "length": datasets.Value("int64"),
            "digest": datasets.Value("string"),
        }  # fmt: skip
        pieces = pieces.add_column(self.column, content, feature=feature).remove_columns(list(old.values()))
        text = datasets.Value("string")
        if "path" not in pieces.column_names:
            pieces = pieces.add_column("path", index.name, feature=text)
        if len(set(index.name)) < len(index.name) and RECORDING not in pieces.column_names:
            pieces = pieces.add_column(RECORDING, index.name, feature=text)
        return pieces

    def _notes(self, index: store.Index) -> list[str]:
        cut = sum(count > 1 for count in Counter(index.row).values())
        text = f"{cut:,} recordings longer than {self.config.max_seconds:g} s were cut: {len(index):,} pieces of {len(set(index.row)):,} rows"
        notes = [*([text] if cut else []), *index.some_narrow()]
        if index.longer:
            notes.append(
                f"{len(index.longer):,} WAV files declare less sound than they hold ({index.longer[0]}): read up to their ends. "
                "If what follows is no sound, write them anew: ffmpeg -i FILE NEW.wav"
            )
        if index.mixed:
            notes.append(
                f"{len(set(index.mixed)):,} recordings have several channels ({index.mixed[0]}), which are mixed to one. For one of them alone: "
                "sox FILE NEW.wav remix 1"
            )
        if index.silent_pieces:
            notes.append(f"{index.silent_pieces:,} silent pieces of long recordings were left out")
        return notes

    def validate(self, value: object) -> str | None:
        return None if isinstance(value, dict) and "store" in value else f"no decoded audio but {type(value).__name__}"

    def content_key(self, value: object) -> str:
        """The sound itself, as 16-bit samples at `sampling_rate`; format, name and container do not matter."""
        if isinstance(value, dict) and "digest" in value:
            return str(value["digest"])
        return store.content_digest(self.samples(value))

    def shingles(self, value: object) -> set[str] | None:
        return None

    def describe(self, dataset: datasets.Dataset) -> dict[str, Any]:
        """Seconds per piece: median, 95th percentile, longest; hours in all."""
        seconds = np.array([value["length"] for value in dataset[self.column]] or [0]) / self.config.sampling_rate
        numbers = {"median": np.median(seconds), "p95": np.percentile(seconds, 95), "max": seconds.max()}
        described = {f"seconds_{name}": round(float(value), 2) for name, value in numbers.items()}
        return {**described, "hours": round(float(seconds.sum()) / 3600, 3)}

    def traits(self, value: object) -> dict[str, str]:
        return {"length": f"{self.length(value) / self.config.sampling_rate:g} seconds"}

    def preview(self, value: object) -> tuple[str, bytes | None]:
        return recordings.preview(self.samples(value), self.config.sampling_rate), None

    def samples(self, value: object) -> np.ndarray:
        """Mono float32 samples at `sampling_rate` of a prepared value, a path, or an array; `(samples,)`."""
        if isinstance(value, dict) and "store" in value:
            return store.load(value)
        try:
            return recordings.read(value, self.config.sampling_rate)
        except Unusable as error:
            raise DataError(f"{name_of(value, 0)}: {error}.") from error

    def length(self, value: object) -> int:
        """Number of samples, without reading them where they are prepared."""
        return value["length"] if isinstance(value, dict) and "store" in value else len(self.samples(value))

    def baseline_features(self, values: Sequence[Any]) -> np.ndarray:
        """Mean and standard deviation over time of 80 log-mel energies, `(values, 160)`."""
        from hf_ssl.modalities.audio.spectrogram import log_mel_statistics

        return np.stack([log_mel_statistics(self.samples(value), self.config.sampling_rate) for value in values])

    # -- models of this kind ----------------------------------------------------------------------------------------

    @classmethod
    def encoder_class(cls) -> type[AudioEncoder]:
        from hf_ssl.modalities.audio.encoder import AudioEncoder

        return AudioEncoder

    def head_options(self, labels: int) -> dict[str, Any]:
        return {"use_weighted_layer_sum": True} if self.config.layer_sum else {}


def _may_be_times(dataset: datasets.Dataset, name: str) -> bool:
    """Whether a column holds numbers, or text that is some."""
    head = [value for value in values_of(dataset, name, 20) if value is not None]
    if not head or name in ("label", "labels", "class", "target", "id", "fold"):
        return False
    return len(set(head)) > 1 and all(is_time(value) for value in head)


def _differs(said: Any, unit: float, seconds: float) -> bool:
    try:
        length = float(said) / unit
    except (TypeError, ValueError):
        return False
    return abs(length - seconds) > max(0.1, 0.05 * seconds)


def _channel_column(dataset: datasets.Dataset) -> str | None:
    """A column that says which channel of a recording a row means: of several values, and of few."""
    for name in dataset.column_names:
        if name.strip().lower() in ("channel", "channels", "channel_id", "chan", "ch", "kanal", "side"):
            values = {str(value).strip().lower() for value in dataset[name]}
            if 1 < len(values) <= 8 and all(value.isdigit() or value in CHANNELS for value in values):
                return str(name)
    return None
