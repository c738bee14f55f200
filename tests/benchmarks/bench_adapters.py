"""A training step of MiniLM with LoRA in bfloat16, as torch and PEFT compute it and as hf_ssl does, in turns.

`dropout`: with the dropout of hf_ssl/training/cpu.py; `adapters`: with hf_ssl/training/light_adapters.py; `both`.

python tests/benchmarks/bench_adapters.py [--rounds 15] [--rows 16] [--length 128]
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel

from hf_ssl import demo
from hf_ssl.models import attention
from hf_ssl.training.cpu import cpu_dropouts
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.light_adapters import light_adapters

WAYS = {"stock": (), "dropout": (cpu_dropouts,), "adapters": (light_adapters,), "both": (cpu_dropouts, light_adapters)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    given = parser.parse_args()
    bert = AutoModel.from_pretrained(str(demo.minilm_path()))
    attention.install(bert)
    set_dropout(bert, 0.0, attention_only=True)  # as a fine-tuning has it
    model = get_peft_model(bert, LoraConfig(r=16, target_modules=["query", "key", "value", "dense"]))
    model.train()
    words = torch.randint(1000, 20_000, (given.rows, given.length))
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(given.rounds + 2):
        for name, ways in WAYS.items():
            with ExitStack() as inside:
                for way in ways:
                    inside.enter_context(way(model))
                began = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16):
                    made = model(input_ids=words).last_hidden_state
                made.float().square().mean().backward()
                model.zero_grad()
                if turn >= 2:  # the first two do not count
                    taken[name].append(time.perf_counter() - began)
    stock = statistics.median(taken["stock"])
    for name, seconds in taken.items():
        print(
            f"{name:>9}: {statistics.median(seconds) * 1e3:.0f} ms, {stock / statistics.median(seconds):.2f} times as fast"
        )


if __name__ == "__main__":
    main()
