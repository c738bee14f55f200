"""How long `import hf_ssl` and `hf-ssl --help` take, next to an empty Python process, in one run.

    make bench      or      python tests/benchmarks/bench_import.py

Wanted: import below 0.2 s, help below 0.5 s. Median of interleaved runs; what Python itself needs is shown beside.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 9
COMMANDS = {
    "python alone": ["-c", "pass"],
    "import hf_ssl": ["-c", "import hf_ssl"],
    "hf-ssl --help": ["-m", "hf_ssl", "--help"],
    "hf-ssl pretrain --help": ["-m", "hf_ssl", "pretrain", "--help"],
}
WANTED = {"import hf_ssl": 0.2, "hf-ssl --help": 0.5, "hf-ssl pretrain --help": 0.5}


def measure() -> dict[str, float]:
    """Median wall seconds of each command; the commands take turns, so that a busy moment hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            began = time.monotonic()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            seconds[name].append(time.monotonic() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def test_import_time() -> None:
    print()
    for name, seconds in measure().items():
        wanted = f"  (wanted: below {WANTED[name]} s)" if name in WANTED else ""
        print(f"{name:24} {seconds:.3f} s{wanted}")


if __name__ == "__main__":
    test_import_time()
