"""The promises of objectives and tasks."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
import transformers

from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.encoder import Batch, Encoder
from hf_ssl.models import adapters
from hf_ssl.models.pooling import saved_pooling
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.models.structure import unwrap_peft
from hf_ssl.objectives.base import Objective, Rows, bare_name
from hf_ssl.tasks.base import Task, TaskModule, TaskRows
from hf_ssl.training.dropout import set_dropout

if TYPE_CHECKING:
    import datasets

LoadEncoder: TypeAlias = Callable[..., Encoder]
"""`(transformers class, **options of Modality.load)` to a freshly loaded tiny encoder, the same at every call."""


@dataclass(frozen=True)
class Built:
    """A module, ready to train, with its rows."""

    module: Objective | TaskModule
    rows: Rows | TaskRows

    def batch(self, start: int, end: int) -> Batch:
        return self.module.collate([self.rows[i] for i in range(start, end)])

    def loss(self, **inputs: torch.Tensor) -> torch.Tensor:
        loss = self.module(**inputs).loss
        assert loss is not None
        return loss

    def shake(self) -> None:
        """Move every trained weight a little."""
        with torch.no_grad():
            for parameter in self.module.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))


@dataclass(frozen=True)
class Case:
    """What an objective or a task is tried on.

    Args:
        kind: the class.
        load: gives a tiny encoder that it works on.
        data: a pool (objective) or labeled examples (task), at least 8.
        options: of its `Config`.
        compares_within_batch: its loss compares the examples of a micro-batch with each other, so that splitting the batch
            makes another loss by definition.
        without_gradient: parts of names of parameters that get none, for a reason.
    """

    kind: type[Objective] | type[Task[Any]]
    load: LoadEncoder
    data: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    compares_within_batch: bool = False
    without_gradient: tuple[str, ...] = ()

    def build(self, method: str | None = None) -> Built:
        """The module from its first weights, with adapters when a method of PEFT is named."""
        torch.manual_seed(0)
        if issubclass(self.kind, Objective):
            encoder = _adapted(self.load(self.kind.auto_class, expect_new=("*",)), method)
            objective = self.kind(encoder, self.kind.Config(**self.options))
            return Built(objective, objective.rows(self.data, seed=0, training=True))
        task = self.kind(self.kind.Config(**self.options), self.load("AutoModel", expect_new=("*",)).modality)
        task.fit_labels(self.data)
        encoder = self.load(task.auto_class, expect_new=("*",), pooling=task.pooling, **task.model_options())
        module = TaskModule(encoder, task)
        if method:
            module.wrap(adapters.apply(encoder.model, method, missing=encoder.report.missing))
        return Built(module, TaskRows(task.encode(encoder, self.data)))


def _adapted(encoder: Encoder, method: str | None) -> Encoder:
    if method is None:
        return encoder
    return encoder.replace(model=adapters.apply(encoder.model, method, missing=encoder.report.missing))


# -- objectives and tasks -----------------------------------------------------------------------------------------------


def loss_is_finite_and_gradient_reaches_what_is_trained(case: Case) -> None:
    built = case.build()
    built.module.train()
    loss = built.loss(**built.batch(0, 8))
    assert loss.ndim == 0 and torch.isfinite(loss) and loss > 0
    loss.backward()
    trained = {name: p for name, p in built.module.named_parameters() if p.requires_grad}
    without = [name for name, p in trained.items() if p.grad is None or not p.grad.abs().sum()]
    without = [name for name in without if not any(part in name for part in case.without_gradient)]
    assert not without, f"no gradient reaches {without}"
    assert all(torch.isfinite(p.grad).all() for p in built.module.parameters() if p.grad is not None)


def twenty_steps_on_eight_examples_lower_the_loss(case: Case) -> None:
    built = case.build()
    set_dropout(built.module, 0.0)
    batch = built.batch(0, 8)
    optimizer = torch.optim.AdamW([p for p in built.module.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for _ in range(21):
        built.module.train()
        loss = built.loss(**batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0], losses


def batch_of_one_and_ragged_last_batch_train(case: Case) -> None:
    built = case.build()
    for start, end in ((0, 1), (0, 3)):
        built.module.zero_grad()
        built.module.train()
        loss = built.loss(**built.batch(start, end))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in built.module.parameters() if p.grad is not None)


def same_seed_gives_same_loss(case: Case) -> None:
    losses = []
    for _ in range(2):
        built = case.build()
        torch.manual_seed(1)
        built.module.train()
        losses.append(built.loss(**built.batch(0, 6)).item())
    assert losses[0] == losses[1]


def state_dict_goes_round(case: Case, method: str | None = None) -> None:
    built, other = case.build(method), case.build(method)
    built.shake()
    batch = built.batch(0, 4)
    built.module.eval(), other.module.eval()
    wanted = built.loss(**batch)
    assert not torch.equal(other.loss(**batch), wanted)
    state = copy.deepcopy(built.module.state_dict())
    other.module.load_state_dict(state)
    torch.testing.assert_close(other.loss(**batch), wanted, atol=0, rtol=0)
    pointers = [tensor.data_ptr() for tensor in built.module.state_dict().values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers), "a tensor is saved twice"
    try:
        other.module.load_state_dict(dict(list(state.items())[1:]), strict=False)
    except RuntimeError as error:
        assert "does not fit" in str(error)
    else:
        raise AssertionError("a state that lacks a tensor was taken")


def state_dict_of_adapters_goes_round(case: Case) -> None:
    state_dict_goes_round(case, "lora")
    module = case.build("lora").module
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad and name.startswith("model.")}
    assert frozen and not frozen & module.state_dict().keys(), "frozen tensors are saved"


def accumulated_micro_batches_give_the_gradient_of_the_whole_batch(case: Case) -> None:
    if case.compares_within_batch:
        return
    built = case.build()
    module = built.module
    set_dropout(module, 0.0)
    module.train()
    whole = built.batch(0, 8)
    terms = (whole["labels"] != -100).sum()
    built.loss(**whole, num_items_in_batch=terms).backward()
    wanted = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    parts = [built.batch(start, start + 2) for start in range(0, 8, 2)]
    assert sum(int((part["labels"] != -100).sum()) for part in parts) == terms
    for part in parts:
        built.loss(**part, num_items_in_batch=terms).backward()
    # An element is a sum of terms as large as its tensor's greatest: that, not the element, is what float32 rounds.
    greatest = {name: float(gradient.abs().max()) for name, gradient in wanted.items()}
    floor = max(1e-6, 1e-7 * max(greatest.values()))
    for name, parameter in module.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], atol=floor + 1e-5 * greatest[name], rtol=1e-4)
    torch.testing.assert_close(built.loss(**whole, num_items_in_batch=terms), built.loss(**whole))


MODULE_CHECKS: tuple[Callable[[Case], None], ...] = (
    loss_is_finite_and_gradient_reaches_what_is_trained, twenty_steps_on_eight_examples_lower_the_loss,
    batch_of_one_and_ragged_last_batch_train, same_seed_gives_same_loss, state_dict_goes_round,
    state_dict_of_adapters_goes_round, accumulated_micro_batches_give_the_gradient_of_the_whole_batch,
)  # fmt: skip


# -- objectives ---------------------------------------------------------------------------------------------------------


def export_is_a_plain_checkpoint_that_pools_as_the_start(case: Case, method: str | None = None) -> None:
    built = case.build(method)
    objective = built.module
    assert isinstance(objective, Objective)
    built.shake()
    values = list(case.data[objective.encoder.modality.column][:8])
    before, encoder = objective.adapted.embed(values), objective.adapted
    exported = objective.export()
    with tempfile.TemporaryDirectory() as place:
        encoder.save(Path(place), model=exported)
        assert saved_pooling(CheckpointRef(place)) == encoder.pooling
        loaded = transformers.AutoModel.from_pretrained(place)
        np.testing.assert_allclose(encoder.replace(model=loaded).embed(values), before, atol=2e-5)
        again = getattr(transformers, type(exported).__name__).from_pretrained(place).eval()
    inputs = encoder.collate(encoder.preprocess(values[:2]))
    answers = []
    for model in (again, exported.eval()):
        torch.manual_seed(0)  # PatchTST's own pre-training class draws its masks in forward
        with torch.inference_mode():
            answers.append(model(**inputs)[0])
    torch.testing.assert_close(*answers, atol=2e-5, rtol=1e-4)


def export_of_adapters_is_a_plain_checkpoint(case: Case) -> None:
    export_is_a_plain_checkpoint_that_pools_as_the_start(case, "lora")


def mean_loss_is_independent_of_the_batch_size(case: Case) -> None:
    if case.compares_within_batch:
        return
    built = case.build()
    small, large = (mean_loss(built.module, built.rows, size, bf16=False)["eval_loss"] for size in (2, 64))
    np.testing.assert_allclose(small, large, rtol=1e-5)


def backbone_and_head_are_told_apart(case: Case) -> None:
    for method in (None, "lora"):
        module = case.build(method).module
        assert isinstance(module, Objective)
        backbone = {id(p) for p in module.backbone.parameters()}
        assert backbone and module.backbone.base_model is module.backbone
        named = unwrap_peft(module.model).named_parameters()
        plain = {n.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".") for n, _ in named}
        for name, parameter in module.named_parameters():
            if id(parameter) in backbone and "lora" not in name:
                assert not module.is_head(name, frozenset()), name
                if name.startswith(
                    "model."
                ):  # a teacher, which may be the backbone that is kept, has names of its own
                    assert bare_name(name) in plain, name
        trained = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        assert all(module.is_head(name, frozenset()) for name in trained if not name.startswith("model."))


def rows_are_drawn_anew_in_each_epoch_and_fixed_in_evaluation(case: Case) -> None:
    module = case.build().module
    assert isinstance(module, Objective)
    for training in (True, False):
        rows = module.rows(case.data, seed=0, training=training)
        batches = []
        for epoch in range(2):
            rows.set_epoch(epoch)
            batches.append(module.collate([rows[i] for i in range(len(rows))]))
        first, second = batches
        same = all(first[k].shape == second[k].shape and torch.equal(first[k], second[k]) for k in first)
        assert same is not training
        assert module.describe(first).endswith(")") and int(module.count_units(first)) > 0


OBJECTIVE_CHECKS = (
    *MODULE_CHECKS, export_is_a_plain_checkpoint_that_pools_as_the_start, export_of_adapters_is_a_plain_checkpoint,
    mean_loss_is_independent_of_the_batch_size, backbone_and_head_are_told_apart,
    rows_are_drawn_anew_in_each_epoch_and_fixed_in_evaluation,
)  # fmt: skip


def check_objective(
    kind: type[Objective], load: LoadEncoder, pool: datasets.Dataset, *, options: Mapping[str, Any] | None = None,
    compares_within_batch: bool = False, without_gradient: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Try every promise of an objective.

    Args:
        kind: the class.
        load: `(transformers class, **options of Modality.load)` to a tiny encoder, such as
            `lambda head, **options: Text().load(folder, head, **options)`.
        pool: a `datasets.Dataset` of unlabeled examples, at least 8.
        options: of its `Config`.
        compares_within_batch: see `Case`.
        without_gradient: see `Case`.

    Raises:
        AssertionError: a promise is not kept.
    """
    assert kind.fits(load("AutoModel", expect_new=("*",)).modality), (
        f"{kind.__name__} does not work on this kind of data"
    )
    case = Case(kind, load, pool, options or {}, compares_within_batch, without_gradient)
    for check in OBJECTIVE_CHECKS:
        check(case)


# -- tasks --------------------------------------------------------------------------------------------------------------


def trained_model_is_a_plain_checkpoint(case: Case) -> None:
    built = case.build()
    module = built.module
    assert isinstance(module, TaskModule)
    batch = built.batch(0, 4)
    del batch["labels"]
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        module.encoder.save(Path(place), processor=module.task.saved_processor(module.encoder))
        loaded = getattr(transformers, type(module.model).__name__).from_pretrained(place).eval()
        mine = module.eval()(**batch)
        theirs = module.task.forward(module.encoder.replace(model=loaded), batch)
        assert saved_pooling(CheckpointRef(place)) == module.encoder.pooling
    assert mine.loss is None
    torch.testing.assert_close(mine.logits, theirs, atol=1e-6, rtol=0)


def task_reports_the_metrics_it_names(case: Case) -> None:
    built = case.build()
    module = built.module
    assert isinstance(module, TaskModule)
    batch = built.batch(0, len(built.rows))
    with torch.inference_mode():
        logits = module.eval()(**batch).logits.numpy()
    found = module.task.metrics(logits, batch["labels"].numpy())
    assert {*module.task.metric_names, module.task.primary_metric} <= found.keys()
    assert all(np.isfinite(value) for value in found.values()), found
    predictions = module.task.predictions(logits, case.data, module.encoder)
    assert len(predictions) == len(case.data) and all("prediction" in row for row in predictions)


TASK_CHECKS = (*MODULE_CHECKS, trained_model_is_a_plain_checkpoint, task_reports_the_metrics_it_names)


def check_task(
    kind: type[Task[Any]], load: LoadEncoder, labeled: datasets.Dataset, *, options: Mapping[str, Any] | None = None,
    compares_within_batch: bool = False, without_gradient: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Try every promise of a task; arguments as for `check_objective`, with labeled examples for the pool.

    Raises:
        AssertionError: a promise is not kept.
    """
    assert kind.fits(load("AutoModel", expect_new=("*",)).modality), (
        f"{kind.__name__} does not work on this kind of data"
    )
    case = Case(kind, load, labeled, options or {}, compares_within_batch, without_gradient)
    for check in TASK_CHECKS:
        check(case)
