"""A class that is there and of which nothing is used: an error, for a model that never sees it cannot be told from one that fails at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import path_below, suffix
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers.levels import class_folders, looks_like_classes

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions

BESIDE = {"docs", "doc", "documentation", "scripts", "code", "src", "notebooks", "meta", "metadata", "license", "licenses", "tools", "utils", "logs",
          "info", "readme", *on_disk.ANSWERS_OF}  # fmt: skip
"""Folders of what tells about the data, as a rule."""


def refuse_lost_folders(
    there: Iterable[Path], used: Iterable[Path], root: Path, how: ReadOptions, reasons: Mapping[str, str] | None = None
) -> None:
    """Folders of files that would be classes, and of which no file is used.

    Args:
        there: files that were found.
        used: those of them that are read.
        root: folder of the data.
        how: says which folders are classes.
        reasons: file → why it cannot be read.

    Raises:
        DataError: names them, and the option that leaves them away.
    """
    if how.sheet or how.folder_labels is False:
        return
    used = list(used)
    kept = _classes(used, used, root, how)
    classes = {name for name, _ in kept}
    found = _classes(there, used, root, how)
    # Where one class of two is made of links, the other alone does not look like a class.
    linked = [name for name, file in found if str(file) in (reasons or {})]
    if not (
        how.folder_labels or any(looks_like_classes([*(name for name, _ in kept), *more]) for more in ([], linked))
    ):
        return
    gone: dict[str, list[Path]] = {}
    for name, file in found:
        if name is not None and name not in classes and name.lower() not in BESIDE:
            gone.setdefault(name, []).append(file)
    if not gone or not used:  # where none is read, that is what is said
        return
    name, files = next(iter(gone.items()))
    example = files[0].relative_to(root).as_posix()
    kinds = Counter(suffix(file) or "no suffix" for file in files)
    hidden = any(part.startswith(".") for part in files[0].relative_to(root).parts)
    why = (reasons or {}).get(str(files[0])) or (
        "names that begin with a dot are hidden, and not read; rename the folder"
        if hidden
        else f"{', '.join(sorted(kinds))} is not read as {how.modality.name}"
    )
    raise DataError(
        f"The folder {name!r} stands beside classes ({', '.join(sorted(filter(None, classes))[:3])}), and none of its {len(files):,} files is used: "
        f"{example}: {why}. Without them the class would be missing; if it is none, or is to be left away: ignore_folders={sorted(gone)}."
    )


def _classes(
    files: Iterable[Path], used: Iterable[Path], root: Path, how: ReadOptions
) -> list[tuple[str | None, Path]]:
    """Class and file, of those that are no pool; classes begin where those of the files do that are used."""

    def labeled(some: Iterable[Path]) -> list[tuple[Path, str]]:
        below = [(file, name) for file in some if (name := path_below(file, root)) is not None]
        return [one for one in below if on_disk.split_of(one[0], root, by_stem=False, words=how.words) != "unlabeled"]

    own = labeled(files)
    paths, known = ([name for _, name in some] for some in (own, labeled(used)))
    names = class_folders(paths, how.words, how.folder_level, known)
    return [(name, file) for name, (file, _) in zip(names, own, strict=True)]


def refuse_lost_values(before: Counter[str], after: Counter[str], what: str, reason: str, folders: bool) -> None:
    """Values of a label of which every row is unusable.

    Args:
        before: label → rows that were found.
        after: label → rows that are left.
        what: the column, as a report names it.
        reason: why rows are unusable.
        folders: labels are the names of folders.

    Raises:
        DataError: names them, and the option that leaves them away.
    """
    gone = sorted(name for name in before if name not in after)
    if not gone or len(before) > 0.5 * sum(before.values()) or len(before) < 2:
        return
    option = f"ignore_folders={gone}" if folders else f"na_values={gone}"
    raise DataError(
        f"None of the {before[gone[0]]:,} rows of the class {gone[0]!r} ({what}) is usable: {reason}. Without them the class would be missing; if "
        f"it is to be left away: {option}."
    )
