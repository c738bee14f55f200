"""Does continuing leave the frozen probe no worse, and which objective suits which start? 20 Newsgroups, MiniLM.

    python tests/benchmarks/bench_safe_continuation.py [--starts sentence,masked] [--pool 3000] [--output runs/safe]

Starts: `sentence`, MiniLM as released, a sentence-embedding model; `masked`, the same weights after plain masked-word
training on other text (Reuters and Brown; constant large rate, no care taken), so a masked-word model whose sentence vectors
are poor. Each is continued by `mlm`, `simcse` and `tsdae` in their default settings, one epoch over the pool; the monitor's
probe looks at 16 labeled posts a class.

Printed: the monitor's probe at step 0 and along the way, what the stage said, and macro-F1 of a frozen probe on test posts
that nothing was chosen on (4, 16, 64 labels a class, three draws) of the start and of the kept point, with the paired 95 %
interval over test posts. Finished parts are kept in the output folder, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from hf_ssl import compare, demo, pretrain

OBJECTIVES = ("mlm", "simcse", "tsdae")
QUIET: dict[str, Any] = {"validation_fraction": 0.0, "near_duplicates": False, "overwrite": True}


def masked_start(folder: Path, steps: int) -> Path:
    """MiniLM as a masked-word model of other text."""
    if not (folder / "pretrain" / "model" / "config.json").is_file():
        words = [*demo.reuters_r8("train"), *demo.brown_genre("train")]
        pretrain(
            data=[row["text"] for row in words], model=str(demo.minilm_path()), output=str(folder), objective="mlm",
            max_steps=steps, learning_rate=2e-4, lr_schedule="constant", layer_decay=1.0, keep_checkpoint="last",
            early_stopping_patience=0, monitor_points=1,
            per_device_train_batch_size=16, max_length=128, **QUIET,
        )  # fmt: skip
    return folder / "pretrain" / "model"


def continued(start: Path, objective: str, pool: Any, labeled: Any, folder: Path, test_limit: int) -> dict[str, Any]:
    """Pre-train, then compare frozen probes; or what an earlier call found."""
    found = folder / "found.json"
    if not found.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        done = pretrain(data=pool, model=str(start), output=str(folder), objective=objective, **QUIET)
        history = [json.loads(line) for line in (done.path / "monitor.jsonl").read_text(encoding="utf-8").splitlines()]
        lines = []
        if done.metrics["kept_step"]:
            answer = compare(
                data=labeled, model=str(start), adapted=str(done.path / "model"), output=str(folder / "answer"),
                finetune_arms=False, test_limit=test_limit, **QUIET,
            )  # fmt: skip
            lines = json.loads((answer.path / "table.json").read_text(encoding="utf-8"))["Frozen probe"]["lines"]
        found.write_text(json.dumps({"metrics": done.metrics, "history": history, "lines": lines}))
    return json.loads(found.read_text())


def shown(start: str, objective: str, found: dict[str, Any]) -> str:
    """One row of the table."""
    along = " ".join(f"{record['probe']:.3f}" for record in found["history"])
    kept, seconds = found["metrics"]["kept_step"], found["metrics"]["train_seconds"]
    cells = [
        f"{line['base']['mean']:.3f} → {line['adapted']['mean']:.3f} [{line['difference']['low']:+.3f}, {line['difference']['high']:+.3f}]"
        for line in found["lines"]
    ] or ["the start itself"] * 3
    return f"| {start} | {objective} | {along} | {found['metrics']['outcome']}, step {kept}, {seconds:.0f} s | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", default="sentence,masked")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--test_limit", type=int, default=1500)
    parser.add_argument("--masked_steps", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path("runs/safe"))
    args = parser.parse_args()
    pool, labeled = args.output / "pool", args.output / "labeled"
    if not (labeled / "test.csv").is_file():
        demo.write_newsgroups(pool, per_class=16, pool_limit=args.pool, test_limit=None)
        demo.write_newsgroups(labeled, per_class=80, pool_limit=100, test_limit=None)
    rows = []
    for name in args.starts.split(","):
        start = demo.minilm_path() if name == "sentence" else masked_start(args.output / "masked", args.masked_steps)
        for objective in args.objectives.split(","):
            found = continued(
                start, objective, str(pool), str(labeled), args.output / f"{name}-{objective}", args.test_limit
            )
            rows.append(shown(name, objective, found))
            print(rows[-1], flush=True)
    print(
        "\n| start | objective | probe on the labels, along the way | outcome | 4 | 16 | 64 |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
