"""The second set of made-up files: written after the readers, by someone else. See `after_base.py`."""

from __future__ import annotations

import after_answers
import after_media
import after_names
import after_ordinary
import after_series
import after_strays
import after_tables
from after_base import AFTER as CASES

__all__ = [
    "CASES",
    "after_answers",
    "after_media",
    "after_names",
    "after_ordinary",
    "after_series",
    "after_strays",
    "after_tables",
]
