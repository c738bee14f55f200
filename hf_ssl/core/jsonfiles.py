"""JSON files that were written by an earlier run, by others, or in half: read, or a clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import RunFolderError


def parse(text: str | bytes) -> Any:
    """`json.loads` with one kind of error for all that can be wrong.

    Raises:
        ValueError: it is no JSON, or is nested deeper than anything that is meant (thousands of brackets).
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """A JSON file of a run.

    Raises:
        RunFolderError: it is damaged.
        OSError: it is not there, or cannot be read.
    """
    try:
        return parse(path.read_bytes())
    except ValueError as error:
        raise RunFolderError(
            f"{path} is not readable JSON ({error}). Run the command that wrote it again, with --overwrite."
        ) from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines; a line that was cut short, as by a kill, is left out. Nothing where there is no file."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else ():
        try:
            entry = parse(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found
