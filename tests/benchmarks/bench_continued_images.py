"""Continuing from a pretrained network on another domain: did it help, did it harm, and what does it cost in memory?

    python tests/benchmarks/bench_continued_images.py lite0 [--steps 100] [--side 64] [--pool 6000] [--keep RUNS] [--choose]
    python tests/benchmarks/bench_continued_images.py vit [--steps 300]
    python tests/benchmarks/bench_continued_images.py statistics [--side 64] [--test 1500]

`lite0`: the released EfficientNet-Lite0 (supervised on ImageNet), SimCLR on Fashion-MNIST, then the stage `compare`: base
and adapted, frozen probe and LoRA fine-tuning, on the same labels; pixels beside them. `--choose` measures on held-out
training pictures instead of test pictures, for choices, and draws every budget from three times as many labeled pictures.

`vit`: a small ViT pre-trained as a masked autoencoder on Open Clip Art, continued on Fashion-MNIST by DINO: as it is, with
all weights, and with LoRA inside DINO. Frozen probe (accuracy, 16 labels a class, five draws, 2,000 held-out training
pictures, no test data), and the bytes of gradients and optimizer state.

`statistics`: EfficientNet-Lite0 as released, and with nothing changed but the running statistics of its batch
normalization, re-estimated on 1,024 unlabeled pictures. Frozen probe (accuracy, three draws) on held-out training pictures.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ssl import load_data, pretrain, run_recipe
from hf_ssl.demo import images as demo_images
from hf_ssl.evaluation.probes import probes
from hf_ssl.modalities.image.files import as_reference
from hf_ssl.modalities.image.image import Image
from hf_ssl.training.trainer import arguments


def lite0(given: argparse.Namespace, root: Path) -> None:
    data = demo_images.write_fashion_mnist(
        root / "data", per_class=192 if given.choose else 64, pool_limit=given.pool, test_limit=given.test
    )
    if given.choose:
        held_out(data, given.test)
    start = demo_images.write_efficientnet_lite0(root / "start")
    results = run_recipe({
        "data": str(data), "modality": "image", "model": str(start), "output": str(root / "run"), "image_size": given.side,
        "color": 0.5, "crop_scale": [0.3, 1.0], "validation_fraction": 0.0, "near_duplicates": False,
        "pretrain": {"objective": "simclr", "max_steps": given.steps, "per_device_train_batch_size": 64,
                     "monitor_points": 2, "learning_rate": given.rate},
        "compare": {"labels_per_class": given.budgets, "num_seeds": 3, "finetune_arms": not given.probe_only, "overwrite": True},
    })  # fmt: skip
    print(
        f"pre-training: {results['pretrain'].metrics['outcome']}, kept step {results['pretrain'].metrics['kept_step']}"
    )
    print((results["compare"].path / "table.md").read_text(encoding="utf-8"))


def held_out(data: Path, count: int) -> None:
    """Put training pictures that are in no other split in the place of the test pictures."""
    pictures, labels = demo_images.fashion_mnist("train")
    used = set()
    for name in ("train", "unlabeled"):
        table = datasets.Dataset.from_parquet(str(data / f"{name}.parquet"))
        used |= {reference["bytes"] for reference in table.cast_column("image", datasets.Image(decode=False))["image"]}
    order = np.random.default_rng(0).permutation(len(labels)).tolist()
    rows = list(itertools.islice((row for row in order if demo_images.png_bytes(pictures[row]) not in used), count))
    demo_images.write_parquet(data, "test", pictures[rows], labels[rows])


def vit(given: argparse.Namespace, root: Path) -> None:
    from hf_ssl.data import few_label_subset

    image = Image()
    common: dict[str, Any] = {
        "modality": "image",
        "keep_checkpoint": "last",
        "monitor_points": 1,
        "early_stopping_patience": 0,
        "save_strategy": "no",
    }
    small = [file for file in sorted(demo_images.clipart_folder().rglob("*.png")) if file.stat().st_size < 20_000]
    files = [small[row] for row in np.random.default_rng(0).permutation(len(small))[:1500]]
    art = load_data(files, "image", folder_labels=False, max_megapixels=2, verbose=False)
    scratch = demo_images.write_small_mae(root / "scratch", side=32)
    first = pretrain(
        data=art, model=str(scratch), output=str(root / "art"), objective="mae", max_steps=given.steps, layer_decay=1.0,
        per_device_train_batch_size=64, learning_rate=1e-3, **common,
    )  # fmt: skip
    start = first.path / "model"
    pictures, labels = demo_images.fashion_mnist("train")
    order = np.random.default_rng(0).permutation(len(labels))
    features = datasets.Features({"image": datasets.Image(decode=False)})

    def references(rows: np.ndarray) -> list[dict[str, Any]]:
        return [{"bytes": demo_images.png_bytes(pictures[row]), "path": None} for row in rows]

    ask, have, pool = order[:2000], order[2000:5000], order[5000:11000]
    data = load_data(datasets.Dataset.from_dict({"image": references(pool)}, features=features), image, verbose=False)
    labeled = datasets.Dataset.from_dict(
        {"id": [str(row) for row in have], "label": labels[have]},
        features=datasets.Features({"id": datasets.Value("string"), "label": datasets.ClassLabel(num_classes=10)}),
    )
    print("| | accuracy, 16 labels | gradients and optimizer state | drift |\n|---|---|---|---|")
    for name, options in {
        "frozen (as it is)": None,
        "DINO, all weights": {"learning_rate": 1e-4},
        "DINO with LoRA": {"peft": "lora", "lora_r": 8, "learning_rate": 1e-3},
    }.items():
        model, cost, drift = start, 0, 0.0
        if options is not None:
            done = pretrain(
                data=data, model=str(start), output=str(root / name.replace(" ", "-")), objective="dino", max_steps=given.steps,
                prototypes=1024, head_hidden=512, head_out=128, local_views=2, momentum=0.99, per_device_train_batch_size=32, **common, **options,
            )  # fmt: skip
            model, drift = done.path / "model", done.metrics["kept"]["cosine_drift"]
            cost = training_bytes(str(start), options)
        encoder = image.load(str(model))
        known, unknown = (encoder.embed(references(rows)) for rows in (have, ask))
        scores = []
        for draw in range(5):
            rows = few_label_subset(labeled, 16, draw)
            found = probes.linear_probe(known[rows], labels[have][rows], unknown, seed=draw)
            scores.append(float((found.predictions == labels[ask]).mean()))
        print(
            f"| {name} | {np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f} | {cost / 1e6:.1f} MB | {drift:.3f} |",
            flush=True,
        )


def statistics(given: argparse.Namespace, root: Path) -> None:
    import torch

    image = Image(Image.Config(image_size=given.side))
    folder = str(demo_images.write_efficientnet_lite0(root / "start"))
    encoder = image.load(folder, pooling="native")
    model = encoder.model
    pictures, labels = demo_images.fashion_mnist("train")
    order = np.random.default_rng(1).permutation(len(labels))
    ask, have, pool = order[: given.test], order[10_000:12_500], order[20_000:21_024]
    asked, known = ([as_reference(pictures[row]) for row in rows] for rows in (ask, have))

    def accuracies() -> list[float]:
        vectors, unknown = (encoder.embed(values) for values in (known, asked))
        means = []
        for budget in (4, 16, 64):
            hits = []
            for draw in range(3):
                rng = np.random.default_rng(draw)
                classes = [np.flatnonzero(labels[have] == number) for number in range(10)]
                rows = np.concatenate([rng.permutation(rows)[:budget] for rows in classes])
                found = probes.linear_probe(vectors[rows], labels[have][rows], unknown, seed=draw)
                hits.append(float((found.predictions == labels[ask]).mean()))
            means.append(float(np.mean(hits)))
        return means

    print("| labels per class | 4 | 16 | 64 |\n|---|---|---|---|")
    print("| as released | " + " | ".join(f"{value:.3f}" for value in accuracies()) + " |", flush=True)
    for norm in model.modules():
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
    model.train()
    encoded = encoder.preprocess([as_reference(pictures[row]) for row in pool])
    with torch.no_grad():
        for begin in range(0, len(encoded), 128):
            model(**encoder.collate(encoded[begin : begin + 128]))
    model.eval()
    print("| statistics re-estimated | " + " | ".join(f"{value:.3f}" for value in accuracies()) + " |")


def training_bytes(start: str, options: dict[str, Any]) -> int:
    """Bytes of gradients and optimizer state of the backbone after one real step (the head is the same for both)."""
    import torch

    from hf_ssl.models import adapters
    from hf_ssl.objectives.dino import DINO

    image = Image(Image.Config(local_views=0))
    encoder, method = image.load(start), options.get("peft", "full")
    model = adapters.apply(encoder.model, method, missing=encoder.report.missing, rank=options.get("lora_r", 8))
    objective = DINO(encoder.replace(model=model), DINO.Config(prototypes=64, head_hidden=64, head_out=16)).train()
    pool = datasets.Dataset.from_dict(
        {
            "image": [
                {"bytes": demo_images.png_bytes(one), "path": None}
                for one in demo_images.fashion_mnist("train")[0][:8]
            ]
        },
        features=datasets.Features({"image": datasets.Image(decode=False)}),
    )
    rows = objective.rows(pool, seed=0, training=True)
    args = arguments(Path(tempfile.mkdtemp()), seed=0, defaults={}, overrides={})
    optimizer = torch.optim.AdamW([p for p in objective.model.parameters() if p.requires_grad], lr=args.learning_rate)
    objective(**objective.collate([rows[i] for i in range(8)])).loss.backward()
    optimizer.step()
    size = sum(p.grad.nbytes for p in objective.model.parameters() if p.grad is not None)
    return size + sum(
        value.nbytes
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    )


def main(tokens: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["lite0", "vit", "statistics"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--pool", type=int, default=6000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--probe-only", action="store_true")
    parser.add_argument("--choose", action="store_true", help="Evaluator on held-out training pictures, for choices.")
    parser.add_argument("--budgets", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument(
        "--keep", type=Path, help="A folder to leave runs in; what is finished there is not done again."
    )
    given = parser.parse_args(tokens)
    part = {"lite0": lite0, "vit": vit, "statistics": statistics}[given.part]
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
        part(given, given.keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        part(given, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
