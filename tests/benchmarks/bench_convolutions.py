"""Training steps in bfloat16 on processors, with torch's convolutions and with those of hf_ssl/training/cpu.py, in turns.

    python tests/benchmarks/bench_convolutions.py [--rounds 15] [--threads 2]

Whole steps of a timm resnet18 (96 pixels), which has no depthwise layer, and of an EfficientNet-Lite0 (64 pixels).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import nn

from hf_ssl.training import cpu

PICTURES = 128
NETWORKS = {"resnet18": 96, "tf_efficientnet_lite0": 64}


def step(model: nn.Module, pictures: torch.Tensor) -> float:
    """Seconds of one step forwards and backwards."""
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        made = model(pictures)
    made.float().square().mean().backward()
    model.zero_grad()
    return time.perf_counter() - began


def in_turns(rounds: int, kinds: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds of every round, after two that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(rounds + 2):
        for name, run in kinds.items():
            seconds = run()
            if turn > 1:
                taken[name].append(seconds)
    return taken


def row(name: str, taken: dict[str, list[float]]) -> str:
    plain, quick = taken["torch"], taken["quick"]
    ratio = statistics.median(a / b for a, b in zip(plain, quick, strict=True))
    return f"| {name} | {1e3 * statistics.median(plain):.1f} | {1e3 * statistics.median(quick):.1f} | {ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    print(
        f"median of {asked.rounds} rounds, {asked.threads} threads, {PICTURES} pictures\n| | torch, ms | here, ms | times |"
    )
    print("|---|---|---|---|")
    for name, side in NETWORKS.items():
        pictures = torch.rand(PICTURES, 3, side, side).to(memory_format=torch.channels_last)
        plain, quick = (timm.create_model(name).train() for _ in range(2))
        cpu.patch_cpu_convolutions(quick)
        kinds = {"torch": lambda: step(plain, pictures), "quick": lambda: step(quick, pictures)}  # noqa: B023
        print(row(f"{name}, {side} pixels", in_turns(asked.rounds, kinds)), flush=True)


if __name__ == "__main__":
    main()
