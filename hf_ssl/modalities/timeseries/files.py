"""Files that only hold time series: `.ts`, `.tsf`, `.arff`, `.npy`, and lines of numbers such as the `.tsv` of the UCR archive."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import suffix
from hf_ssl.modalities.arrays import load_arrays
from hf_ssl.modalities.timeseries.lines import MISSING, Position, are_places, fields_of, is_number, label_position
from hf_ssl.modalities.timeseries.steps import alias_of

# Words of the Monash archive's @frequency, as pandas spells them.
TSF_FREQUENCIES = {
    "yearly": "YS", "quarterly": "QS", "monthly": "MS", "weekly": "W", "daily": "D", "hourly": "h", "half_hourly": "30min",
    "10_minutes": "10min", "15_minutes": "15min", "5_minutes": "5min", "minutely": "min", "1_minutes": "min",
    "4_seconds": "4s", "10_seconds": "10s",
}  # fmt: skip
SUFFIXES = (".ts", ".tsf", ".arff", ".npy", ".npz")
LINES = (".tsv", ".csv", ".txt")
"""Tables that may be lines of numbers alone."""


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


Lines = Iterator[tuple[int, Callable[[], Record]]]
"""Number of a line, and what reads its series."""


def is_ucr_table(file: Path) -> bool:
    """Whether a `.tsv` or `.csv` has no header but numbers only: a label and a series in every line."""
    if suffix(file) not in LINES:
        return False
    try:
        with _open(file) as stream:
            first = stream.readline()
    except (OSError, UnicodeDecodeError):
        return False
    fields = fields_of(first.strip(), file)
    return len(fields) >= 8 and all(map(is_number, fields))


def is_rated(file: Path) -> bool:
    """Whether a `.csv` holds the seconds since 1970 when its values begin, how many there are a second, and then nothing but values.

    Wristbands of Empatica write such files: `HR.csv`, and `ACC.csv` with three columns.
    """
    if suffix(file) != ".csv":
        return False
    try:
        with _open(file) as stream:
            lines = [[field.strip() for field in stream.readline().split(",")] for _ in range(6)]
    except (OSError, UnicodeDecodeError):
        return False
    start, rate, *rest = lines
    if not all(map(is_number, start + rate)) or len(set(start)) > 1 or len(set(rate)) > 1:
        return False
    fits = all(len(line) == len(start) == len(rate) and all(map(is_number, line)) for line in rest)
    return fits and re.fullmatch(r"1\d{9}(\.\d+)?", start[0]) is not None and 0.01 <= float(rate[0]) <= 10_000


def _rated(file: Path) -> Record:
    with _open(file) as stream:
        rows = [line.strip().split(",") for line in stream if line.strip()]
    nanoseconds = round(1e9 / float(rows[1][0]))
    start = np.datetime64(round(float(rows[0][0]) * 1000), "ms")
    return Record(
        np.stack([_floats(row) for row in rows[2:]], axis=1), start=str(start), frequency=alias_of(nanoseconds)
    )


def position_of_labels(files: list[Path], given: Position | None) -> tuple[Position, str]:
    """Where lines of numbers have their label, and what to tell about it: by all files, because one may hold one class only.

    Raises:
        DataError: two columns may be the label.
    """
    lined = [file for file in files if suffix(file) in LINES and not is_rated(file)]
    rows: list[list[str]] = []
    for file in lined if given is None else ():
        try:
            rows += [fields for _, fields in _lines_of_numbers(file)]
        except (OSError, ValueError):
            continue  # told when it is read
    if not rows:
        return given or "first", ""
    try:
        position, told = label_position(rows)
    except ValueError as error:
        raise DataError(f"{lined[0].name}: {error}.") from None
    return position, told and f"{lined[0].name}: {told}"


def read_series_file(
    file: Path, channels_last: bool | None = None, bad: list[str] | None = None, position: Position = "first"
) -> list[Record]:
    """All series of one file.

    Args:
        file: the file.
        bad: takes what is wrong with lines that cannot be read; None: such a line is an error.
        channels_last: arrays are `(series, length, channels)`; None: `(series, channels, length)`, and asked for where there would be
            more channels than steps.
        position: where lines of numbers have their label.

    Raises:
        ValueError: the file is not what its suffix says, or none of its lines can be read; the message has the line.
    """
    kind = suffix(file)
    if kind in {".npy", ".npz"}:
        return list(_numpy(file, channels_last))
    if is_rated(file):
        return [_rated(file)]
    if kind in LINES:
        series: Lines = ((number, partial(_line, fields, position)) for number, fields in _lines_of_numbers(file))
    else:
        with _open(file) as stream:
            series = {".ts": _ts, ".tsf": _tsf, ".arff": _arff}[kind](stream.read().splitlines())
    records: list[Record] = []
    problems: list[str] = []
    for number, read in series:
        try:
            records.append(read())
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems and (bad is None or not records):
        raise ValueError(problems[0])
    if not records:
        raise ValueError("no series after @data")
    if bad is not None:
        bad += problems
    return records


def _open(file: Path) -> IO[str]:
    if file.suffix.lower() == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def _numbers(text: str) -> np.ndarray:
    return _floats(text.split(","))


def _floats(fields: Sequence[str]) -> np.ndarray:
    return np.array([np.nan if field.strip() in MISSING else float(field) for field in fields], np.float32)


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
        yield Record(np.atleast_2d(item), None if labels is None else _label(labels[row]))


def _label(value: np.generic) -> str | None:
    """Class 1.0 is class 1, and NaN is none."""
    if value.dtype.kind != "f":
        return str(value)
    return None if np.isnan(value) else str(int(value)) if float(value).is_integer() else str(value)


def _lines_of_numbers(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line, without a first one that counts the columns."""
    with _open(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip() and not (number == 1 and are_places(fields_of(line.strip(), file))):
                yield number, fields_of(line.rstrip("\r\n"), file)


def _line(fields: list[str], position: Position) -> Record:
    place = {"first": 0, "last": -1, "none": None}[position]
    label = None if place is None else _class_name(fields[place])
    series = _floats(fields[1:] if place == 0 else fields[:-1] if place == -1 else fields)
    observed = np.flatnonzero(~np.isnan(series))
    # The archive pads shorter series with NaN at the end.
    return Record(series[None, : observed[-1] + 1 if len(observed) else 0], label)


def _class_name(text: str) -> str:
    number = float(text)
    return str(int(number)) if number.is_integer() else text.strip()


def _ts(lines: list[str]) -> Lines:
    """The format of aeon and sktime: channels separated by colons, the label last."""
    labeled, in_data = False, False
    declared: list[str] = []
    width: list[int] = []
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
        yield number, partial(_ts_row, text, labeled, declared, width)


def _ts_row(text: str, labeled: bool, declared: list[str], width: list[int]) -> Record:
    """`width`: channels of the first line, once it is known."""
    parts = text.split(":")
    channels = [_numbers(part) for part in (parts[:-1] if labeled else parts)]
    if not channels:
        raise ValueError("no values before the label")
    label = parts[-1].strip() if labeled else None
    if declared and label not in declared:
        raise ValueError(f"class {label!r} is none of those that @classLabel declares ({', '.join(declared)})")
    if len(channels) != (width or [len(channels)])[0]:
        raise ValueError(f"{len(channels)} channels, the lines above have {width[0]}")
    width[:] = [len(channels)]
    return Record(_stack(channels), label)


def _tsf(lines: list[str]) -> Lines:
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
        yield number, partial(_tsf_row, text, attributes, frequency)


def _tsf_row(text: str, attributes: list[tuple[str, str]], frequency: str | None) -> Record:
    parts = text.split(":")
    if len(parts) != len(attributes) + 1:
        raise ValueError(f"{len(parts) - 1} attributes, {len(attributes)} were declared")
    given = {name: value for (name, _), value in zip(attributes, parts, strict=False)}
    start = next((given[name] for name, kind in attributes if kind == "date"), None)
    series = given.get("series_name", parts[0] if attributes else None)
    return Record(_numbers(parts[-1])[None], None, series, _tsf_date(start), frequency)


def _tsf_date(text: str | None) -> str | None:
    if text is None:
        return None
    day, _, clock = text.partition(" ")
    return f"{day} {clock.replace('-', ':')}" if clock else day


def _arff(lines: list[str]) -> Lines:
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
        yield number, partial(_relational_row if relational else _arff_row, text, nominal)


def _relational_row(text: str, nominal: list[bool]) -> Record:
    fields = next(csv.reader([text], quotechar="'" if text.startswith("'") else '"', escapechar=None))
    channels = [_numbers(channel) for channel in fields[0].replace("\\n", "\n").split("\n")]
    return Record(_stack(channels), fields[1].strip() if len(fields) > 1 else None)


def _arff_row(text: str, nominal: list[bool]) -> Record:
    if text.startswith("{"):
        raise ValueError(f"sparse rows ({text[:20]} ...) are not read; write every value")
    fields = next(csv.reader([text], quotechar="'" if "'" in text else '"', skipinitialspace=True))
    if len(fields) != len(nominal):
        raise ValueError(f"{len(fields)} values, {len(nominal)} attributes were declared")
    places = [place for place, is_nominal in enumerate(nominal) if is_nominal]
    if len(places) > 1:
        raise ValueError(f"{len(places)} attributes are words; one is the class, and the others are no values")
    label = fields.pop(places[0]).strip() if places else None
    return Record(_numbers(",".join(fields))[None], label)
