"""One number for the content of all splits: same content, same order → same fingerprint, on any machine."""

from __future__ import annotations

import hashlib
import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_ssl.data.rows import Rows

BATCH = 10_000
NOT_CONTENT = {"path"}  # a renamed folder does not change the data


def fingerprint(splits: dict[str, Rows], label_names: list[str]) -> str:
    """SHA-256 (first 32 hex digits) of the canonical columns of every split, in row order.

    Strings are hashed where they lie in Arrow's buffers. Content that is no string (an image, a signal) enters through
    its content key, which does not depend on where a file is cached.
    """
    digest = hashlib.sha256(json.dumps(label_names).encode())
    groups: dict[str, int] = {}
    for split in sorted(splits):
        rows = splits[split]
        digest.update(f"\n{split} {len(rows)}".encode())
        for name in sorted(set(rows.dataset.column_names) - NOT_CONTENT):
            feature = rows.dataset.features[name]
            digest.update(f"\n{name} ".encode())
            if name == "group":  # who belongs together matters, not what the group is called
                codes = [groups.setdefault(group, len(groups)) for group in rows.dataset[name]]
                digest.update(json.dumps(codes).encode())
            elif isinstance(feature, (datasets.Value, datasets.ClassLabel, datasets.List)):
                _add_column(digest, rows.dataset, name)
            elif name == "label":  # masks: the bytes themselves, or the names of files
                for label in rows.labels:
                    content = (label or {}).get("bytes") or str((label or {}).get("path")).encode()
                    digest.update(hashlib.blake2b(content, digest_size=16).digest())
            else:
                digest.update("".join(rows.keys).encode())
    return digest.hexdigest()[:32]


def _add_column(digest: hashlib._Hash, dataset: datasets.Dataset, name: str) -> None:
    table_view = dataset.select_columns([name]).with_format("arrow")
    for table in table_view.iter(batch_size=BATCH):
        column = table.column(name).combine_chunks()
        if pa.types.is_string(column.type):
            _add_strings(digest, column)
        else:
            digest.update(json.dumps(column.to_pylist(), default=str).encode())


def _add_strings(digest: hashlib._Hash, column: pa.StringArray) -> None:
    lengths = pc.fill_null(pc.binary_length(column), -1)  # tells None from "" and where one text ends
    digest.update(lengths.to_numpy(zero_copy_only=False).astype("<i4").tobytes())
    filled = pc.fill_null(column, "")
    _, offsets, content = filled.buffers()
    if content is not None and len(filled):
        bounds = np.frombuffer(offsets, dtype=np.int32)[filled.offset : filled.offset + len(filled) + 1]
        digest.update(memoryview(content)[bounds[0] : bounds[-1]])
