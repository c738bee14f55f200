"""Run by test_domains.py, on one process or on two: the toy's training with a domain method, its weights saved."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from domain_toy import domains
from toy import options

from hf_ssl.core import distributed
from hf_ssl.training.trainer import train


def main(folder: Path, methods: list[str]) -> None:
    torch.set_num_threads(1)
    world = distributed.world_size()
    assert distributed.gather(distributed.rank()) == list(range(world))
    found = {}
    for method in methods:
        module, rows = domains(method, rows=17)  # one is left over for two processes of four
        args = options(folder / method, per_device_train_batch_size=8 // world, max_steps=6, save_strategy="no")
        train(module, rows, args, folder / method)
        found[method] = module.state_dict()
    if distributed.is_main():
        torch.save({"weights": found, "world": world}, folder / "end.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
