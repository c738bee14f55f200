"""Molecules that pass into the brain or do not: B3DB's (CC0 license, Meng et al. 2021, Scientific Data 8:289).

They suit the masked-word checkpoints of chemical reactions in `masked_words`: from reactions to single molecules is a real change of domain.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo.cache import cache_folder, package_folder
from hf_ssl.demo.text import Row, few_labels, write_csv, write_jsonl
from hf_ssl.demo.wheels import Wheel, fetch_wheel

B3DB = Wheel(
    "qc-b3db==1.1.1", "c929f601951e4b0ed56326c94d2cdc2f6b0c24711fbc1e0d7f67e88e330fc959",
    "B3DB/", ("B3DB_classification.tsv",), 78,
)  # fmt: skip
TABLE = "B3DB_classification.tsv"
TESTED = 5
"""One molecule in so many is for testing, by a hash of its SMILES."""


def b3db_file() -> Path:
    """B3DB's table of classes.

    Raises:
        MissingExtraError: it is not on this machine.
    """
    for folder in (package_folder("B3DB"), cache_folder() / "b3db"):
        if folder is not None and (folder / TABLE).is_file():
            return folder / TABLE
    raise MissingExtraError(
        "The demo data b3db are not on this machine. Run: python -m hf_ssl.demo fetch b3db, or: pip install --no-deps "
        f"{B3DB.requirement}"
    )


@functools.cache
def all_molecules() -> tuple[tuple[str, str], ...]:
    """SMILES and class of every molecule, read once."""
    with b3db_file().open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return tuple((row["SMILES"], "passes" if row["BBB+/BBB-"] == "BBB+" else "does not") for row in rows)


def molecules(split: str = "train", limit: int | None = None, seed: int = 0) -> list[Row]:
    """Molecules and whether they pass the blood-brain barrier.

    Args:
        split: `"train"` (four in five) or `"test"`. The split is random, by a hash of the SMILES: similar molecules are on both
            sides, and results on molecules of another kind will be lower.
        limit: at most so many.
        seed: of the draw where there is a limit.

    Returns:
        Rows with `text` (SMILES) and `label` (`passes`, `does not`).

    Raises:
        MissingExtraError: they are not on this machine.
        DataError: there is no such split.
    """
    if split not in ("train", "test"):
        raise DataError(f"The molecules have the splits train and test, not {split!r}.")
    tested = split == "test"
    rows: list[Row] = [
        {"text": smiles, "label": label}
        for smiles, label in all_molecules()
        if (hashlib.sha256(smiles.encode()).digest()[0] % TESTED == 0) is tested
    ]
    if limit is None or limit >= len(rows):
        return rows
    chosen = sorted(range(len(rows)), key=lambda row: hashlib.sha256(f"{seed} {row}".encode()).digest())[:limit]
    return [rows[row] for row in sorted(chosen)]


def write_molecules(
    folder: str | Path,
    *,
    per_class: int = 16,
    pool_limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Path:
    """Write the molecules as a chemist would have them: many without a label, a few with one, a test set.

    Returns:
        The folder, with `unlabeled.jsonl` (text), `labels.csv` and `test.csv` (text, label).
    """
    train = molecules("train")
    (folder := Path(folder)).mkdir(parents=True, exist_ok=True)
    pool = molecules("train", pool_limit, seed)
    write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in pool])
    write_csv(folder / "labels.csv", few_labels(train, per_class, seed))
    write_csv(folder / "test.csv", molecules("test", test_limit, seed))
    return folder


def fetch_molecules(name: str = "b3db") -> Path:
    """Download `B3DB`; see `fetch_wheel`."""
    return fetch_wheel(name, B3DB)


ASSETS: dict[str, Callable[[], Path]] = {"b3db": b3db_file}
FETCHERS = {"b3db": fetch_molecules}
WRITERS: dict[str, Callable[..., Path]] = {"molecules": write_molecules}
