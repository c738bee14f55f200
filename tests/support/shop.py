"""Reviews of a shop, good and bad, in a folder as a user has it: a few labels and many texts without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

WORDS = {"good": ["great", "fine", "lovely"], "bad": ["awful", "broken", "poor"]}


def reviews(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts and their labels, in turn good and bad."""
    rng = np.random.default_rng(seed)
    labels = ["good" if row % 2 else "bad" for row in range(count)]
    return [f"{rng.choice(WORDS[label])} item {rng.integers(10**6)} of this shop" for label in labels], labels


def write_reviews(folder: Path, pool: int, **tables: tuple[int, int]) -> Path:
    """`unlabeled.jsonl` of so many texts, and a csv with labels for each name: how many, and the seed."""
    for name, (count, seed) in tables.items():
        texts, labels = reviews(count, seed)
        pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / f"{name}.csv", index=False)
    lines = "\n".join(json.dumps({"text": text}) for text in reviews(pool, 2)[0])
    (folder / "unlabeled.jsonl").write_text(lines, encoding="utf-8")
    return folder
