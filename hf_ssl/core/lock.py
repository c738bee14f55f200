"""One process at a time in a run folder: a lock that the system itself lets go of when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from hf_ssl.core.errors import RunFolderError

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows: what the file says has to do
    import fcntl

logger = logging.getLogger(__name__)

LOCK = ".lock"
_mine: set[Path] = set()  # what this process holds: the system would let its other threads in


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        started: when it took the lock, in seconds since 1970.
    """

    pid: int
    host: str
    what: str = ""
    started: float = 0.0

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"process {self.pid} on {self.host} ({self.what}, since {when})"


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder while something is done in it.

    Args:
        folder: made when it does not exist.
        what: told to whoever else asks for it.

    Raises:
        RunFolderError: another process (or another thread of this one) holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / LOCK
    if path in _mine:  # opening and closing the file here would let go of the lock
        raise _in_use(folder, Holder(os.getpid(), platform.node(), "another call of it", time.time()))
    handle = _acquire(path, folder)
    _mine.add(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(Holder(os.getpid(), platform.node(), what, time.time()))).encode(), 0)
        yield
    finally:
        _mine.discard(path)
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def alive(pid: int | None, host: str, since: float = 0.0) -> bool:
    """Whether a process still runs on this host. One that began after `since` only has the number of the one meant."""
    if pid is None or host != platform.node() or pid == os.getpid():
        return False
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and not (since and process.create_time() > since + 1)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # it is there, and another user's
        return True


def _acquire(path: Path, folder: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            free, before = _try(handle), _holder(handle)
            gone = before is None or not alive(before.pid, before.host, before.started)
            if free is False or (free is None and not gone):
                raise _in_use(folder, before)
            if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
                os.close(handle)  # its holder let go of it, and deleted it, in between
                continue
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise
        if before is not None:
            logger.warning(f"{folder} was left by {before}, which ended without a word; its lock is taken over")
        return handle


def _try(handle: int) -> bool | None:
    """Whether the lock is ours now; None where the file system or the platform knows no locks.

    Locks of `lockf` belong to the process: a child that was forked (a loader's worker) and outlives it holds nothing.
    """
    if fcntl is None:
        return None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True


def _holder(handle: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (ValueError, TypeError):  # nothing is written yet
        return None


def _in_use(folder: Path, holder: Holder | None) -> RunFolderError:
    who = holder or "another process"
    return RunFolderError(f"{folder} is in use by {who}. Use another --output, or wait until it has ended.")
