"""What to say where no column is called as time stamps are: the column that holds dates, or numbers that rise evenly."""

from __future__ import annotations

import re
from collections.abc import Sequence

import datasets
import numpy as np

from hf_ssl.modalities.timeseries.digits import readings
from hf_ssl.modalities.timeseries.formats import in_english
from hf_ssl.modalities.timeseries.lines import is_number
from hf_ssl.modalities.timeseries.spellings import is_period
from hf_ssl.modalities.timeseries.table import Columns

HEAD = 400
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d.*")
_DAY = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}\s*")
_DATE = re.compile(r"\D*\d{1,4}[-/:]\d{1,2}.*|.*\d+\.\s?\d+\.\s?\d+.*")
_CALLED = re.compile(r"date|datum|fecha|data|time|zeit|year|month|day|stamp|epoch|unix|^t$|step|index", re.IGNORECASE)


def likely_stamp(dataset: datasets.Dataset, columns: Columns) -> str:
    """The options that name the column of stamps, by what it holds, and that of the time of day beside one of days.

    Args:
        dataset: a table of moments.
        columns: those that options name hold something else.
    """
    taken = {
        columns.name,
        columns.label,
        columns.time,
        *columns.targets,
        *columns.past,
        *columns.known,
        *columns.static,
        *columns.ignore,
    }
    head = dataset[:HEAD]
    free = {name: head[name] for name in dataset.column_names if name not in taken}
    clocks = [name for name, values in free.items() if _all_match(values, _CLOCK)]
    days = [name for name, values in free.items() if _all_match(values, _DAY)]
    if clocks and days:
        return f"Say which one: timestamp_column={days[0]!r}, time_column={clocks[0]!r}"
    dates = [name for name, values in free.items() if _are_dates(values, getattr(dataset.features[name], "dtype", ""))]
    rising = [
        name for name, values in free.items() if name not in dates and _rises(values, bool(_CALLED.search(name)))
    ]
    found = sorted(dates, key=_is_called) + sorted(rising, key=_is_called)
    if not found:
        below = [
            name
            for name, values in free.items()
            if len(values) > 20 and _rises(values[1:], bool(_CALLED.search(name)))
        ]
        if below:
            return (
                f"Column {below[0]!r} does, but for its first row ({free[below[0]][0]!r}): if that is a second header or holds units: "
                "csv_options={'skiprows': [1]}"
            )
        return (
            "None of them holds dates or numbers that rise evenly. Add one that numbers the steps of every series (0, 1, 2 ...), or name the one "
            "that holds the times: timestamp_column=..."
        )
    fractions = found[0] in rising and bool((_numbers(free[found[0]]) % 1 != 0).any())
    fractions = fractions and not bool(
        (np.abs(_numbers(free[found[0]]) - 1970) < 292).all()
    )  # years, which have no unit
    unit = ", timestamp_unit='s' (or its own unit)" if fractions else ""
    return f"Say which one: timestamp_column={found[0]!r}{unit}"


def _is_called(name: str) -> bool:
    """Sorts those first that are called as times are."""
    return not _CALLED.search(name)


def _numbers(values: Sequence[object]) -> np.ndarray:
    """NaN for what is no number, in a column that holds none as well."""
    plain = [value for value in values if isinstance(value, (int, float, str)) and not isinstance(value, bool)]
    return np.array(
        [float(value) if is_number(str(value)) else np.nan for value in plain] if len(plain) == len(values) else []
    )


def _all_match(values: Sequence[object], pattern: re.Pattern[str]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, str) and pattern.fullmatch(value) for value in known)


def _are_dates(values: Sequence[object], kind: str) -> bool:
    """Dates by their type, as people write them, or as digits: several, because an id may look like one."""
    import pandas as pd

    if kind.startswith(("timestamp", "date")):
        return True
    known = [value for value in values if value is not None and value == value]
    if len(set(map(str, known))) < min(3, len(known)) or not known:
        return False
    if _all_match(known, _DATE):
        return True
    if isinstance(known[0], str) and (all(map(is_period, known)) or in_english(pd.Series(known)).notna().all()):
        return True
    if isinstance(known[0], str) and not all(
        isinstance(value, str) and re.fullmatch(r"\d{4,14}", value.strip()) for value in known
    ):
        return False
    if not all(isinstance(value, (int, str)) and not isinstance(value, bool) for value in known):
        return False
    numbers = np.array([int(str(value)) for value in known])
    return bool(len(numbers)) and int(numbers.max()) < 10**14 and "%Y%m%d" in str(list(readings(numbers)))


def _rises(values: Sequence[object], called: bool) -> bool:
    """Numbers that rise from row to row by about as much, and may begin anew with every series; of rows of one moment where they are
    `called` as times are."""
    numbers = _numbers(values)
    if len(numbers) < 4 or not np.isfinite(numbers).all():
        return False
    steps = np.diff(numbers)
    up = steps[steps > 0]
    if not len(up) or (len(up) < 0.85 * len(steps) and not (called and (steps >= 0).mean() > 0.85)):
        return False
    usual = float(np.median(up))
    return bool((np.abs(up - usual) <= 0.5 * usual).mean() >= 0.8)


def no_header(names: Sequence[str]) -> str:
    """What to add where the names of columns are values themselves."""
    if sum(
        bool(re.fullmatch(r"-?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*", name.strip())) for name in names
    ) * 2 < len(names):
        return ""
    if len(names) == 1:
        return " If the file has no header, write a line of names above its values, such as step,value."
    made = ["timestamp", *(["value"] if len(names) == 2 else [f"value_{n}" for n in range(1, len(names))])]
    return f" If the file has no header: csv_options={{'names': {made}}}."
