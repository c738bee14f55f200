"""Figures of series and of vectors as SVG text: no plotting package, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

# Okabe and Ito (2008): distinguishable with every common color vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
WIDTH, HEIGHT, MARGIN = 640, 320, 48


class _Plane:
    """A page with axes; data coordinates in, SVG text out."""

    def __init__(self, title: str, told: str, x: np.ndarray, y: np.ndarray, x_label: str, y_label: str) -> None:
        self.low = np.array([np.nanmin(x), np.nanmin(y)], dtype=np.float64)
        self.span = np.maximum(np.array([np.nanmax(x), np.nanmax(y)]) - self.low, 1e-12)
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title><desc>{escape(told)}</desc>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{MARGIN}" y="20" font-size="14" font-weight="bold" fill="#222">{escape(title)}</text>',
            f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end" fill="#444">{escape(x_label)}</text>',
            f'<text x="{MARGIN}" y="36" fill="#444">{escape(y_label)}</text>',
        ]
        for share in (0.0, 0.5, 1.0):
            value = self.low[1] + share * self.span[1]
            height = self.at(self.low[0], value)[1]
            self.lines.append(f'<path d="M{MARGIN} {height:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
            self.lines.append(
                f'<text x="{MARGIN - 4}" y="{height + 4:.1f}" text-anchor="end" fill="#444">{value:.3g}</text>'
            )
            across = self.at(self.low[0] + share * self.span[0], value)[0]
            self.lines.append(
                f'<text x="{across:.1f}" y="{HEIGHT - 26}" text-anchor="middle" fill="#444">{self.low[0] + share * self.span[0]:.4g}</text>'
            )

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = MARGIN + (x - self.low[0]) / self.span[0] * (WIDTH - 2 * MARGIN)
        return across, HEIGHT - 40 - (y - self.low[1]) / self.span[1] * (HEIGHT - 84)

    def line(self, x: np.ndarray, y: np.ndarray, color: str, name: str, dash: str = "") -> None:
        """A line, broken where a value is missing, with its name in the legend."""
        pieces, fresh = [], True
        for a, b in zip(x, y, strict=True):
            if np.isnan(b):
                fresh = True
                continue
            left, up = self.at(a, b)
            pieces.append(f"{'M' if fresh else 'L'}{left:.1f} {up:.1f}")
            fresh = False
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.lines.append(f'<path d="{"".join(pieces)}" fill="none" stroke="{color}" stroke-width="1.6"{dashed}/>')
        self.name(name, color)

    def band(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, color: str) -> None:
        there = [self.at(a, b) for a, b in zip(x, high, strict=True)] + [
            self.at(a, b) for a, b in zip(x[::-1], low[::-1], strict=True)
        ]
        points = " ".join(f"{left:.1f},{up:.1f}" for left, up in there)
        self.lines.append(f'<polygon points="{points}" fill="{color}" fill-opacity="0.18"/>')

    def name(self, text: str, color: str) -> None:
        count = sum("legend" in line for line in self.lines)
        left = MARGIN + 70 + 110 * count
        self.lines.append(f'<text class="legend" x="{left}" y="36" fill="{color}">{escape(text)}</text>')

    def svg(self) -> str:
        return "\n".join([*self.lines, "</svg>\n"])


def forecast_fan(
    past: np.ndarray,
    truth: np.ndarray,
    forecast: np.ndarray,
    quantiles: np.ndarray | None = None,
    title: str = "Forecast",
) -> str:
    """History, truth and forecast of one channel, with the pairs of quantiles as bands.

    Args:
        past: `(context,)`; truth, forecast: `(horizon,)`, NaN where missing.
        quantiles: `(horizon, levels)`, rising.
    """
    before, after = np.arange(-len(past), 0), np.arange(len(truth))
    heights = [past, truth, forecast] + ([quantiles.ravel()] if quantiles is not None else [])
    told = f"mean absolute error {np.nanmean(np.abs(truth - forecast)):.3g} over {len(truth)} steps"
    plane = _Plane(title, told, np.concatenate([before, after]), np.concatenate(heights), "steps from now", "")
    if quantiles is not None:
        for place in range(quantiles.shape[1] // 2):
            plane.band(after, quantiles[:, place], quantiles[:, -1 - place], COLOURS[1])
    plane.line(before, past, "#444", "history")
    plane.line(after, truth, COLOURS[0], "truth")
    plane.line(after, forecast, COLOURS[1], "forecast", "6 3")
    return plane.svg()


def error_by_step_figure(errors: dict[str, np.ndarray]) -> str:
    """Mean absolute error of every step ahead, one line per forecaster, `(horizon,)` each."""
    horizon = max(len(values) for values in errors.values())
    told = "; ".join(f"{name}: {np.nanmean(values):.3g} on average" for name, values in errors.items())
    heights = np.concatenate([[0.0], *errors.values()])
    plane = _Plane(
        "Error by step ahead",
        told,
        np.array([1, max(2, horizon)]),
        heights,
        "steps ahead",
        "absolute error, standardized",
    )
    for place, (name, values) in enumerate(errors.items()):
        plane.line(
            np.arange(1, len(values) + 1), values, COLOURS[place % len(COLOURS)], name, "" if place == 0 else "6 3"
        )
    return plane.svg()


def embedding_map(vectors: np.ndarray, labels: Sequence[Any] | None = None, title: str = "Embedding map") -> str:
    """The two main directions of the vectors (standardized, principal components), colored by label.

    Args:
        vectors: `(n, d)`.
        labels: `(n,)`, or None.
    """
    centered = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-8)
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    points = left[:, :2] * values[:2]
    points = points * np.sign(
        points[np.abs(points).argmax(axis=0), range(points.shape[1])]
    )  # the sign of a direction is arbitrary
    share = values[:2] ** 2 / (values**2).sum()
    names = list(dict.fromkeys(labels)) if labels is not None else [""]
    told = f"{len(vectors)} examples, {len(names)} classes, {share.sum():.0%} of the variance shown"
    plane = _Plane(title, told, points[:, 0], points[:, 1], f"first ({share[0]:.0%})", f"second ({share[1]:.0%})")
    for place, name in enumerate(names):
        color = COLOURS[place % len(COLOURS)]
        chosen = points if labels is None else points[[label == name for label in labels]]
        for point in chosen:
            left_, up = plane.at(*point)
            plane.lines.append(f'<circle cx="{left_:.1f}" cy="{up:.1f}" r="2.2" fill="{color}" fill-opacity="0.6"/>')
        if place < 5 and name != "":
            plane.name(str(name), color)
    return plane.svg()
