"""Levels of folders above a file: which is its class, and which its group (patient, site)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.data.readers import files as on_disk

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions, SourcePart

FOLDER_LABEL = "folder"
FOLDER_GROUP = "group folder"
_PERSON = re.compile(
    r"(p|pat|pt|patient|s|sub|subj|subject|spk|speaker|id|u|user|case|slide|donor|animal|mouse|proband|vp|person|part|participant|c|m|f)"
    r"[-_ ]?[a-z]?\d+[a-z]?",
    re.IGNORECASE,
)
"""Names of folders that are persons' rather than anything else's."""


def group_named(column: str | None, level: str | int | None) -> str | None:
    """Column of groups that `group_column` or `group_level` names.

    Raises:
        DataError: both do, or `group_level` is none of `first`, `last`, `file` and a number from 1.
    """
    if level is None or level == "file":
        return column
    if level not in ("first", "last") and not re.fullmatch(r"[1-9]\d?", str(level)):
        raise DataError(
            f"group_level={level!r}: which folder above a file is its group is said by 'first', 'last', a number from 1 (the outermost), or "
            "'file'."
        )
    if column is not None:
        raise DataError("group_column and group_level both say what the groups are: give one.")
    return FOLDER_GROUP


def grouped_by_folder(parts: list[SourcePart], how: ReadOptions) -> list[SourcePart]:
    """Raw files get the group that `group_level` says.

    Raises:
        DataError: no file lies in so many folders, or the folder is the class's.
    """
    if how.group_level in (None, "file"):
        return parts
    every = 0
    for part in parts:
        names = [_at(on_disk.plain_folders(path, how.words), str(how.group_level)) for path in part.dataset["path"]]
        every += sum(name is not None for name in names)
        part.dataset = part.dataset.add_column(FOLDER_GROUP, names, feature=datasets.Value("string"))
    if parts and not every:
        raise DataError(
            f"group_level={how.group_level!r}, but no file lies in so many folders (folders that say a split do not count)."
        )
    how.report.decide(f"groups are folders, as group_level={how.group_level} says")
    return parts


def _at(folders: Sequence[str], level: str) -> str | None:
    place = {"first": 0, "last": -1}.get(level)
    place = int(level) - 1 if place is None else place
    return folders[place] if folders and place < len(folders) else None


def _doubt_other_level(paths: list[str], classes: list[str | None], how: ReadOptions) -> None:
    """Folders above or below the classes' that hold several files each: patients, sites, sessions?

    Raises:
        DataError: they are called as persons are.
    """
    level = "first" if how.folder_level == "last" else "last"
    folders = [on_disk.plain_folders(path, how.words) for path in paths]
    names = [_at(one, level) if len(one) > 1 else None for one in folders]
    counts = Counter(name for name, kind in zip(names, classes, strict=True) if name is not None and name != kind)
    if len(counts) < 2 or sum(counts.values()) < 0.5 * len(paths) or len(counts) > 0.9 * sum(counts.values()):
        return
    shown = ", ".join(sorted(counts)[:3])
    text = (
        f"files lie in folders beside those of the classes ({shown} ... {len(counts):,} of them). If those are patients or sites, whose files "
        f"should not be on two sides of a split: group_level={level!r}; if files are independent: group_level='file'"
    )
    if sum(_PERSON.fullmatch(name) is not None for name in counts) >= 0.9 * len(counts):
        raise DataError(text[0].upper() + text[1:] + ".")
    how.report.warn(text)


def labeled_by_folder(parts: list[SourcePart], how: ReadOptions) -> list[SourcePart]:
    """Raw files get the class that their folder says, where folders look like classes.

    Raises:
        DataError: it is open which folders are classes, or which are groups.
    """
    if how.sheet or how.folder_labels is False or not parts:
        return parts
    paths = [list(part.dataset["path"]) for part in parts]
    if how.folder_level is None and how.folder_labels is None:
        on_disk.refuse_two_levels((path for part in paths for path in part), how.words)
    classes = [on_disk.class_folders(part, how.words, how.folder_level) for part in paths]
    labeled = [name for part, names in zip(parts, classes, strict=True) if part.split != "unlabeled" for name in names]
    if not how.folder_labels and not on_disk.looks_like_classes(labeled):
        return parts
    if not how.folder_labels:
        _refuse_no_classes({name for name in labeled if name is not None}, how)
    how.report.decide(
        f"labels are the folder names ({len(set(labeled) - {None})} classes); folder_labels=False turns that off"
    )
    value = datasets.Value("string")
    for part, names in zip(parts, classes, strict=True):
        if part.split != "unlabeled":
            if FOLDER_GROUP in part.dataset.column_names and list(part.dataset[FOLDER_GROUP]) == names:
                raise DataError(
                    f"group_level={how.group_level!r} names the folders that are the classes: no class is on two sides of a split. Name another."
                )
            part.dataset = part.dataset.add_column(FOLDER_LABEL, names, feature=value)
    if how.group_level is None:
        labeled_paths = [
            path for part, found in zip(parts, paths, strict=True) if part.split != "unlabeled" for path in found
        ]
        _doubt_other_level(labeled_paths, labeled, how)
    return parts


def _refuse_no_classes(names: set[str], how: ReadOptions) -> None:
    """Folders that are called as parts of a data set are, and not as classes are.

    Raises:
        DataError: `images` beside `masks`, or `holdout` beside classes.
    """
    plain = {name.lower() for name in names}
    if (
        plain & on_disk.PICTURES_OF
        and plain & on_disk.ANSWERS_OF
        and plain <= on_disk.PICTURES_OF | on_disk.ANSWERS_OF
    ):
        first, second = sorted(plain & on_disk.PICTURES_OF)[0], sorted(plain & on_disk.ANSWERS_OF)[0]
        raise DataError(
            f"The folders {first!r} and {second!r} look like examples and what belongs to them, not like two classes: folder_labels=True if they "
            "are classes, folder_labels=False if there are none. For masks give a table with a column of paths to pictures and one of paths to "
            "masks, and name that one: label_column=..."
        )
    held_out = sorted(plain & on_disk.HELD_OUT)
    if held_out and len(plain) > 1 and how.split_names is None:
        raise DataError(
            f"The folder {held_out[0]!r} sounds like data that were held out, and would be a class beside "
            f"{', '.join(sorted(plain - set(held_out))[:3])}. If it "
            f"is a class: folder_labels=True; if not, call it test or validation, or give it as test=..."
        )
