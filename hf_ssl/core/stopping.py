"""Being asked to stop: Ctrl-C, SIGTERM (Slurm, containers, spot machines), SIGUSR1 (Slurm's warning before the end)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """As Ctrl-C, but the system asks: what can be saved is saved, and the exit code is that of a process ended by SIGTERM."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def listening(stop: Callable[[int], None], signals: tuple[signal.Signals, ...] = STOPS) -> Iterator[None]:
    """Have `stop` called with the signal's number while the block runs; afterwards all is as before.

    Outside the main thread nothing changes: whoever runs us there handles signals.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        stop(number)

    before: dict[signal.Signals, Any] = {}
    try:
        for one in signals:
            before[one] = signal.signal(one, handle)
    except ValueError:
        before = {}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def terminable() -> Iterator[None]:
    """For a whole command: SIGTERM and SIGUSR1 end it like Ctrl-C does, so that the ledger says so and locks are let go of."""

    def stop(number: int) -> None:
        raise Terminated(f"stopped by {signal.Signals(number).name}")

    with listening(stop, tuple(one for one in STOPS if one is not signal.SIGINT)):
        yield
