"""The one place that talks to `transformers.Trainer`."""

from __future__ import annotations

import contextlib
import copy
import logging
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate.utils import release_memory
from accelerate.utils.memory import should_reduce_batch_size
from torch.utils.data import Subset
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback, ProgressCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, MissingExtraError, TrainingError
from hf_ssl.core.log import shows_progress
from hf_ssl.core.stopping import Terminated
from hf_ssl.training import deadline, fsdp, limit, optimizers, sharding, zero3
from hf_ssl.training.batch_size import fill_a_batch, same_batch, smaller_batch
from hf_ssl.training.callbacks import (
    Evaluator,
    HeadWarmupCallback,
    MonitorCallback,
    SetEpochCallback,
    StopRequested,
    ThroughputCallback,
    TrackerAdapter,
    interruptible,
)
from hf_ssl.training.checkpoints import Checkpoint, clear, newest
from hf_ssl.training.compiled import compiled_blocks, options_of
from hf_ssl.training.cpu import cpu_convolutions, cpu_dropouts, freed_at_once
from hf_ssl.training.exact_trainer import ExactTrainer
from hf_ssl.training.light_adapters import light_adapters
from hf_ssl.training.module import EpochRows, GroupedRows, SizedDataset, TrainingModule
from hf_ssl.training.profile import ProfileCallback
from hf_ssl.training.progress import StageProgressBar
from hf_ssl.training.schedule import Schedule
from hf_ssl.training.streaming import StreamEpoch, StreamRows

logger = logging.getLogger(__name__)


@dataclass
class TrainResult:
    """What a training run did."""

    steps: int
    seconds: float
    units: int
    unit: str
    loss: float | None
    best_metric: float | None = None
    interrupted: bool = False
    peak_memory: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Numbers for the ledger."""
        speed = round(self.units / self.seconds) if self.seconds else 0
        return {
            "steps": self.steps, "train_seconds": round(self.seconds, 1), f"{self.unit}_seen": self.units,
            f"{self.unit}_per_second": speed, "train_loss": self.loss, "peak_memory_gb": round(self.peak_memory / 1e9, 2),
            **self.figures,
        }  # fmt: skip


def peak_memory() -> int:
    """Most bytes this process has held so far: on the GPU where there is one, else in main memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def bf16_is_fast() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe)() for probe in probes if hasattr(torch.cpu, probe))


def arguments(folder: Path, *, seed: int, defaults: dict[str, Any], overrides: dict[str, Any]) -> TrainingArguments:
    """`TrainingArguments` from, in rising order of precedence: this library's, the objective's or task's, the user's.

    What differs from transformers' own defaults: bf16 autocast where the hardware has it, non-finite losses are not
    filtered from the log, columns are not dropped, two checkpoints are kept.
    """
    mine: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"), "seed": seed, "data_seed": seed, "remove_unused_columns": False,
        "logging_nan_inf_filter": False, "save_total_limit": 2, "logging_steps": 10, "logging_first_step": True,
        "disable_tqdm": not (shows_progress() and sys.stderr.isatty()), "dataloader_drop_last": False,
    }  # fmt: skip
    if distributed.forced_to_cpu() or not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        mine["use_cpu"] = True
    else:
        # Memory that a copy can be left to is pinned for NVIDIA's and AMD's devices.
        mine |= {
            **optimizers.default(on_accelerator=True),
            "accelerator_config": {"non_blocking": torch.cuda.is_available()},
        }
    chosen = {**mine, **defaults, **overrides}
    if chosen.get("optim"):
        optimizers.check(str(chosen["optim"]))
    compiling = options_of(chosen)
    if not {"bf16", "fp16"} & {**defaults, **overrides}.keys() and bf16_is_fast():
        chosen["bf16"] = True
    if chosen.get("dataloader_num_workers"):
        chosen["dataloader_persistent_workers"] = False  # workers must see the new epoch's masks
    try:
        args = TrainingArguments(**chosen)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"transformers.TrainingArguments refuses these options: {error}") from error
    for name, value in compiling.items():
        setattr(args, name, value)
    _check_trackers(list(args.report_to or ()))
    zero3.forget()
    return args


def _check_trackers(names: list[str]) -> None:
    """The Trainer itself would end in a traceback that names no pip line."""
    for name in names:
        try:
            for tracker in get_reporting_integration_callbacks([name]):
                tracker()
        except ValueError as error:
            raise ConfigError(f"report_to: {error}") from error
        except (RuntimeError, ImportError) as error:
            extra = "hf_ssl[tracking]" if name == "trackio" else name
            raise MissingExtraError(f'{name} is needed for --report_to {name}. Run: pip install "{extra}"') from error


def train(
    module: TrainingModule,
    rows: SizedDataset | StreamRows,
    args: TrainingArguments,
    folder: Path,
    *,
    schedule: Schedule | None = None,
    eval_rows: SizedDataset | None = None,
    compute_metrics: Callable[[Any], dict[str, float]] | None = None,
    measure: Evaluator | None = None,
    patience: int = 0,
    resume: bool = False,
    elastic: bool = False,
    auto_batch_size: bool = False,
    profile: bool = False,
    views_on: Literal["auto", "host", "device"] = "auto",
) -> TrainResult:
    """Train a module with the stock `Trainer`.

    Args:
        module: a model with its loss.
        rows: training examples; their `collate` belongs to the module. A stream needs `max_steps`.
        folder: gets `curve.jsonl` and `checkpoints/`.
        schedule: learning rates by part of the model (default: the Trainer's own scheduler).
        eval_rows, compute_metrics, patience: early stopping and best checkpoint on validation data.
        measure: called at step 0 and along the way (health, drift, probe); may stop the run.
        resume: go on from the newest complete checkpoint in the folder.
        elastic: also with another number of processes than made the checkpoint; the batch of a step stays the same.
        auto_batch_size: where memory runs out, go on with smaller batches, more of them to a step (one process only).
        views_on: where random views are made; auto: on the device that trains, where that is an accelerator.
        profile: look at a few steps, and write what was seen into `folder`/profile.

    Raises:
        TrainingError: the loss is not finite; memory runs out; a loader's worker was killed;
            no checkpoint is whole; it was made by another number of processes or
            with another batch.
        KeyboardInterrupt: Ctrl-C (`Terminated`: SIGTERM, SIGUSR1); a checkpoint has been saved by then.
    """
    if not isinstance(rows, StreamRows) and len(rows) == 0:
        raise TrainingError("There is nothing to train on: no rows are left after reading and filtering.")
    module.views_on_device = views_on == "device" or (views_on == "auto" and args.device.type != "cpu")
    options: dict[str, Any] = {
        "schedule": schedule, "eval_rows": eval_rows, "compute_metrics": compute_metrics, "measure": measure,
        "patience": patience, "elastic": elastic, "profile": profile,
    }  # fmt: skip
    start = {name: tensor.cpu().clone() for name, tensor in module.state_dict().items()} if auto_batch_size else {}
    while True:
        try:
            return _train(module, rows, args, folder, resume=resume, **options)
        except (RuntimeError, MemoryError) as error:
            if "DataLoader worker" in str(error):
                raise TrainingError(
                    "A process that prepares batches was killed, most often because memory ran short. Lower "
                    "--dataloader_num_workers (0: none), and go on with --resume."
                ) from error
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
            smaller = smaller_batch(args, error, auto_batch_size)
        # Out of the handler, so that nothing holds the tensors of the failed step any more.
        release_memory()
        args.gradient_accumulation_steps *= args.per_device_train_batch_size // smaller
        args.per_device_train_batch_size = smaller
        logger.warning(
            f"out of memory: going on with batches of {smaller}, {args.gradient_accumulation_steps} of them to a step, which "
            "sees as many examples as before"
        )
        module.load_state_dict(start)
        resume = True


def _train(
    module: TrainingModule,
    rows: SizedDataset | StreamRows,
    args: TrainingArguments,
    folder: Path,
    *,
    schedule: Schedule | None,
    eval_rows: SizedDataset | None,
    compute_metrics: Callable[[Any], dict[str, float]] | None,
    measure: Evaluator | None,
    patience: int,
    resume: bool,
    elastic: bool,
    profile: bool,
) -> TrainResult:
    last = _where_to_begin(rows, args, resume, elastic)
    shards = fsdp.Shards(module) if fsdp.asked_for(args) else zero3.Zero3(module) if zero3.asked_for(args) else None
    trained = shards.trained if shards is not None else module
    watch = ThroughputCallback(trained, folder / "curve.jsonl", last.progress if last else None)
    callbacks: list[TrainerCallback] = [watch, *deadline.callbacks()]
    if profile:
        callbacks.append(ProfileCallback(trained, watch, folder / "profile"))
    if isinstance(rows, EpochRows):
        callbacks.append(SetEpochCallback(rows))
    elif isinstance(rows, StreamRows):
        callbacks.append(StreamEpoch())
    if schedule is not None and schedule.head_warmup > 0 and args.deepspeed_plugin is not None:
        logger.warning(
            "head_warmup has no effect under DeepSpeed, which keeps gradients to itself; ddp and fsdp2 know it"
        )
    elif schedule is not None and schedule.head_warmup > 0:
        callbacks.append(HeadWarmupCallback(trained, schedule))
    if measure is not None:
        callbacks.append(MonitorCallback(measure, watch, shards))
    if eval_rows is not None and patience:
        stopper = EarlyStoppingCallback(early_stopping_patience=patience)
        stopper.early_stopping_patience_counter = last.patience_used() if last else 0
        callbacks.append(stopper)
    if (trial := limit.current()) is not None:
        limiter = limit.LimitCallback(trial)
        callbacks.append(limiter)
    divided = args.world_size > 1 and not args.dataloader_drop_last
    drawn = sharding.WithSpares(rows) if divided and not isinstance(rows, StreamRows) else rows
    trainer = ExactTrainer(
        model=trained, args=args, train_dataset=drawn, eval_dataset=eval_rows,
        data_collator=sharding.collating(trained.training_batch) if divided else trained.training_batch,
        compute_metrics=compute_metrics, callbacks=callbacks,
    )  # fmt: skip
    trainer.schedule, trainer.watch, trainer.shards = schedule, watch, shards
    if shards is not None:
        shards.prepare(trainer)
    trainer.owes_evaluation = last is not None and last.progress.owes_evaluation
    _show_progress(trainer, module, folder, watch)
    distributed.settle_at_exit()
    with interruptible(watch), _as_it_trains(trained, args, shards is not None), zero3.dividing(args):
        with contextlib.suppress(StopRequested):  # before the first step
            trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    if watch.stopping:
        name = signal.Signals(watch.signal).name
        kind = KeyboardInterrupt if watch.signal == signal.SIGINT else Terminated
        raise kind(f"interrupted by {name} at step {trainer.state.global_step}")
    if shards is not None:
        shards.gather()
    result = TrainResult(
        steps=trainer.state.global_step, seconds=watch.seconds, units=watch.all_units(), unit=module.unit,
        loss=watch.last_loss or _last_loss(trainer.state), best_metric=trainer.state.best_metric, peak_memory=peak_memory(), figures=watch.figures(),
    )  # fmt: skip
    if trial is not None:
        limiter.note(module, rows, trainer.state.max_steps, watch.seconds, watch.measured, args.train_batch_size)
    return result


@contextlib.contextmanager
def _as_it_trains(module: TrainingModule, args: TrainingArguments, sharded: bool) -> Iterator[None]:
    """Inside, a module computes as it does in training only."""
    with (
        freed_at_once(module.frees_at_once),
        cpu_convolutions(module),
        cpu_dropouts(module),
        # What is sharded must not be kept whole beside it.
        contextlib.nullcontext() if sharded else light_adapters(module),
        compiled_blocks(module, args),
    ):
        yield


def _show_progress(trainer: ExactTrainer, module: TrainingModule, folder: Path, watch: ThroughputCallback) -> None:
    """Trackers see the model, and a bar shows the stage, the loss and the speed."""
    trackers = tuple(get_reporting_integration_callbacks(trainer.args.report_to or []))
    handler = trainer.callback_handler
    handler.callbacks = [
        TrackerAdapter(one, module.model, folder) if isinstance(one, trackers) else one for one in handler.callbacks
    ]
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(StageProgressBar(folder.name, watch))


def _where_to_begin(
    rows: SizedDataset | StreamRows, args: TrainingArguments, resume: bool, elastic: bool
) -> Checkpoint | None:
    """The checkpoint to go on from, if any; batches, groups of rows and the place in a stream are made to follow it."""
    if not isinstance(rows, StreamRows):
        fill_a_batch(args, len(rows))
    if not resume:
        clear(Path(str(args.output_dir)))
    last = newest(Path(str(args.output_dir))) if resume else None
    if resume:
        logger.info(f"resuming from {last.path}" if last else "nothing to resume from, starting at step 0")
    if last is not None:
        same_batch(last.progress, args, elastic)
        args.eval_on_start = False  # it was made; a second one would count as an evaluation without a better score
        if isinstance(rows, GroupedRows) and rows.batch:  # rows grouped by length, as many as a step sees
            rows.group(last.progress.examples_a_step)
    if isinstance(rows, StreamRows):
        rows.prepare(args, last.path if last else None)
    return last


def _last_loss(state: TrainerState) -> float | None:
    """Of a run that was resumed with no step left."""
    return next((float(line["loss"]) for line in reversed(state.log_history) if "loss" in line), None)


def predict(module: TrainingModule, rows: SizedDataset, args: TrainingArguments) -> tuple[Any, Any]:
    """Logits and labels of every row, in order, gathered over all processes.

    Returns:
        logits and labels as numpy arrays (padded with -100 where rows differ in length); no labels where rows have none.
    """
    args = copy.copy(args)  # training's evaluation and checkpoint settings ask for data that are not there now
    args.eval_strategy, args.save_strategy, args.load_best_model_at_end = IntervalStrategy.NO, SaveStrategy.NO, False
    args.deepspeed_plugin = None  # DeepSpeed knows no evaluation by itself
    trainer = ExactTrainer(model=module.to(args.device), args=args, data_collator=module.collate)
    trainer.is_deepspeed_enabled = False
    trainer.remove_callback(PrinterCallback)
    order = _longest_first(rows)
    with limit.timed(len(rows)):
        output = trainer.predict(rows if order is None else Subset(rows, order.tolist()))
    zero3.forget()  # Accelerate has just made a plugin anew
    if order is None:
        return output.predictions, output.label_ids
    return _unsorted(output.predictions, order), _unsorted(output.label_ids, order)


def _longest_first(rows: SizedDataset) -> np.ndarray | None:
    """Rows of similar length next to each other, so that little is padded; None where rows have no length."""
    if not len(rows) or not isinstance(rows[0], Mapping) or "input_ids" not in rows[0]:
        return None
    return np.argsort([-len(rows[i]["input_ids"]) for i in range(len(rows))], kind="stable")


def _unsorted(values: np.ndarray | tuple[np.ndarray, ...] | None, order: np.ndarray) -> Any:
    if isinstance(values, tuple):
        return tuple(_unsorted(part, order) for part in values)
    return None if values is None else values[np.argsort(order)]  # rows without labels
