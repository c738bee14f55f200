"""Who should answer: one view, the vote, or the teacher? On features that were computed once, so that draws are nearly free.

    python tests/benchmarks/bench_vote.py [--sets FordA,digits,text] [--budgets 1,4,16] [--draws 5]
    python tests/benchmarks/bench_vote.py --table                    what was measured

Development sets only (`best_answer_sets.py`). Every set's checkpoint and cheap features are read once and kept in a file: at most 1,500
training and 500 test examples. Every draw takes k labels a class from the former, at most 1,000 others as the pool, and decides as
`finetune` does (`hf_ssl.evaluation.probes.answering`), without training a network. Beside it: the user's simple ways, which are
`linear_probe` on every view, ridge regression on random kernels and, for texts, logistic regression on TF-IDF with C by cross-validation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from best_answer_sets import DEVELOPMENT, Data, every
from scipy import sparse
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel

import hf_ssl
from hf_ssl.core import plugins
from hf_ssl.evaluation.probes.answering import Material, concluded, scalings
from hf_ssl.evaluation.probes.probes import linear_probe
from hf_ssl.evaluation.probes.selection import View
from hf_ssl.evaluation.probes.taught import FROZEN, TEACHER, VOTE, mixed
from hf_ssl.stages.reading import HEAD, frozen_rows
from hf_ssl.tasks.base import TaskModule
from hf_ssl.tasks.classification import Classification

TRAIN, TEST, POOL = 1500, 500, 1000


def features(name: str, cache: Path) -> dict[str, Any]:
    """Rows of every view for both parts, their labels, and what is known of the views; kept in a file of this machine."""
    file = cache / f"{name}.pickle"
    if not file.is_file():
        file.write_bytes(pickle.dumps(read(every(DEVELOPMENT)[name]())))
    return dict(pickle.loads(file.read_bytes()))


def read(data: Data) -> dict[str, Any]:
    rng, column = np.random.default_rng(0), data.column
    rows = {
        part: [
            {name: every_row[place][name] for name in (column, "label")}
            for place in rng.permutation(len(every_row))[:most]
        ]
        for part, every_row, most in (("train", data.train, TRAIN), ("test", data.test, TEST))
    }
    known = {row["label"] for row in rows["train"]}  # a rare class may have been drawn for the test part alone
    rows["test"] = [row for row in rows["test"] if row["label"] in known]
    parts = {part: datasets.Dataset.from_list(some) for part, some in rows.items()}
    kind = plugins.find("modalities", data.modality)
    shown = {name: value for name, value in data.options.items() if name in kind.Config.__dataclass_fields__}
    loaded = hf_ssl.load_data(
        parts, modality=data.modality, near_duplicates=False, validation_fraction=0, dedup=False, leakage="allow",
        verbose=False, **shown,
    )  # fmt: skip
    train, test = loaded["train"], hf_ssl.data.open_test(loaded, "vote benchmark")
    modality = kind(kind.Config(**shown))
    given: dict[str, Any] = {"max_length": 128} if data.modality == "text" else {}
    task = Classification(Classification.Config(**given), modality)
    task.fit_labels(train)
    found: dict[str, Any] = {
        "y": (np.asarray(train["label"]), np.asarray(test["label"])),
        "views": {},
        "standardize": {},
    }
    with tempfile.TemporaryDirectory() as work:
        torch.manual_seed(0)
        untrained = bool(data.options.get("from_config"))
        if untrained:
            AutoModel.from_config(modality.default_config("patchtst", {"train": train})).save_pretrained(work)
        start = work if untrained else data.model(Path(work) / "start")
        encoder = modality.load(start, task.auto_class, dataset=train, new_head=True, **task.model_options())
        encoder.adapt_head()
        module = TaskModule(encoder, task)
        have = frozen_rows(module, task.encode(encoder, train))
        have = encoder.fit_head(have, HEAD)
        ask = frozen_rows(module, task.encode(encoder, test))
    found["views"] = {name: (rows, ask[name]) for name, rows in have.items()}
    found["standardize"] = {name: name != HEAD for name in have}
    found |= {"frozen": frozenset(have), "untrained": untrained, "ridged": frozenset(), "modality": data.modality}
    for one in modality.cheap_features():
        one.fit(list(train[column]))
        found["views"][one.name] = tuple(one.rows(list(part[column])) for part in (train, test))
        found["standardize"][one.name] = one.standardize
        found["ridged"] |= {one.name} if one.ridge else set()
    return found


def weights_of(found: dict[str, Any]) -> tuple[dict[str, float], float]:
    """Of every view, and the share of the frozen ones: asked anew, so that other ones can be tried on kept features."""
    modality = plugins.find("modalities", found["modality"])()
    encoder = modality.encoder_class()
    own = {one.name: one.weight for one in modality.cheap_features()}
    return {
        name: own.get(name, encoder.reading_weights.get(name, 1.0)) for name in found["views"]
    }, encoder.frozen_share


def drawn(y: np.ndarray, budget: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of labels, and of the pool; classes with fewer rows than asked for are left out of the labels."""
    rng = np.random.default_rng(seed)
    names = [name for name in np.unique(y) if (y == name).sum() >= budget]
    labeled = np.concatenate([rng.permutation(np.flatnonzero(y == name))[:budget] for name in names])
    return labeled, rng.permutation(np.setdiff1d(np.arange(len(y)), labeled))[:POOL]


def measured(found: dict[str, Any], budget: int, seed: int) -> dict[str, Any]:
    """Macro-F1 of every way, of what `finetune` would answer with, and who that is."""
    labeled, pool = drawn(found["y"][0], budget, seed)
    names, y = np.unique(found["y"][0][labeled], return_inverse=True)
    asked = np.flatnonzero(np.isin(found["y"][1], names))
    truth = np.searchsorted(names, found["y"][1][asked])
    both, simple = np.concatenate([labeled, pool]), {}
    scaled = {}
    for name, (have, ask) in found["views"].items():
        simple[name] = guessed(have[labeled], y, ask[asked], seed)
        if name in found["ridged"]:
            ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
            simple[f"{name} + ridge"] = ridge.fit(have[labeled], y).predict(ask[asked])
        scaled[name] = scalings(have[both], found["standardize"][name])
    weights, share = weights_of(found)
    material = Material(scaled, HEAD, found["frozen"], weights, found["ridged"], share, found["untrained"])
    began = time.perf_counter()
    said = concluded(material, y, np.arange(len(y), len(both)), len(names), seed=seed)
    seconds = round(time.perf_counter() - began, 1)
    guesses = dict(simple)
    lesson, shares = said.lesson, said.trial.recipe.shares
    for way, heads in ((VOTE, lesson.vote), (TEACHER, lesson.teacher)):
        each = {
            name: said.spaces[name].raw(head).answers(found["views"][name][1][asked]) for name, head in heads.items()
        }
        guesses[f"own {way}"] = mixed(each, shares).argmax(1)
    guesses["own head"] = said.spaces[HEAD].raw(said.head).answers(found["views"][HEAD][1][asked]).argmax(1)
    who = "own head" if not said.is_ahead else f"own {TEACHER if said.asked == TEACHER else VOTE}"
    guesses["answer"] = guesses[who]
    scores = {
        name: round(float(f1_score(truth, guess, average="macro", labels=np.unique(truth), zero_division=0)), 4)
        for name, guess in guesses.items()
    }
    return {"scores": scores, "by": said.asked if said.is_ahead else said.saved, "shares": {n: round(s, 3) for n, s in shares.items()},
            "right": "".join(str(int(g == t)) for g, t in zip(guesses["answer"], truth, strict=True)), "seconds": seconds}  # fmt: skip


def guessed(rows: Any, y: np.ndarray, asked: Any, seed: int) -> np.ndarray:
    """What a user would try on a view."""
    if not sparse.issparse(rows):
        return linear_probe(rows, y, asked, seed=seed).predictions
    view, known = View(sparse.vstack([rows, asked]).tocsr()), np.arange(len(y))
    view.scale = 1.0
    inner, outer = view.coordinates(known, np.arange(len(y), len(y) + asked.shape[0]))
    model: Any = LogisticRegression(C=10, max_iter=1000)
    folds = min(5, int(np.bincount(y).min()))
    if folds > 1:
        model = GridSearchCV(
            model, {"C": [3, 10, 100]}, scoring="f1_macro", cv=StratifiedKFold(folds, shuffle=True, random_state=seed)
        )
    return np.asarray(model.fit(inner, y).predict(outer))


def table(rows: list[dict[str, Any]]) -> str:
    """Means over draws; the best simple way is picked by the test labels, which favors it."""
    lines = [
        "| set | labels a class | draws | frozen probe | best simple | vote | teacher | head | answer | answer - best simple, per draw |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    gains = []
    for name, budget in dict.fromkeys((row["set"], row["budget"]) for row in rows):
        part = [row["scores"] for row in rows if (row["set"], row["budget"]) == (name, budget)]
        means = {way: float(np.mean([row[way] for row in part])) for way in part[0]}
        best = max((way for way in means if not way.startswith(("own ", "answer"))), key=lambda way: means[way])
        apart = [row["answer"] - row[best] for row in part]
        error = 1.96 * np.std(apart, ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else float("nan")
        gains.append((float(np.mean(apart)), error, means["answer"] - means[HEAD]))
        lines.append(
            f"| {name} | {budget} | {len(part)} | {means[HEAD]:.3f} | {means[best]:.3f} {best if best != HEAD else FROZEN} | "
            f"{means['own vote']:.3f} | {means['own teacher']:.3f} | {means['own head']:.3f} | {means['answer']:.3f} | "
            f"{np.mean(apart):+.3f} (+- {error:.3f}) |"
        )
    below = sum(gain + error < 0 for gain, error, _ in gains)
    lines.append(
        f"\nOf {len(gains)} cells {below} below the best simple way beyond the interval over draws; mean {np.mean([g for g, *_ in gains]):+.3f}, "
        f"worst {min(g for g, *_ in gains):+.3f}; above the frozen probe in {sum(over > 0 for *_, over in gains)}."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(DEVELOPMENT), help="names of sets, or kinds of data")
    parser.add_argument("--budgets", default="4,16")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--cache", default="runs/vote-features")
    parser.add_argument("--output", default="runs/vote")
    asked = parser.parse_args()
    logging.getLogger("hf_ssl").setLevel(logging.WARNING)
    file, cache = Path(asked.output) / "results.jsonl", Path(asked.cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    names = (
        [one for name in asked.sets.split(",") for one in DEVELOPMENT.get(name, (name,))] if not asked.table else []
    )
    for draw, name, budget in itertools.product(range(asked.draws), names, map(int, asked.budgets.split(","))):
        key = {"set": name, "budget": budget, "draw": draw}
        if name not in every(DEVELOPMENT):
            parser.error(f"{name} is none of {', '.join(every(DEVELOPMENT))}")
        if any(key.items() <= row.items() for row in rows):
            continue
        found = features(name, cache)
        if sum(np.unique(found["y"][0], return_counts=True)[1] >= budget) < 2:
            continue  # next to no class has so many
        rows.append({**key, **measured(found, budget, draw)})
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(rows[-1]) + "\n")
        print({**key, **{n: v for n, v in rows[-1].items() if n != "right"}}, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
