"""How far a training is: a line for logs, a bar for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from hf_ssl.core.summary import clock

if TYPE_CHECKING:
    from hf_ssl.training.callbacks import ThroughputCallback


def progress_line(state: TrainerState, logs: dict[str, Any], watch: ThroughputCallback) -> str:
    """Where a training is, for the log."""
    done = state.global_step
    left = watch.seconds / max(1, done) * (state.max_steps - done)
    unit = watch.module.unit
    return (
        f"  step {done}/{state.max_steps}  loss {logs['loss']:.4f}  lr {logs.get('learning_rate', 0):.1e}  "
        f"{logs[f'{unit}_per_second']:,.0f} {unit}/s  {used(logs)}  {clock(left)} left"
    )


def used(figures: Mapping[str, float]) -> str:
    """How well the machine is used; the MFU only where FLOPs were counted."""
    mfu = f"  MFU {figures['mfu_percent']:.0f} %" if "mfu_percent" in figures else ""
    return f"data wait {figures['data_wait_percent']:.1f} %{mfu}"


class StageProgressBar(ProgressCallback):
    """The stock bar with the name of the stage, the loss and the speed in its own units, instead of a dictionary between the lines.

    Args:
        stage: what is going on, such as `pretrain`.
        watch: knows the units of work.
    """

    def __init__(self, stage: str, watch: ThroughputCallback) -> None:
        super().__init__()
        self.stage, self.watch = stage, watch

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        bar: Any = self.training_bar
        if bar is not None:
            bar.set_description(self.stage)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        bar: Any = self.training_bar
        if state.is_world_process_zero and bar is not None and logs and "loss" in logs:
            speed = self.watch.units / self.watch.seconds if self.watch.seconds else 0.0
            bar.set_postfix_str(
                f"loss {logs['loss']:.4f}, {speed:,.0f} {self.watch.module.unit}/s, {used(self.watch.figures())}"
            )
