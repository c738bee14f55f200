"""Code blocks of README.md and of the docs, and how their commands are run.

Fences say ```python, ```bash or ```yaml. A block that takes more than seconds has `<!-- test: slow -->` on the line above its fence;
one that cannot run here (it needs a network or an account) has `<!-- test: skip REASON -->`. A block of ```text right below one that runs
is what that one prints.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass

FENCE = re.compile(
    r"(?:^<!-- *test: *(?P<directive>.*?) *-->\n)?^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    directive: str
    printed: str = ""


def blocks_of(text: str) -> list[Block]:
    found = list(FENCE.finditer(text))
    blocks = []
    for match, later in itertools.zip_longest(found, found[1:]):
        below = later is not None and later["language"] == "text" and not text[match.end() : later.start()].strip()
        line = text.count("\n", 0, match.start("code"))
        printed = later["code"] if below and later is not None else ""
        blocks.append(Block(match["language"], match["code"], line, match["directive"] or "", printed))
    return blocks


def commands_of(block: Block) -> list[list[str]]:
    """Commands of a bash block as argument lists: joined over backslashes, without comments and prompts."""
    lines = block.code.replace("\\\n", " ").splitlines()
    words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
    return [part for line in words for part in split_on(line, "&&") if part]


def split_on(words: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def same_words(shown: str, told: str, tolerance: float = 0.03) -> list[str]:
    """Words of a shown output that the real one does not have in this order; numbers may differ by the tolerance."""
    rest, missing = iter(told.split()), []
    for word in shown.split():
        if set(word) <= {"-"}:
            continue
        if not any(_alike(word, other, tolerance) for other in rest):
            return [word, *missing]
    return missing


def _alike(word: str, other: str, tolerance: float) -> bool:
    try:
        return abs(float(word) - float(other)) <= tolerance
    except ValueError:
        return word == other
