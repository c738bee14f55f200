"""A limit on steps: every stage runs as it is and stops early, so that `hf-ssl check` can say what the whole would take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ssl.training.streaming import PLACE, StreamRows

if TYPE_CHECKING:
    from hf_ssl.training.module import SizedDataset, TrainingModule


@dataclass
class LimitedFit:
    """One training that was cut short.

    Args:
        rows: of the training data, as the module sees them (windows, packed rows …).
        planned: optimizer steps of the whole.
        seconds: what it took, from the first step to the last, without measurements.
        measured: seconds of one measurement along the way (0: there are none).
        batch: one line about a batch.
    """

    rows: int
    planned: int
    steps: list[float]
    seconds: float
    measured: float
    parameters: int
    trained: int
    batch: str

    @property
    def per_step(self) -> float:
        """Seconds; the first step, in which caches fill and kernels are chosen, is left out where there is another."""
        later = self.steps[1:] or self.steps
        return sum(later) / max(1, len(later))


@dataclass
class Trial:
    """What happened under a limit.

    Args:
        steps: optimizer steps that a training takes at the most.
        rows, seconds: examples predicted or embedded, and how long that took.
    """

    steps: int
    fits: list[LimitedFit] = field(default_factory=list)
    rows: int = 0
    seconds: float = 0.0


_TRIAL: ContextVar[Trial | None] = ContextVar("trial", default=None)


@contextmanager
def limited(steps: int) -> Iterator[Trial]:
    """Within, every training ends after so many steps, and what it would have taken is noted."""
    trial = Trial(steps)
    token = _TRIAL.set(trial)
    try:
        yield trial
    finally:
        _TRIAL.reset(token)


def current() -> Trial | None:
    """The limit that holds here, if any."""
    return _TRIAL.get()


@contextmanager
def timed(rows: int) -> Iterator[None]:
    """Note how long so many examples take to be predicted or embedded; free of cost without a limit."""
    trial, began = current(), time.monotonic()
    yield
    if trial is not None:
        trial.rows += rows
        trial.seconds += time.monotonic() - began


class LimitCallback(TrainerCallback):
    """Stops after the limit's steps, and takes the time of each."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.steps: list[float] = []
        self._began = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._began = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.steps.append(time.monotonic() - self._began)
        if state.global_step >= self.trial.steps:
            control.should_training_stop = True

    def note(
        self,
        module: TrainingModule,
        rows: SizedDataset | StreamRows,
        planned: int,
        seconds: float,
        measured: float,
        batch: int,
    ) -> None:
        """Add what was seen to the trial."""
        describe = getattr(module, "describe", None)
        if isinstance(rows, StreamRows):
            count, made = 0, {name: part for name, part in next(iter(rows)).items() if name != PLACE}
        else:
            count, made = len(rows), module.collate([rows[i] for i in range(min(batch, len(rows)))])
        self.trial.fits.append(
            LimitedFit(
                rows=count, planned=planned, steps=self.steps, seconds=seconds, measured=measured,
                parameters=sum(p.numel() for p in module.parameters()),
                trained=sum(p.numel() for p in module.parameters() if p.requires_grad),
                batch=describe(made) if describe is not None else "",
            )
        )  # fmt: skip
