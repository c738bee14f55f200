"""A training step of MiniLM with LoRA in bfloat16, with torch's dropout and with that of hf_ssl/training/cpu.py, in turns.

python tests/benchmarks/bench_dropout.py [--rounds 15] [--rows 16] [--length 128]
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel

from hf_ssl import demo
from hf_ssl.training.cpu import cpu_dropouts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    given = parser.parse_args()
    model = get_peft_model(
        AutoModel.from_pretrained(str(demo.minilm_path())), LoraConfig(target_modules=["query", "value", "dense"])
    )
    model.train()
    words = torch.randint(1000, 20_000, (given.rows, given.length))
    taken: dict[str, list[float]] = {"torch": [], "quick": []}
    for turn in range(given.rounds + 2):
        for name in taken:
            with cpu_dropouts(model) if name == "quick" else nullcontext():
                began = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16):
                    made = model(input_ids=words).last_hidden_state
                made.float().square().mean().backward()
                model.zero_grad()
                if turn >= 2:  # the first two do not count
                    taken[name].append(time.perf_counter() - began)
    stock, quick = (statistics.median(taken[name]) for name in ("torch", "quick"))
    print(f"{torch.get_num_threads()} threads: {stock * 1e3:.0f} ms, {quick * 1e3:.0f} ms, ratio {stock / quick:.2f}")


if __name__ == "__main__":
    main()
