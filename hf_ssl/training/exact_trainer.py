"""`transformers.Trainer` with what exact resuming, layer-wise rates and several processes need of it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_utils import (
    PREFIX_CHECKPOINT_DIR,
    IntervalStrategy,
    SaveStrategy,
    TrainOutput,
    rotate_checkpoints,
)

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError, TrainingError
from hf_ssl.training import fsdp, sharding, zero3
from hf_ssl.training.callbacks import StopRequested, ThroughputCallback, same_randomness
from hf_ssl.training.checkpoints import MANIFEST, seal
from hf_ssl.training.compiled import by_blocks
from hf_ssl.training.gather import keeping_company
from hf_ssl.training.schedule import Schedule, parameter_groups
from hf_ssl.training.streaming import StreamRows

Trial = dict[str, Any] | None
"""Of a search for options, which the Trainer hands through; there is none here."""


class ExactTrainer(Trainer):
    """Stock but for what Trainer has no option for.

    Learning rates by part of the model (transformers#9035), checkpoints that are known to be complete, and no step more
    when a run is resumed that had taken its last one.
    """

    schedule: Schedule | None = None
    watch: ThroughputCallback | None = None
    owes_evaluation = False
    stopped = False
    shards: fsdp.Shards | None = None

    def __init__(self, *given: Any, **named: Any) -> None:
        if named["args"].deepspeed_plugin is not None:
            AcceleratorState._reset_state()  # every training has a plugin of its own, and Accelerate keeps the first
        with by_blocks(named["args"]):
            super().__init__(*given, **named)
        # Accelerate divides; weights are loaded before that, and saved whole, as without it.
        self.is_fsdp_enabled = False

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

    def _finalize_training(self, trial: Trial, num_train_samples: int, start_time: float) -> TrainOutput:
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

    def _save_checkpoint(self, model: nn.Module, trial: Trial) -> None:
        """Older checkpoints are deleted when the new one is known to be complete, not before; one of NaN is none."""
        if not self._is_finite():
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

    def _is_finite(self) -> bool:
        module: Any = self.model
        own = all(bool(fsdp.local(tensor).isfinite().all()) for _, tensor in module.saved_tensors())
        return own if self.shards is None else all(distributed.gather(own))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if self.shards is None or self.model is None:
            super().save_model(output_dir, _internal_call)
            return
        with zero3.together(self.model) if self.is_deepspeed_enabled else contextlib.nullcontext():
            self._save(output_dir, state_dict=self.model.state_dict())

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.shards is None or self.is_deepspeed_enabled or self.optimizer is None or self.lr_scheduler is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = fsdp.optimizer_state(self.optimizer)
        if self.args.should_save:
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if (
            self.shards is None
            or self.is_deepspeed_enabled
            or checkpoint is None
            or self.optimizer is None
            or self.lr_scheduler is None
        ):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        fsdp.load_optimizer(self.optimizer, Path(checkpoint) / OPTIMIZER_NAME)
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager[None]:
        """Accelerate switches autocast on for what it does not divide."""
        return super().autocast_smart_context_manager() if self.shards is None else self.accelerator.autocast()

    def _evaluate(
        self, trial: Trial, ignore_keys_for_eval: list[str] | None, skip_scheduler: bool = False
    ) -> dict[str, float]:
        """`eval_on_start` measures the start; here it also becomes a checkpoint that can be the best one."""
        assert self.watch is not None  # `train` set it
        self.watch.predicting = True
        if self.shards is not None:
            self.shards.gather()  # metrics may look at the module itself
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

    def get_train_dataloader(self) -> DataLoader[Any]:
        if isinstance(self.train_dataset, StreamRows):
            return self.train_dataset.loader(self.args, self.args.device)
        loader = super().get_train_dataloader()
        if isinstance(self.train_dataset, sharding.WithSpares):
            sharding.divide(loader)
        return loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | int | None]:
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        if isinstance(self.train_dataset, StreamRows):
            self.train_dataset.note(batches)
        return batches, count

    def _save_rng_state(self, output_dir: str) -> None:
        """Of every process: its random numbers, and its place in a stream."""
        super()._save_rng_state(output_dir)
        if isinstance(self.train_dataset, StreamRows):
            self.train_dataset.save(Path(output_dir))

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        module: Any = self.model
        return module.on_device(super()._prepare_inputs(inputs))

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *given: Any, **named: Any) -> torch.Tensor:
        assert self.watch is not None  # `train` set it
        inputs = self._prepare_inputs(inputs)  # views are no work of the model
        with self.watch.work.step({} if sharding.IDLE in inputs else inputs):
            return super().training_step(model, inputs, *given, **named)

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *given: Any, **named: Any) -> Any:
        """A batch that only keeps the other processes company has the loss 0, and is no work done."""
        if sharding.IDLE not in inputs:
            return super().compute_loss(model, inputs, *given, **named)
        module: Any = self.model
        before, module.idle = module.units_seen, True
        inputs["labels"] = inputs.pop(sharding.IDLE)
        with keeping_company():
            loss = super().compute_loss(model, inputs, *given, **named)
        module.units_seen, module.idle = before, False
        return loss * 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        try:
            if self.schedule is None or self.optimizer is not None:
                return super().create_optimizer(model)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            assert self.model is not None  # it was given to the constructor
            self.optimizer = kind(parameter_groups(self.model, self.schedule, self.args), **options)
        except (ValueError, TypeError) as error:  # a rate below 0, a beta of 2
            raise ConfigError(f"--optim {self.args.optim} refuses these options: {error}") from error
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.schedule is None:
            return super().create_scheduler(num_training_steps, optimizer)
        schedule = self.schedule
        optimizer = optimizer or self.optimizer
        assert optimizer is not None  # it is made first

        def factor(step: int, head: bool, warm: float) -> float:
            if warm and schedule.held(step, num_training_steps):
                return warm * schedule.factor(step, num_training_steps, head=True)
            return schedule.factor(step, num_training_steps, head)

        factors: list[Callable[[int], float]] = [
            partial(factor, head=group["head"], warm=group["warm"]) for group in optimizer.param_groups
        ]
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return self.lr_scheduler
