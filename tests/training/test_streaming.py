"""Training on a stream: killed anywhere and resumed it is the run that was not, on one process and on two."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stream_process
import torch
from contracts import case_of
from stream_process import stream_rows
from toy import Toy, options

from hf_ssl.core.errors import DataError, TrainingError
from hf_ssl.stages.inputs import stream_rows as of_objective
from hf_ssl.training.streaming import ahead
from hf_ssl.training.trainer import arguments, train


def _train(folder: Path, corpus: Path, resume: bool = False, **more: Any) -> Toy:
    module = Toy()
    args = options(folder, save_total_limit=None, **more)
    train(module, stream_rows(corpus, module), args, folder, resume=resume)
    return module


class OneBlock:
    """A stream that gives the same rows again and again."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def blocks(self, reader: int, readers: int, place: Any = None) -> Iterator[Any]:
        for turn in itertools.count():
            yield SimpleNamespace(rows=self.rows, place=SimpleNamespace(turn=turn, state=None), digest="0a")


def _losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return stream_process.write_corpus(tmp_path / "corpus")


@pytest.mark.parametrize(("workers", "accumulated"), [(0, 1), (0, 2), (2, 1)], ids=["plain", "accumulated", "workers"])
def test_a_resumed_run_is_the_uninterrupted_one(workers, accumulated, corpus, tmp_path):
    """Weights, losses and dropout bit for bit, over the end of a block and of a turn."""
    more = {"dataloader_num_workers": workers, "gradient_accumulation_steps": accumulated, "max_steps": 12}
    whole = _train(tmp_path / "whole", corpus, **more)
    for step in (2, 10):
        folder = tmp_path / f"from{step}"
        _train(folder, corpus, **{**more, "max_steps": step})
        for later in (folder / "checkpoints").glob("checkpoint-*"):
            assert int(later.name.split("-")[1]) <= step
        resumed = _train(folder, corpus, resume=True, **more)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True)), step
        assert _losses(folder) == _losses(tmp_path / "whole")


def test_another_number_of_workers_goes_on_as_before(corpus, tmp_path):
    whole = _train(tmp_path / "whole", corpus, dataloader_num_workers=2)
    _train(tmp_path / "two", corpus, dataloader_num_workers=2, max_steps=4)
    resumed = _train(tmp_path / "two", corpus, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_what_cannot_be_gone_on_with_is_refused(corpus, tmp_path):
    with pytest.raises(TrainingError, match="--max_steps"):
        _train(tmp_path / "run", corpus, max_steps=-1)
    _train(tmp_path / "run", corpus, max_steps=4)
    kept = (corpus / "numbers.txt").read_text()
    (corpus / "numbers.txt").write_text(kept.replace("1", "3"))
    with pytest.raises(TrainingError, match="other rows than before"):
        _train(tmp_path / "run", corpus, resume=True)
    (corpus / "numbers.txt").write_text(kept)
    place = tmp_path / "run" / "checkpoints" / "checkpoint-4" / "stream_0.json"
    noted = json.loads(place.read_text())
    for broken, told in (({**noted, "processes": 2}, "2 processes"), ({}, "does not say where")):
        checkpoint = place.parent
        content = json.dumps(broken)
        place.write_text(content)
        manifest = json.loads((checkpoint / "complete.json").read_text())
        manifest["files"]["stream_0.json"] = [len(content), stream_process.checksum(place)]
        (checkpoint / "complete.json").write_text(json.dumps(manifest))
        with pytest.raises(TrainingError, match=told):
            _train(tmp_path / "run", corpus, resume=True)


def test_the_next_block_is_made_while_one_is_used_and_never_more_than_one():
    begun: list[int] = []
    reached = [threading.Event() for _ in range(6)]

    def blocks() -> Iterator[int]:
        for number in range(6):
            begun.append(number)
            reached[number].set()
            yield number

    taken = []
    for block in ahead(blocks()):
        if block < 5:
            assert reached[block + 1].wait(10), "made without being asked for"
        assert max(begun) <= block + 1
        taken.append(block)
    assert taken == begun == [0, 1, 2, 3, 4, 5]


def test_what_goes_wrong_with_a_block_is_told_in_its_turn():
    def blocks() -> Iterator[int]:
        yield 1
        raise DataError("the second block is broken")

    coming = ahead(blocks())
    assert next(coming) == 1
    with pytest.raises(DataError, match="second block"):
        next(coming)
    ended = ahead(iter(range(100)))
    assert next(ended) == 0
    ended.close()


def test_views_of_a_stream_are_made_where_training_is(tiny_checkpoint):
    made = case_of(tiny_checkpoint, "objectives/simclr@image")
    module, pool = made.build().module, made.data
    for there in (False, True):
        module.views_on_device = there
        args = arguments(
            Path("unused"), seed=0, defaults={}, overrides={"max_steps": 2, "per_device_train_batch_size": 4}
        )
        rows = of_objective(module, OneBlock(pool), 0, args)
        rows.prepare(args, None)
        batches = list(itertools.islice(iter(rows), 2))
        assert [("@views" in batch) for batch in batches] == [there, there]
        rows.note(batches)
        finished = [module.on_device(batch) for batch in batches]
        assert all(batch["pixel_values"].shape[0] == 8 for batch in finished)


@pytest.mark.slow
def test_two_processes_see_each_row_once_and_resume_exactly(corpus, tmp_path):
    def run(folder: Path, how: str) -> dict[str, Any]:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        path = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *launcher, stream_process.__file__, str(corpus), str(folder), how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode == 0) == (how != "killed"), done.stderr[-3000:]
        return {} if how == "killed" else torch.load(folder / "end.pt", weights_only=True)

    whole = run(tmp_path / "whole", "whole")
    assert whole["world"] == 2
    assert sorted(whole["seen"]) == sorted(set(whole["seen"])), "no row twice within a turn"
    run(tmp_path / "killed", "killed")
    resumed = run(tmp_path / "killed", "resumed")
    for name, weight in whole["weights"].items():
        assert torch.equal(weight, resumed["weights"][name]), name
