"""Columns of a table of moments as numbers: what means that nothing was measured, and what to say about other words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import MISSING, NotNumbers, is_amount, read_numbers, refuse_dot_thousands
from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.channels import is_text
from hf_ssl.modalities.timeseries.lines import is_number

if TYPE_CHECKING:
    import pandas as pd

_MARKED = re.compile(r"[-+]?\d[\d.,]*\s?[^\d\s.,+-]{1,3}")
"""A number and what stands behind it: `12.3*`, `12.3 E`."""
MANY = 0.05
"""Share of missing values that is told."""
_SAID = frozenset({"", "NaN", "nan", "NAN", "<NA>", "#N/A", "NaT"})
"""Words that programs write for nothing, and nobody for something."""


@dataclass(frozen=True)
class Asked:
    """What reading a column needs to know beside it.

    Attributes:
        apart: how series could be told apart, for the error.
        numeric: the columns that hold numbers, for the error.
        na: words and numbers that the user says mean a missing value.
    """

    apart: str
    numeric: Callable[[], list[str]]
    na: tuple[str, ...] = ()


def read_values(column: pa.ChunkedArray, name: str, origin: str, asked: Asked, report: Notes) -> np.ndarray:
    """A column as float32; `?`, `NA` and empty fields are missing values, a decimal comma and thousands are understood.

    Args:
        asked: what the user says is missing, and what the error needs.

    Raises:
        DataError: other text, with its row.
    """
    import pandas as pd

    kind = column.type
    if pa.types.is_decimal(kind):
        column, kind = column.cast(pa.float64()), pa.float64()
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan, np.float32)
    if not is_text(column):
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise DataError(
                f"Column {name!r} of {origin} holds {column.type}, not numbers. Choose the columns of "
                f"values: target_columns={asked.numeric() or '...'}."
            )
        values = column.to_pandas()
        numbers = (values.astype("float64") if pa.types.is_boolean(kind) else values).to_numpy(np.float64)
        return _finite(_without(numbers, asked.na), name)
    text = column.to_pandas()
    if asked.na:
        text = text.where(~text.str.strip().isin(asked.na))
    numbers = pd.to_numeric(text, errors="coerce")
    wrong = numbers.isna() & text.notna() & ~text.str.strip().isin(MISSING) if numbers.isna().any() else None
    if wrong is not None:
        _tell_missing(text[numbers.isna() & text.notna()].str.strip(), len(text), name, report)
    if wrong is None or not wrong.any():
        if told := refuse_dot_thousands(text.iloc[:5000], name):
            report.warn(told)
        return _finite(_without(numbers.to_numpy(np.float64), asked.na), name)
    try:
        values, note = read_numbers([None if value is None or value != value else value for value in text], name)
    except NotNumbers as error:
        second = error.row == 0 and int(wrong.sum()) == 1
        units = " If that row is a second header or holds units: csv_options={'skiprows': [1]}." if second else ""
        other = "Write numbers alone into it, and nothing where a value is missing."
        if not asked.apart and (others := asked.numeric()):
            other = f"The columns of numbers alone: target_columns={others}" + (
                f"; if it names the series: item_column={name!r}."
                if text.nunique() == 1 and not re.match(r"\d{4}-\d\d-\d\d", str(text.iloc[0]))
                else "."
            )
        wrong &= ~text.fillna("").map(is_amount)
        words = list(text[wrong].str.strip().unique())
        if words and all(map(_MARKED.fullmatch, words)):
            other = f"These are numbers with a mark or a unit behind them, {words[0]!r}: write those into a column of their own. {other}"
        elif 0 < len(words) <= 12 and wrong.sum() <= 0.5 * text.notna().sum() and not second:
            other = f"If {'it means' if len(words) == 1 else 'they mean'} that nothing was measured: na_values={words}. {other}"
        raise DataError(f"{error} in {origin}.{units} {asked.apart or other}") from error
    if note:
        report.warn(note)
    return _finite(_without(np.array(values), asked.na), name)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    """float32; numbers that are infinite are refused, because nobody measures them."""
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(
            f"Column {name!r} holds an infinite number (row {row}). Leave the field empty if the value is missing."
        )
    return values.astype(np.float32)


def _without(values: np.ndarray, na: tuple[str, ...]) -> np.ndarray:
    """NaN for numbers that the user says mean nothing, however they are written (-999 is -999.0)."""
    marks = [float(word) for word in na if is_number(word)]
    return np.where(np.isin(values, marks), np.nan, values) if marks else values


def _tell_missing(words: pd.Series, rows: int, name: str, report: Notes) -> None:
    """Words such as `-` that are taken for missing in more than a few rows."""
    counts = words[words.isin(MISSING - _SAID)].value_counts()
    if counts.sum() > MANY * rows:
        shown = " and ".join(f"{count:,} are {word!r}" for word, count in counts.head(3).items())
        report.warn(
            f"column {name!r}: of {rows:,} values {shown}: taken for missing; na_values={list(counts.index[:3])} says that this is meant, write 0 "
            "for them if they are zeros"
        )
