"""Names of files, looking through `.gz`."""

from __future__ import annotations

from pathlib import Path


def suffix(path: Path) -> str:
    """Lower-case suffix, looking through `.gz`: `.csv` for `a.CSV.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def stem(path: Path) -> str:
    """Name without suffix, looking through `.gz`."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
