"""Any source → a list of parts: a dataset, and the split its place says it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np

from hf_ssl.core.errors import DataError, nearest
from hf_ssl.core.paths import suffix
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers.folders import ReadOptions, SourcePart, file_kind, read_files
from hf_ssl.data.readers.listing import Listing, find_files, is_pattern
from hf_ssl.data.readers.tables import from_rows, quiet

if TYPE_CHECKING:
    import pandas as pd

STREAM_BOUND = 100_000
_SAVED = ("state.json", "dataset_dict.json")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def read_source(source: object, how: ReadOptions) -> list[SourcePart]:
    """Read whatever the user has.

    Raises:
        DataError: nothing is there, or it is of no known kind.
    """
    parts = _read(source, how)
    for part in parts:
        if not how.as_is:
            part.dataset = how.modality.canonicalize(part.dataset, [*part.folders])
        how.report.account("rows").found += len(part.dataset)
    if not parts or not any(len(part.dataset) for part in parts):
        bad = "".join(f"\n  {item['path']}: {item['reason']}" for item in how.report.quarantined[:5])
        raise DataError(f"{describe_source(source)} holds no rows.{bad}")
    return [_sample(part, how) for part in parts if len(part.dataset)]


def describe_source(source: object) -> str:
    """Name of a source without the user's folders around it."""
    if isinstance(source, (str, Path)):
        text = str(source)
        return Path(text).name or text if Path(text).expanduser().exists() else text
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, Path)):
        return f"list of {len(source):,}"
    return type(source).__name__


def _read(source: object, how: ReadOptions) -> list[SourcePart]:
    import pandas as pd

    if isinstance(source, (str, Path)):
        return _read_name(source, how)
    if isinstance(source, pd.DataFrame):
        return [SourcePart(None, _from_pandas(source), "DataFrame")]
    if isinstance(source, datasets.Dataset):
        return [SourcePart(None, source, "Dataset")]
    if isinstance(source, datasets.IterableDataset):
        stream = how.modality.canonicalize(source)
        return [SourcePart(None, _take(stream, how, "the stream", stream.features), "stream")]
    if isinstance(source, Mapping):
        return _read_mapping(source, how)
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, Path)) for item in source):
        if paths := _existing(source, how):
            return read_files(Listing(Path(_common_root(paths)), paths), how)
    if isinstance(source, (list, tuple)):
        return [SourcePart(None, from_rows(list(source), text_column=how.modality.column), "list")]
    if isinstance(source, Iterable):
        return [SourcePart(None, _take(source, how, "the iterable", None), "iterable")]
    raise DataError(
        f"Cannot read data from {type(source).__name__}. Give a folder, file, pattern, list of files, Hub id, "
        "datasets.Dataset, pandas.DataFrame, or an iterable of dicts or strings."
    )


def _read_name(source: str | Path, how: ReadOptions) -> list[SourcePart]:
    text = str(source)
    if (saved := Path(text).expanduser()).is_dir() and any((saved / mark).is_file() for mark in _SAVED):
        with quiet():
            return _read(_saved(saved), how)
    if Path(text).expanduser().exists() or is_pattern(text):
        return read_files(find_files(text, how.follow_links, how.ignore_folders), how)
    if (hub_id := hub_id_of(source, how)) is not None:
        return _read_mapping(open_hub(hub_id, how), how)
    parent = Path(text).expanduser().parent
    siblings = [item.name for item in parent.iterdir()] if parent.is_dir() else []
    raise DataError(
        f"No such file or folder: {text}.{nearest(Path(text).name, siblings)} "
        "(A Hub dataset is written owner/name, or hf://name for an old one without owner.)"
    )


def _saved(folder: Path) -> datasets.Dataset | datasets.DatasetDict:
    """What `save_to_disk` of `datasets` wrote.

    Raises:
        DataError: it is damaged.
    """
    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever its readers of JSON and Arrow raise
        raise DataError(f"{folder.name} was saved by datasets, and cannot be read: {error}") from error


def hub_id_of(source: str | Path, how: ReadOptions) -> str | None:
    """The id of the Hub dataset that a source names; None: it names something here."""
    text = str(source)
    if Path(text).expanduser().exists() or is_pattern(text):
        return None
    hub_id = re.sub(r"^hf://(datasets/)?", "", text)
    looks_local = text.startswith((".", "/", "~")) or suffix(Path(text)) in on_disk.TABLES | on_disk.CONLL | {".txt"}
    named = isinstance(source, str) and (text.startswith("hf://") or (_HUB_ID.fullmatch(text) and not looks_local))
    return hub_id if named else None


def open_hub(hub_id: str, how: ReadOptions) -> Mapping[Any, Any]:
    """The only place in `hf_ssl.data` that uses the network: a Hub dataset's splits.

    Raises:
        DataError: it cannot be loaded.
    """
    options = {
        "name": how.data_config,
        "revision": how.data_revision,
        "cache_dir": how.cache_dir,
        "streaming": how.streaming,
    }
    try:
        return datasets.load_dataset(hub_id, **options)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{hub_id!r} is no file or folder here, and loading it as a Hub dataset failed: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def _read_mapping(source: Mapping[Any, Any], how: ReadOptions) -> list[SourcePart]:
    if not all(isinstance(value, (datasets.Dataset, datasets.IterableDataset)) for value in source.values()):
        if any(str(name).lower() in how.words for name in source):
            parts = []
            for name, value in source.items():
                parts += [
                    SourcePart(_known_split(str(name), how), part.dataset, str(name), part.root)
                    for part in _read(value, how)
                ]
            return parts
        return [SourcePart(None, datasets.Dataset.from_dict(dict(source)), "columns")]
    parts = []
    for name, value in source.items():
        if isinstance(value, datasets.IterableDataset):
            value = how.modality.canonicalize(value)
            value = _take(value, how, f"the stream {name!r}", value.features)
        parts.append(SourcePart(_known_split(str(name), how), value, str(name)))
    return parts


def _known_split(name: str, how: ReadOptions) -> str | None:
    split = on_disk.split_named(name, how.words)
    if split is None:
        how.report.decide(f"split {name!r} has no name that says what it is for: treated as rows to split")
    elif split != name:
        how.report.decide(f"split {name!r} used as {split}")
    return split


def _take(stream: Iterable[Any], how: ReadOptions, what: str, features: datasets.Features | None) -> datasets.Dataset:
    """The first rows of a stream; what is beyond the bound is never pulled."""
    bound = how.max_examples or STREAM_BOUND
    rows = list(islice(iter(stream), bound + 1))
    if len(rows) > bound:
        rows.pop()
        chosen = "" if how.max_examples else " (the default bound of streams; set max_examples)"
        how.report.decide(f"took the first {bound:,} rows of {what}{chosen}; there are more")
    else:
        how.report.decide(f"took all {len(rows):,} rows of {what}")
    return from_rows(rows, features=features, text_column=how.modality.column)


def _sample(part: SourcePart, how: ReadOptions) -> SourcePart:
    size = len(part.dataset)
    if how.max_examples is None or size <= how.max_examples:
        return part
    rows = np.sort(np.random.default_rng(how.seed).choice(size, how.max_examples, replace=False))
    how.report.decide(f"took {how.max_examples:,} of {size:,} rows of {part.origin} at random (max_examples)")
    how.report.leave_out("rows", "not drawn (max_examples)", size - how.max_examples, size, warn=False)
    with quiet():
        return replace(part, dataset=part.dataset.select(rows).flatten_indices())


def _from_pandas(frame: pd.DataFrame) -> datasets.Dataset:
    """A frame's columns, and its index where that means something: time stamps, or levels with names."""
    import pandas as pd

    if isinstance(frame.index, pd.PeriodIndex):
        frame = frame.set_axis(frame.index.to_timestamp(), axis=0)
    if isinstance(frame.index, pd.DatetimeIndex) and frame.index.name is None:
        frame = frame.rename_axis("timestamp" if "timestamp" not in frame.columns else "index")
    if any(name is not None for name in frame.index.names):
        names = [name for name in frame.index.names if name is not None]
        if not any(name in frame.columns for name in names):
            frame = frame.reset_index(level=names)
    # A categorical column would become a dictionary array that `datasets` cannot index by name.
    plain = {
        name: frame[name].astype(object)
        for name in frame.columns[~frame.columns.duplicated()]
        if str(frame[name].dtype) == "category"
    }
    names = [str(name).strip() for name in frame.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"Several columns of the DataFrame are called {twice[0]!r}; rename all but one.")
    frame = frame.assign(**plain)
    frame.columns = names
    try:
        return datasets.Dataset.from_pandas(frame, preserve_index=False)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"A column of the DataFrame mixes types: {str(error).splitlines()[0]}") from error


def _existing(source: Iterable[str | Path], how: ReadOptions) -> list[Path]:
    """The files of a list, or nothing when the strings are texts rather than names of files."""
    paths = [
        Path(item).expanduser() for item in source if isinstance(item, Path) or len(item) < 1024 and "\n" not in item
    ]
    missing = [path for path in paths if not _is_file(path)]
    named = [path for path in missing if file_kind(path, how) != "other" and " " not in path.name]
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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text longer than the name of a file may be
        return False
