"""The cells of a comparison, kept in the run folder: finished ones are never computed again, and a clock stops between two."""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.run import inputs_hash
from hf_ssl.data.budgets import Budget
from hf_ssl.evaluation.comparison.results import ResultRow

logger = logging.getLogger(__name__)

UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
VERSION = 1
"""Changes when the same options would give other results than before."""


@dataclass(frozen=True)
class Cell:
    """One model to be made: an arm under a protocol, on one labeled subset.

    Args:
        key: hash of all that its result depends on.
        rows: of the training split.
    """

    arm: str
    protocol: str
    budget: Budget
    seed: int
    key: str
    rows: tuple[int, ...] = ()

    @property
    def told(self) -> str:
        return f"{self.arm}, {self.protocol}, {self.budget} labels, draw {self.seed}"


class CellStore:
    """Results by the hash of what they depend on: `FOLDER/KEY.npz`.

    Args:
        folder: made when needed.
        context: what all results of this call depend on (data, test rows, task, pooling …).
    """

    def __init__(self, folder: Path, *context: Any) -> None:
        self.folder, self.context = folder, inputs_hash(VERSION, *context)

    def key(self, *parts: object) -> str:
        """Of a cell."""
        return inputs_hash(self.context, *parts)

    def find(self, cell: Cell) -> ResultRow | None:
        """The cell's result, if it was computed before."""
        file = self.folder / f"{cell.key}.npz"
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as kept:
                facts = json.loads(str(kept["facts"]))
                predictions = kept["predictions"] if "predictions" in kept else json.loads(str(kept["text"]))
                chances = kept["probabilities"] if "probabilities" in kept else None
        except UNREADABLE as error:  # cut short: it is computed again
            logger.warning(f"{file} cannot be read ({error}); its result is computed again")
            return None
        return ResultRow(
            cell.arm, cell.budget, cell.seed, predictions, cell.protocol, chances, facts["seconds"], facts["trainable"]
        )

    def keep(self, cell: Cell, row: ResultRow) -> ResultRow:
        """Write a result; half a file is never seen."""
        if not distributed.is_main():
            return row
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {"seconds": round(row.seconds, 3), "trainable": row.trainable, "cell": cell.told}
        content: dict[str, Any] = {"facts": json.dumps(facts)}
        if isinstance(row.predictions, np.ndarray):
            content["predictions"] = row.predictions
        else:
            content["text"] = json.dumps(row.predictions)
        if row.probabilities is not None:
            content["probabilities"] = np.asarray(row.probabilities, np.float32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **content)
        half = self.folder / f".{cell.key}.part"
        half.write_bytes(buffer.getvalue())
        os.replace(half, self.folder / f"{cell.key}.npz")
        return row


class FeatureCache:
    """Frozen vectors by split and row, kept in the run folder: an encoder embeds a row once, whatever is asked of it later.

    Args:
        folder: made when needed.
        key: hash of encoder, pooling and data.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.file = folder / f"{key}.npz"
        self.seconds = 0.0

    def vectors(
        self, split: str, rows: Sequence[int], values: Callable[[list[int]], list[Any]], embed: Callable[[list[Any]], np.ndarray]
    ) -> np.ndarray:  # fmt: skip
        """`(len(rows), width)`.

        Args:
            values: gives the values of rows.
            embed: makes their vectors; called for those alone that are not there yet.
        """
        known = self._read()
        have, found = known.get(f"{split}_rows", np.empty(0, np.int64)), known.get(split)
        missing = sorted(set(map(int, rows)) - set(have.tolist()))
        if missing:
            began = time.monotonic()
            new = np.asarray(embed(values(missing)), np.float32)
            self.seconds += time.monotonic() - began
            found = new if found is None else np.concatenate([found, new])
            have = np.concatenate([have, np.array(missing, np.int64)])
            self._write({**known, f"{split}_rows": have, split: found})
        assert found is not None  # there are rows
        place = {int(row): number for number, row in enumerate(have)}
        return found[[place[int(row)] for row in rows]]

    def _read(self) -> dict[str, np.ndarray]:
        if not self.file.is_file():
            return {}
        try:
            with np.load(self.file, allow_pickle=False) as kept:
                return dict(kept)
        except UNREADABLE as error:
            logger.warning(f"{self.file} cannot be read ({error}); its vectors are made again")
            return {}

    def _write(self, content: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        half = self.file.with_name(f".{self.file.stem}.part")
        half.write_bytes(buffer.getvalue())
        os.replace(half, self.file)


class Clock:
    """Says when to stop: before a cell that would end later than was allowed, judged by those like it.

    Args:
        limit: seconds; None: there is none.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit, self.began = limit, time.monotonic()
        self.taken: dict[str, list[float]] = {}

    def note(self, kind: str, seconds: float) -> None:
        """How long a cell of a kind took."""
        self.taken.setdefault(kind, []).append(seconds)

    def has_time(self, kind: str) -> bool:
        """Whether there is time for one more, as this process sees it."""
        known = self.taken.get(kind)
        expected = sum(known) / len(known) if known else 0.0
        return self.limit is None or time.monotonic() - self.began + expected <= self.limit

    def allows(self, kind: str) -> bool:
        """Whether there is time for one more; all processes ask, and are told the same."""
        return bool(distributed.broadcast(self.has_time(kind) if distributed.is_main() else None))


def by_what_they_tell(cells: Sequence[Cell], arms: Sequence[str]) -> list[Cell]:
    """What to compute first: a pair of arms tells something, one of them alone does not.

    Draw by draw; within a draw the middle number of labels first, then the others outward; within that all arms of one protocol
    one after the other, in the order they were named.
    """
    budgets = list(dict.fromkeys(cell.budget for cell in cells))
    middle = (len(budgets) - 1) // 2
    outward = sorted(range(len(budgets)), key=lambda place: abs(place - middle))
    rank = {budgets[place]: number for number, place in enumerate(outward)}
    draws = list(dict.fromkeys(cell.seed for cell in cells))
    protocols = list(dict.fromkeys(cell.protocol for cell in cells))
    return sorted(
        cells,
        key=lambda cell: (
            draws.index(cell.seed),
            rank[cell.budget],
            protocols.index(cell.protocol),
            arms.index(cell.arm),
        ),
    )
