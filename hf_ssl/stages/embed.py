"""The stages that make vectors of data and look things up among them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl import vectors
from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.run import inputs_hash
from hf_ssl.evaluation.figures.series import embedding_map
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.stages.base import StageResult, note_lineage, output_of, prepare_stage, start_of
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.vectors.base import PARQUET
from hf_ssl.vectors.milvus import MilvusStore
from hf_ssl.vectors.parquet import EmbeddingShards, ParquetStore

logger = logging.getLogger(__name__)

MAPPED = 2000  # vectors in the figure
PATIENCE = 1800  # seconds without a new part of another process


def embed(**options: Any) -> StageResult:
    """Turn data into vectors.

    Always written: `path/embeddings.parquet` with `id`, `content` (a hash of the content), `split`, `label` (where there is
    one class each) and `vector`, and `path/map.svg`, at most 2,000 of them by their two main directions. `store` names a
    further place. An interrupted call goes on where it was. Started on several processes (`accelerate launch`, `torchrun`),
    each embeds its share, and the first one writes.

    Args:
        options: those of `hf_ssl.core.options.EmbedConfig`.

    Raises:
        DataError: a vector is not finite or is zero.
        ConfigError: no such split or store; the store holds another model's vectors.
    """
    opening = prepare_stage("embed", options, after="pretrain", unless="model")
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    if config.split and config.split not in data:
        raise ConfigError(f"There is no split {config.split!r}; the splits are {', '.join(data)}.")
    if config.store not in vectors.STORES:
        vectors.milvus_uri(config.store, run.path)  # a typing error shows before the work, not after it
    with opening.running() as (entry, folder):
        began = time.monotonic()
        model_id, revision = start_of(config, run, output_of(run, "pretrain"))
        some = next(iter(data.values()))
        model, report = modality.load_model(model_id, dataset=some, revision=revision, dtype=config.dtype)
        note_lineage(run, model_id, report)
        processor = modality.load_processor(model_id, revision)
        model = modality.prepare_model(model, processor)
        pooling = config.pooling or modality.default_pooling(model_id)
        columns, values = _rows(data, [config.split] if config.split else list(data), modality)
        made = inputs_hash(
            report.weights_sha, pooling, config.normalize, config.max_length, config.dtype, columns["content"]
        )
        parts = EmbeddingShards(folder / "parts" / f"{made}-{config.part_size}", len(values), config.part_size)

        def encode(chunk: Sequence[Any]) -> np.ndarray:
            found = modality.embed(model, processor, chunk, pooling=pooling, max_length=config.max_length)
            return normalized(found) if config.normalize else found

        _fill(parts, values, columns["id"], encode)
        if not distributed.is_main():
            return StageResult(folder, {})
        found = np.concatenate(list(_all_parts(parts)))
        stamp = EmbeddingSpec(model_id, report.revision, report.weights_sha, modality.name, pooling, config.normalize,
                      config.max_length, found.shape[1])  # fmt: skip
        ParquetStore.write(folder / PARQUET, stamp, columns, found)
        new = _store(config, folder, stamp, columns, found)
        _draw(folder / "map.svg", found, columns.get("label"))
        shutil.rmtree(folder / "parts")
        seconds = time.monotonic() - began
        entry["metrics"] = {"vectors": len(found), "dimensions": found.shape[1], "store": config.store, "new": new, "model": model_id,
                            "weights_sha": report.weights_sha, "pooling": pooling, "normalized": str(config.normalize)}  # fmt: skip
        logger.info(
            f"embed: {len(found):,} vectors of {found.shape[1]} numbers in {folder / PARQUET} ({seconds:.0f} s)"
        )
    return StageResult(folder, entry["metrics"])


def _draw(file: Path, found: np.ndarray, labels: list[Any] | None) -> None:
    """A map of evenly spread vectors; two or fewer make none."""
    if len(found) < 3:
        return
    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), MAPPED)).astype(int))
    names = None if labels is None else ["no label" if labels[row] is None else str(labels[row]) for row in chosen]
    file.write_text(embedding_map(found[chosen], names), encoding="utf-8")


def normalized(found: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays what it is, and is refused later."""
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def _rows(data: Any, splits: list[str], modality: Any) -> tuple[dict[str, list[Any]], list[Any]]:
    """Columns beside the vectors, and the values to embed, over all splits."""
    columns: dict[str, list[Any]] = {"id": [], "content": [], "split": []}
    if data.label_kind == "class":
        columns["label"] = []
    values: list[Any] = []
    seen: set[str] = set()
    repeated = 0
    for split in sorted(splits, key=lambda name: name == "unlabeled"):  # where a text has a label, that row is kept
        content = inputs_of(data[split], modality)
        keys = [vectors.content_id(modality, value) for value in content]
        keep = [row for row, key in enumerate(keys) if split != "unlabeled" or key not in seen]
        repeated += len(keys) - len(keep)
        seen.update(keys)
        names = (
            data[split].features["label"].names if "label" in columns and "label" in data[split].column_names else None
        )
        labels = data[split]["label"] if names else []
        ids = data[split]["id"]
        values += [content[row] for row in keep]
        columns["id"] += [ids[row] for row in keep]
        columns["content"] += [keys[row] for row in keep]
        columns["split"] += [split] * len(keep)
        if "label" in columns:
            columns["label"] += [names[labels[row]] if names else None for row in keep]
    if repeated:
        logger.info(f"  {repeated:,} unlabeled rows are also in another split and have their vector there")
    if not values:
        raise DataError(f"There is nothing to embed in {', '.join(splits)}.")
    return columns, values


def _fill(parts: EmbeddingShards, values: list[Any], ids: list[str], encode: Any) -> None:
    """Make this process's parts."""
    rank, world = distributed.rank(), distributed.world_size()
    missing = parts.missing(rank, world)
    if len(missing) < len(range(rank, len(parts), world)):
        logger.info(f"  going on: {len(parts) - len(parts.missing())} of {len(parts)} parts are there")
    for part in missing:
        rows = parts.rows(part)
        found = encode([values[row] for row in rows])
        parts.save(part, vectors.check_vectors(found, [ids[row] for row in rows]))


def _all_parts(parts: EmbeddingShards) -> Any:
    """Every part, once the other processes have made theirs.

    Raises:
        DataError: they stopped.
    """
    last, left = time.monotonic(), len(parts.missing())
    while left:
        time.sleep(0.2)
        now = len(parts.missing())
        if now < left:
            last, left = time.monotonic(), now
        elif time.monotonic() - last > PATIENCE:
            raise DataError(
                f"{left} parts of other processes do not come. Run the command again, on one process if need be: it goes on."
            )
    return parts.load()


def _store(config: Any, folder: Path, stamp: EmbeddingSpec, columns: dict[str, list[Any]], found: np.ndarray) -> int:
    """Put the vectors into the further place that was named; returns how many were new there."""
    if config.store == "parquet":
        return len(found)
    if config.store == "faiss":
        vectors.FaissStore.write(folder, found)
        return len(found)
    uri, name = vectors.milvus_uri(config.store, folder), vectors.collection_name(config.collection)
    store = MilvusStore(uri, name, EmbeddingSpec, stamp, index=config.index)
    try:
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        new = store.add(found, rows)
        logger.info(f"  {new:,} of {len(rows):,} are new in {uri}, collection {name}, which holds {len(store):,}")
        return new
    finally:
        store.close()
