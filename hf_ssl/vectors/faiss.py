"""Vectors in a FAISS index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import ConfigError
from hf_ssl.vectors.base import FAISS, PARQUET, _unit
from hf_ssl.vectors.parquet import ParquetStore


class FaissStore:
    """`vectors.faiss`, an exact index that `datasets` loads: `dataset.load_faiss_index("vector", file)`."""

    def __init__(self, folder: Path) -> None:
        import datasets

        from hf_ssl.core.errors import require

        require("faiss", "vectors")
        self.stamp = ParquetStore(folder / PARQUET).stamp
        if not (folder / FAISS).is_file():
            raise ConfigError(
                f"There is no FAISS index in {folder}. Run `hf-ssl embed --store faiss` with this --output."
            )
        self.parquet = ParquetStore(folder / PARQUET)
        self.rows = datasets.Dataset.from_parquet(str(folder / PARQUET), cache_dir=str(folder / ".cache"))
        self.rows.load_faiss_index("vector", str(folder / FAISS))

    @staticmethod
    def write(folder: Path, vectors: np.ndarray) -> None:
        """Build the index over the parquet's rows, in their order."""
        from hf_ssl.core.errors import require

        require("faiss", "vectors")
        import datasets

        rows = datasets.Dataset.from_dict({"row": list(range(len(vectors)))})
        # 0 is inner product (faiss.METRIC_INNER_PRODUCT); datasets' own default is L2.
        rows.add_faiss_index_from_external_arrays(_unit(vectors), "vector", metric_type=0)
        rows.save_faiss_index("vector", str(folder / FAISS))

    def all_vectors(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        return self.parquet.all_vectors()

    def search(self, queries: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        found = self.rows.search_batch("vector", _unit(queries), k=min(k, len(self.rows)))
        table = self.parquet.table.drop_columns(["vector"])
        return [
            [
                {**row, "score": float(score)}
                for row, score in zip(table.take(list(places)).to_pylist(), scores, strict=True)
            ]
            for scores, places in zip(found.total_scores, found.total_indices, strict=True)
        ]

    def close(self) -> None:
        self.rows.drop_index("vector")
