"""Figures of the page: SVG text made safe to stand beside others in one document, and curves of what was measured along the way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ssl.evaluation import figures

FEWEST = 3
"""Points that a curve needs to be drawn; fewer stand in the text."""
ACTIVE = re.compile(r"<script|<foreignObject|javascript:|\son\w+\s*=", re.IGNORECASE)


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption.

    Args:
        svg: text, its ids its own.
    """

    caption: str
    svg: str


def inlined(svg: str, prefix: str) -> str | None:
    """SVG text that shares no id with others, without its XML head and metadata; None: it holds what acts, not what is seen."""
    start = svg.find("<svg")
    if start < 0 or ACTIVE.search(svg):
        return None
    text = re.sub(r"<metadata>.*?</metadata>", "", svg[start:], flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    return re.sub(r'((?:xlink:)?href)="#([^"]+)"', rf'\1="#{prefix}-\2"', text)


def from_file(path: Path, caption: str) -> Drawing | None:
    """A figure that a stage drew; None where there is none, or where it cannot be shown."""
    if not path.is_file():
        return None
    svg = inlined(path.read_text(encoding="utf-8"), re.sub(r"\W+", "-", f"{path.parent.name}-{path.stem}"))
    return None if svg is None else Drawing(caption, svg)


def history(
    name: str, caption: str, entries: Sequence[dict[str, Any]], keys: dict[str, str], y_label: str, errors: dict[str, str] | None = None
) -> Drawing | None:  # fmt: skip
    """What was measured, over optimizer steps; None with fewer than three points.

    Args:
        name: of the figure, for its ids.
        entries: with `step` and some of the keys.
        keys: key → name in the legend.
        errors: key → key of its standard error.
    """
    curves = []
    for key, title in keys.items():
        points = [entry for entry in entries if isinstance(entry.get(key), (int, float)) and "step" in entry]
        if len(points) >= FEWEST:
            error = (errors or {}).get(key, "")
            spread = [float(entry.get(error) or 0.0) for entry in points]
            curves.append(
                figures.Curve(
                    title, [float(one["step"]) for one in points], [float(one[key]) for one in points], spread
                )
            )
    if not curves:
        return None
    svg = inlined(figures.history_figure(caption, y_label, curves), name)
    return None if svg is None else Drawing(caption, svg)
