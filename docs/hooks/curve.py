"""Draw docs/results/label_efficiency.svg from docs/results/demo.json: python docs/hooks/curve.py"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hf_ssl.demo.story import BUDGETS
from hf_ssl.evaluation.figures import Curve, curves_figure

RESULTS = Path(__file__).parents[1] / "results"


def curve() -> str:
    """The figure."""
    found = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    curves = [
        Curve(name, BUDGETS, [float(np.mean(one)) for one in rows], [float(np.std(one, ddof=1)) for one in rows])
        for name, rows in found["scores"].items()
    ]
    return curves_figure(
        "8 newsgroups, a few labels each, before any training", "labels per group", found["metric"], curves
    )


if __name__ == "__main__":
    (RESULTS / "label_efficiency.svg").write_text(curve(), encoding="utf-8")
