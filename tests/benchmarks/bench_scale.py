"""What grows with the data, the vectors and the processes, and what does not.

    python tests/benchmarks/bench_scale.py --only text        seconds to the first step and memory, 25 and 500 MB
    python tests/benchmarks/bench_scale.py --only image       the same, 10,000 and 200,000 picture files
    python tests/benchmarks/bench_scale.py --only turn        memory while a whole corpus is read
    python tests/benchmarks/bench_scale.py --only search      a million vectors
    python tests/benchmarks/bench_scale.py --only processes   one process and two, one core each
    python tests/benchmarks/bench_scale.py --page             the page anew

Each part replaces its rows in tests/benchmarks/results/scale.json, with the load of the machine before it, and the page
docs/results/scale.md is made of them. Data are made in a temporary folder: lines of invented words, and small pictures (a few hundred
contents under so many names). Each measurement is a process of its own, and its seconds count from the start of it, so they hold the
import of torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
SUPPORT = REPOSITORY / "tests" / "support"
RESULTS = REPOSITORY / "tests" / "benchmarks" / "results" / "scale.json"
PAGE = REPOSITORY / "docs" / "results" / "scale.md"
STEPS = 11
WIDTH = 384
"""Of the vectors that are searched, as MiniLM's."""
Row = dict[str, Any]


def write_text(folder: Path, megabytes: float) -> None:
    """Lines of words until there is so much, in files of at most 50 MB."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    words = np.array(
        ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(3, 10))) for _ in range(3000)]
    )
    paragraph = [" ".join(words[rng.integers(0, len(words), 60)]) for _ in range(2000)]
    left, number = megabytes * 1e6, 0
    while left > 0:
        with (folder / f"{number:03d}.txt").open("w", encoding="utf-8") as stream:
            written = 0
            while written < min(left, 50e6):
                line = f"{number} {written} {paragraph[written % len(paragraph)]}\n"
                written += stream.write(line)
        left, number = left - written, number + 1


def write_pictures(folder: Path, count: float) -> None:
    """So many files of 32 x 32 pixels in a hundred folders; contents repeat, names do not."""
    import io

    from PIL import Image

    contents = []
    for seed in range(500):
        stream = io.BytesIO()
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(stream, "PNG")
        contents.append(stream.getvalue())
    for number in range(100):
        (folder / f"{number:02d}").mkdir(parents=True)
    for number in range(int(count)):
        (folder / f"{number % 100:02d}" / f"{number:07d}.png").write_bytes(
            contents[number % len(contents)] + str(number).encode()
        )


def child(
    code: str, *words: str, cores: Sequence[int] | None = None, quiet: bool = False, **environment: str
) -> subprocess.Popen[str]:
    """A fresh Python that knows when it was started (`BEGAN`); quiet: nobody listens to it."""
    heard = subprocess.DEVNULL if quiet else subprocess.PIPE
    known = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(SUPPORT)]), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "BEGAN": str(time.time()), **environment,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], env=known, stdout=heard, stderr=heard, text=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    """Its last line."""
    said, wrong = process.communicate()
    if process.returncode:
        raise SystemExit(wrong[-3000:])
    return said.splitlines()[-1]


FIRST_STEP = """
import json, os, resource, statistics, sys, time
import torch, transformers, datasets, pyarrow.parquet, pandas, accelerate.data_loader, sklearn
import hf_ssl
from hf_ssl.stages import pretrain as stage
imported, cpu = time.time(), [time.process_time()]
began, steps = float(os.environ["BEGAN"]), []
torch.set_num_threads(1)
inner = stage.train
def watched(module, *given, **named):
    kind = type(module)
    before = kind.on_optimizer_step
    def on_step(self, step, total):
        steps.append(time.time())
        cpu.append(time.process_time())
        before(self, step, total)
    kind.on_optimizer_step = on_step
    return inner(module, *given, **named)
stage.train = watched
hf_ssl.pretrain(**json.loads(sys.argv[1]))
print(json.dumps({"seconds_to_first_step": round(steps[0] - began, 1), "of_it_imports": round(imported - began, 1),
                  "cpu_seconds_to_first_step": round(cpu[1], 1), "of_it_importing": round(cpu[0], 1),
                  "milliseconds_a_step": round(1000 * statistics.median(b - a for a, b in zip(steps, steps[1:]))),
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def first_steps(kind: str, place: Path, sizes: Sequence[float]) -> list[Row]:
    """Time to the first optimizer step, time of a step and most memory of `pretrain --streaming`, over sizes of the data."""
    import tiny

    arch, auto_class = ("bert", "AutoModelForMaskedLM") if kind == "text" else ("vit", None)
    model = tiny.write_checkpoint(arch, place / arch, auto_class)
    rows = []
    for size in sizes:
        folder = place / f"{kind}-{size:g}"
        (write_text if kind == "text" else write_pictures)(folder, size)
        own: Row = (
            {"txt": "lines", "max_length": 64} if kind == "text" else {"modality": "image", "objective": "simclr"}
        )
        options = {
            "data": str(folder), "model": str(model), "output": str(place / f"run-{kind}-{size:g}"), "streaming": True, "max_steps": STEPS,
            "monitor_points": 1, "monitor_examples": 32, "per_device_train_batch_size": 8, "save_strategy": "no", **own,
        }  # fmt: skip
        found = json.loads(ended(child(FIRST_STEP, json.dumps(options))))
        rows.append({("megabytes" if kind == "text" else "files"): size, **found})
        print(f"{kind}: {rows[-1]}", flush=True)
        shutil.rmtree(folder)
    return rows


TURN = """
import json, os, sys, time
import psutil
import hf_ssl
data = hf_ssl.load_data(sys.argv[1], txt="lines", streaming=True, verbose=False)
process, rows, base, most = psutil.Process(), 0, 0, 0
began = time.time()
for row in data.stream:
    rows += 1
    if rows % 1000 == 0:
        held = process.memory_info().rss >> 20
        base = base or held
        most = max(most, held)
print(json.dumps({"rows": rows, "seconds": round(time.time() - began, 1), "mb_after_1000_rows": base, "mb_at_most": most}))
"""


def turns(place: Path, sizes: Sequence[float]) -> list[Row]:
    """Memory while every row of a corpus is read once."""
    rows = []
    for size in sizes:
        folder = place / f"turn-{size:g}"
        write_text(folder, size)
        rows.append({"megabytes": size, **json.loads(ended(child(TURN, str(folder))))})
        print(f"turn: {rows[-1]}", flush=True)
        shutil.rmtree(folder)
    return rows


STORE = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from vectors_on_disk import STAMP, opened
place, count, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
with opened("parquet", replace(STAMP, dimensions=width), place) as made:
    for start in range(0, count, 10_000):
        made.add(rng.standard_normal((10_000, width), dtype=np.float32),
                 [{"id": f"row-{n}", "content": f"{n:032x}", "split": "train"} for n in range(start, start + 10_000)])
print("done")
"""
SEARCH = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from vectors_on_disk import opened
store = opened("parquet", None, Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
queries = np.random.default_rng(1).standard_normal((int(sys.argv[2]), int(sys.argv[3])), dtype=np.float32)
began = time.time()
found = store.search(queries, 10)
print(json.dumps({"seconds": round(time.time() - began, 2), "mb_at_most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                  "mb_before": before, "hits": sum(map(len, found))}))
"""


def searches(place: Path, count: int) -> list[Row]:
    """Exact search of the ten nearest, in a process that did not make the vectors."""
    rows = []
    for number in (count // 20, count):
        folder = place / f"vectors-{number}"
        folder.mkdir()
        ended(child(STORE, str(folder), str(number), str(WIDTH)))
        size = sum(path.stat().st_size for path in folder.rglob("*")) >> 20
        for queries in (1, 32):
            found = json.loads(ended(child(SEARCH, str(folder), str(queries), str(WIDTH))))
            rows.append({"vectors": number, "mb_on_disk": size, "queries": queries, **found})
            print(f"search: {rows[-1]}", flush=True)
        shutil.rmtree(folder)
    return rows


COMMAND = "import sys; from hf_ssl import cli; sys.exit(cli.main(sys.argv[1:]))"


def processes(place: Path) -> list[Row]:
    """Tokens a second of `pretrain` on one core; of two runs at once that know nothing of each other; of two processes of one run."""
    import tiny

    model = tiny.write_checkpoint("bert", place / "model", "AutoModelForMaskedLM", hidden=256, layers=4)
    write_text(place / "texts", 3)

    def words(name: str) -> list[str]:
        return [
            "pretrain", f"--data={place / 'texts'}", "--txt=lines", f"--model={model}", f"--output={place / name}", "--near_duplicates=false",
            "--use_cpu=true", "--bf16=false", "--per_device_train_batch_size=16", "--max_steps=60", "--logging_steps=20",
            "--monitor_points=1", "--save_strategy=no",
        ]  # fmt: skip

    def speed(name: str) -> float:
        lines = (place / name / "pretrain" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
        told = [line["tokens_per_second"] for line in map(json.loads, lines) if "tokens_per_second" in line]
        return float(told[-1])

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "ACCELERATE_USE_CPU": "true"}
    ways: dict[str, list[tuple[str, dict[str, str]]]] = {
        "one process": [("one", {})],
        "two runs at once": [("first", {}), ("second", {})],
        "two processes": [
            ("both", {**meeting, "WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"}) for rank in "01"
        ],
    }  # fmt: skip
    rows: list[Row] = []
    for way, runs in ways.items():
        begun = [
            child(COMMAND, *words(name), cores=[core], quiet=True, **more) for core, (name, more) in enumerate(runs)
        ]
        for one in begun:
            if one.wait():
                raise SystemExit(f"{way}: exit {one.returncode}")
        total = sum(speed(name) for name in dict.fromkeys(name for name, _ in runs))
        alone = rows[0]["tokens_a_second"] if rows else total
        rows.append({"way": way, "tokens_a_second": round(total), "efficiency": round(total / alone / len(runs), 2)})
        print(f"processes: {rows[-1]}", flush=True)
    return rows


HEADS = {
    "text": "Text, `pretrain --streaming`: seconds from the start of the process to the first optimizer step, and memory",
    "image": "Picture files, `pretrain --streaming`",
    "turn": "Memory while every row of a corpus is read once (no training)",
    "search": f"Exact search of vectors of {WIDTH} in the parquet file of `embed`, which is never loaded as a whole",
    "processes": "One process and two, one core each, gloo between them (BERT of width 256, four layers)",
}


def page(found: dict[str, Any]) -> str:
    """The tables of the docs."""
    lines = [
        "# What grows with the data, and what does not", "",
        "Made by `tests/benchmarks/bench_scale.py` on two processor cores that others use as well, with tiny random models where nothing else is "
        "said. Seconds hold the imports of torch, transformers and datasets (a column of their own). The load is the machine's before "
        "the part began, without the part itself; seconds of the processor depend on it less.",
    ]  # fmt: skip
    for part, title in HEADS.items():
        if part not in found:
            continue
        rows = found[part]["rows"]
        names = list(rows[0])
        lines += ["", f"## {title}", "", f"Load before: {found[part]['load']}, {found[part]['on']}.", ""]
        lines += [f"| {' | '.join(name.replace('_', ' ') for name in names)} |", "|" + "--:|" * len(names)]
        lines += [f"| {' | '.join(_shown(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    whole = int(value) if isinstance(value, float) and value >= 10 and value.is_integer() else value
    return f"{whole:,}" if isinstance(whole, (int, float)) else str(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(HEADS), help="one part")
    parser.add_argument("--mb", type=float, default=500)
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--page", action="store_true", help="make the page anew and nothing else")
    given = parser.parse_args()
    sys.path.insert(0, str(SUPPORT))
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    parts: dict[str, Callable[[Path], list[Row]]] = {
        "text": lambda place: first_steps("text", place, (given.mb / 20, given.mb)),
        "image": lambda place: first_steps("image", place, (given.pictures / 20, given.pictures)),
        "turn": lambda place: turns(place, (given.mb / 20, given.mb)),
        "search": lambda place: searches(place, given.vectors), "processes": processes,
    }  # fmt: skip
    for name, part in parts.items():
        if given.page or given.only not in (None, name):
            continue
        load = round(os.getloadavg()[0], 1)
        with tempfile.TemporaryDirectory(prefix="hf_ssl_scale_") as place:
            kept[name] = {"load": load, "on": time.strftime("%Y-%m-%d"), "rows": part(Path(place))}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
