"""Rows that repeat a time stamp: one of them by name, and whether clocks that were changed explain them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SUNDAY = 7


def repeated_at(codes: np.ndarray, stamps: np.ndarray, names: Sequence[str]) -> str:
    """` (such as 2025-10-26 02:00:00, where clocks are put back ...)`: what is to be known about repeated stamps; empty: none are.

    Args:
        codes, stamps: of rows in order of series and time.
        names: of the series.
    """
    again = np.flatnonzero((codes[1:] == codes[:-1]) & (stamps[1:] == stamps[:-1]))
    if not len(again):
        return ""
    first = int(again[0])
    where = f" of series {names[int(codes[first])]!r}" if len(names) > 1 else ""
    if stamps.dtype.kind != "M":
        return f" (such as {stamps[first]}{where})"
    seconds = stamps[again].astype("datetime64[s]")
    shown = f" (such as {str(seconds[0]).replace('T', ' ')}{where}"
    if not _clocks_are_put_back(seconds):
        return f"{shown})"
    return (
        f"{shown}: local clocks repeat this hour at the end of summer time, and skip one at its beginning; times in UTC, or with "
        "their zone (+02:00, +01:00), do neither)"
    )


def _clocks_are_put_back(seconds: np.ndarray) -> bool:
    """Whether all lie in the small hours of Sundays of autumn, north or south, in one hour of each."""
    days = seconds.astype("datetime64[D]")
    weekdays = (days.astype(np.int64) + 3) % 7 + 1  # 1970-01-01 was a Thursday
    months = seconds.astype("datetime64[M]").astype(np.int64) % 12 + 1
    hours = (seconds - days).astype(np.int64) // 3600
    return bool(
        (weekdays == SUNDAY).all()
        and np.isin(months, (3, 4, 10, 11)).all()
        and (hours <= 3).all()
        and (seconds != days).any()
    )
