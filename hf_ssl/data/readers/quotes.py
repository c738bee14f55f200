"""Quotes of a table that are not as they should be: inside values and not doubled, or swallowing the lines after them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from hf_ssl.core.textfiles import open_text
from hf_ssl.data.readers.shape import Shape


@dataclass
class Inner:
    """Lines whose values are enclosed in quotes and hold others that are not doubled.

    Attributes:
        lines: how many.
        first: number of the first, from 1.
    """

    lines: int = 0
    first: int = 0


def inner_quotes(path: Path, encoding: str, shape: Shape) -> Inner | None:
    """Lines to be read by `Shape.doubled`; None: there are none, or records go over several lines, so that a line says nothing by itself."""
    found, width = Inner(), 0
    if shape.extra.get("escapechar") or shape.literal is not None or shape.lone_returns:
        return None
    with open_text(path, encoding) as stream:
        for number, line in enumerate(stream):
            if number < shape.skip or number in shape.skip_lines or not line.strip():
                continue
            try:
                fields = len(next(shape.reader([line]), []))
            except csv.Error as error:
                if "expected after" not in str(error) or '\\"' in line:
                    return None
                found.lines, found.first = found.lines + 1, found.first or number + 1
                continue
            width = width or fields
            if fields == width and line.count(shape.extra.get("quotechar", '"')) % 2:
                return None
    return found if found.lines else None


def odd_lines(path: Path, encoding: str, shape: Shape) -> frozenset[int]:
    """Numbers from 0 of lines with an odd number of quotes, of which none or two are right."""
    quote = shape.extra.get("quotechar", '"')
    with open_text(path, encoding) as stream:
        return frozenset(number for number, line in enumerate(stream) if line.count(quote) % 2)


def plain_geometry(path: Path, encoding: str, shape: Shape) -> tuple[int, int, int, int]:
    """Lines that have the header's width when quotes mean nothing; all lines; values that are enclosed in quotes; lines
    with any quote."""
    quote = shape.extra.get("quotechar", '"')
    enclosed = re.compile(
        f"(?:^|{re.escape(shape.separator)}){quote}[^{quote}]*{quote}(?:{re.escape(shape.separator)}|$)"
    )
    even = total = quoted = with_quote = width = 0
    with open_text(path, encoding) as stream:
        for number, line in enumerate(stream):
            if number < shape.skip or number in shape.skip_lines or not line.strip():
                continue
            line = line.rstrip("\r\n")
            fields = line.count(shape.separator)
            width = width or (len(shape.names) - 1 if shape.names else fields)
            even, total = even + (fields == width), total + 1
            if quote in line:
                with_quote += 1
                quoted += bool(enclosed.search(line))
    return even, total, quoted, with_quote


def swallowed(chunk: list[list[str]], first: int, shape: Shape, width: int) -> str | None:
    """A value of several lines, most of which would be records of their own: a quote that was never meant as one."""
    if width < 2:
        return None
    several = alike = 0
    where, line = None, first
    for row in chunk:
        lines = [part for value in row if "\n" in value for part in value.split("\n")]
        if lines:
            several += 1
            inner = lines[1:]
            if (
                all(part.count(shape.separator) >= width - 1 for part in inner[:-1])
                and shape.separator in inner[-1] + inner[0]
            ):
                alike += 1
                where = where or line
        line += 1 + sum(value.count("\n") for value in row)
    if alike and alike >= 0.5 * several:
        return f"line {where}: a quote swallows the lines after it ({alike:,} such places)"
    return None
