"""Times of day as people write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def clock_of(column: pd.Series, known: np.ndarray, name: str) -> np.ndarray:
    """Times of day as timedelta64[ns]; 12-hour clocks have AM or PM behind them."""
    made = np.zeros(len(column), "timedelta64[ns]")
    there = column.notna().to_numpy() & known
    if there.any():
        made[there] = read_clock(column[there], name)
    return made


PERIODS = re.compile(
    r"(?:.*[_ .])?(?:period|interval|half[_ ]?hour|quarter[_ ]?hour|slot|block|mtu|he|hour[_ ]?ending)(?:[_ ]?(?:no|nr|number|id))?",
    re.IGNORECASE,
)
"""Names of columns that number the parts of a day: the settlement periods of a power market, hour endings."""
_PARTS = {24: range(23, 26), 48: range(46, 51), 96: range(92, 101), 144: range(138, 151), 288: range(276, 301)}


def period_clock(values: pd.Series) -> np.ndarray | None:
    """Numbers 1 to 24, 48, 96 ... of parts of a day → when each begins, timedelta64[ns]; None: they are no such numbers.

    Days on which clocks are changed have two hours' parts less or more; their later parts move by that hour.
    """
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values):
        values = values.astype(str).str.strip().str.replace(r"^(\d{1,2}):00(:00)?$", r"\1", regex=True)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    if np.isnan(numbers).any() or not len(numbers) or numbers.min() != 1 or (numbers % 1 != 0).any():
        return None
    parts = next((parts for parts, known in _PARTS.items() if int(numbers.max()) in known), None)
    return (
        None
        if parts is None
        else ((numbers.astype(np.int64) - 1) * (86_400 * 10**9 // parts)).astype("timedelta64[ns]")
    )


def counts_to_25(values: pd.Series) -> bool:
    """Hours 1 to 25: they number those of a day, of which the day has 25 when clocks are set back."""
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce")
    return bool(numbers.notna().all() and numbers.min() == 1 and numbers.max() == 25)


def read_clock(values: pd.Series, name: str) -> np.ndarray:
    """`13:05`, `1:05 PM`, `13:05:00.5`, `1305`, hours as numbers → timedelta64[ns].

    Raises:
        DataError: something else.
    """
    import pandas as pd

    if not len(values):
        raise DataError(
            f"Column {name!r} holds no times of day. Say which does: time_column=..., or leave it out of the table."
        )
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(np.float64)
    else:
        text = values.astype(str).str.strip().str.lower()
        parts = text.str.extract(r"^(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*([ap])?\.?m?\.?$")
        if parts[0].notna().all():
            hour = pd.to_numeric(parts[0]).to_numpy(np.int64)
            half = parts[3].fillna("").to_numpy()
            hour = np.where((half == "p") & (hour < 12), hour + 12, np.where((half == "a") & (hour == 12), 0, hour))
            seconds = pd.to_numeric(parts[2].fillna("0")).to_numpy(np.float64)
            minutes = pd.to_numeric(parts[1]).to_numpy(np.int64)
            ticks = (hour * 3600 + minutes * 60) * 10**9 + np.rint(seconds * 1e9).astype(np.int64)
            return ticks.astype("timedelta64[ns]")
        only = text.str.extract(r"^(\d{1,2})\s*([ap])\.?m\.?$")
        if only[0].notna().all():
            hour = pd.to_numeric(only[0]).to_numpy(np.int64) % 12 + np.where(only[1] == "p", 12, 0)
            return (hour * 3600 * 10**9).astype("timedelta64[ns]")
        numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
        if np.isnan(numbers).any():
            among = parts[0].isna() & parts[0].notna().any()
            wrong = values[among if among.any() else np.isnan(numbers)].iloc[0]
            if among.any():
                raise DataError(
                    f"Column {name!r} holds {wrong!r} among times of day such as {text[~among].iloc[0]!r} ({int(among.sum()):,} such rows), which "
                    "cannot be read. Where a clock that is set back has the hour twice, write the distance to UTC behind all stamps (+02:00); else "
                    "leave those rows out."
                )
            raise DataError(
                f"Column {name!r} holds times of day such as {wrong!r} that cannot be read. Write them as 13:05, or name another: time_column=..."
            )
    if not np.isfinite(numbers).all() or not (numbers % 1 == 0).all() or numbers.min() < 0 or numbers.max() > 2400:
        raise DataError(
            f"Column {name!r} holds {numbers[0]:g}, which is no time of day. Name another: time_column=..."
        )
    whole = numbers.astype(np.int64)
    if whole.max() <= 24:
        return (whole * 3600 * 10**9).astype("timedelta64[ns]")
    return (((whole // 100) * 60 + whole % 100) * 60 * 10**9).astype("timedelta64[ns]")
