"""Resuming is exact for every objective: teachers, centers, Gumbel noise, codebooks, masks and dropout go on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import resuming

OFTEN = ("mlm-lora", "simcse-dropout", "ts-contrastive")  # what else there is takes minutes


@pytest.mark.parametrize("name", [
    name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in resuming.CASES
])  # fmt: skip
def test_a_resumed_run_is_the_unbroken_one(name: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """Stopped in the middle of an epoch and behind its end, with two batches to a step."""
    found: dict[str, Any] = resuming.compare(name, tiny_checkpoint, tmp_path)
    assert found == {"mid-epoch": True, "epoch end": True, "moved": True}, found
