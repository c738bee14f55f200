"""Which split and class the names of files say, and what a file that is not read may be."""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.numbers import rounded_up
from hf_ssl.core.paths import path_below, stem, suffix
from hf_ssl.data.report import DataReport, kind_of_reason

FOLDER_LABEL = "folder"
FOLDER_GROUP = "group folder"
FILE_CLASS = "file_class"
"""Columns of what folders and names of files say."""
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "valid": "validation", "validation": "validation", "dev": "validation", "val": "validation",
    "test": "test", "testing": "test",
    "unlabeled": "unlabeled", "unlabelled": "unlabeled", "pool": "unlabeled",
    "unsup": "unlabeled", "unsupervised": "unlabeled",
}  # fmt: skip
FILLERS = {
    "set",
    "sets",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "seg",
    "texts",
    "text",
    "files",
    "audio",
    "wavs",
    "split",
    "part",
    "samples",
    "folder",
}
"""Words that may stand beside the one that says a split."""
HELD_OUT = {"holdout", "hold_out", "hold-out", "heldout", "held_out", "held-out", "eval", "evaluation", "unseen"}
"""What sounds like data that were held out, and is no word for one of the splits here."""
PICTURES_OF = {"images", "image", "img", "imgs", "jpegimages", "input", "inputs", "rgb", "photos", "pictures", "texts"}
ANSWERS_OF = {"masks", "mask", "label", "labels", "segmentation", "segmentations", "segmentationclass", "segmentationobject", "gt", "groundtruth",
              "ground_truth", "annotation", "annotations", "target", "targets", "output", "outputs", "depth", "seg", "labelids", "lbl"}  # fmt: skip
"""Folders of pictures, and of what is to be predicted for each."""
TABLES = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet"}
CONLL = {".conll", ".conllu", ".iob", ".iob2", ".bio"}
DOCUMENTS = {".md", ".rst", ".pdf", ".html", ".htm", ".py", ".ipynb", ".sh", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".log",
             ".lock", ".bib", ".docx", ".doc", ".css", ".js"}  # fmt: skip
WRITTEN = {".pdf", ".html", ".htm", ".rst", ".docx", ".doc", ".md"}
"""Those of them that people write; beside files that are read, in folders of classes, they are examples that are not read."""
_PAPER = re.compile(r"(readme|licen[cs]e|changelog|copying|notice|citation|requirements)\b")
DATA_LIKE = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".xlsx", ".xls", ".ods", ".h5", ".hdf5", ".mat", ".sqlite", ".db",
             ".feather", ".arrow", ".pkl", ".pickle", ".rdata", ".rds", ".sav", ".dta"}  # fmt: skip
"""Files that hold data as a rule: a single one that is not read may be the data."""
ADVICE: dict[frozenset[str], str] = {
    frozenset({".py", ".java", ".c", ".h", ".cpp", ".js", ".ts", ".go", ".rs", ".rb", ".r", ".sql", ".sh", ".cs", ".php", ".tex", ".rst"}):
        "To read their text as it is, let their names end in .txt as well (a.py.txt).",
    frozenset({".srt", ".vtt", ".sub", ".ass"}): "Subtitles: write a table with a row per line of speech and columns start, end, text.",
    frozenset({".eml", ".msg", ".mbox"}): "Mails: save each body as .txt, or all as a table with columns subject, text and label.",
    frozenset({".smi", ".sdf", ".mol", ".mol2"}): "Molecules: write a table with columns smiles, name and label (.csv).",
    frozenset({".fasta", ".fa", ".faa", ".fna", ".fastq", ".fq"}): "Sequences: write a table with columns id, text and label (.csv).",
    frozenset({".hl7", ".edi", ".x12"}): "Messages: write a table with a row per message and columns text and label.",
    frozenset({".lvm", ".tdms", ".dat", ".asc", ".log"}): "Measurements: save the table alone, with one line of names above it, as .csv or .tsv.",
    frozenset({".html", ".htm"}): "Write its rows as .csv or JSON lines, one {name: value} a line; of pages without tables, save the text as .txt.",
    frozenset({".xml", ".yaml", ".yml", ".toml"}): "Write its rows as .csv or JSON lines, one {name: value} a line.",
    frozenset({".txt", ".text"}): "If it is a table: let its name end in .tsv where tabs separate columns, and in .csv where other marks do.",
    frozenset({".nii", ".nrrd", ".mha", ".mgz"}): "Volumes: write their slices as pictures (.png).",
    frozenset({".pdf", ".docx", ".doc", ".odt", ".rtf", ".epub", ".pptx"}): "Save each document as .txt.",
}  # fmt: skip
"""What to do with files of kinds that are not read."""
ANNOTATIONS = (
    "They are called as the files that are read, so they may say something of each: write a table with a row per file or part (path, label; "
    "start and end of a part of a recording)"
)
"""What to do with files of annotations."""
_PARTITION = re.compile(r"([A-Za-z_]\w*)=(.+)")


def split_words(names: Sequence[str] | None) -> dict[str, str]:
    """Words that say a split: all known ones, or those of `split_names`, where `holdout=test` says what another word means.

    Raises:
        DataError: a name is no such word.
    """
    if names is None:
        return SPLIT_NAMES
    pairs = [(name, name) if "=" not in name else (name.rpartition("=")[0], name.rpartition("=")[2]) for name in names]
    unknown = [split for _, split in pairs if split.strip().lower() not in SPLIT_NAMES]
    if unknown:
        known = nearest(unknown[0], SPLIT_NAMES)
        raise DataError(
            f"split_names: {unknown[0]!r} says no split.{known} Another word is given with what it means: '{unknown[0]}=test'."
        )
    return {word.strip().lower(): SPLIT_NAMES[split.strip().lower()] for word, split in pairs}


def split_named(name: str, words: Mapping[str, str] = SPLIT_NAMES) -> str | None:
    """Split in the name of a table or Hub split (`train-00000-of-00002`, `reviews_dev`); None when none or several."""
    if name.lower() in words:
        return words[name.lower()]
    found = {words[word] for word in map(_unnumbered, re.split(r"[^a-z]+", name.lower())) if word in words}
    return found.pop() if len(found) == 1 else None


def _unnumbered(word: str) -> str:
    """`testa` and `testb` are two parts of the test data."""
    return word[:-1] if word[:-1] in ("train", "test", "dev", "val") and word[-1:] in ("a", "b", "c") else word


def split_folder(folder: str, words: Mapping[str, str] = SPLIT_NAMES) -> str | None:
    """The word that a folder's name says a split with (`train`, `training_set`, `seg_test`); None: it says none."""
    plain = folder.lower()
    if plain in words:
        return plain
    if dict(words) != SPLIT_NAMES:  # the user has said which words do
        return None
    parts = [part for part in re.split(r"[^a-z]+|(?<=train)(?=set|data)|(?<=test)(?=set|data)", plain) if part]
    found = [part for part in parts if part in words and part != "pool"]
    return found[0] if len(found) == 1 and set(parts) - set(found) <= FILLERS else None


def split_of(path: Path, root: Path, *, by_stem: bool, words: Mapping[str, str] = SPLIT_NAMES) -> str | None:
    """Split of a file: from the folders above it, else (`by_stem`) from its own name.

    The outermost folder decides, but for `train/unsup`, which is not train. The name of a raw document never decides
    (`test-drive.txt` is no test split), that of a table does.
    """
    said = _split_of_folders(folders_above(path_below(path, root) or path.name), frozenset(words.items()))
    return said or (split_named(stem(path), words) if by_stem else None)


@functools.lru_cache(4096)
def _split_of_folders(folders: tuple[str, ...], words: frozenset[tuple[str, str]]) -> str | None:
    known = dict(words)
    splits = [known[word] for folder in folders if (word := split_folder(folder, known))]
    return "unlabeled" if "unlabeled" in splits else next(iter(splits), None)


def split_word(path: Path, root: Path, words: Mapping[str, str]) -> str:
    """The word by which `split_of` knows a file's split: of its folders, else of its name."""
    folders = [
        word for folder in folders_above(path_below(path, root) or path.name) if (word := split_folder(folder, words))
    ]
    own = [stem(path).lower(), *re.split(r"[^a-z]+", stem(path).lower())]
    return next((word for word in (*folders, *own) if word in words), "")


def note_words(
    groups: Mapping[str | None, Sequence[Path]], root: Path, words: Mapping[str, str], report: DataReport
) -> None:
    """Keep for later messages by which word each split was known."""
    said = {split: split_word(group[0], root, words) for split, group in groups.items() if split}
    report.facts.setdefault("split_words", {}).update(said)


@functools.lru_cache(4096)
def parts_of(path: Path | str) -> tuple[str, ...]:
    """Folders and name; archives that were packed on Windows leave names such as `train\\cat\\1.png`."""
    return tuple(part for whole in Path(path).parts for part in whole.split("\\") if part)


def folders_above(path: Path | str) -> tuple[str, ...]:
    """`parts_of(path)` without the name; a folder is taken apart once for all of its files."""
    end = max(str(path).rfind("/"), str(path).rfind("\\"))
    return parts_of(str(path)[:end]) if end >= 0 else ()


def partitions(path: Path | str) -> dict[str, str | None]:
    """Columns that folders hold (`label=pos/part-0.parquet`), as Hive, Spark and pandas write tables."""
    found: dict[str, str | None] = {}
    for folder in folders_above(path):
        if (match := _PARTITION.fullmatch(folder)) and split_folder(folder) is None:
            value = unquote(match[2])
            found[match[1]] = None if value == "__HIVE_DEFAULT_PARTITION__" else value
    return found


def plain_folders(path: str, words: Mapping[str, str] = SPLIT_NAMES) -> list[str]:
    """Folders above a file that say no split; of `label=pos` what it says."""
    folders = [folder for folder in folders_above(path) if split_folder(folder, words) is None]
    return [match[2] if (match := _PARTITION.fullmatch(folder)) else folder for folder in folders]


def ambiguous_folders(files: Iterable[Path], root: Path, words: Mapping[str, str]) -> list[str]:
    """Folders called as a split is that stand beside folders that are not: a class `pool` beside `garden`, or a split?

    Plain words for unlabeled data (`unlabeled`, `unsup`) mean what they say; `train` and `test` that hold the same
    folders of classes are splits.
    """
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    direct: Counter[tuple[str, ...]] = Counter()
    for file in files:
        folders = folders_above(path_below(file, root) or file.name)
        direct[folders] += 1
        for depth in range(len(folders)):
            below[folders[:depth]].add(folders[depth])
    found: dict[str, None] = {}
    for parent, names in below.items():
        called = {name: word for name in names if (word := split_folder(name, words))}
        others = names - set(called)
        for name, word in sorted(called.items()):
            plain = words[word] == "unlabeled" and word != "pool"
            holds_classes = bool(below.get((*parent, name)))
            inside_split = any(split_folder(part, words) for part in parent)
            if others and not plain and (inside_split or not holds_classes):
                found[name] = None
    return list(found)


def which_is_meant(doubtful: Sequence[str], files: Iterable[Path], root: Path, words: Mapping[str, str]) -> str:
    """The readings of folders that `ambiguous_folders` found, with the options for each."""
    above = [folders_above(path_below(file, root) or file.name) for file in files]
    known = sorted({word for names in above for part in names if (word := split_folder(part, words))})
    others = [name for name in known if name not in {split_folder(folder, words) for folder in doubtful}]
    word = split_folder(doubtful[0], words)  # a class called as the split around it
    inside = any(doubtful[0] in names[1:] and split_folder(names[0], words) == word for names in above)
    otherwise = " with folder_level='last'" if inside else f"; if it is a split: split_names={known}"
    return (
        f"The folder {doubtful[0]!r} is called as a split is, and stands beside folders that are not. If it is a class: "
        f"split_names={others}{otherwise}."
    )


def check_bad_files(
    quarantined: list[dict[str, str]],
    total: int,
    report: DataReport,
    unit: str = "files",
    hint: str = "",
    within: str = "",
) -> None:
    """Say which files cannot be used; stop when they are too many: then the data, or an option, is wrong.

    Raises:
        DataError: names the first files and what is wrong with them.
    """
    if not quarantined:
        return
    shown = "".join(f"\n  {item['path']}: {item['reason']}" for item in quarantined[:5])
    more = f"\n  ... and {len(quarantined) - 5} more" if len(quarantined) > 5 else ""
    text = f"{len(quarantined)} of {total} {unit} cannot be used"
    most, gone = report.lose(within, len(quarantined), total)
    if gone > report.max_left_out * most:
        others = (
            f", with {gone - len(quarantined)} of {most} left out for other reasons" if gone > len(quarantined) else ""
        )
        raise DataError(
            f"{text}{others} (more than max_left_out={report.max_left_out:g}):{shown}{more}"
            + (f"\n{hint}." if hint else "")
            + (f"\nTo go on without them: max_left_out={rounded_up(gone / most)}." if gone < most else "")
        )
    kinds = Counter(kind_of_reason(item["reason"]) for item in quarantined)
    shown = "; ".join(f"{count} {reason}" for reason, count in kinds.most_common(3))
    report.warn(f"{text} ({shown}), such as {quarantined[0]['path']}" + (f". {hint}" if hint else ""))


def is_document(path: Path) -> bool:
    """Whether a file tells about data rather than being data: README, license, settings, code."""
    name = path.name.lower()
    return (
        path.suffix.lower() in DOCUMENTS
        or name == "dicomdir"  # a list of the files beside it
        or _PAPER.match(name) is not None
    )


def is_text_inside(file: Path, folders: Collection[Path]) -> bool:
    """Whether a document such as a .docx lies in one of these folders of data, and does not tell about them by its name."""
    return file.parent in folders and file.suffix.lower() in WRITTEN and not _PAPER.match(file.name.lower())


def without_papers(raw: list[Path], root: Path) -> tuple[list[Path], list[Path]]:
    """Files to read, and those that tell about the others: a README in a folder of texts or beside such, lists of names of files."""
    papers = [file for file in raw if file.suffix.lower() in (".txt", ".text", ".md") and file.parent == root]
    if len(papers) == len(raw) or len(papers) > 20:
        return raw, []
    inside = Counter(file.parent for file in raw)
    named = [
        file for file in raw if file.parent != root and _PAPER.match(file.name.lower()) and inside[file.parent] > 3
    ]
    alone = named if len({file.parent for file in named}) == len(named) <= 20 else []
    apart = {*(file for file in papers if is_document(file) or lists_files(file)), *alone}
    return [file for file in raw if file not in apart], sorted(apart)


def lists_files(file: Path) -> bool:
    """Whether the first lines of a text file begin with names of files that lie beside or below it."""
    with file.open("rb") as stream:
        lines = [stream.readline(2000).decode("utf-8", "replace") for _ in range(5)]
    names = [re.split(r"[\s,;]", line.strip())[0].replace("\\", "/").lstrip("/") for line in lines if line.strip()]
    return bool(names) and all("." in name and "\0" not in name and (file.parent / name).is_file() for name in names)


def _names_stem(file: Path, stems: set[str]) -> str:
    """The first line of a text file whose lines begin with the name of another, without its suffix (`19-198-0001 HE SAID`); "": none is."""
    if (
        suffix(file) not in (".txt", ".text") or file.name.split(".")[0] in stems
    ):  # which says something of one file alone, as YOLO's do
        return ""
    with file.open("rb") as stream:
        lines = [stream.readline(2000).decode("utf-8", "replace").strip() for _ in range(5)]
    first = [line.split() for line in lines if line]
    return lines[0] if first and all(len(words) > 1 and words[0].strip(",;|") in stems for words in first) else ""


def looks_tabbed(file: Path) -> bool:
    """Whether the first lines of a text file hold as many tabs each."""
    with file.open("rb") as stream:
        counts = {line.count(b"\t") for _ in range(10) if (line := stream.readline(4000)).strip()}
    return len(counts) == 1 and counts != {0}


def what_they_say(files: list[Path], stems: set[str], in_tables: bool) -> str:
    """What files that are not read may say of those that are, which are called by these `stems`, and how to say it; "" for nothing.

    Args:
        in_tables: tables may name the files that are read.
    """
    if any(suffix(file) in (".txt", ".text", ".md") and lists_files(file) for file in files[:20]):
        table = "write a table with the columns path and label for each split (train.csv, test.csv)"
        return f"They list other files: {table if in_tables else 'lay those of each split into a folder called train or test'}"
    if in_tables and (line := next((line for file in files[:20] if (line := _names_stem(file, stems))), "")):
        return (
            f"Their lines say what is in other files ({line[:40]!r}): write a table with the columns path and text, a row per file; "
            "label_kind='transcript' takes that column as the answer"
        )
    for file in [file for file in files if suffix(file) in (".txt", ".text") and file.name.split(".")[0] not in stems][
        :20
    ]:
        if looks_tabbed(file):
            return f"{file.name} looks like a table: let its name end in .tsv"
    return ANNOTATIONS if sum(file.name.split(".")[0] in stems for file in files) >= 0.5 * len(files) else ""


def short(path: str, root: Path | None) -> str:
    """Below the data's own folder, or the bare name: a report tells nothing about the rest of the disk."""
    if not Path(path).is_absolute():
        return path
    return Path(path).relative_to(root).as_posix() if root and Path(path).is_relative_to(root) else Path(path).name
