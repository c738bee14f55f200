"""Plots: well-formed SVG with its numbers as text, the same bytes every time, nothing cut off."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from places import REPOSITORY

from hf_ssl.evaluation import figures

CURVES = [
    figures.Curve("base", [2, 8], [0.5, 0.6], [0.1, 0.0]),
    figures.Curve("a < b", [2, 8], [0.55, 0.7], [0.02, 0.01]),
]


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).findall(".//{*}text")]


def drawn() -> dict[str, str]:
    rng = np.random.default_rng(0)
    truth = np.r_[1.0, np.nan, 2.0, 3.0]
    fan = np.sort(rng.normal(size=(4, 9)), axis=1)
    guesses, classes = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    return {
        "curves": figures.curves_figure("Labels & scores", "labels", "f1", CURVES),
        "forecast": figures.forecast_fan(rng.normal(size=9), truth, truth * 0, fan),
        "steps": figures.error_by_step_figure({"model": np.array([1.0, 2.0]), "naive": np.array([2.0, 3.0])}),
        "map": figures.embedding_map(rng.normal(size=(20, 5)), ["a", "b"] * 10),
        "unlabeled": figures.embedding_map(rng.normal(size=(4, 3))),
        "confusion": figures.confusion_matrix(guesses, classes, ["x", "y", "z"]),
    }


def test_figures_are_svg_with_a_text_beside_them_and_the_same_again() -> None:
    first, again = drawn(), drawn()
    for name, svg in first.items():
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img" and root.find("{*}title").text and root.find("{*}desc").text, name
        assert svg == again[name], f"{name}: no dates, no random ids"
    root = ElementTree.fromstring(first["curves"])
    assert root.find("{*}title").text == "Labels & scores"
    assert root.find("{*}desc").text == "base: 2 → 0.500, 8 → 0.600; a < b: 2 → 0.550, 8 → 0.700"
    assert {"base", "a < b", "labels", "f1", "2", "8"} <= set(texts(first["curves"]))


def test_one_budget_is_drawn_as_points_and_no_labels_at_all_are_not() -> None:
    def line(budget: object, mean: float) -> dict:
        arm = {"mean": mean, "sd": None, "n": 1}
        return {"budget": budget, "base": arm, "adapted": arm, "others": {"TF-IDF": arm}}

    table = {"metric": "spearman", "lines": [line("no", 0.5)]}  # cosines of pairs
    assert figures.label_efficiency("Frozen, without labels", table, "labels") is None
    for budgets in ((10,), (10, 50)):
        table["lines"] = [line(budget, 0.5) for budget in budgets]
        svg = figures.label_efficiency("Fine-tuned", table, "labeled examples")
        assert svg is not None
        assert {"base", "adapted", "TF-IDF", "labeled examples", *map(str, budgets)} <= set(texts(svg))
    assert figures.figure_name("Frozen, without labels") == "label_efficiency_frozen_without_labels.svg"


def test_letters_of_every_script_are_words_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = figures.confusion_matrix(np.array([0, 1, 2]), np.array([0, 1, 1]), ["ㄈ", "影像", "ไทย"])
    assert {"ㄈ", "影像", "ไทย"} <= set(texts(svg))


@pytest.mark.parametrize("step", ["s", "m", "h", "D", "W", "M"])
def test_dates_of_any_length_are_marked_without_a_warning(step: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in (6, 20, 70, 98, 130, 400):
            times = (np.datetime64("2024-01-30", step) + np.arange(count)).astype("datetime64[s]")
            values = np.arange(float(count))
            svg = figures.forecast_fan(values[:-3], values[-3:], values[-3:], times=times, y_label="sales")
            marked = [text for text in texts(svg) if text[:1].isdigit() or text[:3].isalpha()]
            assert len(marked) > 3, count


def test_a_forecast_has_its_dates() -> None:
    times = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")
    values = np.arange(60.0)
    svg = figures.forecast_fan(values[:46], values[46:], values[46:] + 1, times=times, y_label="sales")
    assert {"sales", "history", "truth", "forecast"} <= set(texts(svg)) and any("2024" in text for text in texts(svg))
    assert ElementTree.fromstring(svg).find("{*}desc").text == "mean absolute error 1 over 14 steps"


def test_a_legend_of_many_classes_is_whole_and_tells_alike_names_apart() -> None:
    rng = np.random.default_rng(0)
    labels = [f"a class with a rather long name {number % 26:02d}" for number in range(520)]
    svg = figures.embedding_map(rng.normal(size=(520, 8)), labels)
    shown = [text for text in texts(svg) if "class" in text]
    assert len(set(shown)) == figures.SHOWN_CLASSES and "6 others" in texts(svg)
    assert all(text[-2:].isdigit() for text in shown)
    root = ElementTree.fromstring(svg)
    height = float(root.attrib["viewBox"].split()[3])
    rows = [node for node in root.findall(".//{*}text") if "class" in (node.text or "")]
    places = [float(node.attrib["y"]) for node in rows]
    assert min(places) > 5 and max(places) < height - 5, "no row lies outside the page"


@pytest.mark.parametrize("classes", [3, 50])
def test_a_confusion_matrix_counts_every_example(classes: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, 700)
    guesses = np.where(rng.random(700) < 0.7, truth, rng.integers(0, classes, 700))
    svg = figures.confusion_matrix(guesses, truth, [f"c{number}" for number in range(classes)])
    counts = [int(text.replace(",", "")) for text in texts(svg) if text.replace(",", "").isdigit()]
    assert sum(counts) == 700
    assert ("30 others" in texts(svg)) == (classes == 50)


def test_matplotlib_is_imported_to_draw_only(tmp_path: Path) -> None:
    """The card and the stages import this file; the state of a user's own plots is left alone."""
    code = (
        "import sys\nfrom hf_ssl.evaluation import figures\nassert 'matplotlib' not in sys.modules\n"
        "figures.error_by_step_figure({'a': __import__('numpy').ones(3)})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "import matplotlib\nassert matplotlib.rcParams['svg.hashsalt'] != 'hf_ssl'"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )
