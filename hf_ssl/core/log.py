"""What the library says while it works: Python's own logging, under the name `hf_ssl`.

A call from Python says nothing but warnings. The command line shows everything; a script gets the same with
`hf_ssl.set_verbosity("info")`, and a program that has logging of its own configures the logger `hf_ssl` as any other. Wherever a
warning is shown, it ends with its code.
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
        text, code = text_and_code(record)
        print(f"WARNING: {text} [{code}]" if code else text, file=sys.stderr, flush=True)


class CodeHandler(TerminalHandler):
    """Adds the code of a warning to its text, for all handlers behind it; where there are none, it shows the warning itself.

    Python's own last resort would show it bare.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        text, code = text_and_code(record)
        logger = logging.getLogger("hf_ssl")
        if logger.handlers == [self] and not (logger.propagate and logging.root.handlers):
            super().emit(record)
        elif code:
            record.__dict__.update(bare=text, code=code, msg=f"{text} [{code}]", args=None)


def text_and_code(record: logging.LogRecord) -> tuple[str, str]:
    """What the library said, and the code of a warning (of who wrote it, where it brings none along); "" for anything else."""
    text = str(getattr(record, "bare", None) or record.getMessage())
    if record.levelno != logging.WARNING:
        return text, ""
    return text, str(getattr(record, "code", None) or code_of_warning(record.name))


def install() -> None:
    """Give warnings their codes, from the import of the library on."""
    logger = logging.getLogger("hf_ssl")
    if not any(isinstance(handler, CodeHandler) for handler in logger.handlers):
        logger.addHandler(CodeHandler())


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
    if not any(speaks(handler) for handler in logger.handlers):
        logger.addHandler(TerminalHandler())
    logger.propagate = False


def speaks(handler: logging.Handler) -> bool:
    """Whether it shows what the library says on standard error, and not only warnings that nobody else would show."""
    return isinstance(handler, TerminalHandler) and not isinstance(handler, CodeHandler)


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
