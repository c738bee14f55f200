"""Which part of a recording a row means: columns of start, end and duration, in seconds, milliseconds or samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.one_column import values_of

if TYPE_CHECKING:
    import datasets

STARTS = ("start", "start_time", "begin", "begin_time", "onset", "segment_start", "start_s", "start_sec", "start_seconds", "t_start", "tmin",
          "start_ms", "begin_ms", "onset_ms", "start_sample", "start_samples", "start_frame", "begin_sample", "begin_s",
          "segment_begin", "seg_start", "from", "xmin", "t0", "t1_start", "clip_start", "utt_start", "start_offset", "time_start", "start_second",
          "begin_seconds", "start_us", "from_s", "audio_start")  # fmt: skip
ENDS = ("end", "end_time", "stop", "stop_time", "segment_end", "end_s", "end_sec", "end_seconds", "t_end", "tmax", "end_ms", "stop_ms",
        "end_sample", "end_samples", "end_frame", "stop_sample", "seg_end", "to", "xmax", "t1", "clip_end", "utt_end", "end_offset", "time_end",
        "end_second", "stop_s", "stop_seconds", "end_us", "to_s", "audio_end", "finish")  # fmt: skip
LENGTHS = ("duration", "dur", "length", "segment_duration", "duration_s", "duration_sec", "duration_seconds", "length_s", "duration_ms",
           "length_ms", "num_samples", "num_frames", "n_frames", "n_samples", "frames", "length_seconds", "length_sec", "audio_duration",
           "dur_s", "dur_sec", "duration_samples", "duration_us")  # fmt: skip
OFFSETS = ("offset", "offset_s", "offset_sec", "offset_ms")
UNITS = ("s", "ms", "us", "min", "samples")
_SECONDS = {"ms": 0.001, "us": 1e-6, "min": 60.0}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MINUTES = re.compile(r".*_(mins|minutes)|(.*_)?(start|begin|onset|end|stop|offset|duration|length)(_time)?_min")
"""What columns of minutes are called; `t_min` is the least time."""
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2}(?:[.,]\d+)?)")


@dataclass(frozen=True)
class Spans:
    """Columns that say where a row's part begins, ends, and how long it is (None: no such column), and their unit."""

    start: str | None = None
    end: str | None = None
    length: str | None = None
    unit: str | None = None
    note: str | None = None
    """What the user should be told about how they were read."""
    unused: str | None = None
    """A column of lengths without one of starts: the lengths of whole files, as a rule."""
    beside: str | None = None
    """A column of lengths beside ends, which say the same."""

    @property
    def columns(self) -> list[str]:
        return [name for name in (self.start, self.end, self.length) if name is not None]

    def seconds(self, values: dict[str, Any], row: int) -> tuple[float | None, float | None, str]:
        """Start and end of one row, and their unit, which is samples where the file's rate has to tell.

        Raises:
            DataError: a value is no time.
        """
        start, end, length = (
            _number(values[name], name, row, last) if name else None
            for name, last in ((self.start, False), (self.end, True), (self.length, True))
        )
        units = {self.unit or unit_of(name) for name in self.columns}
        if len(units) > 1:
            scale = {name: _SECONDS.get(self.unit or unit_of(name), 1.0) for name in self.columns}
            start = start * scale[self.start] if start is not None and self.start else start
            end = end * scale[self.end] if end is not None and self.end else end
            length = length * scale[self.length] if length is not None and self.length else length
            unit = "s"
        else:
            unit = next(iter(units), "s")
            if scaled := _SECONDS.get(unit):
                start, end, length = (None if value is None else value * scaled for value in (start, end, length))
                unit = "s"
        if end is None and length is not None:
            end = (start or 0.0) + length
        return start, end, unit


def find_spans(
    names: Sequence[str], start: str | None, end: str | None, length: str | None, unit: str | None
) -> Spans:
    """Find the columns, by what the user says or by their names.

    `offset` beside `duration` is where a part begins (NeMo), beside `onset` where it ends (sound event lists).

    Args:
        names: columns of the table.
        start, end, length: the user's `start_column`, `end_column`, `duration_column`.
        unit: the user's `time_unit`; else by the names (`_ms`, `_samples`), else seconds.

    Raises:
        DataError: a column is missing, or `offset` can mean both.
    """
    if unit is not None and unit not in UNITS:
        raise DataError(f"time_unit={unit!r} does not exist.{nearest(unit, UNITS)} Known: {', '.join(UNITS)}.")
    lower = {
        re.sub(r"(_hh_mm|_h_mm|_mm)?(_ss)?_(s|sec|secs|seconds|ms|msec)$|(_hh)?_mm_ss$|_hms$", "", _plain(name)): name
        for name in reversed(names)
    }
    lower |= {_plain(name): name for name in reversed(names)}
    given = {"start_column": start, "end_column": end, "duration_column": length}
    for option, name in given.items():
        if name is not None and name not in names:
            raise DataError(f"{option}={name!r}, but the columns are {', '.join(names)}.{nearest(name, names)}")
    if any(given.values()):
        return Spans(start, end, length, unit)
    found = [
        next((lower[alias] for alias in aliases if alias in lower), None)
        for aliases in (STARTS, ENDS, LENGTHS, OFFSETS)
    ]
    first, last, long, offset = found
    if offset is not None:
        if last is not None or (first is not None and first.strip().lower().startswith("onset")):
            if last is None:
                return Spans(first, offset, None, unit)
            if first is None:
                return Spans(offset, last, None, unit)
        elif long is not None and first is None:
            note = f"columns {offset!r} (where a part begins) and {long!r} (how long it is) say which part of a recording a row is"
            return Spans(offset, None, long, unit, note)
        elif first is None:
            raise DataError(
                f"Column {offset!r} may say where a part of a recording begins or ends. Say which: start_column={offset!r} or "
                f"end_column={offset!r}."
            )
        else:
            raise DataError(
                f"Columns {first!r} and {offset!r}: does {offset!r} say where a part ends? Then end_column={offset!r} and "
                f"start_column={first!r}; else start_column={first!r} alone."
            )
    if first is None and last is None:
        return Spans(unused=long)
    framed = [name for name in (first, last) if name is not None and _plain(name).endswith(("_frame", "_frames"))]
    doubt = (
        f"{' and '.join(map(repr, framed))} are taken for samples (time_unit='samples' says so); frames that are longer, such as those of 10 ms, "
        "have to be written in seconds"
        if framed and unit is None
        else None
    )
    if last is not None:
        return Spans(first, last, None, unit, doubt, beside=long)
    open_end = (
        f"column {first!r} says where parts begin, and none where they end: they go on to the end of their files "
        "(end_column=..., duration_column=...)"
    )
    return Spans(first, None, long, unit, doubt if long is not None else open_end)


def contradicted(spans: Spans, dataset: datasets.Dataset) -> list[str]:
    """What to tell where lengths are not those from start to end, in more than a few rows."""
    if spans.start is None or spans.end is None or spans.beside is None:
        return []
    names = (spans.start, spans.end, spans.beside)
    units = [spans.unit or unit_of(name) for name in names]
    if "samples" in units and len(set(units)) > 1:
        return []
    scales = [_SECONDS.get(unit, 1.0) for unit in units]
    rows = []
    for values in zip(*(values_of(dataset, name) for name in names), strict=True):
        if all(is_time(value) for value in values):
            rows.append([(_number(v, n, 0, True) or 0.0) * s for v, n, s in zip(values, names, scales, strict=True)])
    off = [(end - start, long) for start, end, long in rows if abs(end - start - long) > max(0.02 * abs(long), 0.05)]
    if len(off) <= 0.02 * len(rows):
        return []
    return [
        f"column {spans.beside!r} is not used, and contradicts {spans.start!r} and {spans.end!r} in {len(off):,} of {len(rows):,} rows "
        f"({off[0][0]:g} from start to end, {off[0][1]:g} there): taken from start to end; start_column={spans.start!r} with "
        f"duration_column={spans.beside!r} takes the other"
    ]


def _plain(name: str) -> str:
    """`Begin Time (s)`, `startTime`, `start(ms)` → `begin_time_s`, `start_time`, `start_ms`."""
    text = _CAMEL.sub("_", name.strip()).lower()
    return "_".join(word for word in re.split(r"[\W_]+", text) if word)


def unit_of(name: str | None) -> str:
    """Unit that a column's name says."""
    text = _plain(name or "")
    if re.search(
        r"_(ss?|sec)_(ms|msec|sss)$|_mm_ss$", text
    ):  # `Begin Time - ss.msec`, `hh:mm:ss.ms`: seconds and their fraction
        return "s"
    if text.endswith(("_ms", "_msec", "_milliseconds")):
        return "ms"
    if text.endswith(("_us", "_usec", "_microseconds")):
        return "us"
    if _MINUTES.fullmatch(text):
        return "min"
    return "samples" if "sample" in text or text.endswith(("_frame", "_frames")) or text == "frames" else "s"


def is_time(value: object) -> bool:
    """Whether a value can be a time in a recording: seconds, with a point or a comma, or a clock."""
    try:
        return _number(value, "", 0, False) is not None
    except DataError:
        return False


def _number(value: object, name: str, row: int, last: bool) -> float | None:
    """Seconds or samples, None: nothing is said. `last`: -1 means up to the end of the file, as readers of sounds write it."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if clock is not None:
            number = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3].replace(",", "."))
            if unit_of(name) != "s":
                raise ValueError
        else:
            number = float(str(value).strip().replace(",", "."))
    except (TypeError, ValueError):
        raise DataError(
            f"Row {row}: column {name!r} holds {value!r}, which is no time: write seconds (12.5) or a clock "
            f"(0:12.5); another column: start_column=..., "
            "end_column=..., duration_column=..."
        ) from None
    if number != number:
        return None
    if number == -1 and last:
        return None
    if number < 0:
        raise DataError(
            f"Row {row}: column {name!r} holds {value!r}, which is before the recording begins. Write a time into it, leave the row out, or "
            "name another column: start_column=..., end_column=..., duration_column=..."
        )
    return number
