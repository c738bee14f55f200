"""Faults of disks, folders and files end in one line that says what to do, and exit code 1."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import runs

from hf_ssl import cli
from hf_ssl.core import run as ledger
from hf_ssl.stages.recipe import VERBS


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    data = tmp_path / "pool.txt"
    data.write_text("\n".join(row["text"] for row in runs.rows(40, 0, labeled=False)), encoding="utf-8")
    return [
        "pretrain",
        f"--data={data}",
        "--txt=lines",
        "--max_steps=1",
        f"--model={runs.base_checkpoint(tmp_path / 'base')}",
    ]


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(command) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said
    return lines[0]


def test_the_disk_is_full(given, tmp_path, monkeypatch, capsys):
    """Also the ledger cannot be written then, which must not hide why."""
    write = ledger.write_json

    def full(path: Path, content: object) -> None:
        if (tmp_path / "run" / "run.json").is_file():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(ledger, "write_json", full)
    line = told([*given, f"--output={tmp_path / 'run'}"], capsys)
    assert "disk is full" in line and "--output" in line


def test_the_output_is_under_a_file(given, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert "--output" in told([*given, f"--output={tmp_path / 'file' / 'run'}"], capsys)
    assert "is a file" in told([*given, f"--output={tmp_path / 'file'}"], capsys)


def test_the_path_is_too_long(given, tmp_path, capsys):
    assert "too long" in told([*given, f"--output={tmp_path / ('x' * 300)}"], capsys).lower()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_the_output_cannot_be_written(number, given, tmp_path, monkeypatch, capsys):
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(ledger.Path, "mkdir", refuse)
    assert "--output" in told([*given, f"--output={tmp_path / 'run'}"], capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"objective: mlm\ntitle: \xff\xfe", "UTF-8"),
        (b"a: " + b"[" * 5000, "YAML"),
        (b"1: 2\n", "words"),
        (b"- a\n", "name: value"),
        (b"pretrain: {1: 2}\n", "words"),
        (b"a: 2026-13-45\n", "YAML"),
        (b"x: y\n" * 400_000, "bytes"),
    ],
)
def test_a_configuration_that_is_none(content, words, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    assert words in told(["run", str(file), f"--output={tmp_path / 'run'}"], capsys)


def _wrapped() -> Exception:
    try:
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    except RuntimeError as cause:
        error = ValueError("could not save")
        error.__cause__ = cause
        return error


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MemoryError(), "memory"),
        (_wrapped, "disk is full"),
        (lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"), "memory"),
        (lambda: RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 14 vs 12"), "disk is full"),
        (
            lambda: RuntimeError("[enforce fail at inline_container.cc:1] PytorchStreamWriter failed writing"),
            "disk is full",
        ),
        (lambda: FileNotFoundError(errno.ENOENT, "gone", "run/x"), "run/x"),
    ],
)
def test_libraries_wrap_what_happened(make: Callable[[], Exception], words, given, monkeypatch, capsys):
    def fail(**options: object) -> None:
        raise make()

    monkeypatch.setitem(VERBS, "pretrain", fail)
    line = told(given, capsys)
    assert words in line and line.endswith("[HFS101]")
    assert cli.main([*given, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["error"]
    assert found["code"] == "HFS101" and words in found["message"]


def test_an_error_of_ours_keeps_its_traceback_and_says_where_to_report(given, monkeypatch, capsys):
    def fail(**options: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setitem(VERBS, "pretrain", fail)
    with pytest.raises(KeyError):
        cli.main(given)
    assert "report it" in capsys.readouterr().err
