"""Years of two digits: `60` is 1960 among `58, 59, 60` and in a table of today."""

from __future__ import annotations

import datetime

import numpy as np

from hf_ssl.modalities.base import Notes

AHEAD = 10
"""Years from now that a table of today may reach: plans and what is known in advance."""


def full_years(two: np.ndarray) -> np.ndarray:
    """Years 0 to 99 → years of four digits: they follow each other over the turn of a century, and end within ten years from now.

    Args:
        two: whole numbers from 0 to 99, in any order; not empty.
    """
    found = np.unique(two)
    gaps = np.diff(np.append(found, found[0] + 100))
    first = int(found[(int(gaps.argmax()) + 1) % len(found)])  # what comes after the widest gap is the beginning
    after = (two - first) % 100
    latest = datetime.date.today().year + AHEAD
    span = int(after.max())
    return (latest - (latest - first - span) % 100 - span + after).astype(np.int64)


def in_their_century(stamps: np.ndarray) -> np.ndarray:
    """Moments (datetime64[ns], NaT where there is none) that were read from years of two digits, in the century that `full_years` finds."""
    there = ~np.isnat(stamps)
    if not there.any():
        return stamps
    months = stamps[there].astype("datetime64[M]")
    read = _years(months)
    made = stamps.copy()
    made[there] = (months + 12 * (full_years(read % 100) - read)).astype("datetime64[ns]") + (
        stamps[there] - months.astype("datetime64[ns]")
    )
    return made


def _years(stamps: np.ndarray) -> np.ndarray:
    return np.asarray(stamps.astype("datetime64[Y]").astype(np.int64) + 1970)


def tell_centuries(stamps: np.ndarray, name: str, example: object, notes: Notes) -> None:
    """Warn of moments in years before 1970 and beyond today: others may read those otherwise.

    Args:
        stamps: as `in_their_century` returns them.
        name: of the column.
        example: a stamp as it is written.
    """
    known = stamps[~np.isnat(stamps)]
    if not len(known):
        return
    first, last = (int(_years(stamp)) for stamp in (known.min(), known.max()))
    if first < 1970 or last > datetime.date.today().year:
        notes.warn(
            f"column {name!r} holds years of two digits, such as {str(example)!r}: read as the years {first} to {last}; write them with four digits "
            "if another century is meant"
        )
