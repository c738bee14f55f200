"""The head that fine-tuning starts from."""

from __future__ import annotations

import numpy as np
import pytest
from contract_image import Kind
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from hf_ssl.evaluation.probes.probes import fixed_c
from hf_ssl.tasks.base import TaskModule, TaskRows
from hf_ssl.tasks.classification import Classification
from hf_ssl.tasks.heads import fit_head, softmax


@pytest.mark.parametrize("classes", [2, 10])
def test_it_answers_as_logistic_regression_does(classes):
    x, y = load_digits(n_class=classes, return_X_y=True)
    weight, bias, note = fit_head(x[:120], y[:120], classes)
    spread = x[:120].std(0).mean()
    model = LogisticRegression(C=fixed_c(64), max_iter=500).fit((x[:120] - x[:120].mean(0)) / spread, y[:120])
    found = softmax(x[120:] @ weight.T + bias)
    np.testing.assert_allclose(found, model.predict_proba((x[120:] - x[:120].mean(0)) / spread), atol=1e-4)
    assert "120 frozen examples" in note


def test_a_class_without_examples_is_not_guessed():
    x, y = load_digits(n_class=3, return_X_y=True)
    weight, bias, _ = fit_head(x[:90], y[:90], 5)
    assert set((x @ weight.T + bias).argmax(1)) <= {0, 1, 2}


def test_more_features_than_examples_leave_something_to_learn():
    """With C = 1, as it was, the loss was .002 and fine-tuning stood still."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 10
    x = rng.standard_normal((200, 1280)) + 0.2 * np.eye(10, 1280)[y]
    weight, bias, _ = fit_head(x, y, 10)
    chances = softmax(x @ weight.T + bias)[np.arange(200), y]
    assert 0.1 < -np.log(chances).mean() < np.log(10)


def test_features_that_hardly_differ_do_not_make_a_head_that_a_small_change_throws_over():
    """A network with random weights gives such features; the loss was about 120 after the first step."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = 1.0 + 1e-4 * rng.standard_normal((60, 32))
    weight, bias, _ = fit_head(x, y, 3)
    moved = softmax((x + 0.01 * rng.standard_normal((1, 32))) @ weight.T + bias)
    assert -np.log(moved[np.arange(60), y]).mean() < 2.0


def test_two_heads_whose_answers_are_averaged_start_as_they_are(tiny_checkpoint):
    """A distilled DeiT: a classifier on the class token and one on the distillation token."""
    kind = Kind()
    task, data = Classification(Classification.Config(), kind.modality), kind.labeled("classification")
    task.fit_labels(data)
    folder = str(tiny_checkpoint("deit"))
    for name, note in (
        ("DeiTForImageClassificationWithTeacher", None),
        ("DeiTForImageClassification", "head starts from"),
    ):
        module = TaskModule(kind.modality.load(folder, name, **task.model_options()), task)
        said = task.warm_start(module, TaskRows(task.encode(module.encoder, data)))
        assert said is None if note is None else note in str(said)
