"""What is known in advance of the steps to be forecast: moved to where a window sees it, or brought in a table of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.table import NAMES, STAMPS, Columns, Table

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

FUTURE = "future"
"""Split name of a table that holds what is known in advance, and nothing to learn from."""


def with_future(parts: list[SourcePart], columns: Columns) -> list[SourcePart]:
    """The rows of tables of what is known in advance behind those of the data, without targets.

    Args:
        columns: as the options name them. Of the further tables they, the covariates known in advance, and columns that are called as
            times and series are usually called are read; whatever else they hold is not known yet.

    Raises:
        DataError: no covariate is known in advance, one is not in the table, or the tables do not fit together.
    """
    later = [part for part in parts if part.split == FUTURE]
    data = [part for part in parts if part.split != FUTURE]
    if not later:
        return parts
    if not columns.known:
        raise DataError(
            "future=... says what is known of the steps ahead, and no column is known in advance. Name them: known_covariates=[...], "
            "when fine-tuning too."
        )
    import datasets
    import pyarrow as pa

    tables = [part.dataset.with_format("arrow")[:] for part in data]
    usual = {*STAMPS, *NAMES, "year", "quarter", "hour", "minute", "second", "time_of_day"}
    for part in later:
        there = part.dataset.column_names
        if lacking := [name for name in columns.known if name not in there]:
            raise DataError(
                f"future=... has no column {', '.join(lacking)}, only {', '.join(there)}. It must hold every covariate known in advance."
            )
        named = {*columns.known, columns.stamp, columns.name, columns.time}
        wanted = [name for name in there if name in named or name.strip().lower() in usual]
        tables.append(part.dataset.select_columns(wanted).with_format("arrow")[:])
    try:
        joined = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"future=... does not fit the data: {error}. Write its columns as those of the data are written."
        ) from error
    return [replace(data[0], dataset=datasets.Dataset(joined))]


def shift_known(table: Table, horizon: int) -> None:
    """Move the channels that are known in advance `horizon` steps to the past: a window then carries what is known of its future.

    A covariate known in advance (a holiday, a price) is of use at the steps to be forecast, which a model that sees only
    the past would never read.

    Raises:
        DataError: such a value is missing at a step that is to be forecast from observed values.
    """
    known = table.known
    for item in table.series:
        moved = np.full_like(item.values[-known:], np.nan)
        moved[:, :-horizon] = item.values[-known:, horizon:]
        gaps = np.isnan(item.values[-known:]).any(axis=0) & ~np.isnan(item.values[: table.targets]).all(axis=0)
        if gaps.any():
            raise DataError(
                f"Series {item.name!r}: a known covariate ({', '.join(table.channels[-known:])}) has no value at {int(gaps.sum()):,} "
                "steps that have a target. What is called known must be known for every step to be forecast; give it as "
                "past_covariates if it is only known afterwards."
            )
        item.values[-known:] = moved
