"""What every objective and every task promises, whatever it is: found by name, so a new file is tested at once.

Each kind of data has a file `contract_NAME.py` beside this one, whose `Kind` says what to try it on.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from places import SUPPORT

from hf_ssl.core import plugins
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.models import adapters
from hf_ssl.models.loading import load_model
from hf_ssl.models.structure import unwrap_peft
from hf_ssl.objectives.base import bare_name
from hf_ssl.tasks.base import TaskModule, TaskRows, head_inputs, last_linear
from hf_ssl.training.dropout import set_dropout
from hf_ssl.training.module import TrainingModule

FILES = sorted(SUPPORT.glob("contract_*.py"))
KINDS = {file.stem.removeprefix("contract_"): importlib.import_module(file.stem).Kind() for file in FILES}


def _fits(found: type, modality: Any) -> bool:
    if hasattr(found, "fits"):  # an objective
        return found.fits(modality)
    return modality.name in found.modalities if found.modalities else modality.labeled_class is not None


def _pairs(kind: str) -> list[str]:
    """`objectives/mlm@text` for every objective (or task) and every kind of data it works on."""
    found = []
    for name in plugins.names(kind):
        found_class = plugins.find(kind, name)
        fitting = [data for data in KINDS if _fits(found_class, KINDS[data].modality)]
        assert fitting, f"{kind}/{name}: no tests/support/contract_*.py covers {found_class.modalities}"
        found += [f"{kind}/{name}@{data}" for data in fitting]
    return found


OBJECTIVES, TASKS = _pairs("objectives"), _pairs("tasks")
ALL = OBJECTIVES + TASKS
WITHIN_BATCH = {which for which in ALL if which.split("@")[0] in KINDS[which.split("@")[1]].compares_within_batch}


@dataclass
class Case:
    module: TrainingModule
    rows: Any
    auto_class: str
    processor: Any
    kind: Any

    def batch(self, start: int, end: int) -> dict[str, torch.Tensor]:
        return self.module.collate([self.rows[i] for i in range(start, end)])


@pytest.fixture
def build(tiny_checkpoint) -> Callable[..., Case]:
    def make(which: str, method: str | None = None, **options: Any) -> Case:
        what, of = which.split("@")
        plural, name = what.split("/")
        kind, cls = KINDS[of], plugins.find(plural, name)
        folder = str(kind.checkpoint(tiny_checkpoint, name))
        processor = kind.modality.load_processor(folder)
        torch.manual_seed(0)
        config = cls.Config(**{**kind.fixed.get(what, {}), **options})
        if plural == "tasks":
            task, data = cls(config, kind.modality), kind.labeled(name)
            task.fit_labels(data)
            model, report = load_model(folder, task.auto_class, expect_new=("*",), **task.model_options())
            model = kind.modality.prepare_model(model, processor)
            model = adapters.apply(model, method, missing=report.missing) if method else model
            rows = TaskRows(task.encode(processor, data))
            return Case(TaskModule(model, task, processor), rows, task.auto_class, processor, kind)
        model, report = load_model(folder, cls.auto_class, expect_new=("*",))
        model = kind.modality.prepare_model(model, processor)
        model = adapters.apply(model, method, missing=report.missing) if method else model
        module = cls(model, processor, kind.modality, config)
        rows = module.rows(kind.unlabeled(4), seed=0, training=True)
        return Case(module, rows, cls.auto_class, processor, kind)

    return make


@pytest.mark.parametrize("which", ALL)
def test_loss_is_finite_and_gradient_reaches_what_is_trained(build, which):
    case = build(which)
    batch = case.batch(0, 8)
    output = case.module.train()(**batch)
    assert output.loss.ndim == 0 and torch.isfinite(output.loss) and output.loss > 0
    output.loss.backward()
    without = [
        n for n, p in case.module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum())
    ]
    assert [name for name in without if not any(part in name for part in case.kind.without_gradient)] == []
    assert all(torch.isfinite(p.grad).all() for p in case.module.parameters() if p.grad is not None)


@pytest.mark.parametrize("which", ALL)
def test_twenty_steps_on_eight_samples_lower_the_loss(build, which):
    case = build(which)
    set_dropout(case.module, 0.0)
    batch = case.batch(0, 8)
    optimizer = torch.optim.AdamW([p for p in case.module.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for _ in range(21):
        loss = case.module.train()(**batch).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("which", ALL)
def test_batch_of_one_and_ragged_last_batch(build, which):
    case = build(which)
    for start, end in ((0, 1), (0, 3)):
        case.module.zero_grad()
        loss = case.module.train()(**case.batch(start, end)).loss
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in case.module.parameters() if p.grad is not None)


@pytest.mark.parametrize("which", ALL)
def test_same_seed_same_loss(build, which):
    losses = []
    for _ in range(2):
        case = build(which)
        torch.manual_seed(1)
        losses.append(case.module.train()(**case.batch(0, 6)).loss.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("method", [None, "lora"])
@pytest.mark.parametrize("which", ALL)
def test_state_dict_round_trip(build, which, method):
    case, other = build(which, method=method), build(which, method=method)
    with torch.no_grad():
        for parameter in case.module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    batch = case.batch(0, 4)
    case.module.eval(), other.module.eval()
    wanted = case.module(**batch).loss
    assert not torch.equal(other.module(**batch).loss, wanted)
    state = copy.deepcopy(case.module.state_dict())
    other.module.load_state_dict(state)
    torch.testing.assert_close(other.module(**batch).loss, wanted, atol=0, rtol=0)
    pointers = [tensor.data_ptr() for tensor in case.module.state_dict().values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers)
    with pytest.raises(RuntimeError, match="does not fit"):
        other.module.load_state_dict(dict(list(state.items())[1:]), strict=False)


def test_state_dict_of_adapters_holds_no_frozen_tensor(build):
    full, small = build("objectives/mlm@text").module, build("objectives/mlm@text", method="lora").module
    names = {n for n, p in small.named_parameters() if not p.requires_grad}
    assert names and not names & small.state_dict().keys()
    assert sum(t.numel() for t in small.state_dict().values()) < 0.5 * sum(
        t.numel() for t in full.state_dict().values()
    )


@pytest.mark.parametrize("which", [name for name in ALL if name not in WITHIN_BATCH])
def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(build, which):
    case = build(which)
    set_dropout(case.module, 0.0)
    case.module.train()
    whole = case.batch(0, 8)
    terms = (whole["labels"] != -100).sum()
    case.module(**whole, num_items_in_batch=terms).loss.backward()
    wanted = {n: p.grad.clone() for n, p in case.module.named_parameters() if p.grad is not None}
    case.module.zero_grad()
    parts = [case.batch(start, start + 2) for start in range(0, 8, 2)]
    assert sum((part["labels"] != -100).sum() for part in parts) == terms
    for part in parts:
        case.module(**part, num_items_in_batch=terms).loss.backward()
    # An element is a sum of terms as large as its tensor's greatest: that, not the element, is what float32 rounds.
    greatest = {name: float(gradient.abs().max()) for name, gradient in wanted.items()}
    floor = max(1e-6, 1e-7 * max(greatest.values()))
    for name, parameter in case.module.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], atol=floor + 1e-5 * greatest[name], rtol=1e-4)
    own = case.module(**whole).loss
    torch.testing.assert_close(case.module(**whole, num_items_in_batch=terms).loss, own)


@pytest.mark.parametrize("method", [None, "lora"])
@pytest.mark.parametrize("which", OBJECTIVES)
def test_export_is_a_plain_checkpoint(build, which, method, tmp_path):
    case = build(which, method=method)
    with torch.no_grad():
        for parameter in case.module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    kind = case.kind
    before = kind.modality.embed(case.module.backbone, case.processor, kind.values)
    exported = case.module.export()
    exported.save_pretrained(tmp_path)
    loaded = transformers.AutoModel.from_pretrained(tmp_path)
    np.testing.assert_allclose(kind.modality.embed(loaded, case.processor, kind.values), before, atol=2e-5)
    again = getattr(transformers, type(exported).__name__).from_pretrained(tmp_path).eval()
    inputs = kind.modality.collate(case.processor, kind.modality.encode(case.processor, kind.values[:2]))
    answers = []
    for model in (again, exported.eval()):
        torch.manual_seed(0)  # PatchTST's own pre-training class draws its masks in forward
        with torch.inference_mode():
            answers.append(model(**inputs)[0])
    torch.testing.assert_close(*answers, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("which", TASKS)
def test_trained_task_model_is_a_plain_checkpoint(build, which, tmp_path):
    case = build(which)
    case.module.model.save_pretrained(tmp_path)
    loaded = getattr(transformers, type(case.module.model).__name__).from_pretrained(tmp_path).eval()
    batch = case.batch(0, 4)
    del batch["labels"]
    with torch.inference_mode():
        mine = case.module.eval()(**batch)
        theirs = case.module.task.forward(loaded, batch)
    assert mine.loss is None
    torch.testing.assert_close(mine.logits, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("which", TASKS)
def test_task_reports_the_metrics_it_names(build, which):
    case = build(which)
    batch = case.batch(0, len(case.rows))
    with torch.inference_mode():
        logits = case.module.eval()(**batch).logits.numpy()
    task = case.module.task
    found = task.metrics(logits, batch["labels"].numpy())
    assert {*task.metric_names, task.primary_metric} <= found.keys()
    assert all(np.isfinite(value) for value in found.values())
    predictions = task.predictions(logits, case.kind.labeled(task_name(which)), case.processor)
    assert len(predictions) == len(case.kind.values) and all("prediction" in row for row in predictions)


def task_name(which: str) -> str:
    return which.split("@")[0].split("/")[1]


@pytest.mark.parametrize("which", [which for which in TASKS if task_name(which) in ("classification", "regression")])
def test_warm_start_lowers_the_loss_and_touches_the_last_layer_only(build, which):
    case = build(which)
    before = {n: p.detach().clone() for n, p in case.module.named_parameters()}
    start = _loss(case)
    assert "frozen examples" in case.module.task.warm_start(case.module, case.rows)
    assert _loss(case) < start
    head = {id(p) for p in last_linear(case.module.model).parameters()}
    changed = {id(p) for n, p in case.module.named_parameters() if not torch.equal(before[n], p)}
    assert changed == head
    inputs, labels = head_inputs(case.module, case.rows, batch_size=5)
    assert len(inputs) == len(labels) == len(case.kind.values)


def _loss(case: Case) -> float:
    with torch.inference_mode():
        return case.module.eval()(**case.batch(0, len(case.rows))).loss.item()


@pytest.mark.parametrize("which", [name for name in OBJECTIVES if name not in WITHIN_BATCH])
def test_mean_loss_is_independent_of_the_batch_size(build, which):
    case = build(which)
    losses = [mean_loss(case.module, case.rows, size, bf16=False)["eval_loss"] for size in (2, 64)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("which", OBJECTIVES)
@pytest.mark.parametrize("method", [None, "lora"])
def test_backbone_and_head_are_told_apart(build, which, method):
    module = build(which, method=method).module
    backbone = {id(p) for p in module.backbone.parameters()}
    assert backbone and module.backbone.base_model is module.backbone
    plain = {
        n.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")
        for n, _ in unwrap_peft(module.model).named_parameters()
    }
    for name, parameter in module.named_parameters():
        if id(parameter) in backbone and "lora" not in name:
            assert not module.is_head(name, frozenset())
            if name.startswith("model."):  # a teacher, which may be the backbone that is kept, has names of its own
                assert bare_name(name) in plain
    trained = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    own = [name for name in trained if not name.startswith("model.")]
    assert all(module.is_head(name, frozenset()) for name in own)


@pytest.mark.parametrize("which", OBJECTIVES)
def test_rows_are_drawn_anew_in_each_epoch_and_fixed_in_evaluation(build, which):
    case = build(which)
    data = case.kind.unlabeled()
    for training in (True, False):
        rows = case.module.rows(data, seed=0, training=training)
        first = case.module.collate([rows[i] for i in range(len(rows))])
        rows.set_epoch(1)
        second = case.module.collate([rows[i] for i in range(len(rows))])
        same = all(first[k].shape == second[k].shape and torch.equal(first[k], second[k]) for k in first)
        assert same is not training
    assert case.module.describe(first).endswith(")") and int(case.module.count_units(first)) > 0
