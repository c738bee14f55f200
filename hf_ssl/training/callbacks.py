"""What is told along the way: throughput, curve, monitoring, epochs, head warm-up, Ctrl-C."""

from __future__ import annotations

import json
import logging
import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ssl.core import distributed
from hf_ssl.core.errors import TrainingError
from hf_ssl.core.jsonfiles import read_lines
from hf_ssl.core.run import append_jsonl, write_lines
from hf_ssl.core.stopping import listening
from hf_ssl.training import zero3
from hf_ssl.training.checkpoints import Progress
from hf_ssl.training.flops import ModelWork, settle
from hf_ssl.training.fsdp import Shards, as_divided
from hf_ssl.training.module import EpochRows, TrainingModule
from hf_ssl.training.progress import progress_line

if TYPE_CHECKING:
    from hf_ssl.training.schedule import Schedule

logger = logging.getLogger(__name__)


class Evaluator(Protocol):
    """Something that looks at the model during training (see `hf_ssl.evaluation.monitor.monitor`)."""

    def due(self, step: int, total: int) -> bool:
        """Whether to measure after this step."""

    def at(self, step: int, total: int) -> bool:
        """Measure; True stops the run."""

    def resumed(self, step: int, total: int) -> bool:
        """A run goes on after this step: measure what was still to be measured; True when it had stopped there."""

    def saved(self, checkpoint: Path) -> None:
        """A checkpoint was written: keep what is needed to go on from it."""


class TrackerAdapter:
    """A tracker (`report_to`) that is shown the transformers model in place of the `TrainingModule` around it.

    It writes down `model.config`, which on a `TrainingModule` are the options of the objective.
    """

    def __init__(self, tracker: TrainerCallback, model: nn.Module, folder: Path) -> None:
        self.tracker, self.model = tracker, model
        if (
            getattr(tracker, "logging_dir", "") is None
        ):  # TensorBoard would write into the checkpoints, which go in the end
            vars(tracker)["logging_dir"] = str(folder / "logs")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tracker, name)
        return partial(self._call, found) if name.startswith("on_") else found

    def _call(self, event: Callable[..., object], *given: object, model: object = None, **named: object) -> object:
        return event(*given, model=self.model, **named)


class MonitorCallback(TrainerCallback):
    """Calls the measure in the first process; the others wait and do as it says. Its time is no training time."""

    def __init__(self, measure: Evaluator, watch: ThroughputCallback, shards: Shards | None = None) -> None:
        self.measure, self.watch, self.shards = measure, watch, shards

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step == 0:
            self._stops(args, state, self.measure.at)
        elif self._stops(args, state, self.measure.resumed):
            control.should_training_stop = True
        if self.watch.stopping:  # in the middle of it, with nothing new to save
            raise StopRequested

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.watch.stopping:
            return  # the resumed run will measure
        if self.measure.due(state.global_step, state.max_steps) and self._stops(args, state, self.measure.at):
            control.should_training_stop = True

    def _stops(self, args: TrainingArguments, state: TrainerState, look: Callable[[int, int], bool]) -> bool:
        settle(args.device)  # steps that a device is still at are no part of the measurement
        began = time.monotonic()
        with self.shards.looked_at(args.device) if self.shards is not None else nullcontext():
            stops = self._look(state, look)
        self.watch.leave_out(time.monotonic() - began)
        return stops

    def _look(self, state: TrainerState, look: Callable[[int, int], bool]) -> bool:
        own, number = False, 0
        if distributed.is_main():
            try:
                with same_randomness():
                    self.watch.measuring = True
                    if self.watch.signal:  # it came just before
                        raise StopRequested
                    own = look(state.global_step, state.max_steps)
            except StopRequested:
                number = self.watch.signal
            finally:
                self.watch.measuring = False
        stops, number = distributed.broadcast((own, number))
        if number:
            self.watch.stop(number)
        return bool(stops)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if distributed.is_main():
            self.measure.saved(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


class SetEpochCallback(TrainerCallback):
    """Tells the rows which epoch it is, before the loader's workers start."""

    def __init__(self, rows: EpochRows) -> None:
        self.rows = rows

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.rows.set_epoch(int(state.epoch or 0))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.rows.set_epoch(int(state.epoch or 0))


class HeadWarmupCallback(TrainerCallback):
    """While the head warms up, the backbone gets no update at all: no gradient, so no optimizer moments either.

    Of a table of embeddings with new rows, those keep their gradient.
    """

    def __init__(self, module: TrainingModule, schedule: Schedule) -> None:
        self.module, self.schedule = module, schedule
        self._kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if not self.schedule.held(state.global_step, state.max_steps):
            return
        for name, parameter in self.module.named_parameters():
            if name in self.schedule.rows:
                if parameter.grad is not None:
                    if name not in self._kept:  # brought to the device once
                        kept = torch.zeros(len(parameter), 1)
                        kept[self.schedule.rows[name]] = 1
                        self._kept[name] = as_divided(kept.to(parameter.grad.device), parameter.grad)
                    parameter.grad.mul_(self._kept[name])
            elif self.schedule.depth.get(name, 0) is not None:
                parameter.grad = None


class ThroughputCallback(TrainerCallback):
    """Loss curve, throughput, MFU, data wait, time left; calls the module's `on_optimizer_step`; honours Ctrl-C."""

    def __init__(self, module: TrainingModule, curve: Path, before: Progress | None) -> None:
        self.module, self.curve = module, curve
        self.work = ModelWork(module)
        self.world, self.examples_a_step = 1, 0
        self.before = before or Progress(0, 1, 0)
        self.seconds, self.waited = self.before.seconds, self.before.waited
        self.measured = 0.0  # seconds of the last measurement
        self.owes_evaluation = False
        self.last_loss: float | None = None
        self.signal = 0  # that this process was sent
        self.agreed = 0  # that all processes know of
        self.measuring = False
        self.predicting = False  # evaluating within training
        self._polls = self._last_poll = self._next_poll = 0
        self._polled = time.monotonic()
        self._mark = self._began = time.monotonic()
        module.units_seen = 0
        if distributed.is_main():
            _cut(curve, None if before is None else before.step)

    @property
    def units(self) -> int:
        """Units of work so far, over all processes (each is taken to have done as much as this one)."""
        return self.before.units + int(self.module.units_seen) * self.world

    def all_units(self) -> int:
        """Units of work so far, over all processes. All of them must call it."""
        return self.before.units + sum(distributed.gather(int(self.module.units_seen)))

    def figures(self) -> dict[str, float]:
        """How well the machine was used: data wait of the whole run, FLOPs and MFU since it began or was resumed."""
        waited = round(100 * self.waited / self.seconds, 2) if self.seconds else 0.0
        return {"data_wait_percent": waited, **self.work.figures(self.seconds - self.before.seconds)}

    def progress(self, step: int) -> Progress:
        """What the run has done, to be noted in a checkpoint. All processes must call it."""
        return Progress(
            step, self.world, self.examples_a_step, self.all_units(), self.seconds, self.waited, self.owes_evaluation
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.world = max(1, args.world_size)
        self.examples_a_step = args.train_batch_size * args.gradient_accumulation_steps * self.world
        self.work.measure_machine(args)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._mark = time.monotonic()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._began = time.monotonic()
        self.waited += self._began - self._mark

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        zero3.step_of(self.module, state.global_step + 1, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True  # else a run shorter than `logging_steps` would leave no curve
        if control.should_log or control.should_evaluate or control.should_save:
            settle(args.device)  # what follows waits for the device anyway, and is no training
        now = time.monotonic()
        self.seconds += now - self._mark
        self._mark = now
        if self.asked():
            control.should_training_stop = True  # the Trainer saves, see `ExactTrainer`

    def leave_out(self, seconds: float) -> None:
        """Seconds just spent on a measurement, which is no training."""
        self._mark += seconds
        self.measured = seconds

    @property
    def stopping(self) -> bool:
        """Whether all processes know that the run is to save and stop."""
        return self.agreed != 0

    def stop(self, number: int) -> None:
        """All processes know of a signal."""
        self.signal = self.agreed = number

    def asked(self) -> bool:
        """Whether to stop here. All processes must call it, at the same places.

        A signal reaches one process, or all at different steps: about every other second they agree.
        """
        self._polls += 1
        if self.stopping:
            return True
        if distributed.world_size() == 1:
            self.agreed = self.signal
        elif self._polls >= self._next_poll:
            since = (time.monotonic() - self._polled) / max(1, self._polls - self._last_poll)
            told = distributed.gather((self.signal, since))
            slowest = max(1e-3, *(seconds for _, seconds in told))
            self._last_poll, self._polled = self._polls, time.monotonic()
            self._next_poll = self._polls + max(1, min(100, int(2 / slowest)))
            if number := max(number for number, _ in told):
                self.stop(number)
        return self.stopping

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.predicting and self.asked():
            raise StopRequested

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._mark = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self._mark = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        logs = dict(logs or {})
        if "loss" in logs:
            self.last_loss = float(logs["loss"])
            speed = self.units / self.seconds if self.seconds else 0.0
            logs[f"{self.module.unit}_per_second"] = round(speed, 1)
            logs |= self.figures()
            if state.is_world_process_zero and args.disable_tqdm:
                logger.info(progress_line(state, logs, self))
        if state.is_world_process_zero and not {"train_runtime"} & logs.keys():
            append_jsonl(self.curve, {"step": state.global_step, **logs})
        if "loss" in logs and not math.isfinite(logs["loss"]):
            raise TrainingError(
                f"The loss became {logs['loss']} at step {state.global_step}. Lower --learning_rate, or switch --bf16 off."
            )


def _cut(curve: Path, step: int | None) -> None:
    """Leave of a curve what was written up to a step (None: nothing): the steps after it will be taken, and written, again."""
    if step is None:
        curve.unlink(missing_ok=True)
        return
    lines = (line for line in read_lines(curve) if isinstance(line.get("step"), int) and line["step"] <= step)
    write_lines(curve, [json.dumps(line) for line in lines])


class StopRequested(Exception):
    """Raised in the middle of an evaluation that is not worth finishing: the run is to save and stop."""


@contextmanager
def interruptible(watch: ThroughputCallback) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM, SIGUSR1) lets the step finish and saves; a second Ctrl-C stops at once."""

    def stop(number: int) -> None:
        if watch.signal:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # Slurm warns and then terminates: the first was enough
        watch.signal = number
        again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
        logger.info(f"{signal.Signals(number).name}: stopping after this step and saving{again}")
        if watch.measuring:
            raise StopRequested

    with listening(stop):
        yield


@contextmanager
def same_randomness() -> Iterator[None]:
    """What is drawn inside (by an evaluation) is not missing outside.

    So a run that is resumed in the middle of an evaluation trains on as one that was not stopped.
    """
    python, arrays = random.getstate(), np.random.get_state()
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    own: Any = torch.get_device_module(accelerator) if accelerator is not None else None
    drawn = None if own is None else own.get_rng_state()
    with torch.random.fork_rng([]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
            if own is not None:
                own.set_rng_state(drawn)
