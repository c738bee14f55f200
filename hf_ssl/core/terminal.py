"""How a command speaks: few lines while it works, a box when a stage ends, warnings together at the end.

Everything goes to standard error but what `--json` prints, so that standard output stays data. Where standard error is no terminal
(a file, a pipe, Slurm's log) the same words come without color, lines or movement. The library itself never comes here: a call
from Python stays silent.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hf_ssl.core import distributed
from hf_ssl.core.log import TerminalHandler, set_verbosity, speaks, text_and_code
from hf_ssl.core.summary import Summary

# A message that opens with the name of its stage says that something began or ended; all others are details.
HEADLINE = re.compile(r"([a-z][a-z-]*|SIG[A-Z0-9]+): ")
FLAGS = {"-v": "verbose", "--verbose": "verbose", "-q": "quiet", "--quiet": "quiet", "--json": "json"}
WIDTH = 100


class Terminal(TerminalHandler):
    """Shows what the library says, as much of it as was asked for.

    Args:
        mode: `"brief"` (headlines and boxes), `"verbose"` (every line), `"quiet"` (errors only), `"json"` (a line of JSON for every
            stage, on standard output).
    """

    def __init__(self, mode: str = "brief") -> None:
        super().__init__()
        self.mode = mode
        self.warnings: dict[tuple[str, str], int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or self.mode == "verbose":
            super().emit(record)
        elif record.levelno >= logging.WARNING:
            known = text_and_code(record)
            self.warnings[known] = self.warnings.get(known, 0) + 1
        elif self.mode == "brief" and distributed.is_main() and HEADLINE.match(record.getMessage()):
            print(record.getMessage().splitlines()[0], file=sys.stderr, flush=True)

    def show(self, summary: Summary) -> None:
        """The box of a stage."""
        if not distributed.is_main() or self.mode == "quiet":
            return
        if self.mode == "json":
            warned = [{"code": code, "message": text} for text, code in self.warnings]
            told = {**summary.to_dict(), "warnings": warned}
            self.warnings = {}
            print(json.dumps(told, default=str, ensure_ascii=False), flush=True)
        elif is_styled():
            _styled(summary)
        else:
            print(plain(summary), file=sys.stderr, flush=True)

    def show_warnings(self) -> None:
        """Those held back so far, each once; nothing where there are none."""
        held, self.warnings = self.warnings, {}
        if not held or self.mode in ("quiet", "json") or not distributed.is_main():
            return
        for (text, code), times in held.items():
            again = f" (× {times})" if times > 1 else ""
            print(f"WARNING: {text}{again} [{code}]", file=sys.stderr, flush=True)


@contextmanager
def speaking(mode: str) -> Iterator[Terminal]:
    """The command's own handler while it runs; a program that had asked for more lines before keeps them.

    Yields:
        the terminal, which is closed with the warnings that were held back, however the command ends.
    """
    logger = logging.getLogger("hf_ssl")
    if mode == "brief" and logger.isEnabledFor(logging.INFO) and _listens(logger):
        mode = "verbose"
    before, terminal = list(logger.handlers), Terminal(mode)
    level, propagate = logger.level, logger.propagate
    logger.handlers = [one for one in before if not speaks(one)] + [terminal]
    set_verbosity({"quiet": "error", "json": "warning"}.get(mode, "info"))
    try:
        yield terminal
    finally:
        terminal.show_warnings()
        logger.handlers, logger.propagate = before, propagate
        logger.setLevel(level)


def _listens(logger: logging.Logger) -> bool:
    return any(type(one) is TerminalHandler for one in logger.handlers)


def modes_of(tokens: list[str]) -> tuple[str, list[str]]:
    """How much to say, and the words without `-v`, `-q` and `--json`."""
    mode = "brief"
    for token in tokens:
        mode = FLAGS.get(token, mode)
    return mode, [token for token in tokens if token not in FLAGS]


def is_styled() -> bool:
    """Whether boxes may have lines and color: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def plain(summary: Summary) -> str:
    """The box as lines of text, for files and pipes."""
    shown = [*summary.lines, *([("next", summary.next)] if summary.next else [])]
    wide = max((len(name) for name, _ in shown), default=0)
    head = f"-- {summary.title} {'-' * max(3, 60 - len(summary.title))}"
    return "\n".join([head, *_rows(summary.table), *(f"   {name:{wide}}  {text}" for name, text in shown)])


def _rows(table: tuple[tuple[str, ...], ...]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    return ["   " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]


def _styled(summary: Summary) -> None:
    from rich.console import Console, Group, RenderableType
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True)
    parts: list[RenderableType] = []
    if summary.table:
        table = Table(*summary.table[0], box=None, pad_edge=False, header_style="bold")
        for row in summary.table[1:]:
            table.add_row(*(Text(cell) for cell in row))
        parts += [table, ""]
    said = Table.grid(padding=(0, 2))
    for name, text in summary.lines:
        said.add_row(Text(name, style="dim"), Text(text))
    if summary.next:
        said.add_row(Text("next", style="dim"), Text(summary.next, style="bold cyan"))
    width = min(console.width, WIDTH)
    console.print(Panel(Group(*parts, said), title=Text(summary.title, style="bold"), title_align="left", width=width))
