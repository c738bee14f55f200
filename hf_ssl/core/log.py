"""What the library says while it works: Python's own logging, under the name `hf_ssl`.

A call from Python says nothing but warnings. The command line shows everything; a script gets the same with
`hf_ssl.set_verbosity("info")`, and a program that has logging of its own configures the logger `hf_ssl` as any other.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hf_ssl.core import distributed
from hf_ssl.core.codes import code_of_warning
from hf_ssl.core.errors import ConfigError, nearest

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class TerminalHandler(logging.Handler):
    """Messages as plain lines on standard error, which stays what it is at that moment; only the first process speaks.

    Standard output stays free for data.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not distributed.is_main():
            return
        text = record.getMessage()
        if record.levelno == logging.WARNING:
            text = f"WARNING: {text} [{warning_code(record)}]"
        print(text, file=sys.stderr, flush=True)


def warning_code(record: logging.LogRecord) -> str:
    """The code that the record brings along, else that of the module that wrote it."""
    return str(getattr(record, "code", None) or code_of_warning(record.name))


def set_verbosity(level: str) -> None:
    """Show what hf_ssl says on standard error, from this level on.

    Args:
        level: `"debug"`, `"info"`, `"warning"` or `"error"`.

    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f"There is no verbosity {level!r}.{nearest(level, LEVELS)} Known: {', '.join(LEVELS)}.")
    logger = logging.getLogger("hf_ssl")
    logger.setLevel(LEVELS[level])
    if not any(isinstance(handler, TerminalHandler) for handler in logger.handlers):
        logger.addHandler(TerminalHandler())
    logger.propagate = False


@contextmanager
def quietly() -> Iterator[None]:
    """Warnings only: what stages say of steps and folders is not true of the run that they only try out."""
    library = logging.getLogger("hf_ssl")
    level = library.level
    library.setLevel(logging.WARNING)
    try:
        yield
    finally:
        library.setLevel(level)


def shows_progress() -> bool:
    """Whether progress is wanted: the same switch as for messages."""
    return logging.getLogger("hf_ssl").isEnabledFor(logging.INFO)
