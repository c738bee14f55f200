"""Is what a run answers with ever below the best simple way? Answer, plain model, frozen probe, cheap features, on many data sets.

    python tests/benchmarks/bench_best_answer.py --sets r8,digits [--budgets 4,16] [--draws 3] [--peft linear-probe]
    python tests/benchmarks/bench_best_answer.py --table                       what was measured, with paired intervals
    python tests/benchmarks/bench_best_answer.py --table --peers svm           the same, with simple ways and peers that rows lack added first
    python tests/benchmarks/bench_best_answer.py --confirm                     confirmation sets: once per release

Settings are chosen on development sets only; which are which is written in `best_answer_sets.py`. Confirmation sets open with
`--confirm` alone, once per release and on a committed checkout: it writes release, date and commit into `opened.jsonl` before
anything is read, goes on where it was stopped at the same commit, and refuses every other one. Labels per class are drawn from
the training part, the pool is the rest of it without labels, and at most `--test_limit` test examples are measured. Every
finished draw is a line of `results.jsonl`.

The user's simple ways: logistic regression with C by cross-validation on TF-IDF of words, pixels, log-mel statistics, or
statistics of a series; and on frozen vectors of the same checkpoint (`linear_probe`, the encoder's own pooling). Kernels of series
have a ridge regression beside (alpha by leave-one-out), as MiniRocket's and Hydra's authors use them. Peers (`--peers svm,setfit`) are
the tool's own ones of `hf-ssl compare`: AutoGluon's frozen features with a support vector machine, SetFit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from best_answer_sets import CONFIRMATION, DEVELOPMENT, Data, Row, every, open_confirmation
from scipy.stats import rankdata
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hf_ssl
from hf_ssl.core import plugins
from hf_ssl.core.errors import HfSslError
from hf_ssl.evaluation.peers.base import Asked
from hf_ssl.evaluation.probes import probes

POOL = 1500
SAME, APART = 0.01, 0.08
"""Macro-F1, and the share of test items, up to which a way is the same where a draw is made again. On one machine at most 3 items of 300
differed; on another one a penalty that is chosen among equals may be another (60 of 300, kernels on `ChlorineConcentration`), and no more
than a few ways of a draw do that."""
CONFIRMED = str(Path(__file__).with_name("results") / "confirmation")


def drawn(data: Data, budget: int, draw: int, test_limit: int) -> dict[str, datasets.Dataset]:
    """Few labels, a pool without labels, and a test part; classes with fewer rows than asked for are left out."""
    rng = random.Random(draw)
    by_class: dict[str, list[int]] = {}
    for number, row in enumerate(data.train):
        by_class.setdefault(row["label"], []).append(number)
    kept = {name: rows for name, rows in by_class.items() if len(rows) >= budget}
    labeled = [number for name in sorted(kept) for number in rng.sample(kept[name], budget)]
    chosen = set(labeled)
    pool = rng.sample([n for n in range(len(data.train)) if n not in chosen], min(POOL, len(data.train) - len(chosen)))
    test = [row for row in data.test if row["label"] in kept]
    test = random.Random(1).sample(test, min(test_limit, len(test)))

    def table(rows: list[Row], columns: tuple[str, ...]) -> datasets.Dataset:
        return datasets.Dataset.from_list([{name: row[name] for name in columns} for row in rows])

    asked = (data.column, "label", *(("group",) if data.grouped else ()))
    return {
        "train": table([data.train[n] for n in labeled], asked), "test": table(test, asked),
        "unlabeled": table([data.train[n] for n in pool], asked[:1]),
    }  # fmt: skip


def measured(data: Data, parts: dict[str, datasets.Dataset], work: Path, draw: int, given: dict[str, Any]) -> Row:
    """Macro-F1 of what the run answers with, of the plain saved model and of the simple ways, and who was right, for intervals."""
    import pyarrow.parquet as pq

    model = data.model(work / "start")
    loading = {
        "data": parts,
        "modality": data.modality,
        "near_duplicates": False,
        "validation_fraction": 0,
        "dedup": False,
        **({"group_column": "group"} if data.grouped else {}),
    }
    shown = {name: value for name, value in data.options.items() if name not in ("max_length", "from_config")}
    common = {**loading, **shown, "leakage": "allow", "output": str(work / "run"), "seed": draw}
    began = time.perf_counter()
    tuned = hf_ssl.finetune(**{**common, **data.options, **given, "model": model})
    seconds = time.perf_counter() - began
    result = hf_ssl.evaluate(**common)
    table = pq.read_table(result.path / "predictions.parquet").to_pylist()
    truth = [row["truth"] for row in table]
    guesses = {
        "answer": [row["prediction"] for row in table],
        "model": [row.get("model_prediction", row["prediction"]) for row in table],
    }
    report = json.loads((tuned.path / "candidates.json").read_text(encoding="utf-8"))
    simple, _ = simple_ways(
        data, parts, model if "from_config" not in data.options else str(work / "run" / "start"), draw
    )
    guesses |= simple
    macro, right = scores(guesses, truth)
    return {
        "f1": macro,
        "right": right,
        "start": report["start"],
        "by": report["answer"],
        "seconds": round(seconds),
        "classes": len(set(truth)),
    }


def simple_ways(
    data: Data, parts: dict[str, datasets.Dataset], model: str | None, draw: int, peers: Sequence[str] = ("svm",)
) -> tuple[dict[str, list[str]], list[str]]:
    """What each simple way and peer says of the test items that can be read, and the truth; without a model those that need none."""
    kind = plugins.find("modalities", data.modality)
    shown = {name: value for name, value in data.options.items() if name in kind.Config.__dataclass_fields__}
    modality = kind(kind.Config(**shown))
    loaded = hf_ssl.load_data(
        parts, modality=data.modality, near_duplicates=False, validation_fraction=0, dedup=False, leakage="allow",
        verbose=False, **shown,
    )  # fmt: skip
    test = hf_ssl.data.open_test(loaded, "best-answer benchmark")
    train, names = loaded["train"], loaded["train"].features["label"].names
    y = np.asarray(train["label"])
    found = {}
    have = ask = None
    if model is not None:
        encoder = modality.load(model, dataset=train)
        longest = {"max_length": 128} if data.modality == "text" else {}
        have, ask = (encoder.embed(list(part[modality.column]), **longest) for part in (train, test))
        found["frozen"] = probes.linear_probe(have, y, ask, seed=draw).predictions
    if data.modality == "text":
        pool = list(loaded["unlabeled"]["text"])
        guess = probes.tfidf_probe(
            list(train["text"]), y, list(test["text"]), seed=draw, unlabeled=pool, ngrams=("words",)
        )
        found["cheap"] = guess.predictions
    else:
        for one in modality.cheap_features():
            rows, asked = (one.rows(list(part[modality.column])) for part in (train, test))
            found[one.name] = probes.linear_probe(rows, y, asked, seed=draw).predictions
            if data.modality == "timeseries":
                found[f"{one.name} + ridge"] = ridge(rows, y, asked)
    groups = list(parts["train"]["group"]) if data.grouped else None
    values, asked = (list(part[modality.column]) for part in (train, test))
    for name in peers:
        peer = plugins.find("peers", name)()
        if model is not None and (not peer.modalities or data.modality in peer.modalities):
            given = Asked(values, y, asked, have, ask, "single_label_classification", draw, model, groups)
            found[name] = peer.answer(given).predictions
    truth = [names[int(label)] for label in test["label"]]
    return {name: [names[int(g)] for g in guess] for name, guess in found.items()}, truth


def ridge(rows: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Ridge regression on random kernels, as their authors use them (Dempster et al. 2021; 2023)."""
    rows, asked = probes.clean_features(rows, asked)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
    return np.asarray(model.fit(rows, y).predict(asked))


def with_more_ways(row: Row, data: Data, test_limit: int, peers: Sequence[str]) -> Row:
    """A finished draw, and the simple ways and peers that were not asked when it was measured, on the same labels and test items.

    Raises:
        RuntimeError: what both have is not the same, so the draw cannot be made again here.
    """
    parts = drawn(data, row["budget"], row["draw"], test_limit)
    with tempfile.TemporaryDirectory() as work:
        # A start of random weights was that run's own, and is gone; nothing is missing with it.
        model = None if "from_config" in data.options else data.model(Path(work) / "start")
        found, truth = simple_ways(data, parts, model, row["draw"], [peer for peer in peers if peer not in row["f1"]])
    if len(truth) != len(row["right"]["answer"]):
        raise RuntimeError(f"{row['set']}: {len(truth)} test items, it was measured on {len(row['right']['answer'])}")
    f1, right = scores(found, truth)
    shared = sorted(row["right"].keys() & right.keys())
    apart = {
        name: sum(now != before for now, before in zip(right[name], row["right"][name], strict=True))
        for name in shared
    }
    other = [name for name in shared if abs(f1[name] - row["f1"][name]) > SAME or apart[name] > APART * len(truth)]
    if 2 * len(other) >= len(shared) > 0:
        raise RuntimeError(
            f"{row['set']}: not the same labels, for most ways differ, such as {other[0]} with {f1[other[0]]} now and {row['f1'][other[0]]} then"
        )
    return {**row, "f1": {**f1, **row["f1"]}, "right": {**right, **row["right"]}}


def scores(guesses: dict[str, list[Any]], truth: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Macro-F1 of each way, and which test items each has right, as zeros and ones."""
    classes = sorted(set(truth))
    macro = {
        name: round(float(f1_score(truth, [str(g) for g in guess], average="macro", labels=classes)), 4)
        for name, guess in guesses.items()
    }
    right = {
        name: "".join(str(int(str(g) == t)) for g, t in zip(guess, truth, strict=True))
        for name, guess in guesses.items()
    }
    return macro, right


def commit() -> str:
    """Of this checkout, with a mark where it has been changed; results that were written since do not count."""

    def git(*words: str) -> str:
        asked = subprocess.run(["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True)
        return asked.stdout.strip()

    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)tests/benchmarks/results"
    )
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else "")


def gains(rows: list[Row], best: str) -> tuple[float, float]:
    """Mean difference in accuracy of the answer and another way, over draws, and its half 95 % interval over test items."""
    marks = [[np.array([*row["right"][way]], int) for way in ("answer", best)] for row in rows]
    apart = np.mean([ours - theirs for ours, theirs in marks], axis=0)
    return float(apart.mean()), float(1.96 * apart.std(ddof=1) / np.sqrt(len(apart)))


def table(rows: list[Row]) -> str:
    """Mean macro-F1 over draws; what the run answers with against the best simple way and the frozen probe."""
    lines = [
        "| set | labels a class | draws | answer | by | plain model | frozen probe | best simple | answer - best simple, accuracy (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    below = above = 0
    cells = list(dict.fromkeys((row["set"], row["budget"]) for row in rows))
    for name, budget in cells:
        found = [row for row in rows if (row["set"], row["budget"]) == (name, budget)]
        means = {way: float(np.mean([row["f1"][way] for row in found])) for way in found[0]["f1"]}
        best = max((way for way in means if way not in ("answer", "model")), key=lambda way: means[way])
        (gain, error), (over, spread) = gains(found, best), gains(found, "frozen")
        below, above = below + (gain + error < 0), above + (over - spread > 0)
        by = "/".join(dict.fromkeys(row["by"] for row in found))
        lines.append(
            f"| {name} | {budget} | {len(found)} | {means['answer']:.3f} | {by} | {means['model']:.3f} | {means['frozen']:.3f} | "
            f"{means[best]:.3f} {best} | {gain:+.3f} ({gain - error:+.3f} to {gain + error:+.3f}) |"
        )
    lines.append(
        f"\nOf {len(cells)} cells (set and number of labels): {below} shown below the best simple way, {above} shown above the frozen "
        "probe (95 % intervals of accuracy over test items). The best simple way is picked with the test labels, which favors it."
    )
    return "\n".join([*lines, "", *ranks(rows)])


def ranks(rows: list[Row]) -> list[str]:
    """The mean rank of the answer and of each other way, by kind of data: 1 is the highest mean macro-F1 of a cell."""
    lines = []
    for kind in DEVELOPMENT:
        names = {*DEVELOPMENT[kind], *CONFIRMATION[kind]}
        cells = {(row["set"], row["budget"]) for row in rows if row["set"] in names}
        places: dict[str, list[float]] = {}
        for cell in sorted(cells):
            found = [row["f1"] for row in rows if (row["set"], row["budget"]) == cell]
            ways = [way for way in set.intersection(*(set(f1) for f1 in found)) if way != "model"]
            means = [float(np.mean([f1[way] for f1 in found])) for way in ways]
            for way, place in zip(ways, rankdata([-mean for mean in means]), strict=True):
                places.setdefault(way, []).append(float(place))
        order = sorted((float(np.mean(found)), way) for way, found in places.items() if len(found) == len(cells))
        if order:
            lines.append(
                f"- {kind} ({len(cells)} cells), mean rank: " + ", ".join(f"{way} {mean:.1f}" for mean, way in order)
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", help="names of sets, or kinds of data (default: all)")
    parser.add_argument("--budgets", default="4,16")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--test_limit", type=int, default=300)
    parser.add_argument("--peft", default="lora")
    parser.add_argument("--given", default="{}", help="more options of finetune, as JSON")
    parser.add_argument("--confirm", action="store_true", help="open confirmation sets: once per release")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--peers", default="", help="with --table: add what rows lack of the simple ways and of these")
    parser.add_argument(
        "--output", help="default: runs/best-answer, with --confirm tests/benchmarks/results/confirmation"
    )
    asked = parser.parse_args()
    asked.output = asked.output or (CONFIRMED if asked.confirm else "runs/best-answer")
    file = Path(asked.output) / "results.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    logging.getLogger("hf_ssl").setLevel(logging.WARNING)
    sets = CONFIRMATION if asked.confirm else DEVELOPMENT
    known = every(sets)
    if asked.table and asked.peers:
        every_known = every(DEVELOPMENT) | every(CONFIRMATION)
        for place, row in enumerate(rows):
            if not set(asked.peers.split(",")) <= row["f1"].keys():
                rows[place] = with_more_ways(row, every_known[row["set"]](), asked.test_limit, asked.peers.split(","))
                file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
                print(row["set"], row["budget"], row["draw"], rows[place]["f1"], flush=True)
    wanted = asked.sets.split(",") if asked.sets else [*known]
    names = [] if asked.table else [one for name in wanted for one in sets.get(name, (name,))]
    for name in names:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    if asked.confirm and names:
        try:
            open_confirmation(file.with_name("opened.jsonl"), hf_ssl.__version__, commit(), time.strftime("%F"))
        except RuntimeError as refused:
            parser.error(str(refused))
    # A draw of every set before the next draw, so that what there is whenever it is stopped covers all of them.
    for draw, name, budget in itertools.product(range(asked.draws), names, map(int, asked.budgets.split(","))):
        key = {"set": name, "budget": budget, "draw": draw, "peft": asked.peft, "given": asked.given}
        if any(key.items() <= row.items() for row in rows):
            continue
        data = known[name]()
        if sum(count >= budget for count in Counter(row["label"] for row in data.train).values()) < 2:
            continue
        parts = drawn(data, budget, draw, asked.test_limit)
        try:
            with tempfile.TemporaryDirectory() as work:
                row = measured(data, parts, Path(work), draw, {"peft": asked.peft, **json.loads(asked.given)})
        except HfSslError as refused:  # some rows of a class may be unusable; the other sets go on
            print({**key, "refused": str(refused)}, flush=True)
            continue
        rows.append({**key, **row, "release": hf_ssl.__version__, "date": time.strftime("%F"), "commit": commit()})
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(rows[-1]) + "\n")
        print({name: value for name, value in rows[-1].items() if name != "right"}, flush=True)
    for settings in dict.fromkeys((row["peft"], row["given"]) for row in rows):
        print(f"\n{settings}\n" + table([row for row in rows if (row["peft"], row["given"]) == settings]))


if __name__ == "__main__":
    main()
