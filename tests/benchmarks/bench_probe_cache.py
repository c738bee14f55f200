"""How much does it save that frozen features are computed once? The same grid of probes with and without them.

    python tests/benchmarks/bench_probe_cache.py [--cells 2] [--tests 600]

20 Newsgroups, MiniLM: nearest neighbors and linear probes, 20 draws at 4 labels a class, 40 probes of one arm. Three times
are told, in seconds of this process's processor time: all probes from features that an earlier call has kept, all probes with the
features computed first, and all probes if each embedded its own labels and the test set (measured on some cells, evenly chosen, and
multiplied). The probes' answers are the same. Writes `results/probe_cache.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hf_ssl import demo, load_data
from hf_ssl.core import plugins
from hf_ssl.data import open_test
from hf_ssl.data.budgets import budget_rows
from hf_ssl.models.pooling import Pooling
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.arms import Arm
from hf_ssl.stages.cells import Cell, CellStore, Clock
from hf_ssl.stages.frozen import PROTOCOLS, Frozen

RESULTS = Path(__file__).parent / "results" / "probe_cache.json"
BUDGETS, DRAWS = (4,), 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--tests", type=int, default=600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place), given.cells, given.tests)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    found |= {"date": time.strftime("%Y-%m-%d"), "commit": commit.stdout.strip()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def measured(work: Path, some: int, tests: int) -> dict[str, float | int | str]:
    data = load_data(
        demo.write_newsgroups(work / "data", per_class=32, pool_limit=100, test_limit=tests),
        near_duplicates=False,
        verbose=False,
    )
    modality = plugins.find("modalities", "text")
    modality = modality(modality.Config())
    kind = plugins.find("tasks", "classification")
    task = kind(kind.Config(), modality)
    task.fit_labels(data["train"])
    ref = CheckpointRef(str(demo.minilm_path()))
    task.look_at(ref)
    arm, test = Arm("base", ref, "", "minilm"), open_test(data, "bench_probe_cache")
    cells = [
        Cell("", "", budget, draw, "", tuple(map(int, budget_rows(data["train"], budget, draw))))
        for budget in BUDGETS
        for draw in range(DRAWS)
    ]

    def seconds(
        part: Sequence[Cell], features: str, results: str
    ) -> tuple[float, dict[tuple[str, object, int], np.ndarray]]:
        began = time.process_time()
        frozen = Frozen(
            task,
            data,
            test,
            part,
            CellStore(work / results, "bench"),
            work / features,
            Clock(None),
            Pooling.parse("mean"),
        )
        rows = [row for row in frozen.probed(arm, PROTOCOLS) if row.protocol in PROTOCOLS]
        return time.process_time() - began, {(row.protocol, row.budget, row.seed): row.predictions for row in rows}

    chosen = [cells[place] for place in np.linspace(0, len(cells) - 1, some).astype(int)]
    alone = [seconds([cell], f"own{number}", f"cell{number}") for number, cell in enumerate(chosen)]
    first, answers = seconds(cells, "features", "first")
    again, same = seconds(cells, "features", "again")
    for _, own in alone:
        assert all(np.array_equal(guess, answers[key]) for key, guess in own.items())
    assert all(np.array_equal(guess, same[key]) for key, guess in answers.items())
    each = float(np.mean([taken for taken, _ in alone]))  # of both protocols
    whole = each * len(cells)
    return {
        "probes": len(answers), "test texts": len(test), "labeled texts": len({row for cell in cells for row in cell.rows}),
        "seconds, features kept": round(again, 1), "seconds, features made first": round(first, 1),
        "seconds, each by itself": round(whole, 1), "times, features kept": round(whole / again, 1),
        "times, features made first": round(whole / first, 1),
    }  # fmt: skip


if __name__ == "__main__":
    main()
