"""Several processes, one run: who speaks and writes, and how all of them come to the same decision.

`accelerate launch` (or `torchrun`) starts the same program once per device. All processes read the same data and train
together; the first alone writes the run folder and talks. A decision that hangs on what the first has seen (the ledger,
a measurement) is shared, because processes that disagree wait for each other for ever.

With one process, and that is the usual case, everything here is free of cost and imports nothing.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


def rank() -> int:
    """Number of this process, 0 for the first."""
    return _number("RANK", 0)


def world_size() -> int:
    """Number of processes."""
    return _number("WORLD_SIZE", 1)


def _number(name: str, otherwise: int) -> int:
    said = os.environ.get(name, str(otherwise))
    if not said.isdecimal():
        raise ConfigError(
            f"The environment says {name}={said!r}, which is no number of processes. Unset it, or start with torchrun."
        )
    return int(said)


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def check_launch() -> None:
    """Refuse to be the only process where more were asked for: each step would see a part of its batch.

    Raises:
        ConfigError: that is what happened. Where it only looks like it, a warning is logged.
    """
    if rank() >= world_size():
        raise ConfigError(
            f"The environment says RANK={rank()} of WORLD_SIZE={world_size()}. Unset both, or start with torchrun."
        )
    if lone := lone_launch():
        raise ConfigError(f"{lone}. For one process say --num_processes 1.")
    if problem := unfit_division(os.environ):
        raise ConfigError(problem)
    known = ("RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    # Where the number is in accelerate's own configuration, only the address at which others should meet tells of them.
    if {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= os.environ.keys() and not any(n in os.environ for n in known):
        logging.getLogger(__name__).warning(
            "This is one process. If accelerate was configured for several, it has not started them: add --multi_gpu to "
            "`accelerate launch`, or use torchrun."
        )


def unfit_division(environment: Mapping[str, str]) -> str | None:
    """What to say where `accelerate launch` was told to divide a model in a way that is not supported; None: nothing.

    Args:
        environment: of a process that it started.
    """
    given = {name: value.lower() for name, value in environment.items()}
    if given.get("ACCELERATE_USE_DEEPSPEED") == "true" and given.get("ACCELERATE_DEEPSPEED_ZERO3_INIT") == "true":
        return "Set zero3_init_flag: false in the launch file: every process reads the checkpoint, and proves it."
    if given.get("ACCELERATE_USE_FSDP") != "true":
        return None
    if given.get("FSDP_VERSION", "1") != "2":
        return "FSDP's first version is not supported. Take --launch fsdp2, or set fsdp_version: 2 in the launch file."
    for name in ("FSDP_CPU_RAM_EFFICIENT_LOADING", "FSDP_ACTIVATION_CHECKPOINTING"):
        if given.get(name) in ("1", "true", "yes"):
            instead = ", and give --gradient_checkpointing" if "ACTIVATION" in name else ""
            return f"Set {name.lower()}: false in the launch file{instead}: every process reads the checkpoint, and proves it."
    return None


def lost_company(error: BaseException) -> bool:
    """Whether an error says that another process has ended: gloo's, NCCL's or the rendezvous' way to put it."""
    if world_size() == 1:
        return False
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = str(error)
    return bool(kinds & {"DistBackendError", "DistNetworkError", "DistStoreError"}) or (
        isinstance(error, RuntimeError)
        and "gloo" in said
        and any(word in said for word in ("peer", "Broken pipe", "imed out"))
    )


def accelerators() -> int:
    """How many accelerators this host has."""
    import torch

    return torch.accelerator.device_count() if torch.accelerator.is_available() else 0


_asked = {"cpu": False}


def leave_accelerator_alone(wanted: bool) -> None:
    """What `--use_cpu` of a stage says, for all that the stage computes."""
    _asked["cpu"] = wanted


def forced_to_cpu() -> bool:
    """Whether `--use_cpu` or `accelerate launch --cpu` asked to leave the accelerator alone."""
    return _asked["cpu"] or os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes")


def device() -> torch.device:
    """Where this process computes what it does without the Trainer, which knows for itself: a GPU by CUDA or ROCm, else the processor."""
    import torch

    if forced_to_cpu() or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _number("LOCAL_RANK", 0) % torch.cuda.device_count())


def lone_launch(command: list[str] | None = None) -> str | None:
    """What to say where `accelerate launch` was asked for several processes and started one; None: there is nothing to say.

    Without `--multi_gpu` (or with `--cpu` alone) it starts one, whatever `--num_processes` says, and half the batch is trained on.

    Args:
        command: the words of the launching program (default: read from the system, where it tells).
    """
    if world_size() > 1 or "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return None
    words = _parent_command() if command is None else command
    joined = [word for given in words for word in given.split("=", 1)]
    place = next((n for n, word in enumerate(joined[:-1]) if word in ("--num_processes", "--num-processes")), None)
    if place is None or not joined[place + 1].isdigit() or int(joined[place + 1]) < 2:
        return None
    return (
        f"accelerate was asked for {joined[place + 1]} processes and started one: the batch of a step is that of one process. Add --multi_gpu, or "
        f"on processors use: torchrun --nproc_per_node {joined[place + 1]} -m hf_ssl ... --use_cpu true"
    )


def _parent_command() -> list[str]:
    """Words of the command line that started this process; empty where the system does not tell."""
    try:
        with open(f"/proc/{os.getppid()}/cmdline", encoding="utf-8", errors="replace") as stream:
            return stream.read().split("\0")
    except OSError:
        return []


def loader_workers() -> int:
    """Processes that prepare batches beside this one: none where the processor itself trains, and needs its cores.

    Only where processes are forked: elsewhere each would get a copy of all pictures through a pipe.
    """
    import multiprocessing

    import torch

    cores = (os.cpu_count() or 1) // world_size()
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    if forced_to_cpu() or not torch.cuda.is_available() or method != "fork":
        return 0
    return max(0, min(8, cores - 1))


def broadcast(value: Any) -> Any:
    """The first process's value, in every process. All of them must call it."""
    if world_size() == 1:
        return value
    import torch.distributed as group

    _join()
    box = [value]
    group.broadcast_object_list(box, src=0)
    return box[0]


def gather(value: Any) -> list[Any]:
    """Every process's value, in the order of their numbers, in every process. All of them must call it."""
    if world_size() == 1:
        return [value]
    import torch.distributed as group

    _join()
    found: list[Any] = [None] * world_size()
    group.all_gather_object(found, value)
    return found


def barrier() -> None:
    """Go on when all processes have come this far: what the first has written is there for the others."""
    if world_size() > 1:
        _join().wait_for_everyone()


def _join() -> Any:
    """Form the group, the way the Trainer would a little later."""
    import torch
    from accelerate import PartialState

    settle_at_exit()
    # The others wait while the first measures or compares alone, which can take longer than the usual ten minutes.
    return PartialState(cpu=forced_to_cpu() or not torch.cuda.is_available(), timeout=timedelta(hours=6))


@functools.cache
def settle_at_exit() -> None:
    """Let the threads of gloo let go of Python's objects before the interpreter ends.

    One that still holds some is stopped by the interpreter in the middle of C++ code, and the process aborts (exit code
    134) after all its work is done: 4 of 40 processes that left right after their last collective, 0 of 40 with the pause.
    """
    if world_size() > 1:
        atexit.register(time.sleep, 0.1)
