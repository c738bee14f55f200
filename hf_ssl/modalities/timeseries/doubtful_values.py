"""Values of series that are perhaps none: a sensor that stood still, zeros written for a gap, places as channels, a unit that changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import Table

LOOKED_AT = 500
"""Series, evenly over all of them."""
LONGEST, SHARE, OTHERS = 24, 0.04, 0.2
"""Equal values in a row, at least; of all values, at least; steps elsewhere that may be equal to the one before."""
_BOTH_WAYS = [
    (1.8, 32.0, "degrees Celsius became Fahrenheit", "degrees Fahrenheit became Celsius"),
    (1.0, 273.15, "degrees Celsius became kelvin", "kelvin became degrees Celsius"),
    *((factor, 0.0, f"values were multiplied by {factor:g}", f"values were divided by {factor:g}") for factor in (3.6, 60.0, 100.0, 1e3, 1e6)),
]  # fmt: skip
UNITS = [
    (factor, offset, said)
    for times, plus, there, back in _BOTH_WAYS
    for factor, offset, said in ((times, plus, there), (1 / times, -plus / times, back))
]
"""Factor, offset and words of changes of units."""
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
    _tell_units(table, report)
    places = [name for name in table.channels if _PLACES.fullmatch(name.strip())]
    if not chosen and len(places) > 1 and len(places) < len(table.channels):
        report.warn(
            f"channels {', '.join(map(repr, places))} are called as places on a map are, and are taken for measurements like the others: "
            f"ignore_columns={places} leaves them out, target_columns={[name for name in table.channels]} says that they are meant"
        )
    return table


def _looked_at(table: Table) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name of a series, channel, and its values."""
    places = np.unique(np.linspace(0, len(table.series) - 1, min(LOOKED_AT, len(table.series))).astype(int))
    for item in (table.series[int(place)] for place in places):
        for name, values in zip(table.channels, np.asarray(item.values), strict=False):
            yield str(item.name), name, np.asarray(values)


def _tell_units(table: Table, report: Notes) -> None:
    found = [(series, name, *change) for series, name, values in _looked_at(table) if (change := _new_unit(values))]
    if not found:
        return
    series, channel, step, before, after, said = found[0]
    where = f" of {series!r}" if len(table.series) > 1 else ""
    report.warn(
        f"{len(found):,} channels go on in another unit, it seems, such as {channel!r}{where}: about {before:.4g} up to step {step:,}, about "
        f"{after:.4g} from there on, as if {said}. Read as measured; if the unit did change, convert one part in the file"
    )


def _new_unit(values: np.ndarray) -> tuple[int, float, float, str] | None:
    """The step from which on values, their spread and those right after the change are the ones before in another unit of the usual ones."""
    known = np.flatnonzero(np.isfinite(values))
    least = max(LONGEST, len(known) // 50)
    if len(known) < 4 * LONGEST:
        return None
    given = values[known].astype(np.float64)
    logs = [np.log(given)] if (given > 0).all() else []
    for cut in {_break(one) for one in (given, *logs)}:
        if not least <= cut <= len(given) - least:
            continue
        before, after = given[:cut], given[cut:]
        said = _unit_said(before, after)
        if said:
            return int(known[cut]), float(np.median(before)), float(np.median(after)), said
    return None


def _break(values: np.ndarray) -> int:
    """Where two levels, one before and one after, fit best by least squares."""
    count = np.arange(1, len(values))
    sums = np.cumsum(values - values.mean())[:-1]
    return int((sums**2 / (count * (len(values) - count))).argmax()) + 1


def _unit_said(before: np.ndarray, after: np.ndarray) -> str:
    """Words for the change of unit that makes the one into the other: levels, also next to the change, and spread; else nothing.

    The two hardly overlap: what only varies much comes back to where it was.
    """
    low, high = np.percentile(before, [2, 98])
    if ((after >= low) & (after <= high)).mean() > 0.02:
        return ""
    parts = (before, after), (before[-LONGEST:], after[:LONGEST])
    levels = [(float(np.median(one)), float(np.median(other))) for one, other in parts]
    spread = [float(np.subtract(*np.percentile(part, [90, 10]))) for part in (before, after)]
    for factor, offset, said in UNITS if spread[0] > 0 else ():
        off = [abs(y - (factor * x + offset)) / max(abs(y - x), 1e-12) for x, y in levels]
        alike = off[0] <= 0.15 and off[1] <= 0.35
        if alike and 0.7 <= spread[1] / (factor * spread[0]) <= 1.45:
            return said
    return ""


def _tell_still(table: Table, report: Notes) -> None:
    found: list[tuple[str, str, float, int, int]] = []
    for series, name, values in _looked_at(table):
        run = _still(values)
        if run is not None:
            found.append((series, name, float(values[run[0]]), *run))
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
