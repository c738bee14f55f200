"""Logistic regression with one thread of linear algebra, as probes are fitted, against as many as the machine has.

    python tests/benchmarks/bench_probe_threads.py

Prints seconds of both in one run, in turn, and their ratio; the coefficients must be alike. PyTorch computes before each fit, as in
every stage: its threads wait in a loop for what comes next, and those of NumPy wait beside them.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from hf_ssl.core.threads import one_blas_thread

ROUNDS = 5


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of PyTorch")
    print(f"{'labels x width, classes':30} {'one':>7} {'all':>7} {'ratio':>7}")
    for labels, width, classes in ((176, 768, 22), (640, 1280, 10), (2000, 768, 20), (2000, 384, 2)):
        x, y = rng.normal(size=(labels, width)).astype(np.float32), np.arange(labels) % classes
        seconds: dict[str, list[float]] = {"one": [], "all": []}
        found: dict[str, np.ndarray] = {}
        for _ in range(ROUNDS):
            for how, limit in (("one", one_blas_thread()), ("all", nullcontext())):
                torch.randn(512, 512) @ torch.randn(512, 512)
                began = time.perf_counter()
                with limit:
                    found[how] = LogisticRegression(max_iter=500, tol=1e-4).fit(x, y).coef_
                seconds[how].append(time.perf_counter() - began)
        np.testing.assert_allclose(found["one"], found["all"], atol=1e-3)
        one, every = (float(np.median(seconds[how])) for how in ("one", "all"))
        print(f"{f'{labels} x {width}, {classes}':30} {one:7.3f} {every:7.3f} {every / one:7.1f}", flush=True)


if __name__ == "__main__":
    main()
