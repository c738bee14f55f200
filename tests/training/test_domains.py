"""Adapting to a domain without labels: the methods, the wrapping module, the rows, and the rules that pick a point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import domain_process
import numpy as np
import pytest
import torch
from domain_toy import Labeled, TwoLayers, domains, numbers
from toy import options

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.gap import proxy_a_distance
from hf_ssl.training.domain import selection
from hf_ssl.training.domain.module import strength_at
from hf_ssl.training.domain.rows import DomainRows
from hf_ssl.training.trainer import train

METHODS = plugins.names("domain_methods")


def _trained(folder: Path, module: Any, rows: Any, **more: Any) -> Any:
    train(module, rows, options(folder, **{"save_strategy": "no", **more}), folder)
    return module


def test_the_methods_that_come_along():
    assert METHODS == ["cdan", "coral", "dann", "mmd"]


@pytest.mark.parametrize("method", METHODS)
def test_weight_zero_is_source_only_bit_for_bit(method, tmp_path):
    """Dropout and running statistics included; the critic learns all the same."""
    alone = TwoLayers(dropout=0.3, norm=True)
    _trained(tmp_path / "alone", alone, Labeled(numbers(32, 0, seed=0)))
    start = TwoLayers(dropout=0.3, norm=True)
    module, rows = domains(method, 0.0, inner=TwoLayers(dropout=0.3, norm=True))
    before = {name: tensor.clone() for name, tensor in module.method.state_dict().items()}
    _trained(tmp_path / "both", module, rows)
    both = module.inner.state_dict()
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, both[name]), name
    assert not torch.equal(start.model[0].weight, alone.model[0].weight)
    if method in ("dann", "cdan"):
        assert any(not torch.equal(before[name], now) for name, now in module.method.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_a_probe_tells_the_domains_apart_less(method, tmp_path):
    distance = {}
    for weight in (0.0, 1.0 if method in ("dann", "cdan") else 3.0):
        module, rows = domains(method, weight, rows=512)
        _trained(
            tmp_path / str(weight), module, rows, max_steps=250, learning_rate=0.01, per_device_train_batch_size=32
        )
        # Fresh examples: the critic has never seen them.
        features = [module.read(numbers(150, domain, seed=50 + domain), 64)[0] for domain in (0, 1)]
        distance[weight] = proxy_a_distance(*features, n_permutations=20).distance
        answers = module.read(numbers(150, 0, seed=70), 64)[1].argmax(1)
        right = np.mean(answers == [row["labels"] for row in numbers(150, 0, seed=70)])
        assert right > 0.8, "the task is still learned"
    assert distance[weight] < distance[0.0] - 0.3, distance


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_reaches_features_and_is_against_the_critic(method):
    torch.manual_seed(0)
    built = plugins.find("domain_methods", method)(16, 2, 2, seed=0)
    features = torch.randn(24, 16).requires_grad_()
    logits, of = torch.randn(24, 2), torch.arange(24) % 2
    shifted = features + of.unsqueeze(1) * 0.8
    (first,) = torch.autograd.grad(built.penalty(shifted, logits, of, 1.0), features, retain_graph=True)
    (half,) = torch.autograd.grad(built.penalty(shifted, logits, of, 0.5), features)
    assert first.abs().sum() > 0
    torch.testing.assert_close(half, first / 2)
    if method == "dann":
        plain = torch.nn.functional.cross_entropy(built.critic(shifted), of)
        torch.testing.assert_close(torch.autograd.grad(plain, features)[0], -first)


def test_the_schedule_is_a_function_of_the_optimizer_step(tmp_path):
    assert strength_at(0, 100, 2.0) == 0 and strength_at(100, 100, 2.0) == pytest.approx(2, abs=1e-3)
    assert strength_at(10, 100, 1.0) == pytest.approx(0.4621, abs=1e-4), "2 / (1 + exp(-1)) - 1"
    for pieces in (1, 4):
        module, rows = domains(journal=None)
        batch = {"per_device_train_batch_size": 8 // pieces, "gradient_accumulation_steps": pieces}
        _trained(tmp_path / str(pieces), module, rows, max_steps=3, **batch)
        assert module.strength == pytest.approx(strength_at(3, 3, 1.0))


@pytest.mark.parametrize("method", ["dann", "cdan"])
def test_accumulation_changes_nothing(method, tmp_path):
    ends = []
    for pieces in (1, 4):
        module, rows = domains(method, rows=30)  # the last batch of an epoch is short
        batch = {"per_device_train_batch_size": 8 // pieces, "gradient_accumulation_steps": pieces}
        ends.append(_trained(tmp_path / str(pieces), module, rows, **batch).state_dict())
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=2e-4, atol=2e-5, msg=name)


def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(tmp_path, monkeypatch):
    """Weights, critic, its moments, the schedule and the random projections of cdan."""
    monkeypatch.setattr(sys.modules["hf_ssl.training.domain.methods.cdan"], "MOST_INPUTS", 8)
    whole, rows = domains("cdan", inner=TwoLayers(dropout=0.3))
    assert "method.features_map" in whole.state_dict()
    _trained(tmp_path / "whole", whole, rows, max_steps=9, save_strategy="steps", save_steps=5, save_total_limit=None)
    saved = Path("checkpoints") / "checkpoint-5"
    shutil.copytree(tmp_path / "whole" / saved, tmp_path / "part" / saved)
    part, rows = domains("cdan", inner=TwoLayers(dropout=0.3))
    for name, tensor in part.method.named_buffers():
        if name.endswith("map"):
            tensor.zero_()  # another projection than the saved one
    args = options(tmp_path / "part", max_steps=9, save_steps=5, save_strategy="steps", save_total_limit=None)
    train(part, rows, args, tmp_path / "part", resume=True)
    other = part.state_dict()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, other[name]), name


def test_a_point_at_which_the_source_is_lost_is_not_kept():
    """Two classes: a tenth of what is above chance may be lost; the kept point is always the one with the highest judgement."""
    points = [(0.60, 0.5), (0.80, 0.2), (0.79, 0.3), (0.55, 0.69), (0.90, 0.1), (0.88, 0.15)]
    guard = selection.SourceGuard(2)
    judged = [guard.judge(*point) for point in points]
    kept = [points[int(np.argmax(judged[: count + 1]))] for count in range(len(points))]
    assert kept == [points[0], points[1], points[2], points[2], points[4], points[5]]
    assert guard.learned and not selection.SourceGuard(2, [(0.53, 0.6)]).learned
    for cut in range(len(points)):  # a run that goes on judges as the unbroken one
        again = selection.SourceGuard(2, points[:cut])
        assert [again.judge(*point) for point in points[cut:]] == judged[cut:]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    found = {}
    for world in (1, 2):
        folder = tmp_path / str(world)
        folder.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"] if world > 1 else []
        path = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [sys.executable, *launcher, domain_process.__file__, str(folder), *METHODS], capture_output=True, text=True, timeout=250,
            check=False, env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found[world] = torch.load(folder / "end.pt", weights_only=True)
        assert found[world]["world"] == world
    for method, weights in found[1]["weights"].items():
        for name, tensor in weights.items():
            other = found[2]["weights"][method][name]
            torch.testing.assert_close(tensor, other, rtol=1e-3, atol=1e-4, msg=f"{method} {name}")


@pytest.mark.parametrize("method", METHODS)
def test_bf16_autocast(method, tmp_path):
    module, rows = domains(method)
    _trained(tmp_path, module, rows, bf16=True)
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())
    batch = module.collate([rows[index] for index in range(8)])
    module.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert module(**batch).loss.dtype == torch.float32


def test_nothing_trained_below_the_head_is_an_error(tmp_path):
    module, rows = domains()
    module.inner.model[0].requires_grad_(False)
    with pytest.raises(ConfigError, match="--peft lora or full"):
        module.train()(**module.collate([rows[0], rows[1]]))


def test_a_batch_of_one_row_is_finite(tmp_path):
    for method in METHODS:
        module, rows = domains(method, rows=9)
        _trained(tmp_path / method, module, rows, per_device_train_batch_size=1, max_steps=9)
        assert all(tensor.isfinite().all() for tensor in module.state_dict().values()), method


def test_the_critic_is_no_parameter_of_the_trainer():
    module, _ = domains()
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    assert trained and all(name.startswith("inner.") for name in trained)
    assert any(name.startswith("method.critic.layers") for name in module.state_dict()), "but it is in checkpoints"


def test_every_batch_has_as_many_rows_of_each_domain():
    """Four domains, two of them with labels; a pool smaller than the labeled rows comes again, evenly."""
    labeled = numbers(12, 0, seed=0)
    others = {number: numbers(size, number, seed=number) for number, size in ((0, 9), (1, 7), (2, 3), (3, 20))}
    rows = DomainRows(Labeled(labeled), [0, 1] * 6, others, seed=3)
    module, _ = domains(count=4)
    batch = module.collate([rows[index] for index in (0, 1, 2, 5, 7)])
    assert Counter(batch["domains"].tolist()) == {0: 5, 1: 5, 2: 5, 3: 5}
    assert len(batch["company_inputs"]) == 15 and "company_labels" not in batch and len(batch["labels"]) == 5

    def of_small(epoch: int) -> list[float]:
        rows.set_epoch(epoch)
        return [dict(rows[index]["company"])[2]["inputs"][0] for index in range(len(rows))]

    first, again, other = of_small(0), of_small(0), of_small(1)
    assert first == again and first != other
    assert set(Counter(first).values()) == {4}, "three rows for twelve places"


def test_infomax_wants_sure_and_varied_answers():
    sure, same, unsure = np.eye(4)[np.arange(40) % 4], np.eye(4)[np.zeros(40, int)], np.full((40, 4), 0.25)
    assert selection.infomax(sure) == pytest.approx(np.log(4)) and selection.infomax(unsure) == pytest.approx(0)
    assert selection.infomax(same) == pytest.approx(0)


def test_snd_wants_dense_groups():
    rng = np.random.default_rng(0)
    dense = np.eye(3)[np.arange(60) % 3] * 0.94 + 0.02
    loose = rng.dirichlet(np.ones(3), 60)
    assert selection.soft_neighborhood_density(dense) > selection.soft_neighborhood_density(loose)
    with pytest.raises(DataError, match="three or more"):
        selection.soft_neighborhood_density(dense[:2])


def test_importance_weights_find_what_the_target_is_like():
    """Losses differ by region and the target is in one of them: the weighted risk is near the target's, the plain one is not."""
    rng = np.random.default_rng(0)
    source, target = rng.uniform(-1, 1, (600, 1)), rng.uniform(0, 1, (600, 1))
    losses = (source[:, 0] > 0).astype(float)  # 1 where the target is
    weights = selection.importance_weights(source, target)
    assert weights.mean() == pytest.approx(1)
    plain = -losses.mean()
    weighted, dev = selection.importance_weighted(losses, weights), selection.deep_embedded_validation(losses, weights)
    assert abs(weighted + 1) < abs(plain + 1) - 0.15 and abs(dev + 1) < abs(plain + 1)
    same = selection.importance_weights(source[:300], source[300:])
    assert same.std() < 0.5
    with pytest.raises(DataError, match="five or more"):
        selection.importance_weights(source[:3], target)
