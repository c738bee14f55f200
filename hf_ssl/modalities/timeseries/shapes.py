"""Tables in other shapes than a moment per row: a column per date, stamps in several columns; made long, or refused."""

from __future__ import annotations

import calendar
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
            r"\d{4}([-/.]?\d{2}([-/.]?\d{2})?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{4}-?Q[1-4]|\d{4} \[YR\d{4}\]|[A-Za-z]{3,9}\.?[ -]\d{4}",
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


def with_hours(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """A row per day and a column per hour (half, quarter of an hour) becomes a row each: `Date, H1 ... H24`, `Date, 00:00, 00:30 ...`."""
    there = dataset.column_names
    stamp = next((name for name in there if name in (columns.stamp,) or name.strip().lower() in STAMPS), None)
    clocks = [name for name in there if re.fullmatch(r"\d{1,2}:\d{2}(?::\d{2})?", name.strip())]
    numbered = clocks or [
        name
        for name in wide_columns(there)
        if re.match(r"(?:h|he|hr|hour|p|period|q|hh|sp)[ _.-]?\d", name.strip(), re.IGNORECASE)
    ]
    if (
        stamp is None
        or columns.targets
        or len(numbered) not in (24, 48, 96)
        or len(set(dataset[stamp])) < len(dataset)
    ):
        return dataset
    minutes = 1440 // len(numbered)
    times = [name.strip() for name in clocks] or [
        f"{place * minutes // 60:02d}:{place * minutes % 60:02d}" for place in range(len(numbered))
    ]
    report.warn(
        f"{len(numbered)} columns are parts of a day ({numbered[0]}, {numbered[1]} ...): every row is taken for a day of {len(numbered)} steps; "
        "target_columns=[...] takes them for channels"
    )
    report.account("rows").found += len(dataset) * (len(numbered) - 1)
    rest = [name for name in there if name not in numbered]
    frame = dataset.with_format("arrow")[:].to_pydict()
    long = {name: [value for value in frame[name] for _ in numbered] for name in rest}
    long["time of day" if "time" in rest else "time"] = times * len(dataset)
    long["value"] = [frame[name][row] for row in range(len(dataset)) for name in numbered]
    return datasets.Dataset.from_dict(long)


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


def with_stamp(dataset: datasets.Dataset, columns: Columns, report: Notes) -> datasets.Dataset:
    """Year, month, day (and hour, minute) columns joined to one time stamp, where there is no other."""
    import pandas as pd

    lower = {name.strip().lower(): name for name in reversed(dataset.column_names)}
    units = ("year", "month", "day", "hour", "minute", "second")
    whole = next((unit for unit in ("quarter", "week") if unit in lower), None)
    if (
        columns.stamp is None
        and whole
        and "year" in lower
        and not [name for name in lower if name in STAMPS and name != whole]
    ):
        return _with_part_of_year(dataset, lower["year"], lower[whole], whole, report)
    parts = [unit for unit in units if unit in lower]
    others = [name for name in lower if name in STAMPS and name not in units]
    if columns.stamp or others or not {"year", "month"} <= set(parts):
        return dataset
    report.warn(f"time stamps are made of the columns {', '.join(lower[part] for part in parts)}")
    frame = dataset.select_columns([lower[part] for part in parts]).with_format("pandas")[:]
    frame.columns = parts
    if not pd.api.types.is_numeric_dtype(frame["month"]):
        short = frame["month"].astype(str).str.strip().str[:3].str.title()
        places = {name: str(place) for place, name in enumerate(calendar.month_abbr) if name}
        frame["month"] = [places.get(name, value) for name, value in zip(short, frame["month"], strict=True)]
    try:
        frame = frame.apply(pd.to_numeric)
        if "day" not in parts:
            frame["day"] = 1
        stamps = pd.to_datetime(frame).dt.strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"The columns {', '.join(parts)} make no dates: {str(error).splitlines()[0]}. Say timestamp_column=..."
        ) from error
    kept = dataset.remove_columns([lower[part] for part in parts])
    if not kept.column_names:
        raise DataError(f"The table has no column beside {', '.join(parts)}.")
    return kept.add_column("timestamp", stamps.to_numpy())


def _with_part_of_year(dataset: datasets.Dataset, year: str, part: str, what: str, report: Notes) -> datasets.Dataset:
    """`2015` and `3` in columns of year and quarter (or ISO week)."""
    report.warn(f"time stamps are made of the columns {year} and {part}; timestamp_column names another")
    mark = "Q" if what == "quarter" else "-W"
    made = []
    for row, (first, second) in enumerate(zip(dataset[year], dataset[part], strict=True)):
        try:
            number = int(float(str(second).strip().lstrip("QqWw")))
            made.append(f"{int(float(first))}{mark}{number:02d}" if mark == "-W" else f"{int(float(first))}Q{number}")
        except (TypeError, ValueError):
            raise DataError(
                f"Columns {year!r} and {part!r} hold {first!r} and {second!r} (row {row}), which make no date. Say timestamp_column=..."
            ) from None
    return dataset.remove_columns([year, part]).add_column("timestamp", made)
