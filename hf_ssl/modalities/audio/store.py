"""Recordings decoded once, cut into pieces, and kept as one memory-mapped file of samples."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.jsonfiles import parse
from hf_ssl.modalities.audio import recordings
from hf_ssl.modalities.audio.headers import Unusable

if TYPE_CHECKING:
    from typing import BinaryIO

VERSION = 6
AHEAD = 64  # recordings decoded at the same time by the threads


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which samples a source becomes.

    Attributes:
        sampling_rate: samples per second.
        max_seconds: longer recordings are cut into equal pieces.
        min_seconds, silence_db, max_clipped: see `_recordings`.
        whole: a recording is never cut (its label is about the whole).
        full_scale: see `recordings.read`.
    """

    sampling_rate: int
    max_seconds: float
    min_seconds: float
    silence_db: float
    max_clipped: float
    whole: bool = False
    full_scale: float = 1.0


@dataclass(frozen=True)
class Source:
    """One recording (or part of one) to read: where it is, which row it belongs to, what to call it in a report."""

    row: int
    value: Any
    name: str
    start: float | None = None
    end: float | None = None
    unit: str = "s"

    def identity(self) -> str:
        """Changes when the content may have: path, size and time of a file, the bytes of anything else."""
        value = self.value
        if isinstance(value, dict) and value.get("bytes") is None and value.get("array") is None:
            value = value.get("path")
        if isinstance(value, dict):
            raw = value.get("bytes")
            content = raw if raw is not None else np.ascontiguousarray(value["array"], dtype=np.float32).tobytes()
            what = f"{hashlib.blake2b(content, digest_size=16).hexdigest()} {value.get('sampling_rate')}"
        elif isinstance(value, np.ndarray):
            what = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
        elif isinstance(value, (str, Path)) and Path(value).is_file():
            state = Path(value).stat()
            what = f"{Path(value).resolve()} {state.st_size} {state.st_mtime_ns}"
        else:
            what = repr(value)
        return f"{what} {self.start} {self.end} {self.unit}"


@dataclass
class Index:
    """What a store holds: for each piece its row, its recording's name, place, length, digest of the content and start."""

    row: list[int] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)
    silent_pieces: int = 0
    longer: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    narrow: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.row)

    def some_narrow(self) -> list[str]:
        """What to tell where some recordings have a lower rate than they are read at, and others do not."""
        few, every = len(set(self.narrow)), len(set(self.name))
        if not 0 < few < every:
            return []
        return [
            f"{few:,} of {every:,} recordings have a lower sampling rate than they are read at ({self.narrow[0]}), the others do not: what lies "
            "above half of their rate is missing in them, and a model may know them by that. sampling_rate=8000 or the like reads all alike"
        ]


@dataclass(frozen=True)
class Sources:
    """Recordings of a dataset, read anew each time they are gone through: their bytes never lie in memory together."""

    make: Callable[[], Iterator[Source]]

    def __iter__(self) -> Iterator[Source]:
        return self.make()


def build(sources: Iterable[Source], recipe: Recipe, folder: Path) -> tuple[Path, Index]:
    """Decode every source into `folder`, or find that this was done before.

    The name of the store is a hash of the sources and the recipe: other data, a changed file or another option make
    another store. Writing goes to a temporary name first, so an interrupted run leaves nothing half-done behind.

    Args:
        sources: gone through twice.

    Returns:
        The file of float32 samples, and its index.
    """
    decoders = " torchcodec" if recordings.has_torchcodec() else ""  # it reads what was left out without it
    digest = hashlib.blake2b(f"{VERSION} {asdict(recipe)}{decoders}".encode(), digest_size=16)
    for source in sources:
        digest.update(f"\n{source.row} {source.identity()}".encode("utf-8", "surrogatepass"))
    stem = folder / digest.hexdigest()
    samples_file, index_file = stem.with_suffix(".f32"), stem.with_suffix(".json")
    if index_file.is_file() and samples_file.is_file():
        with contextlib.suppress(ValueError, TypeError):  # a damaged one is written again
            return samples_file, Index(**parse(index_file.read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = stem.with_suffix(f".{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            index = _write(sources, recipe, file)
        unfinished.replace(samples_file)
    finally:
        unfinished.unlink(missing_ok=True)
    unfinished.write_text(json.dumps(asdict(index)), encoding="utf-8")
    unfinished.replace(index_file)
    return samples_file, index


def _write(sources: Iterable[Source], recipe: Recipe, file: BinaryIO) -> Index:
    index, place = Index(), 0
    for source, samples, reason, told in _decoded(sources, recipe):
        if reason is not None:
            index.faults.append({"path": source.name, "reason": reason})
            continue
        for what in told:
            getattr(index, what).append(source.name)
        for first, piece in pieces(samples, recipe):
            if len(samples) > len(piece) and recordings.fault(piece, recipe.sampling_rate, **_limits(recipe)):
                index.silent_pieces += 1
                continue
            file.write(piece.tobytes())
            index.row.append(source.row)
            index.name.append(source.name)
            index.start.append(place)
            index.length.append(len(piece))
            index.digest.append(content_digest(piece))
            index.second.append((source.start or 0.0) + first / recipe.sampling_rate)
            place += len(piece)
    return index


def _decoded(sources: Iterable[Source], recipe: Recipe) -> Iterator[tuple[Source, np.ndarray, str | None, list[str]]]:
    """Sources in order with their samples or their fault, and what is to be told of them (`recordings.read`). Threads decode ahead:
    the decoder releases the lock."""

    def one(source: Source) -> tuple[Source, np.ndarray, str | None, list[str]]:
        told: list[str] = []
        try:
            samples = recordings.read(
                source.value,
                recipe.sampling_rate,
                source.start,
                source.end,
                recipe.max_clipped,
                source.unit,
                recipe.full_scale,
                told,
            )
        except Unusable as error:
            return source, np.zeros(0, dtype=np.float32), str(error), []
        fault = recordings.fault(samples, recipe.sampling_rate, **_limits(recipe))
        return source, samples, fault, told

    waiting = iter(sources)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        while batch := list(islice(waiting, AHEAD)):
            yield from threads.map(one, batch)


def _limits(recipe: Recipe) -> dict[str, float]:
    return {name: getattr(recipe, name) for name in ("min_seconds", "silence_db")}


def pieces(samples: np.ndarray, recipe: Recipe) -> Iterable[tuple[int, np.ndarray]]:
    """First sample and content of each piece: as few as the longest allowed makes, all of (nearly) one length."""
    longest = int(recipe.max_seconds * recipe.sampling_rate)
    count = 1 if recipe.whole else max(1, -(-len(samples) // longest))
    bounds = np.linspace(0, len(samples), count + 1).round().astype(int).tolist()
    return [(first, samples[first:last]) for first, last in zip(bounds, bounds[1:], strict=False)]


def content_digest(samples: np.ndarray) -> str:
    """Equal for equal sound: of 16-bit samples, so that the last bits of a resampler do not count."""
    rounded = np.clip(np.rint(np.asarray(samples) * 32767), -32768, 32767).astype("<i2")
    return hashlib.blake2b(rounded.tobytes(), digest_size=16).hexdigest()


@functools.lru_cache(maxsize=16)
def _mapped(path: str) -> np.memmap:
    return np.memmap(path, dtype=np.float32, mode="r")


def load(value: dict[str, Any]) -> np.ndarray:
    """Samples of a stored piece: a view of the mapped file, float32 `(length,)`, read-only."""
    return _mapped(value["store"])[value["start"] : value["start"] + value["length"]]
