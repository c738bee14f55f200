"""What every objective, task, kind of data and store promises (`hf_ssl.testing`): a new file is tried at once.

Each kind of data has a file `contract_NAME.py` in tests/support, whose `Kind` says what to try it on.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from contracts import KINDS, case_of, pairs

from hf_ssl import testing
from hf_ssl.tasks.base import head_inputs, last_linear

OBJECTIVES, TASKS = pairs("objectives"), pairs("tasks")


def task_name(which: str) -> str:
    return which.split("@")[0].split("/")[1]


@pytest.fixture
def case(tiny_checkpoint) -> Any:
    return partial(case_of, tiny_checkpoint)


@pytest.mark.parametrize("check", testing.OBJECTIVE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("which", OBJECTIVES)
def test_objective(case, which, check):
    check(case(which))


@pytest.mark.parametrize("check", testing.TASK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("which", TASKS)
def test_task(case, which, check):
    check(case(which))


@pytest.mark.parametrize("check", testing.MODALITY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("data", KINDS)
def test_modality(tiny_checkpoint, data, check):
    kind = KINDS[data]
    check(testing.DataCase(kind.modality, kind.checkpoint(tiny_checkpoint, "classification"), kind.values[:8]))


@pytest.mark.parametrize("which", [which for which in TASKS if task_name(which) in ("classification", "regression")])
def test_warm_start_lowers_the_loss_and_touches_the_last_layer_only(case, which):
    built = case(which).build()
    before = {n: p.detach().clone() for n, p in built.module.named_parameters()}
    start = _loss(built)
    assert "frozen examples" in built.module.task.warm_start(built.module, built.rows)
    assert _loss(built) < start
    head = {id(p) for p in last_linear(built.module.model).parameters()}
    changed = {id(p) for n, p in built.module.named_parameters() if not torch.equal(before[n], p)}
    assert changed == head
    inputs, labels = head_inputs(built.module, built.rows, batch_size=5)
    assert len(inputs) == len(labels) == len(built.rows)


def _loss(built: testing.Built) -> float:
    built.module.eval()
    with torch.inference_mode():
        return built.loss(**built.batch(0, len(built.rows))).item()


# -- the checks themselves ----------------------------------------------------------------------------------------------


def test_a_modality_whose_baseline_looks_around_is_caught(tiny_checkpoint):
    kind = KINDS["timeseries"]

    class Looking(type(kind.modality)):
        def baseline_features(self, values):
            return super().baseline_features(values) - super().baseline_features(values).mean(0)

    folder = kind.checkpoint(tiny_checkpoint, "classification")
    with pytest.raises(AssertionError):
        testing.check_modality(Looking(kind.modality.config), folder, kind.values[:6])


def test_an_objective_whose_loss_is_a_mean_of_means_is_caught(case):
    from hf_ssl.objectives.mlm import MaskedLanguageModeling

    class Mean(MaskedLanguageModeling):
        def forward(self, *args, num_items_in_batch=None, **inputs):
            return super().forward(*args, **inputs)

    found = case("objectives/mlm@text")
    with pytest.raises(AssertionError):
        testing.check_objective(
            Mean, found.load, found.data, options=found.options, without_gradient=found.without_gradient
        )


def test_a_store_that_forgets_is_caught():
    class Empty:
        spec = testing.STORED

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def add(self, vectors, rows):
            return len(rows)

        def search(self, queries, k):
            return [[] for _ in queries]

    with pytest.raises((AssertionError, IndexError)):
        testing.check_store(lambda place, spec: Empty())
