"""Cells of a notebook's script."""

from __future__ import annotations

import re


def cells_of_script(text: str) -> list[tuple[str, str]]:
    """(kind, source) of every cell of a script in jupytext's percent format."""
    pieces = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    found = []
    for head, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if "[markdown]" in head:
            lines = [re.sub(r"^# ?", "", line) for line in body.strip().splitlines()]
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", body.strip()))
    return found
