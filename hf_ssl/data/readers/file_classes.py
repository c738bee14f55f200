"""A class per file: tables, and texts of one example a line, that are called `ham` and `spam`, or lie in `sports` and `politics`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.paths import stem
from hf_ssl.data.group_names import called_as_group
from hf_ssl.data.readers.files import FILE_CLASS, FILLERS, FOLDER_LABEL, partitions, plain_folders, split_of
from hf_ssl.data.readers.levels import class_folders, looks_like_classes

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions, SourcePart

MOST_CLASSES, MOST_DOCUMENTS, LEAST_LINES = 50, 10, 10
_POLES = frozenset(
    "pos neg neutral positive negative ham spam true false fake real good bad yes no toxic clean normal abnormal human ai".split()
)
_PIECES = frozenset(
    "part shard chunk batch data dataset table file sheet export output rows all total sample metadata info".split()
)
_OF_MEDIA = frozenset(
    "img imgs dsc dscn dscf pxl imag mvi gopr photo picture pic frame scan screenshot crop tile patch wav audio rec recording clip video vid track "
    "sound left right mask view page untitled slice band ch channel x y z".split()
)
"""What cameras, programs and parts of one thing are called in names of files."""
_NUMBERED = re.compile(r"[^\W\d_][^\d]*?[-_ .]?\d+$")
_ENDING = re.compile(r"(.*\d.*?)[-_ .]+([^\W\d_]{2,20})")
_SIDES = frozenset(
    "front back top bottom side up down near far day night before after flip flipped rot copy small large thumb full raw final".split()
)
"""Words behind a name that say how its picture was taken, or what became of it."""
_DAY = re.compile(r"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_T]?[\d:.-]+)?")
_FIELDS, _RUNS = re.compile(r"[^-_]+"), re.compile(r"\d+|[a-z]+|[A-Z]+")
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)\]\s]*$")


def class_names(files: Sequence[Path], root: Path, how: ReadOptions) -> dict[Path, str]:
    """What each file's folder, or its own name without splits and numbers, says; {} where that looks like no classes.

    Args:
        files: tables, or texts of one example a line.
        root: folder of the source.
        how: words that say a split; whether names of files are asked for (`by_file`).
    """
    inner = {file: file.relative_to(root) if file.is_relative_to(root) else Path(file.name) for file in files}
    own = {file: _plain(stem(file), how.words) for file in files}
    folders = {file: (plain_folders(str(path), how.words) or [""])[-1] for file, path in inner.items()}
    if any(partitions(path) for path in inner.values()):
        folders = dict.fromkeys(files, "")
    labeled = [file for file in files if split_of(file, root, by_stem=True, words=how.words) != "unlabeled"]
    for names in (folders, own):
        if _like_classes([names[file] for file in labeled]):
            return names
    return {file: own[file] or stem(file) for file in files} if how.by_file else {}


def _plain(name: str, words: Mapping[str, str]) -> str:
    """A name without what says a split, a piece or a number: `train_pos_01` → `pos`."""
    parts = [part for part in re.split(r"[-_ .]+", name) if part and not part.isdigit()]
    kept = [part for part in parts if part.lower() not in words and part.lower() not in FILLERS]
    return re.sub(r"(?<=[^\W\d_])\d{1,5}$", "", "_".join(kept))


def _like_classes(names: Iterable[str]) -> bool:
    found = Counter(names)
    plain = {part for name in found for part in re.split(r"[-_ .]+", name.lower())}
    return (
        2 <= len(found) <= MOST_CLASSES
        and not plain & _PIECES
        and all(re.fullmatch(r"[^\W\d_][^\d]+", name) for name in found)
    )


def add_file_classes(parts: list[SourcePart], root: Path, how: ReadOptions) -> list[SourcePart]:
    """Texts of one example a line get a column of what their files are called; files that seem to hold such are told."""
    plain = [part for part in parts if FOLDER_LABEL not in part.dataset.column_names]
    if len(plain) < len(parts) or how.sheet or how.folder_labels is False:
        return parts
    paths = [list(part.dataset["path"]) for part in parts]
    if how.modality.name in ("image", "audio"):
        return _of_media(parts, paths, how)
    if how.modality.name != "text":
        return parts
    files = sorted({path for own in paths for path in own})
    names = class_names([root / path for path in files], root, how) if 1 < len(files) <= MOST_CLASSES else {}
    if not names:
        return parts
    lines = sum(map(len, paths)) >= LEAST_LINES * len(files)
    if not lines and not how.by_file:
        _tell_lines(parts, len(files), set(names.values()), how)
        return parts
    for part, own in zip(parts, paths, strict=True):
        kinds = [names[root / path] for path in own]
        part.dataset = part.dataset.add_column(FILE_CLASS, kinds, feature=datasets.Value("string"))
    return parts


def _of_media(parts: list[SourcePart], paths: Sequence[Sequence[str]], how: ReadOptions) -> list[SourcePart]:
    """Pictures and recordings get a column of what their names begin with (`cat.0.jpg`), where few words do; codes in names are told."""
    stems = [[stem(Path(path)) for path in own] for own in paths]
    labeled = [name for part, own in zip(parts, stems, strict=True) if part.split != "unlabeled" for name in own]
    if ends := _endings(labeled, how):
        for part, own in zip(parts, stems, strict=True):
            kinds = [ends.get(name, name) for name in own]
            part.dataset = part.dataset.add_column(FILE_CLASS, kinds, feature=datasets.Value("string"))
        return parts
    if (
        len(labeled) < MOST_DOCUMENTS
        or not how.by_file
        and sum(map(bool, map(_NUMBERED.match, labeled[:500]))) < 0.9 * len(labeled[:500])
    ):
        _tell_codes(labeled, how)
        return parts
    said = Counter(_plain(name, how.words) for name in labeled)
    called = {part for name in said for part in re.split(r"[-_ .]+", name.lower())}
    if not how.by_file and (not _like_classes(said) or called & _OF_MEDIA or min(said.values()) < 3):
        return parts
    for part, own in zip(parts, stems, strict=True):
        kinds = [_plain(name, how.words) or name for name in own]
        part.dataset = part.dataset.add_column(FILE_CLASS, kinds, feature=datasets.Value("string"))
    return parts


def _endings(stems: Sequence[str], how: ReadOptions) -> dict[str, str]:
    """The word that each name ends in (`0001_cat`), where few words do and what stands before them is another for each; else {}."""
    found = {name: match for name in stems if (match := _ENDING.fullmatch(name))}
    if len(stems) < MOST_DOCUMENTS or len(found) < len(set(stems)):
        return {}
    said = Counter(match[2].lower() for match in found.values())
    before = {match[1] for match in found.values()}
    usual = said.keys() & (_OF_MEDIA | _SIDES | {word.lower() for word in how.words} | FILLERS)
    if not _like_classes(said) or usual or min(said.values()) < 3 or len(before) < 0.9 * len(found):
        return {}
    return {name: match[2].lower() for name, match in found.items()}


def _tell_codes(stems: Sequence[str], how: ReadOptions) -> None:
    """Names of files that are built alike, of which a part takes few values: `03a01Fa`, `20_0_1_20170109`, `03-01-06-01`."""
    words = {word for name in stems[:50] for word in re.findall(r"[a-z]{2,}", name.lower())}
    if how.labeled or words & _OF_MEDIA or any(map(called_as_group, words)):
        return
    cut = [_DAY.sub("", name) for name in stems]
    for pattern, least in ((_FIELDS, 3), (_RUNS, 4)):
        fields = [pattern.findall(name) for name in cut]
        kinds = {tuple((field.isdigit(), field.isupper()) for field in one) for one in fields}
        if len(stems) < MOST_DOCUMENTS or len({len(one) for one in fields}) > 1 or len(fields[0]) < least:
            continue
        if pattern is _RUNS and len(kinds) > 1:
            continue
        counts = [Counter(values) for values in zip(*fields, strict=True)]
        few = [place for place, count in enumerate(counts) if 2 <= len(count) <= min(20, len(stems) // 3)]
        if few and len({tuple(one) for one in fields}) > 0.5 * len(stems):
            values = sorted(counts[few[0]])
            how.report.warn(
                f"no file has a label, and their names are built alike ({stems[0]}): part {few[0] + 1} takes {len(values)} values "
                f"({', '.join(values[:4])}{' ...' if len(values) > 4 else ''}). If such a part is the label, "
                "write a table of names and labels: labels_file=...; "
                "folder_labels=False says that none is"
            )
            return


def _tell_lines(parts: Sequence[SourcePart], count: int, names: set[str], how: ReadOptions) -> None:
    """A few files called as classes are, of a sentence a line: a document each, or an example a line?"""
    texts = [text for part in parts for text in part.dataset["text"]] if count <= MOST_DOCUMENTS else []
    lines = [line for text in texts for line in text[:20_000].split("\n") if line.strip()]
    whole = sum(bool(_SENTENCE.search(line)) for line in lines) >= 0.8 * len(lines)
    if len(lines) >= LEAST_LINES * count and texts and (whole or {name.lower() for name in names} <= _POLES):
        how.report.warn(
            f"{count} files ({', '.join(sorted(names)[:4])}) of many lines are one document each: if each line is an example: txt='lines', and "
            f"label_column={FILE_CLASS!r} takes the names of the files for classes; folder_labels=False says that they are documents"
        )


def tell_folders_of_tables(root: Path, tables: list[Path], parts: Sequence[SourcePart], how: ReadOptions) -> None:
    """Many tables in folders that look like classes: their folders are no labels."""
    if (
        how.sheet
        or len(tables) < 10
        or how.folder_labels is False
        or any(FILE_CLASS in part.dataset.column_names for part in parts)
    ):
        return
    inside = [file for file in tables if file.is_relative_to(root) and not partitions(file.relative_to(root))]
    names = class_folders([file.relative_to(root).as_posix() for file in inside], how.words, how.folder_level)
    if looks_like_classes(names):
        shown = ", ".join(sorted({name for name in names if name})[:4])
        how.report.warn(
            f"{len(tables):,} tables lie in folders ({shown}), which are no labels: those of rows stand in a "
            f"column; folder_labels=False says that this is meant"
        )
