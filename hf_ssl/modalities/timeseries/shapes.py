"""Tables in other shapes than a moment per row: a column per date, stamps in several columns; made long, or refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import STAMPS, Columns


def melted(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """A table with one series per row and one column per date becomes a long one."""
    there = dataset.column_names
    dated = [
        name
        for name in there
        if re.fullmatch(
            r"\d{4}([-/.]?\d{2}([-/.]?\d{2})?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{4}[ -]?[QqWwMmHh]\d{1,2}|[QqHh][1-4][ -/]\d{4}|"
            r"\d{4} \[YR\d{4}\]|[A-Za-z]{3,9}\.?[ -]\d{4}|\d{2}[-/.]\d{4}",
            name.strip(),
        )
    ]
    named = columns.stamp or any(name.strip().lower() in STAMPS for name in there)
    if named or len(dated) < 4 or len(dated) < 0.5 * len(there):
        return dataset
    rest = [name for name in there if name not in dated]
    frame = dataset.with_format("arrow")[:].to_pydict()
    keys = (
        [" ".join(str(value) for value in row) for row in zip(*(frame[name] for name in rest), strict=True)]
        if rest
        else None
    )
    keys = keys or [f"row {row}" for row in range(len(dataset))]
    report.warn(
        f"{len(dated):,} columns are called as dates ({dated[0]} ...): every row is taken for a series, named by "
        f"{', '.join(rest) or 'its number'}"
    )
    report.account("rows").found += len(dataset) * (len(dated) - 1)
    long: dict[str, list[Any]] = {"item_id": [], "timestamp": [], "value": []}
    for name in dated:
        long["item_id"] += keys
        long["timestamp"] += [re.sub(r" \[YR\d{4}\]$", "", name.strip())] * len(keys)
        long["value"] += frame[name]
    return datasets.Dataset.from_dict(long)


PARTS_OF_A_DAY = (24, 48, 96, 144, 288)
"""Hours, halves and quarters of them, ten and five minutes."""
OF_A_DAY = {
    "h",
    "he",
    "hr",
    "hour",
    "p",
    "period",
    "q",
    "hh",
    "sp",
    "int",
    "interval",
    "iv",
    "kwh",
    "mwh",
    "wh",
    "kw",
    "mw",
    "slot",
    "block",
    "mtu",
    "ptu",
    "",
}
"""What numbered parts of a day are called; other numbered columns are asked about."""
CLOCK = re.compile(r"(?:.*?[ _])?(\d{1,2}):(\d{2})(?::\d{2})?|(?:[A-Za-z]+[ _])(\d{2})(\d{2})")


def with_hours(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """A row per day and a column per hour (half, quarter of an hour) becomes a row each: `Date, H1 ... H24`, `Date, 00:00, 00:30 ...`."""
    there = dataset.column_names
    stamp = next((name for name in there if name in (columns.stamp,) or name.strip().lower() in STAMPS), None)
    if stamp is None or columns.targets or columns.past or columns.known:
        return dataset
    rest = [name for name in there if name not in {stamp, columns.name, columns.label, *columns.static}]
    times = _clocks(rest)
    numbered = list(times) or _numbered(rest)
    keys = [stamp, *([columns.name] if columns.name in there else [])]
    days = dataset.select_columns(keys).to_dict()
    if (
        len(numbered) not in PARTS_OF_A_DAY
        or len(set(zip(*days.values(), strict=True))) < len(dataset)
        or any(re.search(r"\d:\d", str(day)) for day in days[stamp][:100])
    ):
        return dataset
    minutes = 1440 // len(numbered)
    if not times:
        called = re.sub(r"[ _.-]?\d+$", "", numbered[0].strip()).lower()
        if called not in OF_A_DAY:
            report.warn(
                f"{len(numbered)} numbered columns ({numbered[0]}, {numbered[1]} ...) beside one of days are read as channels of a value a day: if "
                f"they are parts of the day, call them H1 ... H{len(numbered)} in the file, and every row is read as a day of {len(numbered)} steps"
            )
            return dataset
        times = {
            name: f"{place * minutes // 60:02d}:{place * minutes % 60:02d}" for place, name in enumerate(numbered)
        }
    report.warn(
        f"{len(numbered)} columns are parts of a day ({numbered[0]}, {numbered[1]} ...): every row is taken for a day of {len(numbered)} steps; "
        f"target_columns=[...] takes them for channels"
    )
    report.account("rows").found += len(dataset) * (len(numbered) - 1)
    others = [name for name in there if name not in numbered]
    frame = dataset.with_format("arrow")[:].to_pydict()
    long = {name: [value for value in frame[name] for _ in numbered] for name in others}
    if columns.stamp is None and stamp.strip().lower() == "day" and "date" not in others:
        long["date"] = long.pop(stamp)  # a day of the month is called so, too
    long["time of day" if "time" in others else "time"] = list(times.values()) * len(dataset)
    long["value"] = [frame[name][row] for row in range(len(dataset)) for name in numbered]
    return datasets.Dataset.from_dict(long)


def _clocks(names: Sequence[str]) -> dict[str, str]:
    """Columns whose names are times of a day at equal distances (`00:30`, `kWh 00:30`, `kWh_0030`), and those times."""
    found = {}
    for name in names:
        if match := CLOCK.fullmatch(name.strip()):
            hour, minute = int(match[1] or match[3]), int(match[2] or match[4])
            if hour <= 24 and minute < 60:
                found[name] = 60 * hour + minute
    steps = {after - before for before, after in zip([*found.values()], [*found.values()][1:], strict=False)}
    if len(found) < PARTS_OF_A_DAY[0] or steps != {1440 // len(found)}:
        return {}
    return {name: f"{minutes // 60:02d}:{minutes % 60:02d}" for name, minutes in found.items()}


def _numbered(names: Sequence[str]) -> list[str]:
    """Columns numbered from 0 or 1 on, with a word before the number or without."""
    found = wide_columns(names) or [name for name in names if name.strip().isdecimal()]
    places = [int(match[0]) for name in found if (match := re.search(r"\d+$", name.strip()))]
    return found if places and places in ([*range(len(places))], [*range(1, len(places) + 1)]) else []


def wide_columns(names: Sequence[str]) -> list[str]:
    """Columns that number the steps of a series (`t0 t1 t2 …`, `d_1 d_2 …`), when a table has them."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := re.fullmatch(r"([A-Za-z][A-Za-z_ ]*?[ _.-]?)(\d+)", name.strip()):
            found.setdefault(match[1], []).append((int(match[2]), name))
    for numbered in found.values():
        places = [place for place, _ in numbered]
        if (
            len(places) >= 8
            and places == list(range(places[0], places[0] + len(places)))
            and len(places) >= 0.5 * len(names)
        ):
            return [name for _, name in numbered]
    return []


def refuse_wide_rows(dataset: datasets.Dataset, columns: Columns, origin: str) -> None:
    """Rows that are series, read as moments, would be channels.

    Raises:
        DataError: with what to write instead.
    """
    there = dataset.column_names
    if columns.stamp or any(name.strip().lower() in STAMPS for name in there):
        return
    if steps := wide_columns(there):
        raise DataError(
            f"{origin} has {len(steps):,} columns that number steps ({steps[0]}, {steps[1]} ...): every row seems "
            f"to be a series. Write each as one list (parquet or "
            'JSON lines: {"series": [...], "label": ...}), or without a header and with the label first (.tsv); if columns are '
            "channels: timestamp_column=..."
        )
