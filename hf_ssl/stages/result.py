"""The result of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class StageResult:
    """What a stage leaves behind.

    Args:
        path: the stage's folder.
        metrics: its numbers, as in run.json.
        skipped: the stage had run before with the same inputs.
    """

    path: Path
    metrics: dict[str, Any]
    skipped: bool = False
