"""Does going on with masked words (or anything else) help two real checkpoints of chemical reactions on molecules?

    python tests/benchmarks/bench_molecules.py [--starts reaction-bert,reaction-albert] [--ways mlm,...] [--work runs/molecules]
    python tests/benchmarks/bench_molecules.py --confirm       the way of each start that is best in development, on the test molecules
    python tests/benchmarks/bench_molecules.py --table         writes docs/results/molecules.md

Every way goes on from the released checkpoint on all training molecules of B3DB without labels, and its last point is kept, whatever the monitor
says. Then a logistic regression on frozen vectors, before and after, at 16 and 64 labels a class, on 20 draws, with the tool's own
verdict (`hf-ssl compare`). Ways are compared on the development molecules (one in five of the training ones, by a hash, which no
training sees); the test molecules are asked once, about the way whose mean gain there was the largest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import hf_ssl
from hf_ssl.demo import masked_words, molecules
from hf_ssl.demo.text import few_labels, write_csv, write_jsonl

RESULTS = Path(__file__).parent / "results" / "molecules.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "molecules.md"
READ = {"normalize": "exact", "near_duplicates": False, "max_length": 128}
LABELS = "16,64"
SMALL: dict[str, Any] = {"max_steps": 200, "per_device_train_batch_size": 4, "learning_rate": 3e-4}
WAYS: dict[str, dict[str, Any]] = {
    "mlm": {"objective": "mlm", **SMALL},
    "mlm, more": {"objective": "mlm", **SMALL, "max_steps": 600, "per_device_train_batch_size": 8},
    "mlm, slowly": {"objective": "mlm", **SMALL, "max_steps": 600, "per_device_train_batch_size": 8, "learning_rate": 5e-5},
    "mlm, preserving": {"objective": "mlm", **SMALL, "preserve": 1.0},
    "properties": {"objective": "properties", **SMALL, "per_device_train_batch_size": 16},
    "instance-identity": {"objective": "instance-identity", **SMALL, "per_device_train_batch_size": 16, "learning_rate": 1e-4},
    "simcse": {"objective": "simcse", **SMALL, "per_device_train_batch_size": 32, "learning_rate": 5e-5},
    "tsdae": {"objective": "tsdae", **SMALL, "per_device_train_batch_size": 8, "learning_rate": 5e-5},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", default="reaction-bert,reaction-albert")
    parser.add_argument("--ways", default=";".join(WAYS), help="separated by ;")
    parser.add_argument("--work", type=Path, default=Path("runs/molecules"))
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    if given.table:
        PAGE.write_text(page(found), encoding="utf-8")
        return
    part = "test" if given.confirm else "development"
    for way in given.ways.split(";"):
        for start in given.starts.split(","):
            key = {"start": start, "way": way, "part": part}
            known = any(key.items() <= row.items() for row in found)
            if known or (given.confirm and way != best(found, start)):
                continue
            found.append({**key, **measured(start, way, part, given.work), **stamp()})
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(found[-1], flush=True)


def written(folder: Path, part: str) -> Path:
    """The pool and the labels, which are the same for both parts, and the molecules that are asked."""
    if not (folder / "test.csv").is_file():
        held, kept = [], []
        for row in molecules.molecules("train"):
            (held if hashlib.sha256(f"held {row['text']}".encode()).digest()[0] % 5 == 0 else kept).append(row)
        folder.mkdir(parents=True, exist_ok=True)
        write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in kept])
        write_csv(folder / "labels.csv", few_labels(kept, 256, 0))
        write_csv(folder / "test.csv", held if part == "development" else molecules.molecules("test"))
    return folder


def measured(start: str, way: str, part: str, work: Path) -> dict[str, Any]:
    """Seconds of the pre-training, its loss, and what a frozen probe gains by it."""
    model, run = work / start, work / "runs" / f"{start} {way} {part}"
    if not (model / "config.json").is_file():
        masked_words.write_masked_words(start, model)
    data = written(work / part, part)
    began = time.monotonic()
    trained = hf_ssl.pretrain(
        data=str(data), model=str(model), output=str(run), keep_checkpoint="last", monitor_points=1, early_stopping_patience=0,
        **READ, **WAYS[way],
    )  # fmt: skip
    seconds = time.monotonic() - began
    hf_ssl.compare(
        data=str(data), model=str(model), adapted=str(trained.path / "model"), output=str(run), arms="base,adapted",
        labels_per_class=LABELS, protocols="linear-probe", finetune_arms=False, **READ,
    )  # fmt: skip
    steps = json.loads((run / "compare" / "attribution.json").read_text(encoding="utf-8"))
    contest = json.loads((run / "compare" / "contest.json").read_text(encoding="utf-8"))
    scores = {
        f"{line['arm']} {line['budget']}": round(line["score"]["mean"], 4)
        for line in contest["lines"] if line["protocol"] in ("linear-probe", "baseline")
    }  # fmt: skip
    gains = {
        str(line["budget"]): {
            **{name: round(line["difference"][name], 4) for name in ("difference", "low", "high")},
            "could_be_shown": round(line["minimum_detectable"], 4), "verdict": line["verdict"]["word"],
            "draws_above": sum(one > 0 for one in line["difference"]["per_draw"]), "draws": len(line["difference"]["per_draw"]),
        }
        for line in steps if line["step"] == "continued SSL"
    }  # fmt: skip
    return {"seconds": round(seconds), "gains": gains, "scores": scores}


def best(found: list[dict[str, Any]], start: str) -> str:
    """The way with the largest mean gain over both numbers of labels on the development molecules."""
    tried = [row for row in found if row["start"] == start and row["part"] == "development"]
    return str(max(tried, key=lambda row: sum(gain["difference"] for gain in row["gains"].values()))["way"])


def stamp() -> dict[str, str]:
    """Date and commit."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    return {"date": time.strftime("%Y-%m-%d"), "commit": commit.stdout.strip()}


def page(found: list[dict[str, Any]]) -> str:
    """The docs page."""
    lines = [
        "# Molecules: what was searched",
        "Written by `tests/benchmarks/bench_molecules.py --table`. Two real checkpoints with masked-word heads, of chemical reactions, go on with "
        "the molecules of B3DB; then a logistic regression on frozen vectors, macro-F1, 20 draws of labels. All ways were tried on "
        "development molecules; the best one of each start was asked on the test molecules, once.",
    ]
    lines.append(
        "Earlier comparisons with `mlm` in small steps had used the same test molecules; nothing else had been tried on them."
    )
    lines.append(
        "\n".join(
            f"- *{way}*: {', '.join(f'{name} {value}' for name, value in options.items())}"
            for way, options in WAYS.items()
        )
    )
    for part in ("test", "development"):
        rows = [row for row in found if row["part"] == part]
        if not rows:
            continue
        dates = sorted({f"{row['date']}, commit `{row['commit']}`" for row in rows})
        lines += [f"## On the {part} molecules", f"({'; '.join(dates)})", "\n".join([
            "| start | way | labels a class | released | continued | difference (95 % over items) | draws above 0 | could be shown | verdict |",
            "|---|---|--:|--:|--:|---|--:|--:|---|",
            *(line for row in rows for line in _lines(row)),
        ])]  # fmt: skip
    return "\n\n".join(lines) + "\n"


def _lines(row: dict[str, Any]) -> list[str]:
    return [
        f"| {row['start']} | {row['way']} | {labels} | {row['scores'][f'base {labels}']:.3f} | {row['scores'][f'adapted {labels}']:.3f} | "
        f"{gain['difference']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}) | {gain['draws_above']} of {gain['draws']} | "
        f"{gain['could_be_shown']:.3f} | {gain['verdict']} |"
        for labels, gain in row["gains"].items()
    ]


if __name__ == "__main__":
    main()
