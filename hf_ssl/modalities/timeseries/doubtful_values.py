"""Values of series that are perhaps none: a sensor that stood still, zeros written for a gap, places and numbers of rows as channels."""

from __future__ import annotations

import re

import numpy as np

from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import Table

LOOKED_AT = 500
"""Series, evenly over all of them."""
LONGEST, SHARE, OTHERS = 24, 0.04, 0.2
"""Equal values in a row, at least; of all values, at least; steps elsewhere that may be equal to the one before."""
_PLACES = re.compile(
    r"(gps[ _]?)?(lat|latitude|lon|lng|long|longitude|easting|northing|altitude)(itude)?(_?(deg|dd|wgs84|x|y))?",
    re.IGNORECASE,
)


def told_doubts(table: Table, chosen: bool, report: Notes) -> Table:
    """The table as it is; warns of what looks like no measurement in it.

    Args:
        chosen: whether the user named the channels.
    """
    _tell_still(table, report)
    places = [name for name in table.channels if _PLACES.fullmatch(name.strip())]
    if not chosen and len(places) > 1 and len(places) < len(table.channels):
        report.warn(
            f"channels {', '.join(map(repr, places))} are called as places on a map are, and are taken for measurements like the others: "
            f"ignore_columns={places} leaves them out, target_columns={[name for name in table.channels]} says that they are meant"
        )
    return table


def _tell_still(table: Table, report: Notes) -> None:
    found: list[tuple[str, str, float, int, int]] = []
    places = np.unique(np.linspace(0, len(table.series) - 1, min(LOOKED_AT, len(table.series))).astype(int))
    for item in (table.series[int(place)] for place in places):
        for name, values in zip(table.channels, np.asarray(item.values), strict=False):
            run = _still(np.asarray(values))
            if run is not None:
                found.append((str(item.name), name, float(values[run[0]]), *run))
    if not found:
        return
    series, channel, value, start, count = found[0]
    shown = f"{value:g}"
    way = (
        "na_values=['0'] takes zeros for missing"
        if value == 0
        else "take such stretches out of the file if nothing was measured there"
    )
    where = f" of {series!r}" if len(table.series) > 1 else ""
    report.warn(
        f"{len(found):,} channels hold one value many times in a row, and change at nearly every step elsewhere, such as {channel!r}{where}: "
        f"{count:,} times {shown} from step {start:,}. Read as measured; if it is a sensor that stood still or a gap: {way}"
    )


def _still(values: np.ndarray) -> tuple[int, int] | None:
    """Where the longest run of equal values begins and how long it is, if there is nothing like it elsewhere."""
    if len(values) < 3 * LONGEST or not np.isfinite(values).any():
        return None
    change = np.append(True, values[1:] != values[:-1])
    starts = np.flatnonzero(change)
    lengths = np.diff(np.append(starts, len(values)))
    longest = int(lengths.argmax())
    count = int(lengths[longest])
    rest = np.delete(lengths, longest)
    if (
        count < max(LONGEST, SHARE * len(values))
        or count > 0.8 * len(values)
        or not np.isfinite(values[starts[longest]])
    ):
        return None
    equal = float((rest - 1).sum()) / max(1, len(values) - count)
    return (
        (int(starts[longest]), count) if equal <= OTHERS and (not len(rest) or count > 4 * int(rest.max())) else None
    )
