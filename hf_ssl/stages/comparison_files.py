"""What a comparison leaves in the run folder: the verdict, the tables, the curves, and every prediction."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.run import write_json
from hf_ssl.evaluation import figures
from hf_ssl.evaluation.comparison import attribution
from hf_ssl.evaluation.comparison.contest import Contest, contender_name, contest, use_words
from hf_ssl.evaluation.comparison.results import PairedResults, ResultRow
from hf_ssl.evaluation.comparison.table import ComparisonTable, compare_arms
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.stages.answers import Answers

TITLES = {
    "peft": "Fine-tuned", "full": "Fine-tuned, all weights", "linear-probe": "Frozen probe", "knn": "Nearest neighbors",
    "zero-shot": "Frozen, without labels", "answer": "The answer of finetune",
}  # fmt: skip
MAPPED = 2000
"""Most vectors in a map."""


def write_comparison(
    folder: Path,
    rows: Sequence[ResultRow],
    answers: Answers,
    sizes: Mapping[Any, float],
    *,
    unfinished: int,
    one_model: bool,
) -> dict[str, Any]:
    """Write tables and curves; returns the verdicts in words."""
    counted = answers.counted
    loops = not (answers.metric in DECOMPOSABLE or answers.metric in ("spearman", "pearson"))
    results = PairedResults(
        rows, answers.references, answers.metric, answers.groups, n_resamples=200 if loops else 1000
    )
    everything = contest(results, names=answers.task.label_names)
    steps = attribution.attribute(results, sizes, one_model=one_model)
    tables = protocol_tables(rows, answers, n_resamples=300 if loops else 2000, one_model=one_model)
    if distributed.is_main():
        text = _markdown(everything, steps, tables, unfinished)
        (folder / "table.md").write_text(text, encoding="utf-8")
        _draw(folder, results, sizes, tables, counted)
    write_json(folder / "table.json", {title: table.to_dict() for title, table in tables.items()})
    write_json(folder / "contest.json", plain({**asdict(everything), "counted": counted, "unfinished": unfinished}))
    write_json(folder / "attribution.json", plain([asdict(line) for line in steps]))
    distributed.barrier()
    return {
        "verdict": {title: table.overall.word for title, table in tables.items()},
        "use": dict(use_words(everything)), "metric": answers.metric, "test_examples": len(answers.references),
    }  # fmt: skip


def protocol_tables(
    rows: Sequence[ResultRow], answers: Answers, *, n_resamples: int, one_model: bool = False
) -> dict[str, ComparisonTable]:
    """Base against adapted under each protocol, other arms and baselines beside them."""
    found: dict[str, ComparisonTable] = {}
    titles = TITLES if any(row.protocol == "peft" for row in rows) else {**TITLES, "full": "Fine-tuned"}
    for protocol, title in titles.items():
        own = [row for row in rows if row.protocol == protocol]
        pairs = [{(row.budget, row.seed) for row in own if row.arm == arm} for arm in ("base", "adapted")]
        both = pairs[0] & pairs[1]
        if not both:
            continue
        budgets = {budget for budget, _ in both}
        kept = [row for row in own if row.arm not in ("base", "adapted") or (row.budget, row.seed) in both]
        beside = [row for row in rows if row.protocol in ("baseline", "peer") and row.budget in budgets]
        found[title] = compare_arms(
            [*kept, *beside],
            answers.references,
            metric=answers.metric,
            groups=answers.groups,
            n_resamples=n_resamples,
            one_model=one_model,
        )
    return found


def _markdown(
    everything: Contest,
    steps: Sequence[attribution.AttributionLine],
    tables: Mapping[str, ComparisonTable],
    unfinished: int,
) -> str:
    parts = ["## What to use", everything.to_markdown()]
    if unfinished:
        parts.insert(1, f"Not finished: {unfinished} models are left; run the same command again.")
    if steps:
        parts += [
            "## What helped",
            "Each line compares two arms that differ in one thing.",
            attribution.as_markdown(steps),
        ]
    parts += [f"### {title}\n\n{table.to_markdown()}" for title, table in tables.items()]
    return "\n\n".join(parts) + "\n"


def _draw(
    folder: Path, results: PairedResults, sizes: Mapping[Any, float], tables: Mapping[str, ComparisonTable], counted: str
) -> None:  # fmt: skip
    for title, table in tables.items():
        if svg := figures.label_efficiency(title, table.to_dict(), counted, sizes):
            (folder / figures.figure_name(title)).write_text(svg, encoding="utf-8")
    curves = []
    for contender in results.rows:
        known = {budget: results.spread(contender, budget) for budget in sizes if results.draws(contender, budget)}
        if known:
            curves.append(
                figures.Curve(
                    contender_name(contender), [sizes[budget] for budget in known], [one.mean for one in known.values()],
                    [0.0 if math.isnan(one.sd) else one.sd for one in known.values()],
                )
            )  # fmt: skip
    if curves:
        svg = figures.curves_figure(f"{results.metric} over labels", counted, str(results.metric), curves)
        (folder / "label_efficiency.svg").write_text(svg, encoding="utf-8")


def write_map(file: Path, vectors: np.ndarray, names: Sequence[Any] | None, title: str) -> None:
    """Vectors by their two main directions; of many an evenly spread part."""
    if len(vectors) < 3:
        return
    chosen = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MAPPED)).astype(int))
    labels = None if names is None else [names[row] for row in chosen]
    file.write_text(figures.embedding_map(vectors[chosen], labels, title), encoding="utf-8")


def write_predictions(folder: Path, rows: Sequence[ResultRow], answers: Answers) -> None:
    """One parquet file per arm and protocol: id, path (or row), truth, prediction, probabilities of every class, budget, draw."""
    if not distributed.is_main():
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    columns = answers.columns()
    names = list(answers.task.label_names)
    by_contender: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        by_contender.setdefault(row.contender, []).append(row)
    for (arm, protocol), draws in by_contender.items():
        pieces = []
        for row in draws:
            count = len(next(iter(columns.values())))
            told: dict[str, Any] = {**columns, "prediction": answers.readable(row.load())}
            if row.probabilities is not None:
                told["probabilities"] = list(np.asarray(row.probabilities, np.float32))
            told |= {"labels": [str(row.budget)] * count, "draw": [row.seed] * count}
            pieces.append(pa.table(told))
        table = pa.concat_tables(pieces, promote_options="default")
        table = table.replace_schema_metadata({"classes": json.dumps(names)})
        pq.write_table(table, folder / f"{_file_name(arm, protocol)}.parquet", compression="zstd")


def _file_name(arm: str, protocol: str) -> str:
    return re.sub(r"[^\w+.-]+", "_", f"{protocol}-{arm}")


def plain(value: object) -> Any:
    """For JSON: no NaN, no numpy, keys as text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
