"""Few labels on Fashion-MNIST: does pre-training a small network on 60,000 unlabelled pictures help, and by how much?

    python tests/benchmarks/bench_fewlabel_images.py [--seeds 0 1 2] [--dev] [--OPTION VALUE ...]

Frozen linear probes (regularisation chosen on the labelled budget) at 4, 16 and 64 labels per class, five draws of
labels, accuracy on all 10,000 test pictures; beside them the same network with random weights, and pixels. With
`--dev` the choices are made: 10,000 pictures of the training part stand in for the test set, which is not opened.
Further options are those of `hf-ssl pretrain`.
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

from hf_ssl import demo_images, load_data, pretrain
from hf_ssl.config import from_tokens
from hf_ssl.evaluation import probes
from hf_ssl.modalities.image import Image

BUDGETS, DRAWS = (4, 16, 64), 5
REFERENCE = {"SimCLR (reference)": (0.651, 0.755, 0.819), "random net (reference)": (0.564, 0.708, 0.767)}
NETWORK: dict[str, Any] = {"hidden_sizes": [32, 64, 128, 256], "embedding_size": 32}
OPTIONS: dict[str, Any] = {
    "objective": "simclr", "modality": "image", "per_device_train_batch_size": 256, "learning_rate": 2e-3,
    "weight_decay": 1e-4, "decay": "cosine", "ramp": 0.05, "head_warmup": 0.0, "layer_decay": 1.0, "keep": "last",
    "monitor_points": 1, "patience": 0, "num_train_epochs": 20, "crop_scale": [0.25, 1.0], "save_strategy": "no",
    "eval_fraction": 0.01, "leakage": "allow", "near_duplicates": False,
}  # fmt: skip


def probe(have: np.ndarray, labels: np.ndarray, ask: np.ndarray, truth: np.ndarray) -> dict[int, list[float]]:
    """Accuracy per budget, one number per draw of labels."""
    scores: dict[int, list[float]] = {}
    for budget in BUDGETS:
        for draw in range(DRAWS):
            rng = np.random.default_rng(draw)
            rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:budget] for c in range(10)])
            found = probes.linear_probe(have[rows], labels[rows], ask, seed=draw)
            scores.setdefault(budget, []).append(float((found.predictions == truth).mean()))
    return scores


def features(folder: Path | str, pictures: list[dict[str, Any]], image: Image) -> np.ndarray:
    model, _ = image.load_model(str(folder))
    return image.embed(model, image.load_processor(str(folder)), pictures)


def line(name: str, scores: dict[int, list[list[float]]]) -> str:
    """Mean over seeds and draws; spread over seeds of the mean, and over draws."""
    cells = []
    for budget in BUDGETS:
        table = np.array(scores[budget])
        seeds = f" ±{table.mean(1).std(ddof=1):.3f} seeds" if len(table) > 1 else ""
        cells.append(f"{table.mean():.3f}{seeds} ±{table.std(axis=1, ddof=1).mean():.3f} draws")
    return f"| {name} | " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--network", type=json.loads, default={})
    parser.add_argument("--side", type=int, default=28)
    known, rest = parser.parse_known_args(arguments)
    image = Image()
    pictures, labels = demo_images.fashion_mnist("train")
    pool = [{"bytes": demo_images._png(one), "path": None} for one in pictures]
    held = np.random.default_rng(1).permutation(len(labels))
    if known.dev:
        ask, truth = [pool[row] for row in held[:10_000]], labels[held[:10_000]]
    else:
        test, truth = demo_images.fashion_mnist("test")
        ask = [{"bytes": demo_images._png(one), "path": None} for one in test]
    rows = held[10_000:20_000]  # labels are drawn from these
    have, have_labels = [pool[row] for row in rows], labels[rows]
    columns = datasets.Features({"image": datasets.Image(decode=False)})
    data = load_data(
        datasets.Dataset.from_dict({"image": pool}, features=columns), image, near_duplicates=False, verbose=False
    )
    results: dict[str, dict[int, list[list[float]]]] = {}

    def add(name: str, scores: dict[int, list[float]]) -> None:
        for budget, values in scores.items():
            results.setdefault(name, {}).setdefault(budget, []).append(values)

    add("pixels", probe(image.baseline_features(have), have_labels, image.baseline_features(ask), truth))
    with tempfile.TemporaryDirectory() as folder:
        for seed in known.seeds:
            start = demo_images.write_small_network(
                Path(folder) / f"start{seed}", side=known.side, seed=seed, **{**NETWORK, **known.network}
            )
            add("random net", probe(features(start, have, image), have_labels, features(start, ask, image), truth))
            began = time.monotonic()
            options = {**OPTIONS, **from_tokens(rest), "seed": seed}
            done = pretrain(data=data, model=str(start), output=str(Path(folder) / f"run{seed}"), **options)
            minutes = (time.monotonic() - began) / 60
            model = done.path / "model"
            scores = probe(features(model, have, image), have_labels, features(model, ask, image), truth)
            add(str(options["objective"]), scores)
            means = {budget: round(float(np.mean(values)), 4) for budget, values in scores.items()}
            print(f"seed {seed}: {minutes:.1f} min, {means}, {done.metrics}", flush=True)
    print("| | " + " | ".join(f"{budget} labels" for budget in BUDGETS) + " |\n|---|---|---|---|")
    for name, numbers in REFERENCE.items():
        print(f"| {name} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
    for name, scores in results.items():
        print(line(name, scores))


if __name__ == "__main__":
    main(sys.argv[1:])
