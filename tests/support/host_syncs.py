"""Counts what would make a GPU's host wait, on a machine without one: reads of values and shapes that depend on values."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense: "item", aten.is_nonzero: "item", aten.equal: "equal", aten.nonzero: "nonzero",
    aten.masked_select: "masked_select", aten._unique2: "unique", aten.unique_dim: "unique",
    aten.unique_consecutive: "unique",
}  # fmt: skip
INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index)
COPYING = ("tolist", "numpy", "cpu")
"""Methods of a tensor that bring it to the host; on a CPU no operation shows them."""
PACKAGES = ("hf_ssl", "transformers")

LOADING = "torch/utils/data/"
"""Where batches are made, on the host, of what lies there."""
ON_A_CPU_ONLY = ('device.type == "cpu" and', "if on_cpu else")
"""In a line that looks at values on a CPU, where that is free, and never on another device."""


def allowed(which: str) -> tuple[int, int]:
    """How often a micro-batch may make the host wait: in this library, and in the stock model with its backward pass."""
    # torch's CTC loss wants the lengths of its targets on the host.
    ours = 1 if which.startswith("tasks/speech-recognition") else 0
    # transformers looks whether anything is padded, and masks wav2vec2's states and their mean by masks.
    return ours, {"text": 1, "audio": 7}.get(which.partition("@")[2], 0)


class HostSyncs(TorchDispatchMode):
    """Counts them by kind and by the function that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        packet = func.overloadpacket
        if packet in WAITING:
            self.note(WAITING[packet])
        elif packet in INDEXING and any(_mask(index) for index in args[1]):
            self.note("boolean index")
        return func(*args, **(kwargs or {}))

    def note(self, kind: str) -> None:
        """One more, at the innermost line of a package of `PACKAGES`."""
        stack = traceback.extract_stack()
        if any(LOADING in one.filename for one in stack):
            return
        for one in reversed(stack):
            if any(mark in (one.line or "") for mark in ON_A_CPU_ONLY):
                return
            for package in PACKAGES:
                if f"/{package}/" in one.filename:
                    self.found[f"{package}: {kind} in {Path(one.filename).name}:{one.name}"] += 1
                    return
        self.found[f"backward: {kind}"] += 1


class Doubles(TorchDispatchMode):
    """Notes the lines that make float64 numbers on `meta`: Apple's GPUs have none."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(one, torch.Tensor) and one.is_meta and one.dtype == torch.float64:
                self.found.append(f"float64: {_ours()}")
        return made


def _ours() -> str:
    lines = [one for one in traceback.extract_stack() if "/hf_ssl/" in one.filename]
    return f"{Path(lines[-1].filename).name}: {lines[-1].line}" if lines else "elsewhere"


def _mask(index: object) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Inside, host syncs are counted."""
    mode = HostSyncs()
    with mode:
        patches = [mock.patch.object(torch.Tensor, name, _noted(mode, name)) for name in COPYING]
        for patch in patches:
            patch.start()
        try:
            yield mode.found
        finally:
            for patch in patches:
                patch.stop()


@contextmanager
def brought() -> Iterator[list[str]]:
    """Inside, tensors on `meta` pass for a GPU's (without content, so what is read of them is made up); lists the lines of this
    library that bring a tensor of the host to the device, for which a host waits, or make float64 numbers there."""
    found: list[str] = []
    move, copy, autocast = torch.Tensor.to, torch.Tensor.copy_, torch.autocast

    def note(source: torch.Tensor, target: torch.Tensor) -> None:
        if source.device.type == "cpu" and target.is_meta:
            found.append(_ours())

    def to(tensor: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        made = move(tensor, *given, **named)
        note(tensor, made)
        return made

    def copy_(tensor: torch.Tensor, source: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        note(source, tensor)
        return copy(tensor, source, *given, **named)

    made_up = {"to": to, "copy_": copy_, "__bool__": lambda _: False, "item": lambda _: 1,
               "tolist": lambda tensor: [1] * tensor.numel()}  # fmt: skip
    patches = [mock.patch.object(torch.Tensor, name, method) for name, method in made_up.items()]
    patches.append(
        mock.patch.object(
            torch, "autocast", lambda kind, *a, **k: nullcontext() if kind == "meta" else autocast(kind, *a, **k)
        )
    )
    patches.append(mock.patch("torch.fx.experimental._config.meta_nonzero_assume_all_nonzero", True))
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        stack.enter_context(Doubles(found))
        yield found


def _noted(mode: HostSyncs, name: str) -> Callable[..., Any]:
    plain = getattr(torch.Tensor, name)

    def method(tensor: torch.Tensor, *given: Any, **named: Any) -> Any:
        mode.note(name)
        return plain(tensor, *given, **named)

    return method
