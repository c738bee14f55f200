"""What lies beside the files that are read: hidden, linked, ignored or unnamable files, each counted with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hf_ssl.core.paths import suffix
from hf_ssl.data.readers.files import TABLES
from hf_ssl.data.readers.listing import Listing, of_system, shown

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions


def hidden_data(listing: Listing, how: ReadOptions) -> list[Path]:
    """Hidden files that are called as those that are read, and are no program's."""
    known = {*how.modality.suffixes, *TABLES}
    inner = ((file, file.relative_to(listing.root)) for file in listing.hidden)
    return [file for file, name in inner if suffix(file) in known and not of_system(name)]


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
        report.leave_out("files", reason, len(files), len(listing.files) + len(files), example=named, hint=hint)
