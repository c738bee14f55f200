"""Checkpoints that a run can go on from: written whole, found again, and refused when they are not what they were.

transformers takes the checkpoint with the highest number, complete or not. Here each one gets, as its last file, a list of
all its files with their lengths and checksums, and of what the run had done by then. One without the list was cut short.
"""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_ssl.core import distributed
from hf_ssl.core.errors import TrainingError
from hf_ssl.core.run import write_json

logger = logging.getLogger(__name__)

MANIFEST = "complete.json"
STATE = "trainer_state.json"
ASIDE = "damaged-"
NEEDED = ("optimizer.pt", "scheduler.pt", "rng_state", STATE)
"""What must be in the list (the beginning of a name): without one of them a run would go on, but differently."""


@dataclass
class Progress:
    """What a run had done when a checkpoint was made.

    Args:
        step: optimizer steps.
        processes: how many trained together.
        examples_a_step: over all processes and accumulated batches.
        units: of work, over all processes.
        seconds: spent on training; `waited`: on waiting for data.
        owes_evaluation: the run was stopped in the middle of an evaluation, which is still to be made.
    """

    step: int
    processes: int
    examples_a_step: int
    units: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    owes_evaluation: bool = False


@dataclass
class Checkpoint:
    """A whole checkpoint.

    Args:
        path: its folder.
        progress: what the run had done by then.
        state: what the Trainer noted (best metric, counters of callbacks).
    """

    path: Path
    progress: Progress
    state: TrainerState = field(default_factory=TrainerState)

    def patience_used(self) -> int:
        """Evaluations without a better score before it was made."""
        callbacks: Any = self.state.stateful_callbacks
        noted = (callbacks or {}).get("EarlyStoppingCallback", {})
        noted = noted[0] if isinstance(noted, list) else noted
        return int(noted.get("attributes", {}).get("early_stopping_patience_counter", 0))


def seal(folder: Path, progress: Progress) -> None:
    """Note that a checkpoint is complete; the last thing to be written, by the first process."""
    files = {str(path.relative_to(folder)): [path.stat().st_size, _checksum(path)] for path in _files(folder)}
    write_json(folder / MANIFEST, {**asdict(progress), "files": files})


def clear(folder: Path) -> None:
    """Delete the checkpoints of a run that is begun anew: resumed later, it must not go on from those of the one before."""
    if distributed.is_main():
        for path in [*_checkpoints(folder), *folder.glob(f"{ASIDE}*")]:
            shutil.rmtree(path)
    distributed.barrier()


def newest(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint, the same for all processes; None where there is none at all.

    Newer ones that are cut short or damaged are renamed, with a warning, so that nothing takes them for good ones.

    Raises:
        TrainingError: there are checkpoints, and none is whole.
    """
    found, problem = distributed.broadcast(_search(folder) if distributed.is_main() else None)
    if problem:
        raise TrainingError(problem)
    return found


def _search(folder: Path) -> tuple[Checkpoint | None, str]:
    damaged: list[tuple[Path, str]] = []
    for path in sorted(_checkpoints(folder), key=_step, reverse=True):
        try:
            found = _read(path)
        except _Damaged as fault:
            damaged.append((path, str(fault)))
            continue
        for bad, reason in damaged:
            aside = bad.with_name(f"{ASIDE}{bad.name}")
            logger.warning(f"{bad} is not whole ({reason}); set aside as {aside.name}, {path.name} is used instead")
            _replace(bad, aside)
        return found, ""
    if not damaged:
        return None, ""
    listed = "; ".join(f"{path.name}: {reason}" for path, reason in damaged)
    return None, (
        f"No checkpoint in {folder} is whole ({listed}), so there is nothing to go on from. "
        "Start anew with --overwrite in place of --resume, or put back a copy of the checkpoint."
    )


class _Damaged(Exception):
    """A checkpoint is not what was written; the message says how."""


def _read(path: Path) -> Checkpoint:
    """A checkpoint and, where it names a best one beside it, that one too, both with every byte as written."""
    progress = _verified(path)
    try:
        state = TrainerState.load_from_json(str(path / STATE))
    except (OSError, ValueError, TypeError) as error:
        raise _Damaged(f"{STATE} cannot be read: {error}") from error
    best = Path(state.best_model_checkpoint).name if state.best_model_checkpoint else path.name
    if best != path.name:
        try:
            _verified(path.parent / best)
        except _Damaged as reason:
            raise _Damaged(f"its best point, {best}, is not whole: {reason}") from reason
    return Checkpoint(path, progress, state)


def _verified(path: Path) -> Progress:
    try:
        noted = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files = noted.pop("files")
        progress = Progress(**noted)
        expected = {str(name): (int(size), int(checksum)) for name, (size, checksum) in files.items()}
    except FileNotFoundError as error:
        raise _Damaged("it was cut short while it was written") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Damaged(f"{MANIFEST} cannot be read: {error}") from error
    for name, (size, checksum) in expected.items():
        file = path / name
        try:
            if file.stat().st_size != size or _checksum(file) != checksum:
                raise _Damaged(f"{name} is not what was written")
        except OSError as error:
            raise _Damaged(f"{name} is missing or cannot be read") from error
    sharded = any("/" in name for name in expected)  # of FSDP and DeepSpeed, whose files have names of their own
    for start in () if sharded else NEEDED:
        if not any(name.startswith(start) for name in expected):
            raise _Damaged(f"{start} is missing")
    return progress


def _checkpoints(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if path.is_dir() and path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-").isdecimal():
            yield path


def _step(path: Path) -> int:
    return int(path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-"))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found = zlib.crc32(part, found)
    return found


def _replace(path: Path, target: Path) -> None:
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{ASIDE}{number}-{path.name}")
    path.rename(target)
