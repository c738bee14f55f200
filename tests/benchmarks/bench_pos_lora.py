"""LoRA against full fine-tuning: parts of speech of the Brown corpus (12 universal tags), MiniLM, split by document.

2,000 training sentences, drawn anew for each seed; the learning rate of each method is chosen on 500 validation sentences
with the first seed; 1,000 test sentences are opened once for each chosen model. Wanted: LoRA within one point of full
fine-tuning at no more than 5 % of the parameters.

    make bench      or      python tests/benchmarks/bench_pos_lora.py FOLDER [FITS]

With FOLDER the fits are kept there and a second call goes on with those that are missing; FITS ends it after so many.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(7200)
SEEDS = (0, 1)
RATES = {"lora": (1e-3, 2e-3), "full": (1e-4, 3e-4)}
SIZES = {"train": 2000, "validation": 500, "test": 1000}
COMMON = {
    "task": "token-classification", "num_train_epochs": 2, "per_device_train_batch_size": 16, "early_stopping_patience": 0,
    "near_duplicates": False, "lora_r": 16, "train_sampling_strategy": "group_by_length",
}  # fmt: skip


def fit(method: str, rate: float, seed: int, folder: Path) -> dict[str, Any]:
    """Fine-tune once (or take the earlier result from the folder) and give its validation metrics."""
    from hf_ssl import demo, finetune

    data = {split: demo.brown_pos(split, size, seed if split == "train" else 0) for split, size in SIZES.items()}
    output = folder / f"{method}-{rate:g}-{seed}"
    result = finetune(
        data=data,
        model=str(demo.minilm_path()),
        output=str(output),
        peft=method,
        learning_rate=rate,
        seed=seed,
        **COMMON,
    )
    return result.metrics


def test_scores(method: str, rate: float, seed: int, folder: Path) -> dict[str, float]:
    from hf_ssl import demo, evaluate

    data = {split: demo.brown_pos(split, size, seed if split == "train" else 0) for split, size in SIZES.items()}
    output = folder / f"{method}-{rate:g}-{seed}"
    return evaluate(data=data, output=str(output), near_duplicates=False).metrics


test_scores.__test__ = False  # type: ignore[attr-defined]  # a helper, whatever pytest thinks of its name


def run(folder: Path, limit: int | None = None) -> bool:
    """All fits, at most `limit` new ones; prints the tables when none is missing."""
    new = 0

    def fitted(method: str, rate: float, seed: int) -> dict[str, Any]:
        nonlocal new
        done = (folder / f"{method}-{rate:g}-{seed}" / "finetune" / "model").is_dir()
        if not done and limit is not None and new >= limit:
            raise StopIteration
        new += not done
        return fit(method, rate, seed, folder)

    rows: dict[str, list[dict[str, float]]] = {}
    try:
        for method, rates in RATES.items():
            tried = {rate: fitted(method, rate, SEEDS[0])["validation"]["accuracy"] for rate in rates}
            best = max(tried, key=lambda rate: tried[rate])
            said = ", ".join(f"{rate:g}: {accuracy:.4f}" for rate, accuracy in tried.items())
            print(f"{method}: validation accuracy by learning rate: {said}; chosen {best:g}")
            for seed in SEEDS:
                metrics = fitted(method, best, seed)
                scores = test_scores(method, best, seed, folder)
                rows.setdefault(method, []).append({**scores, "seconds": metrics["train_seconds"]})
                rows[method][-1]["share"] = float(metrics["trainable"].split("(")[1].split("%")[0])
    except StopIteration:
        print(f"{new} fits made; call again for the rest")
        return False
    print(f"\n{'method':8} {'trained':>8} {'accuracy':>17} {'macro-F1':>17} {'seconds':>9}   {len(SEEDS)} seeds")
    for method, found in rows.items():
        accuracy, f1 = ([row[name] for row in found] for name in ("accuracy", "f1_macro"))
        cells = [f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" for values in (accuracy, f1)]
        seconds = statistics.mean(row["seconds"] for row in found)
        print(f"{method:8} {found[0]['share']:7.2f}% {cells[0]:>17} {cells[1]:>17} {seconds:9.0f}")
    pairs = list(zip(rows["lora"], rows["full"], strict=True))
    gaps = {name: [100 * (one[name] - two[name]) for one, two in pairs] for name in ("accuracy", "f1_macro")}
    for name, values in gaps.items():
        print(f"LoRA - full, {name}, points by seed: {', '.join(f'{value:+.2f}' for value in values)}")
    (folder / "result.json").write_text(json.dumps({"rows": rows, "points": gaps}, indent=2), encoding="utf-8")
    return True


def test_pos_lora() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    complete = run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.exit(0 if complete else 75)
