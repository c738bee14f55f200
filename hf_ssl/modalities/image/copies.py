"""Pictures that lie beside others in another size: thumbnails, previews, what was resized."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hf_ssl.core.paths import path_below

_WORDS = (
    r"(?:thumbs?|thumbnails?|previews?|small|tiny|mini|icons?|low[-_]?res|resized?|scaled|downsampled|medium|large|full|hires|high[-_]?res|originals?|"
    r"web|\d+x\d+|\d+px|\d+p)"
)
CALLED = re.compile(rf"(?:.*[-_ ])?{_WORDS}(?:[-_ ].*)?", re.IGNORECASE)
"""What folders are called that hold pictures of another folder once more."""
_WORD = re.compile(rf"(?:^|[-_ ]+){_WORDS}$|^{_WORDS}[-_ ]+", re.IGNORECASE)
LEAST, SHARE, SAMPLES = 3, 0.8, 4
SIDE, ALIKE = 16, 0.8

Copies = dict[Path, Path]


def copies_in_folders(files: Sequence[Path], root: Path) -> dict[str, Copies]:
    """Name of a folder → its pictures, and for each the one of the same name above it (or in a tree beside) of another size.

    A few pairs of each folder are looked at: they are of different sizes and show the same.
    """
    inner = [(file, Path(path_below(file, root) or file.name)) for file in files]
    if not any(len(path.parts) > 1 for _, path in inner):
        return {}
    known = {(*path.parts[:-1], path.stem): file for file, path in inner}
    beside: dict[tuple[int, tuple[str, ...]], list[Path]] = defaultdict(list)
    called = [name for name in {part for _, path in inner for part in path.parts[:-1]} if CALLED.fullmatch(name)]
    for parts, file in known.items() if called else ():
        for level, name in enumerate(parts[:-1]):
            if name not in called:
                beside[level, (*parts[:level], *parts[level + 1 :])].append(file)
    pairs: dict[str, Copies] = defaultdict(dict)
    sizes: dict[str, int] = defaultdict(int)
    for parts, file in known.items():
        for level, name in enumerate(parts[:-1]):
            rest = (*parts[:level], *parts[level + 1 :])
            trees = beside.get((level, rest), []) if name in called else []
            original = known.get(rest) or (trees[0] if len(trees) == 1 else None)
            if original is None and name in called and (plain := _WORD.sub("", name)) and plain != name:
                original = known.get((*parts[:level], plain, *parts[level + 1 :]))
            sizes[name] += 1
            if original is not None:
                pairs[name][file] = original
    enough = {name: found for name, found in pairs.items() if len(found) >= max(LEAST, SHARE * sizes[name])}
    return {name: found for name, found in enough.items() if _resized(list(found.items()))}


def told(copies: dict[str, Copies], count: int, root: Path) -> list[str]:
    """What a user should know of `copies_in_folders` among so many pictures."""
    notes = []
    for name, found in copies.items():
        copy, original = (file.relative_to(root).as_posix() for file in next(iter(found.items())))
        notes.append(
            f"{len(found):,} of {count:,} pictures, in folders {name!r}, are those of the same name beside them in another size ({copy} and "
            f"{original}): they would be further examples, on both sides of a split, too; ignore_folders=[{name!r}] leaves them out"
        )
    return notes


def _resized(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Whether the pictures of some pairs differ in size and show the same."""
    some = pairs[:: max(1, len(pairs) // SAMPLES)][:SAMPLES]
    return all(_shows_the_same(one, other) for one, other in some)


def _shows_the_same(one: Path, other: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(one) as first, Image.open(other) as second:
            if first.size == second.size:
                return False
            width, height = (min(SIDE, *pair) for pair in zip(first.size, second.size, strict=True))
            box = Image.Resampling.BOX
            one_small, other_small = (
                np.asarray(picture.convert("L").resize((width, height), box), np.float64).ravel()
                for picture in (first, second)
            )
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    if min(one_small.std(), other_small.std()) < 1:
        return False
    return bool(np.corrcoef(one_small, other_small)[0, 1] > ALIKE)
