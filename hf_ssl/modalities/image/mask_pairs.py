"""Files of pictures that are masks of others: beside them by name (`7_sat.jpg`, `7_mask.png`), or in a tree of their own (`gt`, `leftImg`)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_ssl.core.paths import path_below

ROLES = frozenset(
    "mask masks seg segm segmentation label labels lbl gt groundtruth annotation anno matte trimap manual target output truth ground bin binary "
    "color colour ids instance polygons image images img imgs im sat rgb raw input left fine photo original orig l png pixels train training".split()
)
"""Words in names of files that say what a file is for, and not which example it belongs to."""
MASK_WORDS = {"mask", "masks", "seg", "segmentation", "matte"}
"""Those that nothing but a mask is called."""
SHARE, LEAST, MOST_SIDES = 0.8, 3, 20
SAMPLES, SIDE = 4, 256
FEW, FLAT = 64, 0.8
_WORD = re.compile(r"[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class MaskPairs:
    """Masks that were found among pictures.

    Attributes:
        pictures: the picture of every mask.
        sides: names of their two folders; None where they lie in one.
    """

    pictures: dict[Path, Path]
    sides: tuple[str, str] | None


@dataclass(frozen=True)
class _File:
    path: Path
    folders: tuple[str, ...]
    words: tuple[str, ...]


def mask_pairs(files: Sequence[Path], root: Path) -> MaskPairs | None:
    """Files that go by the names of others without words such as `mask`, and are called as masks or hold few values, as those do not."""
    known = [_taken_apart(file, root) for file in files]
    seen: dict[Path, bool | None] = {}
    deepest = max((len(file.folders) for file in known), default=0)
    for level in range(deepest):
        sides: dict[str, list[_File]] = defaultdict(list)
        for file in known:
            if len(file.folders) >= level:
                sides[file.folders[level] if len(file.folders) > level else ""].append(file)
        if not 2 <= len(sides) <= MOST_SIDES:
            continue
        for with_folders in (True, False):
            keyed = {name: _keys_apart(side, level, with_folders) for name, side in sides.items()}
            if found := _search(keyed, seen):
                return MaskPairs(found[1], found[0])
    found = _search(_by_words(known), seen)
    return None if found is None else MaskPairs(found[1], None)


def _taken_apart(file: Path, root: Path) -> _File:
    inner = Path(path_below(file, root) or file.name)
    words = (word.lstrip("0") or word[:1] for word in _WORD.findall(_CAMEL.sub(" ", inner.stem.split(".")[0]).lower()))
    return _File(file, inner.parts[:-1], tuple(words))


Keys = dict[tuple[object, ...], Path]


def _keys_apart(side: Sequence[_File], level: int, with_folders: bool) -> list[Keys]:
    """What each file of one folder of several is called: without words for roles, and without what all of them have in common."""
    plain = [tuple(word for word in file.words if word not in ROLES) for file in side]
    first, last = _common(plain)
    made: list[Keys] = [{}, {}]
    for file, words in zip(side, plain, strict=True):
        folders = (file.folders[:level], file.folders[level + 1 :] if with_folders else ())
        made[0][(*folders, words)] = file.path
        made[1][(*folders, words[first : len(words) - last])] = file.path
    return made


def _common(every: Sequence[tuple[str, ...]]) -> tuple[int, int]:
    """How many words all begin with, and all end with."""
    low, high = min(every), max(every)
    first = next((place for place, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), 0)
    turned = [words[first:][::-1] for words in every]
    low, high = min(turned), max(turned)
    return first, next((place for place, pair in enumerate(zip(low, high, strict=False)) if pair[0] != pair[1]), 0)


def _by_words(files: Sequence[_File]) -> dict[str, list[Keys]]:
    """Files of all folders by the words of roles in their names, and those that many names have, and by suffix."""
    counts = Counter(word for file in files for word in set(file.words) if not word.isdigit())
    often = {word for word, count in counts.items() if 0.1 * len(files) <= count <= 0.9 * len(files)}
    sides: dict[str, list[Keys]] = defaultdict(lambda: [{}])
    for file in files:
        role = sorted({word for word in file.words if word in ROLES or word in often})
        rest = tuple(word for word in file.words if word not in role)
        sides[" ".join([*role, file.path.suffix.lower()])][0][(file.folders, rest)] = file.path
    return sides if len(sides) <= MOST_SIDES else {}


def _search(
    sides: dict[str, list[Keys]], seen: dict[Path, bool | None]
) -> tuple[tuple[str, str], dict[Path, Path]] | None:
    """Sides of which one holds masks of another's pictures: names of the first two, and the picture of every mask."""
    names: tuple[str, str] | None = None
    pairs: dict[Path, Path] = {}
    for mask, own in sides.items():
        for picture, others in sides.items():
            for keys, other in zip(own, others, strict=True) if mask != picture else ():
                some = list(keys)[:: max(1, len(keys) // 64)]
                if sum(key in other for key in some) < 0.5 * len(
                    some
                ):  # most sides have nothing to do with each other
                    continue
                shared = [key for key in keys if key in other]
                if len(shared) < LEAST or len(shared) < SHARE * len(keys):
                    continue
                if _called_as_masks(mask) and not _called_as_masks(picture):
                    names = names or (mask, picture)
                    pairs |= {keys[key]: other[key] for key in shared if keys[key] not in pairs}
                    continue
                chosen = shared[:: max(1, len(shared) // SAMPLES)][:SAMPLES]
                if _few(chosen, keys, seen) >= SHARE and _few(chosen, other, seen) <= 1 - SHARE:
                    names = names or (mask, picture)
                    pairs |= {keys[key]: other[key] for key in shared if keys[key] not in pairs}
    return None if names is None else (names, pairs)


def _called_as_masks(side: str) -> bool:
    return not MASK_WORDS.isdisjoint(_WORD.findall(_CAMEL.sub(" ", side).lower()))


def _few(chosen: Iterable[tuple[object, ...]], files: Keys, seen: dict[Path, bool | None]) -> float:
    """Share of files that hold few values; those that cannot be read do not count."""
    answers = []
    for key in chosen:
        file = files[key]
        if file not in seen:
            seen[file] = holds_few_values(file)
        answers.append(seen[file])
    known = [answer for answer in answers if answer is not None]
    return float(np.mean(known)) if known else 0.5


def holds_few_values(file: Path) -> bool | None:
    """Whether a picture looks like a mask: few different values, or areas of one value each. None: it cannot be read."""
    from PIL import Image as pil

    try:
        with pil.open(file) as picture:
            lossy = picture.format == "JPEG"
            if lossy:
                picture.draft("L", (SIDE, SIDE))
            if picture.mode == "1":
                return True
            deep = picture.mode.startswith(("I", "F"))
            array = np.asarray(
                picture
                if deep or picture.mode in ("L", "P") and not lossy
                else picture.convert("L" if lossy else "RGB")
            )
    except (OSError, ValueError, SyntaxError, EOFError, pil.DecompressionBombError):
        return None
    array = array[:: max(1, array.shape[0] // SIDE), :: max(1, array.shape[1] // SIDE)].astype(np.int64)
    if array.ndim == 3:
        array = array[..., 0] << 16 | array[..., 1] << 8 | array[..., 2]
    even = float((abs(np.diff(array, axis=1)) <= (8 if lossy else 0)).mean()) if array.shape[1] > 1 else 1.0
    if lossy:  # JPEG adds values around those that were drawn
        shades = np.sort(np.bincount(array.ravel() // 16, minlength=16))
        return bool(even >= FLAT and shades[-4:].sum() >= 0.95 * array.size)
    different = len(np.unique(array))
    return different <= min(FEW, array.size // 16) or bool(different <= array.size // 50 and even >= FLAT)


def number_objects(masks: Sequence[set[int]]) -> bool:
    """Whether values number objects: those of every mask begin at 1 and go on for as long as it needs, or few masks share one.

    Args:
        masks: values of each, without 0 and the one that is not counted.
    """
    holding = [mask for mask in masks if mask]
    often = Counter(value for mask in holding for value in mask)
    if len(holding) < 4 or len(often) < 5:
        return False
    counted = all(mask == set(range(1, len(mask) + 1)) for mask in holding) and len(set(map(len, holding))) > 2
    own = sum(count <= max(1, 0.25 * len(holding)) for count in often.values())
    return counted or len(often) > 10 and own >= 0.8 * len(often) and max(map(len, holding)) <= 0.5 * len(often)
