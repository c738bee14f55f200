"""Paired statistics and the comparison table: against naive loops, known p values, coverage, and planted effects."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.comparison.paired import (
    bootstrap_interval,
    holm,
    mcnemar_exact,
    paired_bootstrap,
    paired_bootstrap_draws,
    spread,
)
from hf_ssl.evaluation.comparison.resampling import (
    AdditiveResampler,
    CorrelationResampler,
    LoopResampler,
    make_resampler,
    weighted_correlation,
    weighted_ranks,
)
from hf_ssl.evaluation.comparison.results import ResultRow
from hf_ssl.evaluation.comparison.table import compare_arms
from hf_ssl.evaluation.comparison.verdict import KEPT, draw_interval, minimum_detectable, verdict
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.metrics.ranking import SCORES


def classifier(rng: np.random.Generator, references: np.ndarray, accuracy: float, classes: int) -> np.ndarray:
    return np.where(rng.random(len(references)) < accuracy, references, rng.integers(0, classes, len(references)))


@pytest.fixture
def three_classes():
    rng = np.random.default_rng(0)
    references = rng.choice(3, 200, p=[0.7, 0.2, 0.1])
    a = classifier(rng, references, 0.5, 3)
    return references, a, np.where(rng.random(200) < 0.15, references, a)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "f1_weighted", "matthews_correlation", "rmse"])
def test_matrix_bootstrap_equals_the_loop(three_classes, name, grouped):
    """Same random numbers, so replicate by replicate the same differences as calling the metric on resampled items."""
    references, a, b = three_classes
    groups = np.arange(200) // 7 if grouped else None
    fast = make_resampler(name, [a, b], [b, b], references, groups)
    unit_of = groups if grouped else np.arange(200)
    slow = LoopResampler(DECOMPOSABLE[name], [a, b], [b, b], references, unit_of)
    assert isinstance(fast, AdditiveResampler)
    for method in ("bootstrap", "permute"):
        ours = getattr(fast, method)(np.random.default_rng(1), 50)
        loop = [getattr(slow, method)(np.random.default_rng(1), 1)[0]]
        np.testing.assert_allclose(ours[0], loop[0], atol=1e-12)
        if not grouped:  # the loop draws row by row, the matrix path all rows at once: the same stream
            np.testing.assert_allclose(ours, getattr(slow, method)(np.random.default_rng(1), 50), atol=1e-12)
    for ours, oracle in zip(fast.scores(), slow.scores(), strict=True):
        np.testing.assert_allclose(ours, oracle, atol=1e-12)


def test_macro_f1_bootstrap_equals_scikit_learn(three_classes):
    references, a, b = three_classes
    replicates = make_resampler("f1_macro", [a], [b], references).bootstrap(np.random.default_rng(5), 40)
    rng = np.random.default_rng(5)
    for value in replicates:
        items = rng.integers(0, 200, 200)
        scores = [sk.f1_score(references[items], p[items], average="macro") for p in (a, b)]
        assert value == pytest.approx(scores[1] - scores[0], abs=1e-12)


def test_pairing_narrows_the_interval(three_classes):
    references, a, b = three_classes
    paired = paired_bootstrap("accuracy", a, b, references)
    assert paired.low <= paired.difference <= paired.high
    assert paired.difference == pytest.approx((b == references).mean() - (a == references).mean())
    unpaired = np.sqrt(sum((p == references).var() / 200 for p in (a, b)))
    assert paired.standard_error < 0.6 * unpaired
    exact = np.std((b == references) * 1.0 - (a == references)) / np.sqrt(200)
    assert paired.standard_error == pytest.approx(exact, rel=0.08)


def test_interval_covers_the_truth():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        references = rng.integers(0, 2, 300)
        a, b = (np.where(rng.random(300) < accuracy, references, 1 - references) for accuracy in (0.7, 0.8))
        found = paired_bootstrap("accuracy", a, b, references, n_resamples=400, seed=seed)
        covered += found.low <= 0.1 <= found.high
    assert 88 <= covered <= 99


def test_groups_widen_the_interval():
    """Twenty copies of each of 30 patients hold no more information than the 30 patients."""
    rng = np.random.default_rng(0)
    references = rng.integers(0, 2, 30)
    a, b = (np.where(rng.random(30) < accuracy, references, 1 - references) for accuracy in (0.6, 0.8))
    copies = np.repeat(np.arange(30), 20)
    alone = paired_bootstrap("accuracy", a, b, references)
    naive = paired_bootstrap("accuracy", a[copies], b[copies], references[copies])
    grouped = paired_bootstrap("accuracy", a[copies], b[copies], references[copies], copies)
    assert grouped.units == 30 and grouped.items == 600
    assert grouped.standard_error == pytest.approx(alone.standard_error, rel=0.1)
    assert naive.standard_error < 0.4 * alone.standard_error and naive.p_value < 1e-6
    assert grouped.p_value == pytest.approx(alone.p_value, abs=0.06)
    assert grouped.test == "paired permutation" and alone.test == "exact McNemar"


def test_mcnemar_by_hand():
    references = np.zeros(30, int)
    a, b = np.zeros((2, 30), int)
    a[:9], b[9:11] = 1, 1  # b alone right on 9 items, a alone on 2
    expected = 2 * sum(stats.binom.pmf(k, 11, 0.5) for k in range(3))
    assert mcnemar_exact(a, b, references) == pytest.approx(expected)
    assert mcnemar_exact(a, a, references) == 1.0
    assert paired_bootstrap("accuracy", a, b, references).p_value == pytest.approx(expected)


def test_permutation_agrees_with_mcnemar_and_is_valid(three_classes):
    references = np.zeros(60, int)
    a, b = np.zeros((2, 60), int)
    a[:12], b[12:16] = 1, 1
    by_hand = mcnemar_exact(a, b, references)
    found = paired_bootstrap(
        "f1_micro", a, b, references, n_resamples=20_000
    ).p_value  # of one label each, it is accuracy
    assert found == pytest.approx(by_hand, rel=0.15)
    rejected = 0
    for seed in range(200):  # two equally good models
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, 120)
        p, q = (classifier(rng, truth, 0.5, 3) for _ in range(2))
        rejected += paired_bootstrap("f1_macro", p, q, truth, n_resamples=200, seed=seed).p_value <= 0.05
    assert 2 <= rejected <= 20
    references, a, b = three_classes
    assert paired_bootstrap("f1_macro", a, a, references).p_value == 1.0
    assert 1 / 2001 <= paired_bootstrap("f1_macro", a, b, references).p_value < 0.01


def test_holm():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    np.testing.assert_allclose(holm([0.02]), [0.02])


def test_other_metrics_and_functions():
    rng = np.random.default_rng(0)
    references = rng.integers(0, 2, 120)
    weak, strong = (references + noise * rng.normal(size=120) for noise in (3, 0.7))
    area = paired_bootstrap("roc_auc", weak, strong, references, n_resamples=200)
    assert area.difference == pytest.approx(sk.roc_auc_score(references, strong) - sk.roc_auc_score(references, weak))
    assert 0 < area.low < area.high and area.p_value < 0.05
    error = paired_bootstrap("mae", weak, strong, references.astype(float))
    assert error.difference < 0 and not error.higher_is_better and verdict(error).word == "helped"
    median = paired_bootstrap(
        lambda p, r: float(np.median(np.abs(p - r))), weak, strong, references, n_resamples=200, higher_is_better=False
    )
    assert verdict(median).word == "helped"
    labels = rng.integers(0, 2, (120, 3))
    noisy = np.where(rng.random((120, 3)) < 0.3, 1 - labels, labels)
    many = paired_bootstrap("multilabel_f1_macro", noisy, labels, labels)
    assert many.score_b == 1 and verdict(many).word == "helped"
    tags = [["B-A", "I-A", "O"][: 1 + i % 3] for i in range(40)]
    said = [["O"] * len(row) if i % 2 else row for i, row in enumerate(tags)]
    span = paired_bootstrap("span_f1", said, tags, tags)
    assert span.score_b == 1 and span.score_a == pytest.approx(2 / 3) and span.low > 0


def test_draws_and_items_are_separate_uncertainties():
    rng = np.random.default_rng(0)
    references = rng.integers(0, 4, 400)
    a = [classifier(rng, references, 0.6, 4) for _ in range(4)]
    b = [classifier(rng, references, accuracy, 4) for accuracy in (0.55, 0.65, 0.75, 0.85)]
    found = paired_bootstrap_draws("f1_macro", a, b, references)
    single = [
        paired_bootstrap("f1_macro", p, q, references, n_resamples=2).difference for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found.per_draw, single)
    assert found.difference == pytest.approx(np.mean(single))
    low, high = draw_interval(found)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 3, np.mean(single), stats.sem(single)))
    assert found.low > 0 > low, "certain for other test items, not for other label draws"
    said = verdict(found)
    assert said.word == "cannot tell at this n" and "other label draws" in said.sentence
    assert "other test items" not in said.sentence


def test_verdict_words(three_classes):
    references, a, b = three_classes
    found = paired_bootstrap("f1_macro", a, b, references)
    assert verdict(found).word == "helped" and "1 draw " in verdict(found).sentence
    assert verdict(paired_bootstrap("f1_macro", b, a, references)).shown == -1
    assert verdict(found, adjusted_p=0.2).word == "cannot tell at this n"
    same = verdict(paired_bootstrap("f1_macro", a, a, references))
    assert same.word == "cannot tell at this n" and "cannot be shown" in same.sentence


def test_minimum_detectable_difference_has_the_power_it_says():
    """With a true difference of that size the verdict finds it about 8 times in 10."""
    rng = np.random.default_rng(0)
    references = np.zeros(400, int)

    def pair(gain: float) -> tuple[np.ndarray, np.ndarray]:
        a = (rng.random(400) > 0.6).astype(int)
        change = rng.random(400)  # 10 % of items flip either way, the gain on top
        return a, np.where(change < 0.1, 1 - a, np.where((change > 1 - gain / 0.4) & (a == 1), 0, a))

    detectable = minimum_detectable(paired_bootstrap("accuracy", *pair(0.05), references))
    found = sum(
        verdict(paired_bootstrap("accuracy", *pair(detectable + 0.02), references, n_resamples=300)).word == "helped"
        for _ in range(60)
    )  # 0.02: the flips cost accuracy .1 * (.6 - .4)
    assert 0.6 <= found / 60 <= 0.95


def rows_of(effects: dict[int, float], draws: int = 4) -> tuple[list[ResultRow], np.ndarray]:
    rng = np.random.default_rng(0)
    references = rng.integers(0, 5, 500)
    rows = []
    for budget, effect in effects.items():
        for seed in range(draws):
            base = classifier(rng, references, 0.5, 5)
            changed = rng.random(500) < abs(effect)
            adapted = np.where(changed, references if effect > 0 else (references + 1) % 5, base)
            adapted = np.where(rng.random(500) < 0.2, classifier(rng, references, 0.5, 5), adapted)
            rows += [ResultRow("base", budget, seed, base), ResultRow("adapted", budget, seed, adapted)]
            rows.append(ResultRow("tf-idf", budget, seed, classifier(rng, references, 0.3, 5)))
    return rows, references


@pytest.mark.parametrize(
    ("effects", "words", "overall"),
    [
        ({4: 0.2, 16: 0.2}, ["helped", "helped"], "helped"),
        ({4: -0.2, 16: 0.0}, ["did not help", "cannot tell at this n"], "did not help"),
        ({4: 0.2, 16: -0.2}, ["helped", "did not help"], "mixed"),
        ({4: 0.0, 16: 0.0}, ["cannot tell at this n"] * 2, "cannot tell at this n"),
    ],
)
def test_table_tells_the_planted_effect(effects, words, overall):
    rows, references = rows_of(effects)
    table = compare_arms(rows, references)
    assert [line.verdict.word for line in table.lines] == words and table.overall.word == overall
    first = table.lines[0]
    scores = [sk.f1_score(references, row.predictions, average="macro") for row in rows if row.arm == "base"][:4]
    assert first.base.mean == pytest.approx(np.mean(scores)) and first.base.sd == pytest.approx(np.std(scores, ddof=1))
    assert first.draws.n == 4 and first.adjusted_p >= first.difference.p_value
    markdown = table.to_markdown().splitlines()
    assert markdown[0].count("|") == markdown[2].count("|") == 10
    assert [cell.strip() for cell in markdown[0].split("|")[1:6]] == [
        "labels",
        "tf-idf",
        "base",
        "adapted",
        "difference",
    ]
    assert overall in markdown[-1] and "500" in markdown[-1]
    json.dumps(table.to_dict(), allow_nan=False)


def test_table_reads_prediction_files_and_numpy_scalars(tmp_path):
    rows, references = rows_of({4: 0.2}, draws=1)
    saved = []
    for row in rows:
        path = tmp_path / f"{row.arm}.npy"
        np.save(path, row.predictions)
        saved.append(ResultRow(row.arm, np.int64(row.budget), row.seed, path))
    from_files, direct = compare_arms(saved, references), compare_arms(rows, references)
    assert from_files.lines[0].difference == direct.lines[0].difference
    assert "one draw" in from_files.to_markdown()
    assert json.loads(json.dumps(from_files.to_dict(), allow_nan=False))["lines"][0]["draws"]["sd"] is None
    with pytest.raises(DataError, match="no predictions file"):
        compare_arms([ResultRow("base", 4, 0, tmp_path / "no.npy"), *saved[1:]], references)


def test_table_refuses_what_is_not_paired():
    rows, references = rows_of({4: 0.2, 16: 0.1})
    with pytest.raises(DataError, match="budget 4 seed 0"):
        compare_arms(rows[1:], references)
    with pytest.raises(DataError, match="Two results for arm 'base'"):
        compare_arms([rows[0], *rows], references)
    with pytest.raises(DataError, match="needs results of both"):
        compare_arms([row for row in rows if row.arm != "adapted"], references)


def test_two_arms_that_are_one_model_are_called_that():
    rows, references = rows_of({4: 0.2})
    same = [row if row.arm != "adapted" else ResultRow("adapted", row.budget, row.seed, base.predictions)
            for row in rows for base in rows
            if (base.arm, base.budget, base.seed) == ("base", row.budget, row.seed)]  # fmt: skip
    table = compare_arms(same, references, one_model=True)
    assert {table.overall.word, *(line.verdict.word for line in table.lines)} == {KEPT}, "one word for one thing"
    assert "one model" in table.to_markdown()
    assert compare_arms(same, references).overall.word == "cannot tell at this n"


def test_errors_teach(three_classes):
    references, a, b = three_classes
    with pytest.raises(ConfigError, match="Did you mean 'f1_macro'"):
        paired_bootstrap("f1_makro", a, b, references)
    with pytest.raises(DataError, match="length"):
        paired_bootstrap("accuracy", a[:-1], b, references)
    with pytest.raises(DataError, match="draw by draw"):
        paired_bootstrap_draws("accuracy", [a, a], [b], references)
    with pytest.raises(DataError, match="2 groups"):
        paired_bootstrap("accuracy", a, b, references, np.zeros(200))
    with pytest.raises(DataError, match="groups for"):
        paired_bootstrap("accuracy", a, b, references, np.zeros(3))
    with pytest.raises(DataError, match="not finite"), pytest.warns(UserWarning, match="constant"):
        paired_bootstrap("spearman", np.zeros(200), b, references)
    with pytest.raises(DataError, match="no values"):
        spread([])
    assert str(spread([0.5])) == "0.500" and str(spread([0.4, 0.6])) == "0.500 ± 0.141"


def test_seed_decides():
    rng = np.random.default_rng(0)
    references = rng.integers(0, 3, 100)
    a, b = (classifier(rng, references, 0.5, 3) for _ in range(2))
    one, two = (paired_bootstrap("f1_macro", a, b, references, seed=1) for _ in range(2))
    assert one == two and one.low != paired_bootstrap("f1_macro", a, b, references, seed=2).low


def test_speed():
    rng = np.random.default_rng(0)
    references = rng.integers(0, 20, 1500)
    a, b = (classifier(rng, references, 0.6, 20) for _ in range(2))
    start = time.perf_counter()
    paired_bootstrap("f1_macro", a, b, references, n_resamples=2000)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("metric", ["spearman", "pearson"])
def test_correlations_are_resampled_exactly_and_all_at_once(metric, grouped):
    """An item drawn twice must count twice, ties and groups included: the same numbers as calling the metric itself."""
    rng = np.random.default_rng(3)
    truth = np.round(rng.normal(size=40), 1)
    a, b = np.round(truth + rng.normal(size=40), 1), np.round(truth + rng.normal(size=40), 1)
    unit_of = np.arange(40) // 3 if grouped else np.arange(40)
    fast = CorrelationResampler(metric == "spearman", [a], [b], truth, unit_of)
    slow = LoopResampler(SCORES[metric], [a], [b], truth, unit_of)
    units = unit_of.max() + 1
    drawn = np.random.default_rng(0).integers(0, units, (20, units))
    expected = []
    for row in drawn:
        items = np.concatenate([np.flatnonzero(unit_of == unit) for unit in row])
        expected.append(SCORES[metric](b[items], truth[items]) - SCORES[metric](a[items], truth[items]))
    np.testing.assert_allclose(fast.bootstrap(np.random.default_rng(0), 20), expected, atol=1e-9)
    np.testing.assert_allclose(fast.scores(), slow.scores())
    spread = [one.permute(np.random.default_rng(1), 3000).std() for one in (fast, slow)]
    assert spread[0] == pytest.approx(spread[1], rel=0.06)


def test_correlation_with_a_constant_side_is_undefined():
    weights = np.array([[1.0, 1, 1, 0], [0, 2, 0, 2]])
    ranks = weighted_ranks(np.array([1.0, 1, 1, 5]), weights)
    found = weighted_correlation(ranks, weighted_ranks(np.arange(4.0), weights), weights)
    assert np.isnan(found[0]) and found[1] == pytest.approx(1.0)


def test_nothing_wrong_is_no_certainty() -> None:
    """Clopper and Pearson's bound: of 45 right ones, fewer than 45 in 40 draws where the truth is .921."""
    truth = np.arange(45) % 3
    for metric in ("accuracy", "f1_macro"):
        low, high = bootstrap_interval(metric, truth, truth)
        assert high == 1.0 and low**45 == pytest.approx(0.025)
    low, high = bootstrap_interval("accuracy", (truth + 1) % 3, truth)
    assert low == 0.0 and (1 - high) ** 45 == pytest.approx(0.025)
    low, _ = bootstrap_interval("accuracy", truth, truth, np.repeat(np.arange(5), 9))
    assert low**5 == pytest.approx(0.025)  # five patients tell less than 45 pictures of them
    low, high = bootstrap_interval("mae", truth.astype(float), truth.astype(float))
    assert low == high == 0.0  # an error has no such bound


def test_interval_of_one_score() -> None:
    """As wide as the binomial's, for a sum; by resampling the items, for a score that needs them; wider over groups."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    guesses = np.where(rng.random(400) < 0.8, truth, 1 - truth)
    share = (guesses == truth).mean()
    low, high = bootstrap_interval("accuracy", guesses, truth)
    assert low < share < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.15)
    looped = bootstrap_interval(lambda a, b: float((a == b).mean()), guesses, truth, n_resamples=1000)
    assert looped == pytest.approx((low, high), abs=0.02)
    whole = np.repeat(guesses[:40] == truth[:40], 10)  # ten equal items in each of 40 groups
    one, other = (
        bootstrap_interval("accuracy", whole, np.ones(400, bool), groups)
        for groups in (None, np.repeat(np.arange(40), 10))
    )
    assert other[1] - other[0] > 2 * (one[1] - one[0])
    with pytest.raises(DataError):
        bootstrap_interval("accuracy", guesses[:1], truth[:1])
