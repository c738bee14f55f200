"""How often does training the network pay in rehearsal, and how many trainings does it take to know? On development sets.

    python tests/benchmarks/bench_rehearsal.py --sets r8,digits [--budgets 16,4] [--draws 3]
    python tests/benchmarks/bench_rehearsal.py --table

All folds are trained, whatever the rule of `hf_ssl.stages.rehearsal` would do, and what the network and its start say of each label held out
is a line of results/rehearsal.jsonl. The table compares the verdict of all folds with that of the rule, which ends earlier.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_best_answer import commit, drawn
from best_answer_sets import DEVELOPMENT, every

import hf_ssl
from hf_ssl.evaluation.probes.selection import clearly_more
from hf_ssl.evaluation.probes.taught import Answered
from hf_ssl.stages import fit
from hf_ssl.stages.candidates import Findings, Fold
from hf_ssl.stages.rehearsal import ENOUGH, Rehearsal

RESULTS = Path(__file__).with_name("results") / "rehearsal.jsonl"


class Done(Exception):
    """Nothing more is wanted of the run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(every(DEVELOPMENT)))
    parser.add_argument("--budgets", default="16,4")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    if given.table:
        print(table(rows))
        return
    logging.getLogger("hf_ssl").setLevel(logging.ERROR)
    known = every(DEVELOPMENT)
    for draw, budget, name in itertools.product(
        range(given.draws), map(int, given.budgets.split(",")), given.sets.split(",")
    ):
        key = {"set": name, "budget": budget, "draw": draw}
        if not any(key.items() <= row.items() for row in rows) and (folds := rehearsed(known[name](), budget, draw)):
            with RESULTS.open("a", encoding="utf-8") as out:
                line = {**key, "folds": folds, "date": time.strftime("%F"), "commit": commit()}
                out.write(json.dumps(line) + "\n")
            print(
                key,
                [(fold["start"].count("1"), fold["network"].count("1"), len(fold["start"])) for fold in folds],
                flush=True,
            )


def rehearsed(data: Any, budget: int, draw: int) -> list[dict[str, Any]]:
    """Of each fold: who is right, as zeros and ones, and the losses; empty where fewer than two classes have so many labels."""
    if sum(count >= budget for count in Counter(row["label"] for row in data.train).values()) < 2:
        return []
    folds: list[dict[str, Any]] = []

    def watched(found: Findings, y: np.ndarray, train: Callable[[Findings, Fold], np.ndarray]) -> Rehearsal:
        for fold in found.folds:
            began = time.monotonic()
            alone = dataclasses.replace(found, head=fold.head, believed=fold.believed, folds=[])
            said = {"start": fold.start, "network": train(alone, fold)}
            of = {name: Answered.of(answers, y[fold.held]) for name, answers in said.items()}
            folds.append(
                {name: "".join(str(int(hit)) for hit in one.right) for name, one in of.items()}
                | {f"loss of {name}": one.losses.round(3).tolist() for name, one in of.items()}
                | {"seconds": round(time.monotonic() - began, 1)}
            )
        raise Done

    whole, fit.rehearsal_of = fit.rehearsal_of, watched
    try:
        with tempfile.TemporaryDirectory() as work:
            hf_ssl.finetune(
                data=drawn(data, budget, draw, 20), modality=data.modality, model=data.model(Path(work) / "start"), near_duplicates=False,
                validation_fraction=0, dedup=False, leakage="allow", output=f"{work}/run", seed=draw, peft="lora",
                **({"group_column": "group"} if data.grouped else {}), **data.options,
            )  # fmt: skip
    except Done:
        pass
    finally:
        fit.rehearsal_of = whole
    return folds


def verdict(folds: list[dict[str, Any]]) -> tuple[bool, float]:
    """Whether training pays, as `hf_ssl.stages.rehearsal.judged` says, and how many more of the labels are right."""
    start, network = (np.array([int(hit) for fold in folds for hit in fold[name]]) for name in ("start", "network"))
    before, after = (np.concatenate([fold[f"loss of {name}"] for fold in folds]) for name in ("start", "network"))
    more = float(network.mean() - start.mean())
    return bool(clearly_more(network, start) or (more >= 0 and clearly_more(before, after))), more


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each set and number of labels."""
    lines = [
        "| set | labels a class | draw | held out | right: start, trained | pays by all folds | by the rule | trainings |",
        "|---|--:|--:|--:|---|---|---|--:|",
    ]
    agree = fewer = whole = paid = 0
    for row in rows:
        folds, used = row["folds"], len(row["folds"])
        for count in range(1, len(folds) + 1):
            pays, more = verdict(folds[:count])
            if sum(len(fold["start"]) for fold in folds[:count]) >= ENOUGH and (pays or more < 0):
                used = count
                break
        full, ruled = verdict(folds)[0], verdict(folds[:used])[0]
        start, network = ("".join(fold[name] for fold in folds) for name in ("start", "network"))
        agree, fewer, whole, paid = agree + (full == ruled), fewer + used, whole + len(folds), paid + full
        lines.append(
            f"| {row['set']} | {row['budget']} | {row['draw']} | {len(start)} | {start.count('1')}, {network.count('1')} | "
            f"{'yes' if full else 'no'} | {'yes' if ruled else 'no'} | {used} of {len(folds)} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Training pays in {paid} of {len(rows)}; the rule agrees in {agree}, with {fewer} of {whole} trainings.",
        ]
    )


if __name__ == "__main__":
    main()
