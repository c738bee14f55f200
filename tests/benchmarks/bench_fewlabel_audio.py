"""Few labels on Mandarin syllables (gcin-voice): does self-supervised training on sound help a frozen probe?

    python tests/benchmarks/bench_fewlabel_audio.py features --arm random --seed 0      one arm, one seed: a few minutes
    python tests/benchmarks/bench_fewlabel_audio.py table                               all that was computed, on test
    python tests/benchmarks/bench_fewlabel_audio.py table --split validation            for choices

Arms: `log-mel` (mean and spread of 80 bands, no model), `random` (a small encoder as it was drawn), any objective's name (that
encoder after pre-training on the training syllables, from scratch), `whisper` (tiny.en as released, its first second),
`whisper+OBJECTIVE` (after continued pre-training on the same pool). Syllables of test and validation are never in the pool.
Every encoder is read out in two ways: mean and spread over time of its last layer (`last`), or of every layer, the
convolutions' output included (`layers`). Tasks: initial (22 classes), final, tone; 4 and 16 labels per class, 5 draws per
seed; the probe is a ridge classifier on frozen features that the unlabeled pool has standardized, for log-mel logistic
regression (each the better of the two there by .01 to .04). Seeds are those of weights, masks and order. Settings and penalties
were chosen with `--split validation`, for initials, and only there.
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
import transformers
from pool_scaled import pool_scaled_probe
from sklearn import linear_model

from hf_ssl import pretrain
from hf_ssl.data import few_label_subset
from hf_ssl.demo import audio as demo_audio
from hf_ssl.evaluation.metrics import decomposable
from hf_ssl.modalities.audio.audio import Audio

BUDGETS, DRAWS = (4, 16), 5
UNTRAINED = ("log-mel", "whisper")  # one file serves for all seeds, which then differ in the labels alone
RIDGE, LOGISTIC = 0.03, 100.0  # the penalty over the number of features, and its inverse times that number
# Views that leave a syllable of a third of a second its beginning, where the consonant is. Noise of 5 dB, gaps, 15 dB of
# equalizer and 30 % of speed together took the probe below that of the random weights.
VIEWS: dict[str, Any] = {"view_share": 0.85, "view_speed": 0.15, "view_noise": 15.0, "view_gap": 0.0}
SIMCLR: dict[str, Any] = {"per_device_train_batch_size": 64, "temperature": 0.1, **VIEWS}
SPECTROGRAM: dict[str, Any] = {"per_device_train_batch_size": 64, "mask_span": 3}
SCRATCH: dict[str, dict[str, Any]] = {  # half a minute of one processor core each
    "masked-spectrogram": {"learning_rate": 1e-3, "max_steps": 120, **SPECTROGRAM},
    "simclr": {"learning_rate": 1e-3, "max_steps": 64, **SIMCLR},
}
CONTINUED: dict[str, dict[str, Any]] = {  # five minutes
    "masked-spectrogram": {"learning_rate": 2e-5, "max_steps": 60, **SPECTROGRAM},
    "simclr": {"learning_rate": 5e-5, "max_steps": 30, **SIMCLR},
}


def audio() -> Audio:
    return Audio(Audio.Config(window=1.0, min_seconds=0.05))


def encoder_features(folder: Path, rows: list[dict], modality: Audio) -> np.ndarray:
    return modality.load(str(folder), pooling="layers").embed([row["path"] for row in rows])


def last_layer(found: np.ndarray, width: int) -> np.ndarray:
    """The part of `layers` features that is the last layer's: means come first, then spreads."""
    half = found.shape[1] // 2
    return np.concatenate([found[:, half - width : half], found[:, -width:]], axis=1)


def trained(objective: str, start: Path, options: dict[str, Any], work: Path, seed: int, scratch: bool) -> Path:
    pool = demo_audio.write_gcin(work / "pool") / "unlabeled.csv"  # a table without labels: none can be looked at
    chosen: dict[str, Any] = {
        "keep_checkpoint": "last", "early_stopping_patience": 0, "monitor_points": 2, "logging_steps": 100, "window": 1.0, "min_seconds": 0.05,
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
    width = 80
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
        made = work / "run" / "pretrain" / "model"
        if not overrides and (made / "config.json").is_file():  # trained before, and then interrupted
            start = made
        elif objective and objective != "random":
            options = {**(CONTINUED if continued else SCRATCH)[objective], **overrides}
            start = trained(objective, start, options, work, seed, scratch=not continued)
        found = encoder_features(start, rows, modality)
        width = transformers.AutoConfig.from_pretrained(start).hidden_size
    np.savez_compressed(output / f"{arm}-{seed}.npz", features=found.astype(np.float32), width=width)
    print(f"{arm}, seed {seed}: {found.shape[1]} features in {time.monotonic() - began:.0f} s")


def labeled(rows: list[dict], target: str) -> np.ndarray:
    """Rows of the classes that are learnable (16 training and 4 test clips), as the demo data have them."""
    count = Counter((row["split"], row[target]) for row in rows)
    return np.array([count["train", r[target]] >= 16 and count["test", r[target]] >= 4 for r in rows])


def probe(pool: np.ndarray, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes of `test` by a linear model on features that have mean 0 and spread 1 over the pool."""
    if x.shape[1] == 160:  # log-mel
        return pool_scaled_probe(pool, x, y, test, c=LOGISTIC / x.shape[1])
    mean, spread = pool.mean(0), pool.std(0) + 1e-6
    model = linear_model.RidgeClassifier(alpha=RIDGE * x.shape[1]).fit((x - mean) / spread, y)
    return model.predict((test - mean) / spread)


def scores(found: np.ndarray, rows: list[dict], target: str, split: str, seed: int) -> dict[int, tuple[list, list]]:
    """Accuracy and macro-F1 of every draw, by budget."""
    usable = labeled(rows, target)
    pool = found[[row["split"] == "train" for row in rows]]
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
            guess = probe(pool, found[sides[0]][chosen], truth[0][chosen], found[sides[1]])
            results[budget][0].append(decomposable.DECOMPOSABLE["accuracy"](guess, truth[1]))
            results[budget][1].append(decomposable.DECOMPOSABLE["f1_macro"](guess, truth[1]))
    return results


def cells(files: list[Path], rows: list[dict], target: str, split: str, readout: str, cache_file: Path) -> str:
    """Mean over seeds of accuracy, its spread over seeds, and macro-F1, for every budget."""
    cache = json.loads(cache_file.read_text()) if cache_file.is_file() else {}
    means = []
    for file in files:
        arm, _, own = file.stem.rpartition("-")
        for seed in range(3) if arm in UNTRAINED else [int(own)]:
            key = f"{arm}-{seed}/{readout}/{target}/{file.stat().st_mtime_ns}"
            if key not in cache:
                with np.load(file) as stored:
                    found = (
                        stored["features"] if readout == "layers" else last_layer(stored["features"], stored["width"])
                    )
                result = scores(found, rows, target, split, seed)
                cache[key] = [[float(np.mean(values)) for values in result[budget]] for budget in BUDGETS]
                cache_file.write_text(json.dumps(cache))
            means.append(cache[key])
    values, spread = np.mean(means, 0), np.std(means, 0, ddof=1) if len(means) > 1 else np.zeros((2, 2))
    told = [f"{v[0]:.3f} ± {s[0]:.3f} / {v[1]:.3f}" for v, s in zip(values, spread, strict=True)]
    return f"{len(means)} | " + " | ".join(told)


def table(output: Path, split: str, targets: list[str]) -> None:
    rows = demo_audio.gcin()
    by_arm: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(output.glob("*.npz")):
        by_arm[file.stem.rpartition("-")[0]].append(file)
    for target in targets:
        tested = int((labeled(rows, target) & np.array([row["split"] == split for row in rows])).sum())
        print(
            f"\n{target}, {tested} {split} clips of unseen syllables; accuracy ± over seeds / macro-F1 (draws averaged)\n"
        )
        print("| arm | read out | seeds | " + " | ".join(f"{budget} labels a class" for budget in BUDGETS) + " |")
        print("|---|---|---|" + "---|" * len(BUDGETS))
        for arm, files in by_arm.items():
            for readout in ("last",) if arm == "log-mel" else ("last", "layers"):
                told = cells(files, rows, target, split, readout, output / f"scores-{split}.json")
                print(f"| {arm} | {'' if arm == 'log-mel' else readout} | {told} |", flush=True)


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
