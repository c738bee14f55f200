"""Which files there are, which split and class their names say, and whether their bytes are text."""

from __future__ import annotations

import codecs
import glob
import gzip
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import stem

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "valid": "validation", "validation": "validation", "dev": "validation", "val": "validation",
    "test": "test", "testing": "test",
    "unlabeled": "unlabeled", "unlabelled": "unlabeled", "pool": "unlabeled",
    "unsup": "unlabeled", "unsupervised": "unlabeled",
}  # fmt: skip
TABLES = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet"}
CONLL = {".conll", ".conllu", ".iob", ".iob2", ".bio"}
MAX_BAD_FILES = 0.2
_GLOB = re.compile(r"[*?\[]")


def find_files(source: str | Path) -> tuple[Path, list[Path]]:
    """Files of a folder (nested), a pattern such as `data/**/*.csv`, or one file, sorted, without hidden ones.

    Returns:
        The folder that the names are relative to, and the files.

    Raises:
        DataError: nothing is there.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        root, found = path, [item for item in path.rglob("*") if item.is_file()]
    else:
        root = _fixed_part(path)
        found = [Path(item) for item in glob.glob(str(path), recursive=True) if Path(item).is_file()]
    files = sorted(item for item in found if not _hidden(item.relative_to(root)))
    if not files:
        hidden = f" ({len(found)} hidden files were left out)" if found else ""
        raise DataError(f"No files found in {source}{hidden}.")
    return root, files


def is_pattern(text: str) -> bool:
    return bool(_GLOB.search(text))


def split_named(name: str) -> str | None:
    """Split in the name of a table or Hub split (`train-00000-of-00002`, `reviews_dev`); None when none or several."""
    if name.lower() in SPLIT_NAMES:
        return SPLIT_NAMES[name.lower()]
    words = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_NAMES}
    return words.pop() if len(words) == 1 else None


def split_of(path: Path, root: Path, *, by_stem: bool) -> str | None:
    """Split of a file: from a folder above it, else (`by_stem`) from its own name.

    The name of a raw document never decides (`test-drive.txt` is no test split), that of a table does.
    """
    folders = [folder.lower() for folder in path.relative_to(root).parts[:-1]]
    splits = [SPLIT_NAMES[folder] for folder in folders if folder in SPLIT_NAMES]
    if splits:
        return "unlabeled" if "unlabeled" in splits else splits[0]  # train/unsup is not train
    return split_named(stem(path)) if by_stem else None


def class_folders(paths: Iterable[str]) -> list[str | None]:
    """Class of each raw file: its first folder that is no split name, or None for a file in no such folder."""
    classes: list[str | None] = []
    for path in paths:
        folders = [folder for folder in Path(path).parts[:-1] if folder.lower() not in SPLIT_NAMES]
        classes.append(folders[0] if folders else None)
    return classes


def looks_like_classes(classes: list[str | None]) -> bool:
    """Two or more folders, holding two files each on average: classes rather than one folder per document."""
    counts = Counter(name for name in classes if name is not None)
    return len(counts) >= 2 and sum(counts.values()) >= 2 * len(counts)


def undecodable(path: Path, encoding: str) -> str | None:
    """Why a file is not text in this encoding (with the byte offset), or None. Reads in pieces, whatever the size."""
    decoder = codecs.getincrementaldecoder(encoding)()
    before = 0
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    return _wrong_encoding(encoding, before - pending + error.start)
                before += len(piece)
        pending = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:  # the file ends within a character
        return _wrong_encoding(encoding, before - pending)
    except (OSError, EOFError) as error:
        return f"not readable: {error}"
    return None


def check_bad_files(quarantined: list[dict[str, str]], total: int) -> None:
    """Stop when more than one file in five is unusable: then the data, or an option, is wrong.

    Raises:
        DataError: names the first files and what is wrong with them.
    """
    if not quarantined or len(quarantined) <= MAX_BAD_FILES * total:
        return
    shown = "".join(f"\n  {item['path']}: {item['reason']}" for item in quarantined[:5])
    more = f"\n  ... and {len(quarantined) - 5} more" if len(quarantined) > 5 else ""
    raise DataError(
        f"{len(quarantined)} of {total} files cannot be used (more than {MAX_BAD_FILES:.0%}):{shown}{more}"
    )


def _wrong_encoding(encoding: str, offset: int) -> str:
    return f"not {encoding} at byte {offset}; name its encoding with `encoding`, such as latin-1"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in {"__MACOSX", "__pycache__"} for part in path.parts)


def _fixed_part(pattern: Path) -> Path:
    fixed = []
    for part in pattern.parts[:-1]:
        if is_pattern(part):
            break
        fixed.append(part)
    return Path(*fixed) if fixed else Path(".")
