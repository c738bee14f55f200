"""What the library says while it works."""

from __future__ import annotations

import sys

from hf_ssl.core import distributed


def say(message: str) -> None:
    """A line for the person at the terminal; standard output stays free for data. Only the first process speaks."""
    if distributed.is_main():
        print(message, file=sys.stderr, flush=True)
