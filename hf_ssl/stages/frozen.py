"""What costs little in a comparison: probes on frozen features, cheap baselines, peers. By one process of several."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.comparison.results import NO_LABELS, ResultRow
from hf_ssl.evaluation.forecasters.base import is_forecaster
from hf_ssl.evaluation.peers.base import Asked, Peer
from hf_ssl.evaluation.probes import probes
from hf_ssl.evaluation.probes.counted import CountedTexts
from hf_ssl.models.pooling import Pooling
from hf_ssl.stages.arms import Arm
from hf_ssl.stages.cells import Cell, CellStore, Clock, FeatureCache

if TYPE_CHECKING:
    import datasets

    from hf_ssl.data import DomainData
    from hf_ssl.modalities.encoder import Encoder
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

POOL = 3000
"""Unlabeled texts that the TF-IDF baseline takes the frequencies of words from."""
PROTOCOLS = ("knn", "linear-probe")


@dataclass
class Frozen:
    """Everything but fine-tuning, on the same labeled subsets and test rows.

    Args:
        cells: budgets, draws and rows to do (`Cell`s of no arm and protocol yet).
        cache: folder of the vectors.
        clock: stops between two arms.
    """

    task: Task[Any]
    data: DomainData
    test: datasets.Dataset
    cells: Sequence[Cell]
    store: CellStore
    cache: Path
    clock: Clock
    pooling: Pooling

    def __post_init__(self) -> None:
        self.train, self.modality = self.data["train"], self.task.modality
        self.targets = self.task.probe_targets(self.train)
        self.needed = sorted({row for cell in self.cells for row in cell.rows})
        self.place = {row: number for number, row in enumerate(self.needed)}
        self.left = 0  # cells that there was no time for
        self._given: list[Any] | None = None
        self._asked: list[Any] | None = None

    @property
    def given(self) -> list[Any]:
        """Labeled values that some subset holds."""
        if self._given is None:
            self._given = list(self.train.select(self.needed)[self.modality.column])
        return self._given

    @property
    def asked(self) -> list[Any]:
        """Test values."""
        if self._asked is None:
            self._asked = list(self.test[self.modality.column])
        return self._asked

    # -- arms -------------------------------------------------------------------------------------------------------

    def probed(self, arm: Arm, protocols: Sequence[str]) -> Iterator[ResultRow]:
        """Nearest neighbors and linear probes on an arm's frozen features, or its answers where it needs no labels."""
        cells = [self._as(cell, arm.name, protocol, arm.identity) for protocol in protocols for cell in self.cells]
        found = {cell.key: self.store.find(cell) for cell in cells} if self.targets is not None else {}
        zero = self._as(Cell("", "", NO_LABELS, 0, ""), arm.name, "zero-shot", arm.identity)
        answers = self.store.find(zero)
        missing = [cell for cell in cells if self.targets is not None and found[cell.key] is None]
        if answers is None or missing:
            encoder = self.modality.load(arm.ref, dataset=self.train, pooling=self.pooling)
            if answers is None:
                began = time.monotonic()
                given = self.task.zero_shot(encoder, self.test)
                row = ResultRow(arm.name, NO_LABELS, 0, given, "zero-shot", None, time.monotonic() - began, 0)
                # That a task has no such answers is kept as well, or the encoder would be loaded again to ask.
                answers = self.store.keep(zero, row)
        if answers.predictions is not None:
            yield answers
        if self.targets is None:
            return
        if missing:
            known, asked = self._vectors(arm, encoder)
            for cell in missing:
                if self._in_time(cell):
                    found[cell.key] = self._kept(cell, self._probe(cell, known[self._rows(cell)], asked))
        yield from (row for row in found.values() if row is not None)

    def vectors(self, arm: Arm) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of labeled and of test rows of an arm, for maps; made when they are not there yet."""
        return self._vectors(arm, None)

    def _vectors(self, arm: Arm, encoder: Encoder | None) -> tuple[np.ndarray, np.ndarray]:
        cache = FeatureCache(self.cache, self.store.key("features", arm.identity))
        loaded = [encoder] if encoder is not None else []

        def embed(values: list[Any]) -> np.ndarray:
            if not loaded:
                loaded.append(self.modality.load(arm.ref, dataset=self.train, pooling=self.pooling))
            return loaded[0].embed(values, max_length=self.task.max_length(loaded[0]))

        def of(split: datasets.Dataset) -> Callable[[list[int]], list[Any]]:
            return lambda rows: list(split.select(rows)[self.modality.column])

        known = cache.vectors("train", self.needed, of(self.train), embed)
        asked = cache.vectors("test", range(len(self.test)), of(self.test), embed)
        if cache.seconds:
            logger.info(f"  frozen features of {arm.name}: {cache.seconds:.0f} s, kept for the next call")
        return known, asked

    def _probe(self, cell: Cell, known: np.ndarray, asked: np.ndarray) -> ResultRow:
        assert self.targets is not None
        began, labels = time.monotonic(), self.targets[list(cell.rows)]
        if cell.protocol == "knn":
            guess = probes.knn_probe(known, labels, asked, problem_type=self._problem)
        else:
            guess = probes.linear_probe(known, labels, asked, **self._options(cell))
        outputs = labels.shape[1] if labels.ndim > 1 else len(np.unique(labels)) if self._single else 1
        trainable = 0 if cell.protocol == "knn" else outputs * (known.shape[1] + 1)
        return self._row(cell, guess, began, trainable)

    # -- without the checkpoint -------------------------------------------------------------------------------------

    def baselines(self) -> Iterator[ResultRow]:
        """What needs no pretrained model: TF-IDF for text, the modality's own features for others; or the task's own."""
        if self.targets is None or self.modality.baseline is None:
            return
        names = [self.modality.baseline] if self.modality.name == "text" else list(self.modality.baselines())
        for name in names:
            cells = [self._as(cell, name, "baseline") for cell in self.cells]
            found = {cell.key: self.store.find(cell) for cell in cells}
            if any(row is None for row in found.values()):
                answer = self._answering(name)
                for cell in cells:
                    if found[cell.key] is None and self._in_time(cell):
                        began = time.monotonic()
                        found[cell.key] = self._kept(cell, self._row(cell, answer(cell), began, None))
            yield from (row for row in found.values() if row is not None)

    def _answering(self, name: str) -> Callable[[Cell], probes.ProbePrediction]:
        targets = self.targets
        assert targets is not None
        if self.modality.name == "text":
            pool = list(self.data["unlabeled"][self.modality.column][:POOL]) if "unlabeled" in self.data else []

            counted = CountedTexts([*self.given, *self.asked, *pool])

            def by_words(cell: Cell) -> probes.ProbePrediction:
                texts = [self.given[row] for row in self._rows(cell)]
                labels = targets[list(cell.rows)]
                return probes.tfidf_probe(
                    texts, labels, self.asked, unlabeled=pool, counted=counted, **self._options(cell)
                )

            return by_words
        features, asked = (self.modality.baselines()[name](values) for values in (self.given, self.asked))

        def by_features(cell: Cell) -> probes.ProbePrediction:
            return probes.linear_probe(
                features[self._rows(cell)], targets[list(cell.rows)], asked, **self._options(cell)
            )

        return by_features

    def peers(self, names: Sequence[str], start: Arm) -> Iterator[ResultRow]:
        """Other tools, on the same subsets; each says by itself what it needs."""
        for name in names:
            if is_forecaster(name):
                raise ConfigError(
                    f"The peer {name} forecasts timeseries with a horizon, not {self.modality.name}. Leave it out of peers."
                )
            peer: Peer = plugins.find("peers", name)()
            peer.check(self.modality.name, self.task.label_kind)
            cells = [
                self._as(cell, name, "peer", name, start.identity) for cell in self.cells if cell.seed < peer.draws
            ]
            for cell in cells:
                row = self.store.find(cell)
                if row is None and self._in_time(cell):
                    began = time.monotonic()
                    guess = peer.answer(self._for_peer(peer, cell, start))
                    row = self._kept(cell, self._row(cell, guess, began, None))
                if row is not None:
                    yield row

    def _for_peer(self, peer: Peer, cell: Cell, start: Arm) -> Asked:
        known = asked = None
        if peer.reads_vectors:
            known, asked = self._vectors(start, None)
            known = known[self._rows(cell)]
        assert self.targets is not None
        return Asked(
            values=[self.given[row] for row in self._rows(cell)], labels=self.targets[list(cell.rows)], test=self.asked, vectors=known,
            test_vectors=asked, problem_type=self._problem, seed=cell.seed, start=start.ref.id, groups=self._groups(cell),
        )  # fmt: skip

    # -- small things -----------------------------------------------------------------------------------------------

    def _as(self, cell: Cell, arm: str, protocol: str, *more: Any) -> Cell:
        """The same subset for an arm and a protocol; `more` says what its result depends on, where that is not the arm's name."""
        key = self.store.key(arm if not more else "", protocol, cell.budget, cell.seed, cell.rows, *more)
        return Cell(arm, protocol, cell.budget, cell.seed, key, cell.rows)

    def _in_time(self, cell: Cell) -> bool:
        """Whether there is time for a cell; those that are left are counted."""
        kind = f"{cell.protocol} {cell.arm if cell.protocol == 'peer' else ''} {cell.budget}"
        allowed = self.clock.has_time(kind)
        self.left += not allowed
        return allowed

    def _kept(self, cell: Cell, row: ResultRow) -> ResultRow:
        self.clock.note(f"{cell.protocol} {cell.arm if cell.protocol == 'peer' else ''} {cell.budget}", row.seconds)
        return self.store.keep(cell, row)

    def _rows(self, cell: Cell) -> list[int]:
        return [self.place[row] for row in cell.rows]

    def _row(self, cell: Cell, guess: probes.ProbePrediction, began: float, trainable: int | None) -> ResultRow:
        chances = guess.scores
        if chances is not None and guess.classes is not None:  # classes that the subset lacks have the chance 0
            whole = np.zeros((len(chances), len(self.task.label_names)), np.float32)
            whole[:, guess.classes.astype(int)] = chances
            chances = whole
        seconds = time.monotonic() - began
        return ResultRow(
            cell.arm, cell.budget, cell.seed, guess.predictions, cell.protocol, chances, seconds, trainable
        )

    @property
    def _problem(self) -> str:
        return self.task.problem_type or "single_label_classification"

    @property
    def _single(self) -> bool:
        return self._problem == "single_label_classification"

    def _options(self, cell: Cell) -> dict[str, Any]:
        return {"seed": cell.seed, "problem_type": self._problem, "groups": self._groups(cell)}

    def _groups(self, cell: Cell) -> list[Any] | None:
        """Of the labeled rows, where the data have groups: the test rows come from others."""
        if "group" not in self.train.column_names:
            return None
        return list(self.train.select_columns(["group"])[list(cell.rows)]["group"])
