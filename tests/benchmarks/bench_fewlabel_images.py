"""Few labels on Fashion-MNIST: does pre-training a small network on 60,000 unlabeled pictures help, and by how much?

    python tests/benchmarks/bench_fewlabel_images.py [--seeds 0 1 2] [--dev] [--results FILE] [--OPTION VALUE ...]

Frozen probes at 4, 16 and 64 labels per class, five draws of labels, accuracy on all 10,000 test pictures; beside them the
same network with random weights, and pixels. Every arm gets the same probe: logistic regression with a fixed penalty on
features scaled by 2,000 unlabeled pictures. Three ways of pooling are shown: the mean of the last map, its cells (`grid`:
clothes lie in the same place in every picture), and the cells of the stage before the last. Pixels are also shown with
penalty and scaling chosen on the labels. With `--dev` the choices are made: 10,000 pictures of the training part stand in
for the test set, which is not opened.
Further options are those of `hf-ssl pretrain`. Every finished seed is kept in the results file, and the table shows all
that it holds, so that the seeds can be run one at a time; other options than those of the file are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from pool_scaled import pool_scaled_probe

from hf_ssl import load_data, pretrain
from hf_ssl.core.commands import parser_of
from hf_ssl.demo import images as demo_images
from hf_ssl.evaluation.probes import probes
from hf_ssl.modalities.image.image import Image

BUDGETS, DRAWS = (4, 16, 64), 5
POOLINGS = ("mean", "grid", "grid@-2")
REFERENCE = {"SimCLR (reference)": (0.651, 0.755, 0.819), "random net (reference)": (0.564, 0.708, 0.767)}
# Chosen on the training part: three stages keep a map of 3 x 3 cells from pictures of 40 pixels.
NETWORK: dict[str, Any] = {"hidden_sizes": [32, 64, 128], "depths": [1, 1, 1], "embedding_size": 32}
OPTIONS: dict[str, Any] = {
    "objective": "simclr", "modality": "image", "per_device_train_batch_size": 128, "learning_rate": 2e-3, "temperature": 0.1,
    "weight_decay": 1e-4, "lr_schedule": "cosine", "backbone_warmup_ratio": 0.05, "head_warmup": 0.0, "layer_decay": 1.0, "keep_checkpoint": "last",
    "monitor_points": 1, "early_stopping_patience": 0, "num_train_epochs": 3, "crop_scale": [0.25, 1.0], "save_strategy": "no",
    "eval_fraction": 0.01, "leakage": "allow", "near_duplicates": False,
}  # fmt: skip


def probe(
    pool: np.ndarray, have: np.ndarray, labels: np.ndarray, ask: np.ndarray, truth: np.ndarray, choose: bool = False
) -> dict[int, list[float]]:
    """Accuracy per budget, one number per draw of labels."""
    scores: dict[int, list[float]] = {}
    for budget in BUDGETS:
        for draw in range(DRAWS):
            rng = np.random.default_rng(draw)
            rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:budget] for c in range(10)])
            if choose:
                found = probes.linear_probe(have[rows], labels[rows], ask, seed=draw).predictions
            else:
                found = pool_scaled_probe(pool, have[rows], labels[rows], ask)
            scores.setdefault(budget, []).append(float((found == truth).mean()))
    return scores


class Results:
    """Scores of every arm and seed, written as they come."""

    def __init__(self, file: Path | None, settings: dict[str, Any]) -> None:
        self.file, self.arms, self.minutes = file, {}, {}
        self.settings = json.loads(json.dumps(settings))
        if file is not None and file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["settings"] != self.settings:
                raise SystemExit(f"{file} was made with other options: {kept['settings']}")
            self.arms, self.minutes = kept["arms"], kept["minutes"]

    def has(self, arm: str, seed: int) -> bool:
        return str(seed) in self.arms.get(arm, {})

    def add(self, arm: str, seed: int, scores: dict[int, list[float]], minutes: float = 0.0) -> None:
        """`scores`: budget to one accuracy per draw of labels."""
        self.arms.setdefault(arm, {})[str(seed)] = {str(budget): values for budget, values in scores.items()}
        self.minutes.setdefault(arm, {})[str(seed)] = round(minutes, 2)
        means = {budget: round(float(np.mean(values)), 4) for budget, values in scores.items()}
        print(f"{arm}, seed {seed}: {means}" + (f", {minutes:.1f} min" if minutes else ""), flush=True)
        if self.file is not None:
            kept = {"settings": self.settings, "arms": self.arms, "minutes": self.minutes}
            self.file.write_text(json.dumps(kept, indent=1), encoding="utf-8")

    def line(self, arm: str) -> str:
        """Mean over seeds and draws; spread over seeds of the mean, and over draws."""
        cells = []
        for budget in BUDGETS:
            table = np.array([scores[str(budget)] for scores in self.arms[arm].values()])
            seeds = f" ±{table.mean(1).std(ddof=1):.3f} seeds" if len(table) > 1 else ""
            cells.append(f"{table.mean():.3f}{seeds} ±{table.std(axis=1, ddof=1).mean():.3f} draws")
        return f"| {arm} ({len(self.arms[arm])}) | " + " | ".join(cells) + " |"


def references(pictures: np.ndarray) -> list[dict[str, Any]]:
    return [{"bytes": demo_images.png_bytes(one), "path": None} for one in pictures]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--network", type=json.loads, default={})
    parser.add_argument("--side", type=int, default=40)
    known, rest = parser.parse_known_args(arguments)
    given = parser_of("pretrain", ["--modality=image", "--objective=simclr", *rest]).read(rest)
    options, network = {**OPTIONS, **given}, {**NETWORK, **known.network}
    settings = {"options": options, "network": network, "side": known.side, "dev": known.dev}
    results = Results(known.results, settings)
    image = Image()
    pictures, labels = demo_images.fashion_mnist("train")
    held = np.random.default_rng(1).permutation(len(labels))
    test, truth = (pictures[held[:10_000]], labels[held[:10_000]]) if known.dev else demo_images.fashion_mnist("test")
    have_labels = labels[held[10_000:14_000]]  # labels are drawn from these; the first 10,000 decide in --dev
    parts = [references(part) for part in (pictures[held[20_000:22_000]], pictures[held[10_000:14_000]], test)]

    def score(arm: str, seed: int, folder: Path | None, minutes: float = 0.0) -> None:
        """Of pixels, or of the network in a folder, with both ways of pooling."""
        if folder is None:
            pool, have, ask = (image.baseline_features(part) for part in parts)
            results.add(arm, seed, probe(pool, have, have_labels, ask, truth))
            results.add(f"{arm}, penalty chosen", seed, probe(pool, have, have_labels, ask, truth, choose=True))
            return
        encoder = image.load(str(folder))
        for pooling in POOLINGS:
            pool, have, ask = (encoder.replace(pooling=pooling).embed(part) for part in parts)
            results.add(f"{arm}, {pooling}", seed, probe(pool, have, have_labels, ask, truth), minutes)

    name = str(options["objective"])
    if not results.has("pixels", 0):
        score("pixels", 0, None)
    with tempfile.TemporaryDirectory() as folder:
        data = None
        for seed in known.seeds:
            start = demo_images.write_small_network(
                Path(folder) / f"start{seed}", side=known.side, seed=seed, **network
            )
            if not results.has(f"random net, {POOLINGS[-1]}", seed):
                score("random net", seed, start)
            if results.has(f"{name}, {POOLINGS[-1]}", seed):
                continue
            if data is None:
                columns = datasets.Features({"image": datasets.Image(decode=False)})
                pool = datasets.Dataset.from_dict({"image": references(pictures)}, features=columns)
                data = load_data(pool, image, near_duplicates=False, verbose=False)
            began = time.monotonic(), time.process_time()
            done = pretrain(
                data=data, model=str(start), output=str(Path(folder) / f"run{seed}"), **{**options, "seed": seed}
            )
            wall, busy = time.monotonic() - began[0], time.process_time() - began[1]
            print(f"seed {seed}: pre-training took {wall / 60:.1f} minutes, {busy / 60:.1f} of one core", flush=True)
            score(name, seed, done.path / "model", busy / 60)
    print("| (seeds) | " + " | ".join(f"{budget} labels" for budget in BUDGETS) + " |\n|---|---|---|---|")
    for arm, numbers in REFERENCE.items():
        print(f"| {arm} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
    for arm in results.arms:
        print(results.line(arm))
    print(f"pre-training, minutes: {results.minutes.get(f'{name}, grid', {})}, {torch.get_num_threads()} thread(s)")


if __name__ == "__main__":
    main(sys.argv[1:])
