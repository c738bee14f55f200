"""`--torch_compile`: the repeated blocks of a model are compiled, each for itself, and shared by all of one shape.

Compiling a block takes a tenth of the time that the whole model takes, and leaves alone what changes from step to step around
the blocks: heads on chosen positions, packed rows, views. PEFT's adapters lie within the blocks and are compiled with them.
Where a block cannot be compiled, all of them run as they are written, and that is said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.models import structure
from hf_ssl.training.module import TrainingModule

logger = logging.getLogger(__name__)

_NAMES = ("torch_compile", "torch_compile_backend", "torch_compile_mode")


def options_of(chosen: dict[str, Any]) -> dict[str, Any]:
    """Take the options of compiling out of those of `TrainingArguments`, whose Trainer would compile the whole model.

    Returns:
        `torch_compile`, `torch_compile_backend`, `torch_compile_mode`; empty where nothing is to be compiled.

    Raises:
        ConfigError: no backend is called so.
    """
    given = {name: chosen.pop(name) for name in _NAMES if chosen.get(name) is not None}
    if not (given.get("torch_compile", bool(given))):
        return {}
    backend, known = given.get("torch_compile_backend", "inductor"), torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigError(
            f"torch_compile_backend is one of {', '.join(known)}, not {backend!r}.{nearest(str(backend), known)}"
        )
    return {"torch_compile_backend": backend, "torch_compile_mode": None, **given, "torch_compile": True}


@contextmanager
def compiled_blocks(module: TrainingModule, args: TrainingArguments) -> Iterator[None]:
    """Inside, the blocks of a module run compiled, where `args` ask for that."""
    if not args.torch_compile:
        yield
        return
    written = {id(part) for part in module.kept_as_written()}
    blocks = [block for _, block in structure.blocks(module) if id(block) not in written]
    together = _Together(blocks)
    for block in blocks:
        together.compile(block, str(args.torch_compile_backend), args.torch_compile_mode)
    logger.info(f"  {len(blocks)} blocks are compiled as they are met: the first steps take longer")
    try:
        with _with_the_backward_pass():
            yield
    finally:
        together.undo()


def _with_the_backward_pass() -> AbstractContextManager[None]:
    """Inside, both passes of a block are compiled at its first call; else the backward pass is, and fails, in the middle of one."""
    from torch._functorch import config

    name = "force_non_lazy_backward_lowering"  # not in every torch
    return config.patch(name, True) if hasattr(config, name) else nullcontext()


@contextmanager
def by_blocks(args: TrainingArguments) -> Iterator[None]:
    """Inside, a `Trainer` that is made sees nothing to compile."""
    wanted = {name: getattr(args, name) for name in _NAMES}
    vars(args).update(torch_compile=False, torch_compile_backend=None, torch_compile_mode=None)
    try:
        yield
    finally:
        vars(args).update(wanted)


class _Together:
    """Blocks that are all compiled, or none of them."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        self.blocks = blocks

    def compile(self, block: nn.Module, backend: str, mode: str | None) -> None:
        """Let a block's calls go through a compiled copy of its code."""
        from torch._dynamo.exc import TorchDynamoException  # a second of imports, for those who compile

        holder: Any = block  # of what torch declares private
        plain = holder._call_impl
        fast: Callable[..., Any] = torch.compile(plain, backend=backend, mode=mode)

        def call(*args: object, **kwargs: object) -> Any:
            try:
                return fast(*args, **kwargs)
            except TorchDynamoException as error:
                first = str(error).strip().splitlines()[0]
                logger.warning(f"{type(block).__name__} cannot be compiled, and runs as it is written: {first}")
                self.undo()
                return plain(*args, **kwargs)

        holder._compiled_call_impl = call

    def undo(self) -> None:
        """All blocks run as they are written."""
        for block in self.blocks:
            vars(block)["_compiled_call_impl"] = None
