"""Blocks that are compiled train as they are written; where compiling fails, training goes on without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from contracts import case_of
from torch._dynamo.backends.common import aot_autograd
from trained import losses

from hf_ssl.core.errors import ConfigError
from hf_ssl.training.trainer import arguments

CALLS: list[int] = []


@pytest.fixture(scope="module", autouse=True)
def backends() -> None:
    @torch._dynamo.register_backend(name="counted")
    def counted(graph: Any, inputs: Any, **options: Any) -> Callable[..., Any]:
        CALLS.append(len(list(graph.graph.nodes)))
        return graph.forward

    @torch._dynamo.register_backend(name="broken")
    def broken(graph: Any, inputs: Any, **options: Any) -> Callable[..., Any]:
        raise RuntimeError("no compiler here")

    forward_only = aot_autograd(fw_compiler=lambda graph, _: graph.forward, bw_compiler=broken)
    torch._dynamo.register_backend(forward_only, name="broken backward")


@pytest.mark.parametrize(
    ("which", "method"),
    [("objectives/mlm@text", None), ("tasks/classification@text", "lora"), ("objectives/mae@image", None)],
)
def test_compiled_blocks_train_as_they_are_written(tiny_checkpoint, tmp_path, which, method):
    torch._dynamo.reset()
    CALLS.clear()
    plain = losses(case_of(tiny_checkpoint, which).build(method), tmp_path / "plain")
    assert not CALLS
    made = case_of(tiny_checkpoint, which).build(method)
    names = list(made.module.state_dict())
    compiled = losses(made, tmp_path / "compiled", torch_compile_backend="counted")
    assert compiled == pytest.approx(plain, rel=1e-5) and CALLS
    assert list(made.module.state_dict()) == names


def test_blocks_of_packed_rows_that_are_told_apart_by_their_places(tiny_checkpoint, tmp_path):
    torch._dynamo.reset()
    found = []
    for backend in (None, "counted"):
        made = case_of(tiny_checkpoint, "objectives/mlm@text").build()
        made.module.way = "varlen"
        found.append(losses(made, tmp_path / str(backend), **({"torch_compile_backend": backend} if backend else {})))
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("backend", ["broken", "broken backward"])
def test_where_compiling_fails_training_goes_on_as_written(tiny_checkpoint, tmp_path, caplog, backend):
    torch._dynamo.reset()
    plain = losses(case_of(tiny_checkpoint, "tasks/classification@text").build(), tmp_path / "plain")
    with caplog.at_level("WARNING", "hf_ssl"):
        made = case_of(tiny_checkpoint, "tasks/classification@text").build()
        assert losses(made, tmp_path / "broken", torch_compile_backend=backend) == plain
    assert len([one for one in caplog.records if "compile" in one.getMessage()]) == 1


def test_a_backend_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="inductor"):
        arguments(tmp_path, seed=0, defaults={}, overrides={"torch_compile_backend": "inducter"})
    assert not arguments(tmp_path, seed=0, defaults={}, overrides={"torch_compile": False}).torch_compile


@pytest.mark.slow
def test_machine_code_has_the_losses_of_the_blocks_as_written(tiny_checkpoint, tmp_path):
    torch._dynamo.reset()
    plain = losses(case_of(tiny_checkpoint, "tasks/classification@text").build(), tmp_path / "plain")
    made = case_of(tiny_checkpoint, "tasks/classification@text").build()
    assert losses(made, tmp_path / "compiled", torch_compile=True) == pytest.approx(plain, rel=1e-4)
