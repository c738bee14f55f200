"""Texts as token ids, made once: in memory where they are few, else by several processes into a file that is mapped.

The file's name is a hash of the texts, the tokenizer and what is kept of it, so that a second run, a resumed one, or another
objective on the same texts finds it. It is written under another name first: one that is there is whole.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.errors import DataError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

FEW = 20_000
"""Texts that are tokenized in memory, in this process, in some seconds."""
TOGETHER = 1000


@dataclass(frozen=True)
class Preparation:
    """How much of the machine is used to tokenize.

    Args:
        workers: processes; None: one per core of this process, at most 8.
        cache_dir: where tokens are kept; None: the cache of `datasets`.
    """

    workers: int | None = None
    cache_dir: str | None = None

    @property
    def processes(self) -> int:
        return self.workers or max(1, min(8, (os.cpu_count() or 1) // distributed.world_size()))

    @property
    def folder(self) -> Path:
        import datasets

        return Path(self.cache_dir or datasets.config.HF_DATASETS_CACHE).expanduser() / "hf_ssl_tokens"


class Ragged(Sequence[np.ndarray]):
    """Arrays of different lengths, as views of few large ones.

    Args:
        chunks: values, and where each array begins and the last one ends.
    """

    def __init__(self, chunks: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self.chunks = [(values, ends) for values, ends in chunks if len(ends) > 1]
        self.first = np.cumsum([0, *(len(ends) - 1 for _, ends in self.chunks)])

    @property
    def lengths(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int64), *(np.diff(ends).astype(np.int64) for _, ends in self.chunks)])

    def __len__(self) -> int:
        return int(self.first[-1])

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        chunk = int(np.searchsorted(self.first, index, side="right")) - 1
        values, ends = self.chunks[chunk]
        place = index - int(self.first[chunk])
        return values[ends[place] : ends[place + 1]]


@dataclass
class Tokens:
    """Token ids of every text without special ones, int32, and for each the number of its word (-1: of none)."""

    ids: Ragged
    words: Ragged


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, list[list[int]]]:
    """`ids` and `words` of some texts. Words are the tokenizer's own (`word_ids()`), which is right for every language."""
    encoded = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids = encoded["input_ids"]
    words = [[-1 if word is None else word for word in encoded.word_ids(row)] for row in range(len(ids))]
    return {"ids": ids, "words": words}


def in_memory(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Tokens:
    """Tokens of texts that are few."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"ids": [], "words": []}
    for start in range(0, len(texts), TOGETHER):
        for name, rows in tokenize(tokenizer, texts[start : start + TOGETHER]).items():
            flat = np.fromiter((value for row in rows for value in row), dtype=np.int32)
            found[name].append((flat, np.cumsum([0, *map(len, rows)])))
    return Tokens(Ragged(found["ids"]), Ragged(found["words"]))


def tokens_of(dataset: datasets.Dataset, column: str, tokenizer: PreTrainedTokenizerBase, how: Preparation) -> Tokens:
    """Tokens of a column of texts, in the order of its rows.

    Raises:
        DataError: they cannot be written, with the option that puts them elsewhere.
    """
    if len(dataset) <= FEW:
        return in_memory(tokenizer, dataset[column][:])
    import datasets

    name = _name(dataset, column, tokenizer)
    kept, began = how.folder / name, time.monotonic()
    try:
        if distributed.is_main() and not kept.is_dir():
            _make(dataset.select_columns([column]), column, tokenizer, how, kept)
            logger.info(
                f"  {len(dataset):,} texts tokenized by {how.processes} process(es) in {time.monotonic() - began:.0f} s, kept in {kept}"
            )
        elif distributed.is_main():
            logger.info(f"  tokens of {len(dataset):,} texts are taken from the cache {kept}")
    except OSError as error:
        raise DataError(
            f"Tokens cannot be written into {how.folder}: {error.strerror or error}. Give a folder with room: --cache_dir, or stream the pool: "
            "--streaming."
        ) from error
    distributed.barrier()
    table = datasets.load_from_disk(str(kept)).data
    return Tokens(*(Ragged([_view(chunk) for chunk in table.column(part).chunks]) for part in ("ids", "words")))


def _view(chunk: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """An Arrow list array as it lies in the mapped file."""
    return chunk.values.to_numpy(zero_copy_only=True), chunk.offsets.to_numpy()


def _make(
    dataset: datasets.Dataset, column: str, tokenizer: PreTrainedTokenizerBase, how: Preparation, kept: Path
) -> None:
    import datasets
    from datasets.utils import logging as bars

    working = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    working.mkdir(parents=True)
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        features = datasets.Features(dict.fromkeys(("ids", "words"), datasets.List(datasets.Value("int32"))))
        made = dataset.map(
            lambda batch: tokenize(tokenizer, batch[column]), batched=True, batch_size=TOGETHER, remove_columns=[column],
            num_proc=how.processes if how.processes > 1 else None, features=features, new_fingerprint=kept.name,
            cache_file_name=str(working / "part.arrow"), load_from_cache_file=False,
        )  # fmt: skip
        made.save_to_disk(working / "whole")
        (working / "whole").replace(kept)
    finally:
        if shown:
            bars.enable_progress_bar()
        shutil.rmtree(working, ignore_errors=True)


def _name(dataset: datasets.Dataset, column: str, tokenizer: PreTrainedTokenizerBase) -> str:
    digest = hashlib.blake2b(digest_size=16)
    inner = getattr(tokenizer, "backend_tokenizer", None)
    said = (
        inner.to_str() if inner is not None else f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
    )
    digest.update(said.encode())
    for table in dataset.select_columns([column]).with_format("arrow").iter(batch_size=10_000):
        for text in table.column(column).to_pylist():
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()
