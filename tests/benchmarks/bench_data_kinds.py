"""Made-up files of every kind of `tests/support/data_kinds.py`: right, clear error or wrong. Prints the table of docs/data.md.

python tests/benchmarks/bench_data_kinds.py
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
from data_kinds import CASES, classify  # noqa: E402

OUTCOMES = ("right", "clear error", "wrong")


def main() -> None:
    """Classify every file and print one row per kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome, said = classify(one, Path(folder))
        counts[one.kind, outcome] += 1
        if outcome == "wrong":
            print(f"wrong: {one.kind}: {one.name}: {said}", file=sys.stderr)
    print("| kind | files | " + " | ".join(OUTCOMES) + " |")
    print("|---|--:|" + "--:|" * len(OUTCOMES))
    for kind in dict.fromkeys(one.kind for one in CASES):
        row = [counts[kind, outcome] for outcome in OUTCOMES]
        print(f"| {kind} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    total = [sum(counts[kind, outcome] for kind in {one.kind for one in CASES}) for outcome in OUTCOMES]
    print(f"| all | {sum(total)} | " + " | ".join(map(str, total)) + " |")


if __name__ == "__main__":
    main()
