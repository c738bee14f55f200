"""What training on a CPU does in another way, with the same result within rounding; each with its measured gain.

Depthwise convolutions inside a bfloat16 autocast run in float32: a step of EfficientNet-Lite0 (128 pictures, 64 pixels, two
threads) takes two thirds of the time, 1.55 times as fast (tests/benchmarks/bench_convolutions.py). One kind of layer is
not computed sooner, but rightly: see `_reads_unwritten_memory`. Freed memory goes back at once where a module asks: masked
words with MiniLM hold 342 MB in training instead of 456. Dropout draws its zeros 2.6 times as fast, from the same generator
(1.10 times for a step with adapters: tests/benchmarks/bench_adapters.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def cpu_convolutions(model: nn.Module) -> Iterator[None]:
    """`patch_cpu_convolutions` for as long as a model trains."""
    patched = patch_cpu_convolutions(model)
    try:
        yield
    finally:
        for module in patched:
            module.__dict__.pop("forward", None)


def patch_cpu_convolutions(model: nn.Module) -> list[nn.Module]:
    """Let some convolutions compute in float32 in training; weights, names and results stay.

    Depthwise ones, and those whose gradient may be wrong (`_reads_unwritten_memory`). Without gradient, on other devices
    and outside an autocast all run as they always do.

    Returns:
        the layers whose `forward` was replaced on the instance.
    """
    patched: list[nn.Module] = []
    for module in model.modules():
        if not isinstance(module, (nn.Conv1d, nn.Conv2d)):
            continue
        depthwise = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
        if depthwise or _reads_unwritten_memory(module):
            vars(module)["forward"] = partial(_in_float32, module)
            patched.append(module)
    return patched


def _reads_unwritten_memory(module: nn.Conv1d | nn.Conv2d) -> bool:
    """Whether oneDNN's bfloat16 gradient of the weight may read memory that nothing was written to.

    On CPUs with AMX (torch 2.14), where a kernel is at least twice its stride and the last `stride - 1` places of the input
    are used by no output: NaN in that memory, times zero, is NaN in the gradient. Up to four input channels are computed
    by other code, without this.
    """
    long = any(1 < stride <= size // 2 for size, stride in zip(module.kernel_size, module.stride, strict=True))
    return long and module.in_channels // module.groups > 4


def _trains_in_bf16(pictures: torch.Tensor) -> bool:
    return (
        pictures.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def _in_float32(module: nn.Conv1d | nn.Conv2d, pictures: torch.Tensor) -> torch.Tensor:
    plain: Any = type(module).forward  # timm's own subclasses pad first
    if not _trains_in_bf16(pictures):
        return plain(module, pictures)
    with torch.autocast("cpu", enabled=False):
        return plain(module, pictures.to(module.weight.dtype))


@contextlib.contextmanager
def cpu_dropouts(model: nn.Module) -> Iterator[None]:
    """For as long as a model trains, its dropouts on a CPU draw 16 random bits for each value, not a double.

    Four values share one number of torch's generator, so a seed decides as before, but not on the same zeros. The probability is rounded
    to 1/65,536. Other devices, small tensors and compiled graphs go the usual way.
    """
    found = [m for m in model.modules() if type(m) is nn.Dropout and not m.inplace and "forward" not in vars(m)]
    for module in found:
        vars(module)["forward"] = partial(_quick_dropout, module)
    try:
        yield
    finally:
        for module in found:
            module.__dict__.pop("forward", None)


_LEAST_VALUES = 4096  # below it nothing is to be gained
_LEVELS = 2**16


def _quick_dropout(module: nn.Dropout, values: torch.Tensor) -> torch.Tensor:
    zeros = round(module.p * _LEVELS)
    plain = values.device.type != "cpu" or values.numel() < _LEAST_VALUES or not values.is_floating_point()
    if plain or not module.training or not 0 < zeros < _LEVELS or torch.compiler.is_compiling():
        return nn.Dropout.forward(module, values)
    bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    levels = bits.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (levels >= zeros - _LEVELS // 2).to(values.dtype)
    return values * kept.mul_(_LEVELS / (_LEVELS - zeros))


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@contextlib.contextmanager
def freed_at_once(wanted: bool) -> Iterator[None]:
    """Inside, tensors of 2 MB and more that are freed go back to the system at once, on a CPU with glibc.

    glibc keeps freed blocks of up to 32 MB for later, and a training step leaves them in pieces: a quarter of what masked
    words with MiniLM held at their peak was such pieces. Memory that is fetched anew has to be cleared, which makes a step of
    a convolutional network a quarter to a half longer (tests/benchmarks/bench_convolutions.py with and without
    MALLOC_MMAP_THRESHOLD_=2097152 in the environment): only where a `TrainingModule` asks for it.
    """
    on_cpu = wanted and sys.platform == "linux" and not torch.cuda.is_available()
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if on_cpu else None  # another C library has none
    if set_option is None:
        yield
        return
    set_option(_MMAP_THRESHOLD, 2 * 2**20)
    try:
        yield
    finally:  # where glibc's own adjustment ends
        set_option(_MMAP_THRESHOLD, 32 * 2**20)
        set_option(_TRIM_THRESHOLD, 64 * 2**20)
