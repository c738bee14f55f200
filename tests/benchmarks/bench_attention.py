"""Attention in training on a CPU in bfloat16: torch's kernel, the same in float32, and what hf_ssl/models/attention.py does.

Forward and backward pass, seconds of the processor (what else runs on the machine hardly counts).

python tests/benchmarks/bench_attention.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from hf_ssl.models.attention import attend

SHAPES = [(8, 8, 50, 32), (8, 8, 200, 32), (8, 8, 50, 48), (8, 8, 200, 48), (8, 8, 24, 64), (8, 8, 50, 64), (8, 8, 200, 64), (8, 8, 400, 64),
          (8, 8, 800, 64), (8, 8, 50, 128), (8, 8, 200, 128)]  # fmt: skip
"""Rows, heads, tokens, width of a head."""


def own(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return attend(torch.nn.Module(), query, key, value, None, is_causal=False)[0].transpose(1, 2)


def in_float32(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return functional.scaled_dot_product_attention(query.float(), key.float(), value.float()).to(query.dtype)


def seconds(way: Callable[..., torch.Tensor], parts: list[torch.Tensor], rounds: int) -> float:
    taken = []
    for _ in range(rounds + 2):
        mine = [part.detach().requires_grad_().transpose(1, 2) for part in parts]
        began = time.process_time()
        made = way(*mine)
        made.backward(torch.ones_like(made))
        taken.append(time.process_time() - began)
    return statistics.median(taken[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    print("rows x heads x tokens x width: milliseconds of torch's kernel, of float32, of hf_ssl; float32 / hf_ssl")
    for rows, heads, tokens, width in SHAPES:
        parts = [torch.randn(rows, tokens, heads, width, dtype=torch.bfloat16) for _ in range(3)]
        ways = (functional.scaled_dot_product_attention, in_float32, own)
        stock, exact, mine = (1e3 * seconds(way, parts, given.rounds) for way in ways)
        print(f"{rows} x {heads} x {tokens} x {width}: {stock:.1f}, {exact:.1f}, {mine:.1f}; {exact / mine:.2f}")


if __name__ == "__main__":
    main()
