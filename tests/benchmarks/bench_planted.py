"""Statistics on made-up data whose answer is known: equal arms, a planted gain, one domain cut in two.

    PYTHONPATH=tests/support python tests/benchmarks/bench_planted.py       writes results/planted.json

The suite holds the same figures against their bounds (`tests/evaluation/test_verdict.py`, `test_gap_advice.py`); that leaked duplicates
are flagged is held by `tests/stages/test_gap.py`.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np
from planted import equal_arms, one_domain, three_points

RESULTS = Path(__file__).parent / "results" / "planted.json"


def main() -> None:
    covered, unclear = equal_arms(200)
    needed, found = three_points(100)
    nulls = np.array(one_domain(100))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=RESULTS.parent, check=False
    )
    told = {
        "date": time.strftime("%Y-%m-%d"), "commit": commit.stdout.strip(),
        "equal arms, 200 simulations": {"interval covers 0": covered, "verdict: cannot tell at this n": unclear},
        "three points planted, 100 simulations": {"test items asked for by a pilot": needed, "found with so many": found},
        "one domain cut in two, 100 simulations": {"p below .05": float((nulls < 0.05).mean()), "mean p": round(float(nulls.mean()), 3)},
    }  # fmt: skip
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
