"""Did adapting help? Base and adapted side by side, with two uncertainties and a verdict in words.

The interval over test items says how the difference would vary with other test items; the spread over draws says how
it varies with other labeled subsets and seeds. They are different questions and are reported apart. A verdict of
"helped" or "hurt" needs both to agree; "no difference shown" is not "no difference", so the smallest difference that
this comparison could have shown stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.comparison.paired import PairedDifference, Spread, holm, paired_bootstrap_draws, spread
from hf_ssl.evaluation.comparison.resampling import Metric, metric_function

HELPED, HURT, UNCLEAR, MIXED = "helped", "hurt", "no difference shown", "mixed"


@dataclass(frozen=True)
class ResultRow:
    """One trained model on the test set.

    Args:
        arm: `"base"`, `"adapted"`, or any other name.
        budget: labels per class, or any number or name by which rows are compared.
        seed: of the labeled subset and of training; rows of two arms with equal budget and seed are a pair.
        predictions: what the metric reads, or the path of a `.npy` file with it.
    """

    arm: str
    budget: Any
    seed: int
    predictions: Any

    def load(self) -> Any:
        if not isinstance(self.predictions, (str, Path)):
            return self.predictions
        if not Path(self.predictions).is_file():
            raise DataError(f"There is no predictions file at {self.predictions}.")
        return np.load(self.predictions, allow_pickle=False)


@dataclass(frozen=True)
class Verdict:
    """`word` is one of "helped", "hurt", "no difference shown" (overall also "mixed"); `sentence` says why."""

    word: str
    sentence: str


def minimum_detectable(difference: PairedDifference) -> float:
    """Smallest true difference found 8 times in 10 at the 5 % level: (1.96 + 0.84) standard errors.

    The variance over test items, plus that of the mean over draws where there are several.
    """
    draws = spread(difference.per_draw)
    over_draws = draws.sd**2 / draws.n if draws.n > 1 else 0.0
    return 2.8 * math.sqrt(difference.standard_error**2 + over_draws)


def draw_interval(difference: PairedDifference) -> tuple[float, float] | None:
    """Student interval of the mean difference over draws; `None` with fewer than 3 draws, which say too little."""
    from scipy.stats import t

    draws = spread(difference.per_draw)
    if draws.n < 3:
        return None
    half = float(t.ppf((1 + difference.confidence) / 2, draws.n - 1)) * draws.sd / math.sqrt(draws.n)
    return draws.mean - half, draws.mean + half


def _unit(difference: PairedDifference) -> str:
    return "items" if difference.units == difference.items else "groups"


def verdict(difference: PairedDifference, adjusted_p: float | None = None) -> Verdict:
    """Words for one comparison.

    "helped" or "hurt" needs all of: the interval over test items leaves zero out; the (Holm-adjusted) p value is at
    most 1 - confidence; and, with 3 or more draws, the Student interval over draws leaves zero out too.

    Args:
        difference: from `paired_bootstrap`.
        adjusted_p: p value adjusted for the number of comparisons made; by default the unadjusted one.
    """
    p = difference.p_value if adjusted_p is None else adjusted_p
    over_draws = draw_interval(difference)
    items_agree = difference.low > 0 or difference.high < 0
    significant = p <= 1 - difference.confidence + 1e-12
    direction = np.sign(difference.difference)
    draws_agree = over_draws is None or over_draws[0] > 0 or over_draws[1] < 0
    numbers = (
        f"difference {difference.difference:+.3f}, {difference.confidence:.0%} interval over test {_unit(difference)} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}], {difference.test} p = {p:.3g}"
    )
    if items_agree and significant and draws_agree:
        better = (direction > 0) == difference.higher_is_better
        n = len(difference.per_draw)
        caveat = "" if n >= 3 else f"; with {n} draw{'s' * (n > 1)} of labels, other draws may differ"
        return Verdict(HELPED if better else HURT, numbers + caveat)
    reasons = []
    if not items_agree or not significant:
        reasons.append(f"other test {_unit(difference)} could reverse it")
    if not draws_agree and over_draws is not None:
        reasons.append(f"other label draws could reverse it [{over_draws[0]:+.3f}, {over_draws[1]:+.3f}]")
    detectable = f"differences below about {minimum_detectable(difference):.3f} cannot be shown here"
    return Verdict(UNCLEAR, f"{numbers}; {' and '.join(reasons)}; {detectable}")


@dataclass(frozen=True)
class ComparisonLine:
    """Base and adapted at one label budget; `others` are further arms, shown for reference."""

    budget: Any
    base: Spread
    adapted: Spread
    difference: PairedDifference
    draws: Spread
    adjusted_p: float
    minimum_detectable: float
    verdict: Verdict
    others: dict[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparisonTable:
    """All budgets and the overall verdict. `to_markdown` and `to_dict` render it."""

    metric: str
    base: str
    adapted: str
    lines: tuple[ComparisonLine, ...]
    overall: Verdict

    def _cells(self) -> list[list[str]]:
        others = list(dict.fromkeys(name for line in self.lines for name in line.others))
        first = self.lines[0].difference
        interval = f"{first.confidence:.0%} over test {_unit(first)}"
        header = ["labels", *others, self.base, self.adapted, "difference", interval, "sd over draws", "p (Holm)"]
        cells = [[*header, "verdict"]]
        for line in self.lines:
            difference = line.difference
            cells.append(
                [
                    str(line.budget),
                    *(str(line.others[name]) if name in line.others else "–" for name in others),
                    str(line.base),
                    str(line.adapted),
                    f"{difference.difference:+.3f}",
                    f"[{difference.low:+.3f}, {difference.high:+.3f}]",
                    f"{line.draws.sd:.3f} ({line.draws.n})" if line.draws.n > 1 else "one draw",
                    f"{line.adjusted_p:.3g}",
                    line.verdict.word,
                ]
            )
        return cells

    def _footer(self) -> str:
        first = self.lines[0].difference
        units = f"{first.items} test items" + (f" in {first.units} groups" if first.units != first.items else "")
        return (
            f"{self.metric} on {units}; ± and sd are over label draws and seeds, "
            f"the interval is over test {_unit(first)}. "
            f"Overall: {self.overall.word}. {self.overall.sentence}"
        )

    def to_markdown(self) -> str:
        header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in self._cells())
        ruler = ["---"] + ["---:"] * (len(header) - 2) + ["---"]
        table = "\n".join(f"| {' | '.join(row)} |" for row in [header, ruler, *rows])
        return f"{table}\n\n{self._footer()}\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON (an undefined sd is `None`)."""
        return _without_nan(asdict(self))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def compare_arms(
    rows: Sequence[ResultRow],
    references: Any,
    *,
    metric: Metric = "f1_macro",
    base: str = "base",
    adapted: str = "adapted",
    groups: Sequence[Any] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    higher_is_better: bool | None = None,
) -> ComparisonTable:
    """The table of base against adapted, at every label budget, from their predictions on one test set.

    Args:
        rows: one per arm, budget and seed; at each budget both arms need the same seeds. Arms other than the two
            compared appear as columns without a test.
        references: the truth of the test items.
        metric, groups, n_resamples, higher_is_better: as in `paired_bootstrap_draws`.

    Raises:
        DataError: an arm is missing, a seed has no partner, or a row occurs twice.
    """
    by_arm: dict[str, dict[tuple[Any, int], ResultRow]] = {}
    for row in rows:
        results = by_arm.setdefault(row.arm, {})
        if (row.budget, row.seed) in results:
            raise DataError(f"Two results for arm {row.arm!r}, budget {row.budget}, seed {row.seed}.")
        results[row.budget, row.seed] = row
    if base not in by_arm or adapted not in by_arm:
        raise DataError(f"Comparing {base!r} with {adapted!r} needs results of both; found {sorted(by_arm)}.")
    alone = by_arm[base].keys() ^ by_arm[adapted].keys()
    if alone:
        listed = ", ".join(f"budget {budget} seed {draw}" for budget, draw in sorted(alone, key=str))
        raise DataError(f"The comparison is paired, but only one of {base!r} and {adapted!r} has {listed}.")
    budgets = list(dict.fromkeys(budget for budget, _ in by_arm[base]))
    differences = []
    for budget in budgets:
        keys = [key for key in by_arm[base] if key[0] == budget]
        base_predictions, adapted_predictions = ([by_arm[arm][key].load() for key in keys] for arm in (base, adapted))
        differences.append(
            paired_bootstrap_draws(
                metric,
                base_predictions,
                adapted_predictions,
                references,
                groups,
                n_resamples=n_resamples,
                seed=seed,
                higher_is_better=higher_is_better,
            )
        )
    adjusted = holm([difference.p_value for difference in differences])
    function = metric_function(metric)

    def scores(arm: str, budget: Any) -> list[float]:
        return [function(row.load(), references) for key, row in by_arm[arm].items() if key[0] == budget]

    lines = tuple(
        ComparisonLine(
            budget=budget,
            base=spread(scores(base, budget)),
            adapted=spread(scores(adapted, budget)),
            difference=difference,
            draws=spread(difference.per_draw),
            adjusted_p=float(p),
            minimum_detectable=minimum_detectable(difference),
            verdict=verdict(difference, float(p)),
            others={
                arm: spread(found) for arm in by_arm if arm not in (base, adapted) if (found := scores(arm, budget))
            },
        )
        for budget, difference, p in zip(budgets, differences, adjusted, strict=True)
    )
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return ComparisonTable(name, base, adapted, lines, overall_verdict(lines))


def overall_verdict(lines: Sequence[ComparisonLine]) -> Verdict:
    """Over budgets: "helped" when some was helped and none hurt, the other way round for "hurt", "mixed" for both."""
    budgets = {
        word: [str(line.budget) for line in lines if line.verdict.word == word] for word in (HELPED, HURT, UNCLEAR)
    }
    said = "; ".join(f"{word} at {', '.join(where)} labels" for word, where in budgets.items() if where)
    if budgets[HELPED] and budgets[HURT]:
        return Verdict(MIXED, f"Adapting {said}.")
    if budgets[HELPED] or budgets[HURT]:
        return Verdict(HELPED if budgets[HELPED] else HURT, f"Adapting {said}.")
    if all(line.difference.low == line.difference.high == 0 for line in lines):
        return Verdict(
            UNCLEAR, "Both arms give the same answers: where pre-training kept its start, they are one model."
        )
    smallest = min(line.minimum_detectable for line in lines)
    return Verdict(UNCLEAR, f"At no budget; a true difference below about {smallest:.3f} would go unseen here.")
