"""Run by test_streaming.py on two processes, and the stream of numbers that its tests train on."""

from __future__ import annotations

import os
import signal
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from toy import Toy, options

from hf_ssl.core import distributed
from hf_ssl.data import load_data
from hf_ssl.training.module import SizedDataset
from hf_ssl.training.streaming import StreamRows
from hf_ssl.training.trainer import train

ROWS = 90


def write_corpus(folder: Path) -> Path:
    """Lines of four numbers."""
    folder.mkdir()
    values = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(1))
    (folder / "numbers.txt").write_text("\n".join(" ".join(f"{v:.4f}" for v in row) for row in values.tolist()))
    return folder


def checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


class Lines(SizedDataset):
    """Rows of a block: the numbers of each line."""

    def __init__(self, block: datasets.Dataset) -> None:
        self.values = [torch.tensor([float(word) for word in text.split()]) for text in block["text"]]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.values[index]


def stream_rows(corpus: Path, module: Toy) -> StreamRows:
    """Blocks of ten lines, none held out."""
    data = load_data(corpus, "text", streaming=True, txt="lines", shuffle_buffer=10, verbose=False)
    assert data.stream is not None
    return StreamRows(data.stream, Lines, module.collate, seed=0)


class Watched(Toy):
    """Remembers what it sees; the second process kills itself in its seventh step, where that is asked for."""

    def __init__(self, killed: bool) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.killed = killed

    def forward(self, inputs: torch.Tensor, **named: Any) -> Any:  # type: ignore[override]
        self.seen += [" ".join(f"{v:.4f}" for v in row) for row in inputs.tolist()]
        return super().forward(inputs, **named)

    def on_optimizer_step(self, step: int, total: int) -> None:
        if self.killed and step == 7 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def main(corpus: Path, folder: Path, how: str) -> None:
    torch.set_num_threads(1)
    assert distributed.gather(distributed.rank()) == list(range(distributed.world_size()))
    folder.mkdir(exist_ok=True)
    module = Watched(how == "killed")
    args = options(folder, per_device_train_batch_size=4, max_steps=11, save_steps=3)
    train(module, stream_rows(corpus, module), args, folder, resume=how == "resumed")
    seen: Sequence[str] = [row for part in distributed.gather(module.seen) for row in part]
    if distributed.is_main():
        torch.save({"weights": module.state_dict(), "seen": list(seen), "world": args.world_size}, folder / "end.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
