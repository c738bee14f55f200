"""Draw docs/results/confirmation.svg from what was measured on confirmation sets: python docs/hooks/confirmation.py"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hf_ssl.evaluation.figures import COLORS, DASHES, MARKERS, STYLE

DOCS = Path(__file__).parents[1]
MEASURED = DOCS.parent / "tests" / "benchmarks" / "results" / "confirmation" / "results.jsonl"
SETS = {
    "text": {"brown": "Brown corpus: genres", "bbc": "BBC news: sections", "spam": "raw mail: spam"},
    "image": {"mnist": "handwritten digits", "clipart": "clip art: subjects", "emoji": "emoji: categories"},
    "audio": {"finals": "Mandarin finals", "drums": "drums, kits never heard", "letters": "spoken letters: language"},
    "series": {
        "ElectricDevices": "electric devices",
        "FacesUCR": "faces (outlines)",
        "ChlorineConcentration": "chlorine in water",
    },
}
SHOWN = (("answer", "what hf_ssl answers"), ("frozen", "frozen checkpoint"), ("best", "best simple way"))


def means(rows: list[dict[str, Any]], name: str) -> dict[int, dict[str, float]]:
    """Labels a class → mean macro-F1 over draws of every way; `best` is the best simple one, picked with the test labels."""
    found: dict[int, dict[str, float]] = {}
    for budget in sorted({row["budget"] for row in rows if row["set"] == name}):
        each = [row["f1"] for row in rows if (row["set"], row["budget"]) == (name, budget)]
        ways = set.intersection(*map(set, each))
        mean = {way: float(np.mean([one[way] for one in each])) for way in ways}
        found[budget] = {**mean, "best": max(mean[way] for way in ways - {"answer", "model"})}
    return found


def picture() -> str:
    """A small plot for each set: macro-F1 over labels a class."""
    rows = [json.loads(line) for line in MEASURED.read_text(encoding="utf-8").splitlines()]
    told = []
    with matplotlib.rc_context({**STYLE, "axes.titlesize": 10, "axes.titleweight": "normal"}):
        page = Figure(figsize=(9, 8.2), layout="constrained")
        grid = page.subplots(len(SETS), 3)
        for places, (kind, names) in zip(grid, SETS.items(), strict=True):
            for axes, (name, title) in zip(places, names.items(), strict=True):
                scores = means(rows, name)
                for number, (way, label) in enumerate(SHOWN):
                    axes.plot(
                        range(len(scores)), [mean[way] for mean in scores.values()], color=COLORS[number], linestyle=DASHES[number],
                        marker=MARKERS[number], markersize=5, label=label,
                    )  # fmt: skip
                    told += [
                        f"{title}, {budget} labels a class, {label}: {mean[way]:.3f}"
                        for budget, mean in scores.items()
                    ]
                axes.set(title=title, ylim=(0, 1.04), xlim=(-0.3, max(1, len(scores) - 1) + 0.3))
                axes.set_xticks(range(len(scores)), [str(budget) for budget in scores])
            places[0].set_ylabel(f"{kind}: macro-F1")
        page.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
        page.supxlabel("labels a class", fontsize=10)
        text = io.StringIO()
        page.savefig(text, format="svg", metadata={"Date": None, "Creator": "hf_ssl"})
    _, _, body = text.getvalue().partition("<svg")
    head, end, rest = body.partition(">")
    title = "<title>Confirmation sets: macro-F1 over labels a class</title>"
    return f'<svg role="img"{head}{end}{title}<desc>{"; ".join(told)}</desc>{rest}'


if __name__ == "__main__":
    (DOCS / "results" / "confirmation.svg").write_text(picture(), encoding="utf-8")
