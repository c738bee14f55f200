"""`--launch NAME`: a command on several processes, devices or hosts, started by `accelerate launch` or `torchrun`.

The names are files of Accelerate's own settings (`core/launches`), which `accelerate launch --config_file` reads as well. On processors
`accelerate launch` starts one process whatever it is asked for, so `cpu` goes through `torchrun`, with gloo between the processes.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, MissingExtraError, nearest
from hf_ssl.core.fields import Options, hints_of, option
from hf_ssl.core.parser import Parser, fields_of, underscored
from hf_ssl.core.parsing import coerce_fields

FOLDER = Path(__file__).parent / "launches"
COMMAND = "HF_SSL_COMMAND"
"""The line that a person typed, in the environment of the processes that were started for it."""
CPU = "cpu"


@dataclass
class LaunchOptions(Options):
    """Several processes, devices or hosts. The names are those of `accelerate launch`."""

    launch: str | None = option(
        None,
        (
            "Start the command on several processes: ddp, fsdp2, zero2, zero3, multi-node, cpu (gloo), single, or a file that "
            "`accelerate config` wrote."
        ),
    )
    num_processes: int | None = option(
        None, "Processes in all (default: one per accelerator of this host, times the hosts).", ge=1
    )
    num_machines: int | None = option(None, "Hosts.", ge=1)
    machine_rank: int | None = option(None, "Number of this host, 0 for the first.", ge=0)
    main_process_ip: str | None = option(None, "Address of the first host.")
    main_process_port: int | None = option(None, "Port of the first host (default: 29500).", ge=1, le=65535)

    def problems(self) -> list[str]:
        hosts, found = self.num_machines or 1, []
        if self.launch is None:
            given = [f"--{name}" for name in hints_of(type(self)) if getattr(self, name) is not None]
            return [f"launch: {', '.join(given)} needs --launch NAME ({', '.join(names())})."] if given else []
        if hosts > 1 and (self.main_process_ip is None or self.machine_rank is None):
            found.append(
                "num_machines: say --main_process_ip (the first host's) and --machine_rank (this host's) too."
            )
        if (self.machine_rank or 0) >= hosts:
            found.append(f"machine_rank: {self.machine_rank} of {hosts} hosts, counted from 0. See --num_machines.")
        if (self.num_processes or hosts) % hosts:
            found.append(f"num_processes: {self.num_processes} cannot be divided by {hosts} hosts.")
        return found


def names() -> list[str]:
    """What `--launch` knows."""
    return sorted([*(path.stem for path in FOLDER.glob("*.yaml")), CPU])


def split(tokens: Sequence[str]) -> tuple[LaunchOptions, list[str]]:
    """The options of a launch, and the other words of a command line in their order.

    Raises:
        OptionsError, ConfigError: they cannot be right.
    """
    parser = Parser("", "")
    parser.add("several processes", fields_of(LaunchOptions))
    given, rest = parser.parse_known_args([underscored(token) for token in tokens])
    return LaunchOptions(**coerce_fields(LaunchOptions, vars(given))), rest


def command_of(
    options: LaunchOptions, words: Sequence[str], *, devices: int, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command line of the launcher, and what the environment of its processes says besides.

    Args:
        options: with a `launch`.
        words: the command without them, behind `hf-ssl`.
        devices: accelerators of this host.
        environment: of this process.

    Raises:
        ConfigError: no such launch, or more processes than devices.
        MissingExtraError: DeepSpeed is not installed.
    """
    hosts = options.num_machines or 1
    name = str(options.launch)
    if name == CPU:
        if options.num_processes is None:
            raise ConfigError("--launch cpu starts as many processes as --num_processes says: --num_processes 2.")
        return _torchrun(options, words, hosts, environment)
    file = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if not file.is_file():
        raise ConfigError(f"--launch {name!r} is no file.{nearest(name, names())} Known: {', '.join(names())}.")
    total = options.num_processes or (1 if name == "single" else devices * hosts)
    if file.parent == FOLDER and name != "single" and (devices == 0 or total // hosts > devices):
        raise ConfigError(
            f"--launch {name} has one accelerator for each process, and this host has {devices} for {total // hosts or 1}. "
            "Lower --num_processes, or use the processors: --launch cpu --num_processes 2."
        )
    if name.startswith("zero"):
        _need_deepspeed(name)
    given = {
        "num_processes": total or None, "num_machines": options.num_machines, "machine_rank": options.machine_rank,
        "main_process_ip": options.main_process_ip, "main_process_port": options.main_process_port,
    }  # fmt: skip
    more = [f"--{option}={value}" for option, value in given.items() if value is not None]
    start = [sys.executable, "-m", "accelerate.commands.launch", f"--config_file={file}", *more, "-m", "hf_ssl"]
    return [*start, *words], {}


def _torchrun(
    options: LaunchOptions, words: Sequence[str], hosts: int, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    here = (options.num_processes or 1) // hosts
    meet = ["--standalone"]
    if hosts > 1:
        meet = [
            f"--nnodes={hosts}", f"--node_rank={options.machine_rank}", f"--master_addr={options.main_process_ip}",
            f"--master_port={options.main_process_port or 29500}",
        ]  # fmt: skip
    more = {"ACCELERATE_USE_CPU": "true"}
    if "OMP_NUM_THREADS" not in environment:  # else torchrun gives each process a single thread
        more["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // here))
    start = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={here}", *meet, "-m", "hf_ssl"]
    return [*start, *words], more


def start(options: LaunchOptions, words: Sequence[str], typed: Sequence[str]) -> None:
    """Become the launcher; does not return.

    Args:
        options: with a `launch`.
        words: the command without them, behind `hf-ssl`.
        typed: the command with them, for what is said about going on.

    Raises:
        ConfigError, MissingExtraError: it cannot be started; also where this is one of several processes already.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigError(
            "This is one of several processes already: --launch goes without `accelerate launch` or `torchrun`."
        )
    command, more = command_of(options, words, devices=distributed.accelerators(), environment=os.environ)
    os.environ.update({**more, COMMAND: shlex.join(["hf-ssl", *typed])})
    print(shlex.join(command), file=sys.stderr, flush=True)
    os.execv(command[0], command)


def _need_deepspeed(name: str) -> None:
    import importlib.util

    if importlib.util.find_spec("deepspeed") is None:
        raise MissingExtraError(f"--launch {name} needs DeepSpeed: pip install deepspeed")
