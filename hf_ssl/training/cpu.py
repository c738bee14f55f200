"""Training convolutions inside a bfloat16 autocast on a CPU, where torch's own kernels are slow: the same, sooner.

Everything here is the same computation within rounding. With AMX and two threads a step of a timm resnet18 (128 pictures,
96 pixels) is 1.5 times as fast, one of EfficientNet-Lite0 (64 pixels) 2.2 times: tests/benchmarks/bench_convolutions.py.
One kind of layer is not computed sooner, but rightly: see `_reads_unwritten_memory`.
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
from torch.autograd.function import once_differentiable
from torch.nn import functional

SMALL_MAP = 16
"""Most places of a map on which a convolution is computed as one matrix product."""


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
    """Let a model's convolutions choose how they are computed; weights, names and results stay.

    Depthwise ones, and those whose gradient may be wrong (`_reads_unwritten_memory`): in float32. Those that give small
    maps (the last stages): see `_Product`. Without gradient, on other devices and outside an autocast all run as they
    always do.

    Returns:
        the layers whose `forward` was replaced on the instance.
    """
    patched: list[nn.Module] = []
    for module in model.modules():
        if not isinstance(module, (nn.Conv1d, nn.Conv2d)):
            continue
        depthwise = isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels
        if depthwise or _reads_unwritten_memory(module):
            module.forward = partial(_in_float32, module)  # type: ignore[method-assign]
            patched.append(module)
        elif type(module) is nn.Conv2d and _plain(module):
            module.forward = partial(_dense, module)  # type: ignore[method-assign]
            patched.append(module)
    return patched


def _plain(module: nn.Conv2d) -> bool:
    zeros = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return zeros and module.groups == 1 and module.dilation == (1, 1) and module.in_channels >= 64


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


def _dense(module: nn.Conv2d, pictures: torch.Tensor) -> torch.Tensor:
    if pictures.dim() == 4 and _trains_in_bf16(pictures):
        padding: Any = module.padding
        rows, columns = (
            (pictures.shape[2 + axis] + 2 * padding[axis] - module.kernel_size[axis]) // module.stride[axis] + 1
            for axis in (0, 1)
        )
        if rows > 0 < columns and rows * columns <= SMALL_MAP:
            with torch.autocast("cpu", enabled=False):
                weight = module.weight.to(torch.bfloat16)
                made = _Product.apply(pictures.to(torch.bfloat16), weight, module.stride, padding)
                return made if module.bias is None else made + module.bias.to(torch.bfloat16).view(-1, 1, 1)
    return type(module).forward(module, pictures)


def _columns(pictures: torch.Tensor, kernel: Any, stride: Any, padding: Any) -> torch.Tensor:
    """What the kernel sees at every place of the output, `(batch, rows, columns, kernel places, channels)`."""
    padded = functional.pad(pictures, (padding[1], padding[1], padding[0], padding[0])).permute(0, 2, 3, 1)
    return torch.stack([padded[place] for place in _places(padded.shape, kernel, stride)], dim=3)


def _places(shape: Any, kernel: Any, stride: Any) -> list[tuple[slice, slice, slice]]:
    """For every place of the kernel, what of a padded picture `(batch, height, width, channels)` it meets."""
    spans = [(side - reach) // step * step + 1 for side, reach, step in zip(shape[1:3], kernel, stride, strict=True)]
    return [
        (slice(None), slice(row, row + spans[0], stride[0]), slice(column, column + spans[1], stride[1]))
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]


class _Product(torch.autograd.Function):
    """A convolution as one matrix product, its gradients as two more.

    On maps of up to 4 x 4 oneDNN's bfloat16 kernels (torch 2.14) take 2 to 4 times as long; from 6 x 6 on they are the
    better: tests/benchmarks/bench_convolutions.py.
    """

    @staticmethod
    def forward(context: Any, pictures: torch.Tensor, weight: torch.Tensor, stride: Any, padding: Any) -> torch.Tensor:
        columns = _columns(pictures, weight.shape[2:], stride, padding)
        matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (out, kernel places x channels)
        context.save_for_backward(pictures, matrix)
        context.shape = (weight.shape, stride, padding)
        return (columns.flatten(3) @ matrix.T).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        pictures, matrix = context.saved_tensors
        (_, channels, *kernel), stride, padding = context.shape
        gradient = gradient.permute(0, 2, 3, 1).contiguous()
        of_pictures = of_weight = None
        if context.needs_input_grad[1]:
            columns = _columns(pictures, kernel, stride, padding)
            of_weight = gradient.flatten(0, 2).T @ columns.flatten(3).flatten(0, 2)
            of_weight = of_weight.unflatten(1, (*kernel, channels)).permute(0, 3, 1, 2)
        if context.needs_input_grad[0]:
            parts = (gradient @ matrix).unflatten(3, (-1, channels))
            batch, _, height, width = pictures.shape
            total = parts.new_zeros(
                (batch, height + 2 * padding[0], width + 2 * padding[1], channels), dtype=torch.float32
            )
            for number, place in enumerate(_places(total.shape, kernel, stride)):
                total[place] += parts[..., number, :]
            inner = total[:, padding[0] : padding[0] + height, padding[1] : padding[1] + width]
            of_pictures = inner.permute(0, 3, 1, 2).to(pictures.dtype)
        return of_pictures, of_weight, None, None


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@contextlib.contextmanager
def freed_at_once(wanted: bool) -> Iterator[None]:
    """Inside, tensors of 2 MB and more that are freed go back to the system at once, on a CPU with glibc.

    glibc keeps freed blocks of up to 32 MB for later, and a training step leaves them in pieces: a third of what masked
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
