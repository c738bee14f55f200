"""Any source → a list of parts: a dataset, and the split its place says it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.paths import stem, suffix
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers.conll import read_conll
from hf_ssl.data.readers.tables import from_rows, quiet, read_tables
from hf_ssl.data.report import Ledger

STREAM_BOUND = 100_000
FOLDER_LABEL = "folder"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass
class Part:
    """Rows from one place; `split` is None when the place does not say, `root` the folder that their paths start from."""

    split: str | None
    dataset: datasets.Dataset
    origin: str
    root: Path | None = None


@dataclass
class Reading:
    """How to read, and where to write down what was found.

    See `load_data` for the options; `modality` is an object with the data side of `hf_ssl.modalities.base.Modality`.
    """

    modality: Any
    ledger: Ledger
    label_kind: str | None = None
    txt: str = "file"
    encoding: str = "utf-8-sig"
    folder_labels: bool | None = None
    sheet: bool = False
    csv_options: dict[str, Any] | None = None
    conll_columns: tuple[int, int] | None = None
    max_examples: int | None = None
    seed: int = 0
    config_name: str | None = None
    revision: str | None = None
    streaming: bool = False
    cache_dir: str | None = None
    files: Counter[str] = field(default_factory=Counter)


def read_source(source: Any, how: Reading) -> list[Part]:
    """Read whatever the user has.

    Raises:
        DataError: nothing is there, or it is of no known kind.
    """
    parts = _read(source, how)
    for part in parts:
        part.dataset = how.modality.adopt(part.dataset, _folders_of(source))
    if not parts or not any(len(part.dataset) for part in parts):
        bad = "".join(f"\n  {item['path']}: {item['reason']}" for item in how.ledger.quarantined[:5])
        raise DataError(f"{describe_source(source)} holds no rows.{bad}")
    return [_sample(part, how) for part in parts if len(part.dataset)]


def _folders_of(source: Any) -> list[Path]:
    """Where relative paths inside a source may begin: its folder, and the folders of its tables."""
    if isinstance(source, (str, Path)) and (Path(source).expanduser().exists() or on_disk.is_pattern(str(source))):
        root, found = on_disk.find_files(source)
    elif isinstance(source, (list, tuple)) and source and all(isinstance(item, Path) for item in source):
        root, found = Path(_common_root(list(source))), list(source)
    else:
        return []
    tables = {file.parent for file in found if suffix(file) in on_disk.TABLES}
    return [root, *sorted(tables)]


def describe_source(source: Any) -> str:
    """Name of a source without the user's folders around it."""
    if isinstance(source, (str, Path)):
        text = str(source)
        return Path(text).name or text if Path(text).expanduser().exists() else text
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, Path)):
        return f"list of {len(source):,}"
    return type(source).__name__


def _read(source: Any, how: Reading) -> list[Part]:
    import pandas as pd

    if isinstance(source, (str, Path)):
        return _read_name(source, how)
    if isinstance(source, pd.DataFrame):
        return [Part(None, _from_pandas(source), "DataFrame")]
    if isinstance(source, datasets.Dataset):
        return [Part(None, source, "Dataset")]
    if isinstance(source, datasets.IterableDataset):
        source = how.modality.adopt(source)
        return [Part(None, _take(source, how, "the stream", source.features), "stream")]
    if isinstance(source, Mapping):
        return _read_mapping(source, how)
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        if paths := _existing(source, how):
            return _read_files(Path(_common_root(paths)), paths, how)
    if isinstance(source, (list, tuple)):
        return [Part(None, from_rows(list(source), text_column=how.modality.column), "list")]
    if isinstance(source, Iterable):
        return [Part(None, _take(source, how, "the iterable", None), "iterable")]
    raise DataError(
        f"Cannot read data from {type(source).__name__}. Give a folder, file, pattern, list of files, Hub id, "
        "datasets.Dataset, pandas.DataFrame, or an iterable of dicts or strings."
    )


def _read_name(source: str | Path, how: Reading) -> list[Part]:
    text = str(source)
    if Path(text).expanduser().exists() or on_disk.is_pattern(text):
        root, found = on_disk.find_files(text)
        return _read_files(root, found, how)
    hub_id = re.sub(r"^hf://(datasets/)?", "", text)
    looks_local = text.startswith((".", "/", "~")) or suffix(Path(text)) in on_disk.TABLES | on_disk.CONLL | {".txt"}
    if isinstance(source, str) and (text.startswith("hf://") or (_HUB_ID.fullmatch(text) and not looks_local)):
        return _read_hub(hub_id, how)
    parent = Path(text).expanduser().parent
    siblings = [item.name for item in parent.iterdir()] if parent.is_dir() else []
    raise DataError(
        f"No such file or folder: {text}.{nearest(Path(text).name, siblings)} "
        "(A Hub dataset is written owner/name, or hf://name for an old one without owner.)"
    )


def _read_hub(hub_id: str, how: Reading) -> list[Part]:
    """The only place in `hf_ssl.data` that uses the network."""
    options = {
        "name": how.config_name,
        "revision": how.revision,
        "cache_dir": how.cache_dir,
        "streaming": how.streaming,
    }
    try:
        found = datasets.load_dataset(hub_id, **options)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{hub_id!r} is no file or folder here, and loading it as a Hub dataset failed: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    return _read_mapping(found, how)


def _read_mapping(source: Mapping[Any, Any], how: Reading) -> list[Part]:
    if not all(isinstance(value, (datasets.Dataset, datasets.IterableDataset)) for value in source.values()):
        if any(str(name).lower() in on_disk.SPLIT_NAMES for name in source):
            parts = []
            for name, value in source.items():
                parts += [
                    Part(_known_split(str(name), how), part.dataset, str(name), part.root)
                    for part in _read(value, how)
                ]
            return parts
        return [Part(None, datasets.Dataset.from_dict(dict(source)), "columns")]
    parts = []
    for name, value in source.items():
        if isinstance(value, datasets.IterableDataset):
            value = how.modality.adopt(value)
            value = _take(value, how, f"the stream {name!r}", value.features)
        parts.append(Part(_known_split(str(name), how), value, str(name)))
    return parts


def _known_split(name: str, how: Reading) -> str | None:
    split = on_disk.split_named(name)
    if split is None:
        how.ledger.decide(f"split {name!r} has no name that says what it is for: treated as rows to split")
    elif split != name:
        how.ledger.decide(f"split {name!r} used as {split}")
    return split


def _read_files(root: Path, found: list[Path], how: Reading) -> list[Part]:
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for file in found:
        by_kind[_file_kind(file, how)].append(file)
    skipped = Counter(suffix(file) or "no suffix" for file in by_kind.pop("other", []))
    if skipped:
        how.ledger.decide("skipped files: " + ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items())))
    if by_kind["table"] and by_kind["raw"]:
        kept, left = ("raw", "table") if how.sheet else ("table", "raw")
        named = how.modality.tables_name_files
        hint = "" if how.sheet or named else "; if a table labels those files, give it as labels=..."
        how.ledger.decide(f"tables and {how.modality.name} files found: used the {kept} files{hint}")
        by_kind.pop(left)
    bad = how.ledger.quarantined
    before = len(bad)
    parts = _conll_parts(root, by_kind["conll"], how) + _table_parts(root, by_kind["table"], how)
    parts += _raw_parts(root, by_kind["raw"], how)
    for part in parts:
        part.root = root
    used = [file for kind in by_kind.values() for file in kind]
    if not used:
        raise DataError(
            f"None of the {len(found)} files is of a known kind ({', '.join(sorted(skipped))}). "
            f"Known: tables ({', '.join(sorted(on_disk.TABLES))}), "
            f"{how.modality.name} ({', '.join(how.modality.suffixes)})."
        )
    how.files.update(suffix(file) for file in used)
    on_disk.check_bad_files(bad[before:], len(used))
    return parts


def _file_kind(file: Path, how: Reading) -> str:
    kind = suffix(file)
    if kind in on_disk.TABLES and how.modality.claims(file):
        return "raw"
    if kind in on_disk.CONLL or (how.label_kind == "tags" and kind == ".txt"):
        return "conll"
    if kind in on_disk.TABLES:
        return "table"
    return "raw" if kind in how.modality.suffixes else "other"


def _by_split(files: list[Path], root: Path, *, by_stem: bool) -> dict[str | None, list[Path]]:
    groups: dict[str | None, list[Path]] = defaultdict(list)
    for file in files:
        groups[on_disk.split_of(file, root, by_stem=by_stem)].append(file)
    return groups


def _conll_parts(root: Path, files: list[Path], how: Reading) -> list[Part]:
    options: dict[str, Any] = {"columns": how.conll_columns, "encoding": how.encoding}
    return [
        Part(split, read_conll(group, root, how.ledger.quarantined, **options), "conll files")
        for split, group in _by_split(files, root, by_stem=True).items()
    ]


def _table_parts(root: Path, files: list[Path], how: Reading) -> list[Part]:
    options: dict[str, Any] = {"encoding": how.encoding, "csv_options": how.csv_options, "cache_dir": how.cache_dir}
    parts = []
    for split, group in _by_split(files, root, by_stem=True).items():
        names = ", ".join(file.name for file in group[:3]) + (" ..." if len(group) > 3 else "")
        parts += [Part(split, table, names) for table in read_tables(group, root, how.ledger.quarantined, **options)]
    return parts


def _raw_parts(root: Path, files: list[Path], how: Reading) -> list[Part]:
    """One row per file (or line). Folders between the split's and the file are classes when they look like classes."""
    names_splits = bool(files) and all(stem(file).lower() in on_disk.SPLIT_NAMES for file in files)
    contained = bool(files) and all(suffix(file) in how.modality.containers for file in files)
    modality, by_stem = how.modality, how.txt == "lines" or names_splits or contained
    if names_splits and how.txt == "file" and modality.name == "text":
        how.ledger.decide("files are called train, test ...: read one example per line, not one per file")
        modality = type(modality)(replace(modality.config, txt="lines"))
    parts = []
    for split, group in _by_split(files, root, by_stem=by_stem).items():
        bad: list[dict[str, str]] = []
        dataset = modality.read_files(group, root, bad)
        how.ledger.quarantined += [{**item, "path": _short(item["path"], root)} for item in bad]
        parts.append(Part(split, dataset, f"{how.modality.name} files"))
    return _label_by_folder(parts, how)


def _label_by_folder(parts: list[Part], how: Reading) -> list[Part]:
    if how.sheet or how.folder_labels is False or not parts:
        return parts
    classes = [on_disk.class_folders(part.dataset["path"]) for part in parts]
    labeled = [name for part, names in zip(parts, classes, strict=True) if part.split != "unlabeled" for name in names]
    if not how.folder_labels and not on_disk.looks_like_classes(labeled):
        return parts
    how.ledger.decide(
        f"labels are the folder names ({len(set(labeled) - {None})} classes); folder_labels=False turns that off"
    )
    value = datasets.Value("string")
    for part, names in zip(parts, classes, strict=True):
        if part.split != "unlabeled":
            part.dataset = part.dataset.add_column(FOLDER_LABEL, names, feature=value)
    return parts


def _take(stream: Iterable[Any], how: Reading, what: str, features: datasets.Features | None) -> datasets.Dataset:
    """The first rows of a stream; what is beyond the bound is never pulled."""
    bound = how.max_examples or STREAM_BOUND
    rows = list(islice(iter(stream), bound + 1))
    if len(rows) > bound:
        rows.pop()
        chosen = "" if how.max_examples else " (the default bound of streams; set max_examples)"
        how.ledger.decide(f"took the first {bound:,} rows of {what}{chosen}; there are more")
    else:
        how.ledger.decide(f"took all {len(rows):,} rows of {what}")
    return from_rows(rows, features=features, text_column=how.modality.column)


def _sample(part: Part, how: Reading) -> Part:
    size = len(part.dataset)
    if how.max_examples is None or size <= how.max_examples:
        return part
    rows = np.sort(np.random.default_rng(how.seed).choice(size, how.max_examples, replace=False))
    how.ledger.decide(f"took {how.max_examples:,} of {size:,} rows of {part.origin} at random (max_examples)")
    with quiet():
        return Part(part.split, part.dataset.select(rows).flatten_indices(), part.origin, part.root)


def _from_pandas(frame: Any) -> datasets.Dataset:
    # A categorical column would become a dictionary array that `datasets` cannot index by name.
    plain = {name: frame[name].astype(object) for name in frame if str(frame[name].dtype) == "category"}
    frame = frame.assign(**plain)
    frame.columns = [str(name) for name in frame.columns]
    try:
        return datasets.Dataset.from_pandas(frame, preserve_index=False)
    except (ValueError, TypeError) as error:
        raise DataError(f"A column of the DataFrame mixes types: {str(error).splitlines()[0]}") from error


def _existing(source: Iterable[str | Path], how: Reading) -> list[Path]:
    """The files of a list, or nothing when the strings are texts rather than names of files."""
    paths = [
        Path(item).expanduser() for item in source if isinstance(item, Path) or len(item) < 1024 and "\n" not in item
    ]
    missing = [path for path in paths if not _is_file(path)]
    named = [path for path in missing if _file_kind(path, how) != "other" and " " not in path.name]
    there = len(paths) - len(missing)
    if (
        there
        and missing
        or named
        and len(named) == len(missing) == len(paths)
        or any(isinstance(i, Path) for i in source)
        and missing
    ):
        raise DataError(f"{len(missing)} of {len(paths)} files do not exist, such as {missing[0]}.")
    return paths if there else []


def _common_root(paths: list[Path]) -> str:
    import os.path

    return os.path.commonpath([str(path.parent) for path in paths])


def _short(path: str, root: Path) -> str:
    return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else Path(path).name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text longer than the name of a file may be
        return False
