"""Did adapting help? Base and adapted side by side under one protocol, with two uncertainties and a verdict in words.

What the words mean is in `verdict`; how all arms and protocols stand together, in `contest`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.errors import DataError
from hf_ssl.evaluation.comparison.paired import PairedDifference, Spread, holm, paired_bootstrap_draws, spread
from hf_ssl.evaluation.comparison.resampling import Metric, metric_function
from hf_ssl.evaluation.comparison.results import ResultRow
from hf_ssl.evaluation.comparison.verdict import (
    DID_NOT,
    HELPED,
    MIXED,
    ONE_MODEL,
    UNCLEAR,
    Verdict,
    minimum_detectable,
    unit_of,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hf_ssl.evaluation.metrics import Answers


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
        interval = f"{first.confidence:.0%} over test {unit_of(first)}"
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
            f"the interval is over test {unit_of(first)}. "
            f"Overall: {self.overall.word}. {self.overall.sentence}"
        )

    def to_markdown(self) -> str:
        header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in self._cells())
        ruler = ["---"] + ["---:"] * (len(header) - 2) + ["---"]
        table = "\n".join(f"| {' | '.join(row)} |" for row in [header, ruler, *rows])
        return f"{table}\n\n{self._footer()}\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON (an undefined sd is `None`)."""
        return {name: _without_nan(value) for name, value in asdict(self).items()}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def compare_arms(
    rows: Sequence[ResultRow],
    references: Answers,
    *,
    metric: Metric = "f1_macro",
    base: str = "base",
    adapted: str = "adapted",
    groups: Sequence[Any] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    higher_is_better: bool | None = None,
    one_model: bool = False,
) -> ComparisonTable:
    """The table of base against adapted, at every label budget, from their predictions on one test set.

    Args:
        rows: one per arm, budget and seed; at each budget both arms need the same seeds. Arms other than the two
            compared appear as columns without a test.
        references: the truth of the test items.
        metric, groups, n_resamples, higher_is_better: as in `paired_bootstrap_draws`.
        one_model: both arms are known to be the same weights.

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

    def scores(arm: str, budget: Hashable) -> list[float]:
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
            verdict=ONE_MODEL if one_model else verdict(difference, float(p)),
            others={
                arm: spread(found) for arm in by_arm if arm not in (base, adapted) if (found := scores(arm, budget))
            },
        )
        for budget, difference, p in zip(budgets, differences, adjusted, strict=True)
    )
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return ComparisonTable(name, base, adapted, lines, overall_verdict(lines, one_model=one_model))


def overall_verdict(lines: Sequence[ComparisonLine], *, one_model: bool = False) -> Verdict:
    """Over budgets: "helped" when some was helped and none was shown to be worse, "mixed" for both.

    Args:
        one_model: both arms are the same weights, so that nothing could have helped.
    """
    if one_model:
        return ONE_MODEL
    budgets = {
        word: [str(line.budget) for line in lines if line.verdict.word == word] for word in (HELPED, DID_NOT, UNCLEAR)
    }
    told = {HELPED: "helped", DID_NOT: "did not help", UNCLEAR: "may or may not help"}
    said = "; ".join(f"{told[word]} at {', '.join(where)} labels" for word, where in budgets.items() if where)
    worse = any(line.verdict.shown < 0 for line in lines)
    if budgets[HELPED] and worse:
        return Verdict(MIXED, f"Adapting {said}.")
    if budgets[HELPED]:
        return Verdict(HELPED, f"Adapting {said}.", 1)
    if worse or not budgets[UNCLEAR]:
        return Verdict(DID_NOT, f"Adapting {said}.", -1 if worse else 0)
    smallest = min(line.minimum_detectable for line in lines)
    return Verdict(UNCLEAR, f"Adapting {said}; a true difference below about {smallest:.3f} would go unseen here.")
