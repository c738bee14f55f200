"""Health numbers: known values, planted collapse, and no false alarm on healthy features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.gap import proxy_a_distance
from hf_ssl.evaluation.monitor.health import (
    alignment,
    collapsed,
    cosine_drift,
    effective_rank,
    feature_std,
    health,
    linear_cka,
    uniformity,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rotation(rng: np.random.Generator, d: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def test_feature_std_of_isotropic_features_is_one_over_root_d(rng):
    for d in (8, 64, 512):
        assert feature_std(rng.normal(size=(2000, d))) == pytest.approx(1 / np.sqrt(d), rel=0.05)
    assert feature_std(np.ones((10, 8))) == pytest.approx(0, abs=1e-12)


def test_effective_rank_known_values(rng):
    # Columns of equal length and zero mean: k equal singular values.
    orthogonal = np.linalg.qr(np.column_stack([np.ones(64), rng.normal(size=(64, 12))]))[0][:, 1:]
    assert effective_rank(orthogonal) == pytest.approx(12)
    assert effective_rank(orthogonal[:, :5] @ rotation(rng, 12)[:5]) == pytest.approx(5)
    # Singular values 3 and 1: exp(H(3/4, 1/4)).
    assert effective_rank(orthogonal[:, :2] * [3, 1]) == pytest.approx(4 / 3**0.75)
    x = rng.normal(size=(256, 384))
    assert effective_rank(x) == pytest.approx(228.5, rel=0.02)  # as measured elsewhere for this size
    assert effective_rank(x + 5) == pytest.approx(effective_rank(x), rel=1e-6), "an offset must not matter"
    assert effective_rank(1e-8 * x) == pytest.approx(effective_rank(x), rel=1e-6), "scale must not matter"
    assert effective_rank(np.full((10, 4), 0.1)) == 0


def test_uniformity_and_alignment_by_hand(rng):
    pair = np.array([[1.0, 0.0], [0.0, 2.0]])  # unit rows at squared distance 2
    assert uniformity(pair) == pytest.approx(-4)
    assert uniformity(np.ones((5, 3))) == pytest.approx(0, abs=1e-9)
    assert alignment(pair, pair * 7) == pytest.approx(0)
    assert alignment(pair, pair[::-1]) == pytest.approx(2)
    with pytest.raises(DataError):
        alignment(pair, np.ones((3, 2)))


def test_drift_and_cka(rng):
    x = rng.normal(size=(300, 20))
    assert cosine_drift(x, 3 * x) == pytest.approx(0)
    assert cosine_drift(x, -x) == pytest.approx(2)
    assert linear_cka(x, 2 * x @ rotation(rng, 20) + 1) == pytest.approx(1)
    assert cosine_drift(x, x @ rotation(rng, 20)) > 0.5, "cosine drift sees the rotation that CKA ignores"
    assert linear_cka(x, rng.normal(size=(300, 20))) < 0.15
    a, b = x - x.mean(0), (y := x**3) - y.mean(0)
    centered = np.trace(a @ a.T @ b @ b.T) / (np.linalg.norm(a @ a.T) * np.linalg.norm(b @ b.T))
    assert linear_cka(x, y) == pytest.approx(centered), "feature form equals kernel form"
    with pytest.raises(DataError, match="same examples"):
        cosine_drift(x, x[:-1])


@pytest.mark.parametrize(("n", "d"), [(4, 2), (8, 4), (16, 384), (30, 2), (30, 3), (64, 64), (256, 32), (1000, 384)])
def test_no_false_alarm_on_healthy_features(n, d):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, d))
        start = health(x)
        assert collapsed(start) is None
        for moved in (x @ rotation(rng, d), 0.01 * x, x + rng.normal(size=(n, d)), x + 2):
            assert collapsed(health(moved, x), start) is None
    if d > 30:  # anisotropic spectra, as real encoders have
        skewed = x * (1 / np.arange(1, d + 1) ** 0.5)
        assert collapsed(health(skewed), health(skewed)) is None


def test_no_false_alarm_on_real_data():
    digits = load_digits().data
    assert collapsed(health(digits)) is None
    assert health(digits)["examples"] == 1000, "the number of rows is capped, so that ranks can be compared"


def test_planted_collapse_is_named(rng):
    x = rng.normal(size=(500, 128))
    start = health(x)
    line = np.outer(rng.normal(size=500), rng.normal(size=128))
    planted = {
        "constant": [np.full((500, 128), 3.0), np.zeros((500, 128)), 3 + 1e-3 * x],
        "Dimensions collapsed": [line, line + 1e-3 * x, x[:, :2] @ rng.normal(size=(2, 128))],
    }
    for word, cases in planted.items():
        for features in cases:
            assert word in collapsed(health(features)), "without knowing the start"
            assert word in collapsed(health(features), start)
    narrow = health(x[:, :5] @ rng.normal(size=(5, 128)))
    assert collapsed(narrow) is None and "Effective rank fell" in collapsed(narrow, start)
    assert "spread fell" in collapsed(health(0.05 * x + 1), start)


def test_a_poor_start_is_only_compared_with():
    """A masked autoencoder from random weights goes from rank 5 through 2.7 to 9 while its probe rises (small-mae, Fashion-MNIST)."""
    usual = {"nonfinite": 0.0, "feature_spread": 1.0, "effective_rank_bound": 128.0, "examples": 512.0}
    start, passing, gone = ({**usual, "effective_rank": rank} for rank in (5.2, 2.7, 1.2))
    assert "Dimensions collapsed" in collapsed(passing), "without knowing the start"
    assert collapsed(passing, start) is None
    assert "Effective rank fell" in collapsed(gone, start)
    assert "Dimensions collapsed" in collapsed(passing, {**usual, "effective_rank": 7.0})


def test_bad_values_are_reported_not_raised(rng):
    x = rng.normal(size=(50, 8))
    for bad in (np.nan, np.inf):
        broken = x.copy()
        broken[3, 2] = bad
        report = health(broken, x, positives=x)
        assert report["nonfinite"] == pytest.approx(1 / 400)
        assert np.isnan(report["effective_rank"]) and np.isnan(report["cosine_drift"])
        assert "NaN or infinite" in collapsed(report)
        assert collapsed(health(x), health(broken)) is None, "a broken start cannot be compared with"


def test_report_and_its_errors(rng):
    x = rng.normal(size=(50, 8)).astype(np.float32)
    report = health(x, x, positives=x)
    assert {"cosine_drift", "linear_cka", "alignment", "uniformity"} <= set(report)
    assert report["cosine_drift"] == pytest.approx(0, abs=1e-9) and report["linear_cka"] == pytest.approx(1)
    assert all(type(value) is float for value in report.values())
    with pytest.raises(DataError, match="same examples"):
        collapsed(health(x), health(x[:20]))
    with pytest.raises(DataError, match="shape"):
        health(x[:1])
    with pytest.raises(DataError, match="shape"):
        health(x[:, 0])


def test_domain_gap_is_zero_without_a_gap(rng):
    distances = []
    for n, m, d in ((200, 200, 384), (300, 60, 128), (50, 50, 32)):
        gap = proxy_a_distance(rng.normal(size=(n, d)), rng.normal(size=(m, d)))
        distances.append(gap.distance)
        assert abs(gap.null_mean) < 0.15 and gap.p_value > 0.01
    assert abs(np.mean(distances)) < 0.3, "fitted and scored on the same items this would be near 2"


def test_domain_gap_is_seen(rng):
    gap = proxy_a_distance(rng.normal(size=(200, 50)), rng.normal(size=(150, 50)) + 1)
    assert gap.distance > 1.9 and gap.p_value < 0.01 and gap.null_high < 0.7
    small = proxy_a_distance(rng.normal(size=(400, 50)), rng.normal(size=(100, 50)) + 0.15)
    assert 0.3 < small.distance < 1.9 and small.p_value < 0.05
    assert small.distance == pytest.approx(2 * (1 - 2 * small.balanced_error))


def test_domain_gap_keeps_groups_together(rng):
    def crops() -> tuple[np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(30), 20)
        return rng.normal(size=(30, 64))[groups] + 0.1 * rng.normal(size=(600, 64)), groups

    (a, a_groups), (b, b_groups) = crops(), crops()
    assert proxy_a_distance(a, b, n_permutations=20).distance > 1.2, "the trap: crops of one photograph on both sides"
    gap = proxy_a_distance(a, b, source_groups=a_groups, target_groups=b_groups)
    assert gap.p_value > 0.02 and gap.distance < 0.8
    with pytest.raises(DataError, match="fewer than 5 groups"):
        proxy_a_distance(a, b, source_groups=a_groups // 10, target_groups=b_groups)
    with pytest.raises(DataError, match="one width"):
        proxy_a_distance(a, b[:, :3])
