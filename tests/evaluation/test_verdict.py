"""Words for differences: right about planted ones, silent about none, never sure below what can be known."""

from __future__ import annotations

import numpy as np
import pytest
from planted import equal_arms, pair, three_points

from hf_ssl.evaluation.comparison.paired import PairedDifference, paired_bootstrap, paired_bootstrap_draws
from hf_ssl.evaluation.comparison.verdict import (
    DID_NOT,
    UNCLEAR,
    items_needed,
    largest_difference,
    minimum_detectable,
    verdict,
)


def test_equally_good_arms_are_not_told_apart() -> None:
    covered, unclear = equal_arms(200)
    assert covered >= 0.93 and unclear >= 0.93


def test_three_points_are_found_with_the_items_that_were_asked_for() -> None:
    """A pilot says how many items would show 3 points; with so many they are found about 8 times in 10."""
    needed, found = three_points(50)
    assert 600 < needed < 20_000 and found >= 0.65


def test_draws_that_differ_too_much_cannot_be_mended_by_items() -> None:
    rng = np.random.default_rng(0)
    references = rng.integers(0, 2, 500)
    a = [np.where(rng.random(500) < 0.6, references, 1 - references) for _ in range(3)]
    b = [np.where(rng.random(500) < share, references, 1 - references) for share in (0.5, 0.65, 0.8)]
    found = paired_bootstrap_draws("accuracy", a, b, references)
    assert items_needed(found) is None and "more of them" in verdict(found).sentence


@pytest.mark.parametrize("items", [20, 200, 2000])
def test_twins_leave_room_for_items_that_are_not_in_the_test_set(items: int) -> None:
    references, a, _ = pair(np.random.default_rng(0), items, 0.0)
    found = paired_bootstrap("accuracy", a, a, references)
    assert found.standard_error == 0 and minimum_detectable(found) == pytest.approx(6 / items)
    assert verdict(found).word == (UNCLEAR if items < 600 else DID_NOT), "of 2000 items alike, a point is ruled out"


def difference(**changed: object) -> PairedDifference:
    usual: dict = {
        "difference": 0.0, "low": -0.004, "high": 0.005, "standard_error": 0.002, "p_value": 0.9, "score_a": 0.7, "score_b": 0.7,
        "per_draw": (0.001, -0.001, 0.0, 0.0), "items": 5000, "units": 5000, "test": "paired permutation",
    }  # fmt: skip
    return PairedDifference(**{**usual, **changed})


def test_a_gain_that_is_ruled_out_did_not_help() -> None:
    said = verdict(difference())
    assert (said.word, said.shown) == (DID_NOT, 0) and "ruled out" in said.sentence
    assert verdict(difference(high=0.012)).word == UNCLEAR
    assert verdict(difference(per_draw=(0.03, -0.03, 0.02, -0.02))).word == UNCLEAR, "other draws leave it open"


def test_errors_have_no_scale_of_their_own() -> None:
    """Of an error of 40, one hundredth is .4: a gain of .2 is negligible, one of 1 is not."""
    error = {"score_a": 40.0, "score_b": 40.0, "higher_is_better": False, "per_draw": (0.0,)}
    small = difference(low=-0.2, high=0.1, standard_error=0.08, **error)
    assert verdict(small).word == DID_NOT and largest_difference(small) == pytest.approx(0.2)
    assert verdict(difference(low=-1.0, high=0.1, standard_error=0.3, **error)).word == UNCLEAR
    assert minimum_detectable(difference(standard_error=0.0, low=0.0, high=0.0, **error)) == pytest.approx(
        40 * 6 / 5000
    )
