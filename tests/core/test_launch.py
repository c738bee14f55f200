"""`--launch`: which launcher is started with what, and what is refused before anything starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from hf_ssl import cli
from hf_ssl.core import launch
from hf_ssl.core.errors import ConfigError, MissingExtraError
from hf_ssl.core.launch import FOLDER, LaunchOptions, command_of, names, split
from hf_ssl.core.run import RunDir
from tests.support.tiny import write_checkpoint

WORDS = ["pretrain", "--data", "my data", "--resume"]


def test_other_words_keep_their_order() -> None:
    options, rest = split(
        ["run", "a.yaml", "--launch=ddp", "--seed", "1", "--num-processes", "4", "-v", "--pretrain.bf16"]
    )
    assert (options.launch, options.num_processes) == ("ddp", 4)
    assert rest == ["run", "a.yaml", "--seed", "1", "-v", "--pretrain.bf16"]


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("*.yaml")])
def test_every_file_is_one_of_accelerates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by Accelerate's own code, and the command by its own parser."""
    there = ModuleType("deepspeed")
    there.__spec__ = ModuleSpec("deepspeed", None)
    monkeypatch.setitem(sys.modules, "deepspeed", there)  # asked whether it is installed, no more
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    kinds = {"single": "NO", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
    assert str(config.distributed_type.value) == kinds.get(name, "MULTI_GPU")
    command, more = command_of(LaunchOptions(launch=name), WORDS, devices=2, environment={})
    read = launch_command_parser().parse_args(command[3:])
    assert command[1:3] == ["-m", "accelerate.commands.launch"] and not more
    assert read.module and read.training_script == "hf_ssl" and read.training_script_args == WORDS
    assert read.num_processes == (1 if name == "single" else 2)


def test_processors_go_through_torchrun() -> None:
    options = LaunchOptions(launch="cpu", num_processes=2)
    command, more = command_of(options, WORDS, devices=0, environment={})
    assert command[1:3] == ["-m", "torch.distributed.run"] and {"--nproc_per_node=2", "--standalone"} <= set(command)
    assert command[-len(WORDS) :] == WORDS and more["ACCELERATE_USE_CPU"] == "true"
    assert more["OMP_NUM_THREADS"] == str(max(1, (os.cpu_count() or 1) // 2))
    assert "OMP_NUM_THREADS" not in command_of(options, WORDS, devices=0, environment={"OMP_NUM_THREADS": "3"})[1]


def test_several_hosts_meet_at_the_first() -> None:
    given = {"num_processes": 8, "num_machines": 2, "machine_rank": 1, "main_process_ip": "10.0.0.1"}
    command, _ = command_of(LaunchOptions(launch="cpu", **given), WORDS, devices=0, environment={})
    assert {
        "--nproc_per_node=4",
        "--nnodes=2",
        "--node_rank=1",
        "--master_addr=10.0.0.1",
        "--master_port=29500",
    } <= set(command)
    command, _ = command_of(LaunchOptions(launch="multi-node", **given), WORDS, devices=4, environment={})
    read = launch_command_parser().parse_args(command[3:])
    assert (read.num_processes, read.num_machines, read.machine_rank, read.main_process_ip) == (8, 2, 1, "10.0.0.1")


def test_a_file_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((FOLDER / "ddp.yaml").read_text())
    command, _ = command_of(LaunchOptions(launch=str(file), num_processes=2), WORDS, devices=0, environment={})
    assert f"--config_file={file}" in command, "what it is for is known to its writer alone"


@pytest.mark.parametrize(
    "given",
    [
        {"num_processes": 2},
        {"launch": "ddp", "num_machines": 2},
        {"launch": "ddp", "num_machines": 2, "machine_rank": 2, "main_process_ip": "10.0.0.1"},
        {"launch": "ddp", "num_machines": 2, "machine_rank": 0, "main_process_ip": "10.0.0.1", "num_processes": 3},
        {"launch": "ddp", "num_processes": 0},
    ],
)
def test_options_that_cannot_be(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LaunchOptions(**given)  # type: ignore[arg-type]


def test_launches_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, devices, fact in (
        ("fsdp", 1, "'fsdp2'"),
        ("cpu", 0, "--num_processes 2"),
        ("ddp", 0, "--launch cpu"),
    ):
        with pytest.raises(ConfigError, match=fact):
            command_of(LaunchOptions(launch=name), WORDS, devices=devices, environment={})
    with pytest.raises(ConfigError, match="has 2 for 4"):
        command_of(LaunchOptions(launch="ddp", num_processes=4), WORDS, devices=2, environment={})
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    for name in ("zero2", "zero3"):
        with pytest.raises(MissingExtraError, match="pip install deepspeed"):
            command_of(LaunchOptions(launch=name), WORDS, devices=2, environment={})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="--launch"):
        launch.start(LaunchOptions(launch="cpu", num_processes=2), WORDS, WORDS)


def test_options_of_the_command_are_checked_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, and not by every process."""
    assert cli.main(["pretrain", "--data", "x", "--max_stepps", "3", "--launch", "cpu", "--num_processes", "2"]) == 1
    assert "max_stepps" in capsys.readouterr().err


def test_help_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretrain", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--main_process_ip" in told and all(name in told for name in names())


@pytest.mark.slow
def test_two_processes_are_two(tmp_path: Path) -> None:
    """They train together, and one run folder has it."""
    rows = [json.dumps({"text": f"pump {n % 7} leaks oil at the seal {n}"}) for n in range(64)]
    (tmp_path / "notes.jsonl").write_text("\n".join(rows))
    model = write_checkpoint("bert", tmp_path / "model")
    command = [
        sys.executable, "-m", "hf_ssl", "pretrain", "--data", str(tmp_path / "notes.jsonl"), "--model", str(model), "--output",
        str(tmp_path / "run"), "--max_steps", "2", "--launch", "cpu", "--num_processes", "2", "-v",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ledger = json.loads((tmp_path / "run" / "run.json").read_text())
    assert ledger["stages"]["pretrain"]["status"] == "done"
    assert ledger["stages"]["pretrain"]["processes"] == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, None),
        ({"FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false"}, None),
        ({"FSDP_VERSION": "1"}, "fsdp2"),
        ({}, "fsdp2"),
        ({"FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}, "fsdp_cpu_ram_efficient_loading"),
        ({"FSDP_VERSION": "2", "FSDP_ACTIVATION_CHECKPOINTING": "true"}, "--gradient_checkpointing"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, None),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, None),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO3_INIT": "true"}, "zero3_init_flag"),
    ],
)
def test_divisions_that_do_not_fit(
    given: dict[str, str], told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of launch files that `accelerate config` wrote, too."""
    if "ACCELERATE_USE_DEEPSPEED" not in given and (told or given):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if told is None:
        RunDir(tmp_path / "run")
        return
    with pytest.raises(ConfigError) as caught:
        RunDir(tmp_path / "run")
    assert told in str(caught.value)
