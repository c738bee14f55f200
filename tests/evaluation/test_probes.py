"""Probes: they find the signal, see no test labels, choose from the labeled budget, and can be paired."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.probes.counted import CountedTexts
from hf_ssl.evaluation.probes.cross_validated import (
    ProbeScore,
    corrected_standard_error,
    cross_validated_probe,
    paired_difference,
)
from hf_ssl.evaluation.probes.probes import fixed_c, knn_probe, linear_probe, tfidf_probe
from hf_ssl.modalities.text.text import words_of


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """16 labeled digits of each class, and 500 test digits."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = data.data[order].astype(np.float32), data.target[order]
    train = np.concatenate([np.flatnonzero(y[500:] == digit)[:16] + 500 for digit in range(10)])
    return x[train], y[train], x[:500], y[:500]


def test_a_penalty_for_new_groups_is_chosen_on_groups_left_out():
    """Every household has its own way of doing a thing, which tells its own members apart and no others'."""
    rng = np.random.default_rng(0)

    def households(count: int, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, group = np.tile(np.arange(2), 20 * count), np.repeat(np.arange(count), 40) + first
        habits = rng.standard_normal((count, 40))[group - first] * (2 * y - 1)[:, None]
        shared = 0.3 * (2 * y - 1)[:, None] + rng.standard_normal((len(y), 10))
        return np.concatenate([shared, 0.1 * habits + 0.02 * rng.standard_normal(habits.shape)], axis=1), y, group

    x, y, group = households(8, 0)
    test_x, test_y, _ = households(40, 8)
    mixed, apart = linear_probe(x, y, test_x), linear_probe(x, y, test_x, groups=[f"house {g}" for g in group])
    assert "groups kept together" in apart.chosen["selected_by"] and "groups" not in mixed.chosen["selected_by"]
    right = [(probe.predictions == test_y).mean() for probe in (mixed, apart)]
    assert right[1] > right[0] + 0.03
    alone = linear_probe(x, y, test_x, groups=np.where(y == 0, 0, group))  # class 0 in one household: no such folds
    assert alone.chosen == mixed.chosen


def test_linear_and_knn_probe_read_digits(digits):
    x, y, test_x, test_y = digits
    linear, knn = linear_probe(x, y, test_x), knn_probe(x, y, test_x)
    assert (linear.predictions == test_y).mean() > 0.88
    assert (knn.predictions == test_y).mean() > 0.88
    for probe in (linear, knn):
        assert probe.scores.shape == (500, 10)
        np.testing.assert_allclose(probe.scores.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(probe.classes[probe.scores.argmax(axis=1)], probe.predictions)
    assert "cross-validation" in linear.chosen["selected_by"]
    shuffled = np.random.default_rng(0).permutation(y)
    assert (linear_probe(x, shuffled, test_x).predictions == test_y).mean() < 0.25


def test_linear_probe_solves_the_stated_problem(digits):
    """One value of C, rows of equal length: the coefficients scikit-learn finds at tight tolerance."""
    x, y, test_x, _ = digits
    probe = linear_probe(x[::16], y[::16], test_x)  # one example a class: nothing can be chosen
    assert probe.chosen["scaling"] == "l2" and probe.chosen["C"] == fixed_c(64)
    assert "fewer than 2" in probe.chosen["selected_by"]
    unit, test_unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x[::16], test_x))
    exact = LogisticRegression(C=5.0, max_iter=10_000, tol=1e-10).fit(unit.astype(np.float64), y[::16])
    np.testing.assert_allclose(probe.scores, exact.predict_proba(test_unit.astype(np.float64)), atol=5e-3)


def test_selection_avoids_a_bad_penalty(digits):
    x, y, test_x, test_y = digits
    rng = np.random.default_rng(1)
    noisy_x = np.hstack(
        [x / 4, 10 * rng.normal(size=(len(x), 150))]
    )  # large noise columns: "l2" drowns, scaling helps
    noisy_test = np.hstack([test_x / 4, 10 * rng.normal(size=(500, 150))])
    chosen = linear_probe(noisy_x, y, noisy_test)
    assert chosen.chosen["scaling"] == "standard"
    worst = linear_probe(noisy_x, y, noisy_test, c_grid=(1e-9,))
    assert (chosen.predictions == test_y).mean() > (worst.predictions == test_y).mean() + 0.05


def test_probes_see_no_more_than_the_training_part(digits):
    x, y, test_x, _ = digits
    whole = linear_probe(x, y, test_x)
    part = linear_probe(x, y, test_x[:7])
    assert whole.chosen == part.chosen
    np.testing.assert_allclose(whole.scores[:7], part.scores, rtol=1e-5)
    np.testing.assert_allclose(knn_probe(x, y, test_x).scores[:7], knn_probe(x, y, test_x[:7]).scores, rtol=1e-5)


def test_knn_probe_equals_scikit_learn(digits):
    x, y, test_x, _ = digits
    unit, test_unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, test_x))
    oracle = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d**2 / 2) / 0.07))  # d^2 = 2 - 2 cos
    expected = oracle.fit(unit, y).predict_proba(test_unit)
    np.testing.assert_allclose(knn_probe(x, y, test_x, k=7).scores, expected, atol=1e-4)
    assert knn_probe(x[:5], y[[0, 16, 32, 48, 64]], test_x[:3], k=20).chosen["k"] == 5
    by_name = knn_probe(x, np.array([f"digit {label}" for label in y]), test_x)
    assert by_name.predictions[0].startswith("digit ")


def test_multilabel_and_regression(digits):
    x, y, test_x, test_y = digits
    rule = np.array([[d % 2, d > 4, d in (0, 8)] for d in range(10)], int)
    for probe in (linear_probe, knn_probe):
        found = probe(x, rule[y], test_x, problem_type="multi_label_classification")
        assert found.predictions.shape == found.scores.shape == (500, 3)
        assert f1_score(rule[test_y], found.predictions, average="macro") > 0.8
        assert found.scores.min() >= 0 and found.scores.max() <= 1 + 1e-9
    data = load_diabetes()
    for probe in (linear_probe, knn_probe):
        found = probe(data.data[:300], data.target[:300], data.data[300:], problem_type="regression")
        assert found.scores is None
        assert np.corrcoef(found.predictions, data.target[300:])[0, 1] > 0.5


def test_cross_validated_probe_is_paired_and_repeatable(digits):
    x, y, *_ = digits
    blurred = x + 6 * np.random.default_rng(0).normal(size=x.shape)
    sharp, same, dull = (cross_validated_probe(features, y, seed=3) for features in (x, x, blurred))
    np.testing.assert_array_equal(sharp.scores, same.scores)
    assert len(sharp.scores) == 10 and sharp.n_train == 128 and sharp.n_test == 32
    assert paired_difference(sharp, same) == (0.0, 0.0)
    difference, error = paired_difference(dull, sharp)
    assert difference == pytest.approx(sharp.mean - dull.mean) and difference > 2 * error > 0
    for other in (
        cross_validated_probe(x, y, seed=4),
        cross_validated_probe(x, y, seed=3, probe="knn"),
        cross_validated_probe(x, y, seed=3, metric="accuracy"),
        cross_validated_probe(x, (y + 1) % 10, seed=3),
    ):
        with pytest.raises(DataError, match="cannot be paired"):
            paired_difference(sharp, other)


def test_standard_error_by_hand():
    scores = np.array([0.5, 0.7, 0.6, 0.8])
    expected = np.sqrt((1 / 4 + 1 / 3) * np.var(scores, ddof=1))
    assert corrected_standard_error(scores, 75, 25) == pytest.approx(expected)
    assert ProbeScore(scores, 75, 25, "accuracy", "").standard_error == pytest.approx(expected)
    assert np.isnan(corrected_standard_error(scores[:1], 75, 25))


def test_paired_error_covers_no_difference():
    """Two equally good feature sets: |difference| exceeds 2 standard errors rarely (naive errors: far too often)."""
    corrected, naive = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = np.arange(80) % 2
        a, b = (rng.normal(size=(80, 8)) + 0.35 * (2 * y[:, None] - 1) for _ in range(2))
        first, second = (cross_validated_probe(features, y, repeats=4, seed=seed) for features in (a, b))
        difference, error = paired_difference(first, second)
        corrected += abs(difference) > 2 * error
        naive += abs(difference) > 2 * np.std(second.scores - first.scores, ddof=1) / np.sqrt(20)
    assert corrected <= 6 < naive


def test_groups_stay_on_one_side():
    """Each speaker has a fixed label: with groups kept together the speaker cannot be recognized; chance remains."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(30), 8)
    y = (np.arange(30) % 2)[speaker]
    x = rng.normal(size=(30, 16))[speaker] + 0.1 * rng.normal(size=(240, 16))
    leaking = cross_validated_probe(x, y, probe="knn").mean
    honest = cross_validated_probe(x, y, probe="knn", groups=[f"s{number}" for number in speaker]).mean
    assert leaking > 0.95 and honest < 0.7


def test_cross_validation_of_other_problems(digits):
    x, y, *_ = digits
    data = load_diabetes()
    score = cross_validated_probe(data.data, data.target, problem_type="regression")
    assert score.metric == "-mae" and -60 < score.mean < -35, "errors are negated, so that more is better"
    many = np.column_stack([y % 2, y > 4])
    assert cross_validated_probe(x, many, problem_type="multi_label_classification", repeats=1).mean > 0.7
    few = cross_validated_probe(x[::8], y[::8])  # two a class
    assert len(few.scores) == 4, "folds are cut to the smallest class"


def test_counting_once_gives_the_rows_of_a_vectorizer():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["the pump is hot", "the pump is loud", "a valve leaks", "hot valve and unseen word", "no light", "!!"]
    counted = CountedTexts([*texts, "words of other calls"])
    for name, how in (
        ("words", {"token_pattern": None, "tokenizer": words_of}),
        ("characters", {"analyzer": "char", "ngram_range": (1, 4), "lowercase": False}),
    ):
        expected = TfidfVectorizer(sublinear_tf=True, **how).fit(texts[:3] + texts[4:])
        found = counted.tfidf(name, texts[:3], texts[3:], texts[4:])
        for rows, asked in zip(found, (texts[:3], texts[3:]), strict=True):
            reference = expected.transform(asked)
            np.testing.assert_allclose((rows @ rows.T).toarray(), (reference @ reference.T).toarray(), atol=1e-12)
    alone = tfidf_probe(texts[:4], ["a", "a", "b", "b"], texts[4:], ngrams=("words",))
    shared = tfidf_probe(texts[:4], ["a", "a", "b", "b"], texts[4:], ngrams=("words",), counted=counted)
    np.testing.assert_allclose(alone.scores, shared.scores, atol=1e-9)


def test_texts_without_a_word_have_an_answer():
    found = tfidf_probe(["!!", "??", "..", ";;"], ["a", "b", "a", "b"], ["--", "the pump"], ngrams=("words",))
    assert set(found.predictions) <= {"a", "b"}


def test_tfidf_probe_reads_words():
    rng = np.random.default_rng(0)
    topics = [["goal", "match", "team"], ["bread", "oven", "flour"], ["court", "judge", "law"]]
    filler = [f"word{i}" for i in range(50)]

    def texts(labels: np.ndarray) -> list[str]:
        return [" ".join([*rng.choice(topics[c], 2), *rng.choice(filler, 8)]) for c in labels]

    y, test_y = np.arange(30) % 3, np.arange(60) % 3
    train_texts, test_texts = texts(y), texts(test_y)
    probe = tfidf_probe(train_texts, y, test_texts, ngrams=("words",))
    assert (probe.predictions == test_y).mean() > 0.9 and probe.scores.shape == (60, 3)
    assert "cross-validation" in probe.chosen["selected_by"]
    single = tfidf_probe(train_texts[:3], y[:3], test_texts)
    assert "fewer than 2" in single.chosen["selected_by"]

    # The coordinates in the span of the training rows give the model of the full vocabulary.
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    direct = LogisticRegression(C=probe.chosen["C"], max_iter=10_000, tol=1e-8).fit(
        words.fit_transform(train_texts), y
    )
    one = tfidf_probe(train_texts, y, test_texts, c_grid=(probe.chosen["C"],), ngrams=("words",))
    np.testing.assert_allclose(one.scores, direct.predict_proba(words.transform(test_texts)), atol=1e-2)
    np.testing.assert_array_equal(one.predictions, direct.predict(words.transform(test_texts)))


def test_errors_teach(digits):
    x, y, test_x, _ = digits
    with pytest.raises(DataError, match="at least two classes"):
        linear_probe(x, np.zeros(len(x), int), test_x)
    with pytest.raises(DataError, match="one width"):
        linear_probe(x, y, test_x[:, :5])
    with pytest.raises(DataError, match="labels for"):
        knn_probe(x, y[:-1], test_x)
    with pytest.raises(DataError, match="NaN"):
        cross_validated_probe(np.where(x > 15, np.nan, x), y)
    with pytest.raises(DataError, match="do not fit"):
        linear_probe(x, np.eye(10)[y], test_x)
    with pytest.raises(DataError, match="at least 2 labeled examples"):
        cross_validated_probe(x[::16], y[::16])
    with pytest.raises(ConfigError, match="'regression'"):
        linear_probe(x, y, test_x, problem_type="regresion")
    with pytest.raises(ConfigError, match="'knn'"):
        cross_validated_probe(x, y, probe="kn")
    with pytest.raises(ConfigError, match="'f1_macro'"):
        cross_validated_probe(x, y, metric="f1_makro")


def test_speed_at_step_zero():
    rng = np.random.default_rng(0)
    y = np.arange(1280) % 20
    x = rng.normal(size=(20, 384))[y] * 0.4 + rng.normal(size=(1280, 384))
    start = time.perf_counter()
    assert cross_validated_probe(x, y).mean > 0.9
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("C[C@H](N)C", "C[C@@H](N)C"),
        ("see you {0} \U0001f600", "see you {0} \U0001f621"),
        ("if x{0} == 1:", "if x{0} != 1:"),
    ],
)
def test_the_baseline_sees_symbols_where_words_do_not_tell(first: str, second: str) -> None:
    texts = [kind.format(n) + " " + "C" * (n % 7) for n in range(40) for kind in (first, second)]
    y = np.tile([0, 1], 40)
    found = tfidf_probe(texts[:40], y[:40], texts[40:])
    assert (found.predictions == y[40:]).mean() == 1.0


def test_the_baseline_keeps_to_words_where_they_tell() -> None:
    texts = [f"{'good' if n % 2 else 'bad'} thing number {n}" for n in range(40)]
    found = tfidf_probe(texts[:20], np.arange(20) % 2, texts[20:])
    assert found.chosen["ngrams"] == "words" and (found.predictions == np.arange(20) % 2).all()


def _symbols() -> dict[str, tuple[list[str], np.ndarray]]:
    """Texts whose class stands in runs of characters: no blank, or no letter, sets what tells classes apart off."""
    draw = np.random.default_rng(0)

    def made(letters: str, signs: tuple[str, str], form: str = "{}{}{}") -> tuple[list[str], np.ndarray]:
        texts, classes = [], np.arange(80) % 2
        for kind in classes:
            before, after = ("".join(draw.choice(list(letters), draw.integers(4, 12))) for _ in range(2))
            texts.append(form.format(before, signs[kind], after))
        return texts, classes

    return {
        "Thai": made("กขคงจชซญดตถทนบปผพมยรลวสห", ("ดีมาก", "แย่จัง")),
        "Chinese": made("的一是不了在人有我他这中大来上国", ("很好吃", "太难吃")),
        "Japanese": made("のにはをたがでてとしれさいるなか", ("おいしい", "まずいよ")),
        "SMILES": made("CcNO1=", ("[C@H](N)", "[C@@H](N)")),
        "source code": made("abcxyz", ("+=1;", "-=1;"), "for({}i=0;i{}n){};"),
    }


@pytest.mark.parametrize("kind", _symbols())
def test_scripts_without_words_are_told_apart_by_characters(kind: str) -> None:
    texts, y = _symbols()[kind]
    found = tfidf_probe(texts[:40], y[:40], texts[40:])
    assert found.chosen["ngrams"] == "characters" and (found.predictions == y[40:]).mean() >= 0.9
    words = tfidf_probe(texts[:40], y[:40], texts[40:], ngrams=("words",))
    assert (words.predictions == y[40:]).mean() < (found.predictions == y[40:]).mean()
