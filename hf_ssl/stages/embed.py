"""The stages that make vectors of data and look things up among them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl import vectors
from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.core.run import inputs_hash
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.figures import embedding_map
from hf_ssl.models.embedding import EmbeddingSpec
from hf_ssl.models.structure import at_work
from hf_ssl.stages.base import note_lineage, prepare_stage, start_of
from hf_ssl.stages.build import without_padding
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.stages.result import StageResult
from hf_ssl.training import limit
from hf_ssl.vectors import EmbeddingShards, StoreAddress
from hf_ssl.vectors.base import unit
from hf_ssl.vectors.parquet import FILE, ParquetStore

if TYPE_CHECKING:
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

MAPPED = 2000  # vectors in the figure
PATIENCE = 1800  # seconds without a new part of another process
MADE = "made.txt"  # whose vectors lie in the folder
PREVIEWS, HEAD = "previews.parquet", 200  # of a text, so many characters are shown beside a hit


def embed(**options: object) -> StageResult:
    """Turn data into vectors.

    Always written: `path/embeddings.parquet` with `id`, `content` (a hash of the content), `split`, `label` (where there is
    one class each) and `vector`; `path/previews.parquet`, what `search` shows beside a hit (path, the beginning of a text),
    which is never published; and `path/map.svg`, at most 2,000 of them by their two main directions. `store` names a
    further place. An interrupted call goes on where it was. Started on several processes (`accelerate launch`, `torchrun`),
    each embeds its share, and the first one writes.

    Args:
        options: those of `hf_ssl.core.options.EmbedConfig`.

    Raises:
        DataError: a vector is not finite or is zero.
        ConfigError: no such split or store; the store holds another model's vectors, or the run those of other data or of
            another model (`overwrite` replaces them).
    """
    opening = prepare_stage("embed", options, after="pretrain", unless="model")
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    if config.split and config.split not in data:
        raise ConfigError(f"There is no split {config.split!r}; the splits are {', '.join(data)}.")
    # A typing error shows before the work, not after it.
    further, address = StoreAddress.of(config.store, run.path / "embed", config.collection, config.index)
    columns, values, previews = _rows(data, [config.split] if config.split else list(data), modality)
    ref, some = start_of(config, run, run.output("pretrain")), next(iter(data.values()))
    encoder = modality.load(
        ref, dataset=some, pooling=config.pooling, dtype=config.dtype, attn_implementation=config.attn_implementation
    )
    without_padding(encoder, config.padding_free)
    report, pooling = encoder.report, str(encoder.pooling)
    made = inputs_hash(
        report.weights_sha,
        pooling,
        config.normalize_embeddings,
        config.max_length,
        config.dtype,
        columns["id"],
        columns["content"],
    )
    mark = run.path / "embed" / MADE
    before = mark.read_text() if mark.is_file() else run.stage("embed").outputs.get("made")
    replaced = _replaced(run.path / "embed" / FILE, made, before, config.overwrite)
    with opening.running() as (record, folder):
        began = time.monotonic()
        note_lineage(run, ref, report)
        parts = EmbeddingShards(folder / "parts" / f"{made}-{config.part_size}", len(values), config.part_size)

        def encode(chunk: Sequence[Any]) -> np.ndarray:
            with limit.timed(len(chunk)):
                found = encoder.embed(chunk, max_length=config.max_length)
            return unit(found) if config.normalize_embeddings else found

        with at_work(encoder.model):
            _fill(parts, values, columns["id"], encode)
        if not distributed.is_main():
            return StageResult(folder, {})
        _wait_for(parts)
        dimensions = next(parts.load()).shape[1]
        spec = encoder.spec(
            normalized=config.normalize_embeddings, max_length=config.max_length, dimensions=dimensions
        )
        if replaced:  # an index of the old vectors would answer with what is no longer there
            _empty(folder)
        mark.write_text(
            made
        )  # a call that is killed between here and its entry in the ledger knows its own vectors again
        with ParquetStore.open(StoreAddress("parquet", folder), spec) as store:
            for chunk, rows in _chunks(parts, columns):
                store.add(chunk, rows)
        new = len(values)
        if not isinstance(store, further) or address.uri != "parquet":
            new = _store(further, address, spec, parts, columns)
        _write_previews(folder / PREVIEWS, columns, previews)
        _draw(folder / "map.svg", parts, columns.get("label"))
        shutil.rmtree(folder / "parts")
        seconds = time.monotonic() - began
        record.outputs = {"made": made}
        record.metrics = {"vectors": len(values), "dimensions": dimensions, "store": config.store, "new": new, "model": ref.id,
                            "weights_sha": report.weights_sha, "pooling": pooling, "normalized": str(config.normalize_embeddings)}  # fmt: skip
        logger.info(f"embed: {len(values):,} vectors of {dimensions} numbers in {folder / FILE} ({seconds:.0f} s)")
    return StageResult(folder, record.metrics)


def _replaced(file: Path, made: str, before: str | None, overwrite: bool) -> bool:
    """Whether the run holds other vectors than those that are to be made.

    Raises:
        ConfigError: it does, and nobody asked to replace them.
    """
    if not file.is_file() or before == made:
        return False
    if not overwrite:
        raise ConfigError(
            f"{file.parent} holds {len(ParquetStore.open(StoreAddress(str(file)))):,} vectors of other data or of another "
            "model. Add --overwrite to replace them (and indexes made of them), or name another --output."
        )
    return True


def _empty(folder: Path) -> None:
    """Remove what an earlier call left, but for the parts of this one."""
    for path in folder.iterdir():
        if path.name != "parts":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _chunks(
    parts: EmbeddingShards, columns: dict[str, list[Any]]
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Vectors and their rows, one part at a time."""
    for part, found in enumerate(parts.load()):
        yield found, [{name: column[row] for name, column in columns.items()} for row in parts.rows(part)]


def _write_previews(file: Path, columns: dict[str, list[Any]], previews: dict[str, list[Any]]) -> None:
    """What a person recognizes a row by, joined to hits by id and content. It stays on this machine."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if previews:
        table = {name: pa.array(column, pa.string()) for name, column in previews.items()}
        pq.write_table(pa.table({"id": columns["id"], "content": columns["content"], **table}), file)


def _draw(file: Path, parts: EmbeddingShards, labels: list[Any] | None) -> None:
    """A map of evenly spread vectors; two or fewer make none."""
    if parts.count < 3:
        return
    chosen = np.unique(np.linspace(0, parts.count - 1, min(parts.count, MAPPED)).astype(int))
    names = None if labels is None else ["no label" if labels[row] is None else str(labels[row]) for row in chosen]
    found = [shard[[row - rows[0] for row in chosen if row in rows]]
             for shard, rows in zip(parts.load(), map(parts.rows, range(len(parts))), strict=True)]  # fmt: skip
    file.write_text(embedding_map(np.concatenate(found), names), encoding="utf-8")


def _rows(
    data: DomainData, splits: list[str], modality: Modality
) -> tuple[dict[str, list[Any]], list[Any], dict[str, list[str | None]]]:
    """Columns beside the vectors, the values to embed, and what a person recognizes them by, over all splits."""
    columns: dict[str, list[Any]] = {"id": [], "content": [], "split": []}
    previews: dict[str, list[str | None]] = {"path": [], "text": []}
    if kind_of(data.label_kind).in_classes:
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
        places = data[split]["path"] if "path" in data[split].column_names else content
        previews["path"] += [None if places is content and isinstance(place, str) else _path_of(place)
                             for place in (places[row] for row in keep)]  # fmt: skip
        texts = (content[row] if isinstance(content[row], str) else None for row in keep)
        previews["text"] += [None if text is None else text[:HEAD] for text in texts]
        columns["id"] += [ids[row] for row in keep]
        columns["content"] += [keys[row] for row in keep]
        columns["split"] += [split] * len(keep)
        if "label" in columns:
            columns["label"] += [names[labels[row]] if names else None for row in keep]
    if repeated:
        logger.info(f"  {repeated:,} unlabeled rows are also in another split and have their vector there")
    if not values:
        raise DataError(f"There is nothing to embed in {', '.join(splits)}.")
    shown = {name: column for name, column in previews.items() if any(cell is not None for cell in column)}
    return columns, values, shown


def _path_of(place: object) -> str | None:
    """Where a file lies: a path, or a value that holds one (`{"bytes", "path"}`)."""
    return (
        str(place["path"])
        if isinstance(place, dict) and place.get("path")
        else place
        if isinstance(place, str)
        else None
    )


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


def _wait_for(parts: EmbeddingShards) -> None:
    """Return once the other processes have made their parts.

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


def _store(
    kind: type[vectors.Store],
    address: StoreAddress,
    spec: EmbeddingSpec,
    parts: EmbeddingShards,
    columns: dict[str, list[Any]],
) -> int:
    """Put the vectors into the further place that was named; returns how many were new there."""
    with kind.open(address, spec) as store:
        new = sum(store.add(found, rows) for found, rows in _chunks(parts, columns))
        logger.info(f"  {new:,} of {parts.count:,} are new in {address.uri}, which holds {len(store):,}")
    return new
