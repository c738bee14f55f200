"""Advice is tried before it is given: what an error about a table says to type, and what comes of it."""

from __future__ import annotations

import ast
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

from hf_ssl.core.textfiles import SAMPLE, UnusableFile, encoding_of_file, open_text
from hf_ssl.data.readers.delimited import read_delimited
from hf_ssl.data.readers.shape import OTHERS, Table

Options = dict[str, Any]
ADVICE = re.compile(r"csv_options=(\{(?:[^{}]|\{[^{}]*\})*\})")
LARGEST = 64 << 20
"""Bytes of a file that is read again for each advice."""
DEEPEST, LINES, ABOVE = 4, 400, 100
"""Pieces of advice that follow each other; lines that say where a table begins, and how many may stand above it."""


def read_with_advice(path: Path, encoding: str, options: Options | None) -> Table:
    """`read_delimited`, whose advice in an error has been tried: where it leads to more of it, all of it is given at once.

    Raises:
        UnusableFile: with the options by which the file is read, where there are some.
    """
    try:
        return read_delimited(path, encoding, options)
    except UnusableFile as error:
        raise UnusableFile(tried(str(error), path, encoding, options or {})) from error


def tried(text: str, path: Path, encoding: str, options: Options) -> str:
    """The text of an error, in which advice that leads to an error is replaced by what it leads to in the end."""
    if path.stat().st_size > LARGEST:
        return text

    def ended(found: re.Match[str]) -> str:
        advice = ast.literal_eval(found[1])
        end = _follow(advice, path, encoding, options)
        return found[0] if end is None or end == advice else f"csv_options={end} (found by trying)"

    return ADVICE.sub(ended, text)


def begins_at(path: Path, encoding: str, options: Options) -> Options | None:
    """Options that leave out what stands above a table, where its lines are even from some line on; None: there are none.

    They have been tried: all but a few rows are read with them.
    """
    if path.stat().st_size > LARGEST:
        return None
    try:
        with open_text(path, encoding_of_file(path, encoding).name) as stream:
            lines = stream.read(SAMPLE).splitlines()[:LINES]
    except UnusableFile:
        return None
    for mark in [given] if (given := options.get("sep")) else OTHERS:
        filled = [(number, line.count(mark)) for number, line in enumerate(lines) if line.strip()]
        usual = Counter(count for _, count in filled[len(filled) // 2 :]).most_common(1)
        if not usual or not usual[0][0]:
            continue
        above = list(itertools.takewhile(lambda one: one[1] == usual[0][0], reversed(filled)))
        first = above[-1][0] if above else 0
        if not 0 < first <= ABOVE or len(above) < 4 or first == options.get("skiprows"):
            continue
        made = {**options, "skiprows": first}
        if (read := _read(path, encoding, made)) is not None and _few_left_out(read):
            return {"skiprows": first}
    return None


def _follow(advice: Options, path: Path, encoding: str, options: Options) -> Options | None:
    """Advice and what it leads to, until the file is read; None: it leads nowhere."""
    done: list[Options] = []
    made = dict(advice)
    for _ in range(DEEPEST):
        if made in done:
            return None
        done.append(made)
        try:
            if _few_left_out(read_delimited(path, encoding, {**options, **made})):
                return made
            break
        except UnusableFile as error:
            if (found := ADVICE.search(str(error))) is None:
                return None
            made = {**made, **ast.literal_eval(found[1])}
    better = begins_at(path, encoding, options) if "skiprows" in advice else None
    return None if better is None else {**advice, **better}


def _read(path: Path, encoding: str, options: Options) -> Table | None:
    try:
        return read_delimited(path, encoding, options)
    except UnusableFile:
        return None


def _few_left_out(read: Table) -> bool:
    return sum(read.bad.values()) <= 0.1 * read.rows
