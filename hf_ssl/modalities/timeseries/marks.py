"""Values that instruments write where nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_ssl.modalities.base import Notes

MARKS = (
    -999.0, -9999.0, -99.0, -999.9, -99.9, 9999.0, 99999.0, 999999.0, -99999.0, 999.9, 32767.0, -32768.0, -32767.0, 32768.0, 65535.0, 65534.0,
    2147483647.0, -2147483648.0, 4294967295.0, 1e20, 1e30, -1e30, 1e31, 9.96920996838687e36, 3.4028234663852886e38, -3.4028234663852886e38,
)  # fmt: skip


def tell_marks(values: np.ndarray, names: Sequence[str], report: Notes) -> None:
    """Values such as -999 far from all others: marks of instruments for what is missing, as a rule; all of a column are told at once."""
    marks = np.array(MARKS, np.float32)
    for place, name in enumerate(names):
        column = values[:, place]
        there = np.isin(column, marks)
        rest = column[~there & ~np.isnan(column)]
        if not there.any() or len(rest) < 10 or there.sum() > 0.5 * len(column):
            continue
        low, high = float(rest.min()), float(rest.max())
        far = 3 * max(high - low, 1.0)
        counts = {
            mark: int((column == np.float32(mark)).sum()) for mark in MARKS if mark < low - far or mark > high + far
        }
        found = [mark for mark, count in counts.items() if count > 1]
        if not found:
            continue
        found += [mark for mark, count in counts.items() if count == 1]
        shown = " and ".join(f"{counts[mark]:,} are {mark:.10g}" for mark in found)
        report.warn(
            f"column {name!r}: {sum(counts.values()):,} values lie far from all others ({low:g} to {high:g}): {shown}; read as they are; "
            f"na_values={[f'{mark:.10g}' for mark in found]} says that they are missing"
        )
