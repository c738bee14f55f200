"""Training on a stream: rows of one block after the other, without end, and the exact place in it to go on from.

Every reader (a loader's worker, or a process that has none) reads its own part of the stream. It makes rows of a block, shuffles
them, and gives batches of one size, also across the end of a block. A batch says where its reader is behind it, and a checkpoint
keeps what the last batches *that were trained on* said: what a worker had read ahead is read again. Nothing is replayed but the one
block that a reader was in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ssl.core import distributed
from hf_ssl.core.errors import DataError, TrainingError
from hf_ssl.training.module import EpochRows, SizedDataset

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

PLACE = "place in the stream"
"""Entry of a batch: where its reader is behind it, as JSON."""
Batch = dict[str, Any]
T = TypeVar("T")


class Place(Protocol):
    """Where a block begins."""

    turn: int
    state: dict[str, Any] | None


class Block(Protocol):
    """Rows that were read together, and the hash of what was read."""

    @property
    def rows(self) -> datasets.Dataset: ...

    @property
    def place(self) -> Place: ...

    @property
    def digest(self) -> str: ...

    def checked(self) -> Block: ...


class Source(Protocol):
    """What gives blocks to several readers (`hf_ssl.data.stream.Stream`)."""

    def blocks(self, reader: int, readers: int, place: Any = None) -> Iterator[Any]: ...

    def place(self, turn: int, state: dict[str, Any] | None) -> Any: ...


@dataclass
class Position:
    """Where a reader is: the block, and how many of its rows have been trained on."""

    turn: int
    state: dict[str, Any] | None
    digest: str
    rows: int


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; a thread makes the next one, and never more than one, while one is used."""
    end = object()
    pool = ThreadPoolExecutor(1)
    try:
        coming: Future[Any] = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class StreamRows(IterableDataset[Batch]):
    """Batches of a stream, without end.

    Args:
        source: gives blocks.
        rows_of: makes rows of the examples of a block, as an objective does of its pool.
        collate: makes a batch of rows.
        seed: of the order within a block.
        keep_order: rows have an order of their own (clips of one length together), which is kept.
    """

    def __init__(
        self,
        source: Source,
        rows_of: Callable[[datasets.Dataset], SizedDataset],
        collate: Callable[[Sequence[Any]], Batch],
        *,
        seed: int,
        keep_order: bool = False,
    ) -> None:
        self.source, self.rows_of, self.collate = source, rows_of, collate
        self.seed, self.keep_order = seed, keep_order
        self.batch_size, self.lanes, self.first = 1, 1, 0
        self.positions: dict[int, Position] = {}

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        lane = (self.first + (worker.id if worker is not None else 0)) % self.lanes
        waiting: list[Any] = []
        for row, position in self._rows(lane):
            waiting.append(row)
            if len(waiting) == self.batch_size:
                said = {"lane": lane, **asdict(position)}
                yield {**self.collate(waiting), PLACE: json.dumps(said)}
                waiting = []

    def _rows(self, lane: int) -> Iterator[tuple[Any, Position]]:
        """Rows of a reader, each with the position behind it."""
        begun = self.positions.get(lane)
        reader, readers = distributed.rank() * self.lanes + lane, distributed.world_size() * self.lanes
        place = None if begun is None else self.source.place(begun.turn, begun.state)
        made = ((block, self._made(block)) for block in self.source.blocks(reader, readers, place))
        # In a process of its own the next block is read and decoded while batches of this one are taken.
        for block, rows in ahead(made) if get_worker_info() is not None else made:
            skipped = 0
            if begun is not None:
                if block.digest != begun.digest:
                    raise TrainingError(
                        "The stream gives other rows than before at the place where the run stopped: its files have changed, or it shuffles by "
                        "itself. Give it unshuffled (rows are shuffled here), or start anew with --overwrite in place of --resume."
                    )
                skipped, begun = begun.rows, None
            if isinstance(rows, EpochRows):
                rows.set_epoch(block.place.turn)
            order = np.arange(len(rows))
            if not self.keep_order:
                order = np.random.default_rng([self.seed, block.place.turn, int(block.digest, 16)]).permutation(order)
            for done, index in enumerate(order.tolist()[skipped:], start=skipped + 1):
                yield rows[index], Position(block.place.turn, block.place.state, block.digest, done)

    def _made(self, block: Block) -> SizedDataset:
        """Rows of a block; where one of its examples turns out to be broken, of the others."""
        try:
            return self.rows_of(block.rows)
        except DataError as error:
            rest = block.checked()
            if not 0 < len(rest.rows) < len(block.rows):
                raise
            logger.warning(
                f"{len(block.rows) - len(rest.rows)} examples of a block of the stream are left out: {error}"
            )
            return self.rows_of(rest.rows)

    def loader(self, args: TrainingArguments, device: torch.device) -> DataLoader[Batch]:
        """Batches for the Trainer; not divided among processes, because each reads its own."""
        loader: DataLoader[Batch] = DataLoader(
            self, batch_size=None, num_workers=args.dataloader_num_workers, pin_memory=args.dataloader_pin_memory,
            prefetch_factor=args.dataloader_prefetch_factor, generator=torch.Generator(),  # the Trainer's draws stay its own
        )  # fmt: skip
        return prepare_data_loader(
            loader, device, num_processes=1, process_index=0, put_on_device=True, dispatch_batches=False
        )

    def note(self, batches: Sequence[Batch]) -> None:
        """Remember where the readers are behind these batches, and take it out of them: they are about to be trained on."""
        for batch in batches:
            said = json.loads(batch.pop(PLACE))
            lane = said.pop("lane")
            self.positions[lane] = Position(**said)
            self.first = (lane + 1) % self.lanes

    def save(self, folder: Path) -> None:
        """Write this process's place."""
        places = {lane: asdict(position) for lane, position in self.positions.items()}
        content = {
            "processes": distributed.world_size(),
            "lanes": self.lanes,
            "first": self.first,
            "positions": places,
        }
        _file(folder).write_text(json.dumps(content), encoding="utf-8")

    def prepare(self, args: TrainingArguments, checkpoint: Path | None) -> None:
        """Get ready to read, from the place noted in a checkpoint where there is one.

        Raises:
            TrainingError: how many steps there are is not said, or the checkpoint is not one of a stream.
        """
        if args.max_steps <= 0:
            raise TrainingError("A stream has no end: say how many steps to train, --max_steps.")
        args.ignore_data_skip = True  # the Trainer would read again all that was read before
        self.batch_size, self.lanes = args.train_batch_size, max(1, args.dataloader_num_workers)
        if checkpoint is None:
            return
        try:
            noted = json.loads(_file(checkpoint).read_text(encoding="utf-8"))
            self.positions = {int(lane): Position(**one) for lane, one in noted["positions"].items()}
            lanes, self.first, processes = int(noted["lanes"]), int(noted["first"]), int(noted["processes"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrainingError(
                f"{checkpoint} does not say where in the stream it was made. Start anew with --overwrite in place of --resume."
            ) from error
        if processes != distributed.world_size():
            raise TrainingError(
                f"{processes} processes shared the stream out among them; {distributed.world_size()} cannot go on where they were, with --elastic "
                "neither. Start as many as before."
            )
        if lanes != self.lanes:
            logger.info(f"the stream is read by {lanes} worker(s) of each process, as before")
            self.lanes = lanes
            args.dataloader_num_workers = lanes if lanes > 1 or args.dataloader_num_workers else 0


def _file(folder: Path) -> Path:
    return folder / f"stream_{distributed.rank()}.json"


class StreamEpoch(TrainerCallback):
    """A stream has no epochs: what is called so is the share of the steps that were taken, resumed or not."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        state.epoch = state.global_step / max(1, state.max_steps)
