"""Advice and label-free measures: planted cases."""

from __future__ import annotations

import numpy as np
import pytest
from planted import one_domain

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.advice import CHOICES, Evidence, advise
from hf_ssl.evaluation.transferability import logme, spectrum_decay

NEAR = {
    "between": "pool and test",
    "distance": 0.05,
    "p_value": 0.6,
    "examples": 900,
    "pool": 20_000,
    "has_labels": True,
}
FAR = {
    "between": "north and south",
    "distance": 1.6,
    "p_value": 0.005,
    "examples": 900,
    "pool": 20_000,
    "has_labels": True,
}


@pytest.mark.parametrize(
    ("evidence", "choice"),
    [
        (NEAR, "task-adaptive"),
        ({**NEAR, "pool": 100}, "as-released"),
        ({**NEAR, "tuned": "its name"}, "as-released"),
        ({**NEAR, "probe": 0.7, "probe_error": 0.01, "baseline_probe": 0.8}, "another-checkpoint"),
        ({**NEAR, "probe": 0.8, "probe_error": 0.01, "baseline_probe": 0.7}, "task-adaptive"),
        (FAR, "domain-adaptive"),
        ({**FAR, "loss_shift": 0.5, "loss_error": 0.05}, "domain-adaptive"),
        ({**FAR, "p_value": 0.4, "distance": 0.2}, "as-released"),
        ({**NEAR, "fertility": 4.0, "unknown": 0.1, "pool": 600}, "task-adaptive"),
        ({**NEAR, "distance": 1.5, "p_value": 0.005}, "domain-adaptive"),
    ],
)
def test_planted_cases(evidence, choice):
    found = advise(Evidence(**evidence))
    assert found.choice == choice, found
    assert found.reasons[choice] and found.doubts and found.choice in found.text()
    assert set(found.reasons) <= set(CHOICES)


def test_adversarial_training_needs_labels_and_domains_apart():
    assert "adversarial" in advise(Evidence(**FAR)).reasons
    assert "adversarial" not in advise(Evidence(**{**FAR, "has_labels": False})).reasons
    assert "adversarial" not in advise(Evidence(**NEAR)).reasons


def test_its_own_uncertainty():
    assert advise(Evidence(**{**NEAR, "p_value": 0.06})).confidence == "low"
    assert advise(Evidence(**{**NEAR, "examples": 40})).confidence == "low"
    assert advise(Evidence(**{**NEAR, "tuned": "x", "pool": 100})).confidence == "high"
    assert any("few" in doubt for doubt in advise(Evidence(**{**NEAR, "examples": 40})).doubts)
    assert any("both sides" in doubt for doubt in advise(Evidence(**NEAR, duplicates=3)).doubts)


def test_identical_domains_are_inside_the_null_in_nearly_all_draws():
    """Forty draws of one distribution: p-values are spread evenly, so few fall below .05; groups as well."""
    found = one_domain(40)
    assert sum(p < 0.05 for p in found) <= 6 and np.mean(found) > 0.3


def test_decay_of_a_power_law():
    rng = np.random.default_rng(0)
    for alpha in (0.5, 1.0, 2.0):
        scale = np.arange(1, 65) ** (-alpha / 2)
        assert spectrum_decay(rng.normal(size=(4000, 64)) * scale) == pytest.approx(alpha, abs=0.15)
    with pytest.raises(DataError, match="20 examples"):
        spectrum_decay(np.ones((3, 9)))


def test_logme_knows_informative_features():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    informative = rng.normal(size=(300, 16))
    informative[:, :3] += 2 * np.eye(3)[labels]
    noise = rng.normal(size=(300, 16))
    good, bad = logme(informative, labels), logme(noise, labels)
    assert good.value > good.floor + 0.15 and abs(bad.value - bad.floor) < 0.05 and good.value > bad.value
    assert logme(informative * 10, labels).value == pytest.approx(good.value, abs=1e-3)
    assert logme(informative + 5, labels).value == pytest.approx(good.value, abs=1e-6)
    with pytest.raises(DataError, match="more examples than dimensions"):
        logme(noise[:10], labels[:10])
    with pytest.raises(DataError, match="two classes"):
        logme(noise, np.zeros(300))
