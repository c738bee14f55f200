"""Few labels on Mandarin syllables (gcin-voice): does self-supervised training on sound help a frozen probe?

    python tests/benchmarks/bench_fewlabel_audio.py features --arm random --seed 0      one arm, one seed: a few minutes
    python tests/benchmarks/bench_fewlabel_audio.py table                               all that was computed, on test
    python tests/benchmarks/bench_fewlabel_audio.py table --split validation            for choices

Arms: `log-mel` (mean and spread of 80 bands, no model), `random` (a small encoder as it was drawn), any objective's name (that
encoder after pre-training on the training syllables, from scratch), `whisper` (tiny.en as released, its first second),
`whisper+OBJECTIVE` (after continued pre-training on the same pool). Syllables of test and validation are never in the pool.
Tasks: initial (22 classes), final, tone; logistic regression on frozen features, 4 and 16 labels per class, 5 draws per
seed. Seeds are those of weights, masks and order. Choose settings with `--split validation` only.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ssl import demo_audio, pretrain
from hf_ssl.data import few_label_subset
from hf_ssl.evaluation import additive, probes
from hf_ssl.modalities.audio import Audio
from hf_ssl.models import load_model

BUDGETS, DRAWS = (4, 16), 5
# First guesses; what is to be chosen is chosen on the validation syllables.
SCRATCH: dict[str, dict[str, Any]] = {
    "masked-spectrogram": {"learning_rate": 1e-3, "max_steps": 600, "per_device_train_batch_size": 32, "mask_span": 5},
    "simclr": {"learning_rate": 1e-3, "max_steps": 600, "per_device_train_batch_size": 64},
}
CONTINUED: dict[str, dict[str, Any]] = {
    "masked-spectrogram": {"learning_rate": 2e-5, "max_steps": 120, "per_device_train_batch_size": 32, "mask_span": 5},
    "simclr": {"learning_rate": 2e-5, "max_steps": 120, "per_device_train_batch_size": 64},
}


def audio() -> Audio:
    return Audio(Audio.Config(window=1.0, min_seconds=0.05))


def encoder_features(folder: Path, rows: list[dict], modality: Audio) -> np.ndarray:
    processor = modality.load_processor(str(folder))
    model = modality.prepare_model(load_model(str(folder), "AutoModel")[0], processor)
    return modality.embed(model, processor, [row["path"] for row in rows], pooling="mean_std")


def trained(objective: str, start: Path, options: dict[str, Any], work: Path, seed: int, scratch: bool) -> Path:
    pool = demo_audio.write_gcin(work / "pool") / "unlabeled.csv"  # a table without labels: none can be looked at
    chosen: dict[str, Any] = {
        "keep": "last", "patience": 0, "monitor_points": 2, "logging_steps": 100, "window": 1.0, "min_seconds": 0.05,
        "save_strategy": "no", **({"head_warmup": 0.0, "layer_decay": 1.0} if scratch else {}), **options,
    }  # fmt: skip
    result = pretrain(
        data=str(pool), modality="audio", model=str(start), objective=objective, output=str(work / "run"), seed=seed,
        overwrite=True, **chosen,
    )  # fmt: skip
    return result.path / "model"


def features(arm: str, seed: int, output: Path, overrides: dict[str, Any]) -> None:
    rows, modality, work = demo_audio.gcin(), audio(), output / f"{arm}-{seed}"
    began = time.monotonic()
    if arm == "log-mel":
        found = modality.baseline_features([row["path"] for row in rows])
    else:
        continued = arm.startswith("whisper")
        start = output / "whisper" if continued else work / "start"
        if continued and not (start / "config.json").is_file():
            demo_audio.write_whisper(start)
        if not continued:
            demo_audio.write_small(start, seed)
        objective = arm.removeprefix("whisper").removeprefix("+")
        if objective and objective != "random":
            options = {**(CONTINUED if continued else SCRATCH)[objective], **overrides}
            start = trained(objective, start, options, work, seed, scratch=not continued)
        found = encoder_features(start, rows, modality)
    np.savez_compressed(output / f"{arm}-{seed}.npz", features=found.astype(np.float32))
    print(f"{arm}, seed {seed}: {found.shape[1]} features in {time.monotonic() - began:.0f} s")


def labelled(rows: list[dict], target: str) -> np.ndarray:
    """Rows of the classes that are learnable (16 training and 4 test clips), as the demo data have them."""
    count = Counter((row["split"], row[target]) for row in rows)
    return np.array([count["train", r[target]] >= 16 and count["test", r[target]] >= 4 for r in rows])


def scores(found: np.ndarray, rows: list[dict], target: str, split: str, seed: int) -> dict[int, tuple[list, list]]:
    """Accuracy and macro-F1 of every draw, by budget."""
    usable = labelled(rows, target)
    sides = [np.flatnonzero(usable & np.array([row["split"] == name for row in rows])) for name in ("train", split)]
    names = sorted({rows[i][target] for i in sides[0]})
    truth = [np.array([names.index(rows[i][target]) for i in side]) for side in sides]
    table = datasets.Dataset.from_dict(
        {"label": truth[0], "id": [rows[i]["path"].rsplit("/ogg/")[-1] for i in sides[0]]},
        features=datasets.Features({"label": datasets.ClassLabel(names=names), "id": datasets.Value("string")}),
    )
    results: dict[int, tuple[list, list]] = {}
    for budget in BUDGETS:
        results[budget] = ([], [])
        for draw in range(DRAWS):
            chosen = few_label_subset(table, budget, 100 * seed + draw)
            guess = probes.linear_probe(
                found[sides[0]][chosen], truth[0][chosen], found[sides[1]], seed=draw
            ).predictions
            results[budget][0].append(additive.ADDITIVE["accuracy"](guess, truth[1]))
            results[budget][1].append(additive.ADDITIVE["f1_macro"](guess, truth[1]))
    return results


def table(output: Path, split: str, targets: list[str]) -> None:
    rows = demo_audio.gcin()
    cache_file = output / f"scores-{split}.json"
    cache = json.loads(cache_file.read_text()) if cache_file.is_file() else {}
    by_arm: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(output.glob("*.npz")):
        by_arm[file.stem.rpartition("-")[0]].append(file)
    for target in targets:
        tested = int((labelled(rows, target) & np.array([row["split"] == split for row in rows])).sum())
        print(
            f"\n{target}, {tested} {split} clips of unseen syllables; accuracy / macro-F1, ± over seeds (draws averaged)\n"
        )
        print("| arm | seeds | " + " | ".join(f"{budget} labels a class" for budget in BUDGETS) + " |")
        print("|---|---|" + "---|" * len(BUDGETS))
        for arm, files in by_arm.items():
            means = []
            for file in files:
                key = f"{file.stem}/{target}/{file.stat().st_mtime_ns}"
                if key not in cache:
                    seed = int(file.stem.rpartition("-")[2])
                    found = scores(np.load(file)["features"], rows, target, split, seed)
                    cache[key] = [[float(np.mean(values)) for values in found[budget]] for budget in BUDGETS]
                    cache_file.write_text(json.dumps(cache))
                means.append(cache[key])
            values, spread = np.mean(means, 0), np.std(means, 0, ddof=1) if len(means) > 1 else np.zeros((2, 2))
            cells = [f"{v[0]:.3f} ± {s[0]:.3f} / {v[1]:.3f}" for v, s in zip(values, spread, strict=True)]
            print(f"| {arm} | {len(files)} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["features", "table"])
    parser.add_argument("--arm", default="random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test", choices=["test", "validation"])
    parser.add_argument("--targets", nargs="*", default=list(demo_audio.TARGETS))
    parser.add_argument("--output", type=Path, default=Path("runs/bench-fewlabel-audio"))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="options of the pre-training")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    if options.what == "features":
        overrides = dict(pair.split("=", 1) for pair in options.set)
        features(options.arm, options.seed, options.output, overrides)
    else:
        table(options.output, options.split, options.targets)


if __name__ == "__main__":
    main()
