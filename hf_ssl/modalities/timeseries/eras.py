"""Time stamps of other calendars than ours, of astronomers' day counts, and words among them: told before they are read as something else."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import MISSING
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.spellings import is_period
from hf_ssl.modalities.timeseries.stamps import StampOptions, read_stamps
from hf_ssl.modalities.timeseries.zones import FIRST, LAST

BUDDHIST, REPUBLIC = 543, 1911
MANY = 200_000
DAY_COUNTS = {"julian": 2_440_587.5, "mjd": 40_587.0}
"""Astronomers' number of 1970-01-01: Julian days begin at noon, modified ones at midnight."""
_BE = r"(?:2[45]\d\d|26[0-4]\d)"
_BUDDHIST = re.compile(rf"^(?P<a>{_BE})(?=[-/.年])|(?<=[-/. ])(?P<b>{_BE})(?=$|[ T,])")
_BUDDHIST_DIGITS = re.compile(r"(2[45](?:1[3-9]|[2-9]\d)|26[0-4]\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])?")
_OURS = r"(?:^|[^\d])(?:1[6-9]|2[01])\d\d(?:[^\d]|$)"
_JAPANESE = re.compile(r"(明治|大正|昭和|平成|令和)(元|\d{1,2})年")
_BEGINS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
SPLIT_YEAR = re.compile(r"(?:FY ?)?((?:1[5-9]|2[012])\d\d) ?[-/–] ?(\d\d|\d{4})")
"""A season, a fiscal year, a school year."""
_REPUBLIC = re.compile(r"^(?:民國|民国)?\s?(\d{2,3})(?=[-/.年])")
_SUMS = r"(?i)\b(?:sub)?-?(?:total|sum|summe|gesamt|mean|average|avg|std|median|min|max|count|totale|suma|somme|mittel|mittelwert|all)\b"


def moments_of(
    column: pa.ChunkedArray | pa.Array, name: str, options: StampOptions, owner: np.ndarray, notes: Notes
) -> np.ndarray:
    """`read_stamps` of a column whose years are ours, and which holds stamps alone.

    Raises:
        DataError: words or sums stand among the stamps, years lie outside 1678 to 2261, or `read_stamps` cannot read them.
    """
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if text:
        column = in_plain_digits(column, name, notes)
        _refuse_persian(column, name)
        refuse_strangers(column, name)
    if (counted := _day_counts(column, name, options, notes)) is not None:
        return counted
    if pa.types.is_integer(column.type) and options.unit is None:
        column = _digits_of_our_era(column, name, notes)
    elif text and options.unit is None:
        column = _of_our_era(column, name, notes)
    try:
        return read_stamps(column, name, options, owner, notes)
    except DataError:
        if text:
            _refuse_days_that_are_none(column, name)
        raise


def in_plain_digits(column: pa.ChunkedArray | pa.Array, name: str, notes: Notes) -> pa.ChunkedArray | pa.Array:
    """Stamps whose digits are Persian, Arabic, Thai, wide ones, with those of ours."""
    head = [value for value in column.slice(0, 50).to_pylist() if value]
    others = {letter for value in head for letter in value if letter.isdecimal() and not letter.isascii()}
    if not others:
        return column
    zeros = {ord(letter) - int(letter) for letter in others}
    table = {zero + digit: str(digit) for zero in zeros for digit in range(10)}
    made = [value if value is None else value.translate(table) for value in column.to_pylist()]
    notes.decide(f"digits in column {name!r} are read as ours: {head[0]!r} as {head[0].translate(table)!r}")
    return pa.chunked_array([pa.array(made, pa.string())])


def _refuse_persian(column: pa.ChunkedArray | pa.Array, name: str) -> None:
    """1402/01/15: the Persian calendar has other months than ours, and the Islamic one other years.

    Raises:
        DataError: all years are theirs.
    """
    head = [value for value in column.slice(0, 50).to_pylist() if value]
    if head and all(re.match(r"\s*1[34]\d\d[-/.]", value) for value in head):
        raise DataError(
            f"Column {name!r} holds time stamps such as {head[0]!r}, years of the Persian or Islamic calendar: they have to be written as dates of "
            "ours (2023-04-04), or numbered: a column with the steps 0, 1, 2 ... is named by timestamp_column=..."
        )


# -- words and sums -----------------------------------------------------------------------------------------------------


def refuse_strangers(column: pa.ChunkedArray | pa.Array, name: str) -> None:
    """Words (`Total`, units, `today`), and the year of a sum below its months, among stamps that are written otherwise.

    Raises:
        DataError: names them, a stamp beside them, and what leaves their rows out.
    """
    values = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    if len(values) > MANY:
        # Of many rows only those of another length are looked at, one by one: the others cost more than reading them does.
        lengths = pc.utf8_length(values)
        usual = pc.mode(lengths)[0]["mode"].as_py() if len(values) > values.null_count else 0
        odd = values.filter(pc.not_equal(lengths, usual))
        if not len(odd) or not pc.any(_strange(odd, usual)).as_py():
            return
    usual = pc.quantile(pc.utf8_length(values), 0.5)[0].as_py()
    strange = _strange(values, usual or 0)
    count = pc.sum(strange).as_py() or 0
    known = len(values) - values.null_count
    if not count or count > 0.5 * known:
        return
    rows = np.flatnonzero(strange.to_numpy())
    words = list(dict.fromkeys(values.take(pa.array(rows)).to_pylist()))
    good = values.filter(pc.and_(pc.is_valid(values), pc.invert(strange)))[0].as_py()
    shown = ", ".join(f"{word!r}" for word in words[:3]) + (" ..." if len(words) > 3 else "")
    out = (
        f"To leave them out of a file: csv_options={{'na_values': {{{name!r}: {words}}}}}."
        if len(words) <= 30
        else "Leave them out."
    )
    raise DataError(
        f"Column {name!r} holds {shown} in {count:,} of {len(values):,} rows (the first is row {rows[0]}) among time stamps such as "
        f"{good!r}: units, sums or notes? {out}"
    )


def _strange(values: pa.ChunkedArray, usual: int) -> pa.ChunkedArray:
    """Which values hold no digit, are called as a sum, or are a year alone where most are `usual` characters long."""
    strange = pc.or_(pc.invert(pc.match_substring_regex(values, r"\d")), pc.match_substring_regex(values, _SUMS))
    if usual > 6:
        strange = pc.or_(strange, pc.match_substring_regex(values, r"^\s*(?:FY ?)?\d{4}(?:\.0)?\s*$"))
    missing = pc.is_in(pc.utf8_trim_whitespace(values), pa.array(sorted(MISSING)))
    return pc.and_(strange, pc.invert(missing)).fill_null(False)


def _refuse_days_that_are_none(column: pa.ChunkedArray | pa.Array, name: str) -> None:
    """`2023-02-29`, `31/04/2023` among dates: one of them makes all others look unreadable.

    Raises:
        DataError: names them.
    """
    texts = column.to_pandas()
    parts = texts.str.strip().str.extract(r"^(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?!\d)").astype(float).to_numpy()
    dated = ~np.isnan(parts).any(axis=1)
    if dated.sum() < 0.9 * texts.notna().sum():
        return
    orders = [order for order in ((0, 1, 2), (2, 1, 0), (2, 0, 1)) if (parts[dated, order[0]] >= 1000).all()]
    found = [dated & ~_exist(*(parts[:, place] for place in order)) for order in orders]
    wrong = min(found, key=lambda one: one.sum(), default=np.zeros(0, bool))
    if not wrong.any() or wrong.sum() > 0.1 * dated.sum():
        return
    words = list(dict.fromkeys(texts[wrong]))
    out = (
        f" To leave them out of a file: csv_options={{'na_values': {{{name!r}: {words}}}}}."
        if len(words) <= 30
        else ""
    )
    raise DataError(
        f"Column {name!r} holds {', '.join(map(repr, words[:3]))}{' ...' if len(words) > 3 else ''} in {int(wrong.sum()):,} of {len(texts):,} rows "
        f"(the first is row {int(np.argmax(wrong))}): there is no such day. Write the day that is meant.{out}"
    )


def _exist(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Whether each is a day of the calendar; NaN is none."""
    fine = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (year >= FIRST) & (year <= LAST)
    months = (np.where(fine, year, 1970) - 1970) * 12 + np.where(fine, month, 1) - 1
    first = months.astype(np.int64).astype("datetime64[M]")
    length = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    return np.asarray(fine & (np.where(fine, day, 1) <= length))


# -- eras ---------------------------------------------------------------------------------------------------------------


def _of_our_era(column: pa.ChunkedArray | pa.Array, name: str, notes: Notes) -> pa.ChunkedArray | pa.Array:
    """Buddhist years (2566), those of Japanese emperors (令和5年) and of the Republic of China (112/03/01), where all rows have them."""
    first = next((value for value in column.slice(0, 200).to_pylist() if value and value.strip()), None)
    if first is None:
        return column
    first = first.strip()
    if _BUDDHIST_DIGITS.fullmatch(first) and _all(column, f"^{_BUDDHIST_DIGITS.pattern}$"):
        made = [None if v is None else f"{int(v[:4]) - BUDDHIST}{v.strip()[4:]}" for v in column.to_pylist()]
        return _told(made, first, "the Buddhist era", name, notes)
    if (split := SPLIT_YEAR.fullmatch(first)) and _follows(split):
        texts = [None if not value else value.strip() for value in column.to_pylist()]
        found = [None if text is None else SPLIT_YEAR.fullmatch(text) for text in texts]
        if all(text is None or match and _follows(match) for text, match in zip(texts, found, strict=True)):
            notes.warn(f"column {name!r} holds two years such as {first!r}: read by the first of them, {split[1]}")
            return pa.array([None if match is None else f"{match[1]}-01-01" for match in found], pa.string())
    for pattern, what in (
        (_BUDDHIST, "the Buddhist era"),
        (_JAPANESE, "Japanese eras"),
        (_REPUBLIC, "years of the Republic of China"),
    ):
        if not pattern.search(first) or pattern is _BUDDHIST and re.search(_OURS, first):
            continue
        if pattern is _REPUBLIC and (not re.match(r"民|\d{3}\D", first) or is_period(first)):
            continue
        texts = column.to_pylist()
        if all(not value or pattern.search(value.strip()) for value in texts):
            made = [None if value is None else pattern.sub(_in_our_years, value.strip()) for value in texts]
            return _told(made, first, what, name, notes)
    return column


def _follows(split: re.Match[str]) -> bool:
    """`1970/71`, and not `1970/12`."""
    return int(split[2]) % 100 == (int(split[1]) + 1) % 100


def _in_our_years(match: re.Match[str]) -> str:
    if match.re is _BUDDHIST:
        return str(int(match["a"] or match["b"]) - BUDDHIST)
    if match.re is _JAPANESE:
        return f"{_BEGINS[match[1]] + (1 if match[2] == '元' else int(match[2]))}年"
    return str(int(match[1]) + REPUBLIC)


def _all(column: pa.ChunkedArray | pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(column), pattern)).as_py())


def _told(made: list[str | None], first: str, what: str, name: str, notes: Notes) -> pa.Array:
    notes.warn(
        f"column {name!r} holds dates such as {first!r}: read as {what}, {next(filter(None, made))}; write them in our years if that is wrong"
    )
    return pa.array(made, pa.string())


def _digits_of_our_era(column: pa.ChunkedArray | pa.Array, name: str, notes: Notes) -> pa.ChunkedArray | pa.Array:
    """`25660301` as a number."""
    if not len(column) - column.null_count:
        return column
    low, high = (value.as_py() for value in pc.min_max(column).values())
    if not (251_301 <= low <= high <= 264_312 or 25_130_101 <= low <= high <= 26_431_231):
        return column
    return _of_our_era(column.cast(pa.string()), name, notes)


# -- day counts ---------------------------------------------------------------------------------------------------------


def _day_counts(
    column: pa.ChunkedArray | pa.Array, name: str, options: StampOptions, notes: Notes
) -> np.ndarray | None:
    """Julian days and modified ones -> datetime64[ns]; None: these are none.

    Raises:
        DataError: they may be, and nothing says so.
    """
    import pandas as pd

    words = set(re.split(r"[\W_]+", name.strip().lower()))
    named = "mjd" if "mjd" in words else "julian" if words & {"jd", "bjd", "hjd", "julian"} else None
    if options.format is not None or options.unit not in (None, *DAY_COUNTS):
        return None
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not text and not pa.types.is_floating(column.type) and not pa.types.is_integer(column.type):
        return None
    head = column.slice(0, 20).to_pylist()
    if options.unit is None and named is None and not all(v is None or str(v).strip().startswith("24") for v in head):
        return None
    values = pd.to_numeric(column.to_pandas(), errors="coerce")
    numbers = values.to_numpy(np.float64)
    known = numbers[~np.isnan(numbers)]
    if options.unit is None:
        unit = named or "julian"
        days = known - DAY_COUNTS[unit]
        if (
            not len(known)
            or known.size < len(column) - column.null_count
            or days.min() < -25_568
            or days.max() > 47_482
        ):
            return None  # 1900 to 2100
        when = str(_after_1970(days[:1])[0].astype("datetime64[s]")).replace("T", " ")
        if named is None:
            if (known % 1 == 0).all():
                return None
            seconds = str(np.datetime64(int(known[0]), "s")).replace("T", " ")
            raise DataError(
                f"Column {name!r} holds numbers such as {known[0]}: Julian days ({when}: timestamp_unit='julian'), or seconds "
                f"({seconds}: timestamp_unit='s')? Say which."
            )
        what = "modified Julian days" if unit == "mjd" else "Julian days"
        notes.warn(
            f"column {name!r} holds numbers such as {known[0]}: read as {what}, {when} (timestamp_unit={unit!r} says so)"
        )
    else:
        unit = str(options.unit)
        far = np.abs(known - DAY_COUNTS[unit]) > 106_750  # nanoseconds reach 292 years
        if far.any():
            raise DataError(
                f"Column {name!r} holds {known[far][0]:.10g}: as timestamp_unit={unit!r} that is beyond the years {FIRST} to {LAST}. Name "
                "another unit, or leave it out."
            )
    made = np.full(len(numbers), np.datetime64("NaT"), "datetime64[ns]")
    made[~np.isnan(numbers)] = _after_1970(known - DAY_COUNTS[unit])
    return made


def _after_1970(days: np.ndarray) -> np.ndarray:
    # Six decimals of a day are a tenth of a second; steps are of whole ones.
    return (np.rint(days * 86_400).astype(np.int64) * 10**9).astype("datetime64[ns]")
