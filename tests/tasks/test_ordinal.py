"""Grades with an order: the loss, the answer, the measure, and a whole run."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
import transformers

import hf_ssl
import tiny
from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.metrics.metrics import compute
from hf_ssl.modalities.text.text import Text
from hf_ssl.tasks.ordinal import Ordinal, median_grade


def graded(names: list[str], labels: list[int]) -> datasets.Dataset:
    features = datasets.Features({"label": datasets.ClassLabel(names=names)})
    return datasets.Dataset.from_dict({"label": labels}, features=features)


def fitted(names: list[str], order: list[str] | None = None, labels: list[int] | None = None) -> Ordinal:
    task = Ordinal(Ordinal.Config(order=order), Text())
    task.fit_labels(graded(names, labels or list(range(len(names)))))
    return task


def test_loss_is_the_questions_one_by_one():
    """CORAL's sum of K - 1 binary cross-entropies, written out."""
    task = fitted(["0", "1", "2", "3"])
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 1])
    total = 0.0
    for row, label in zip(logits.softmax(-1).tolist(), labels.tolist(), strict=True):
        for k in range(3):
            above = sum(row[k + 1 :])
            total -= np.log(above if label > k else 1 - above)
    loss, terms = task.loss(logits, labels)
    assert terms == 5 and float(loss) == pytest.approx(total, rel=1e-5)
    extreme, _ = task.loss(torch.tensor([[80.0, 0.0, 0.0, -80.0]]), torch.tensor([3]))
    assert torch.isfinite(extreme) and extreme > 100, "sums of logarithms, not the logarithm of a sum that is 0"


def test_two_grades_off_cost_more_than_one():
    task = fitted(["0", "1", "2"])
    sure = torch.tensor([[6.0, 0.0, 0.0]])
    costs = [float(task.loss(sure, torch.tensor([grade]))[0]) for grade in range(3)]
    assert costs[0] < 0.1 < costs[1] < costs[2] - 1


def test_answer_is_the_median():
    chances = np.array([[0.4, 0.25, 0.35], [0.6, 0.2, 0.2], [0.1, 0.3, 0.6], [0.5, 0.0, 0.5]])
    logits = np.log(np.maximum(chances, 1e-12))
    assert median_grade(logits).tolist() == [1, 0, 2, 0]
    for row, grade in zip(chances, median_grade(logits), strict=True):
        errors = [float((row * np.abs(np.arange(3) - k)).sum()) for k in range(3)]
        assert errors[grade] == pytest.approx(min(errors)), "no grade has a smaller expected absolute error"


def test_order_is_of_numbers_or_given():
    assert fitted(["10", "2", "1"], labels=[0, 1, 2]).label_names == ["10", "2", "1"]
    task = fitted(["high", "low", "middle"], ["low", "middle", "high"])
    assert task.label_names == ["low", "middle", "high"] and task.model_options()["id2label"][2] == "high"
    data = graded(["high", "low", "middle"], [0, 1, 2, 0])
    assert task.probe_targets(data).tolist() == task.comparison_references(data).tolist() == [2, 0, 1, 2]
    assert task.collate_labels([{"labels": 0}, {"labels": 1}], {}).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("order", "labels", "message"),
    [
        (None, [0, 1, 2], "order of high, low, middle is not known. Give --order"),
        (["low", "midle", "high"], [0, 1, 2], "every grade of the data once.*Did you mean 'middle'"),
        (["low", "middle"], [0, 1, 2], "every grade of the data once"),
        (["low", "middle", "high"], [1, 1, 1], "all one grade"),
    ],
)
def test_errors_teach(order, labels, message):
    with pytest.raises(DataError, match=message):
        fitted(["high", "low", "middle"], order, labels)


def test_quadratic_kappa_equals_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 200)
    for noise in (0, 1, 3):
        guess = np.clip(truth + rng.integers(-noise, noise + 1, 200), 0, 4)
        wanted = cohen_kappa_score(truth, guess, weights="quadratic")
        assert DECOMPOSABLE["quadratic_kappa"](guess, truth) == pytest.approx(wanted, abs=1e-12)
        assert compute(["quadratic_kappa"], predictions=guess, references=truth)["quadratic_kappa"] == pytest.approx(
            wanted
        )
    assert DECOMPOSABLE["quadratic_kappa"]([2, 2], [2, 2]) == 0.0, "constant on both sides: nothing to agree about"
    with pytest.raises(DataError, match="one grade per item"):
        DECOMPOSABLE["quadratic_kappa"]([[1]], [[1]])


def test_grades_through_the_stages(tmp_path):
    """How many stars a text has is written in it: learned, measured by kappa, compared, and served by a pipeline."""
    data = tmp_path / "data"
    data.mkdir()
    words = {"0": "the river measured a late goal", "1": "a patient ignored the unsigned contract",
             "2": "every lawyer repaired the failing bridge"}  # fmt: skip
    rows = [{"text": f"{words[str(n % 3)]} {n}", "label": str(n % 3)} for n in range(60)]
    for split, part in {"train": rows[:42], "test": rows[42:]}.items():
        datasets.Dataset.from_list(part).to_csv(data / f"{split}.csv")
    start = tiny.write_checkpoint("bert", tmp_path / "start", initializer_range=0.2)
    recipe = {
        "data": str(data), "model": str(start), "output": str(tmp_path / "run"), "task": "ordinal", "label_kind": "class",
        "near_duplicates": False, "validation_fraction": 0.0,
        "finetune": {"peft": "full", "max_steps": 30, "learning_rate": 1e-3, "early_stopping_patience": 0},
        "evaluate": {},
        "compare": {"adapted": str(tmp_path / "run" / "finetune" / "model"), "labels_per_class": [3],
            "num_seeds": 2, "probe_draws": 2, "finetune_arms": False},
    }  # fmt: skip
    results = hf_ssl.run_recipe(recipe)
    found = results["evaluate"].metrics
    assert set(Ordinal.metric_names) <= found.keys() and found["quadratic_kappa"] > 0.9 and found["mae"] < 0.1
    assert results["compare"].metrics["metric"] == "quadratic_kappa"
    served = transformers.pipeline("text-classification", model=str(results["finetune"].path / "model"))
    assert served(words["2"])[0]["label"] == "2"
