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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from hf_ssl.core import distributed
from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.jsonfiles import parse
from hf_ssl.core.lock import LOCK, alive, locked
from hf_ssl.core.option_groups import RENAMED

LEDGER = "run.json"
FORMAT = 2
DATE = "%Y-%m-%dT%H:%M:%S%z"
ATTEMPTS = "attempts.json"
STATES = ("absent", "running", "done", "interrupted", "failed")
PACKAGES = ("hf-ssl", "torch", "transformers", "datasets", "accelerate", "peft", "evaluate", "huggingface_hub")


@dataclass
class StageRecord:
    """What `run.json` says of one stage: the hand-over from each stage to those after it.

    Args:
        status: `"absent"` (it has not run), `"running"`, `"done"`, `"interrupted"` or `"failed"`.
        inputs: hash of all that the result depends on.
        options, plugin, training: the stage's own options, those of its objective or task, and `TrainingArguments`.
        metrics: its numbers.
        outputs: what later stages take from it: the model's folder, the task and its labels, new words.
        started: time and date with zone; `seconds`: how long it took.
    """

    status: str = "absent"
    inputs: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    plugin: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    pid: int | None = None
    host: str = ""
    processes: int = 1
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether it ran to its end."""
        return self.status == "done"


@dataclass
class BaseModel:
    """The released checkpoint that a run descends from.

    Args:
        id: as its maker calls it: a Hub id, or a folder of this machine.
        source: what the run was started with.
    """

    id: str
    revision: str | None = None
    license: str | None = None
    weights_sha: str | None = None
    source: str = ""


class Outputs(dict[str, Any]):
    """What a stage's record says that it left; what it does not say was lost."""

    def __missing__(self, name: str) -> Any:
        raise RunFolderError(
            f"The ledger ({LEDGER}) does not say what a finished stage left as its {name}: it was changed, or is of another version. Run the "
            "stage again with --overwrite."
        )


def _read_stage(name: str, entry: object, where: Path) -> StageRecord:
    """A stage of a run.json, also of one that was written before there were types (format 1)."""
    entry = dict(_mapping(entry, f"stages.{name}", where))
    if isinstance(given := entry.get("options"), dict) and {"options", "plugin", "training"} >= given.keys() > set():
        entry |= {"options": given.get("options"), "plugin": given.get("plugin"), "training": given.get("training")}
    if "vocabulary" in entry:
        entry["outputs"] = {**entry.get("outputs", {}), "vocabulary": entry.pop("vocabulary")}
    for part in ("options", "plugin", "training", "metrics", "outputs"):
        entry[part] = dict(_mapping(entry.get(part) or {}, f"stages.{name}.{part}", where))
    entry["options"] = {RENAMED.get(key, key): value for key, value in entry["options"].items()}
    entry["outputs"] = Outputs(entry["outputs"])
    record = StageRecord(**{item.name: entry[item.name] for item in fields(StageRecord) if item.name in entry})
    if record.status not in STATES or not isinstance(record.inputs, str):
        raise RunFolderError(f"{where}: stages.{name} has the status {record.status!r}. Use another --output.")
    return record


def read_base(entry: Mapping[str, Any]) -> BaseModel:
    """From what a run.json or a saved model's hf_ssl.json says."""
    known = {item.name for item in fields(BaseModel)}
    old = {"license": entry["licence"]} if "licence" in entry else {}
    return BaseModel(**{"id": "", **old, **{key: value for key, value in entry.items() if key in known}})


def _mapping(value: object, what: str, where: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RunFolderError(
            f"{where}: {what} should be a mapping, found {type(value).__name__}. Use another --output."
        )
    return value


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
        distributed.check_launch()
        self.path = Path(path)
        self._load()

    def _load(self, known: dict[str, Any] | None = None) -> None:
        content = dict(known or distributed.broadcast(self._read() if distributed.is_main() else None))
        where = self.path / LEDGER
        stages = _mapping(content.pop("stages", None), "stages", where)
        self.stages = {name: _read_stage(name, entry, where) for name, entry in stages.items()}
        base = content.pop("base", None)
        self.base = read_base(_mapping(base, "base", where)) if base is not None else None
        self.facts: dict[str, Any] = content

    def _read(self) -> dict[str, Any]:
        ledger = self.path / LEDGER
        try:
            if self.path.is_file():
                raise RunFolderError(f"{self.path} is a file. Name a folder with --output.")
            if self.path.is_dir() and not ledger.exists() and any(path.name != LOCK for path in self.path.iterdir()):
                raise RunFolderError(
                    f"{self.path} holds files that are not from a run. Name a new folder with --output."
                )
            if not ledger.exists():
                return {"format": FORMAT, "stages": {}}
            content = parse(ledger.read_bytes())
        except ValueError as error:
            raise RunFolderError(f"{ledger} is not readable JSON ({error}). Use another --output.") from error
        except OSError as error:
            raise RunFolderError(
                f"{self.path} cannot be the run folder: {error.strerror}. Name another --output."
            ) from error
        known = _mapping(content, "it", ledger).get("format", 1)
        if known not in (1, FORMAT):
            raise RunFolderError(
                f"{ledger} has format {known!r}; this hf_ssl reads 1 to {FORMAT}. Update hf_ssl, or use another --output."
            )
        return {**content, "format": FORMAT}

    def folder(self, *parts: str) -> Path:
        """A folder inside the run folder, made when needed."""
        folder = self.path.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def stage(self, name: str) -> StageRecord:
        """What is known of a stage (status `"absent"` when it has not run)."""
        return self.stages.get(name, StageRecord())

    def finished(self, name: str, inputs: str) -> bool:
        """Whether a stage has already run to its end with the same inputs."""
        return self.stage(name).done and self.stage(name).inputs == inputs

    def need(self, name: str, hint: str) -> StageRecord:
        """The record of a stage that must have finished.

        Raises:
            RunFolderError: it has not; the message has `hint`, what to do instead.
        """
        if not self.stage(name).done:
            raise RunFolderError(f"{self.path} has no finished {name}. {hint}")
        return self.stage(name)

    def output(self, name: str) -> str | None:
        """Model folder that a finished stage left, or None."""
        return str(self.stage(name).outputs["model"]) if self.stage(name).done else None

    def record(self, **facts: object) -> None:
        """Merge facts (data fingerprint, what is on the Hub …) into the ledger and write it."""
        for key, value in facts.items():
            current = self.facts.get(key)
            self.facts[key] = {**current, **value} if isinstance(current, dict) and isinstance(value, dict) else value
        self.save()

    def descends_from(self, base: BaseModel) -> None:
        """Remember the released checkpoint that everything descends from; the first one counts."""
        if self.base is None:
            self.base = base
            self.save()

    def save(self) -> None:
        """Write the ledger atomically: a reader sees the old one or the new one, never half of it."""
        base = {"base": asdict(self.base)} if self.base is not None else {}
        stages = {name: asdict(record) for name, record in self.stages.items()}
        write_json(self.path / LEDGER, {**self.facts, **base, "stages": stages})

    @contextlib.contextmanager
    def running(
        self, name: str, inputs: str, options: dict[str, dict[str, Any]], *, resume: bool, overwrite: bool, alone: bool = False,
        around: bool = False,
    ) -> Iterator[StageRecord]:  # fmt: skip
        """Bracket a stage: note that it runs, then that it is done, was interrupted, or failed.

        Args:
            options: `{"options", "plugin", "training"}`, as `Resolved.to_dict` gives them.
            alone: only the first of several processes comes here, and must not wait for the others.
            around: other stages of the run are run within: they lock the folder one by one, and what they note is kept.

        Yields:
            the stage's record; what the stage puts into it (`metrics`, `outputs`) is kept.

        Raises:
            RunFolderError: another process is at it, or the folder holds this stage with other inputs.
        """
        with contextlib.ExitStack() as held:
            if distributed.is_main() and not around:
                held.enter_context(locked(self.path, name))
            self._load(self._read() if alone else None)  # another process may have been at it since
            if distributed.is_main():
                self._refuse_to_run(name, inputs, resume=resume, overwrite=overwrite)
            with self._bracketed(name, inputs, options, around) as record:
                yield record
            if not alone:
                distributed.barrier()  # nobody reads this stage's files before they are written

    @contextlib.contextmanager
    def _bracketed(self, name: str, inputs: str, options: Mapping[str, Any], around: bool) -> Iterator[StageRecord]:
        record = StageRecord(
            "running", inputs, **options, pid=os.getpid(), host=platform.node(), processes=distributed.world_size(),
            started=time.strftime(DATE),
        )  # fmt: skip
        self.stages[name] = record
        self.facts["versions"] = versions()
        self.save()
        began = time.monotonic()
        try:
            yield record
        except KeyboardInterrupt:
            record.status = "interrupted"
            raise
        except BaseException as error:
            record.status, record.error = "failed", f"{type(error).__name__}: {error}"[:500]
            raise
        else:
            record.status = "done"
        finally:
            record.seconds = round(time.monotonic() - began, 1)
            # A disk that is full must not hide the error that says so.
            with contextlib.suppress(*(() if record.done else (OSError,))):
                if around and distributed.is_main():  # no word between processes: one of them may have failed alone
                    self._load(self._read())
                    self.stages[name] = record
                self.save()

    def _refuse_to_run(self, name: str, inputs: str, *, resume: bool, overwrite: bool) -> None:
        record = self.stage(name)
        if record.status == "running" and alive(record.pid, record.host, _seconds(record.started)):
            raise RunFolderError(f"{self.path}: {name} is being run by process {record.pid}. Use another --output.")
        if record.status == "absent":
            return
        if record.inputs != inputs and not overwrite and not self._left_nothing(name):
            raise RunFolderError(
                f"{self.path} holds a {name} ({record.status}) made with other options or data. "
                f"Name a new folder with --output, or redo it with --overwrite."
            )
        if not (record.done or resume or overwrite) and self._can_go_on(name):
            raise RunFolderError(
                f"{self.path}: {name} was interrupted. Go on with --resume, or start anew with --overwrite."
            )

    def _left_nothing(self, name: str) -> bool:
        """Whether a stage failed before it wrote anything, as with a misspelt checkpoint."""
        files = (path for path in (self.path / name).rglob("*") if path.is_file())
        return self.stage(name).status == "failed" and next(files, None) is None

    def _can_go_on(self, name: str) -> bool:
        """Whether it left a checkpoint, or attempts (of `adapt`)."""
        folder = self.path / name
        return (folder / ATTEMPTS).is_file() or any((folder / "checkpoints").glob("checkpoint-*"))


def inputs_hash(*parts: object) -> str:
    """Hash of everything a stage's result depends on (options, data fingerprint, the stage before)."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically (temporary file in the same folder, then rename), in the first process only."""
    if not distributed.is_main():
        return
    _write(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file atomically, in the first process only."""
    if distributed.is_main():
        _write(path, "".join(f"{line}\n" for line in lines))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
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


def _seconds(date: str) -> float:
    """A date of the ledger in seconds since 1970; 0 for one that cannot be read."""
    try:
        return datetime.strptime(date, DATE).timestamp()
    except ValueError:
        return 0.0
