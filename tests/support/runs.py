"""A finished run on a tiny random model, the kind of folder that `push`, `embed` and `search` start from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import tiny

CARD = "---\nlicense: apache-2.0\n---\n\nA tiny random model for tests.\n"


def base_checkpoint(folder: Path) -> Path:
    """A start checkpoint with a card that names its license."""
    tiny.write_checkpoint("bert", folder)
    (folder / "README.md").write_text(CARD)
    return folder


def rows(count: int, seed: int, labeled: bool) -> list[dict[str, Any]]:
    """Made-up sentences; the label is which half of the subjects they speak of."""
    draw = random.Random(seed)
    subjects = {"clinic": ("the nurse", "a patient"), "works": ("our engineer", "this compiler")}
    found = []
    for number in range(count):
        label = ("clinic", "works")[number % 2]
        text = f"{draw.choice(subjects[label])} {draw.choice(tiny.VERBS)} {draw.choice(tiny.OBJECTS)} {draw.choice(tiny.PLACES)} {number + seed}"
        found.append({"text": text, "label": label} if labeled else {"text": text})
    return found


def finished_run(folder: Path, base: Path, **more: Any) -> Path:
    """Pre-trained with LoRA, fine-tuned, evaluated, compared, embedded: a minute's work for a real model, seconds here."""
    from hf_ssl import run_recipe

    run_recipe(
        {
            "data": rows(60, 0, labeled=True), "unlabeled": rows(60, 1000, labeled=False), "model": str(base), "output": str(folder),
            "near_duplicates": False,
            "pretrain": {"objective": "mlm", "max_steps": 2, "monitor_points": 1, "peft": "lora", "lora_r": 2, **more},
            "finetune": {"labels_per_class": 8, "max_steps": 2, "early_stopping_patience": 0, "lora_r": 2, "head_pooling": "stock"},
            "evaluate": {},
            "compare": {"labels_per_class": [2, 4], "num_seeds": 2, "probe_draws": 2, "finetune_arms": False}, "embed": {"split": "test"},
        }
    )  # fmt: skip
    return folder
