"""Text files whose lines belong together: texts in one and their labels in another, line by line; and texts of one example a line."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import stem

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data.readers.folders import ReadOptions

FEWEST, MOST_FILES, LONGEST = 10, 40, 20 << 20
"""Lines of a file and files of a folder from and up to which it is looked at; bytes of a file."""
_ANSWERS = re.compile(
    r"(.*[\W_])?(labels?|classes|class|targets?|tags?|answers?|gold|y|ys|categories|category|sentiments?)([\W_].*)?",
    re.IGNORECASE,
)
_TWO_SIDES = re.compile(r"(.*[\W_])?(src|tgt|trg|source|target|[a-z]{2})", re.IGNORECASE)
_PER_FILE = "folder_labels=False says that each file is a text of its own"


def refuse_side_by_side(files: Sequence[Path], texts: dict[Path, list[str]], how: ReadOptions) -> None:
    """Two files of as many lines, of which one holds the same few values again and again, are texts and their labels.

    Args:
        files: documents that are about to be read as a text each.
        texts: their lines, of those that are short enough.
        how: whether folders say labels, and the report.

    Raises:
        DataError: what to do, with the reading that was perhaps meant.
    """
    alike: dict[tuple[Path, int], list[Path]] = defaultdict(list)
    for file in files:
        if len(texts.get(file, ())) >= FEWEST:
            alike[file.parent, len(texts[file])].append(file)
    for (_, count), group in alike.items():
        for answer in group:
            others = [file for file in group if file != answer and _distinct(texts[file]) > 0.5]
            if not others:
                continue
            ours = min(others, key=lambda file: _unlike(file, answer))
            if _few(texts[answer]) and np.mean([*map(len, texts[ours])]) > np.mean([*map(len, texts[answer])]):
                words = ", ".join(dict.fromkeys(texts[answer][:50]))[:60]
                raise DataError(
                    f"{ours.name} and {answer.name} have {count:,} lines each, and {answer.name} holds the same few again and again ({words}): texts "
                    f"and their labels, line by line? Write them into one table with columns text and label (.csv or .tsv). {_PER_FILE}."
                )
            if _are_tags(texts[ours], texts[answer]):
                raise DataError(
                    f"{ours.name} and {answer.name} have {count:,} lines each, with as many words: words and their tags, line by line? Write them "
                    f"into JSON lines with lists tokens and tags (.jsonl). {_PER_FILE}."
                )
        sides = [file for file in group if _TWO_SIDES.fullmatch(stem(file)) or _TWO_SIDES.fullmatch(file.suffix[1:])]
        if len(sides) == 2 and count >= 2 * FEWEST:
            how.report.warn(
                f"{sides[0].name} and {sides[1].name} have {count:,} lines each and are read as two texts: if line belongs to line, write them into "
                f"one table with columns text and text_pair; txt='lines' reads a text a line; {_PER_FILE}"
            )
    _refuse_uneven(files, texts)


def _refuse_uneven(files: Sequence[Path], texts: dict[Path, list[str]]) -> None:
    """A file called as labels are, of another number of lines than the only other one beside it."""
    for answer in files:
        lines = texts.get(answer, [])
        if len(lines) < FEWEST or not _ANSWERS.fullmatch(stem(answer)) or not _few(lines):
            continue
        others = [
            file
            for file in files
            if file != answer and file.parent == answer.parent and len(texts.get(file, ())) >= FEWEST
        ]
        ours = min(others, key=lambda file: _unlike(file, answer), default=None)
        if ours is not None and len(texts[ours]) != len(lines) and not _few(texts[ours]):
            raise DataError(
                f"{answer.name} holds {len(lines):,} labels, a line each, and {ours.name} {len(texts[ours]):,} lines: they should be as many. Mend "
                f"them, and write them into one table with columns text and label (.csv or .tsv). {_PER_FILE}."
            )


def lines_of(files: Sequence[Path]) -> dict[Path, list[str]]:
    """Lines of the files that may be lists of texts or labels; of few files only, none where one is too large."""
    if len(files) > MOST_FILES:
        return {}
    found = {}
    for file in files:
        if file.is_file() and file.stat().st_size <= LONGEST:
            content = file.read_bytes().decode("utf-8", errors="replace").strip("\ufeff\r\n")
            found[file] = [line.strip() for line in content.replace("\r\n", "\n").split("\n")]
    return found


def tell_many_lines(parts: Sequence[datasets.Dataset], how: ReadOptions) -> None:
    """One or two documents of many lines that are no wrapped prose are perhaps a list of texts each."""
    if how.folder_labels is False:
        return
    for text, path in [pair for part in parts for pair in zip(part["text"], part["path"], strict=True)]:
        every = [line.strip() for line in text[: 1 << 20].strip().split("\n")]
        lines = [line for line in every if line]
        if len(lines) < 2 * FEWEST or _is_wrapped(every) or np.median([len(line.split()) for line in lines]) < 3:
            continue
        how.report.warn(
            f"{path} is read as one text of {len(lines):,} lines: txt='lines' reads a text a line; {_PER_FILE}"
        )


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether lines end where a page does: the first word of the next one had no room any more."""
    widest = float(np.quantile([len(line) for line in lines], 0.98))
    pairs = [(line, after) for line, after in zip(lines, lines[1:], strict=False) if line and after]
    full = [len(line) + 1 + len(after.split()[0]) > widest for line, after in pairs]
    return widest >= 30 and bool(full) and float(np.mean(full)) > 0.7


def _few(lines: Sequence[str]) -> bool:
    different = Counter(lines)
    return (
        2 <= len(different) <= max(2, min(100, 0.3 * len(lines)))
        and max(map(len, different)) <= 60
        and "" not in different
    )


def _distinct(lines: Sequence[str]) -> float:
    return len(set(lines)) / len(lines)


def _are_tags(texts: Sequence[str], answers: Sequence[str]) -> bool:
    even = np.mean([len(text.split()) == len(answer.split()) for text, answer in zip(texts, answers, strict=True)])
    words, tags = ({word for line in lines for word in line.split()} for lines in (texts, answers))
    return bool(even >= 0.95) and 2 <= len(tags) <= 60 and 3 * len(tags) < len(words)


def _unlike(one: Path, other: Path) -> int:
    """How little two names have in common at their beginning: `train_text` goes with `train_labels`."""
    same = next(
        (place for place, (a, b) in enumerate(zip(one.name, other.name, strict=False)) if a != b),
        min(len(one.name), len(other.name)),
    )
    return -same
