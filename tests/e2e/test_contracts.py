"""What every objective, task, kind of data and store promises (`hf_ssl.testing`): a new file is tried at once.

Each kind of data has a file `contract_NAME.py` in tests/support, whose `Kind` says what to try it on.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from places import SUPPORT

from hf_ssl import testing
from hf_ssl.core import plugins
from hf_ssl.tasks.base import head_inputs, last_linear

FILES = sorted(SUPPORT.glob("contract_*.py"))
KINDS = {file.stem.removeprefix("contract_"): importlib.import_module(file.stem).Kind() for file in FILES}


def _pairs(kind: str) -> list[str]:
    """`objectives/mlm@text` for every objective (or task) and every kind of data it works on."""
    found = []
    for name in plugins.names(kind):
        found_class = plugins.find(kind, name)
        fitting = [data for data in KINDS if found_class.fits(KINDS[data].modality)]
        assert fitting, f"{kind}/{name}: no tests/support/contract_*.py covers {found_class.needs}"
        found += [f"{kind}/{name}@{data}" for data in fitting]
    return found


OBJECTIVES, TASKS = _pairs("objectives"), _pairs("tasks")


def task_name(which: str) -> str:
    return which.split("@")[0].split("/")[1]


@pytest.fixture
def case(tiny_checkpoint) -> Any:
    def make(which: str) -> testing.Case:
        what, of = which.split("@")
        plural, name = what.split("/")
        kind = KINDS[of]
        folder = str(kind.checkpoint(tiny_checkpoint, name))
        return testing.Case(
            plugins.find(plural, name),
            lambda head, **options: kind.modality.load(folder, head, **options),
            kind.labeled(name) if plural == "tasks" else kind.unlabeled(),
            kind.fixed.get(what, {}),
            what in kind.compares_within_batch,
            kind.without_gradient,
        )

    return make


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
