"""The run folder and its ledger `run.json`: what every stage reads and writes, and the hand-over between them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_ssl.core import distributed
from hf_ssl.core.errors import RunFolderError

LEDGER = "run.json"
PACKAGES = ("hf-ssl", "torch", "transformers", "datasets", "accelerate", "peft", "evaluate", "huggingface_hub")


class RunDir:
    """One run's folder.

        runs/news/
          run.json                 the ledger: options, seeds, versions, data fingerprint, checkpoint lineage, stages
          data/                    report.txt report.json
          pretrain/ finetune/      model/ (plain transformers folder), curve.jsonl, monitor.jsonl, checkpoints/
          evaluate/ compare/ embed/

    Where several processes run (`hf_ssl.core.distributed`), the first reads and writes it and the others are told.

    Args:
        path: the folder; made when it does not exist.

    Raises:
        RunFolderError: the folder holds other people's files, or its ledger is unreadable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.ledger: dict[str, Any] = distributed.broadcast(self._read() if distributed.is_main() else None)

    def _read(self) -> dict[str, Any]:
        ledger = self.path / LEDGER
        if self.path.is_file():
            raise RunFolderError(f"{self.path} is a file. Name a folder with --output.")
        if self.path.is_dir() and not ledger.exists() and any(self.path.iterdir()):
            raise RunFolderError(f"{self.path} holds files that are not from a run. Name a new folder with --output.")
        if not ledger.exists():
            return {"format": 1, "stages": {}}
        try:
            return dict(json.loads(ledger.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
            raise RunFolderError(f"{ledger} is not readable JSON ({error}). Use another --output.") from error

    def folder(self, *parts: str) -> Path:
        """A folder inside the run folder, made when needed."""
        folder = self.path.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def stage(self, name: str) -> dict[str, Any]:
        """The ledger's entry of a stage (`{}` when it has not run)."""
        return self.ledger["stages"].get(name, {})

    def finished(self, name: str, inputs: str) -> bool:
        """Whether a stage has already run to its end with the same inputs."""
        entry = self.stage(name)
        return entry.get("status") == "done" and entry.get("inputs") == inputs

    def need(self, name: str, hint: str) -> dict[str, Any]:
        """The entry of a stage that must have finished.

        Raises:
            RunFolderError: it has not; the message has `hint`, what to do instead.
        """
        entry = self.stage(name)
        if entry.get("status") != "done":
            raise RunFolderError(f"{self.path} has no finished {name}. {hint}")
        return entry

    def record(self, **facts: Any) -> None:
        """Merge facts (data fingerprint, checkpoint lineage …) into the ledger and write it."""
        for key, value in facts.items():
            current = self.ledger.get(key)
            self.ledger[key] = {**current, **value} if isinstance(current, dict) and isinstance(value, dict) else value
        self.save()

    def save(self) -> None:
        """Write the ledger atomically: a reader sees the old one or the new one, never half of it."""
        write_json(self.path / LEDGER, self.ledger)

    @contextlib.contextmanager
    def running(
        self, name: str, inputs: str, options: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> Iterator[dict[str, Any]]:
        """Bracket a stage: note that it runs, then that it is done, was interrupted, or failed.

        Yields:
            the stage's ledger entry; what the stage puts into it (`metrics`, `outputs`) is kept.

        Raises:
            RunFolderError: another process is at it, or the folder holds this stage with other inputs.
        """
        if distributed.is_main():
            self._refuse_to_run(name, inputs, resume=resume, overwrite=overwrite)
        entry = {
            "status": "running", "inputs": inputs, "options": options, "pid": os.getpid(), "host": platform.node(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }  # fmt: skip
        if distributed.world_size() > 1:
            entry["processes"] = distributed.world_size()
        self.ledger["stages"][name] = entry
        self.ledger["versions"] = versions()
        self.save()
        began = time.monotonic()
        try:
            yield entry
        except KeyboardInterrupt:
            entry["status"] = "interrupted"
            raise
        except BaseException as error:
            entry.update(status="failed", error=f"{type(error).__name__}: {error}"[:500])
            raise
        else:
            entry["status"] = "done"
        finally:
            entry["seconds"] = round(time.monotonic() - began, 1)
            self.save()
        distributed.barrier()  # nobody reads this stage's files before they are written

    def _refuse_to_run(self, name: str, inputs: str, *, resume: bool, overwrite: bool) -> None:
        entry = self.stage(name)
        if entry.get("status") == "running" and entry.get("host") == platform.node() and _alive(entry.get("pid")):
            raise RunFolderError(f"{self.path}: {name} is being run by process {entry['pid']}. Use another --output.")
        if entry and entry.get("inputs") != inputs and not overwrite and not self._left_nothing(name):
            state = entry.get("status")
            raise RunFolderError(
                f"{self.path} holds a {name} ({state}) made with other options or data. "
                f"Name a new folder with --output, or redo it with --overwrite."
            )
        if (
            entry.get("status") in ("interrupted", "running", "failed")
            and not (resume or overwrite)
            and self._has_checkpoint(name)
        ):
            raise RunFolderError(
                f"{self.path}: {name} was interrupted. Go on with --resume, or start anew with --overwrite."
            )

    def _left_nothing(self, name: str) -> bool:
        """Whether a stage failed before it wrote anything, as with a misspelt checkpoint."""
        files = (path for path in (self.path / name).rglob("*") if path.is_file())
        return self.stage(name).get("status") == "failed" and next(files, None) is None

    def _has_checkpoint(self, name: str) -> bool:
        return any((self.path / name / "checkpoints").glob("checkpoint-*"))


def inputs_hash(*parts: Any) -> str:
    """Hash of everything a stage's result depends on (options, data fingerprint, the stage before)."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically (temporary file in the same folder, then rename), in the first process only."""
    if not distributed.is_main():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False, default=str)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove(folder: Path) -> None:
    """Delete a folder that no process needs any more; nothing happens when it is not there."""
    distributed.barrier()
    if distributed.is_main():
        shutil.rmtree(folder, ignore_errors=True)


def append_jsonl(path: Path, record: dict[str, Any]) -> None:
    """Add one line to a JSON-lines file, in the first process only."""
    if not distributed.is_main():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, default=str) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
