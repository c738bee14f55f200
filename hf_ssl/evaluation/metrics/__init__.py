"""Metrics: `evaluate.Metric` classes that work offline, and the formulas underneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Answers: TypeAlias = Sequence[Any] | np.ndarray
"""One entry per test item: class numbers, amounts, scores, lists of tags, texts."""
