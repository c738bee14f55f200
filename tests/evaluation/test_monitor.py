"""What the monitor does about a run that collapses or only harms, in a real training run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

import tiny
from hf_ssl.core.errors import TrainingError
from hf_ssl.data import DomainData
from hf_ssl.evaluation.monitor.monitor import LIKELY, SAME, Monitor
from hf_ssl.evaluation.probes.cross_validated import cross_validated_probe
from hf_ssl.modalities.text.encoder import TextEncoder
from hf_ssl.modalities.text.text import Text
from hf_ssl.objectives.simcse import SimCSE
from hf_ssl.stages.monitoring import probe_examples
from hf_ssl.training.trainer import arguments, train

RNG = np.random.default_rng(0)
TARGETS = np.arange(60) % 2
GOOD = RNG.normal(size=(60, 8)) + 2.0 * TARGETS[:, None]
BAD = RNG.normal(size=(60, 8))


@pytest.fixture
def simcse(tiny_checkpoint):
    def make(**options: Any) -> tuple[SimCSE, Any]:
        folder = str(tiny_checkpoint("bert", "AutoModelForMaskedLM"))
        config = SimCSE.Config(**{"max_length": 16, **options})
        module = SimCSE(Text().load(folder), config)
        texts = list(dict.fromkeys(tiny.corpus(60)))[:32]
        return module, module.rows(datasets.Dataset.from_dict({"text": texts}), seed=0, training=True)

    return make


def _run(module: Any, rows: Any, folder: Path, monitor: Monitor, steps: int = 8) -> Any:
    overrides = {"max_steps": steps, "per_device_train_batch_size": 4, "bf16": False, "save_strategy": "no"}
    return train(module, rows, arguments(folder, seed=0, defaults={}, overrides=overrides), folder, measure=monitor)


def test_collapsed_features_stop_the_run(simcse, tmp_path):
    module, rows = simcse()
    measured: list[int] = []

    def features() -> np.ndarray:
        measured.append(1)
        healthy = np.random.default_rng(1).normal(size=(50, 8))
        return healthy if len(measured) == 1 else np.ones((50, 8)) + 1e-7 * healthy

    monitor = Monitor(module, tmp_path, embed=features, evaluate=lambda: {"eval_loss": 1.0}, points=4)
    with pytest.raises(TrainingError, match="Collapse at step 2: .*Lower --learning_rate"):
        _run(module, rows, tmp_path, monitor)
    records = [json.loads(line) for line in (tmp_path / "monitor.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in records] == [0, 2], "what was seen is kept for the reader"


@pytest.mark.parametrize(
    ("asked", "worth", "total", "marks"),
    [
        (None, 0.0, 100, [20, 40, 60, 80, 100]),  # nobody knows what a measurement costs
        (None, 5.0, 100, [20, 40, 60, 80, 100]),
        (None, 40.0, 100, [50, 100]),
        (None, 1000.0, 4, [4]),  # the end is measured whatever it costs
        (3, 1000.0, 9, [3, 6, 9]),  # what is asked for is done
    ],
)
def test_short_runs_are_not_measured_more_than_trained(asked, worth, total, marks, simcse, tmp_path):
    module, _ = simcse()
    monitor = Monitor(module, tmp_path, embed=list, evaluate=dict, points=asked, worth=worth)
    assert [step for step in range(1, total + 1) if monitor.due(step, total)] == marks


def test_a_model_that_really_collapses_is_caught(simcse, tmp_path):
    """The last layer is planted to give every text the same vector; the monitor looks at the model's own features."""
    module, rows = simcse()
    texts = list(dict.fromkeys(tiny.corpus(100)))[:40]

    def features() -> np.ndarray:
        return module.adapted.embed(texts)

    class Planted(Monitor):
        def at(self, step: int, total: int) -> bool:
            if step:
                norm = module.backbone.encoder.layer[-1].output.LayerNorm
                with torch.no_grad():
                    norm.weight.zero_()
                    norm.bias.fill_(1.0)
            return super().at(step, total)

    monitor = Planted(module, tmp_path, embed=features, evaluate=lambda: {"eval_loss": 1.0}, points=2)
    with pytest.raises(TrainingError, match="Collapse at step 4"):
        _run(module, rows, tmp_path, monitor)


def test_a_model_that_became_nan_is_named_also_where_a_probe_would_fail_on_it(simcse, tmp_path):
    module, rows = simcse()
    texts = tiny.corpus(100)[: len(TARGETS)]

    def features() -> np.ndarray:
        return module.adapted.embed(texts)

    class Planted(Monitor):
        def at(self, step: int, total: int) -> bool:
            if step:
                with torch.no_grad():
                    module.backbone.encoder.layer[-1].output.LayerNorm.bias.fill_(float("nan"))
            return super().at(step, total)

    monitor = Planted(
        module, tmp_path, embed=features, evaluate=lambda: {"eval_loss": 1.0}, embed_labeled=features, targets=TARGETS,
        points=2,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="Collapse at step 4: 100.0% .*NaN"):
        _run(module, rows, tmp_path, monitor)
    assert monitor.best_step == 0


@pytest.mark.parametrize("patience", [2, 0])
def test_harm_stops_the_run_and_the_start_is_put_back(patience, simcse, tmp_path, said):
    module, rows = simcse()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    calls: list[int] = []

    def labeled() -> np.ndarray:
        calls.append(1)
        return GOOD if len(calls) == 1 else BAD

    monitor = Monitor(
        module, tmp_path, embed=lambda: GOOD, evaluate=lambda: {"eval_loss": 1.0 / (1 + len(calls))}, embed_labeled=labeled,
        targets=TARGETS, points=4, patience=patience,
    )  # fmt: skip
    result = _run(module, rows, tmp_path, monitor)
    assert result.steps == (4 if patience else 8)
    assert ("2 measurements in a row" in said.readouterr().err) == bool(patience)
    assert any(not tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    summary = monitor.finish()
    assert (summary["kept_step"], summary["outcome"]) == (0, SAME)
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert "best" not in {path.stem for path in tmp_path.rglob("*.safetensors")}


def test_one_bad_measurement_between_good_ones_does_not_stop(simcse, tmp_path):
    module, rows = simcse()
    seen = iter([BAD, GOOD, BAD, GOOD, BAD])
    monitor = Monitor(
        module, tmp_path, embed=lambda: GOOD, evaluate=lambda: {"eval_loss": 1.0}, embed_labeled=lambda: next(seen),
        targets=TARGETS, points=4, patience=1,
    )  # fmt: skip
    assert _run(module, rows, tmp_path, monitor).steps == 8, "as good as the start is not worse than it"


def test_both_probes_are_recorded_at_the_start_and_along_the_way(simcse, tmp_path, said):
    module, rows = simcse()
    seen = iter([BAD, GOOD, GOOD])
    monitor = Monitor(
        module, tmp_path, embed=lambda: GOOD, evaluate=lambda: {"eval_loss": 1.0}, embed_labeled=lambda: next(seen),
        targets=TARGETS, points=2,
    )  # fmt: skip
    _run(module, rows, tmp_path, monitor)
    start, *later = [
        json.loads(line) for line in (tmp_path / "monitor.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert start["step"] == 0 and len(later) == 2
    for name in ("probe", "knn"):
        assert start[name] < 0.6 < 0.85 < later[0][name] == later[1][name]
        assert later[0][f"{name}_standard_error"] > 0
    assert f"neighbors {start['knn']:.3f}" in said.readouterr().err


@pytest.mark.parametrize(
    ("kind", "label", "problem_type"),
    [
        ("class", [0, 1] * 4, "single_label_classification"),
        ("multilabel", [[1, 0], [0, 1]] * 4, "multi_label_classification"),
        ("regression", [0.5, 1.5] * 4, "regression"),
        ("tags", [["O"]] * 8, None),
        ("class", [0, 1, 1, 1], None),
        ("regression", [0.5, 1.0, 2.0], None),
    ],
)
def test_what_the_probes_are_fitted_on(kind, label, problem_type):
    texts = [f"text {number}" for number in range(len(label))]
    data = DomainData(
        {"train": datasets.Dataset.from_dict({"text": texts, "label": label})}, {"label_kind": kind}, "text"
    )
    found = probe_examples(data, Text())
    if problem_type is None:
        assert found is None
    else:
        assert found is not None and list(found.values) == texts and found.problem_type == problem_type
        probe = cross_validated_probe(np.eye(len(texts)), found.targets, problem_type=problem_type, probe="knn")
        assert np.isfinite(probe.mean)


def test_the_probe_keeps_groups_together():
    """What tells the groups apart says nothing of the classes of other groups, and all of them where a group is split over folds."""
    groups = np.repeat(np.arange(12), 5)
    labels = groups % 2
    texts = [f"text {number}" for number in range(len(groups))]
    rows = {"text": texts, "label": labels.tolist(), "group": [f"patient {group}" for group in groups]}
    data = DomainData({"train": datasets.Dataset.from_dict(rows)}, {"label_kind": "class"}, "text")
    found = probe_examples(data, Text())
    assert found is not None and found.groups == rows["group"]
    marks = np.eye(12)[groups] * 5
    apart = cross_validated_probe(marks, found.targets, problem_type=found.problem_type, groups=found.groups)
    assert apart.mean < 0.7 < 0.95 < cross_validated_probe(marks, found.targets).mean


def test_dropout_views_differ_by_dropout_alone(simcse):
    module, rows = simcse(view="dropout")
    batch = module.collate([rows[i] for i in range(4)])
    assert batch["input_ids"][0::2].equal(batch["input_ids"][1::2])
    seen: list[torch.Tensor] = []

    class Spy(TextEncoder):
        def features(self, batch: Any) -> torch.Tensor:
            seen.append(super().features(batch))
            return seen[-1]

    module.encoder = Spy(Text(), module.model, module.encoder.processor)
    for mode in (True, False):
        torch.manual_seed(0)
        module.train(mode)
        loss = module(**batch).loss
        vectors = seen.pop()
        assert not torch.allclose(vectors[0::2], vectors[1::2]), (
            "in evaluation too, or every text would be its own view"
        )
        assert torch.isfinite(loss) and module.training is mode
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
    module(**batch)
    torch.testing.assert_close(seen[-1][0::2], seen[-1][1::2])


def test_the_probe_sees_every_class_of_a_sorted_file():
    """Not its first rows: in a file sorted by class they hold one, and the probe switched itself off."""
    labels = np.repeat(np.arange(4), [3000, 400, 40, 1])
    rows = datasets.Dataset.from_dict({"text": [f"text {n}" for n in range(len(labels))], "label": labels.tolist()})
    data = DomainData({"train": rows}, {"label_kind": "class"}, "text")
    found = probe_examples(data, Text())
    assert found is not None and found.problem_type == "single_label_classification"
    assert set(found.targets) == {0, 1, 2} and 1900 < len(found.targets) < 2100, (
        "a class with one label goes, not the probe"
    )


def test_a_gain_that_is_not_beyond_doubt_is_kept_and_said_so(simcse, tmp_path):
    """Three examples of sixty are moved to where their class is: better on average, and no more than that."""
    module, rows = simcse()
    rng = np.random.default_rng(3)
    start = GOOD + 1.5 * rng.normal(size=GOOD.shape)
    later = start.copy()
    later[8:11] += 2.0 * (2 * TARGETS[8:11, None] - 1)
    calls: list[int] = []

    def labeled() -> np.ndarray:
        calls.append(1)
        return start if len(calls) == 1 else later

    monitor = Monitor(
        module, tmp_path, embed=lambda: GOOD, evaluate=lambda: {"eval_loss": 1.0}, embed_labeled=labeled, targets=TARGETS,
        points=1,
    )  # fmt: skip
    _run(module, rows, tmp_path, monitor)
    record = monitor.history[-1]
    assert 0 < record["probe_difference"] <= record["probe_difference_error"]
    summary = monitor.finish()
    assert summary["kept_step"] == 8 and summary["outcome"] == LIKELY
