"""Small plots as SVG text: no plotting package, the same bytes for the same numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Scale = Callable[[float], float]
# Okabe and Ito (2008): distinguishable with every common color vision; also told apart by dash and marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 2", "12 4")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 60, 16, 40, 86


@dataclass(frozen=True)
class Curve:
    """One line: `y` over `x`, with `spread` (a standard deviation) drawn as a band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]


def figure_name(title: str) -> str:
    """File of the figure of a table of `compare`."""
    return f"label_efficiency_{re.sub('[^a-z]+', '_', title.lower()).strip('_')}.svg"


def label_efficiency(title: str, table: Mapping[str, Any], x_label: str) -> str | None:
    """A table of `compare` as curves over the number of labels, with the spread over draws; None: there is one budget only.

    Args:
        title: of the table.
        table: as in `table.json`.
        x_label: what the budgets count.
    """
    lines = table["lines"]
    if len(lines) < 2:
        return None
    arms = {"base": [line["base"] for line in lines], "adapted": [line["adapted"] for line in lines]}
    for name in dict.fromkeys(name for line in lines for name in line["others"]):
        arms[name] = [line["others"][name] for line in lines if name in line["others"]]
    budgets = [float(line["budget"]) for line in lines]
    curves = [
        Curve(name, budgets[: len(spreads)], [s["mean"] for s in spreads], [s["sd"] or 0.0 for s in spreads])
        for name, spreads in arms.items()
    ]
    return curves_svg(f"{title}: {table['metric']} over labels", x_label, table["metric"], curves)


def curves_svg(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> str:
    """A line plot over a logarithmic x axis.

    Returns:
        a complete SVG document with a text alternative; readable on a white and on a dark page.
    """
    xs = sorted({x for curve in curves for x in curve.x})
    lows = [y - s for curve in curves for y, s in zip(curve.y, curve.spread, strict=True)]
    highs = [y + s for curve in curves for y, s in zip(curve.y, curve.spread, strict=True)]
    low, high, step = _range(min(lows), max(highs))
    first, last = math.log(xs[0]), math.log(xs[-1])

    def across(x: float) -> float:
        share = (math.log(x) - first) / (last - first) if last > first else 0.5
        return LEFT + 20 + share * (WIDTH - LEFT - RIGHT - 40)

    def up(y: float) -> float:
        return TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    told = "; ".join(
        f"{c.name}: " + ", ".join(f"{x:g} → {y:.3f}" for x, y in zip(c.x, c.y, strict=True)) for c in curves
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold" fill="#222">{escape(title)}</text>',
    ]
    for number in range(round((high - low) / step) + 1):
        y = low + number * step
        lines.append(f'<path d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end" fill="#444">{y:.3g}</text>')
    base = HEIGHT - BOTTOM
    for x in xs:
        lines.append(f'<text x="{across(x):.1f}" y="{base + 18}" text-anchor="middle" fill="#444">{x:g}</text>')
    lines.append(
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{base + 38}" text-anchor="middle" fill="#222">{escape(x_label)}</text>'
    )
    lines.append(
        f'<text transform="translate(16 {(TOP + base) / 2:.0f}) rotate(-90)" text-anchor="middle" fill="#222">{escape(y_label)}</text>'
    )
    for number, curve in enumerate(curves):
        lines += _curve(curve, COLOURS[number % 6], DASHES[number % 6], across, up)
        x = LEFT + number * 145
        lines.append(
            f'<path d="M{x} {HEIGHT - 18}h30" stroke="{COLOURS[number % 6]}" stroke-width="2.5" stroke-dasharray="{DASHES[number % 6]}"/>'
            f'<text x="{x + 36}" y="{HEIGHT - 14}" fill="#222">{escape(curve.name)}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _curve(curve: Curve, color: str, dash: str, across: Scale, up: Scale) -> list[str]:
    place = [(across(x), up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    upper = [(across(x), up(y + s)) for x, y, s in zip(curve.x, curve.y, curve.spread, strict=True)]
    lower = [(across(x), up(y - s)) for x, y, s in zip(curve.x, curve.y, curve.spread, strict=True)]
    band = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *lower[::-1]])
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in place)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in place)
    return [
        f'<polygon points="{band}" fill="{color}" fill-opacity="0.15"/>',
        f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2.5" stroke-dasharray="{dash}"/>{dots}',
    ]


def _range(low: float, high: float) -> tuple[float, float, float]:
    """Round ends of an axis and its step (1, 2 or 5 times a power of ten, about five steps)."""
    span = max(high - low, 1e-3)
    raw = span / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, max(last, first + 1) * step, step
