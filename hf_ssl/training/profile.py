"""`--profile`: where the time of a few steps goes, as a trace to look into and as a page to read."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ssl.core import distributed
from hf_ssl.core.run import write_lines
from hf_ssl.training.flops import settle

if TYPE_CHECKING:
    from hf_ssl.training.callbacks import ThroughputCallback

logger = logging.getLogger(__name__)

WARM_UP, STEPS = 4, 3
"""Steps before, in which caches fill, kernels are chosen and FLOPs are counted; and steps that are looked at."""
TRACE, SUMMARY = "trace.json.gz", "summary.md"
SHOWN = 12  # lines of a table
MODULE = "module: "
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "matmul", "conv", "attention")
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "cudaStreamSynchronize", "cudaDeviceSynchronize")


@dataclass(frozen=True)
class Profile:
    """What was seen, in seconds over all steps that were looked at.

    Args:
        steps, seconds: how many, and how long they took by the clock.
        parts: waiting for data, forward pass, backward pass, optimizer; on an accelerator as long as its work took there.
        modules: of the forward pass, by class, without the classes inside.
        ops: by operation, without those inside; on an accelerator the time there.
        calls: of each operation.
        floor: what the counted FLOPs take at the machine's rate (0: not known).
    """

    steps: int
    seconds: float
    parts: Mapping[str, float]
    modules: Mapping[str, float]
    ops: Mapping[str, float]
    calls: Mapping[str, int]
    floor: float

    @property
    def losses(self) -> dict[str, tuple[float, str]]:
        """What keeps the time from being all matrix products at full rate: seconds and what helps, the largest first."""
        products = sum(seconds for name, seconds in self.ops.items() if is_product(name))
        others = {
            name: seconds for name, seconds in self.ops.items() if not is_product(name) and "ptimizer" not in name
        }
        optimizer = self.parts["optimizer"]
        small = max(0.0, sum(others.values()) - optimizer)
        busiest = max(others, key=lambda name: others[name], default="")
        rest = max(0.0, self.seconds - self.parts["waiting for data"] - products - small - optimizer)
        found = {
            "waiting for data": (
                self.parts["waiting for data"], "raise --dataloader_num_workers, or store the data smaller or decoded"
            ),
            "matrix products below the rate of large square ones": (
                max(0.0, products - self.floor) if self.floor else 0.0,
                "larger batches or longer rows make larger products; padding and masked pairs are computed too",
            ),
            "operations that are no matrix products": (
                small, f"the longest is {busiest or 'none'}; --torch_compile true joins many of them, --bf16 true halves their memory traffic"
            ),
            "the optimizer": (optimizer, "more examples to a step, or fewer trained parameters (--peft lora)"),
            "the host, between operations": (rest, "larger batches; fewer, larger operations (--torch_compile true)"),
        }  # fmt: skip
        return dict(sorted(found.items(), key=lambda item: -item[1][0]))

    def lines(self, figures: Mapping[str, float]) -> list[str]:
        """The page."""
        total = max(self.seconds, 1e-9)
        (name, (lost, advice)), *_ = self.losses.items()
        used = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in figures.items())
        waits = {one: self.calls[one] / self.steps for one in WAITS if self.calls.get(one)}
        return [
            "# Where the time goes", "",
            f"{self.steps} steps, {1000 * total / self.steps:,.1f} ms each, measured with the profiler on, which adds to every operation. "
            f"The whole run so far: {used or 'nothing counted'}. Open `{TRACE}` in https://ui.perfetto.dev or chrome://tracing.", "",
            f"**Largest loss: {name}, {100 * lost / total:.0f} % of the time.** What helps: {advice}.", "",
            *_table("lost to", {key: seconds for key, (seconds, _) in self.losses.items()}, total),
            *_table("part of a step", self.parts, total),
            *_table("forward pass in modules of class", self.modules, total),
            *_table("operation", self.ops, total, self.calls),
            "## Reads that make the host wait", "",
            *([f"- {one}: {count:.1f} in a step" for one, count in waits.items()] or ["- none"]),
            "", "On a CPU they cost nothing; on a GPU each one lets it run dry.",
        ]  # fmt: skip


def is_product(name: str) -> bool:
    """Whether an operation is a matrix product, a convolution or attention."""
    short = name.removeprefix("aten::").lstrip("_")
    return short in PRODUCTS or any(word in short for word in ("conv", "attention", "gemm", "cutlass", "wgrad"))


def _table(head: str, found: Mapping[str, float], total: float, calls: Mapping[str, int] | None = None) -> list[str]:
    ordered = sorted(found.items(), key=lambda item: -item[1])[:SHOWN]
    counted = calls is not None
    rows = [
        f"| `{name}` | {1000 * seconds:,.1f} | {100 * seconds / total:.1f} % |" + (f" {calls.get(name, 0):,} |" if calls else "")
        for name, seconds in ordered
        if seconds > 0
    ]  # fmt: skip
    return [
        f"| {head} | ms | share |" + (" calls |" if counted else ""),
        "|---|--:|--:|" + ("--:|" if counted else ""),
        *rows,
        "",
    ]


class ProfileCallback(TrainerCallback):
    """Looks at a few steps after the warm-up, in the first process; without it a run costs what it always does."""

    def __init__(self, module: nn.Module, watch: ThroughputCallback, folder: Path) -> None:
        self.module, self.watch, self.folder = module, watch, folder
        self._profiler: profile | None = None
        self._hooks: list[Any] = []
        self._open: list[record_function] = []
        self._at = self._first = 0
        self._before = (0.0, 0.0, 0.0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._first = state.global_step + max(1, min(WARM_UP, state.max_steps - state.global_step - STEPS))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if not distributed.is_main():
            return
        if self._profiler is not None and state.global_step >= self._first + STEPS:
            self._stop(state.global_step, args.device)
        elif self._profiler is None and state.global_step == self._first < state.max_steps:
            settle(args.device)
            self._start(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self._profiler is not None:
            self._stop(state.global_step, args.device)
        elif distributed.is_main() and not (self.folder / SUMMARY).is_file():
            logger.warning("--profile: the run has too few steps, there is no profile. Two are needed.")

    def _start(self, step: int) -> None:
        for module in self.module.modules():
            name = MODULE + type(module).__name__
            self._hooks += [
                module.register_forward_pre_hook(self._enter(name)),
                module.register_forward_hook(self._leave, always_call=True),
            ]
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self._profiler = profile(activities=kinds)
        self._at, self._before = step, (self.watch.seconds, self.watch.waited, self.watch.work.flops)
        self._profiler.start()

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(*_: object) -> None:
            mark = record_function(name)
            mark.__enter__()
            self._open.append(mark)

        return enter

    def _leave(self, *_: object) -> None:
        if self._open:  # a module that was called within another's compiled code has not entered
            self._open.pop().__exit__(None, None, None)

    def _stop(self, step: int, device: torch.device) -> None:
        assert self._profiler is not None
        profiler, self._profiler = self._profiler, None
        ended = time.monotonic()
        settle(device)
        late = time.monotonic() - ended
        profiler.stop()
        for hook in self._hooks:
            hook.remove()
        seconds, waited, flops = self._before
        work = self.watch.work
        found = summarized(
            profiler.events() or (), max(1, step - self._at), self.watch.seconds - seconds + late, self.watch.waited - waited,
            (work.flops - flops) / work.rate if work.rate else 0.0,
        )  # fmt: skip
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_lines(self.folder / SUMMARY, found.lines(self.watch.figures()))
            profiler.export_chrome_trace(str(self.folder / TRACE))
        except (OSError, RuntimeError) as error:  # no reason for the training to end
            logger.warning(f"--profile: {self.folder} could not be written: {error}")
            return
        name, (lost, _) = next(iter(found.losses.items()))
        share = 100 * lost / max(found.seconds, 1e-9)
        logger.info(f"  profile: largest loss is {name}, {share:.0f} % of the time. {self.folder / SUMMARY}")


def summarized(events: Sequence[Any], steps: int, seconds: float, waited: float, floor: float) -> Profile:
    """Sums over a profiler's events (`torch.autograd.profiler_util.FunctionEvent`)."""
    modules, ops, calls = Counter[str](), Counter[str](), Counter[str]()
    forward = backward = optimizer = 0.0
    # What ran on a device is an event of its own, and told once more by the host's event that started it.
    events = [event for event in events if event.device_type == DeviceType.CPU]
    on_device = any(event.self_device_time_total for event in events)
    for event in events:
        took = (event.device_time_total if on_device else event.cpu_time_total) / 1e6
        if event.name.startswith(MODULE):
            parent = event.cpu_parent
            while parent is not None and not parent.name.startswith(MODULE):
                parent = parent.cpu_parent
            modules[event.name.removeprefix(MODULE)] += took
            if parent is None:
                forward += took
            else:
                modules[parent.name.removeprefix(MODULE)] -= took
            continue
        if event.name.startswith("Optimizer.step"):
            optimizer += took
        elif event.name.startswith("autograd::engine::evaluate_function") and event.cpu_parent is None:
            backward += took
        ops[event.name] += (event.self_device_time_total if on_device else event.self_cpu_time_total) / 1e6
        calls[event.name] += 1
    parts = {"waiting for data": waited, "forward pass": forward, "backward pass": backward, "optimizer": optimizer}
    return Profile(steps, seconds, parts, modules, ops, calls, floor)
