"""Files that only hold time series: `.ts`, `.tsf`, `.arff`, and the `.tsv` of the UCR archive."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from hf_ssl.core.paths import suffix
from hf_ssl.modalities.arrays import load_arrays

# Words of the Monash archive's @frequency, as pandas spells them.
TSF_FREQUENCIES = {
    "yearly": "YS", "quarterly": "QS", "monthly": "MS", "weekly": "W", "daily": "D", "hourly": "h", "half_hourly": "30min",
    "10_minutes": "10min", "15_minutes": "15min", "5_minutes": "5min", "minutely": "min", "1_minutes": "min",
    "4_seconds": "4s", "10_seconds": "10s",
}  # fmt: skip
SUFFIXES = (".ts", ".tsf", ".arff", ".npy", ".npz")


@dataclass
class Record:
    """One series as it is in a file.

    Args:
        values: `(channels, length)` float32, NaN where missing.
        label: class or number as text, when the file has one.
        name: of the series, when the file has one.
        start: time of the first value (ISO text), when the file has one.
        frequency: pandas alias of the step, when the file has one.
    """

    values: np.ndarray
    label: str | None = None
    name: str | None = None
    start: str | None = None
    frequency: str | None = None


def is_ucr_table(file: Path) -> bool:
    """Whether a `.tsv` or `.csv` has no header but numbers only: a label and a series in every line."""
    if suffix(file) not in {".tsv", ".csv", ".txt"}:
        return False
    try:
        with _open(file) as stream:
            first = stream.readline()
    except (OSError, UnicodeDecodeError):
        return False
    fields = first.strip().split({".tsv": "\t", ".csv": ","}.get(suffix(file)))
    return len(fields) >= 8 and all(map(_is_number, fields))


def read_series_file(file: Path, channels_last: bool | None = None) -> list[Record]:
    """All series of one file.

    Args:
        file: the file.
        channels_last: arrays are `(series, length, channels)`; None: `(series, channels, length)`, and asked for where there would be
            more channels than steps.

    Raises:
        ValueError: the file is not what its suffix says; the message has the line.
    """
    kind = suffix(file)
    if kind in {".npy", ".npz"}:
        return list(_numpy(file, channels_last))
    if kind in {".tsv", ".csv", ".txt"}:
        return list(_ucr(file, {".tsv": "\t", ".csv": ","}.get(kind)))
    readers: dict[str, Callable[[list[str]], Iterator[Record]]] = {".ts": _ts, ".tsf": _tsf, ".arff": _arff}
    with _open(file) as stream:
        lines = stream.read().splitlines()
    records = list(readers[kind](lines))
    if not records:
        raise ValueError("no series after @data")
    return records


def _open(file: Path) -> IO[str]:
    if file.suffix.lower() == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(text: str, line: int) -> np.ndarray:
    try:
        return np.array([np.nan if v.strip() in {"?", "", "NaN"} else float(v) for v in text.split(",")], np.float32)
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _stack(channels: list[np.ndarray]) -> np.ndarray:
    """Channels of one series under each other; shorter ones end with missing values."""
    length = max(len(channel) for channel in channels)
    padded = np.full((len(channels), length), np.nan, np.float32)
    for row, channel in enumerate(channels):
        padded[row, : len(channel)] = channel
    return padded


def _numpy(file: Path, channels_last: bool | None) -> Iterator[Record]:
    """An array `(series, length)` or `(series, channels, length)`; an `.npz` may have `y` beside `x`."""
    with file.open("rb") as stream:
        arrays = {name.lower(): array for name, array in load_arrays(stream).items()}
    values = next((arrays[name] for name in ("x", "series", "data", "arr_0") if name in arrays), None)
    if values is None and len(arrays) == 1:
        values = next(iter(arrays.values()))
    if values is None or values.ndim not in (2, 3):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"needs an array x of shape (series, length) or (series, channels, length), and y for labels; there are {shapes}"
        )
    if values.dtype.kind not in "fiub":
        raise ValueError(f"x holds {values.dtype}, not numbers")
    labels = next((arrays[name] for name in ("y", "label", "labels") if name in arrays), None)
    if labels is not None and len(labels) != len(values):
        raise ValueError(f"x has {len(values)} series and y {len(labels)} labels")
    if values.ndim == 3 and channels_last is None and values.shape[1] > values.shape[2]:
        raise ValueError(
            f"x of shape {values.shape} would have {values.shape[1]} channels and {values.shape[2]} steps; "
            f"channels_last=True if the channels come last, "
            "channels_last=False if not"
        )
    if values.ndim == 3 and channels_last:
        values = values.transpose(0, 2, 1)
    for row, item in enumerate(values.astype(np.float32)):
        yield Record(np.atleast_2d(item), None if labels is None else str(labels[row]))


def _ucr(file: Path, separator: str | None) -> Iterator[Record]:
    with _open(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                label, *values = (line.rstrip("\n") if separator else line).split(separator)
                series = _numbers(",".join(values), number)
                observed = np.flatnonzero(~np.isnan(series))
                # The archive pads shorter series with NaN at the end.
                yield Record(series[None, : observed[-1] + 1 if len(observed) else 0], _class_name(label))


def _class_name(text: str) -> str:
    number = float(text)
    return str(int(number)) if number.is_integer() else text.strip()


def _ts(lines: list[str]) -> Iterator[Record]:
    """The format of aeon and sktime: channels separated by colons, the label last."""
    labeled, in_data = False, False
    declared: list[str] = []
    width = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not in_data:
            word = text.lower()
            if word.startswith("@classlabel"):
                declared = text.split()[2:]
            if word.startswith("@timestamps") and word.split()[1:2] == ["true"]:
                raise ValueError("has time stamps for every value; only evenly spaced .ts files are read")
            if word.startswith(("@classlabel", "@targetlabel")):
                labeled = word.split()[1:2] == ["true"]
            in_data = word == "@data"
            continue
        parts = text.split(":")
        channels = [_numbers(part, number) for part in (parts[:-1] if labeled else parts)]
        if not channels:
            raise ValueError(f"line {number}: no values before the label")
        width = width or len(channels)
        if len(channels) != width:
            raise ValueError(f"line {number}: {len(channels)} channels, the lines above have {width}")
        label = parts[-1].strip() if labeled else None
        if declared and label not in declared:
            raise ValueError(
                f"line {number}: class {label!r} is none of those that @classLabel declares ({', '.join(declared)})"
            )
        yield Record(_stack(channels), label)


def _tsf(lines: list[str]) -> Iterator[Record]:
    """The format of the Monash archive: attributes, then one series per line."""
    attributes: list[tuple[str, str]] = []
    frequency, in_data = None, False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not in_data:
            word, _, rest = text.partition(" ")
            if word.lower() == "@attribute":
                name, kind = rest.split()[:2]
                attributes.append((name.lower(), kind.lower()))
            elif word.lower() == "@frequency":
                frequency = TSF_FREQUENCIES.get(rest.strip().lower())
                if frequency is None:
                    raise ValueError(f"line {number}: unknown frequency {rest.strip()!r}")
            in_data = word.lower() == "@data"
            continue
        parts = text.split(":")
        if len(parts) != len(attributes) + 1:
            raise ValueError(f"line {number}: {len(parts) - 1} attributes, {len(attributes)} were declared")
        given = {name: value for (name, _), value in zip(attributes, parts, strict=False)}
        start = next((given[name] for name, kind in attributes if kind == "date"), None)
        series = given.get("series_name", parts[0] if attributes else None)
        yield Record(_numbers(parts[-1], number)[None], None, series, _tsf_date(start), frequency)


def _tsf_date(text: str | None) -> str | None:
    if text is None:
        return None
    day, _, clock = text.partition(" ")
    return f"{day} {clock.replace('-', ':')}" if clock else day


def _arff(lines: list[str]) -> Iterator[Record]:
    """Weka's format: values and label in a line; several channels are one quoted relational field, one line each."""
    nominal: list[bool] = []
    relational, inside, in_data = False, False, False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("%"):
            continue
        if not in_data:
            word = text.lower()
            if word.startswith("@end"):
                inside = False
            elif word.startswith("@attribute") and not inside:
                inside = bool(re.search(r"\srelational$", word))
                relational = relational or inside
                nominal.append(text.endswith("}") or word.endswith("string"))
            in_data = word == "@data"
            continue
        if relational:
            fields = next(csv.reader([text], quotechar="'" if text.startswith("'") else '"', escapechar=None))
            channels = [_numbers(channel, number) for channel in fields[0].replace("\\n", "\n").split("\n")]
            yield Record(_stack(channels), fields[1].strip() if len(fields) > 1 else None)
            continue
        if text.startswith("{"):
            raise ValueError(f"line {number}: sparse rows ({text[:20]} ...) are not read; write every value")
        fields = next(csv.reader([text], quotechar="'" if "'" in text else '"', skipinitialspace=True))
        if len(fields) != len(nominal):
            raise ValueError(f"line {number}: {len(fields)} values, {len(nominal)} attributes were declared")
        places = [place for place, is_nominal in enumerate(nominal) if is_nominal]
        if len(places) > 1:
            raise ValueError(
                f"line {number}: {len(places)} attributes are words; one is the class, and the others are no values"
            )
        label = fields.pop(places[0]).strip() if places else None
        yield Record(_numbers(",".join(fields), number)[None], label)
