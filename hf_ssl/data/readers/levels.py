"""Levels of folders above a file: which is its class, and which its group (patient, site)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.one_column import values_of
from hf_ssl.data.group_names import PREFIX, prefixes
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers import folder_doubts as doubts
from hf_ssl.data.readers import folder_strays as strays
from hf_ssl.data.readers.files import FOLDER_GROUP, FOLDER_LABEL

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions, SourcePart

CLASS_COLUMNS = ("label", "class", "category", "target")
Level = str | int


def group_named(column: str | None, level: Level | None) -> str | None:
    """Column of groups that `group_column` or `group_level` names.

    Raises:
        DataError: both do, or `group_level` is none of `first`, `last`, `file` and a number from 1.
    """
    if level is None or level == "file":
        return column
    check_level("group_level", level, "group", " or 'file'")
    if column is not None:
        raise DataError("group_column and group_level both say what the groups are: give one.")
    return FOLDER_GROUP


def check_level(option: str, level: Level | None, what: str, more: str = "") -> None:
    """Raises:
    DataError: a level is none of `first`, `last` and a number from 1.
    """
    if level is not None and level not in ("first", "last") and not re.fullmatch(r"[1-9]\d?", str(level)):
        raise DataError(
            f"{option}={level!r}: which folder above a file is its {what} is said by 'first', 'last', a number from 1 (the outermost){more}."
        )


def level_of(folders: Sequence[str], level: Level) -> str | None:
    """The folder at a level: `first`, `last`, or a number from 1; None where there are not so many."""
    place = {"first": 0, "last": -1}.get(str(level))
    place = int(level) - 1 if place is None else place
    return folders[place] if folders and place < len(folders) else None


@dataclass
class Levels:
    """Folders above the files of a source, without those that say a split and those around all others.

    Attributes:
        parts: of every file of every part, from the outermost.
        said: class that a folder `label=pos` says itself.
        around: folders that hold all others, which are walked through.
    """

    parts: list[list[Sequence[str]]]
    said: list[list[str | None]]
    around: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, paths: Sequence[Sequence[str]], words: Mapping[str, str], splits: Sequence[str | None], walk: bool = True
    ) -> Levels:
        """Args:
        paths: names of the files of every part, below the source's folder.
        words: words that say a split.
        splits: of every part; a pool may lie anywhere, and does not count for what lies around all others.
        walk: leave away what lies around all others.
        """
        known: dict[str, tuple[Sequence[str], str | None]] = {}

        def look(path: str) -> tuple[Sequence[str], str | None]:
            key = path[: max(path.rfind("/"), path.rfind("\\")) + 1]
            if key not in known:
                named = {name.lower(): value for name, value in on_disk.partitions(path).items()}
                said = next((named[name] for name in CLASS_COLUMNS if name in named), None)
                folders = on_disk.plain_folders(path, words)
                known[key] = folders[len(folders) > 1 and folders[0].lower() in ("labeled", "labelled") :], said
            return known[key]

        looked = [[look(path) for path in part] for part in paths]
        levels = cls([[one[0] for one in part] for part in looked], [[one[1] for one in part] for part in looked])
        if not walk:
            return levels
        everything = [place for place, split in enumerate(splits) if split != "unlabeled"] or list(range(len(paths)))
        levels._walk_through(everything)
        for place in (one for one in everything if splits[one] is not None):
            first = {
                folders[0] for other in everything if other != place for folders in levels.parts[other] if folders
            }
            levels._walk_through([place], first)
        return levels

    def _walk_through(self, places: Sequence[int], known: set[str] | None = None) -> None:
        """Leave away the outermost folder as long as it is the only one and holds folders; not one that is `known` elsewhere."""
        while True:
            every = {tuple(folders) for place in places for folders in self.parts[place] if folders}
            first = {folders[0] for folders in every}
            if len(first) != 1 or max(map(len, every)) < 2 or known and first <= known:
                return
            self.around += sorted(first - set(self.around))
            inner = {folders: folders[1:] for folders in every}
            for place, part in enumerate(self.parts):
                if place in places or known is None:
                    self.parts[place] = [inner.get(tuple(folders), folders) for folders in part]

    def classes(self, place: int, level: Level | None) -> list[str | None]:
        """Class of every file of a part: what a folder says itself, or the one at a level."""
        return [
            level_of(folders, level or "first") if said is None else said
            for folders, said in zip(self.parts[place], self.said[place], strict=True)
        ]


def by_folder(parts: list[SourcePart], how: ReadOptions) -> list[SourcePart]:
    """Raw files get the group that `group_level` says, and the class that their folder says, where folders look like classes.

    Raises:
        DataError: it is open which folders are classes, or which are groups, or files do not lie as deep as an option says.
    """
    if not parts:
        return parts
    paths = [list(part.dataset["path"]) for part in parts]
    levels = Levels.of(paths, how.words, [part.split for part in parts])
    if how.group_level not in (None, "file"):
        _add_groups(parts, levels, how)
    if not how.sheet and how.folder_labels is not False:
        parts = _add_classes(parts, levels, paths, how)
    if how.group_level in (None, "file"):
        _add_prefixes(parts, paths)
    return parts


def _add_prefixes(parts: list[SourcePart], paths: Sequence[Sequence[str]]) -> None:
    """A column of what the names of files say of patients, cameras, sites, where they do."""
    classes = [
        list(part.dataset[FOLDER_LABEL]) if FOLDER_LABEL in part.dataset.column_names else [None] * len(part.dataset)
        for part in parts
    ]
    _add_found(parts, paths, classes)


def with_prefixes(parts: list[SourcePart], label: str | None, how: ReadOptions) -> list[SourcePart]:
    """The same for tables that name files; `label`: column of their classes, where the user names it."""
    tables = [
        part
        for part in parts
        if how.modality.name != "text"
        and how.modality.file_column is None
        and {"path", PREFIX, FOLDER_LABEL} & set(part.dataset.column_names) == {"path"}
    ]
    if tables and how.group_level in (None, "file"):
        own = [
            next((name for name in (label, *CLASS_COLUMNS) if name in part.dataset.column_names), None)
            for part in tables
        ]
        classes = [
            [None if value is None else str(value) for value in values_of(part.dataset, name)]
            if name
            else [None] * len(part.dataset)
            for part, name in zip(tables, own, strict=True)
        ]
        _add_found(tables, [[path or "" for path in values_of(part.dataset, "path")] for part in tables], classes)
    return parts


def _add_found(
    parts: Sequence[SourcePart], paths: Sequence[Sequence[str]], classes: Sequence[Sequence[str | None]]
) -> None:
    found = prefixes([path for part in paths for path in part], [name for part in classes for name in part])
    if found is None:
        return
    rest = iter(found)
    for part in parts:
        own = list(itertools.islice(rest, len(part.dataset)))
        part.dataset = part.dataset.add_column(PREFIX, own, feature=datasets.Value("string"))


def _add_groups(parts: list[SourcePart], levels: Levels, how: ReadOptions) -> None:
    every = 0
    for part, folders in zip(parts, levels.parts, strict=True):
        names = [level_of(one, how.group_level or "first") for one in folders]
        every += sum(name is not None for name in names)
        part.dataset = part.dataset.add_column(FOLDER_GROUP, names, feature=datasets.Value("string"))
    if not every:
        raise DataError(
            f"group_level={how.group_level!r}, but no file lies in so many folders (folders that say a split, and those around all others, do not "
            "count)."
        )
    how.report.decide(f"groups are folders, as group_level={how.group_level} says")


def _add_classes(
    parts: list[SourcePart], levels: Levels, paths: list[list[str]], how: ReadOptions
) -> list[SourcePart]:
    labeled = [place for place, part in enumerate(parts) if part.split != "unlabeled"]
    folders = [one for place in labeled for one in levels.parts[place]]
    said = any(name is not None for place in labeled for name in levels.said[place])
    asked = how.folder_labels is None and how.folder_level is None and not said
    if asked:
        doubts.refuse_two_levels(folders)
    classes = [levels.classes(place, how.folder_level) for place in range(len(parts))]
    names = [name for place in labeled for name in classes[place]]
    if how.folder_level is not None and names and not any(names):
        raise DataError(f"folder_level={how.folder_level!r}, but no file lies in so many folders.")
    if not how.folder_labels and not looks_like_classes(names):
        if asked:
            doubts.tell_deeper_classes(folders, names, looks_like_classes, how.report)
        return parts
    if levels.around:
        how.report.decide(f"all files lie in {'/'.join(levels.around)}: classes are looked for below")
    if not how.folder_labels:
        doubts.refuse_no_classes({name for name in names if name is not None}, how.split_names)
        strays.refuse_strays(names, how.report)
        files = [path for place in labeled for path in paths[place]]
        if asked and doubts.are_groups(names, _are_the_groups(parts, classes), how.report, files):
            return parts
    how.report.decide(
        f"labels are the folder names ({len(set(names) - {None})} classes); folder_labels=False turns that off"
    )
    value = datasets.Value("string")
    for place in labeled:
        part = parts[place]
        if _are_the_groups([part], [classes[place]]):
            raise DataError(
                f"group_level={how.group_level!r} names the folders that are the classes: no class is on two sides of a split. Name another."
            )
        part.dataset = part.dataset.add_column(FOLDER_LABEL, classes[place], feature=value)
    outside = [path for place in labeled if parts[place].split in (None, "train")
               for path, name in zip(paths[place], classes[place], strict=True) if name is None]  # fmt: skip
    if outside and not how.folder_labels:
        how.report.warn(
            f"{len(outside):,} of {sum(map(len, paths)):,} files lie in no folder of a class, such as {outside[0]}, and are unlabeled; "
            "folder_labels=True says that this is meant"
        )
    if how.group_level is None:
        doubts.doubt_other_level(folders, names, how.folder_level, how.report)
    return parts


def _are_the_groups(parts: Sequence[SourcePart], classes: Sequence[Sequence[str | None]]) -> bool:
    """Whether `group_level` names the folders that would be the classes."""
    return any(
        FOLDER_GROUP in part.dataset.column_names and list(part.dataset[FOLDER_GROUP]) == list(names)
        for part, names in zip(parts, classes, strict=True)
    )


def class_folders(
    paths: Sequence[str], words: Mapping[str, str], level: Level | None, like: Sequence[str] | None = None
) -> list[str | None]:
    """Class that the folders of each file say, if they say one.

    Args:
        paths: below the source's folder.
        words: words that say a split.
        level: which folder it is.
        like: files of which those around all others say where classes begin (`paths`); what lies elsewhere has no class.
    """
    levels = Levels.of([paths if like is None else like], words, [None])
    around = tuple(levels.around)
    if like is None or like == paths:
        return levels.classes(0, level)
    plain = [(tuple(on_disk.plain_folders(path, words)), path) for path in paths]
    kept = [path for folders, path in plain if folders[: len(around)] == around]
    names = dict(zip(kept, _inside(kept, words, level, len(around)), strict=True))
    return [names.get(path) for path in paths]


def _inside(paths: Sequence[str], words: Mapping[str, str], level: Level | None, depth: int) -> list[str | None]:
    """Classes of files whose first `depth` folders are no classes."""
    levels = Levels.of([paths], words, [None], walk=False)
    levels.parts = [[folders[depth:] for folders in part] for part in levels.parts]
    return levels.classes(0, level)


def looks_like_classes(classes: Sequence[str | None]) -> bool:
    """Two or more folders, holding two files each on average: classes rather than one folder per document."""
    counts = Counter(name for name in classes if name is not None)
    return len(counts) >= 2 and sum(counts.values()) >= 2 * len(counts)
