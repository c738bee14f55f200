"""A small table as a user has it."""

from __future__ import annotations

import csv
from pathlib import Path

import runs


def letters(file: Path, count: int = 60) -> Path:
    """`text`, `topic`, `tone` of made-up sentences."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "topic", "tone"])
        writer.writerows([row["text"], row["label"], "ab"[n % 2]] for n, row in enumerate(runs.rows(count, 0, True)))
    return file
