"""The data of a stage: read once, said aloud, and the unlabeled pool with a part held out."""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.option_groups import DataOptions
from hf_ssl.data import DomainData, load_data

if TYPE_CHECKING:
    import datasets
    from transformers import TrainingArguments

    from hf_ssl.data.stream.stream import Stream
    from hf_ssl.modalities.base import Modality
    from hf_ssl.objectives.base import Objective
    from hf_ssl.training.streaming import StreamRows

logger = logging.getLogger(__name__)


def modality_of(config: DataOptions) -> Modality:
    """The modality object that the options name."""
    kind = plugins.find("modalities", config.modality)
    shared = {"encoding": config.encoding, "txt": config.txt}  # of every modality that reads text files
    known = {item.name for item in dataclasses.fields(kind.Config)}
    given = {**{name: value for name, value in shared.items() if name in known}, **config.modality_options}
    return kind(kind.Config(**given))


def read_data(config: DataOptions) -> DomainData:
    """Load the data a stage works on (or take them as they are).

    Raises:
        DataError: they cannot be used, or several processes read different ones.
    """
    if isinstance(config.data, DomainData):
        data = config.data
    else:
        data = load_data(config.data, config, cache_dir=getattr(config, "cache_dir", None))
    if len(set(distributed.gather(data.fingerprint))) > 1:
        raise DataError("The processes read different data from the same source. Save it as files, and give those.")
    return data


def pool_of(
    data: DomainData, fraction: float, seed: int, modality: Modality | None = None
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """The unlabeled pool, and a part of it (at most 1,000 examples) held out to measure the objective on; of a stream, its first rows.

    Raises:
        DataError: there is no pool, or it is too small to hold anything out.
    """
    if data.stream is not None:
        return data.stream.hold_out(fraction)
    if "unlabeled" not in data:
        raise DataError(
            f"There is no unlabeled data to pre-train on; the splits are {', '.join(data)}. Give --unlabeled."
        )
    pool = data["unlabeled"]
    apart = modality.hold_out(pool, fraction, seed) if modality is not None else None
    if apart is not None:
        return apart
    held = min(1000, max(2, round(fraction * len(pool))))  # the spread of features needs two
    if len(pool) < 4:
        raise DataError(f"The pool has {len(pool)} examples; at least 4 are needed, 2 of them to measure on.")
    order = np.random.default_rng(seed).permutation(len(pool))
    return pool.select(np.sort(order[held:])), pool.select(np.sort(order[:held]))


def described(data: DomainData) -> str:
    """The pool in a word."""
    return "a stream" if data.stream is not None else f"{len(data.get('unlabeled', ())):,} examples"


def stream_rows(objective: Objective, stream: Stream, seed: int, args: TrainingArguments) -> StreamRows:
    """An objective's rows of a stream, made block by block.

    Raises:
        ConfigError: the objective has to see the whole pool.
    """
    if reason := objective.needs_whole_pool():
        raise ConfigError(
            f"This objective cannot be trained on a stream: {reason}. Take the first rows instead: --max_examples."
        )
    from hf_ssl.training.streaming import StreamRows  # which imports torch; reading data does without

    return StreamRows(
        stream, functools.partial(objective.rows, seed=seed, training=True), objective.training_batch, seed=seed,
        keep_order=str(args.train_sampling_strategy) == "sequential",
    )  # fmt: skip


def inputs_of(split: datasets.Dataset, modality: Modality) -> list[Any]:
    """What a split's rows hold; words that carry tags are joined to text."""
    if modality.column in split.column_names or "tokens" not in split.column_names:
        return list(split[modality.column])
    return [" ".join(words) for words in split["tokens"]]
