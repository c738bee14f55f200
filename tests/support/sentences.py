"""Made-up texts and tables of them: every row has words of its own, so that none is a copy of another."""

from __future__ import annotations

from pathlib import Path

WORDS = "storm candle walnut rabbit motor copper quiet jungle mirror pocket jacket signal tunnel ticket paper stone flower silver".split()


def text(row: int, length: int = 8) -> str:
    """`length` words and the row's number; the words depend on the row alone."""
    return " ".join(WORDS[(row * step + step * step) % len(WORDS)] for step in range(1, length + 1)) + f" no{row}"


def table(file: Path, header: str, rows: list[str]) -> str:
    """Write lines below a header, and give the path as a user would."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(file)
