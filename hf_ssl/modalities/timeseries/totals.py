"""A series or channel that is the sum of the others (`Total`, `Gesamt`, `All`): counted twice in every score, so it is told."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hf_ssl.modalities.base import Notes
from hf_ssl.modalities.timeseries.grid import Series

_NAMED = re.compile(
    r"(?:the |grand |sub-?)?(?:total|totals|totale|totaal|gesamt|gesamtsumme|insgesamt|summe|sum|suma|somme|all|alle|overall|ensemble|"
    r"aggregate|average|mean|mittel|mittelwert|durchschnitt|avg)(?: (?:total|sum|general))?",
    re.IGNORECASE,
)
WIDEST = 2000


def tell_total_channels(values: np.ndarray, names: Sequence[str], chosen: bool, report: Notes) -> None:
    """Channels `(rows, channels)`: one of them that sums up or averages the others, unless the user named them all."""
    if chosen or not 3 <= len(names) <= WIDEST:
        return
    others = list(names)
    told = []
    for place, how in _summing(values.T, names):
        others.remove(names[place])
        told.append(f"column {names[place]!r} {how}")
    if told:
        report.warn(
            f"{'; '.join(told)}: taken for {'channels' if len(told) > 1 else 'a channel'} like the others; target_columns={others} leaves "
            f"{'them' if len(told) > 1 else 'it'} out"
        )


def tell_total_series(series: Sequence[Series], report: Notes) -> None:
    """Series of one column of names: one of them that sums up or averages the others."""
    if not 3 <= len(series) <= WIDEST:
        return
    first = min(item.place for item in series)
    length = max(item.place + item.values.shape[1] for item in series) - first
    if length * len(series) > 20_000_000 or series[0].values.shape[0] > 20:
        return
    grid = np.full((len(series), length), np.nan, np.float32)
    for row, item in enumerate(series):
        start = item.place - first
        grid[row, start : start + item.values.shape[1]] = item.values[0]
    names = [item.name for item in series]
    found = _summing(grid, names)
    told = [f"series {names[place]!r} {how}" for place, how in found]
    out = [names[place] for place, _ in found]
    if told:
        report.warn(
            f"{'; '.join(told)}: taken for {'series' if len(told) > 1 else 'a series'} like the others; skip_items={out} leaves "
            f"{'them' if len(told) > 1 else 'it'} out"
        )


def _summing(rows: np.ndarray, names: Sequence[str]) -> list[tuple[int, str]]:
    """Which of `(series, steps)` sum up or average the others, and how it is said; by name alone where the numbers do not."""
    rows = rows.astype(np.float64)
    named = [place for place, name in enumerate(names) if _NAMED.fullmatch(name.strip())]
    plain = [place for place in range(len(names)) if place not in named]
    if len(plain) < 2:
        return []
    parts = rows[plain]
    if named:
        return [
            (
                place,
                _how(rows[place], parts, f"the other {len(plain)}") or "is called as a sum of the others, and is none",
            )
            for place in named
        ]
    # Whatever it is called: twice the total is the sum of all.
    full = ~np.isnan(rows).any(axis=0)
    if full.sum() < 10:
        return []
    halves = rows[:, full].sum(axis=0) / 2
    size = np.abs(rows[:, full]).sum(axis=0) / 2
    allowed = 1e-4 * size + 0.51 * sum(map(_digit, rows[:, full])) + 1e-9
    near = (np.abs(rows[:, full] - halves) <= allowed).mean(axis=1)
    moving = rows[:, full].std(axis=1) > 10 * allowed.mean()
    return [
        (int(place), f"is the sum of the other {len(names) - 1}")
        for place in np.flatnonzero((near >= 0.98) & moving)[:1]
    ]


def _how(total: np.ndarray, parts: np.ndarray, others: str) -> str | None:
    known = ~np.isnan(total) & ~np.isnan(parts).any(axis=0)
    if known.sum() < 2:
        return None
    size = np.abs(parts[:, known]).sum(axis=0)
    for what, made in (("sum", parts[:, known].sum(axis=0)), ("mean", parts[:, known].mean(axis=0))):
        allowed = 1e-3 * size + 0.51 * len(parts) * _digit(parts[:, known])
        allowed = (allowed if what == "sum" else allowed / len(parts)) + 0.51 * _digit(total[known])
        if (np.abs(total[known] - made) <= allowed).mean() >= 0.9:
            return f"is the {what} of {others}"
    return None


def _digit(values: np.ndarray) -> float:
    """The last digit that values are written with, 0.01 say, as far as it is not below 1e-6."""
    some = values.ravel()[:2000]
    return next(
        (
            10.0**-digits
            for digits in range(7)
            if np.allclose(some, np.round(some, digits), rtol=0, atol=1e-3 * 10.0**-digits)
        ),
        0.0,
    )
