"""What lies beside the files that are read: hidden, linked, ignored or unnamable files, each counted with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import stem, suffix
from hf_ssl.data.readers.files import PICTURES_OF, TABLES
from hf_ssl.data.readers.levels import CLASS_COLUMNS, class_folders, looks_like_classes
from hf_ssl.data.readers.listing import Listing, of_system, shown

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions
    from hf_ssl.data.report import DataReport

FEWEST_SIDECARS = 3
COMMON_VOICE = {
    "validated",
    "invalidated",
    "other",
    "reported",
    "unvalidated_sentences",
    "validated_sentences",
    "clip_durations",
}
"""Tables of Common Voice that are no split of it: all that was accepted, what was rejected, what nobody has heard yet."""


def refuse_sidecars(tables: Sequence[Path], raw: Sequence[Path], how: ReadOptions) -> None:
    """A table or object for each picture or recording, called as it is: what it says would not be read.

    Raises:
        DataError: there are such, and what to write instead.
    """
    if how.sheet or how.modality.name not in ("image", "audio") or len(raw) < FEWEST_SIDECARS:
        return
    files = {(file.parent, stem(file).lower()): file for file in raw}
    found = [table for table in tables if (table.parent, stem(table).lower()) in files]
    if len(found) < max(FEWEST_SIDECARS, 0.5 * len(tables)):
        return
    table = sorted(found)[0]
    file = files[table.parent, stem(table).lower()]
    raise DataError(
        f"{len(found):,} files such as {table.name} are called as the {how.modality.name} files beside them ({file.name}), and what each says of its "
        "own file is not read. Write one table with a row per file, or per part of one (path, label; start and end of a part of a recording); to "
        f"read the {how.modality.name} files alone: data='FOLDER/**/*{suffix(file)}'."
    )


def hidden_data(listing: Listing, how: ReadOptions) -> list[Path]:
    """Hidden files that are called as those that are read, and are no program's."""
    known = {*how.modality.suffixes, *TABLES}
    inner = ((file, file.relative_to(listing.root)) for file in listing.hidden)
    return [file for file, name in inner if suffix(file) in known and not of_system(name)]


def unreached(listing: Listing) -> dict[str, str]:
    """Links that are not followed: why each is not read."""
    outside = dict.fromkeys(
        map(str, listing.links), "it is a link that leads out of the data folder, follow_links=True follows it"
    )
    return {**outside, **dict.fromkeys(map(str, listing.broken), "it is a link that leads nowhere")}


def leave_out_beside(listing: Listing, how: ReadOptions) -> None:
    """Files that are not looked into, by reason.

    Raises:
        DataError: they are more than `max_left_out`.
    """
    root, report, total = listing.root, how.report, len(listing.files) + listing.beside
    report.account("files").left_out["read by the names of links to them"] += len(listing.stored)
    if listing.stored:
        example = listing.stored[0].relative_to(root)
        report.warn(f"{len(listing.stored):,} files such as {example} are read by the names of links to them alone")
    data = hidden_data(listing, how)
    report.leave_out("files", "hidden, or the operating system's", len(listing.hidden) - len(data), 1, warn=False)
    report.leave_out("files", "in folders that ignore_folders names", len(listing.ignored), total, warn=False)
    folders = sorted({file.relative_to(root).parts[0] for file in data if len(file.relative_to(root).parts) > 1})
    folders = [name for name in folders if name.startswith(".")]
    for reason, files, hint in (
        ("links that lead out of the data folder", listing.links, "follow_links=True follows them"),
        ("links that lead nowhere", listing.broken, "Mend them, or remove them"),
        ("names that are not UTF-8", listing.unnamed, "Rename them: convmv -f latin1 -t utf8 -r --notest FOLDER"),
        (
            "hidden, as their names begin with a dot", data,
            f"ignore_folders={folders} says that this is meant" if folders else "Rename them if they are data",
        ),
    ):  # fmt: skip
        named = shown(files[0].relative_to(root)) if files else ""
        report.leave_out(
            "files", reason, len(files), len(listing.files) + len(files), example=named, hint=hint,
            within=f"files of {root}, {len(listing.files)}",
        )  # fmt: skip


def tell_folder_classes(
    tables: Sequence[tuple[str, Sequence[str]]], raw: Sequence[Path], root: Path, how: ReadOptions
) -> None:
    """A table without labels that names the files of class folders: then the classes are not read.

    Args:
        tables: names and columns of the tables that are read.
        raw: the files that are not read by themselves.
        root: folder of the data.
        how: what the user says about labels.
    """
    columns = {name.strip().lower() for _, there in tables for name in there}
    if how.folder_labels is False or how.labeled or columns & {*CLASS_COLUMNS, "labels"}:
        return
    names = class_folders(
        [file.relative_to(root).as_posix() for file in raw if file.is_relative_to(root)], how.words, how.folder_level
    )
    plain = {name.lower() for name in names if name}
    if looks_like_classes(names) and not plain & PICTURES_OF:
        listed = ", ".join(sorted({name for name in names if name})[:4])
        how.report.warn(
            f"{tables[0][0]} names the files, so its rows are read, and the folders ({listed}) that look like classes are not used: "
            f"data='FOLDER/**/*{suffix(raw[0])}' reads the files and their folders, folder_labels=False says that the table is meant"
        )


def without_rejected(tables: list[Path], raw: list[Path], report: DataReport) -> tuple[list[Path], list[Path]]:
    """Tables and files without what Common Voice rejected, or has in its splits a second time, and the clips that only those tables name."""
    by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
    for file in tables:
        by_folder[file.parent][stem(file).lower()] = file
    aside: list[Path] = []
    for named in by_folder.values():
        first = named.get("train") or named.get("validated")
        beside = [file for name, file in named.items() if name in COMMON_VOICE and file != first]
        if first is None or not beside:
            continue
        with first.open("rb") as stream:
            header = stream.readline(4096)
        if b"client_id" in header and b"sentence" in header:
            aside += beside
    if not aside:
        return tables, raw
    kept = [file for file in tables if file not in aside]
    names = _clips(aside) - _clips(kept)
    clips = {file for file in raw if file.name in names}
    report.leave_out("files", "tables of Common Voice beside its splits", len(aside), len(tables), warn=False)
    report.leave_out("files", "clips that those tables alone name", len(clips), len(raw), warn=False)
    report.warn(
        f"{', '.join(sorted(file.name for file in aside))}: tables of Common Voice that hold what was rejected, or rows of its splits again, are "
        f"left out, with {len(clips):,} clips that they alone name; to read one: data='FOLDER/{aside[0].name}'"
    )
    return kept, [file for file in raw if file not in clips]


def _clips(tables: Sequence[Path]) -> set[str]:
    """First fields of every line, where tables of Common Voice name their clips."""
    found: set[str] = set()
    for file in tables:
        with file.open(encoding="utf-8", errors="replace") as stream:
            found.update(field for line in stream for field in line.split("\t", 3)[:2])
    return found
