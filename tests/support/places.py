"""Where things lie in the checkout."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
REPOSITORY = TESTS.parent
RECIPES = REPOSITORY / "recipes"
NOTEBOOKS = REPOSITORY / "notebooks"
