"""One table for everything: what to use, what helped, which classes the score is about."""

from __future__ import annotations

import numpy as np
import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.comparison.attribution import as_markdown, attribute, labels_for
from hf_ssl.evaluation.comparison.contest import contest, use_words
from hf_ssl.evaluation.comparison.results import PairedResults, ResultRow
from hf_ssl.evaluation.comparison.verdict import HELPED, KEPT, verdict

ITEMS, CLASSES = 900, 5


def results(skill: dict[tuple[str, str], float], budgets: tuple[int, ...] = (4, 16), draws: int = 4) -> PairedResults:
    """Contenders that are right on the first so many of a shared order of items, with some noise of their own."""
    rng = np.random.default_rng(0)
    references, order = rng.integers(0, CLASSES, ITEMS), rng.random(ITEMS)
    rows = []
    for (arm, protocol), share in skill.items():
        for step, budget in enumerate(budgets):
            for seed in range(draws):
                own = np.random.default_rng([seed, budget, len(arm), len(protocol)])
                right = order + own.normal(0, 0.03, ITEMS) < share + 0.05 * step
                guess = np.where(right, references, (references + own.integers(1, CLASSES, ITEMS)) % CLASSES)
                rows.append(ResultRow(arm, budget, seed, guess, protocol, None, 1.0, 100))
    return PairedResults(rows, references, "f1_macro", n_resamples=300)


BASELINE, PROBE, TUNED = ("TF-IDF", "baseline"), ("adapted", "linear-probe"), ("adapted", "peft")


@pytest.mark.parametrize(
    ("skill", "word", "chosen"),
    [
        ({BASELINE: 0.5, PROBE: 0.6, TUNED: 0.6}, "use the probe", PROBE),
        ({BASELINE: 0.7, PROBE: 0.6, TUNED: 0.6}, "the simple baseline wins", BASELINE),
        ({BASELINE: 0.5, PROBE: 0.6, TUNED: 0.7}, "fine-tune", TUNED),
        ({BASELINE: 0.6, PROBE: 0.6, TUNED: 0.6}, "the simple baseline", BASELINE),
        ({("random", "peft"): 0.9, PROBE: 0.6}, "use the probe", PROBE),
    ],
)
def test_the_simplest_that_is_not_beaten_is_chosen(skill, word, chosen) -> None:
    found = contest(results(skill))
    assert [(one.arm, one.protocol) for one in found.choices] == [chosen] * 2
    assert all(text.startswith(word) for text in use_words(found).values())
    assert {line.word for line in found.lines if (line.arm, line.protocol) == chosen} == {"chosen"}
    for choice in found.choices:
        scores = {line.protocol: line.score.mean for line in found.lines if line.budget == choice.budget}
        if "wins" in choice.word:
            assert scores[choice.protocol] == max(scores.values()), "what is behind does not win"


def few_draws(gain: float) -> PairedResults:
    """A probe on 20 draws that differ by five points, and a fine-tuned model on the first of them."""
    rng = np.random.default_rng(1)
    references, order, rows = rng.integers(0, CLASSES, ITEMS), rng.random(ITEMS), []
    for seed in range(20):
        share = 0.7 + rng.normal(0, 0.05)
        for arm, protocol, more in (("base", "linear-probe", 0.0), ("base", "peft", gain)):
            if protocol == "linear-probe" or seed == 0:
                guess = np.where(order < share + more, references, (references + 1) % CLASSES)
                rows.append(ResultRow(arm, 16, seed, guess, protocol))
    return PairedResults(rows, references, "accuracy", n_resamples=300)


def test_one_shared_draw_decides_only_what_the_spread_over_draws_leaves_no_doubt_of() -> None:
    small, large = few_draws(0.03), few_draws(0.2)
    shown = small.difference(("base", "linear-probe"), ("base", "peft"), 16)
    assert shown is not None and shown.low > 0, "by items alone it would be decided"
    assert contest(small).choices[0].protocol == "linear-probe"
    assert contest(large).choices[0].protocol == "peft"


def test_what_is_behind_is_not_said_to_win_where_nothing_is_shown() -> None:
    """Eleven items, one draw: a baseline that is far behind, and no interval that says so."""
    references = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2])
    rows = [
        ResultRow(arm, 2, 0, np.where(np.isin(np.arange(11), wrong), (references + 1) % 4, references), protocol)
        for arm, protocol, wrong in (
            ("base", "linear-probe", [0, 9]),
            ("TF-IDF", "baseline", [1, 2, 3, 4, 5, 6]),
        )
    ]
    results = PairedResults(rows, references, "accuracy", n_resamples=500)
    apart = results.difference(("base", "linear-probe"), ("TF-IDF", "baseline"), 2)
    assert apart is not None and verdict(apart).shown == 0 and apart.difference < -apart.standard_error
    found = contest(results)
    assert found.choices[0].protocol == "linear-probe"
    assert "1 draw," in found.choices[0].sentence and "11 test items" in found.choices[0].sentence


def test_the_line_says_so_where_only_the_draws_of_labels_leave_it_open() -> None:
    rng = np.random.default_rng(2)
    references, order = rng.integers(0, CLASSES, ITEMS), rng.random(ITEMS)
    rows = [
        ResultRow(arm, 8, seed, np.where(order < 0.7 - worse, references, (references + 1) % CLASSES), protocol)
        for seed, by in enumerate((0.03, 0.12, 0.3))
        for arm, protocol, worse in (("base", "linear-probe", 0.0), ("TF-IDF", "baseline", by))
    ]
    found = contest(PairedResults(rows, references, "accuracy", n_resamples=300))
    line = next(one for one in found.lines if one.arm == "TF-IDF")
    assert line.difference is not None and line.difference.high < 0, "by items alone it would be decided"
    assert line.word.startswith("not told apart") and "3 draws" in line.word


def test_all_stand_in_one_table_with_intervals_and_cost() -> None:
    found = contest(results({BASELINE: 0.5, PROBE: 0.6, TUNED: 0.7}))
    assert [line.budget for line in found.lines] == [4] * 3 + [16] * 3
    worst = next(line for line in found.lines if line.budget == 4 and line.arm == "TF-IDF")
    assert worst.word == "shown to be worse" and worst.difference is not None
    assert worst.difference.high < 0 < worst.minimum_detectable and (worst.seconds, worst.trainable) == (1.0, 100)
    table = [line for line in found.to_markdown().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1 and len(table) == 2 + 6


def test_classes_that_are_only_predicted_are_named_and_left_out_beside() -> None:
    references = np.array([0, 1] * 20)
    stray = references.copy()
    stray[:4] = 2
    rows = [ResultRow("base", 4, 0, references, "peft"), ResultRow("adapted", 4, 0, stray, "peft")]
    found = contest(PairedResults(rows, references, "f1_macro"), names=["ant", "bee", "cow"])
    assert "cow" in found.classes and "bee" not in found.classes
    line = next(line for line in found.lines if line.arm == "adapted")
    assert line.present is not None and line.present > line.score.mean + 0.2


def test_steps_are_attributed_to_what_differs() -> None:
    skill = {
        ("base", "peft"): 0.5, ("adapted", "peft"): 0.56, ("adapted+self-training", "peft"): 0.56, ("adapted", "linear-probe"): 0.5,
    }  # fmt: skip
    lines = attribute(results(skill, budgets=(4, 16, 64)), {4: 4.0, 16: 16.0, 64: 64.0})
    by_step = {(line.step, line.budget): line for line in lines}
    assert {step for step, _ in by_step} == {
        "continued SSL", "pseudo-labels, after SSL", "fine-tuning instead of a frozen probe",
    }  # fmt: skip
    gained = by_step["continued SSL", 4]
    assert gained.verdict.word == HELPED and gained.adjusted_p >= gained.difference.p_value
    assert gained.labels_saved is not None and gained.labels_saved[0] is not None
    assert 12 < gained.labels_saved[0] < 30, (
        "16 labels of the start give .55, so .56 take a few more: 12 saved and more"
    )
    assert by_step["pseudo-labels, after SSL", 4].verdict.word != HELPED
    assert as_markdown(lines).count("\n") == len(lines) + 1
    one = attribute(results(skill, budgets=(4,)), {4: 4.0}, one_model=True)
    kept = {line.step for line in one if line.verdict.word == KEPT}
    assert kept == {"continued SSL"}, "pseudo-labels are no part of what the start is"


def test_labels_for_a_score_are_read_off_the_curve() -> None:
    curve = {4.0: 0.4, 16.0: 0.5, 64.0: 0.7}
    assert labels_for(curve, 0.5) == pytest.approx(16) and labels_for(curve, 0.45) == pytest.approx(8)
    assert labels_for(curve, 0.39) is None and labels_for(curve, 0.71) is None
    assert labels_for({4.0: 0.6, 16.0: 0.4}, 0.5, higher_is_better=False) == pytest.approx(8)


def test_a_result_given_twice_is_refused() -> None:
    row = ResultRow("base", 4, 0, np.zeros(3), "peft")
    with pytest.raises(DataError, match="Two results for arm 'base' by peft"):
        PairedResults([row, row], np.zeros(3), "accuracy")
