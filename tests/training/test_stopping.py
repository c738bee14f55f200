"""SIGTERM, SIGUSR1 and Ctrl-C at any moment: saved, and gone on from to the very same weights."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Numbers, Toy, options
from transformers import EvalPrediction

from hf_ssl.core.stopping import Terminated, terminable
from hf_ssl.training.trainer import TrainResult, train

BEST = {
    "eval_strategy": "epoch", "save_strategy": "best", "load_best_model_at_end": True, "metric_for_best_model": "near",
    "greater_is_better": True, "max_steps": -1, "num_train_epochs": 3, "per_device_eval_batch_size": 4,
}  # fmt: skip


class Signalled(Toy):
    """Sends itself a signal in the given forward pass of training or of evaluation (counted from 1)."""

    def __init__(self, sent: signal.Signals | None = None, step: int = 0, evaluation: int = 0) -> None:
        super().__init__()
        self.sent, self.at = sent, {True: step, False: evaluation}
        self.calls = {True: 0, False: 0}

    def forward(self, inputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        self.calls[self.training] += 1
        if self.sent is not None and self.calls[self.training] == self.at[self.training]:
            os.kill(os.getpid(), self.sent)
        return super().forward(inputs, labels, num_items_in_batch)


class Measured:
    """Measures every third step, drawing random numbers as probes do."""

    def __init__(self, during: int | None = None) -> None:
        self.during, self.seen = during, list[int]()

    def due(self, step: int, total: int) -> bool:
        return step % 3 == 0

    def at(self, step: int, total: int) -> bool:
        torch.rand(7)
        if step == self.during:
            self.during = None
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("the measurement goes on although the run is to stop")
        self.seen.append(step)
        return False

    def resumed(self, step: int, total: int) -> bool:
        return self.at(step, total) if self.due(step, total) and step not in self.seen else False

    def saved(self, checkpoint: Path) -> None:
        assert checkpoint.is_dir()


def _near(output: EvalPrediction) -> dict[str, float]:
    return {"near": -float(((output.predictions - output.label_ids) ** 2).mean())}


def _early(module: Toy, folder: Path, resume: bool = False, patience: int = 2) -> TrainResult:
    return train(
        module, Numbers(), options(folder, **BEST), folder, eval_rows=Numbers(12), compute_metrics=_near, patience=patience,
        resume=resume,
    )  # fmt: skip


def _curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        {name: line[name] for name in ("step", "loss", "eval_loss", "eval_near") if name in line} for line in lines
    ]


def _equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_and_the_run_goes_on_as_if_nothing_had_been(sent, tmp_path):
    whole = Toy()
    train(whole, Numbers(), options(tmp_path / "whole"), tmp_path / "whole")
    before = signal.getsignal(sent)
    with pytest.raises(KeyboardInterrupt, match="at step 3") as raised:
        train(Signalled(sent, step=3), Numbers(), options(tmp_path / "part"), tmp_path / "part")
    assert isinstance(raised.value, Terminated) == (sent != signal.SIGINT)
    assert signal.getsignal(sent) is before
    part = Toy()
    train(part, Numbers(), options(tmp_path / "part"), tmp_path / "part", resume=True)
    assert _equal(whole, part) and _curve(tmp_path / "whole") == _curve(tmp_path / "part")


# 5 steps an epoch, 3 batches an evaluation.
@pytest.mark.parametrize(
    "when", [{"step": 3}, {"step": 5}, {"evaluation": 2}, {"evaluation": 5}, {"step": 15}, {"evaluation": 8}], ids=str
)
def test_early_stopping_and_a_signal_in_a_step_or_in_an_evaluation(when, tmp_path):
    whole, part = Toy(), Toy()
    _early(whole, tmp_path / "whole")
    stopped = Signalled(signal.SIGTERM, **when)
    with pytest.raises(Terminated):
        _early(stopped, tmp_path / "part")
    assert stopped.calls[False] == when.get("evaluation", (when.get("step", 0) - 1) // 5 * 3), "no batch more"
    result = _early(part, tmp_path / "part", resume=True)
    assert result.steps == 15 and _equal(whole, part)
    assert _curve(tmp_path / "whole") == _curve(tmp_path / "part")


def _scored(folder: Path, scores: dict[str, Iterator[float]], **more: Any) -> Callable[..., TrainResult]:
    """Training whose evaluations get the next of the given scores, by the name of the call; patience is 2."""

    def run(name: str, module: Toy, resume: bool = False) -> TrainResult:
        place = folder / ("whole" if name == "whole" else "part")
        return train(
            module, Numbers(), options(place, **{**BEST, **more}), place, eval_rows=Numbers(12),
            compute_metrics=lambda _: {"near": next(scores[name])}, patience=2, resume=resume,
        )  # fmt: skip

    return run


def test_patience_that_was_used_up_stays_used_up(tmp_path):
    """The metric is best at the start of the rows' order: with patience 1 the run stops, resumed or not."""
    scores = {"whole": iter([3.0, 2.0, 1.0, 0.0]), "part": iter([3.0, 2.0]), "again": iter([1.0, 0.0])}

    run = _scored(tmp_path, scores, num_train_epochs=5)
    assert run("whole", Toy()).steps == 15
    with pytest.raises(Terminated):
        run("part", Signalled(signal.SIGTERM, step=12))
    assert run("again", Toy(), resume=True).steps == 15


def test_the_start_is_evaluated_once(tmp_path):
    """A second evaluation of it, by the resumed run, would be one without a better score."""
    scores = {"whole": iter([3.0, 2.0, 1.0, 0.0]), "part": iter([3.0]), "again": iter([2.0, 1.0])}

    run = _scored(tmp_path, scores, eval_on_start=True)
    assert run("whole", Toy()).steps == 10
    with pytest.raises(Terminated):
        run("part", Signalled(signal.SIGTERM, step=3))
    assert run("again", Toy(), resume=True).steps == 10
    assert _curve(tmp_path / "whole") == _curve(tmp_path / "part")


@pytest.mark.parametrize("during", [3, 6, 8])
def test_a_signal_while_measuring(during, tmp_path):
    whole, part = Toy(), Toy()
    every, again = Measured(), Measured(during)
    train(whole, Numbers(), options(tmp_path / "whole"), tmp_path / "whole", measure=every)
    if again.due(during, 8):
        with pytest.raises(Terminated):
            train(Toy(), Numbers(), options(tmp_path / "part"), tmp_path / "part", measure=again)
    else:
        with pytest.raises(Terminated):
            train(
                Signalled(signal.SIGTERM, step=8),
                Numbers(),
                options(tmp_path / "part"),
                tmp_path / "part",
                measure=again,
            )
    train(part, Numbers(), options(tmp_path / "part"), tmp_path / "part", measure=again, resume=True)
    assert again.seen == every.seen == [0, 3, 6]
    assert _equal(whole, part) and _curve(tmp_path / "whole") == _curve(tmp_path / "part")


def test_a_signal_before_the_first_step(tmp_path):
    measure = Measured(0)
    with pytest.raises(Terminated, match="at step 0"):
        train(Toy(), Numbers(), options(tmp_path), tmp_path, measure=measure)
    assert train(Toy(), Numbers(), options(tmp_path), tmp_path, measure=measure, resume=True).steps == 8
    assert measure.seen == [0, 3, 6]


def test_a_second_sigterm_does_not_cut_the_save_short(tmp_path):
    class Twice(Signalled):
        def on_optimizer_step(self, step: int, total: int) -> None:
            if step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated):
        train(Twice(signal.SIGUSR1, step=3), Numbers(), options(tmp_path), tmp_path)
    assert (tmp_path / "checkpoints" / "checkpoint-3" / "complete.json").is_file()


def test_outside_training_a_signal_ends_the_command():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as raised, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert raised.value.exit_code == 143 and signal.getsignal(signal.SIGTERM) is before
