"""Model FLOPs and MFU: how much of what a machine's matrix products can do goes into the model.

Counted by `torch.utils.flop_counter` on the first batch of each of a few shapes of rows, while it trains: the counter looks at
the shapes that pass, so weights and random numbers stay as they were, to the bit. Batches of more or fewer rows, and of other
shapes, are taken to cost in proportion to their entries, padding included.

In: every matrix product, convolution and attention of forward and backward pass, as it is computed: a head that runs on the
masked positions counts for these only, attention over packed rows and padding counts whole, a teacher's forward pass counts.
Not in: what `--gradient_checkpointing` computes a second time, the optimizer, normalizations, activations. The seconds are
all of training: waiting for data and the optimizer too, but no measurements of the monitor, and not the counted steps
themselves where there are others.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Self, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torch.utils.module_tracker import ModuleTracker
from transformers import TrainingArguments

SHAPES = 3
"""Distinct shapes of batches that are counted (0: no MFU). A counted step takes longer, by a tenth of a second or so."""
SECONDS = 0.25
SIDE, SIDE_ON_ACCELERATOR = 1024, 8192  # of the matrices: a small product cannot fill a large device

RATES: dict[tuple[torch.dtype, torch.device, str], float] = {}
"""What was measured in this process."""
DOUBTED = 0.5
"""A share of the machine's rate above which that is measured once more: it may have been taken in a busy moment."""

aten = torch.ops.aten
Formula = Callable[..., int]
# FlashAttention's own operations, forward and backward: where they are told where sequences begin and end, and the longest.
_FLASH = {
    "flash_attn": (("_flash_attn_varlen_forward", 3, (3, 4, 5, 6)), ("_flash_attn_varlen_backward", 6, (9, 10, 11, 12))),
    "flash_attn_3": (("_flash_attn_forward", 3, (7, 8, 12, 13)), ("_flash_attn_backward", 6, (6, 7, 10, 11))),
}  # fmt: skip


def matmul_rate(dtype: torch.dtype, device: torch.device, seconds: float = SECONDS, again: bool = False) -> float:
    """FLOP/s of square matrix products on this machine, as its threads are set; measured once in a process.

    The best of many, so that a busy moment does not count; `again`: measured anew, and the better of both kept, as whole minutes
    can be busy. Draws no random numbers.
    """
    # --tf32 changes what a product of float32 is.
    known = (dtype, device, getattr(torch.backends.cuda.matmul, "fp32_precision", ""))
    if again or known not in RATES:
        RATES[known] = max(RATES.get(known, 0.0), _measured(dtype, device, seconds))
    return RATES[known]


def _measured(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    side = SIDE if device.type == "cpu" else SIDE_ON_ACCELERATOR
    one = torch.linspace(-1, 1, side * side, device=device).view(side, side).to(dtype)

    def product() -> float:
        began = time.perf_counter()
        one @ one
        settle(device)
        return time.perf_counter() - began

    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        product()  # a device loads its kernels at the first, which may take longer than all the others
        best, end = product(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            best = min(best, product())
    return 2 * side**3 / best


def settle(device: torch.device) -> None:
    """Wait until a device has done what it was given: only then does a clock say what that took."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class ModelWork:
    """The FLOPs of a run and its MFU; `step` goes around forward and backward pass of every batch."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.flops = self.counted_flops = 0.0
        self.counted_seconds = 0.0
        self.rate = 0.0
        self.compiled = False
        self._machine: tuple[torch.dtype, torch.device] | None = None  # whose rate it is, as long as nobody doubted it
        self._by_shape: dict[torch.Size, tuple[int, int]] = {}  # entries of the batch, FLOPs
        self._in_backward = False

    def measure_machine(self, args: TrainingArguments) -> None:
        """Find the rate of the number format that trains, on the device that trains."""
        if SHAPES == 0 or args.n_gpu > 1:  # of the threads of `DataParallel` the counter sees one
            return
        kept = next((p.dtype for p in self.module.parameters() if p.requires_grad), torch.float32)
        dtype = torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else kept
        self.rate, self.compiled = matmul_rate(dtype, args.device), args.torch_compile
        self._machine = dtype, args.device
        if args.device.type == "cuda":
            with suppress(ImportError):  # torch before 2.10
                from torch.nn.attention import varlen  # noqa: F401 the formula of its kernel comes with it

    @contextmanager
    def step(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Add a batch's forward and backward pass: counted, or known from one whose rows have the same shape."""
        # By the first of its inputs: how many places are hidden, say, differs in every batch.
        first = next((v for v in batch.values() if isinstance(v, torch.Tensor)), None)
        shape, entries = (first.shape, first.numel()) if first is not None else (torch.Size(), 0)
        if not self.rate or not entries:
            yield
            return
        known = self._known(shape)
        if known is not None or len(self._by_shape) >= SHAPES:
            yield
            counted, flops = known or min(self._by_shape.values(), key=lambda one: abs(one[0] - entries))
            self.flops += flops * entries / counted
            return
        began = time.monotonic()
        with self._counting() as counter:
            yield
        found = counter.get_total_flops()
        self._by_shape[shape] = (entries, found)
        self.flops += found
        self.counted_flops += found
        self.counted_seconds += time.monotonic() - began

    def figures(self, seconds: float) -> dict[str, float]:
        """For the ledger; empty where nothing was counted. `seconds`: of training, for the steps that were added.

        A machine multiplies at least as fast as the model did, so no MFU is above 100 %.
        """
        flops, rest = self.flops, seconds
        if self.flops > self.counted_flops and seconds > self.counted_seconds:
            flops, rest = flops - self.counted_flops, rest - self.counted_seconds
        if not flops or rest <= 0:
            return {}
        if self._machine is not None and flops / rest > DOUBTED * self.rate:
            self.rate, self._machine = matmul_rate(*self._machine, again=True), None
        self.rate = max(self.rate, flops / rest)
        return {
            "model_gflops_per_second": _rounded(flops / rest / 1e9),
            "matmul_gflops_per_second": _rounded(self.rate / 1e9),
            "mfu_percent": _rounded(100 * flops / rest / self.rate),
        }

    def _known(self, shape: torch.Size) -> tuple[int, int] | None:
        """What was counted of this shape, or of one with more or fewer rows, which cost the same each."""
        alike = (found for other, found in self._by_shape.items() if len(shape) > 1 and other[1:] == shape[1:])
        return self._by_shape.get(shape) or next(alike, None)

    @contextmanager
    def _counting(self) -> Iterator[FlopCounterMode]:
        self._in_backward = False
        handle = self.module.register_forward_hook(self._forward_is_over)
        # Inside a compiled graph there is nothing to be seen.
        stance = torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()
        try:
            counter = FlopCounterMode(display=False, custom_mapping=self._formulas())
            counter.mod_tracker = _OneTotal()
            with stance, counter:
                yield counter
        finally:
            handle.remove()

    def _forward_is_over(self, *_: object) -> None:
        self._in_backward = True

    def _formulas(self) -> dict[Any, Formula]:
        """Of what the counter does not know, and of what may be computed again in the backward pass."""
        known: dict[Any, Formula] = flop_registry
        attention = [f"_scaled_dot_product_{name}_attention" for name in ("flash", "efficient", "cudnn")]
        names = [(aten, name) for name in ("mm", "addmm", "bmm", "baddbmm", *attention)]
        repeated = [
            getattr(where, name)
            for where, name in [*names, (torch.ops.torch_attn, "_varlen_attn")]
            if hasattr(where, name)
        ]
        found = {op: self._once(known[op]) for op in repeated if op in known}
        found[aten._scaled_dot_product_flash_attention_for_cpu] = found[aten._scaled_dot_product_flash_attention]
        found[aten._scaled_dot_product_flash_attention_for_cpu_backward] = _of_tensors(
            functools.partial(known[aten._scaled_dot_product_flash_attention_backward])
        )
        found[aten.convolution_backward] = _of_tensors(functools.partial(_of_groups, known[aten.convolution_backward]))
        for package, (forward, backward) in _FLASH.items():
            ops = getattr(torch.ops, package)
            if hasattr(ops, forward[0]) and hasattr(ops, backward[0]):
                found[getattr(ops, forward[0])] = self._once(
                    _told_by(known[aten._flash_attention_forward], *forward[1:])
                )
                found[getattr(ops, backward[0])] = _told_by(known[aten._flash_attention_backward], *backward[1:])
        return found

    def _once(self, formula: Formula) -> Formula:
        """0 for what is recomputed: only there does a backward pass keep a graph."""

        def counted(*given: object, **named: object) -> int:
            return 0 if self._in_backward and torch.is_grad_enabled() else formula(*given, **named)

        return _of_tensors(counted)


class _OneTotal(ModuleTracker):
    """Of no module by itself: hooks on all of them do not let a module take gradients of its own (a critic's penalty)."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _of_tensors(formula: Formula) -> Formula:
    """A formula that is given tensors, as those of torch's own table are, and not their shapes."""
    vars(formula)["_get_raw"] = True
    return formula


def _of_groups(formula: Formula, *given: object, **named: object) -> int:
    """torch takes the weights' gradient of a convolution in groups (depthwise: as many as channels) for that of a whole one."""
    before, groups, mask = given[:-2], cast(int, given[-2]), cast("list[bool]", given[-1])
    inputs = formula(*before, groups, [mask[0], False, False], **named)
    return inputs + formula(*before, groups, [False, mask[1], False], **named) // groups


def _told_by(formula: Formula, first: int, places: tuple[int, ...]) -> Formula:
    """torch's formula of the kernel behind an operation that says the same at other places."""

    def counted(*given: Any, **named: object) -> int:
        return formula(*given[:first], *(given[place] for place in places))

    return _of_tensors(counted)
