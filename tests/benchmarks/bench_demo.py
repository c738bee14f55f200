"""From a clean machine to the first result: minutes, in a fresh virtual environment.

    python tests/benchmarks/bench_demo.py                 what the README says: pip from the repository's address, then `hf-ssl demo`
    python tests/benchmarks/bench_demo.py --here          no installation: this Python, and docs/results/demo.json is written

Prints seconds of installation, to the first picture and to the end of the story (`--first`: without it), and the load of the machine, which
is part of the answer. The data and the checkpoint are fetched into a cache of their own, so that the download counts too (not with `--here`);
then the first picture is drawn once more without it.
What a whole run measured on a clean machine is written into docs/results/clean_machine.json. The commit that is checked out is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SCORES = REPOSITORY / "docs" / "results" / "demo.json"
MEASURED = REPOSITORY / "docs" / "results" / "clean_machine.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="this Python, as it is")
    parser.add_argument("--first", action="store_true", help="end after the first picture")
    parser.add_argument(
        "--torch", default="", help="what pip is given for torch before, such as an index of processor wheels"
    )
    parser.add_argument("--keep", type=Path, help="copy the run folder to here")
    asked = parser.parse_args()
    found: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d"), "commit": head()[:7], "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if asked.here:
            python, environment = sys.executable, dict(os.environ) | {"PYTHONPATH": str(REPOSITORY)}
        else:
            began = time.monotonic()
            python = installed(Path(folder, "venv"), asked.torch.split())
            found["install_seconds"] = round(time.monotonic() - began)
            installing = resource.getrusage(resource.RUSAGE_CHILDREN)
            found["install_processor_seconds"] = round(installing.ru_utime + installing.ru_stime)
            environment = dict(os.environ) | {"HF_SSL_DEMO_DATA": str(Path(folder, "cache"))}
            environment.pop("PYTHONPATH", None)
        seconds, told = demo(python, environment, Path(folder), asked.first)
        found |= {"first_result_seconds": seconds[0], "story_seconds": seconds[-1] if not asked.first else None}
        if not asked.first:  # without downloads now
            again, _ = demo(python, environment, Path(folder), True, "again")
            found["first_result_again_seconds"] = again[0]
        if asked.keep:
            shutil.copytree(Path(folder, "run"), asked.keep)
        if asked.here:
            SCORES.parent.mkdir(exist_ok=True)
            SCORES.write_text(
                json.dumps({"scores": told["scores"], "metric": "macro-F1"}, indent=1) + "\n", encoding="utf-8"
            )
    found["load_after"] = round(os.getloadavg()[0], 1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["processor_seconds"] = round(used.ru_utime + used.ru_stime)
    print(json.dumps(found, indent=2))
    if not (asked.here or asked.first or asked.torch):
        MEASURED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def head() -> str:
    """The commit that is checked out."""
    asked = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def installed(venv: Path, torch: list[str]) -> str:
    """A fresh environment with this commit in it, by the README's line."""
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if torch:
        subprocess.run([*pip, *torch], check=True)
    address = REPOSITORY.as_uri().replace("file://", "file://localhost", 1)  # pip of Python 3.11 wants a host in it
    subprocess.run([*pip, f"hf-ssl[text] @ git+{address}@{head()}"], check=True)
    return python


def demo(
    python: str, environment: dict[str, str], folder: Path, first: bool, name: str = "run"
) -> tuple[list[int], dict[str, object]]:
    """Seconds from the command to each box, and what the first one says."""
    command = [
        *([python, "-m", "hf_ssl"] if python == sys.executable else [str(Path(python).with_name("hf-ssl"))]),
        "demo",
        "--json",
        "--output",
        str(folder / name),
        *(["--first"] if first else []),
    ]
    began, seconds, boxes = time.monotonic(), [], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        for line in process.stdout or ():
            seconds.append(round(time.monotonic() - began))
            boxes.append(json.loads(line))
    if process.returncode or len(boxes) != (1 if first else 5):
        raise SystemExit(f"the demo ended with {process.returncode} after {len(boxes)} boxes")
    return seconds, boxes[0]


if __name__ == "__main__":
    main()
