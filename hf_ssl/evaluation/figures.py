"""Every plot, as SVG text by matplotlib: one style, no global state, the same bytes for the same numbers.

Colors are those of Okabe and Ito (2008), distinguishable with every common color vision, and lines also differ by dash and
marker. Every figure carries its numbers as a text alternative.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType

    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
DASHES = ("-", (0, (6, 3)), (0, (2, 2)), (0, (6, 2, 2, 2)), (0, (1, 1)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHOWN_CLASSES = 20
"""Most classes with a row of their own in a legend or a confusion matrix; the commonest are shown."""
LEGEND = 84
"""Characters that a row of the legend under a plot has room for."""
STYLE: Any = {
    "axes.edgecolor": "#666666", "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False,
    "axes.titlelocation": "left", "axes.titlesize": 12, "axes.titleweight": "bold", "figure.facecolor": "white",
    "font.family": "sans-serif", "font.size": 10, "grid.color": "#dddddd", "grid.linewidth": 0.8, "legend.frameon": False,
    "lines.linewidth": 1.8, "svg.fonttype": "none", "svg.hashsalt": "hf_ssl",
}  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One line: `y` over `x`, with `spread` (a standard deviation) drawn as a band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float]


class _Page:
    """`with _Page(title, told) as page:` draw on `page.axes`; `page.svg` is the document afterwards."""

    def __init__(self, title: str, told: str, width: float = 6.8, height: float = 3.8) -> None:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self.title, self.told = title, told
        self._style = matplotlib.rc_context(STYLE)
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=(width, height), layout="constrained")
            FigureCanvasSVG(self.figure)
            self.axes: Axes = self.figure.add_subplot()
            self.axes.set_title(title)
            self.axes.set_axisbelow(True)

    def __enter__(self) -> _Page:
        self._style.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                text = io.StringIO()
                with warnings.catch_warnings():
                    # Words stay words in the document: the reader's program has the letters that matplotlib's font lacks.
                    warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
                    self.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "hf_ssl"})
                _, _, body = text.getvalue().partition("<svg")
                head, end, rest = body.partition(">")
                told = f"<title>{escape(self.title)}</title><desc>{escape(self.told)}</desc>"
                self.svg = f'<svg role="img"{head}{end}{told}{rest}'
        finally:
            self._style.__exit__(kind, error, trace)


def figure_name(title: str) -> str:
    """File of the figure of a table of `compare`."""
    return f"label_efficiency_{re.sub('[^a-z]+', '_', title.lower()).strip('_')}.svg"


def label_efficiency(
    title: str, table: Mapping[str, Any], x_label: str, sizes: Mapping[Any, float] | None = None
) -> str | None:
    """A table of `compare` as curves over the number of labels, with the spread over draws; None: no labels at all.

    Args:
        title: of the table.
        table: as in `table.json`.
        x_label: what the budgets count.
        sizes: budget → labels, where budgets are no numbers (`10%`, `all`).
    """
    lines = [line for line in table["lines"] if line["budget"] != "no"]
    if not lines:
        return None
    arms = {"base": [line["base"] for line in lines], "adapted": [line["adapted"] for line in lines]}
    for name in dict.fromkeys(name for line in lines for name in line["others"]):
        arms[name] = [line["others"][name] for line in lines if name in line["others"]]
    budgets = [float(line["budget"] if sizes is None else sizes[line["budget"]]) for line in lines]
    curves = [
        Curve(name, budgets[: len(spreads)], [s["mean"] for s in spreads], [s["sd"] or 0.0 for s in spreads])
        for name, spreads in arms.items()
    ]
    return curves_figure(f"{title}: {table['metric']} over labels", x_label, table["metric"], curves)


def curves_figure(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> str:
    """Lines with bands over a logarithmic x axis; points with bars where there is one x only."""
    told = "; ".join(
        f"{c.name}: " + ", ".join(f"{x:g} → {y:.3f}" for x, y in zip(c.x, c.y, strict=True)) for c in curves
    )
    with _Page(title, told) as page:
        axes, xs = page.axes, sorted({x for curve in curves for x in curve.x})
        for number, curve in enumerate(curves):
            look: dict[str, Any] = {
                "color": COLORS[number % len(COLORS)],
                "marker": MARKERS[number % len(MARKERS)],
                "label": curve.name,
            }
            x, y, spread = (np.asarray(values, np.float64) for values in (curve.x, curve.y, curve.spread))
            if len(xs) == 1:
                beside = x + (number - (len(curves) - 1) / 2) * 0.05 * xs[0]
                axes.errorbar(beside, y, spread, linestyle="none", capsize=4, **look)
                continue
            axes.plot(x, y, linestyle=DASHES[number % len(DASHES)], markersize=5, **look)
            axes.fill_between(x, y - spread, y + spread, color=look["color"], alpha=0.15, linewidth=0)
        if len(xs) > 1:
            axes.set_xscale("log")
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.minorticks_off()
        axes.set(xlabel=x_label, ylabel=y_label)
        _legend(axes)
    return page.svg


def history_figure(title: str, y_label: str, curves: Sequence[Curve]) -> str:
    """What was measured in training, over optimizer steps, with standard errors as bands."""
    told = "; ".join(f"{c.name}: {c.y[0]:.3g} at step {c.x[0]:g}, {c.y[-1]:.3g} at step {c.x[-1]:g}" for c in curves)
    with _Page(title, told, height=3.0) as page:
        for number, curve in enumerate(curves):
            x, y, spread = (np.asarray(values, np.float64) for values in (curve.x, curve.y, curve.spread))
            look: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)]}
            few: dict[str, Any] = {"marker": MARKERS[number % len(MARKERS)], "markersize": 4} if len(x) <= 30 else {}
            page.axes.plot(x, y, label=curve.name, **look, **few)
            if spread.any():
                page.axes.fill_between(x, y - spread, y + spread, color=look["color"], alpha=0.15, linewidth=0)
        page.axes.set(xlabel="optimizer step", ylabel=y_label)
        if len(curves) > 1:
            _legend(page.axes)
    return page.svg


def forecast_fan(
    past: np.ndarray,
    truth: np.ndarray,
    forecast: np.ndarray,
    quantiles: np.ndarray | None = None,
    title: str = "Forecast",
    *,
    times: np.ndarray | None = None,
    y_label: str = "",
) -> str:
    """History, truth and forecast of one channel, with the pairs of quantiles as bands.

    Args:
        past: `(context,)`; truth, forecast: `(horizon,)`, NaN where missing.
        quantiles: `(horizon, levels)`, rising.
        times: `(context + horizon,)` datetime64 of history and future; None: steps are counted from the forecast's first.
        y_label: what is forecast, with its unit.
    """
    error = np.abs(truth - forecast)
    mean = float(np.nanmean(error)) if np.isfinite(error).any() else math.nan
    with _Page(title, f"mean absolute error {mean:.3g} over {len(truth)} steps", height=3.4) as page:
        axes = page.axes
        steps: np.ndarray = np.arange(-len(past), len(truth)) if times is None else times
        before, after = steps[: len(past)], steps[len(past) :]
        if quantiles is not None:
            for place in range(quantiles.shape[1] // 2):
                low, high = quantiles[:, place], quantiles[:, -1 - place]
                axes.fill_between(after, low, high, color=COLORS[1], alpha=0.18, linewidth=0)
        axes.plot(before, past, color="#444444", label="history")
        axes.plot(after, truth, color=COLORS[0], label="truth")
        axes.plot(after, forecast, color=COLORS[1], linestyle=DASHES[1], label="forecast")
        axes.axvline(after[0], color="#999999", linewidth=0.8)
        if times is not None:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(minticks=3, maxticks=8)  # at five, four days in hours have no interval
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.set(xlabel="steps from the forecast's first" if times is None else "", ylabel=y_label)
        _legend(axes)
    return page.svg


def error_by_step_figure(errors: Mapping[str, np.ndarray], y_label: str = "absolute error, standardized") -> str:
    """Mean absolute error of every step ahead, one line per forecaster, `(horizon,)` each."""
    from matplotlib.ticker import MaxNLocator

    told = "; ".join(f"{name}: {np.nanmean(values):.3g} on average" for name, values in errors.items())
    with _Page("Error by step ahead", told, height=3.4) as page:
        for place, (name, values) in enumerate(errors.items()):
            look: dict[str, Any] = {"color": COLORS[place % len(COLORS)], "linestyle": DASHES[place % len(DASHES)]}
            few: dict[str, Any] = (
                {"marker": MARKERS[place % len(MARKERS)], "markersize": 4} if len(values) <= 30 else {}
            )
            page.axes.plot(np.arange(1, len(values) + 1), values, label=name, **look, **few)
        page.axes.set_ylim(bottom=0)
        page.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        page.axes.set(xlabel="steps ahead", ylabel=y_label)
        _legend(page.axes)
    return page.svg


def embedding_map(vectors: np.ndarray, labels: Sequence[Any] | None = None, title: str = "Embedding map") -> str:
    """The two main directions of the vectors (standardized, principal components), colored by label.

    Args:
        vectors: `(n, d)`.
        labels: `(n,)`, or None.
    """
    centered = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-8)
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    points = left[:, :2] * values[:2]
    # The sign of a direction is arbitrary.
    points = points * np.sign(points[np.abs(points).argmax(axis=0), range(points.shape[1])])
    share = values[:2] ** 2 / (values**2).sum()
    names = [] if labels is None else _by_count(labels)
    told = f"{len(vectors)} examples, {max(1, len(names))} classes, {share.sum():.0%} of the variance shown"
    beside = min(len(names), SHOWN_CLASSES) + (len(names) > SHOWN_CLASSES)
    with _Page(title, told, height=max(4.4, 0.5 + 0.22 * beside)) as page:
        look: dict[str, Any] = {"s": 12, "alpha": 0.6, "linewidths": 0}
        if labels is None:
            page.axes.scatter(*points.T, color=COLORS[0], **look)
        else:
            belongs = np.array([str(label) for label in labels])
            rest = ~np.isin(belongs, names[:SHOWN_CLASSES])
            if rest.any():
                page.axes.scatter(
                    *points[rest].T, color="#bbbbbb", label=f"{len(names) - SHOWN_CLASSES} others", **look
                )
            for place, name in enumerate(names[:SHOWN_CLASSES]):
                marker = MARKERS[place // len(COLORS) % len(MARKERS)]
                chosen = points[belongs == name]
                page.axes.scatter(*chosen.T, color=COLORS[place % len(COLORS)], marker=marker, label=name, **look)
            _legend(page.axes, beside=True)
        page.axes.set(xlabel=f"first direction ({share[0]:.0%})", ylabel=f"second direction ({share[1]:.0%})")
    return page.svg


def confusion_matrix(predictions: np.ndarray, references: np.ndarray, names: Sequence[str]) -> str:
    """Which classes are taken for which: counts, colored by their share of the true class's examples.

    Of many classes the commonest `SHOWN_CLASSES` have a row of their own, and the others share one.

    Args:
        predictions, references: `(n,)` class numbers.
        names: of the classes, by number.
    """
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (references, predictions), 1)
    shown = list(names)
    if len(names) > SHOWN_CLASSES:
        order = np.argsort(-counts.sum(axis=1), kind="stable")[:SHOWN_CLASSES]
        kept = np.sort(order)
        group = np.full(len(names), len(kept))
        group[kept] = np.arange(len(kept))
        smaller = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
        np.add.at(smaller, (group[:, None], group[None, :]), counts)
        counts, shown = smaller, [*(names[place] for place in kept), f"{len(names) - len(kept)} others"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = "; ".join(f"{name}: {counts[i, i]} of {counts[i].sum()}" for i, name in enumerate(shown))
    side = 2.4 + 0.36 * len(shown)
    with _Page("Confusion matrix", f"right answers by true class: {right}", width=side + 1.2, height=side) as page:
        axes = page.axes
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.6 else "#222222"
            text = f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
        places, short = range(len(shown)), [_shortened(name) for name in shown]
        axes.set_xticks(places, short, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, short)
        axes.set(xlabel="predicted", ylabel="true")
    return page.svg


def _by_count(labels: Sequence[Any]) -> list[str]:
    """Names, the commonest first, and of equally common ones the first to occur first."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[str(label)] = counts.get(str(label), 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def _shortened(name: str, limit: int = 24) -> str:
    """The beginning and the end of a long name: names of one data set often differ at their ends only."""
    return name if len(name) <= limit else f"{name[: limit - 9]}…{name[-8:]}"


def _legend(axes: Axes, beside: bool = False) -> None:
    """Below the plot, or beside it where there are many names; the layout makes room, so that none is cut off."""
    figure: Any = axes.figure
    handles, names = axes.get_legend_handles_labels()
    short = [_shortened(name) for name in names]
    if beside:
        figure.legend(handles, short, loc="outside right upper")
    else:
        widest = max((len(name) for name in short), default=0)
        columns = max(1, min(4, len(short), LEGEND // (widest + 6)))  # 6: the line beside each name
        figure.legend(handles, short, loc="outside lower center", ncols=columns)
