"""One process at a time in a run folder, and a lock that no dead process keeps."""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.lock import LOCK, alive, locked
from hf_ssl.core.run import RunDir

HOLD = """
import os, sys, time
from pathlib import Path
from hf_ssl.core.run import RunDir
options = {"options": {}, "plugin": {}, "training": {}}
with RunDir(sys.argv[1]).running("pretrain", "x", options, resume=False, overwrite=False):
    if len(sys.argv) > 2 and os.fork() == 0:  # as a loader's worker that outlives its parent
        time.sleep(60)
    Path(sys.argv[1], "in").touch()
    time.sleep(60)
"""
OPTIONS: dict[str, dict[str, object]] = {"options": {}, "plugin": {}, "training": {}}


def _hold(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *more], env=environment, start_new_session=True
    )
    until = time.monotonic() + 60
    while not (folder / "in").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    return process


def test_a_second_process_is_refused_and_a_dead_one_forgotten(tmp_path, caplog):
    folder = tmp_path / "run"
    process = _hold(folder, "forks")
    try:
        before = (folder / "run.json").read_bytes()
        with pytest.raises(RunFolderError, match=f"process {process.pid} on .*pretrain.*Use another --output"):
            with RunDir(folder).running("finetune", "y", OPTIONS, resume=False, overwrite=True):
                raise AssertionError("two at once")
        assert (folder / "run.json").read_bytes() == before, "the one that is refused writes nothing"
        process.kill()
        process.wait()
        with RunDir(folder).running("pretrain", "x", OPTIONS, resume=True, overwrite=False):
            held = json.loads((folder / LOCK).read_text())
            assert (held["pid"], held["host"]) == (os.getpid(), platform.node())
        assert f"process {process.pid} on" in caplog.text and "taken over" in caplog.text
        assert not (folder / LOCK).exists()
        assert json.loads((folder / "run.json").read_text())["stages"]["pretrain"]["status"] == "done"
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_two_threads_of_one_process(tmp_path):
    refused: list[BaseException] = []

    def second() -> None:
        try:
            with locked(tmp_path, "finetune"):
                pass
        except RunFolderError as error:
            refused.append(error)

    with locked(tmp_path, "pretrain"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert len(refused) == 1
        script = f"from hf_ssl.core.lock import locked\nfrom pathlib import Path\nwith locked(Path({str(tmp_path)!r}), ''): pass"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        other = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
        assert other.returncode and "is in use by" in other.stderr, "being asked has not let go of it"
    second()
    assert len(refused) == 1


def test_an_error_lets_go(tmp_path):
    run = RunDir(tmp_path / "run")
    with pytest.raises(KeyError), run.running("pretrain", "x", OPTIONS, resume=False, overwrite=False):
        raise KeyError
    assert not (tmp_path / "run" / LOCK).exists()
    assert RunDir(tmp_path / "run").stage("pretrain").status == "failed"


def test_a_lock_without_a_ledger_is_no_strangers_folder(tmp_path):
    """Killed between the two."""
    (tmp_path / LOCK).write_text(
        json.dumps({"pid": 2**22 + 1, "host": platform.node(), "what": "pretrain", "started": 1.0})
    )
    with RunDir(tmp_path).running("pretrain", "x", OPTIONS, resume=False, overwrite=False):
        pass
    assert RunDir(tmp_path).stage("pretrain").done


def test_the_ledger_of_the_process_before_is_kept(tmp_path):
    early = RunDir(tmp_path / "run")
    with RunDir(tmp_path / "run").running("pretrain", "x", OPTIONS, resume=False, overwrite=False):
        pass
    with early.running("finetune", "y", OPTIONS, resume=False, overwrite=False):
        pass
    assert {name: stage.status for name, stage in RunDir(tmp_path / "run").stages.items()} == {
        "pretrain": "done", "finetune": "done",
    }  # fmt: skip


def test_file_systems_without_locks_go_by_what_the_file_says(tmp_path, monkeypatch, caplog):
    from hf_ssl.core import lock

    def unknown(handle: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "lockf", unknown)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    told = {"pid": process.pid, "host": platform.node(), "what": "pretrain", "started": time.time()}
    try:
        (tmp_path / LOCK).write_text(json.dumps(told))
        with pytest.raises(RunFolderError, match=f"process {process.pid}"), locked(tmp_path, "finetune"):
            raise AssertionError("two at once")
    finally:
        process.kill()
        process.wait()
    with caplog.at_level(logging.WARNING, "hf_ssl"), locked(tmp_path, "finetune"):
        assert "taken over" in caplog.text


def test_a_number_given_again_is_another_process():
    assert alive(os.getppid(), platform.node(), time.time())
    assert not alive(os.getppid(), platform.node(), 1.0), "it began after the one that is meant"
    assert not alive(os.getppid(), "elsewhere") and not alive(None, platform.node())
