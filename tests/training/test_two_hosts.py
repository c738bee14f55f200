"""Two hosts, each a network namespace with its own address, train together through `--launch`; then one of them dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny import corpus, write_checkpoint

pytestmark = pytest.mark.slow
ADDRESSES = ("10.213.7.1", "10.213.7.2")
PYTHON = [sys.executable, "-m", "hf_ssl", "pretrain"]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, str]]]:
    """Name and network card of both."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"hfssl{os.getpid()}{end}" for end in "ab"]
    cards = [f"hf{os.getpid() % 100_000}{end}" for end in "ab"]
    try:
        for name in names:
            _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr!r}")
    try:
        _ip("link", "add", cards[0], "netns", names[0], "type", "veth", "peer", "name", cards[1], "netns", names[1])
        for name, card, address in zip(names, cards, ADDRESSES, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", card)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", card, "up")
        yield list(zip(names, cards, strict=True))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


def _begin(hosts: list[tuple[str, str]], folder: Path, *more: str) -> list[subprocess.Popen[bytes]]:
    begun = []
    for rank, (name, card) in enumerate(hosts):
        command = [
            "ip", "netns", "exec", name, *PYTHON, "--data", str(folder / "data"), "--txt", "lines", "--model", str(folder / "model"),
            "--output", str(folder / "run"), "--max_steps", "60", "--save_steps", "5", "--per_device_train_batch_size", "4",
            "--launch", "cpu", "--num_processes", "2", "--num_machines", "2", "--machine_rank", str(rank),
            "--main_process_ip", ADDRESSES[0], *more,
        ]  # fmt: skip
        environment = os.environ | {"GLOO_SOCKET_IFNAME": card, "OMP_NUM_THREADS": "1"}
        with (folder / f"{rank}.log").open("wb") as log:
            begun.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
    return begun


def test_two_hosts_train_one_dies_and_the_run_goes_on(hosts: list[tuple[str, str]], tmp_path: Path) -> None:
    write_checkpoint("bert", tmp_path / "model")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "texts.txt").write_text("\n".join(dict.fromkeys(corpus(400))), encoding="utf-8")
    first, second = _begin(hosts, tmp_path)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "run").glob("pretrain/checkpoints/*/complete.json")):
        assert time.monotonic() < deadline and first.poll() is None, (tmp_path / "0.log").read_text()[-3000:]
        time.sleep(0.2)
    there = subprocess.run(
        ["ip", "netns", "pids", hosts[1][0]], capture_output=True, text=True, check=True, timeout=20
    )
    for process in there.stdout.split():
        os.kill(int(process), signal.SIGKILL)
    assert first.wait(60) != 0, "the other one stops within a minute"
    second.wait(60)
    told = (tmp_path / "0.log").read_text()
    assert "another of the 2 processes has ended" in told and "--resume" in told and "--machine_rank 0" in told
    for process in _begin(hosts, tmp_path, "--resume"):
        assert process.wait(400) == 0, (tmp_path / "0.log").read_text()[-3000:]
    stage = json.loads((tmp_path / "run" / "run.json").read_text())["stages"]["pretrain"]
    assert stage["status"] == "done" and stage["processes"] == 2 and stage["metrics"]["steps"] == 60
