"""Words for a paired difference: what it shows, what it rules out, and how many test items would show more.

The interval over test items says how the difference would vary with other test items; the spread over draws says how it varies
with other labeled subsets and seeds. They are different questions, and a difference is shown only when both agree. "Cannot tell"
is not "no difference", so the smallest difference that could have been shown stands beside it, and what would show a smaller one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hf_ssl.evaluation.comparison.paired import PairedDifference, spread

HELPED, DID_NOT, UNCLEAR, MIXED = "helped", "did not help", "cannot tell at this n", "mixed"
KEPT = "nothing to compare: the start was kept"
POWER = 2.8
"""Standard errors to a difference that is found 8 times in 10 at the 5 % level: 1.96 + 0.84."""
FEWEST = 6
"""Test items that must change in one direction before a two-sided sign test says anything at the 5 % level (2 / 2^6 < .05)."""
NEGLIGIBLE = 0.01
"""A gain that nobody would train for: one point, or 1 % of an error."""
WANTED = 0.03
"""The gain for which the needed number of test items is told."""


@dataclass(frozen=True)
class Verdict:
    """What a comparison shows.

    Args:
        word: `HELPED`, `DID_NOT` or `UNCLEAR`; over several budgets also `MIXED`; `KEPT` where both arms are one model.
        sentence: why.
        shown: 1 when the second arm is shown to be better, -1 when it is shown to be worse, else 0.
    """

    word: str
    sentence: str
    shown: int = 0


ONE_MODEL = Verdict(KEPT, "Pre-training kept its start: both arms are one model.")


def scale_of(difference: PairedDifference) -> float:
    """What one item may change: 1 for scores between 0 and 1, the error itself for errors, which have no such bound."""
    return 1.0 if difference.higher_is_better else abs(difference.score_a)


def over_draws(difference: PairedDifference) -> float:
    """Variance of the mean difference over draws; 0 with one draw, which says nothing of others."""
    draws = spread(difference.per_draw)
    return draws.sd**2 / draws.n if draws.n > 1 else 0.0


def minimum_detectable(difference: PairedDifference) -> float:
    """Smallest true difference found 8 times in 10 at the 5 % level: 2.8 standard errors over items and draws together.

    Never less than six items' worth: where two models give the same answers the standard error is 0, and yet some items that
    are not in this test set could differ.
    """
    error = math.sqrt(difference.standard_error**2 + over_draws(difference))
    return max(POWER * error, FEWEST * scale_of(difference) / difference.units)


def items_needed(difference: PairedDifference, gain: float = WANTED) -> int | None:
    """Test items (or groups) at which a true difference of `gain` is found 8 times in 10.

    Returns:
        None where more items would not do, because the draws of labels differ by too much.
    """
    gain *= scale_of(difference)
    room = (gain / POWER) ** 2 - over_draws(difference)
    if room <= 0:
        return None
    by_error = difference.units * difference.standard_error**2 / room
    return math.ceil(max(by_error, FEWEST * scale_of(difference) / gain))


def draw_interval(difference: PairedDifference) -> tuple[float, float] | None:
    """Student interval of the mean difference over draws; `None` with fewer than 3 draws, which say too little."""
    from scipy.stats import t

    draws = spread(difference.per_draw)
    if draws.n < 3:
        return None
    half = float(t.ppf((1 + difference.confidence) / 2, draws.n - 1)) * draws.sd / math.sqrt(draws.n)
    return draws.mean - half, draws.mean + half


def unit_of(difference: PairedDifference) -> str:
    """What was resampled."""
    return "items" if difference.units == difference.items else "groups"


def verdict(difference: PairedDifference, adjusted_p: float | None = None) -> Verdict:
    """Words for one comparison.

    A difference is shown when the interval over test items leaves zero out; the (Holm-adjusted) p value is at most
    1 - confidence; and, with 3 or more draws, the Student interval over draws leaves zero out too. "Did not help" is said of a
    second arm that is shown to be worse, and of one that is shown to be as good: both intervals lie within one point of zero.

    Args:
        difference: from `paired_bootstrap`.
        adjusted_p: p value adjusted for the number of comparisons made; by default the unadjusted one.
    """
    p = difference.p_value if adjusted_p is None else adjusted_p
    draws = draw_interval(difference)
    items_agree = difference.low > 0 or difference.high < 0
    significant = p <= 1 - difference.confidence + 1e-12
    draws_agree = draws is None or draws[0] > 0 or draws[1] < 0
    numbers = (
        f"difference {difference.difference:+.3f}, {difference.confidence:.0%} interval over test {unit_of(difference)} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}], {difference.test} p = {p:.3g}"
    )
    if items_agree and significant and draws_agree:
        better = (difference.difference > 0) == difference.higher_is_better
        n = len(difference.per_draw)
        caveat = "" if n >= 3 else f"; with {n} draw{'s' * (n > 1)} of labels, other draws may differ"
        word = HELPED if better else DID_NOT
        return Verdict(word, f"{numbers}{'' if better else ': shown to be worse'}{caveat}", 1 if better else -1)
    if largest_difference(difference) < NEGLIGIBLE * scale_of(difference):
        return Verdict(DID_NOT, f"{numbers}; a difference of {NEGLIGIBLE * scale_of(difference):.3f} is ruled out")
    reasons = []
    if not items_agree or not significant:
        reasons.append(f"other test {unit_of(difference)} could reverse it")
    if not draws_agree and draws is not None:
        reasons.append(f"other label draws could reverse it [{draws[0]:+.3f}, {draws[1]:+.3f}]")
    return Verdict(UNCLEAR, f"{numbers}; {' and '.join(reasons)}; {_what_would_show(difference)}")


def largest_difference(difference: PairedDifference) -> float:
    """The largest difference, either way, that the intervals do not rule out."""
    draws = draw_interval(difference) or (difference.low, difference.high)
    known = max(abs(end) for end in (difference.low, difference.high, *draws))
    unseen = FEWEST * scale_of(difference) / difference.units
    return max(known, unseen) if difference.standard_error == 0 else known


def _what_would_show(difference: PairedDifference) -> str:
    told = f"differences below about {minimum_detectable(difference):.3f} cannot be shown here"
    needed, gain = items_needed(difference), WANTED * scale_of(difference)
    if minimum_detectable(difference) <= gain:
        return told
    if needed is None:
        return f"{told}; for {gain:.3f} the draws differ by too much: more of them (--num_seeds, --probe_draws)"
    return f"{told}; for {gain:.3f} about {needed:,} test {unit_of(difference)} would do"
