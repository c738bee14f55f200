"""Made-up files of three sets (`tests/support`): right, clear error or wrong. Prints the tables of docs/data.md.

python tests/benchmarks/bench_data_kinds.py
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from data_kinds import CASES, Case, classify  # noqa: E402
from data_kinds_after import CASES as AFTER  # noqa: E402
from new_user import CASES as NEW  # noqa: E402

OUTCOMES = ("right", "clear error", "wrong")


def table(cases: Sequence[Case]) -> None:
    """Classify every file and print one row per kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in cases:
        with tempfile.TemporaryDirectory() as folder:
            outcome, said = classify(one, Path(folder))
        counts[one.kind, outcome] += 1
        if outcome == "wrong":
            print(f"wrong: {one.kind}: {one.name}: {said}", file=sys.stderr)
    print("| kind | files | " + " | ".join(OUTCOMES) + " |")
    print("|---|--:|" + "--:|" * len(OUTCOMES))
    for kind in dict.fromkeys(one.kind for one in cases):
        row = [counts[kind, outcome] for outcome in OUTCOMES]
        print(f"| {kind} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    total = [sum(counts[kind, outcome] for kind in {one.kind for one in cases}) for outcome in OUTCOMES]
    print(f"| all | {sum(total)} | " + " | ".join(map(str, total)) + " |\n")


def main() -> None:
    """Three sets: by those who wrote the readers, by someone else afterwards, and by a newcomer."""
    table(CASES)
    table(AFTER)
    table(NEW)


if __name__ == "__main__":
    main()
