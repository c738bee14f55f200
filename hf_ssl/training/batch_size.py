"""How many examples a step sees: batches that fit the rows, the memory, and the checkpoint that is gone on from."""

from __future__ import annotations

import logging

from transformers import TrainingArguments

from hf_ssl.core.errors import TrainingError
from hf_ssl.training.checkpoints import Progress

logger = logging.getLogger(__name__)


def smaller_batch(args: TrainingArguments, error: BaseException, wanted: bool) -> int:
    """The next smaller batch that divides the present one.

    Raises:
        TrainingError: it was not asked for, or would not be the same training.
    """
    batch, told = args.per_device_train_batch_size, str(error).partition("\n")[0][:160]
    smaller = next((size for size in range(batch // 2, 0, -1) if batch % size == 0), 0)
    if not smaller:
        raise TrainingError(
            f"Out of memory with a batch of one example ({told}). Lower the length or size of examples."
        )
    accumulated = args.gradient_accumulation_steps * (batch // smaller)
    if args.dataloader_drop_last:
        raise TrainingError(
            f"Out of memory with batches of {batch} ({told}). This objective compares the examples of a batch: try "
            f"--per_device_train_batch_size {smaller}, or --gradient_checkpointing true to keep {batch}."
        ) from error
    if not wanted or args.world_size > 1:
        also = " or --auto_batch_size" if args.world_size == 1 else ""
        raise TrainingError(
            f"Out of memory with batches of {batch} ({told}). Try --per_device_train_batch_size {smaller} "
            f"--gradient_accumulation_steps {accumulated}, which trains the same{also}."
        ) from error
    return smaller


def fill_a_batch(args: TrainingArguments, rows: int) -> None:
    """Make batches smaller where only full ones are used and the rows do not fill one."""
    share = rows // args.world_size
    if not args.dataloader_drop_last or args.train_batch_size <= share:
        return
    if share < 2:
        raise TrainingError(
            f"{rows} examples are too few: this objective compares examples within a batch, so each process needs two or "
            "more. Add unlabeled data, or choose an objective that looks at each example alone."
        )
    logger.warning(
        f"{rows} examples do not fill a batch of {args.train_batch_size} on each of {_processes(args.world_size)}; the batch "
        f"is {share}. Say so with --per_device_train_batch_size {share}."
    )
    args.per_device_train_batch_size = share


def same_batch(made: Progress, args: TrainingArguments, elastic: bool) -> None:
    """Refuse to go on with another number of processes or another batch than a checkpoint was made with.

    With `elastic` the number may differ, and batches are accumulated so that a step sees as many examples as before.
    """
    share = args.train_batch_size * args.world_size
    now = share * args.gradient_accumulation_steps
    if (made.processes, made.examples_a_step) == (args.world_size, now):
        return
    told = (
        f"The checkpoint of step {made.step} was made by {_processes(made.processes)} with {made.examples_a_step} "
        f"examples a step; now {_processes(args.world_size)} would go on with {now}."
    )
    if not elastic:
        raise TrainingError(
            f"{told} Start {_processes(made.processes)} as before, or give --elastic: it keeps {made.examples_a_step} "
            "examples a step by accumulating batches, but dropout and random views are not those of an unbroken run."
        )
    if made.examples_a_step % share:
        raise TrainingError(
            f"{told} {made.examples_a_step} cannot be made of batches of {share}: start a number of processes that "
            f"divides {made.examples_a_step // args.train_batch_size}."
        )
    args.gradient_accumulation_steps = made.examples_a_step // share
    logger.warning(
        f"{told} As --elastic says, it goes on: {args.gradient_accumulation_steps} batches of "
        f"{args.train_batch_size} on each make a step of {made.examples_a_step}."
    )


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
