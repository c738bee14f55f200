"""Columns of a table of moments that nobody uses and that look like labels: named, and told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.table import FILE, Columns, series_column

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import SourcePart

HEAD = 10_000
"""Rows that say of most columns how many different values they hold."""
MOST = 50
"""Different values that labels of moments may have."""
LABELS = re.compile(
    r"(?:.*[_ ])?(?:label|labels|class|activity|activities|state|status|phase|stage|mode|regime|event|events|fault|failure|anomaly|"
    r"is_anomaly|outlier|condition|behavio(?:u)?r|gesture|annotation|target_class|y_true|quality|qc|flags?|q_?flag|valid|validity|good|bad|alarm|"
    r"error|err|qualit(?:ä|ae)t|g(?:ü|ue)ltig)(?:[_ ]?(?:id|code|flag|bit))?",
    re.IGNORECASE,
)


def tell_labels_as_channels(values: np.ndarray, targets: list[str], columns: Columns, report: Notes) -> None:
    """Channels `(rows, channels)` that are called as labels are and hold a few whole numbers: unless the user named them."""
    if columns.targets or len(targets) < 2:
        return
    for place, name in enumerate(targets):
        known = values[~np.isnan(values[:, place]), place]
        if LABELS.fullmatch(name.strip()) and len(np.unique(known[:100_000])) <= MOST and (known % 1 == 0).all():
            report.warn(
                f"column {name!r} holds {len(np.unique(known)):,} whole numbers, as labels of moments do: taken for a channel like the others; "
                f"ignore_columns=[{name!r}] leaves it out, target_columns={targets} says that this is meant"
            )


def tell_classes_of_series(parts: Sequence[SourcePart], label: str | None, used: Sequence[str], report: Notes) -> None:
    """Classes of whole series, as files for classification have, which a forecast does not look at."""
    found: dict[str, set[object]] = {}
    for part in parts:
        there = part.dataset.column_names
        name = label if label in there else next((one for one in ("label", "class") if one in there), None)
        if name and name not in used and series_column(part.dataset, None) not in (None, name):
            found.setdefault(name, set()).update(value for value in part.dataset[name] if value is not None)
    for name, values in found.items():
        if len(values) < 2:
            continue
        report.facts["ignored_columns"] = sorted({*report.facts.get("ignored_columns", ()), name})
        report.warn(
            f"column {name!r} holds {len(values):,} classes of series, such as {min(map(str, values))!r}, and is not used: horizon=... asks for "
            f"forecasts. Without horizon they are classified; ignore_columns=[{name!r}] says that this is meant"
        )


def label_words(column: pa.ChunkedArray, name: str) -> list[object] | None:
    """The few values of a column that is called as labels are, or holds words; None: it is none of those."""
    if pa.types.is_floating(column.type) or pa.types.is_nested(column.type) or name.startswith("Unnamed"):
        return None
    if len(column.slice(0, HEAD).unique()) > MOST + 1:
        return None
    several = list(column.to_pandas().dropna().unique())
    words = any(isinstance(value, str) and not re.fullmatch(r"[-+\d.,]*", value.strip()) for value in several[:MOST])
    few = 2 <= len(several) <= min(MOST, len(column) // 5)
    return several if few and (words or LABELS.fullmatch(name.strip())) else None


def tell_unused(frame: pa.Table, names: np.ndarray, used: set[str | None], columns: Columns, report: Notes) -> None:
    """Labels of moments (`activity`: walk, run, walk) that change inside a series are no part of a forecast, nor the series' own label."""
    import pandas as pd

    rest = [name for name in frame.column_names if name not in used and name not in (*columns.ignore, FILE)]
    if rest:
        report.facts["ignored_columns"] = sorted(rest)
    owner = pd.factorize(names)[0]
    for name in rest:
        several = label_words(frame.column(name), name)
        if several is None:
            continue
        values = frame.column(name).to_pandas()
        inside = pd.Series(pd.factorize(values)[0]).groupby(owner).nunique()
        changing = int((inside > 1).sum())
        if changing:
            report.warn(
                f"column {name!r} ({', '.join(map(str, several[:4]))}{' ...' if len(several) > 4 else ''}) changes inside {changing:,} of "
                f"{len(inside):,} series, as labels of moments do, and is not used; cut the series at its changes to classify them, "
                f"past_covariates takes a column of numbers, ignore_columns=[{name!r}] says that this is meant"
            )
