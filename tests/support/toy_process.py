"""Run by test_processes.py, on one process or on two: the toy's training, its weights saved by the first process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from toy import Numbers, Toy, options

from hf_ssl.core import distributed
from hf_ssl.training.trainer import train


class Signalled(Toy):
    """The second process sends itself SIGTERM in its third step; the first one is not told by anybody else."""

    def on_optimizer_step(self, step: int, total: int) -> None:
        if step == 3 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path, rows: int, how: str) -> None:
    torch.set_num_threads(1)
    # Formed here, so that the test does not take two runs of one process for a run of two.
    assert distributed.gather(distributed.rank()) == list(range(distributed.world_size()))
    module = (Signalled if how == "signalled" else Toy)(dropout=0.0)
    more: dict[str, Any] = {"max_steps": 400, "save_strategy": "no"} if how == "signalled" else {"max_steps": 6}
    more["use_cpu"] = not torch.cuda.is_available()
    args = options(folder, per_device_train_batch_size=8 // distributed.world_size(), **more)
    result = train(module, Numbers(rows), args, folder, resume=how == "resumed")
    if distributed.is_main():
        torch.save(
            {"weights": module.state_dict(), "units": result.units, "world": args.world_size}, folder / "end.pt"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
