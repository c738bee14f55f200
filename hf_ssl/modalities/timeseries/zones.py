"""Time stamps with a zone: one time line for hours, the clock on the wall for days and longer steps; a zone that some rows lack is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.grid import unevenness

if TYPE_CHECKING:
    import pandas as pd

ZONE = re.compile(r":\d\d(?:\.\d+)?\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)$")
_OFFSET = r"(?:(Z|UTC|GMT)|([+-])(\d\d):?(\d\d)|[:.]\d+\s*([+-])(\d\d))$"
_NAMED = r"^(.*(?::\d\d(?:[.,]\d+)?(?: \d{4})?|[AaPp]\.?[Mm]\.?))\s*\(?([A-Za-z]{2,5})\)?$"
SOME = 50
"""Stamps that say whether a column has names of zones at all."""
_UNIX = r"^([A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d) ([A-Z]{2,5}) (\d{4})$"
"""`Sun Mar 12 03:00:00 EDT 2023`, as the command `date` writes it."""
_REGION = r"^(.*\d)\s*\[?((?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[A-Za-z_/+-]+\d*)\]?$"
NAMED = {
    "UTC": 0.0, "GMT": 0.0, "WET": 0.0, "WEST": 1.0, "BST": 1.0, "CET": 1.0, "MEZ": 1.0, "CEST": 2.0, "MESZ": 2.0, "EET": 2.0, "EEST": 3.0,
    "MSK": 3.0, "SAST": 2.0, "IST": 5.5, "SGT": 8.0, "HKT": 8.0, "AWST": 8.0, "JST": 9.0, "KST": 9.0, "ACST": 9.5, "ACDT": 10.5, "AEST": 10.0,
    "AEDT": 11.0, "NZST": 12.0, "NZDT": 13.0, "AST": -4.0, "ADT": -3.0, "EST": -5.0, "EDT": -4.0, "CST": -6.0, "CDT": -5.0, "MST": -7.0,
    "MDT": -6.0, "PST": -8.0, "PDT": -7.0, "AKST": -9.0, "AKDT": -8.0, "HST": -10.0, "BRT": -3.0, "ART": -3.0,
}  # fmt: skip
"""Hours that clocks of these zones are ahead of UTC; those of North America as RFC 5322 has them."""
DAY = 86_400 * 10**9
FIRST, LAST = 1678, 2261
"""Years that nanoseconds since 1970 reach."""


def parsed(
    text: pd.Series, form: str | None, name: str, notes: Notes, owner: np.ndarray | None = None, zoned: bool = False
) -> np.ndarray:
    """Text → moments as datetime64[ns], without a zone.

    Args:
        text: stamps, None where there is none.
        form: as for `strptime`, `"ISO8601"`, or None: as pandas understands the first.
        name: of the column, for messages.
        notes: told what was done about zones.
        owner: `(rows,)` number of the series of each row; None: all are of one.
        zoned: whether some have a zone (they may have different ones).

    Raises:
        ValueError, TypeError: they are not of this form.
        DataError: years that cannot be kept.
    """
    import pandas as pd

    zoned = zoned or "%z" in (form or "")
    values = pd.to_datetime(text, format=form, utc=zoned)
    if not zoned or text.dropna().str.endswith("Z").all():
        return in_utc(values, name, notes)
    utc = _kept(values.dt.tz_localize(None), name)
    offset = _offsets(text)
    bare = np.isnan(offset) & ~np.isnat(utc)
    if bare.any() and not (bare | np.isnat(utc)).all():
        owner = np.zeros(len(utc), np.int64) if owner is None else owner
        utc, offset = _with_neighbors_zone(text, utc, offset, bare, owner, name, notes)
    shift = (np.nan_to_num(offset) * 60 * 10**9).astype(np.int64).astype("timedelta64[ns]")
    return _wall_or_utc(utc, utc + shift, notes)


def by_named_zones(
    text: pd.Series, name: str, read: Callable[[pa.ChunkedArray], np.ndarray], notes: Notes
) -> np.ndarray | None:
    """Stamps with the name of a zone behind each (`2023-03-12 03:00:00 EDT`); None: they have none.

    Args:
        text: stamps, None where there is none.
        name: of the column.
        read: reads stamps without a zone, an Arrow column of text, as datetime64[ns].
        notes: told how the names were read.
    """
    import pandas as pd

    known = text[text.notna()]
    some = [str(value).strip() for value in known.iloc[:: max(1, len(known) // SOME)]]
    if not any(re.match(form, value) for form in (_UNIX, _REGION, _NAMED) for value in some):
        return None
    text = text.astype(object).str.strip().str.replace(_UNIX, r"\1 \3 \2", regex=True)
    if text.str.match(_REGION).fillna(False).any():
        return _of_regions(text, name, read, notes)
    parts = text.str.extract(_NAMED)
    there = text.notna()
    words = parts[1].str.upper()
    if not there.any() or not words[there].isin(list(NAMED)).all() or words[there].isin(("UTC", "GMT")).all():
        return None
    wall = read(pa.chunked_array([pa.array(parts[0], pa.string(), from_pandas=True)]))
    if wall.dtype.kind != "M":
        return None
    counts = words[there].value_counts()
    shown = ", ".join(f"{word} ({count:,} rows) is UTC{NAMED[word]:+g}" for word, count in counts.items())
    several = {"BST", "CST", "IST", "AST"} & set(counts.index) - ({"CST"} if "CDT" in counts.index else set())
    tell = notes.warn if several - ({"BST"} if "GMT" in counts.index else set()) else notes.decide
    tell(
        f"names of zones behind the stamps of column {name!r}: {shown}"
        + ("; write the distance to UTC behind each stamp (+05:30) if another zone is meant" if several else "")
    )
    hours = pd.to_numeric(words.map(NAMED), errors="coerce").fillna(0).to_numpy(np.float64)
    return _wall_or_utc(wall - (hours * 3600).astype(np.int64).astype("timedelta64[s]"), wall, notes)


def _of_regions(
    text: pd.Series, name: str, read: Callable[[pa.ChunkedArray], np.ndarray], notes: Notes
) -> np.ndarray | None:
    """Stamps of one region (`2023-03-12 03:00 America/New_York`); the distance to UTC that stands before it says the same (`-05:00[...]`)."""
    import pandas as pd

    parts = text.str.extract(_REGION)
    plain = pa.chunked_array([pa.array(parts[0].where(text.notna()), pa.string(), from_pandas=True)])
    regions = parts[1].dropna().unique()
    if parts[0].isna().sum() > text.isna().sum():
        return None
    if parts[0].dropna().str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).all():
        return read(plain)
    wall = read(plain)
    if len(regions) != 1 or wall.dtype.kind != "M":
        return None
    try:
        utc = pd.Series(wall).dt.tz_localize(regions[0], ambiguous="infer").dt.tz_convert("UTC").dt.tz_localize(None)
    except (ValueError, KeyError) as error:
        notes.warn(
            f"stamps of column {name!r} are of {regions[0]}, and not all of them are times there ({str(error).splitlines()[0][:80]}): taken as its "
            "clocks say; write the distance to UTC behind each stamp (+02:00) for one time line"
        )
        return wall
    return _wall_or_utc(utc.to_numpy("datetime64[ns]"), wall, notes)


def on_the_wall(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Stamps without the zone that they have, as the clocks there say: for steps of days that a user asks for."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return pc.local_timestamp(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.replace_substring_regex(column, r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$", r"\1")
    return column


def in_utc(values: pd.Series, name: str, notes: Notes) -> np.ndarray:
    """Moments of pandas as datetime64[ns]; a zone that they have is left away (see `_wall_or_utc`)."""
    if getattr(values.dt, "tz", None) is None:
        return _kept(values, name)
    wall = _kept(values.dt.tz_localize(None), name)
    return _wall_or_utc(_kept(values.dt.tz_convert("UTC").dt.tz_localize(None), name), wall, notes)


def _wall_or_utc(utc: np.ndarray, wall: np.ndarray, notes: Notes) -> np.ndarray:
    """Days, months and years begin at midnight where they were counted; an hour that summer time repeats or skips does so on the wall alone.

    Of the two, rows were taken by the one that has fewer times of day: midnight and noon in Berlin are four in UTC.
    """
    if not np.array_equal(utc, wall, equal_nan=True):
        on_wall, in_utc = _times_of_day(wall), _times_of_day(utc)
        if on_wall < in_utc or on_wall == in_utc == 1:
            notes.decide(
                "time stamps with a zone are taken as its clocks say, because they are of the same times of day there"
            )
            return wall
    notes.decide("time stamps with a zone are put on the UTC time line")
    return utc


def _times_of_day(stamps: np.ndarray) -> int:
    """How many times of day these stamps have, without those that fewer than one in a hundred has."""
    ticks = stamps[~np.isnat(stamps)].astype(np.int64) % DAY
    counts = np.unique(ticks, return_counts=True)[1]
    return int((counts >= 0.01 * len(ticks)).sum()) or len(counts)


def _offsets(text: pd.Series) -> np.ndarray:
    """Minutes east of Greenwich that stamps say behind their time, NaN where they say none."""
    import pandas as pd

    codes, ends = pd.factorize(text.str.strip().str[-14:])
    parts = pd.Series(ends, dtype=object).astype(str).str.extract(_OFFSET)
    sign = parts[1].fillna(parts[4])
    hours, minutes = (pd.to_numeric(column).to_numpy(np.float64) for column in (parts[2].fillna(parts[5]), parts[3]))
    each = (hours * 60 + np.nan_to_num(minutes)) * np.where(sign == "-", -1.0, 1.0)
    return np.append(np.where(parts[0].notna().to_numpy(), 0.0, each), np.nan)[codes]  # the code -1: no stamp


def _with_neighbors_zone(
    text: pd.Series, utc: np.ndarray, offset: np.ndarray, bare: np.ndarray, owner: np.ndarray, name: str, notes: Notes
) -> tuple[np.ndarray, np.ndarray]:
    """Stamps without a zone among others that have one: in UTC, or in the zone of the rows beside them, whichever leaves fewer holes."""
    import pandas as pd

    near = pd.Series(offset).ffill().bfill().to_numpy()
    moved = utc.copy()
    moved[bare] -= (near[bare] * 60 * 10**9).astype(np.int64).astype("timedelta64[ns]")
    there = ~np.isnat(utc)
    as_utc, beside = (unevenness(way[there], owner[there]) for way in (utc, moved))
    taken = (
        "UTC" if as_utc < beside or np.array_equal(utc[there], moved[there]) else "the zone of the rows beside them"
    )
    row, other = int(np.argmax(bare)), int(np.argmax(~np.isnan(offset)))
    notes.warn(
        f"{int(bare.sum()):,} of {int(there.sum()):,} stamps in column {name!r} have no zone, such as {text.iloc[row]!r} (row {row}), beside "
        f"{text.iloc[other]!r}: taken to be in {taken}; write the zone behind all of them if that is wrong"
    )
    return (utc, np.nan_to_num(offset)) if taken == "UTC" else (moved, near)


def _kept(values: pd.Series, name: str) -> np.ndarray:
    """datetime64[ns], which ends in 2262: later and earlier years would come back as others."""
    if not values.isna().all() and not (values.min().year >= FIRST and values.max().year <= LAST):
        refuse_far_years(values.dt.year.to_numpy(np.float64), values.astype(str).str.removesuffix(" 00:00:00"), name)
    return values.to_numpy("datetime64[ns]")


def refuse_far_years(years: np.ndarray, written: pd.Series, name: str) -> None:
    """Years `(rows,)`, NaN where there is none, that nanoseconds since 1970 do not reach.

    Raises:
        DataError: names the first of them, or other calendars where most are such years.
    """
    far = (years > LAST) | (years < FIRST)
    if not far.any():
        return
    row, other = int(np.argmax(far)), int(np.argmax(~far & ~np.isnan(years)))
    shown, read = written.iloc[row], f"years are read from {FIRST} to {LAST}"
    if far.sum() > 0.5 * (~np.isnan(years)).sum():
        raise DataError(
            f"Column {name!r} holds time stamps such as {shown!r}; {read}. Are they of another calendar (Persian, Islamic, Hebrew ...)? Write "
            "them in our years, or count the steps 0, 1, 2 ... in a column: timestamp_column=..."
        )
    raise DataError(
        f"Column {name!r} holds {shown!r} (row {row}) among time stamps such as {written.iloc[other]!r} ({int(far.sum()):,} such "
        f"rows): {read}. Leave those rows out, or say that this means a missing value: csv_options={{'na_values': [{shown!r}]}}."
    )
