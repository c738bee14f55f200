"""The wrapper of `Trainer`: exact resume, schedule, guards, logs, early stopping."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from toy import Numbers, Toy, options

import tiny
from hf_ssl.core.errors import ConfigError, MissingExtraError, TrainingError
from hf_ssl.evaluation.monitor.monitor import Monitor
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.mlm import MaskedLanguageModeling
from hf_ssl.objectives.simclr import SimCLR
from hf_ssl.tasks.base import TaskModule, TaskRows
from hf_ssl.tasks.classification import Classification
from hf_ssl.tasks.regression import Regression
from hf_ssl.training.callbacks import same_randomness
from hf_ssl.training.schedule import Schedule, parameter_groups
from hf_ssl.training.trainer import arguments, predict, train

TEXTS = tiny.corpus(60)


@pytest.fixture
def mlm(tiny_checkpoint):
    def make(dropout: float = 0.1) -> tuple[MaskedLanguageModeling, Any]:
        folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
        config = MaskedLanguageModeling.Config(max_length=32, dropout=dropout)
        module = MaskedLanguageModeling(Text().load(folder, "AutoModelForMaskedLM"), config)
        data = datasets.Dataset.from_dict({"text": TEXTS, "id": [f"id{i}" for i in range(len(TEXTS))]})
        return module, module.rows(data, seed=0, training=True)

    return make


@pytest.fixture
def classifier(tiny_checkpoint):
    def make() -> tuple[TaskModule, datasets.Dataset]:
        folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
        task = Classification(Classification.Config(), Text())
        data = datasets.Dataset.from_dict(
            {"text": TEXTS[:48], "label": [int(" patient " in t or t.startswith("A ")) for t in TEXTS[:48]]},
            features=datasets.Features(
                {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
            ),
        )
        task.fit_labels(data)
        new = ("classifier", "*pooler*")
        return TaskModule(Text().load(folder, task.auto_class, expect_new=new, **task.model_options()), task), data

    return make


def _args(folder: Path, **overrides: Any) -> Any:
    base = {
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-3,
        "bf16": False,
        "logging_steps": 1,
        "report_to": "none",
    }
    return arguments(folder, seed=0, defaults={}, overrides={**base, **overrides})


def _still(module: torch.nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0


def _split(module: Any) -> dict[str, int | None]:
    inside = {id(p) for p in module.backbone.parameters()}
    return {n: (0 if id(p) in inside else None) for n, p in module.named_parameters()}


def _curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]


def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(mlm, tmp_path):
    schedule = {"head_warmup": 0.2, "decay": "cosine"}
    whole, rows = mlm()
    steps_an_epoch = -(-len(rows) // 2)
    stop, total = steps_an_epoch + 2, 2 * steps_an_epoch + 3  # interrupted within the second epoch
    options = {"max_steps": total, "save_steps": stop, "save_total_limit": None}
    result = train(
        whole,
        rows,
        _args(tmp_path / "whole", **options),
        tmp_path / "whole",
        schedule=Schedule(depth=_split(whole), **schedule),
    )
    assert result.steps == total and result.units > 0 and result.loss is not None
    part = tmp_path / "part"
    saved = f"checkpoints/checkpoint-{stop}"
    shutil.copytree(tmp_path / "whole" / saved, part / saved)
    lines = [line for line in _curve(tmp_path / "whole") if line["step"] <= stop]
    (part / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    resumed, rows = mlm()
    torch.manual_seed(99)
    train(
        resumed, rows, _args(part, **options), part, schedule=Schedule(depth=_split(resumed), **schedule), resume=True
    )
    start, _ = mlm()
    for (name, a), b, c in zip(whole.named_parameters(), resumed.parameters(), start.parameters(), strict=True):
        assert torch.equal(a, b), name
        assert not torch.equal(a, c) or "pooler" in name or not a.requires_grad, name
    losses = [[line["loss"] for line in _curve(f) if "loss" in line] for f in (tmp_path / "whole", part)]
    assert losses[0] == losses[1] and len(losses[0]) == total


def test_resume_without_a_checkpoint_starts_at_step_0(mlm, tmp_path):
    module, rows = mlm()
    assert train(module, rows, _args(tmp_path, max_steps=2, save_strategy="no"), tmp_path, resume=True).steps == 2


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_schedule_warms_up_the_head_first_and_then_decays(decay):
    schedule = Schedule(head_warmup=0.2, ramp=0.1, decay=decay)
    head = np.array([schedule.factor(step, 100, head=True) for step in range(101)])
    rest = np.array([schedule.factor(step, 100, head=False) for step in range(101)])
    assert (rest[:20] == 0).all() and (rest[20:30] > 0).all() and (head[:10] > 0).all()
    assert (np.diff(head[:10]) > 0).all() and (np.diff(rest[20:30]) > 0).all()
    assert head.max() == rest.max() == 1.0 and head[10] == rest[30] == 1.0
    if decay == "constant":
        assert (head[10:] == 1).all() and (rest[30:] == 1).all()
    else:
        assert (np.diff(head[10:]) < 0).all() and (np.diff(rest[30:]) < 0).all()
        assert head[100] == pytest.approx(0, abs=1e-12) and rest[100] == pytest.approx(0, abs=1e-12)
    assert schedule.held(19, 100) and not schedule.held(20, 100)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_schedule_of_a_very_short_run_stays_in_range(total):
    schedule = Schedule(head_warmup=0.1, ramp=0.1)
    assert all(0 <= schedule.factor(s, total, h) <= 1 for s in range(total + 1) for h in (True, False))
    assert schedule.factor(0, total, head=True) > 0


def test_backbone_stands_still_while_the_head_warms_up(mlm, tmp_path):
    module, rows = mlm()
    depth, tied = _split(module), Schedule(head_warmup=0.5)
    tied.depth = depth
    before = {n: p.detach().clone() for n, p in module.named_parameters()}

    class Look:
        moved: dict[int, set[str]] = {}

        def due(self, step: int, total: int) -> bool:
            return True

        def at(self, step: int, total: int) -> bool:
            self.moved[step] = {n for n, p in module.named_parameters() if not torch.equal(p, before[n])}
            return False

        def saved(self, checkpoint: Path) -> None:
            raise AssertionError("nothing is saved in this run")

    look = Look()
    train(module, rows, _args(tmp_path, max_steps=8, save_strategy="no"), tmp_path, schedule=tied, measure=look)
    backbone = {name for name, layer in depth.items() if layer is not None}
    assert look.moved[0] == set()
    assert look.moved[4] and not look.moved[4] & backbone
    assert look.moved[5] & backbone


def test_warm_up_of_the_head_leaves_no_optimizer_state_of_the_backbone(mlm, tmp_path):
    module, rows = mlm()
    schedule, args = Schedule(depth=_split(module), head_warmup=0.5), _args(tmp_path, max_steps=8, save_steps=8)
    train(module, rows, args, tmp_path, schedule=schedule)
    checkpoint = tmp_path / "checkpoints" / "checkpoint-8"
    saved = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    placed = [names[id(p)] for group in parameter_groups(module, schedule, args) for p in group["params"]]
    updates = {placed[number]: int(state["step"]) for number, state in saved.items()}
    assert {step for name, step in updates.items() if schedule.depth[name] is None} == {8}
    assert {step for name, step in updates.items() if schedule.depth[name] is not None} == {4}


def test_deeper_layers_get_higher_rates_and_vectors_no_weight_decay(mlm, tmp_path):
    module, _ = mlm()
    depth = {n: (None if layer is None else int("layer.1" in n)) for n, layer in _split(module).items()}
    schedule = Schedule(depth=depth, layers=1, layer_decay=0.5, head_learning_rate=7e-3)
    groups = parameter_groups(module, schedule, _args(tmp_path, weight_decay=0.1))
    placed = {id(p): group for group in groups for p in group["params"]}
    assert len(placed) == sum(p.requires_grad for p in module.parameters())
    for name, parameter in module.named_parameters():
        group = placed[id(parameter)]
        expected = {None: 7e-3, 1: 1e-3, 0: 5e-4}[depth[name]]
        assert group["lr"] == pytest.approx(expected) and group["head"] is (depth[name] is None)
        if parameter.ndim == 1 or "position" in name:
            assert group["weight_decay"] == 0


def test_loss_that_is_not_finite_stops_the_run(mlm, tmp_path):
    module, rows = mlm()
    with torch.no_grad():
        module.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="learning_rate"):
        train(module, rows, _args(tmp_path, max_steps=3, save_strategy="no"), tmp_path)
    assert _curve(tmp_path)[-1]["step"] == 1


def test_no_rows_are_refused(mlm, tmp_path):
    module, _ = mlm()
    with pytest.raises(TrainingError, match="nothing to train on"):
        train(module, TaskRows([]), _args(tmp_path), tmp_path)


def test_curve_has_one_line_a_logged_step(mlm, tmp_path):
    module, rows = mlm()
    args = _args(tmp_path, max_steps=6, logging_steps=2, save_strategy="no")
    result = train(module, rows, args, tmp_path)
    lines = [line for line in _curve(tmp_path) if "loss" in line]
    assert [line["step"] for line in lines] == [1, 2, 4, 6]
    for line in lines:
        assert {"loss", "learning_rate", "tokens_per_second", "data_wait_percent"} <= line.keys()
        assert 0 <= line["data_wait_percent"] <= 100
    assert (
        result.to_dict()["tokens_seen"] > 0
        and 0.05 < result.to_dict()["peak_memory_gb"] < 50
        and result.loss == lines[-1]["loss"]
    )
    train(module, rows, args, tmp_path)
    assert len([line for line in _curve(tmp_path) if "loss" in line]) == 4  # a new run starts a new curve


def test_unknown_training_argument_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="TrainingArguments"):
        _args(tmp_path, learning_rte=1.0)


@pytest.mark.parametrize("given", [{"learning_rate": -1.0}, {"adam_beta1": 2.0}, {"adam_epsilon": -1.0}])
def test_what_an_optimizer_refuses_is_a_configuration_error(given, tmp_path):
    with pytest.raises(ConfigError, match="refuses these options"):
        train(Toy(), Numbers(), options(tmp_path, **given), tmp_path)
    module = Toy()
    schedule = Schedule({name: None for name, _ in module.named_parameters()})
    with pytest.raises(ConfigError, match="refuses these options"):
        train(module, Numbers(), options(tmp_path, **given), tmp_path, schedule=schedule)


def test_users_options_beat_the_objectives_and_those_beat_ours(tmp_path):
    chosen = arguments(
        tmp_path,
        seed=3,
        defaults={"logging_steps": 7, "weight_decay": 0.5},
        overrides={"weight_decay": 0.2, "bf16": False},
    )
    assert (chosen.logging_steps, chosen.weight_decay, chosen.seed, chosen.data_seed, chosen.bf16) == (
        7,
        0.2,
        3,
        3,
        False,
    )


def test_balanced_rows_draw_every_class_equally():
    labels = [0] * 70 + [1] * 20 + [2] * 9
    rows = TaskRows([{"labels": label, "number": i} for i, label in enumerate(labels)], seed=1, balanced=True)
    drawn = [rows[i] for i in range(len(rows))]
    assert Counter(row["labels"] for row in drawn) == {0: 33, 1: 33, 2: 33}
    for label, size in ((1, 20), (2, 9)):  # every example of a rare class before any one is seen far more often
        times = Counter(row["number"] for row in drawn if row["labels"] == label)
        assert len(times) == size and max(times.values()) - min(times.values()) <= 1
    rows.set_epoch(1)
    other = [rows[i]["number"] for i in range(len(rows))]
    assert other != [row["number"] for row in drawn]
    rows.set_epoch(0)
    assert [rows[i] for i in range(len(rows))] == drawn
    plain = TaskRows([{"labels": label} for label in labels])
    assert [plain[i]["labels"] for i in range(len(plain))] == labels


def test_balanced_rows_need_one_class_per_example():
    with pytest.raises(ConfigError, match="one class per example"):
        TaskRows([{"labels": [0, 1]}, {"labels": [1, 1]}], balanced=True)


def test_rows_of_similar_length_come_together_and_every_row_comes_once():
    lengths = np.random.default_rng(0).integers(3, 200, 2503)
    rows = TaskRows(
        [{"input_ids": [0] * length, "number": i, "labels": 0} for i, length in enumerate(lengths)], seed=3
    )

    def epoch(number: int) -> list[int]:
        rows.set_epoch(number)
        return [rows[i]["number"] for i in range(len(rows))]

    rows.group(16)
    first = epoch(0)
    assert sorted(first) == list(range(2503)) and first != epoch(1) and first == epoch(0)
    spreads = [np.ptp(lengths[first[begin : begin + 16]]) for begin in range(0, 2496, 16)]
    assert np.mean(spreads) < 10  # of 197
    means = [lengths[first[begin : begin + 16]].mean() for begin in range(0, 2496, 16)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3  # but long and short batches are mixed


def test_predictions_come_in_the_order_of_the_rows(classifier, tmp_path):
    module, data = classifier()
    texts = [f"{' '.join(['pump'] * (1 + 7 * i % 23))} {i}" for i in range(20)]
    data = data.select(range(20)).remove_columns("text").add_column("text", texts)
    rows = TaskRows(module.task.encode(module.encoder, data))
    seen: list[int] = []
    whole = module.collate
    module.collate = lambda batch: seen.extend(len(row["input_ids"]) for row in batch) or whole(batch)
    logits, labels = predict(module, rows, _args(tmp_path, per_device_eval_batch_size=4))
    assert seen == sorted(seen, reverse=True) and len(set(seen)) > 10
    np.testing.assert_array_equal(labels, data["label"])
    with torch.inference_mode():
        alone = [module(**whole([rows[i]])).logits[0].numpy() for i in range(20)]
    np.testing.assert_allclose(logits, alone, atol=1e-4)


def test_fine_tuning_drops_hidden_states_but_no_attention_unless_asked(tiny_checkpoint, tmp_path):
    folder = str(tiny_checkpoint("bert"))
    for asked, expected in (({}, 0.0), ({"attention_dropout": 0.3}, 0.3)):
        task = Classification(Classification.Config(**asked), Text())
        task.label_names = ["a", "b"]
        encoder = Text().load(
            folder, task.auto_class, new_head=True, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1
        )
        model = TaskModule(encoder, task).model
        layer = model.bert.encoder.layer[0]
        assert layer.attention.self.dropout.p == expected
        assert {layer.attention.output.dropout.p, layer.output.dropout.p, model.bert.embeddings.dropout.p} == {0.2}
        assert model.config.attention_probs_dropout_prob == 0.1  # what is saved stays the checkpoint's


def test_early_stopping_puts_the_best_checkpoint_back(classifier, tmp_path):
    module, data = classifier()
    task = module.task
    rows = TaskRows(task.encode(module.encoder, data), seed=0, balanced=True)
    held_out = TaskRows(task.encode(module.encoder, data.select(range(20))))
    scores = iter([0.5, 0.9, 0.4, 0.3, 0.2, 0.1])
    kept: list[np.ndarray] = []

    def compute(prediction: Any) -> dict[str, float]:
        assert set(task.metrics(*prediction)) >= set(task.metric_names)
        kept.append(prediction.predictions)
        return {"f1_macro": next(scores)}

    args = _args(
        tmp_path, num_train_epochs=6, per_device_train_batch_size=16, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="f1_macro", greater_is_better=True,
    )  # fmt: skip
    result = train(module, rows, args, tmp_path, eval_rows=held_out, compute_metrics=compute, patience=2)
    assert result.best_metric == 0.9 and result.steps == 4 * 3
    logits, labels = predict(module, held_out, args)
    np.testing.assert_array_equal(labels, [feature["labels"] for feature in held_out.features])
    np.testing.assert_allclose(logits, kept[1], atol=1e-6)
    assert np.abs(logits - kept[-1]).max() > 1e-4


def test_monitor_goes_on_from_what_it_had_measured(mlm, tmp_path):
    module, _ = mlm()
    rng = np.random.default_rng(0)
    targets = np.arange(40) % 2
    clear = rng.normal(size=(40, 8)) + 3 * targets[:, None]
    labeled = {"now": rng.normal(size=(40, 8))}
    seen = rng.normal(size=(30, 8))
    options: dict[str, Any] = {
        "embed": lambda: seen, "evaluate": lambda: {"eval_loss": 1.0}, "embed_labeled": lambda: labeled["now"],
        "targets": targets,
    }  # fmt: skip
    first = Monitor(module, tmp_path, **options)
    first.at(0, 10)
    shutil.copytree(tmp_path, tmp_path / "interrupted")
    again = Monitor(module, tmp_path / "interrupted", **options, resume=True)
    labeled["now"] = clear
    for monitor in (first, again):
        monitor.at(5, 10)
    assert again.history == first.history and again.history[1]["probe_difference"] > 0
    summary = again.finish()
    assert summary["kept_step"] == 5 and summary["outcome"] == "better than the start"
    assert [record["step"] for record in again.history] == [0, 5]


@pytest.mark.parametrize("which", ["mlm", "classifier"])
def test_accumulated_steps_give_the_weights_of_one_big_batch(which, mlm, classifier, tmp_path):
    """Through the Trainer: micro-batches of different length must weigh as their loss terms do, and clipping with them."""
    weights = []
    for size, accumulation in ((8, 1), (2, 4)):
        if which == "mlm":
            module, rows = mlm(dropout=0.0)
        else:
            torch.manual_seed(0)  # of the new head
            module, data = classifier()
            _still(module)
            rows = TaskRows(module.task.encode(module.encoder, data))
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulation, "max_steps": 4}
        folder = tmp_path / str(size)
        train(module, rows, _args(folder, **options, save_strategy="no", max_grad_norm=1.0), folder)
        weights.append(module.state_dict())
    losses = [[line["loss"] for line in _curve(tmp_path / size) if "loss" in line] for size in ("8", "2")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=3e-5, rtol=1e-4, msg=name)


def test_bf16_computes_in_bfloat16_and_keeps_float32_weights(mlm, tmp_path):
    losses = {}
    for bf16 in (False, True):
        module, rows = mlm(dropout=0.0)
        seen: set[torch.dtype] = set()
        layer = module.backbone.encoder.layer[0].attention.self.query
        layer.register_forward_hook(lambda part, given, out, seen=seen: seen.add(out.dtype))
        folder = tmp_path / str(bf16)
        train(module, rows, _args(folder, max_steps=4, bf16=bf16, save_strategy="no"), folder)
        assert seen == {torch.bfloat16 if bf16 else torch.float32}
        assert {p.dtype for p in module.parameters()} == {torch.float32}
        losses[bf16] = [line["loss"] for line in _curve(folder) if "loss" in line]
    np.testing.assert_allclose(losses[True], losses[False], rtol=0.02)
    assert losses[True] != losses[False]


def test_bf16_is_chosen_where_it_is_fast_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ssl.training.trainer.bf16_is_fast", lambda: True)
    chosen = arguments(tmp_path, seed=0, defaults={}, overrides={})
    refused = arguments(tmp_path, seed=0, defaults={}, overrides={"bf16": False})
    assert chosen.bf16 and not refused.bf16
    monkeypatch.setattr("hf_ssl.training.trainer.bf16_is_fast", lambda: False)
    assert not arguments(tmp_path, seed=0, defaults={}, overrides={}).bf16


def test_a_regression_target_of_minus_100_is_counted(tiny_checkpoint, tmp_path):
    """-100 is how transformers marks what is not counted: such a target must weigh like any other."""
    folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
    task = Regression(Regression.Config(), Text())
    losses = {}
    for target in (-100.0, -100.5):
        data = datasets.Dataset.from_dict({"text": TEXTS[:8], "label": [target] * 6 + [5.0, 7.0]})
        task.fit_labels(data)
        torch.manual_seed(0)
        module = TaskModule(Text().load(folder, task.auto_class, **task.model_options()), task)
        _still(module)
        rows = TaskRows(task.encode(module.encoder, data))
        batch = module.collate([rows[i] for i in range(8)])
        assert int((batch["labels"] != -100).sum()) == 8
        np.testing.assert_allclose(batch["labels"][:6], target, rtol=1e-6)
        args = _args(tmp_path / str(target), max_steps=1, per_device_train_batch_size=8, save_strategy="no")
        losses[target] = train(module, rows, args, tmp_path / str(target)).loss
    assert losses[-100.0] == pytest.approx(losses[-100.5], rel=0.01)


def test_measuring_is_neither_training_nor_waiting_for_data(mlm, tmp_path):
    class Slow:
        def due(self, step: int, total: int) -> bool:
            return True

        def at(self, step: int, total: int) -> bool:
            time.sleep(0.4)
            return False

        def saved(self, checkpoint: Path) -> None:
            raise AssertionError("nothing is saved in this run")

    module, rows = mlm()
    began = time.monotonic()
    result = train(module, rows, _args(tmp_path, max_steps=5, save_strategy="no"), tmp_path, measure=Slow())
    assert time.monotonic() - began - result.seconds > 6 * 0.4
    assert _curve(tmp_path)[-1]["data_wait_percent"] < 50


def test_what_a_device_is_still_at_is_training_when_a_measurement_begins_and_when_it_ends(tmp_path, monkeypatch):
    class Quick:
        def due(self, step: int, total: int) -> bool:
            return step < total

        def at(self, step: int, total: int) -> bool:
            return False

        def saved(self, checkpoint: Path) -> None:
            raise AssertionError("nothing is saved in this run")

    monkeypatch.setattr("hf_ssl.training.callbacks.settle", lambda device: time.sleep(0.3))
    args = options(tmp_path, max_steps=3, logging_steps=100, logging_first_step=False, save_strategy="no")
    assert train(Toy(), Numbers(), args, tmp_path, measure=Quick()).seconds > 3 * 0.3


def test_an_evaluation_takes_no_random_numbers_of_any_device(monkeypatch):
    class Device:
        state = torch.arange(3)

        def get_rng_state(self) -> torch.Tensor:
            return self.state

        def set_rng_state(self, state: torch.Tensor) -> None:
            self.state = state

    there = Device()
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    monkeypatch.setattr(torch, "get_device_module", lambda device: there)
    host = torch.random.get_rng_state()
    with same_randomness():
        torch.rand(3)
        there.state = torch.zeros(3)
    assert torch.equal(there.state, torch.arange(3)) and torch.equal(torch.random.get_rng_state(), host)


def test_trackers_are_opt_in_and_a_missing_one_has_a_pip_line(mlm, tmp_path, monkeypatch):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    seen = []

    class Tracker(TrainerCallback):
        logging_dir = None

        def on_train_begin(self, args, state, control, model, **kwargs):
            assert model.config.to_dict()["model_type"] == "bert" and model.config.to_json_string()
            assert self.logging_dir == str(tmp_path / "run1" / "logs"), "what lies in the checkpoints goes with them"

        def on_log(self, args, state, control, logs, **kwargs):
            seen.append(logs)

    class Missing(TrainerCallback):
        def __init__(self):
            raise RuntimeError("TrackioCallback requires trackio to be installed.")

    known = {**integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard": Tracker, "trackio": Missing}
    monkeypatch.setattr(integration_utils, "INTEGRATION_TO_CALLBACK", known)
    for names in ([], ["tensorboard"]):
        options = {"max_steps": 2, "bf16": False, "save_strategy": "no", "logging_steps": 1}
        args = arguments(tmp_path, seed=0, defaults={}, overrides=options | ({"report_to": names} if names else {}))
        objective, rows = mlm()
        train(objective, rows, args, tmp_path / f"run{len(names)}")
        assert any("loss" in logs for logs in seen) == bool(names)
    with pytest.raises(MissingExtraError, match=r'pip install "hf_ssl\[tracking\]"'):
        arguments(tmp_path, seed=0, defaults={}, overrides={"report_to": "trackio"})
    with pytest.raises(ConfigError, match="wandbb is not supported"):
        arguments(tmp_path, seed=0, defaults={}, overrides={"report_to": ["wandbb"]})


HELD = """
import os, sys, torch
from hf_ssl.training.cpu import freed_at_once

def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

torch.ones(5_000_000)  # 20 MB, freed: from now on glibc keeps blocks up to this size
with freed_at_once(sys.argv[1] == "wanted"):
    before = held()
    tensors = [torch.ones(800_000 + 1_000 * number) for number in range(60)]  # 3 MB each
    full = held() - before
    del tensors[:-1]  # what is below the last one could not be trimmed away
    print(full, held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="an option of glibc")
def test_freed_tensors_go_back_to_the_system_where_it_is_asked_for():
    def measured(asked: str) -> list[float]:  # in a process of its own: another one's free blocks would be used first
        done = subprocess.run([sys.executable, "-c", HELD, asked], capture_output=True, text=True, check=True)
        return [float(part) for part in done.stdout.split()]

    (full, left), (full_as_ever, left_as_ever) = measured("wanted"), measured("not wanted")
    assert full > 150 and left < 50
    assert full_as_ever > 150 and left_as_ever > 150
    assert MaskedLanguageModeling.frees_at_once and not SimCLR.frees_at_once


def test_a_bar_names_the_stage_its_loss_and_its_speed(mlm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module, rows = mlm()
    train(module, rows, _args(tmp_path, max_steps=3, disable_tqdm=False), tmp_path / "pretrain")
    told = capsys.readouterr().err
    assert re.search(
        r"pretrain: 100%.* 3/3 .*loss \d+\.\d{4}, [\d,]+ tokens/s, data wait [\d.]+ %  MFU \d+ %", told
    ), told[-500:]
