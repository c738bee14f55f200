"""Few-label quality on 20 Newsgroups: fine-tuned models beside their frozen probe and TF-IDF, as released and adapted.

    python tests/benchmarks/bench_few_labels.py [--adapted FOLDER] [--budgets 4,16,64] [--draws 3] [--self_training 0,3000]

Macro-F1 on test posts that nothing was chosen on; `--choose` measures on 1,000 held-out training posts instead. Every
finished fit is a line of `results.jsonl` in the output folder, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from hf_ssl import demo, load_data
from hf_ssl.core import plugins
from hf_ssl.core.options import CompareConfig
from hf_ssl.data import few_label_subset, open_test
from hf_ssl.evaluation.probes import probes
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.fit import fit_task, open_pool
from hf_ssl.tasks.base import TaskRows
from hf_ssl.training.trainer import bf16_is_fast, predict


def numbers(text: str) -> list[int]:
    """`"4,16"` → `[4, 16]`."""
    return [int(part) for part in text.split(",")]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--adapted", help="an adapted checkpoint to put beside the released one")
    parser.add_argument("--budgets", type=numbers, default=[4, 16, 64])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--self_training", type=numbers, default=[0, 3000], help="pool examples; 0: labels only")
    parser.add_argument("--test_limit", type=int, default=1500)
    parser.add_argument("--max_length", type=int, default=256)
    parser.add_argument("--epochs", type=float, default=None)
    parser.add_argument("--max_steps", type=int, default=None)
    parser.add_argument("--peft", default="lora")
    parser.add_argument("--learning_rate", type=float, default=None)
    parser.add_argument("--choose", action="store_true", help="measure on held-out training posts, for choices")
    parser.add_argument("--output", default="runs/few-labels")
    return parser.parse_args()


class Results:
    """Finished rows, on disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "results.jsonl"
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        self.rows = [json.loads(line) for line in lines]

    def has(self, **key: Any) -> bool:
        """Whether a row with this key is there."""
        return any(key.items() <= row.items() for row in self.rows)

    def add(self, **row: Any) -> None:
        """Append a row."""
        self.rows.append(row)
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(row, flush=True)

    def table(self) -> str:
        """Mean macro-F1 (± standard deviation over draws) by method and budget."""
        budgets = sorted({row["budget"] for row in self.rows})
        lines = ["| | " + " | ".join(f"{b} per class" for b in budgets) + " |", "|---|" + "---|" * len(budgets)]
        for method in dict.fromkeys(row["method"] for row in self.rows):
            cells = []
            for budget in budgets:
                found = [r["f1"] for r in self.rows if r["method"] == method and r["budget"] == budget]
                cells.append(f"{np.mean(found):.3f} ± {np.std(found):.3f} (n={len(found)})" if found else "")
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def main() -> None:
    asked = options()
    results = Results(Path(asked.output))
    with tempfile.TemporaryDirectory() as folder:
        demo.write_newsgroups(Path(folder) / "data", per_class=400, pool_limit=None, test_limit=None)
        data = load_data(Path(folder) / "data", validation_fraction=0, verbose=False)
    if asked.choose:
        order = np.random.default_rng(1).permutation(len(data["train"]))
        test = data["train"].select(np.sort(order[:1000]))
        data["train"] = data["train"].select(np.sort(order[1000:]))
        held = set(test["text"])  # the pool holds all training posts
        data["unlabeled"] = data["unlabeled"].filter(lambda row: row["text"] not in held)
    else:
        test = open_test(data, "few-label benchmark")
        test = test.select(np.sort(np.random.default_rng(0).permutation(len(test))[: asked.test_limit]))
    modality = plugins.find("modalities", "text")()
    truth = np.asarray(test["label"])
    subsets = {
        (b, d): few_label_subset(data["train"], b, d, incomplete="keep")
        for b in asked.budgets
        for d in range(asked.draws)
    }
    if not asked.choose:
        cheap(results, list(data["unlabeled"]["text"])[:3000], data["train"], test, truth, subsets)
    arms = {"released": str(demo.minilm_path()), **({"adapted": asked.adapted} if asked.adapted else {})}
    for arm, model_id in arms.items():
        frozen(results, arm, model_id, modality, data["train"], test, truth, subsets)
    for arm, model_id in arms.items():
        for size in asked.self_training:
            tuned(results, asked, arm, model_id, size, modality, data, test, truth, subsets)
    print("\n" + results.table())


def score(truth: np.ndarray, guess: np.ndarray) -> float:
    return round(float(f1_score(truth, guess, average="macro")), 4)


def cheap(results: Results, pool: list[str], train: Any, test: Any, truth: np.ndarray, subsets: dict) -> None:
    for (budget, draw), subset in subsets.items():
        if not results.has(method="TF-IDF", budget=budget, draw=draw):
            rows = train.select(subset)
            guess = probes.tfidf_probe(
                list(rows["text"]), np.asarray(rows["label"]), list(test["text"]), seed=draw, unlabeled=pool
            )
            results.add(method="TF-IDF", budget=budget, draw=draw, f1=score(truth, guess.predictions))


def frozen(
    results: Results, arm: str, model_id: str, modality: Any, train: Any, test: Any, truth: np.ndarray, subsets: dict
) -> None:
    method = f"{arm}: frozen probe"
    if all(results.has(method=method, budget=budget, draw=draw) for budget, draw in subsets):
        return
    encoder = modality.load(model_id)

    def embed(rows: Any) -> np.ndarray:
        return encoder.embed(list(rows["text"]), max_length=256, bf16=bf16_is_fast())

    needed = np.unique(np.concatenate(list(subsets.values())))
    known, asked = dict(zip(needed, embed(train.select(needed)), strict=True)), embed(test)
    for (budget, draw), subset in subsets.items():
        x, y = np.stack([known[i] for i in subset]), np.asarray(train.select(subset)["label"])
        guess = probes.linear_probe(x, y, asked, seed=draw)
        results.add(method=method, budget=budget, draw=draw, f1=score(truth, guess.predictions))


def tuned(
    results: Results, asked: Any, arm: str, model_id: str, size: int, modality: Any, data: Any, test: Any,
    truth: np.ndarray, subsets: dict,
) -> None:  # fmt: skip
    method = f"{arm}: {asked.peft}, {'labels and ' + format(size, ',') + ' of the pool' if size else 'labels only'}"
    kind = plugins.find("tasks", "classification")
    config = CompareConfig(peft=asked.peft, self_training=size)
    training = {
        **({"num_train_epochs": asked.epochs} if asked.epochs else {}),
        **({"max_steps": asked.max_steps} if asked.max_steps else {}),
        **({"learning_rate": asked.learning_rate} if asked.learning_rate else {}),
    }
    task = kind(kind.Config(max_length=asked.max_length), modality)
    task.fit_labels(data["train"], data.label_names)
    pool = open_pool(task, data, config)
    for (budget, draw), subset in subsets.items():
        if results.has(method=method, budget=budget, draw=draw):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            fit = fit_task(
                task, CheckpointRef(model_id), data["train"].select(subset), None, config, training, Path(work), seed=draw, pool=pool
            )  # fmt: skip
            seconds = time.monotonic() - began
            logits, _ = predict(fit.module, TaskRows(task.encode(fit.encoder, test)), fit.args)
        results.add(
            method=method, budget=budget, draw=draw, f1=score(truth, logits.argmax(-1)), seconds=round(seconds)
        )


if __name__ == "__main__":
    main()
