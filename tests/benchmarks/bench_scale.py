"""What a stream costs to begin and to hold, whatever the size of its source, and whether a resumed run is the unbroken one.

    python tests/benchmarks/bench_scale.py [--mb 500] [--pictures 200000] [--save docs/results/scale.json]

Makes its data in a temporary folder: lines of invented words, and small pictures (a few hundred contents under so many names). Each
measurement is a process of its own: `hf-ssl pretrain --streaming` of a small random model for three steps, on a twentieth of the data and
on all of it. Seconds count from the start of the process, so they hold the import of torch and transformers; `opening` is what is left
without it. Memory is the most that the process held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]


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


def write_pictures(folder: Path, count: int) -> None:
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
    for number in range(count):
        (folder / f"{number % 100:02d}" / f"{number:07d}.png").write_bytes(
            contents[number % len(contents)] + str(number).encode()
        )


STEPS = 3
CHILD = """
import json, os, resource, sys, time
sys.path.insert(0, {support!r})
import torch, transformers, datasets, pyarrow.parquet, pandas, accelerate.data_loader, sklearn
import hf_ssl
from hf_ssl.stages import pretrain as stage
from hf_ssl.training.module import TrainingModule
imported = time.time()
began, first = float(os.environ["BEGAN"]), []
torch.set_num_threads(1)
inner = stage.train
def watched(module, *given, **named):
    kind = type(module)
    before = kind.on_optimizer_step
    def on_step(self, step, total):
        first.append(time.time())
        before(self, step, total)
    kind.on_optimizer_step = on_step
    return inner(module, *given, **named)
stage.train = watched
hf_ssl.pretrain(**json.loads(sys.argv[1]))
print(json.dumps({{"seconds_to_first_step": round(first[0] - began, 1), "of_it_imports": round(imported - began, 1),
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}}))
"""


def first_step(options: dict[str, object]) -> dict[str, float]:
    """Seconds to the first optimizer step and most memory of `pretrain` with these options, in a fresh process."""
    child = CHILD.format(support=str(REPOSITORY / "tests" / "support"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", child, json.dumps(options)], env={**environment, "BEGAN": str(time.time())}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def scale(kind: str, place: Path, sizes: tuple[float, float], model: Path) -> list[dict[str, float]]:
    """A twentieth of the data, and all of it."""
    rows = []
    for size in sizes:
        folder = place / f"{kind}-{size:g}"
        (write_text if kind == "text" else write_pictures)(folder, size if kind == "text" else int(size))  # type: ignore[operator]
        own: dict[str, object] = (
            {"txt": "lines", "max_length": 64} if kind == "text" else {"modality": "image", "objective": "simclr"}
        )
        found = first_step({
            "data": str(folder), "model": str(model), "output": str(place / f"run-{kind}-{size:g}"), "streaming": True, "max_steps": STEPS,
            "monitor_points": 1, "monitor_examples": 32, "per_device_train_batch_size": 8, **own,
        })  # fmt: skip
        rows.append({"megabytes" if kind == "text" else "files": size, **found})
        print(f"{kind}: {rows[-1]}", flush=True)
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=500)
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY / "tests" / "support"))
    import tiny

    with tempfile.TemporaryDirectory(prefix="hf_ssl_scale_") as name:
        place = Path(name)
        text = tiny.write_checkpoint("bert", place / "bert", "AutoModelForMaskedLM")
        image = tiny.write_checkpoint("vit", place / "vit")
        found = {
            "machine": f"{os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
            "text": scale("text", place, (given.mb / 20, given.mb), text),
            "image": scale("image", place, (given.pictures / 20, given.pictures), image),
        }
    print(json.dumps(found, indent=2))
    if given.save:
        given.save.parent.mkdir(parents=True, exist_ok=True)
        given.save.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
