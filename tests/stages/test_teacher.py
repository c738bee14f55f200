"""Two views that teach each other, and fine-tuning on what they believe of the pool."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from hf_ssl.modalities.base import Modality
from hf_ssl.stages.teacher import soft_labels
from hf_ssl.tasks.classification import Classification
from hf_ssl.training import self_training
from hf_ssl.training.self_training import Pool, co_train

CLASSES = 4


class Planted(Modality):
    """Numbers of examples; the second view is looked up."""

    name, column, baseline = "planted", "number", "planted"

    def __init__(self, second: np.ndarray) -> None:
        super().__init__()
        self.second = second

    def baseline_features(self, values):
        return self.second[np.asarray(values)]

    def content_key(self, value):
        return str(value)

    @classmethod
    def encoder_class(cls):
        raise AssertionError("labels for the pool need no model")


def planted(noise: float, seed: int = 0, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two noisy views of the same classes with independent noise, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    views = [rng.normal(size=(CLASSES, 20))[labels] + noise * rng.normal(size=(count, 20)) for _ in range(2)]
    return views[0], views[1], labels


def dataset(rows: np.ndarray, labels: np.ndarray | None = None) -> datasets.Dataset:
    columns = {"number": rows.tolist(), "id": [f"id{row}" for row in rows]}
    return datasets.Dataset.from_dict(columns if labels is None else {**columns, "label": labels.tolist()})


def teach(first, second, labels, per_class: int):
    known = np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in range(CLASSES)])
    pool = Pool(dataset(np.arange(len(labels))), "number", lambda values: first[np.asarray(values)])
    split = dataset(known, labels[known])
    return soft_labels(Planted(second), pool, split, labels[known], CLASSES, 0), known


def test_two_views_teach_each_other_more_than_the_labels_did():
    first, second, labels = planted(noise=1.5)
    known = np.concatenate([np.flatnonzero(labels == c)[:3] for c in range(CLASSES)])
    rest = np.setdiff1d(np.arange(len(labels)), known)
    kernels = [self_training.similarities(first), self_training.similarities(second)]
    plain, taught = co_train(kernels, known, rest, np.eye(CLASSES)[labels[known]], rest)
    right = [(scores.argmax(1) == labels[rest]).mean() for scores in (plain, taught)]
    assert right[1] > right[0] + 0.1


def test_soft_labels_leave_labeled_examples_out_and_sum_to_one():
    first, second, labels = planted(noise=1.0)
    found, known = teach(first, second, labels, per_class=4)
    assert set(found.examples["number"]).isdisjoint(known.tolist())
    assert len(found.examples) == len(labels) - len(known)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    truth = labels[np.asarray(found.examples["number"])]
    assert (found.probabilities.argmax(1) == truth).mean() > 0.8
    assert "two views" in found.note and "cross-validation" in found.note


def test_a_pool_that_misleads_is_left_out():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % CLASSES
    first = rng.normal(size=(CLASSES, 20))[labels] + 1.5 * rng.normal(size=(400, 20))
    # Strong clusters that have nothing to do with the classes: the second view agrees with itself, not with the labels.
    wrong = rng.permutation(400) % CLASSES
    second = 20 * rng.normal(size=(CLASSES, 20))[wrong] + 0.1 * rng.normal(size=(400, 20))
    found, _ = teach(first, second, labels, per_class=10)
    assert found.examples is None and found.probabilities is None
    assert "left out" in found.note


def test_one_label_per_class_cannot_be_cross_validated_and_says_so():
    first, second, labels = planted(noise=0.5)
    found, _ = teach(first, second, labels, per_class=1)
    assert found.probabilities is not None and "too few labels" in found.note


def test_leaving_one_out_in_closed_form_is_leaving_one_out():
    first, _, labels = planted(noise=2.0, count=40)
    kernel, targets, known = self_training.similarities(first), np.eye(CLASSES)[labels], np.arange(40)
    right = {}
    for penalty in self_training.PENALTIES:
        held = [
            self_training.kernel_ridge(
                kernel, np.delete(known, i), np.delete(targets, i, 0), np.full(39, penalty), np.array([i])
            ).argmax()
            for i in known
        ]
        right[penalty] = (np.array(held) == labels).mean()
    chosen = self_training.best_penalty(kernel, known, targets)
    assert right[chosen[0]] == max(right.values()) and (chosen == chosen[0]).all()


@pytest.mark.parametrize(
    "options",
    [{}, {"label_smoothing": 0.1}, {"class_weight": "balanced"}, {"focal_gamma": 2.0}],
    ids=lambda o: next(iter(o), "plain"),
)
def test_one_hot_soft_labels_give_the_loss_of_labels(options):
    task = Classification(Classification.Config(**options), Planted(np.zeros((1, 1))))
    labels = torch.tensor([0, 1, 2, 2, 2, 0])
    features = datasets.Features({"label": datasets.ClassLabel(names=["a", "b", "c"])})
    task.fit_labels(datasets.Dataset.from_dict({"label": labels.tolist()}, features=features))
    logits = torch.randn(6, 3)
    wanted, _ = task.loss(logits, labels)
    torch.testing.assert_close(task.soft_loss(logits, torch.eye(3)[labels]), wanted)


def test_vectors_are_computed_once():
    asked: list[int] = []

    def embed(values):
        asked.extend(values)
        return np.asarray(values, dtype=np.float32)[:, None]

    pool = Pool(dataset(np.arange(10)), "number", embed)
    assert pool.vectors(dataset(np.array([3, 1]))).ravel().tolist() == [3, 1]
    assert pool.vectors(dataset(np.arange(4))).ravel().tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [0, 1, 2, 3]


def test_a_pool_of_nothing_but_the_labeled_examples_takes_no_part():
    first, second, labels = planted(0.5, count=40)
    found, _ = teach(first, second, labels, per_class=10)
    assert found.examples is None and "nothing but the labeled" in found.note
