"""A folder's files → parts: each kind by its reader, splits and classes by folders, and every file accounted for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.letters import composed
from hf_ssl.core.paths import stem, suffix
from hf_ssl.core.textfiles import nature
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers.beside import (
    hidden_data,
    leave_out_beside,
    refuse_sidecars,
    tell_folder_classes,
    unreached,
    without_rejected,
)
from hf_ssl.data.readers.codebooks import Tables, tell_uneven_classes, without_codebooks, without_descriptions
from hf_ssl.data.readers.conll import is_conll, read_conll
from hf_ssl.data.readers.fasttext import is_fasttext
from hf_ssl.data.readers.file_classes import add_file_classes, class_names, tell_folders_of_tables
from hf_ssl.data.readers.levels import by_folder, check_level
from hf_ssl.data.readers.listing import Listing
from hf_ssl.data.readers.lost import refuse_lost_folders
from hf_ssl.data.readers.naming import names_in_tables, naming_stems, sheet_of_files, with_named_stems
from hf_ssl.data.readers.places import Places
from hf_ssl.data.readers.sheet import cut_otherwise
from hf_ssl.data.readers.side_by_side import lines_of, refuse_side_by_side, tell_many_lines
from hf_ssl.data.readers.split_words import refuse_foreign_splits
from hf_ssl.data.readers.tables import read_tables
from hf_ssl.data.report import DataReport

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

MOST_PAPERS = 5
"""Files such as README.md that tell about data: so many more are data themselves."""


@dataclass
class SourcePart:
    """Rows from one place; `split` is None when the place does not say, `root` the folder that their paths start from,
    `folders` where a relative path in a table may start."""

    split: str | None
    dataset: datasets.Dataset
    origin: str
    root: Path | None = None
    folders: tuple[Path, ...] = ()


@dataclass
class ReadOptions:
    """How to read, and where to write down what was found.

    See `load_data` for the options; of `modality` the data side is used.
    `labeled`: the user says what the labels are, `by_file` that names of files say them.
    `as_is`: columns are not made the modality's (a sheet of labels names files, and holds no
    pictures). `unnamed` counts raw files beside tables that do not name them, while one source is read.
    """

    modality: Modality
    report: DataReport
    label_kind: str | None = None
    txt: str = "file"
    encoding: str = "utf-8-sig"
    folder_labels: bool | None = None
    sheet: bool = False
    csv_options: dict[str, Any] | None = None
    conll_columns: tuple[int, int] | None = None
    max_examples: int | None = None
    seed: int = 0
    data_config: str | None = None
    data_revision: str | None = None
    streaming: bool = False
    cache_dir: str | None = None
    split_names: list[str] | None = None
    follow_links: bool | None = None
    ignore_folders: Sequence[str] = ()
    as_is: bool = False
    labeled: bool = False
    by_file: bool = False
    folder_level: str | int | None = None
    group_level: str | int | None = None
    files: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0

    def __post_init__(self) -> None:
        check_level("folder_level", self.folder_level, "class")

    @property
    def words(self) -> dict[str, str]:
        """Words that say a split."""
        return on_disk.split_words(self.split_names)


def read_files(listing: Listing, how: ReadOptions) -> list[SourcePart]:
    """Every file is read, or entered into the account of files with the reason why it is not."""
    root, found, report = listing.root, listing.files, how.report
    account = report.account("files")
    account.found += len(found) + listing.beside
    if listing.empty:
        names = ", ".join(folder.relative_to(root).as_posix() for folder in listing.empty[:3])
        report.warn(
            f"{len(listing.empty):,} folders hold no files, such as {names}: if they are classes, those are missing"
        )
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for file in found:
        by_kind[file_kind(file, how)].append(file)
    others = by_kind.pop("other", [])
    by_kind["table"], by_kind["raw"] = without_rejected(by_kind["table"], by_kind["raw"], report)
    by_kind["table"] = without_descriptions(by_kind["table"], bool(by_kind["raw"] or by_kind["conll"]), report)
    by_kind["raw"], papers = on_disk.without_papers(by_kind["raw"], root)
    others += papers
    used = [file for kind in by_kind.values() for file in kind]
    if not used:
        kinds = Counter(suffix(file) or "no suffix" for file in others)
        raise DataError(
            f"None of the {len(found)} files is of a known kind ({', '.join(sorted(kinds))}). "
            f"Known: tables ({', '.join(sorted(on_disk.TABLES))}), "
            f"{how.modality.name} ({', '.join(how.modality.suffixes)})." + _what_to_do(others)
        )
    if not by_kind["table"]:
        lost = unreached(listing)
        refuse_lost_folders([*hidden_data(listing, how), *map(Path, lost), *found], used, root, how, lost)
    refuse_sidecars(by_kind["table"], by_kind["raw"], how)
    refuse_foreign_splits(used, root, how)
    leave_out_beside(listing, how)
    if how.modality.name == "text" and how.folder_labels is None:
        stems = {(file.parent, file.stem) for file in by_kind["raw"]}
        beside = [file for file in others if (file.parent, file.stem) in stems]
        if beside:
            together = [*by_kind["raw"], *beside]
            refuse_side_by_side(together, lines_of(together), how)
    _leave_out_others(others, used, root, len(found), how)
    bad = report.quarantined
    before, raw = len(bad), by_kind["raw"]
    folders: tuple[Path, ...] = (root,)
    parts = _conll_parts(root, by_kind["conll"], how)
    tables = [] if how.sheet else _table_parts(root, by_kind["table"], how)
    tell_folders_of_tables(root, by_kind["table"], tables, how)
    if how.sheet and raw:
        report.leave_out(
            "files", "tables beside files that labels_file=... labels", len(by_kind["table"]), len(used), warn=False
        )
    elif tables and raw:
        raw = _beside_tables(tables, raw, root, how)
        folders = (*folders, *sorted({file.parent for file in by_kind["raw"]}))
    elif how.sheet:
        tables = _table_parts(root, by_kind["table"], how)
    if raw and by_kind["table"]:
        unread = [] if tables else by_kind["table"]
        refuse_lost_folders([*hidden_data(listing, how), *others, *unread, *raw], raw, root, how)
    parts += tables + _raw_parts(root, raw, how)
    for part in parts:
        part.root, part.folders = root, folders
    read = [*by_kind["conll"], *raw, *(by_kind["table"] if tables or not how.sheet else [])]
    how.files.update(suffix(file) for file in read)
    files = [item for item in bad[before:] if item.get("unit") != "rows"]
    account.left_out["unreadable"] += len(files)
    account.used += len(used) - (len(by_kind["table"]) if how.sheet and raw else 0) - len(files)
    account.used -= how.unnamed
    how.unnamed = 0
    on_disk.check_bad_files(files, len(read), report, within=f"files of {root}, {len(found)}")
    _leave_out_lines([item for item in bad[before:] if item.get("unit") == "rows"], parts, report)
    return parts


def _leave_out_lines(bad: list[dict[str, str]], parts: list[SourcePart], report: DataReport) -> None:
    """Lines that cannot be read are rows that were found, and do not lose their file."""
    report.account("rows").found += len(bad)
    total = len(bad) + sum(len(part.dataset) for part in parts)
    example = f"{bad[0]['path']}: {bad[0]['reason']}" if bad else ""
    report.leave_out("rows", "a line that cannot be read", len(bad), total, example=example)


def _what_to_do(files: list[Path]) -> str:
    """How files of no known kind become files that are read."""
    for file in files[:20]:
        with file.open("rb") as stream:
            what = nature(stream.read(512))
        own = what is not None and what.endswith(
            f"end in {file.suffix.lower()}"
        )  # it is what its name says, and is not read here
        if what and not {".nii", ".html", ".htm"} & {*file.suffixes}:
            return (
                f" {file.name} {what.partition(';')[0]}; save it as a table (.csv, .parquet)."
                if own
                else f" {file.name} {what}."
            )
    for file in files[:20]:
        if not suffix(file) and on_disk.looks_tabbed(file):
            return f" {file.name} looks like a table: let its name end in .tsv."
    for kinds, advice in on_disk.ADVICE.items():
        if any(suffix(file) in kinds for file in files):
            return f" {advice}"
    if any(file.suffix.lower() in on_disk.DATA_LIKE for file in files):
        return " Unpack archives, and save spreadsheets as .csv."
    return " Convert them to one of these."


def _leave_out_others(files: list[Path], used: list[Path], root: Path, total: int, how: ReadOptions) -> None:
    """Files of no kind that is read: papers about the data pass with a line, anything else is warned about."""
    stems, inside = {file.stem for file in used}, {file.parent for file in used} - {root}
    inside = inside if len(inside) > 1 and not how.sheet and how.folder_labels is not False else set()
    papers = [
        file
        for file in files  # an empty one is a mark, as Spark's
        if on_disk.is_document(file) and not on_disk.is_text_inside(file, inside) or not file.stat().st_size
    ]
    if len(papers) > max(
        MOST_PAPERS, how.report.max_left_out * total
    ):  # so many tell not about the data: they are data
        papers = []
    rest = [file for file in files if file not in set(papers)]
    for group, warn in ((papers, False), (rest, True)):
        kinds = Counter(suffix(file) or "no suffix" for file in group)
        if not kinds:
            continue
        shown = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        what = "documents about the data" if not warn else "of a kind that is not read"
        how.report.decide(f"skipped files: {shown}") if not warn else None
        how.report.leave_out(
            "files",
            f"{what} ({', '.join(sorted(kinds))})",
            len(group),
            total,
            example=group[0].name,
            hint=on_disk.what_they_say(group, stems, how.modality.name != "text") if warn else "",
            warn=warn,
            within=f"files of {root}, {total}",
        )


def _beside_tables(tables: list[SourcePart], raw: list[Path], root: Path, how: ReadOptions) -> list[Path]:
    """Tables and raw files in one folder: the tables name the files, or it has to be said which of them are the data.

    Returns:
        The raw files to read as such: none, when the tables are what is read.
    """
    report = how.report
    papers = [
        file for file in raw if on_disk.is_document(file) or file.suffix.lower() in (".txt", ".text") and len(raw) == 1
    ]
    names = names_in_tables(tables)
    named = [file for file in raw if composed(file.name.lower()) in names]
    if len(papers) == len(raw) == 1 and stem(raw[0]).lower() in how.words and not named:
        return raw  # `unlabeled.txt` beside `train.csv`
    if how.modality.tables_name_files and not named and not naming_stems(tables, raw):
        pass  # which are the data?
    elif how.modality.tables_name_files or named:
        how.unnamed = len(raw) - len(named or with_named_stems(tables, raw))
        if named:
            report.leave_out(
                "files", f"{how.modality.name} files that no table names", how.unnamed, len(raw),
                example=next((file.name for file in raw if composed(file.name.lower()) not in names), ""),
                hint=f"To read the files themselves, with what the table says of those that it names: data='FOLDER/**/*{suffix(raw[0])}' and "
                f"labels_file='FOLDER/{sheet_of_files(tables, raw)}'",
            )  # fmt: skip
        else:
            report.account("files").left_out[f"{how.modality.name} files beside a table"] += how.unnamed
        report.decide(f"tables that name {how.modality.name} files: the tables are read")
        tell_folder_classes([(part.origin, part.dataset.column_names) for part in tables], raw, root, how)
        return []
    if len(papers) == len(raw):
        how.unnamed = len(raw)
        report.leave_out("files", f"{how.modality.name} files beside tables", len(raw), len(raw), warn=False)
        doubtful = [file for file in raw if len(raw) > MOST_PAPERS or not on_disk.is_document(file)]
        (report.warn if doubtful else report.decide)(
            f"{len(raw)} {how.modality.name} files beside tables are not read, such as {(doubtful or raw)[0].name}: the tables are the data"
        )
        return []
    stems = {file.stem.lower() for file in raw}
    sheets, file = naming_stems(tables, raw), raw[0]
    table = sheet_of_files(sheets or tables, raw)
    cut = next((made for part in tables if (made := cut_otherwise(part.dataset.column_names, stems))), None)
    ways = f"data='FOLDER/**/*{suffix(file)}' and labels_file='FOLDER/{table}'" + (
        f" with csv_options={cut}" if cut else ""
    )
    raise DataError(
        f"There are tables ({table} ...) and {len(raw)} {how.modality.name} files ({file.name} ...), and the tables do not name the files. "
        f"Which are the data? Give a pattern: the tables 'FOLDER/**/*{suffix(Path(table)) or '.csv'}', the files "
        f"'FOLDER/**/*{suffix(file)}'; a table that labels the files goes into labels_file=..."
        + (f" (it names them without suffix: {ways})" if sheets or cut else "")
    )


def file_kind(file: Path, how: ReadOptions) -> str:
    kind = suffix(file)
    if kind in on_disk.TABLES and how.modality.recognizes(file):
        return "raw"
    if kind in on_disk.CONLL or (how.label_kind == "tags" and kind == ".txt"):
        return "conll"
    if kind in (".tsv", ".tab") and how.modality.name == "text" and not how.csv_options and is_conll(file):
        how.report.decide(
            f"{file.name}: a word and its tag in a line, empty lines between sentences, no header: read as CoNLL"
        )
        return "conll"
    if kind in on_disk.TABLES or kind in (".txt", ".text") and how.modality.name == "text" and is_fasttext(file):
        return "table"
    if kind in how.modality.suffixes:
        return "raw"
    return "raw" if not on_disk.is_document(file) and how.modality.recognizes(file) else "other"


def _by_split(files: list[Path], root: Path, how: ReadOptions, *, by_stem: bool) -> dict[str | None, list[Path]]:
    groups: dict[str | None, list[Path]] = defaultdict(list)
    for file in files:
        groups[on_disk.split_of(file, root, by_stem=by_stem, words=how.words)].append(file)
    on_disk.note_words(groups, root, how.words, how.report)
    return groups


def _conll_parts(root: Path, files: list[Path], how: ReadOptions) -> list[SourcePart]:
    options: dict[str, Any] = {"columns": how.conll_columns, "encoding": how.encoding}
    return [
        SourcePart(split, read_conll(group, root, how.report, **options), "conll files")
        for split, group in _by_split(files, root, how, by_stem=True).items()
    ]


def _table_parts(root: Path, files: list[Path], how: ReadOptions) -> list[SourcePart]:
    options: dict[str, Any] = {"encoding": how.encoding, "csv_options": how.csv_options, "cache_dir": how.cache_dir}
    options["text_column"] = how.modality.column
    options["file_column"] = getattr(how.modality, "file_column", None)
    if options["file_column"] is None and not how.as_is and how.folder_labels is not False:
        options["file_names"], options["by_file"] = class_names(files, root, how), how.by_file
    options["partitions"] = how.folder_labels is not False
    if not how.as_is and how.modality.paths_begin is None:
        options["places"] = Places(root, how.modality.suffixes, how.modality.aliases)
    read = [
        Tables(split, files_of, table)
        for split, group in _by_split(files, root, how, by_stem=True).items()
        for files_of, table in read_tables(group, root, how.report, **options)
    ]
    parts = [SourcePart(one.split, one.dataset, one.names) for one in without_codebooks(read, how.report)]
    if options.get("file_names") and not how.by_file and not how.labeled:
        labeled = [part for part in parts if part.split != "unlabeled"]
        tell_uneven_classes([(part.origin, part.dataset) for part in labeled], on_disk.FILE_CLASS, how.report)
    return parts


def _raw_parts(root: Path, files: list[Path], how: ReadOptions) -> list[SourcePart]:
    """One row per file (or line). Folders between the split's and the file are classes when they look like classes."""
    if not files:
        return []
    words = how.words
    names_splits = all(stem(file).lower() in words for file in files)
    contained = all(suffix(file) in how.modality.containers for file in files)
    modality = how.modality
    # `Coffee_TRAIN.tsv` beside `Coffee_TEST.tsv`, as archives of series have them.
    archived = (
        modality.name == "timeseries" and len({on_disk.split_named(stem(file), words) for file in files} - {None}) > 1
    )
    by_stem = how.txt == "lines" or names_splits or contained or archived
    if how.split_names is None and (doubtful := on_disk.ambiguous_folders(files, root, words)):
        raise DataError(on_disk.which_is_meant(doubtful, files, root, words))
    if names_splits and how.txt == "file" and modality.name == "text":
        how.report.decide("files are called train, test ...: read one example per line, not one per file")
        modality = type(modality)(replace(modality.config, txt="lines"))
    _tell_answers(files, root, how)
    if modality.name == "text" and modality.config.txt == "file" and how.folder_labels is None:
        refuse_side_by_side(files, lines_of(files), how)
    parts, unread = [], dict[str, str]()
    for split, group in _by_split(files, root, how, by_stem=by_stem).items():
        bad: list[dict[str, str]] = []
        dataset = modality.read_files(group, root, bad)
        how.report.quarantined += [{**item, "path": on_disk.short(item["path"], root)} for item in bad]
        unread |= {item["path"]: item["reason"] for item in bad}
        parts.append(SourcePart(split, dataset, f"{how.modality.name} files"))
    refuse_lost_folders(files, [file for file in files if str(file) not in unread], root, how, unread)
    for note in modality.take_notes():
        how.report.warn(note)
    if modality.name == "text" and modality.config.txt == "file" and len(files) <= 2:
        tell_many_lines([part.dataset for part in parts], how)
    return add_file_classes(by_folder(parts, how), root, how)


def _tell_answers(files: list[Path], root: Path, how: ReadOptions) -> None:
    """Masks among pictures are told; where folders tell them apart they must become no class.

    Raises:
        DataError: they would, and nobody has said that they are.
    """
    found = how.modality.answers_among(files, root)
    if found is None or found[0] and how.folder_labels is True:
        return
    if found[0] and how.folder_labels is None and not how.sheet:
        raise DataError(
            f"{found[1]}; folder_labels=True if folders are classes all the same, folder_labels=False if all are pictures without a class."
        )
    how.report.warn(found[1])
