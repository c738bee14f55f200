"""Error rates and the equal error rate, against brute force and known cases."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.comparison.resampling import make_resampler
from hf_ssl.evaluation.metrics import metrics, speech


def test_error_rates_are_those_of_the_corpus_not_the_mean_of_sentences():
    found, wanted = ["the cat sat", "hello"], ["The cat sat down.", "Hullo!"]
    scores = metrics.compute(("wer_plain", "cer_plain", "wer"), predictions=found, references=wanted)
    assert scores["wer_plain"] == pytest.approx((1 + 1) / (4 + 1))
    assert scores["cer_plain"] == pytest.approx((5 + 1) / (len("the cat sat down") + 5))
    assert scores["wer"] == pytest.approx((2 + 1) / (4 + 1)), "The and the, down. and nothing, Hullo! and hello"
    assert metrics.compute(("wer",), predictions=wanted, references=wanted)["wer"] == 0
    assert metrics.compute(("wer",), predictions=["a b c d"], references=["x"])["wer"] == 4, "more than 1 is possible"
    assert metrics.compute(("cer",), predictions=["sitting"], references=["kitten"])["cer"] == pytest.approx(3 / 6)


@pytest.mark.parametrize(
    ("name", "found", "wanted", "same"),
    [
        ("wer", "the cat", "The cat.", False),
        ("wer", " the  cat", "the cat", True),
        ("wer_plain", "the cat", "The cat.", True),
        ("wer_plain", "don't", "dont", False),
        ("wer_plain", "cafe\u0301", "caf\u00e9", True),
        ("wer_plain", "\u0915\u093f", "\u0915", False),
        ("wer_basic", "the cat [laughs]", "The cat.", True),
    ],
)
def test_a_name_says_what_is_not_counted(name: str, found: str, wanted: str, same: bool) -> None:
    assert (metrics.compute((name,), predictions=[found], references=[wanted])[name] == 0) == same
    with pytest.raises(ConfigError, match="wer_plain"):
        metrics.metric("wer_plane")


def test_text_is_compared_without_case_punctuation_and_composition():
    assert speech.plain("  Cafe\u0301, s'il  vous PLAÎT!") == "café s'il vous plaît"
    assert speech.plain("機器 學習。") == "機器 學習"


def test_error_rates_are_compared_pairwise_with_an_interval():
    rng = random.Random(1)
    wanted = [" ".join(rng.choices(["red", "green", "blue"], k=6)) for _ in range(60)]
    worse = [" ".join("red" if rng.random() < 0.5 else word for word in text.split()) for text in wanted]
    resampler = make_resampler("wer", [worse], [wanted], wanted)
    a, b = resampler.scores()
    replicates = resampler.bootstrap(np.random.default_rng(0), 500)
    assert b[0] == 0 < a[0] and np.quantile(replicates, 0.975) < 0


def brute_eer(scores: np.ndarray, same: np.ndarray) -> float:
    """Between the two thresholds where acceptance of different pairs falls below refusal of same ones."""
    points = []
    for threshold in [-np.inf, *np.unique(scores)]:
        refused, accepted = (scores[same == 1] <= threshold).mean(), (scores[same == 0] > threshold).mean()
        points.append((refused, accepted))
    for (r0, a0), (r1, a1) in zip(points, points[1:], strict=False):
        if r1 >= a1:
            share = (a0 - r0) / ((a0 - r0) + (r1 - a1)) if r1 != a1 else 1.0
            return r0 + share * (r1 - r0)
    raise AssertionError


def test_equal_error_rate_equals_brute_force_and_knows_its_extremes():
    rng = np.random.default_rng(0)
    for _ in range(50):
        same = rng.integers(0, 2, 30)
        same[:2] = 0, 1
        scores = rng.normal(size=30) + 1.5 * same
        if rng.random() < 0.5:
            scores = scores.round()  # ties
        assert speech.equal_error_rate(scores, same) == pytest.approx(brute_eer(scores, same))
    assert speech.equal_error_rate([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) == 0
    assert speech.equal_error_rate([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]) == 1
    assert speech.equal_error_rate([0.5] * 10, [0, 1] * 5) == pytest.approx(0.5)


def test_undefined_and_wrong_inputs_are_said():
    with pytest.warns(UserWarning, match="pairs of both kinds"):
        assert np.isnan(speech.equal_error_rate([0.1, 0.2], [1, 1]))
    with pytest.raises(DataError, match="0 .different. or 1"):
        speech.equal_error_rate([0.1, 0.2], [0, 2])
    with pytest.raises(DataError, match="must be strings"):
        speech.error_rows([1], [2], words=True)
    assert np.isnan(speech.rate(np.array([3.0, 0.0])))


def test_trials_are_all_pairs_or_a_fixed_part_of_them():
    vectors, names = np.random.default_rng(0).normal(size=(20, 4)), [i % 5 for i in range(20)]
    scores, same = speech.trials(vectors, names)
    assert len(scores) == 190 and same.sum() == 5 * 6 and np.abs(scores).max() <= 1 + 1e-9
    part, _ = speech.trials(vectors, names, limit=50)
    again, _ = speech.trials(vectors, names, limit=50)
    assert len(part) == 50 and np.array_equal(part, again)
