"""Any source → rows that are read as they are asked for, cut into shards, and what tells this source from others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import stem, suffix
from hf_ssl.data.readers import files as on_disk
from hf_ssl.data.readers.folders import ReadOptions
from hf_ssl.data.readers.listing import find_files
from hf_ssl.data.readers.sources import hub_id_of, open_hub
from hf_ssl.data.stream.files import JSON_LINES, TABLES, FileRows, holds_lists, numeric_columns, shards_of
from hf_ssl.data.stream.names import Found, Names, walk

STREAMED = (*JSON_LINES, *TABLES, ".parquet")
HELD_OUT = ("validation", "test")


@dataclass
class Opened:
    """A source that was opened.

    Args:
        rows: every row of it, in shards.
        folders: where relative paths in its rows may begin.
        identity: tells it from other sources as far as can be told without reading it.
    """

    rows: datasets.IterableDataset
    folders: tuple[Path, ...]
    identity: str


def open_stream(source: object, how: ReadOptions) -> Opened:
    """Open what can be read more than once, from any place on.

    Raises:
        DataError: it cannot, or nothing is there.
    """
    if isinstance(source, (str, Path)):
        if (hub_id := hub_id_of(source, how)) is not None:
            return _of_mapping(open_hub(hub_id, how), how, f"{hub_id} {how.data_config} {how.data_revision}")
        return _of_files(_found(str(source), how), how)
    if isinstance(source, datasets.IterableDataset):
        return Opened(source, (), f"{source.features} {source.num_shards}")
    if isinstance(source, datasets.Dataset):
        return Opened(source.to_iterable_dataset(min(64, len(source))), (), source._fingerprint)
    if (
        isinstance(source, Mapping)
        and source
        and all(isinstance(v, datasets.IterableDataset) for v in source.values())
    ):
        return _of_mapping(source, how, " ".join(map(str, source)))
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, Path) for item in source):
        paths = [Path(item).expanduser().resolve() for item in source]
        root = Path(*_common(paths))
        return _of_files(Found(root, [path.relative_to(root).as_posix() for path in paths]), how)
    raise DataError(
        f"streaming=True reads files, folders, Hub datasets and datasets.IterableDataset; {type(source).__name__} cannot be gone through again "
        "after an interruption. Wrap what makes its rows: datasets.IterableDataset.from_generator(make)."
    )


def pool_apart(source: object, how: ReadOptions) -> tuple[list[Path], list[Path]] | None:
    """Files of a folder that are the pool by their name (`unlabeled.jsonl`, `unlabeled/`), and the others; None: it is not like that."""
    if not isinstance(source, (str, Path)) or not Path(source).expanduser().is_dir():
        return None
    root = Path(source).expanduser()
    named = {entry.name: on_disk.split_named(stem(entry), how.words) for entry in root.iterdir()}
    if "unlabeled" not in named.values() or all(split == "unlabeled" for split in named.values()):
        return None
    files = [root / name for name in walk(root, how.follow_links).names]
    pool = [file for file in files if named.get(file.relative_to(root).parts[0]) == "unlabeled"]
    rest = [file for file in files if file not in set(pool) and not on_disk.is_document(file)]
    return (pool, rest) if pool and rest else None


def _common(paths: Sequence[Path]) -> tuple[str, ...]:
    import os.path

    return Path(os.path.commonpath([str(path.parent) for path in paths])).parts


def _of_mapping(found: Mapping[str, datasets.IterableDataset], how: ReadOptions, identity: str) -> Opened:
    """The splits of a dataset that may be trained on, one after the other."""
    used = {}
    for name, rows in found.items():
        if on_disk.split_named(str(name), how.words) in HELD_OUT:
            how.report.decide(
                f"split {name!r} is not streamed: it is there to measure on (give it as {name}=... to use it)"
            )
        else:
            used[name] = rows
    if not used:
        raise DataError(f"The splits are {', '.join(map(str, found))}: none of them is there to be trained on.")
    parts = list(used.values())
    return Opened(parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts), (), identity)


def _found(source: str, how: ReadOptions) -> Found:
    path = Path(source).expanduser()
    if path.is_dir():
        found = walk(path, how.follow_links, how.ignore_folders)
        if found.links:
            how.report.leave_out(
                "files", "links that lead out of the data folder", len(found.links), len(found.names) + len(found.links),
                example=found.links[0], hint="follow_links=True follows them",
            )  # fmt: skip
    else:
        listing = find_files(source, how.follow_links, how.ignore_folders)
        found = Found(listing.root, [file.relative_to(listing.root).as_posix() for file in listing.files])
    if not found.names:
        raise DataError(f"No files found in {source}.")
    return found


def _of_files(found: Found, how: ReadOptions) -> Opened:
    names = _one_kind(found, how)
    kind = suffix(Path(names[0]))
    if kind not in STREAMED or how.modality.recognizes(found.root / names[0]):
        kind = "lines" if _by_lines(how) else ""
    rows = FileRows(
        str(found.root), Names(names), kind, how.modality, how.encoding, dict(how.csv_options or {})
    )  # fmt: skip
    own = how.modality.config
    if how.modality.moments and kind in (*TABLES, ".parquet") and not holds_lists(rows):
        if getattr(own, "item_column", None):
            raise DataError(
                "item_column: a table with several series cannot be streamed. Write each series into a file of its own, or "
                "whole series into the rows of a parquet file."
            )
        apart = [name for name in (own.timestamp_column, own.time_column, *own.static_columns) if name]
        rows.channels = numeric_columns(rows, own.target_columns, apart)
        how.report.decide(f"one long series of {len(rows.channels)} channels: {', '.join(rows.channels[:8])}")
    shards = shards_of(rows)
    how.files[kind or suffix(Path(names[0]))] += len(names)
    how.report.decide(f"streamed: {len(names):,} files in {len(shards):,} parts")
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass"))
    if kind:
        digest.update(str([rows.path(number).stat().st_size for number in range(len(names))]).encode())
    folders = (found.root, *sorted({(found.root / name).parent for name in names[:1000]}))
    stream = datasets.IterableDataset.from_generator(rows, gen_kwargs={"shards": shards})
    return Opened(stream, folders, digest.hexdigest())


def _by_lines(how: ReadOptions) -> bool:
    return getattr(how.modality.config, "txt", None) == "lines"


def _one_kind(found: Found, how: ReadOptions) -> list[str]:
    """Files to train on: of one kind, and in no place that is called as held-out data are.

    Raises:
        DataError: there are several kinds, or none.
    """
    own, others, held = tuple(how.modality.suffixes), 0, 0
    kinds: dict[str, list[str]] = {}
    known: dict[tuple[str, str], str | None] = {}
    for name in found.names:
        folder, _, base = name.rpartition("/")
        kind = "".join(Path(base.lower().removesuffix(".gz")).suffixes[-1:])
        if kind in STREAMED:
            group = "json lines" if kind in JSON_LINES else kind
        elif kind in own:
            group = how.modality.name
        else:
            others += 1
            continue
        key = (folder, base if kind in STREAMED else "")
        if key not in known:
            path = found.root / folder / (base if key[1] else "-")
            known[key] = on_disk.split_of(path, found.root, by_stem=bool(key[1]), words=how.words)
        if known[key] in HELD_OUT:
            held += 1
            continue
        kinds.setdefault(group, []).append(name)
    account = how.report.account("files")
    account.found += len(found.names)
    for count, reason in (
        (held, "in a place called as held-out data are"),
        (others, "of a kind that is not streamed"),
    ):
        how.report.leave_out("files", reason, count, len(found.names), warn=False)
    if not kinds:
        raise DataError(
            f"None of the {len(found.names):,} files can be streamed. Known: {', '.join(STREAMED)}, and {how.modality.name} "
            f"({', '.join(own)}). A .json file has to be read as a whole: write it as .jsonl, one row per line."
        )
    if len(kinds) > 1:
        shown = ", ".join(f"{len(names):,} {kind}" for kind, names in kinds.items())
        raise DataError(
            f"Files of several kinds ({shown}): which are the data? Give a pattern, such as 'FOLDER/**/*.jsonl'."
        )
    (names,) = kinds.values()
    account.used += len(names)
    return names
