"""Which files a source has: links, hidden files and names that nobody can write are found and counted, never passed over."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hf_ssl.core.errors import DataError

SYSTEM = {
    "__macosx",
    "__pycache__",
    "thumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "lost+found",
    "@eadir",
    "#recycle",
    "system volume information",
}
_SYSTEM_DOT = re.compile(
    r"\._.*|\.(git|svn|hg|dvc|bzr|cache|ipynb_checkpoints|vscode|idea|huggingface|ds_store|trash|thumb|nfs|fseventsd|spotlight|temporaryitems"
    r"|appledouble|mypy_cache|pytest_cache|ruff_cache|venv|env|tox|sync|stfolder|dropbox|~lock).*",
    re.IGNORECASE,
)
"""Hidden files and folders that programs make for themselves."""
LOCK = "~$"
"""What names of files begin with that an office program makes while it has another one open."""
_GLOB = re.compile(r"[*?\[]")


@dataclass
class Listing:
    """The files of a source.

    Attributes:
        root: folder that names are relative to.
        files: what may be read, sorted.
        hidden: hidden files and files of the operating system beside them.
        links: links that lead out of the folder and were not followed.
        empty: folders without any file.
        stored: files that are left away, because links name them that are read.
        broken: links that lead nowhere.
        unnamed: files whose names are not UTF-8.
        ignored: files in folders that the user does not want.
    """

    root: Path
    files: list[Path]
    hidden: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    stored: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)
    unnamed: list[Path] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)

    @property
    def beside(self) -> int:
        """How many files there are besides `files`."""
        return sum(map(len, (self.hidden, self.links, self.stored, self.broken, self.unnamed, self.ignored)))


def find_files(source: str | Path, follow_links: bool | None = None, ignore_folders: Sequence[str] = ()) -> Listing:
    """Files of a folder (nested), a pattern such as `data/**/*.csv`, or one file, sorted, without hidden ones.

    Links are followed where they stay inside the folder; one that leads out is followed only when that is asked for
    (a link to `/etc` must not become a text).

    Args:
        source: folder, pattern or file.
        follow_links: follow links that lead out of the folder; None: ask where they lead to folders.
        ignore_folders: names of folders whose files are left away.

    Raises:
        DataError: nothing is there.
    """
    path = Path(source).expanduser()
    if not written(path):
        raise DataError(
            f"The name {shown(path)} is not UTF-8, and cannot be written into a report. Rename the file or folder."
        )
    if path.is_file():
        return Listing(path.parent, [path])
    made = Listing(path if path.is_dir() else _fixed_part(path), [])
    if path.is_dir():
        found = list(_walk(path, bool(follow_links), made))
        stored = _store(found, path)
        made.stored = sorted(stored)
        given = set(ignore_folders)
        for links in (made.links, made.broken):
            away = [
                link
                for link in links
                if given & {link.name, *_named(link.relative_to(path)), link.relative_to(path).as_posix()}
            ]
            made.ignored += away
            links[:] = [link for link in links if link not in away]
        found = [file for file in found if file not in stored]
        folders = [link for link in made.links if link.is_dir()]
        if folders and follow_links is None:
            raise DataError(
                f"{len(folders)} links lead to folders outside the data folder, such as {shown(folders[0].relative_to(path))}. Say whether they "
                "belong to the data: follow_links=True or follow_links=False."
            )
    else:
        found = [Path(item) for item in glob.glob(str(path), recursive=True) if Path(item).is_file()]
    for file in sorted(found):
        inner = file.relative_to(made.root)
        kind = made.ignored if _named(inner) & set(ignore_folders) else made.hidden if _hidden(inner) else made.files
        (kind if written(inner) else made.unnamed).append(file)
    if not made.files:
        left = f" ({len(made.hidden)} hidden files were left out)" if made.hidden else ""
        if made.links:
            left += f" ({len(made.links)} links lead out of the folder, such as {shown(Path(made.links[0].name))}; follow_links=True follows them)"
        if made.unnamed:
            left += (
                f" ({len(made.unnamed)} names are not UTF-8, such as {shown(Path(made.unnamed[0].name))}: rename them)"
            )
        raise DataError(f"No files found in {source}{left}.")
    made.empty = [folder for folder in made.empty if not _hidden(folder.relative_to(made.root)) and written(folder)]
    return made


def _named(inner: Path) -> set[str]:
    """Names of the folders that a file is in, alone and from the data folder on."""
    return {*inner.parts[:-1], *(one.as_posix() for one in inner.parents)}


def _walk(root: Path, follow_links: bool, made: Listing) -> Iterator[Path]:
    """Files below a folder; `made` gets empty folders and the links that were not followed. A folder is never entered from itself."""
    inside = os.path.realpath(root)
    for folder, folders, names in os.walk(root, followlinks=True):
        if not folders and not names:
            made.empty.append(Path(folder))
        steps = [Path(folder), *Path(folder).parents]
        above = {os.path.realpath(step) for step in steps[: len(steps) - len(root.parents)]}
        for name in list(folders):
            path = Path(folder, name)
            if path.is_symlink():
                target = os.path.realpath(path)
                if target in above:  # a circle
                    folders.remove(name)
                elif not follow_links and not _within(target, inside):
                    folders.remove(name)
                    made.links.append(path)
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and not follow_links and not _within(os.path.realpath(path), inside):
                made.links.append(path)
            elif path.is_file():
                yield path
            elif path.is_symlink():
                made.broken.append(path)


def _store(found: list[Path], root: Path) -> set[Path]:
    """Files of a folder that holds nothing but what links elsewhere name (`blobs` of a cache): they are read by those names.

    The links lie in several folders or have other names than the files do, so that the folder is none of the classes itself; or
    a whole folder is linked from higher up (`dog` to `_store/dog`).
    """
    links = {file for file in found if file.is_symlink()}
    stored = _below_links(found, root)
    real = {os.path.realpath(file): file for file in links}
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in found if real else ():
        by_folder[file.parent].append(file)
    stores = [
        files for files in by_folder.values() if all(f not in links and os.path.realpath(f) in real for f in files)
    ]
    if len(stores) != 1:
        return stored
    named = [real[os.path.realpath(file)] for file in stores[0]]
    renamed = any(link.name != file.name for link, file in zip(named, stores[0], strict=True))
    return stored | (set(stores[0]) if renamed or len({link.parent for link in named}) > 1 else set())


def _below_links(found: list[Path], root: Path) -> set[Path]:
    """Files that also lie below a link to a folder beside which their own folder does not lie, or lies hidden."""
    depth = len(root.parents) + 1
    folders = {above for file in {file.parent for file in found} for above in (file, *file.parents)}
    links = {folder for folder in folders if len(folder.parents) >= depth and folder.is_symlink()}
    targets = {os.path.realpath(link): os.path.realpath(link.parent) for link in links}
    stores = {
        Path(target) for target, beside in targets.items()
        if os.path.dirname(target) != beside or os.path.basename(target).startswith(".")
    }  # fmt: skip
    inside = Path(os.path.realpath(root))
    below = {folder: not stores.isdisjoint((inside / folder.relative_to(root), *(inside / folder.relative_to(root)).parents))
             for folder in folders if stores and len(folder.parents) >= depth and links.isdisjoint((folder, *folder.parents))}  # fmt: skip
    return {file for file in found if below.get(file.parent)}


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def is_pattern(text: str) -> bool:
    return bool(_GLOB.search(text))


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", LOCK)) or part.lower() in SYSTEM for part in path.parts)


def of_system(path: Path) -> bool:
    """Whether a hidden file is a program's own, and not one that a person gave such a name (`.net/1.txt`)."""
    return any(part.lower() in SYSTEM or part.startswith(LOCK) or _SYSTEM_DOT.fullmatch(part) for part in path.parts)


def written(path: Path) -> bool:
    """Whether a name can be written as UTF-8, as in tables and reports."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: Path) -> str:
    """A name that can be printed, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _fixed_part(pattern: Path) -> Path:
    fixed = []
    for part in pattern.parts[:-1]:
        if is_pattern(part):
            break
        fixed.append(part)
    return Path(*fixed) if fixed else Path(".")
