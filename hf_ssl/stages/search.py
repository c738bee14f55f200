"""The stage that finds nearest neighbors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import RunDir
from hf_ssl.modalities.base import Modality
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.embed import PREVIEWS
from hf_ssl.stages.plan import resolve_stage
from hf_ssl.stages.result import StageResult
from hf_ssl.vectors import StoreAddress, check_k
from hf_ssl.vectors.base import Hit


def search(**options: object) -> StageResult:
    """Nearest neighbors of a text or a file among the vectors that `embed` made.

    Args:
        options: those of `hf_ssl.core.options.SearchConfig`.

    Returns:
        `metrics["hits"]`, nearest first: `id`, `content`, `split`, `label`, `score` (the cosine), and `path` or `text` where the
        run's own `embed` knows them. `metrics["vote"]` is the label that the
        labeled ones among them vote for, or None.

    Raises:
        ConfigError: nothing to look for, no such store, or the store holds another model's vectors.
    """
    resolved = resolve_stage("search", options)
    config, run = resolved.config, RunDir(resolved.config.output)
    embedded = run.need("embed", "Run `hf-ssl embed` with this --output first.")
    check_k(config.k)
    kind_of_store, address = StoreAddress.of(config.store, run.path / "embed", config.collection)
    given = embedded.options
    kind = plugins.find("modalities", run.facts["data"]["modality"])
    modality = kind(kind.Config(**(given.get("modality_options") or {})))
    with kind_of_store.open(address) as store:
        stamp = store.spec
        model_id = config.model or run.output("pretrain") or embedded.metrics["model"]
        ref = CheckpointRef(model_id, config.revision or stamp.revision)
        encoder = modality.load(ref, pooling=stamp.pooling, dtype=given.get("dtype", "float32"))
        value = config.query if config.query is not None else _read(modality, Path(config.file))
        query = encoder.embed([value], max_length=stamp.max_length)
        own = encoder.spec(normalized=stamp.normalized, max_length=stamp.max_length, dimensions=query.shape[1])
        stamp.require_same(own, f"The store ({config.store})")
        hits = [
            {name: value for name, value in hit.items() if value is not None}
            for hit in _recognizable(store.search(query, config.k)[0], run.path / "embed" / PREVIEWS)
        ]
    votes: dict[str, float] = {}
    for hit in hits:
        if "label" in hit:
            votes[hit["label"]] = votes.get(hit["label"], 0.0) + float(np.exp(hit["score"] / 0.07))
    return StageResult(
        run.path / "embed", {"hits": hits, "vote": max(votes, key=lambda name: votes[name]) if votes else None}
    )


def _recognizable(hits: list[Hit], previews: Path) -> list[Hit]:
    """Hits with the path or the beginning of the text that this run embedded them from."""
    if not previews.is_file():
        return hits
    wanted = [hit["id"] for hit in hits]
    rows = pq.read_table(previews, filters=[("id", "in", wanted)]).to_pylist() if wanted else []
    known = {(row["id"], row["content"]): row for row in rows}
    return [{**known.get((hit["id"], hit["content"]), {}), **hit} for hit in hits]


def _read(modality: Modality, path: Path) -> Any:
    """The one value in a file.

    Raises:
        ConfigError: no such file, or it cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    quarantine: list[dict[str, str]] = []
    rows = modality.read_files([path], path.parent, quarantine)
    if not len(rows):
        reason = quarantine[0]["reason"] if quarantine else f"it is not {modality.name}"
        raise ConfigError(f"{path} cannot be looked for: {reason}.")
    return rows[0][modality.column]
