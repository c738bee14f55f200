"""`load_data(..., streaming=True)`: the pool is a stream, what is labeled is read as always."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from hf_ssl.core.errors import DataError
from hf_ssl.core.option_groups import DataOptions
from hf_ssl.data.domain import DomainData
from hf_ssl.data.load import load_data, load_rows, read_options
from hf_ssl.data.readers.json_rows import JsonRows, table_of_rows
from hf_ssl.data.readers.sources import describe_source
from hf_ssl.data.report import DataReport
from hf_ssl.data.stream.sources import Opened, open_stream, pool_apart
from hf_ssl.data.stream.stream import Stream

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

NOT_OF_ROWS = {"data", "modality", "modality_options", "unlabeled", "validation", "test", "streaming", "max_examples", "labels_file",
               "group_column", "keep_columns", "encoding", "txt"}  # fmt: skip
"""Options that say nothing about a row that was read already."""


def stream_data(source: object, given: DataOptions, modality: Modality, cache_dir: str | None) -> DomainData:
    """Open the pool as a stream: `unlabeled=...` where that is given, or files called so (the rest is read as always), else `source`.

    Rows whose content is also in validation or test are left out of the stream on the way; near-duplicates and repeated rows are not
    looked for.

    Raises:
        DataError: the source cannot be streamed, or options ask for what a stream cannot give.
    """
    if given.labels_file is not None or getattr(modality.config, "horizon", None):
        wrong = "labels_file" if given.labels_file is not None else "horizon"
        raise DataError(
            f"{wrong} needs all rows at once, and streaming=True reads them one by one. Leave one of them out."
        )
    report = DataReport(given.max_left_out)
    how = read_options(given, modality, report, cache_dir)
    if given.unlabeled is None and (parts := pool_apart(source, how)) is not None:
        given, source = replace(given, unlabeled=parts[0]), parts[1]
    whole = None
    few = replace(given, data=None, unlabeled=None, streaming=False)
    held_out = [one for one in (given.validation, given.test) if one is not None]
    if given.unlabeled is not None:
        whole = load_data(source, few, verbose=False, cache_dir=cache_dir)
        held_out = [whole[split] for split in ("validation", "test") if split in whole]
    pool = source if given.unlabeled is None else given.unlabeled
    opened = open_stream(pool, how)
    canonical = Canonical(given, modality.streaming(), opened.folders, cache_dir)
    known: set[str] = set()
    for one in held_out if given.leakage != "allow" else ():
        rows = load_rows(one, modality.streaming(), verbose=False, cache_dir=cache_dir, **canonical.options)["rows"]
        known |= {canonical.modality.content_key(value) for value in rows[modality.column]}
    if known:
        report.decide(f"{len(known):,} contents of validation and test are left out of the stream where they come")
    report.decide("streamed: repeated rows and near-duplicates are not looked for")
    stream = Stream(
        modality.canonicalize(opened.rows), canonical, modality, size=given.shuffle_buffer or modality.block, seed=given.seed,
        group=given.group_column, known=frozenset(known),
    )  # fmt: skip
    first = next(iter(stream), None)
    if first is None:
        raise DataError(f"{describe_source(pool)} holds no usable rows.")
    return _data(stream, str(first["id"]), opened, whole, report, describe_source(pool))


def _data(
    stream: Stream, first: str, opened: Opened, whole: DomainData | None, report: DataReport, source: str
) -> DomainData:
    digest = hashlib.sha256(f"{opened.identity} {first} {stream.size}".encode("utf-8", "surrogatepass"))
    if whole is not None:
        digest.update(whole.fingerprint.encode())
        facts = {**whole.report, "decisions": [*whole.report["decisions"], *report.decisions]}
        facts["warnings"] = [*whole.report["warnings"], *report.warnings]
        facts["rows"] = {name: count for name, count in facts["rows"].items() if name != "unlabeled"}
    else:
        report.facts = {
            "source": source, "modality": stream.modality.name, "files": {}, "columns": {}, "ignored_columns": [], "rows": {},
            "label_kind": None, "label_names": [], "classes": {}, "describe": {}, "duplicates": {}, "leaks": [], "leakage": "strip",
        }  # fmt: skip
        facts = report.to_dict()
    facts |= {"streamed": source, "fingerprint": digest.hexdigest()[:32]}
    splits = {} if whole is None else {name: rows for name, rows in whole.items() if name != "unlabeled"}
    data = DomainData(splits, facts, stream.modality.name, stream.modality)
    data.stream = stream
    return data


class Canonical:
    """Raw rows of a block → canonical ones, by `load_rows`; what it decodes lies on disk only until it is mapped into memory.

    Args:
        given: the options of the data.
        modality: as it looks at streams.
        folders: where relative paths may begin.
        cache_dir: where to decode.
    """

    def __init__(
        self, given: DataOptions, modality: Modality, folders: tuple[Path, ...], cache_dir: str | None
    ) -> None:
        kept = [*given.keep_columns, *([given.group_column] if given.group_column else [])]
        self.options: dict[str, Any] = {
            item.name: getattr(given, item.name) for item in fields(DataOptions) if item.name not in NOT_OF_ROWS
        }
        self.options["keep_columns"] = list(dict.fromkeys(kept))
        self.modality, self.folders, self.cache_dir = modality, folders, cache_dir

    def __call__(self, raw: list[dict[str, Any]]) -> datasets.Dataset:
        rows = table_of_rows(JsonRows(raw, len(raw)), self.modality.column)
        if self.folders:
            rows = self.modality.canonicalize(rows, self.folders)
        if not self.modality.decodes:
            return load_rows(rows, self.modality, verbose=False, **self.options)["rows"]
        with tempfile.TemporaryDirectory(prefix="hf_ssl_block_", dir=self.cache_dir) as cache:
            made = load_rows(rows, self.modality, verbose=False, cache_dir=cache, **self.options)["rows"]
            self.modality.open_values(made)
        return made
