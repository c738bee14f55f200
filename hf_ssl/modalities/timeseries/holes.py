"""A grid that is mostly empty is the wrong grid: which rows, or which series, make it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import rounded_up
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.steps import NANO, places_of

OFFERED = 0.9
"""Share of missing steps beyond which nobody means the gaps: `max_missing` is not advised any more."""
MOST = 10**8
"""Values of a grid that has less than a row in a hundred steps: 400 MB of missing values."""
_DAY = 86_400
_COARSER = (
    ("min", 60), ("15min", 900), ("h", 3600), ("D", _DAY), ("W", 7 * _DAY), ("MS", 28 * _DAY), ("QS", 89 * _DAY), ("YS", 365 * _DAY),
)  # fmt: skip


_WRITTEN = " Say how they are written: timestamp_format=..., or which column holds them: timestamp_column=..."


@dataclass(frozen=True)
class Rows:
    """Rows as they came, in order of series and time.

    Args:
        codes: `(rows,)` number of the series.
        stamps: `(rows,)` datetime64[ns] or whole numbers.
        written: what stands in the file for one of them (number of the row as here), and in which row of it; None: not known.
    """

    codes: np.ndarray
    stamps: np.ndarray
    written: Callable[[int], tuple[str, int]] | None = None


def refuse_holes(
    codes: np.ndarray,
    places: np.ndarray,
    frequency: str,
    *,
    given: bool,
    max_missing: float,
    hint: str,
    names: Sequence[str],
    rows: Rows,
    channels: int,
    report: Notes,
) -> None:
    """Stop where more steps than `max_missing` have no row; warn of single series of which that is true.

    Args:
        codes, places: `(rows,)` series and step of each row, one row per step.
        frequency: the step.
        given: whether the user named it.
        max_missing: the share that is allowed.
        hint: what may be wrong when the grid does not fit, as the caller sees it.
        names: of the series.
        rows: before they were put on the grid.
        channels: values of a row.
        report: gets the warning.

    Raises:
        DataError: with what else the stamps may mean.
    """
    first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    counts = np.diff(np.append(first, len(codes)))
    spans = places[first + counts - 1] - places[first] + 1
    steps = int(spans.sum())
    share = 1 - len(places) / steps
    if (steps - len(places) > 2 and share > max_missing) or (steps * channels > MOST and share > 0.99):
        what = f"frequency={frequency!r} does not fit" if given else f"the most common step is {frequency}"
        why = _far_rows(rows) or hint
        raise DataError(
            f"{what}, and {share:.0%} of the steps have no row ({len(places):,} rows, {steps:,} steps). "
            f"{why or 'Are the time stamps read right (day_first, timestamp_format, timestamp_unit)? Is another step meant (frequency)?'}"
            f"{_way_on(rows, share, max_missing)}"
        )
    shares = 1 - counts / spans
    bad = np.flatnonzero((spans - counts > 2) & (shares > max_missing))
    if len(bad) and len(first) > 1:
        worst = int(bad[shares[bad].argmax()])
        report.warn(
            f"{len(bad):,} of {len(first):,} series have no row at more than {max_missing:.0%} of their steps of {frequency}, such as "
            f"{names[int(codes[first[worst]])]!r} ({int(counts[worst]):,} rows, {int(spans[worst]):,} steps): is their step another, or are their "
            f"time stamps read wrong? max_missing={rounded_up(float(shares[bad].max())):g} if their gaps are real"
        )


def _way_on(rows: Rows, share: float, max_missing: float) -> str:
    if share <= OFFERED:
        return f" If the gaps are real: max_missing={rounded_up(share):g}."
    coarser = _coarser(rows, max_missing)
    return f" If the gaps are real, a coarser step joins rows: frequency={coarser!r}." if coarser else _WRITTEN


def _coarser(rows: Rows, max_missing: float) -> str | None:
    """The finest of the usual steps with which few steps are missing; None: there is none."""
    if rows.stamps.dtype.kind != "M":
        return None
    within = rows.codes[1:] == rows.codes[:-1]
    gaps = (rows.stamps[1:].astype(np.int64) - rows.stamps[:-1].astype(np.int64))[within]
    if not (gaps > 0).any():
        return None
    middle = float(np.median(gaps[gaps > 0]))
    for alias, seconds in _COARSER:
        if seconds * NANO["s"] < middle:
            continue
        places, _, _ = places_of(rows.stamps, alias)
        pairs = np.unique(np.stack([rows.codes, places]), axis=1)
        ends = np.flatnonzero(np.append(pairs[0, 1:] != pairs[0, :-1], True))
        starts = np.append(0, ends[:-1] + 1)
        if 1 - pairs.shape[1] / int((pairs[1, ends] - pairs[1, starts] + 1).sum()) <= max_missing:
            return alias
    return None


def _far_rows(rows: Rows) -> str:
    """The few rows whose time lies far from that of all others: 1970-01-01 and the like, where it is not known."""
    if rows.written is None:
        return ""
    ticks = rows.stamps.astype(np.int64)
    low, high = (int(np.quantile(ticks, share, method="nearest")) for share in (0.05, 0.95))
    span = 3 * max(high - low, 1)
    far = (ticks < low - span) | (ticks > high + span)
    if not far.any() or far.sum() > max(1, 0.04 * len(far)):
        return ""
    (text, row), (other, _) = rows.written(int(np.argmax(far))), rows.written(int(np.argmin(far)))
    missing = (
        f", or say that this means a missing value: csv_options={{'na_values': [{text!r}]}}" if len(text) >= 6 else ""
    )
    return (
        f"The column of time stamps holds {text!r} (row {row}) among others such as {other!r}, far from all of them ({int(far.sum()):,} such rows). "
        f"Leave those rows out{missing}."
    )
