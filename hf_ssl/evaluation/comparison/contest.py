"""Everything that was tried in one table: which of it to use, and what that is better than.

Fine-tuned models, frozen probes, cheap baselines and peers answer the same test items and stand in one list. The choice is that
of a careful user: the simplest one whose score is within one standard error of the best one's and that the best one is not shown
to beat (the one-standard-error rule of Breiman et al. 1984, section 3.4.3). So a probe is recommended where fine-tuning adds
nothing that can be seen, and the cheap baseline where pretraining adds nothing.

Draws of labels differ by more than most methods do, so the best is looked for among what has `ENOUGH` draws (or as many as anything has).
What has fewer is chosen only where it is shown to be better, and by more than the spread over draws would explain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core.compare_options import ARMS
from hf_ssl.evaluation.comparison.paired import PairedDifference, Spread, holm
from hf_ssl.evaluation.comparison.results import PairedResults, ResultRow
from hf_ssl.evaluation.comparison.verdict import (
    draw_interval,
    minimum_detectable,
    over_draws,
    unit_of,
    verdict,
)
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

ENOUGH = 3
"""Shared draws of labels from which a mean over them says something of other draws."""
BASELINE, PEER = "baseline", "peer"
PROTOCOLS = (BASELINE, "zero-shot", "knn", "linear-probe", PEER, "peft", "full", "answer")
"""From the simplest to the dearest to make and to keep."""
USES = {
    BASELINE: "the simple baseline wins", "zero-shot": "use it without labels", "knn": "use the probe", "linear-probe": "use the probe",
    PEER: "use the peer", "peft": "fine-tune", "full": "fine-tune", "answer": "run finetune, and predict with its answer",
}  # fmt: skip
AS_GOOD = "the simple baseline will do, as far as can be told"
"""Where something has a better mean that is not told apart."""


@dataclass(frozen=True)
class ContestLine:
    """One contender at one budget, beside the chosen one.

    Args:
        score: over its own draws.
        present: macro-F1 over the classes of the test set alone, where the metric is macro-F1.
        difference: this one minus the chosen one, on the draws both have; None for the chosen one.
        word: `"chosen"`, `"shown to be worse"`, `"shown to be better"`, or `"not told apart"`, with the reason where the interval over items
            alone would tell them apart.
        seconds, trainable: of one draw.
    """

    budget: Any
    arm: str
    protocol: str
    score: Spread
    present: float | None
    difference: PairedDifference | None
    adjusted_p: float | None
    minimum_detectable: float | None
    word: str
    seconds: float
    trainable: int | None

    @property
    def name(self) -> str:
        """As it is called in tables."""
        return contender_name((self.arm, self.protocol))


@dataclass(frozen=True)
class Choice:
    """What to use at a budget, in a word, and why."""

    budget: Any
    arm: str
    protocol: str
    word: str
    sentence: str


@dataclass(frozen=True)
class Contest:
    """All contenders at all budgets, what to use, and which classes the score speaks of."""

    metric: str
    lines: tuple[ContestLine, ...]
    choices: tuple[Choice, ...]
    classes: str = ""
    units: str = ""
    notes: tuple[str, ...] = field(default=())

    def to_markdown(self) -> str:
        """One table per budget, the best contender first, below what to use."""
        parts = [
            "\n".join(f"- **{told(choice.budget)}: {choice.word}.** {choice.sentence}" for choice in self.choices)
        ]
        has_present = any(line.present is not None for line in self.lines)
        head = ["labels", "what", self.metric, *(["classes of test only"] if has_present else []), "against the chosen",
                "95% interval", "p (Holm)", "could be shown", "seconds", "trained", ""]  # fmt: skip
        rows = [self._cells(line, has_present) for line in self.lines]
        ruler = ["---", "---", *["---:"] * (len(head) - 3), "---"]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in [head, ruler, *rows]))
        parts.append(" ".join([self.units, self.classes, *self.notes]).strip())
        return "\n\n".join(parts)

    @staticmethod
    def _cells(line: ContestLine, has_present: bool) -> list[str]:
        difference = line.difference
        return [
            str(line.budget), line.name.replace("|", "\\|"), str(line.score),
            *([f"{line.present:.3f}" if line.present is not None else "–"] if has_present else []),
            f"{difference.difference:+.3f}" if difference else "–",
            f"[{difference.low:+.3f}, {difference.high:+.3f}]" if difference else "–",
            f"{line.adjusted_p:.3g}" if line.adjusted_p is not None else "–",
            f"{line.minimum_detectable:.3f}" if line.minimum_detectable is not None else "–",
            f"{line.seconds:.1f}" if math.isfinite(line.seconds) else "–",
            f"{line.trainable:,}" if line.trainable is not None else "–", line.word,
        ]  # fmt: skip


def told(budget: Hashable) -> str:
    """`16 labels`, `without labels`, `all labels`."""
    return "Without labels" if budget == "no" else f"{budget} labels"


def contender_name(contender: tuple[str, str]) -> str:
    """`adapted, linear probe`; baselines and peers have a name of their own."""
    arm, protocol = contender
    if protocol == BASELINE:
        return f"{arm} (no pretraining)"
    return arm if protocol == PEER else f"{arm}, {protocol.replace('-', ' ')}"


def simplicity(contender: tuple[str, str]) -> tuple[int, int, str]:
    """Sorts the simplest first."""
    arm, protocol = contender
    kind = PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
    return kind, ARMS.index(arm) if arm in ARMS else len(ARMS), arm


def contest(results: PairedResults, *, names: Sequence[str] = (), excluded: Sequence[str] = ("random",)) -> Contest:
    """The table and the choices.

    Args:
        results: of all contenders.
        names: of the classes, by number.
        excluded: arms that are shown but not recommended: they answer another question.
    """
    metric = results.metric if isinstance(results.metric, str) else "score"
    lines: list[ContestLine] = []
    choices = []
    units = ""
    for budget in results.budgets:
        contenders = results.at(budget)
        eligible = [one for one in contenders if one[0] not in excluded]
        if not eligible:
            continue
        chosen, best = _choose(results, eligible, budget)
        beside = {one: results.difference(chosen, one, budget) for one in contenders if one != chosen}
        known = [one for one, difference in beside.items() if difference is not None]
        adjusted = dict(zip(known, holm([_p(beside[one]) for one in known]), strict=True))
        found = [_line(results, budget, one, chosen, beside.get(one), adjusted.get(one)) for one in contenders]
        sign = 1 if results.higher_is_better else -1
        lines += sorted(found, key=lambda line: -sign * line.score.mean)
        choices.append(_told_choice(results, budget, chosen, best, found))
        units = units or _units(beside.values())
    return Contest(str(metric), tuple(lines), tuple(choices), _classes(results, names), units)


def _p(difference: PairedDifference | None) -> float:
    return 1.0 if difference is None else difference.p_value


def _common(results: PairedResults, contenders: Sequence[tuple[str, str]], budget: Hashable) -> set[int]:
    """Seeds that all have: the best is looked for among equals."""
    return set.intersection(*(set(results.draws(one, budget)) for one in contenders))


def _best(results: PairedResults, contenders: Sequence[tuple[str, str]], budget: Hashable) -> tuple[str, str]:
    seeds = _common(results, contenders, budget)

    def mean(one: tuple[str, str]) -> float:
        scores = results.scores(one, budget)
        return float(np.mean([scores[seed] for seed in seeds or scores]))

    sign = 1 if results.higher_is_better else -1
    return max(contenders, key=lambda one: sign * mean(one))


def _choose(
    results: PairedResults, contenders: Sequence[tuple[str, str]], budget: Hashable
) -> tuple[tuple[str, str], tuple[str, str]]:
    """The chosen one, and the best one that it was chosen beside."""
    draws = {one: len(results.draws(one, budget)) for one in contenders}
    enough = min(ENOUGH, max(draws.values()))
    measured = [one for one in contenders if draws[one] >= enough]
    best = _best(results, measured, budget)
    chosen = next(
        (one for one in sorted(measured, key=simplicity) if one == best or not _beats(results, best, one, budget)),
        best,
    )
    few = [one for one in contenders if draws[one] < enough and results.difference(chosen, one, budget) is not None]
    few = [one for one in few if _beats(results, one, chosen, budget)]
    if few:
        chosen = best = _best(results, few, budget)
    return chosen, best


def _beats(results: PairedResults, one: tuple[str, str], other: tuple[str, str], budget: Hashable) -> bool:
    """Whether one is better than a simpler one by more than one standard error, or shown to be; True where nobody can tell.

    With fewer than `ENOUGH` shared draws of many, it takes both, and the error over draws is that of the scores themselves. Where
    neither has more draws than are shared, the one that is ahead stands on no fewer than the other, and is not held back.
    """
    difference = results.difference(other, one, budget)
    if difference is None:
        return True
    gain = difference.difference if difference.higher_is_better else -difference.difference
    shown, shared = verdict(difference).shown > 0, len(difference.per_draw)
    error, sides = over_draws(difference), (one, other)
    if shared >= min(ENOUGH, max(len(results.draws(side, budget)) for side in sides)):
        return shown or gain > math.sqrt(difference.standard_error**2 + error)
    spreads = [results.spread(side, budget).sd for side in sides]
    unpaired = sum(sd**2 for sd in spreads if math.isfinite(sd)) / shared
    return shown and gain > math.sqrt(difference.standard_error**2 + max(unpaired, error))


def _line(
    results: PairedResults, budget: Hashable, one: tuple[str, str], chosen: tuple[str, str], difference: PairedDifference | None,
    adjusted: float | None,
) -> ContestLine:  # fmt: skip
    draws = list(results.draws(one, budget).values())
    if one == chosen:
        word = "chosen"
    elif difference is None:
        word = "not compared"
    else:
        shown = verdict(difference, adjusted).shown
        word = {1: "shown to be better", -1: "shown to be worse", 0: _not_told(difference)}[shown]
    known = [row.seconds for row in draws if math.isfinite(row.seconds)]
    return ContestLine(
        budget, *one, results.spread(one, budget), _present(results, draws), difference, None if adjusted is None else float(adjusted),
        None if difference is None else minimum_detectable(difference), word, float(np.mean(known)) if known else math.nan,
        draws[0].trainable,
    )  # fmt: skip


def _not_told(difference: PairedDifference) -> str:
    """Why not, where the interval beside it leaves zero out."""
    over = draw_interval(difference)
    if over is None or over[0] > 0 or over[1] < 0 or difference.low <= 0 <= difference.high:
        return "not told apart"
    return f"not told apart: {len(difference.per_draw)} draws of labels are too few"


def _present(results: PairedResults, draws: Sequence[ResultRow]) -> float | None:
    if results.metric != "f1_macro":
        return None
    score = DECOMPOSABLE["f1_macro_present"]
    return float(np.mean([score(row.load(), results.references) for row in draws]))


def _told_choice(
    results: PairedResults,
    budget: Hashable,
    chosen: tuple[str, str],
    best: tuple[str, str],
    lines: Sequence[ContestLine],
) -> Choice:
    sign = 1 if results.higher_is_better else -1
    by_name = {(line.arm, line.protocol): line for line in lines}
    own = by_name[chosen]
    sentence = f"{own.name}: {own.score}."
    if chosen != best:
        top = by_name[best]
        assert top.difference is not None  # it was compared to be passed over
        sentence += (
            f" {top.name} has {top.score}, which is not told apart from it "
            f"({_interval(top.difference)}; {_too_little(top.difference)}), and costs more."
        )
    for kinds, name in (
        ((BASELINE,), "cheap baseline"),
        (("knn", "linear-probe"), "probe"),
        (("peft", "full"), "fine-tuned model"),
        (("answer",), "answer of finetune"),
    ):
        rivals = [line for line in lines if line.protocol in kinds and line.difference is not None]
        if chosen[1] in kinds or not rivals or best in {(line.arm, line.protocol) for line in rivals}:
            continue
        rival = max(rivals, key=lambda line: sign * line.score.mean)
        sentence += f" The best {name}, {rival.name}, has {rival.score.mean:.3f} ({rival.word}"
        open_ = rival.difference is not None and rival.word.startswith("not told apart")
        sentence += f": {_too_little(rival.difference)})." if open_ and rival.difference else ")."
    word = USES.get(chosen[1], "use it")
    if chosen[1] == BASELINE != best[1]:
        word = AS_GOOD
    return Choice(budget, *chosen, word, sentence)


def _interval(difference: PairedDifference) -> str:
    return f"{difference.difference:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _too_little(difference: PairedDifference) -> str:
    """`cannot tell at 1 draw, 11 test items`."""
    draws, unit = len(difference.per_draw), unit_of(difference)
    return (
        f"cannot tell at {draws} draw{'s' * (draws != 1)}, "
        f"{difference.units:,} test {unit.removesuffix('s') if difference.units == 1 else unit}"
    )


def _units(differences: Iterable[PairedDifference | None]) -> str:
    first = next((one for one in differences if one is not None), None)
    if first is None:
        return ""
    grouped = f" in {first.units:,} groups" if first.units != first.items else ""
    return (
        f"{first.items:,} test items{grouped}; ± is the spread over draws of labels, the interval is over test {unit_of(first)}, "
        "each difference on the draws that both sides have."
    )


def _classes(results: PairedResults, names: Sequence[str]) -> str:
    """Which classes macro-F1 is the mean of: those that are only predicted count with 0."""
    if results.metric != "f1_macro":
        return ""
    there = set(np.unique(np.asarray(results.references)).tolist())
    predicted: dict[Any, int] = {}
    for draws in results.rows.values():
        for rows in draws.values():
            for row in rows.values():
                for name in set(np.unique(np.asarray(row.load())).tolist()) - there:
                    predicted[name] = predicted.get(name, 0) + 1
    if not predicted:
        return f"Macro-F1 is the mean over the {len(there)} classes of the test set."
    known = {number: name for number, name in enumerate(names)}
    shown = ", ".join(
        f"{known.get(name, name)} (by {count} models)"
        for name, count in sorted(predicted.items(), key=lambda item: -item[1])[:5]
    )
    return (
        f"Macro-F1 is the mean over the {len(there)} classes of the test set and, with F1 = 0, over classes that a model predicts "
        f"although the test set has none of them: {shown}. The column beside it leaves those out."
    )


def use_words(found: Contest) -> Mapping[str, str]:
    """Budget → what to use, for `metrics`."""
    return {str(one.budget): f"{one.word}: {contender_name((one.arm, one.protocol))}" for one in found.choices}
