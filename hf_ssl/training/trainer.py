"""The one place that talks to `transformers.Trainer`."""

from __future__ import annotations

import contextlib
import copy
import logging
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import release_memory
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn
from torch.utils.data import Dataset, Subset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback, ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy, SaveStrategy, rotate_checkpoints

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, MissingExtraError, TrainingError
from hf_ssl.core.log import shows_progress
from hf_ssl.core.stopping import Terminated
from hf_ssl.training import limit, sharding
from hf_ssl.training.callbacks import (
    Evaluator,
    HeadWarmupCallback,
    LossProgressBar,
    MonitorCallback,
    SetEpochCallback,
    StopRequested,
    ThroughputCallback,
    TrackerAdapter,
    interruptible,
    same_randomness,
)
from hf_ssl.training.checkpoints import MANIFEST, Progress, clear, newest, seal
from hf_ssl.training.cpu import cpu_convolutions, freed_at_once
from hf_ssl.training.module import TrainingModule
from hf_ssl.training.schedule import Schedule, parameter_groups

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

    def to_dict(self) -> dict[str, Any]:
        """Numbers for the ledger."""
        speed = round(self.units / self.seconds) if self.seconds else 0
        return {
            "steps": self.steps, "train_seconds": round(self.seconds, 1), f"{self.unit}_seen": self.units,
            f"{self.unit}_per_second": speed, "train_loss": self.loss, "peak_memory_gb": round(self.peak_memory / 1e9, 2),
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
    chosen = {**mine, **defaults, **overrides}
    if not {"bf16", "fp16"} & {**defaults, **overrides}.keys() and bf16_is_fast():
        chosen["bf16"] = True
    if chosen.get("dataloader_num_workers"):
        chosen["dataloader_persistent_workers"] = False  # workers must see the new epoch's masks
    try:
        args = TrainingArguments(**chosen)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"transformers.TrainingArguments refuses these options: {error}") from error
    _check_trackers(list(args.report_to or ()))
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
    rows: Dataset,
    args: TrainingArguments,
    folder: Path,
    *,
    schedule: Schedule | None = None,
    eval_rows: Dataset | None = None,
    compute_metrics: Callable[[Any], dict[str, float]] | None = None,
    measure: Evaluator | None = None,
    patience: int = 0,
    resume: bool = False,
    elastic: bool = False,
    auto_batch_size: bool = False,
) -> TrainResult:
    """Train a module with the stock `Trainer`.

    Args:
        module: a model with its loss.
        rows: training examples; their `collate` belongs to the module.
        folder: gets `curve.jsonl` and `checkpoints/`.
        schedule: learning rates by part of the model (default: the Trainer's own scheduler).
        eval_rows, compute_metrics, patience: early stopping and best checkpoint on validation data.
        measure: called at step 0 and along the way (health, drift, probe); may stop the run.
        resume: go on from the newest complete checkpoint in the folder.
        elastic: also with another number of processes than made the checkpoint; the batch of a step stays the same.
        auto_batch_size: where memory runs out, go on with smaller batches, more of them to a step (one process only).

    Raises:
        TrainingError: the loss is not finite; memory runs out; a loader's worker was killed;
            no checkpoint is whole; it was made by another number of processes or
            with another batch.
        KeyboardInterrupt: Ctrl-C (`Terminated`: SIGTERM, SIGUSR1); a checkpoint has been saved by then.
    """
    if len(rows) == 0:  # type: ignore[arg-type]
        raise TrainingError("There is nothing to train on: no rows are left after reading and filtering.")
    options: dict[str, Any] = {
        "schedule": schedule, "eval_rows": eval_rows, "compute_metrics": compute_metrics, "measure": measure,
        "patience": patience, "elastic": elastic,
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
            smaller = _smaller_batch(args, error, auto_batch_size)
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


def _smaller_batch(args: TrainingArguments, error: BaseException, wanted: bool) -> int:
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


def _train(
    module: TrainingModule,
    rows: Dataset,
    args: TrainingArguments,
    folder: Path,
    *,
    schedule: Schedule | None,
    eval_rows: Dataset | None,
    compute_metrics: Callable[[Any], dict[str, float]] | None,
    measure: Evaluator | None,
    patience: int,
    resume: bool,
    elastic: bool,
) -> TrainResult:
    _fill_a_batch(args, len(rows))  # type: ignore[arg-type]
    if not resume:
        clear(Path(str(args.output_dir)))
    last = newest(Path(str(args.output_dir))) if resume else None
    if resume:
        logger.info(f"resuming from {last.path}" if last else "nothing to resume from, starting at step 0")
    if last is not None:
        _same_batch(last.progress, args, elastic)
        if getattr(rows, "batch", 0):  # rows grouped by length, as many as a step sees
            rows.group(last.progress.examples_a_step)  # type: ignore[attr-defined]
    watch = ThroughputCallback(module, folder / "curve.jsonl", last.progress if last else None)
    callbacks: list[TrainerCallback] = [watch]
    if hasattr(rows, "set_epoch"):
        callbacks.append(SetEpochCallback(rows))
    if schedule is not None and schedule.head_warmup > 0:
        callbacks.append(HeadWarmupCallback(module, schedule))
    if measure is not None:
        callbacks.append(MonitorCallback(measure, watch))
    if eval_rows is not None and patience:
        stopper = EarlyStoppingCallback(early_stopping_patience=patience)
        stopper.early_stopping_patience_counter = last.patience_used() if last else 0
        callbacks.append(stopper)
    if (trial := limit.current()) is not None:
        limiter = limit.LimitCallback(trial)
        callbacks.append(limiter)
    divided = args.world_size > 1 and not args.dataloader_drop_last
    trainer = _Trainer(
        model=module, args=args, train_dataset=sharding.WithSpares(rows) if divided else rows, eval_dataset=eval_rows,
        data_collator=sharding.collating(module.collate) if divided else module.collate,
        compute_metrics=compute_metrics, callbacks=callbacks,
    )  # fmt: skip
    trainer.schedule, trainer.watch = schedule, watch
    trainer.owes_evaluation = last is not None and last.progress.owes_evaluation
    trackers = tuple(get_reporting_integration_callbacks(args.report_to or []))
    handler = trainer.callback_handler
    handler.callbacks = [
        TrackerAdapter(one, module.model, folder) if isinstance(one, trackers) else one for one in handler.callbacks
    ]
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(LossProgressBar)
    distributed.settle_at_exit()
    with interruptible(watch), freed_at_once(module.frees_at_once), cpu_convolutions(module):
        with contextlib.suppress(StopRequested):  # before the first step
            trainer.train(resume_from_checkpoint=str(last.path) if last else None)
    if watch.stopping:
        name = signal.Signals(watch.signal).name
        kind = KeyboardInterrupt if watch.signal == signal.SIGINT else Terminated
        raise kind(f"interrupted by {name} at step {trainer.state.global_step}")
    result = TrainResult(
        steps=trainer.state.global_step, seconds=watch.seconds, units=watch.all_units(), unit=module.unit,
        loss=watch.last_loss, best_metric=trainer.state.best_metric, peak_memory=peak_memory(),
    )  # fmt: skip
    if trial is not None:
        limiter.note(module, rows, trainer.state.max_steps, watch.seconds, watch.measured, args.train_batch_size)
    return result


def predict(module: TrainingModule, rows: Dataset, args: TrainingArguments) -> tuple[Any, Any]:
    """Logits and labels of every row, in order, gathered over all processes.

    Returns:
        logits and labels as numpy arrays (padded with -100 where rows differ in length); no labels where rows have none.
    """
    args = copy.copy(args)  # training's evaluation and checkpoint settings ask for data that are not there now
    args.eval_strategy, args.save_strategy, args.load_best_model_at_end = IntervalStrategy.NO, SaveStrategy.NO, False
    trainer = _Trainer(model=module, args=args, data_collator=module.collate)
    trainer.remove_callback(PrinterCallback)
    order = _longest_first(rows)
    with limit.timed(len(rows)):  # type: ignore[arg-type]
        output = trainer.predict(rows if order is None else Subset(rows, order.tolist()))
    if order is None:
        return output.predictions, output.label_ids
    return _unsorted(output.predictions, order), _unsorted(output.label_ids, order)


def _longest_first(rows: Any) -> np.ndarray | None:
    """Rows of similar length next to each other, so that little is padded; None where rows have no length."""
    if not len(rows) or not isinstance(rows[0], Mapping) or "input_ids" not in rows[0]:
        return None
    return np.argsort([-len(rows[i]["input_ids"]) for i in range(len(rows))], kind="stable")


def _unsorted(values: Any, order: np.ndarray) -> Any:
    if isinstance(values, tuple):
        return tuple(_unsorted(part, order) for part in values)
    return None if values is None else values[np.argsort(order)]  # rows without labels


def _fill_a_batch(args: TrainingArguments, rows: int) -> None:
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


def _same_batch(made: Progress, args: TrainingArguments, elastic: bool) -> None:
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


class _Trainer(Trainer):
    """Stock but for what Trainer has no option for.

    Learning rates by part of the model (transformers#9035), checkpoints that are known to be complete, and no step more
    when a run is resumed that had taken its last one.
    """

    schedule: Schedule | None = None
    watch: ThroughputCallback | None = None
    owes_evaluation = False
    stopped = False

    def _run_epoch(self, **given: Any) -> None:  # type: ignore[override]
        if self.owes_evaluation:
            self._load_rng_state(given["resume_from_checkpoint"])  # the best point may be saved, in the same place
            self.owes_evaluation, self.control.should_evaluate = False, True
            names = ("model", "trial", "epoch", "ignore_keys_for_eval", "start_time")
            self._maybe_log_save_evaluate(self._tr_loss, None, **{name: given[name] for name in names})
            self.control.should_evaluate = False
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            self.control.should_training_stop = True
            return
        super()._run_epoch(**given)

    def _maybe_log_save_evaluate(self, *given: Any, **named: Any) -> None:
        """Save and stop when a signal asks for it; an evaluation is then left to the run that is resumed."""
        if self.stopped:
            return
        assert self.watch is not None  # `train` set it
        if not self.watch.stopping:
            try:
                super()._maybe_log_save_evaluate(*given, **named)
            except StopRequested:
                self._stop_here(owes=True)
            return
        owes = self.control.should_evaluate or (
            self.args.eval_strategy == IntervalStrategy.EPOCH
            and (float(self.state.epoch or 0).is_integer() or self.state.global_step >= self.state.max_steps)
        )
        self.control.should_evaluate = self.control.should_save = False
        super()._maybe_log_save_evaluate(*given, **named)
        self._stop_here(owes)

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> Any:
        if self.owes_evaluation:  # no epoch is left in which it would be made
            self.owes_evaluation, self.control.should_evaluate = False, True
            self._maybe_log_save_evaluate(
                self._tr_loss, None, self.model, trial, int(self.state.epoch or 0), None, start_time
            )
        return super()._finalize_training(trial, num_train_samples, start_time)

    def _stop_here(self, owes: bool) -> None:
        assert self.watch is not None and self.model is not None
        self.stopped, self.watch.owes_evaluation = True, owes
        self._save_checkpoint(self.model, None)
        self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        self.control.should_training_stop = True

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Older checkpoints are deleted when the new one is known to be complete, not before; one of NaN is none."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.model.state_dict().values()):  # type: ignore[union-attr]
            raise TrainingError(
                f"Weights are not finite after step {self.state.global_step}; the checkpoints before are kept. Lower "
                "--learning_rate, or switch --bf16 off."
            )
        folder = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.is_world_process_zero():
            (folder / MANIFEST).unlink(missing_ok=True)  # of an earlier try at this step
        most, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        except BaseException:
            if self.is_world_process_zero():
                shutil.rmtree(folder, ignore_errors=True)  # where the disk is full, the ledger needs the room
            raise
        finally:
            self.args.save_total_limit = most
        assert self.watch is not None  # `train` set it
        progress = self.watch.progress(self.state.global_step)  # all processes meet here: their files are written
        if self.args.should_save:
            seal(folder, progress)
            rotate_checkpoints(str(folder.parent), most, self.state.best_model_checkpoint, use_mtime=True)

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        """`eval_on_start` measures the start; here it also becomes a checkpoint that can be the best one."""
        assert self.watch is not None  # `train` set it
        self.watch.predicting = True
        try:
            with same_randomness():
                metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)
        finally:
            self.watch.predicting = False
        start = self.state.global_step == 0 and self.args.save_strategy == SaveStrategy.BEST
        assert self.model is not None  # it was given to the constructor
        if start and self._determine_best_metric(metrics=metrics, trial=trial):
            # Trainer takes step 0 for no step at all, and would not note where it is.
            self.state.best_model_checkpoint = str(Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-0")
            self._save_checkpoint(self.model, trial)
        return metrics

    def get_train_dataloader(self) -> Any:
        loader = super().get_train_dataloader()
        if isinstance(self.train_dataset, sharding.WithSpares):
            sharding.divide(loader)
        return loader

    def compute_loss(self, model: nn.Module, inputs: Any, *given: Any, **named: Any) -> Any:
        """A batch that only keeps the other processes company has the loss 0, and is no work done."""
        if sharding.IDLE not in inputs:
            return super().compute_loss(model, inputs, *given, **named)
        module: Any = self.model
        before, module.idle = module.units_seen, True
        inputs["labels"] = inputs.pop(sharding.IDLE)
        loss = super().compute_loss(model, inputs, *given, **named)
        module.units_seen, module.idle = before, False
        return loss * 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.schedule is None or self.optimizer is not None:
            return super().create_optimizer(model)
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        assert self.model is not None  # it was given to the constructor
        self.optimizer = kind(parameter_groups(self.model, self.schedule, self.args), **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.schedule is None:
            return super().create_scheduler(num_training_steps, optimizer)
        schedule = self.schedule
        optimizer = optimizer or self.optimizer

        def factor(step: int, head: bool, warm: float) -> float:
            if warm and schedule.held(step, num_training_steps):
                return warm * schedule.factor(step, num_training_steps, head=True)
            return schedule.factor(step, num_training_steps, head)

        factors: list[Callable[[int], float]] = [
            partial(factor, head=group["head"], warm=group["warm"]) for group in optimizer.param_groups
        ]
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return self.lr_scheduler
