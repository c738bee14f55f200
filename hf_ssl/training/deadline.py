"""A time by which trainings have to end: what `hf-ssl adapt --budget` and `compare --budget` keep to."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from transformers import TrainerCallback

from hf_ssl.core import distributed

logger = logging.getLogger(__name__)

_END: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def until(end: float) -> Iterator[None]:
    """Within, every training stops at its next step once `time.monotonic()` has passed `end`; what it has learned is kept."""
    before = _END.get()
    token = _END.set(end if before is None else min(before, end))
    try:
        yield
    finally:
        _END.reset(token)


class DeadlineCallback(TrainerCallback):
    """Stops a training in time; several processes stop at the same step, which the first one names."""

    def __init__(self, end: float) -> None:
        self.end = end

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        over = time.monotonic() >= self.end
        if args.world_size > 1:
            over = bool(distributed.broadcast(over if distributed.is_main() else None))
        if over and state.global_step < state.max_steps:
            logger.info(
                f"  time is up after {state.global_step:,} of {state.max_steps:,} steps: this training ends here"
            )
            control.should_training_stop = True


def callbacks() -> list[TrainerCallback]:
    """What a training needs to keep to the deadline that holds here; nothing where there is none."""
    end = _END.get()
    return [] if end is None else [DeadlineCallback(end)]
