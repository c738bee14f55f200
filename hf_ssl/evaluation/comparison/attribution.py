"""How much came from what: differences between arms that differ in one thing.

Every step is a question of its own, so Holm's adjustment is over the budgets of a step, as it is over the budgets of a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hf_ssl.evaluation.comparison.paired import PairedDifference, holm
from hf_ssl.evaluation.comparison.results import NO_LABELS, PairedResults
from hf_ssl.evaluation.comparison.verdict import ONE_MODEL, Verdict, minimum_detectable, verdict

ARM_STEPS = (
    ("the start's own pre-training", "random", "base"),
    ("continued SSL", "base", "adapted"),
    ("continued SSL with LoRA", "base", "adapted-lora"),
    ("LoRA instead of all weights, in SSL", "adapted", "adapted-lora"),
    ("pseudo-labels, on the start", "base", "self-training"),
    ("pseudo-labels, after SSL", "adapted", "adapted+self-training"),
    ("continued SSL, under pseudo-labels", "self-training", "adapted+self-training"),
    ("domain-adversarial training", "base", "domain-adversarial"),
    ("domain-adversarial training, after SSL", "adapted", "adapted+domain-adversarial"),
)
"""What is asked, the arm without it, the arm with it; both learn from the labels in the same way."""
TWINS = {("base", "adapted"), ("self-training", "adapted+self-training")}
"""Arms that start from the same weights, and differ in nothing, where pre-training kept its start."""
PROTOCOL_STEPS = (
    ("fine-tuning instead of a frozen probe", "linear-probe", "peft"),
    ("all weights instead of a frozen probe", "linear-probe", "full"),
    ("adapters instead of all weights, in fine-tuning", "full", "peft"),
    ("rehearsal, and the vote or the teacher beside the network", "peft", "answer"),
    ("the answer of finetune instead of a frozen probe", "linear-probe", "answer"),
)
"""What is asked, the protocol without it, the protocol with it; the arm is the same."""


@dataclass(frozen=True)
class AttributionLine:
    """One step at one budget.

    Args:
        step: what is asked.
        fixed: what both sides have in common: the protocol, or the arm.
        before, after: arm and protocol on either side.
        labels_saved: how many labels fewer the second side needs for the same score, read off the first side's curve: as it
            was found, and at both ends of the interval. None where the curve does not reach that far.
    """

    step: str
    fixed: str
    before: tuple[str, str]
    after: tuple[str, str]
    budget: Any
    difference: PairedDifference
    adjusted_p: float
    minimum_detectable: float
    verdict: Verdict
    labels_saved: tuple[float | None, float | None, float | None] | None = None


def attribute(results: PairedResults, sizes: Mapping[Any, float], *, one_model: bool = False) -> list[AttributionLine]:
    """All steps for which both sides were measured.

    Args:
        results: of all arms and protocols.
        sizes: budget → labels (per class where labels are classes), for the labels saved.
        one_model: pre-training kept its start.
    """
    questions: list[tuple[str, str, tuple[str, str], tuple[str, str]]] = []
    protocols = list(dict.fromkeys(protocol for _, protocol in results.rows))
    arms = list(dict.fromkeys(arm for arm, _ in results.rows))
    for step, before, after in ARM_STEPS:
        questions += [(step, protocol, (before, protocol), (after, protocol)) for protocol in protocols]
    for step, before, after in PROTOCOL_STEPS:
        questions += [(step, arm, (arm, before), (arm, after)) for arm in arms]
    lines: list[AttributionLine] = []
    for step, fixed, first, second in questions:
        if first in results.rows and second in results.rows:
            found = _step(results, sizes, step, fixed, first, second)
            twins = one_model and (first[0], second[0]) in TWINS
            lines += [replace(line, verdict=ONE_MODEL, labels_saved=None) for line in found] if twins else found
    return lines


def _step(
    results: PairedResults, sizes: Mapping[Any, float], step: str, fixed: str, first: tuple[str, str], second: tuple[str, str]
) -> list[AttributionLine]:  # fmt: skip
    found = {budget: results.difference(first, second, budget) for budget in results.budgets}
    known = {budget: difference for budget, difference in found.items() if difference is not None}
    adjusted = holm([difference.p_value for difference in known.values()])
    curve = {
        sizes[budget]: results.spread(first, budget).mean
        for budget in known if budget != NO_LABELS and budget in sizes
    }  # fmt: skip
    lines = []
    for (budget, difference), p in zip(known.items(), adjusted, strict=True):
        line = AttributionLine(
            step,
            fixed,
            first,
            second,
            budget,
            difference,
            float(p),
            minimum_detectable(difference),
            verdict(difference, float(p)),
        )
        if budget in sizes and len(curve) > 1:
            line = replace(line, labels_saved=_saved(curve, sizes[budget], difference))
        lines.append(line)
    return lines


def _saved(
    curve: Mapping[float, float], size: float, difference: PairedDifference
) -> tuple[float | None, float | None, float | None] | None:
    ends = (difference.difference, difference.low, difference.high)
    if not difference.higher_is_better:
        ends = (difference.difference, difference.high, difference.low)
    own = curve[size]
    needed = [labels_for(curve, own + end, higher_is_better=difference.higher_is_better) for end in ends]
    saved = [None if labels is None else round(labels - size, 1) for labels in needed]
    return (saved[0], saved[1], saved[2]) if any(one is not None for one in saved) else None


def labels_for(curve: Mapping[float, float], score: float, *, higher_is_better: bool = True) -> float | None:
    """Labels at which a learning curve reaches a score, interpolated over the logarithm of the labels.

    Args:
        curve: labels → score.

    Returns:
        None where it never does, or did before its first point.
    """
    sign = 1 if higher_is_better else -1
    points = sorted((size, sign * value) for size, value in curve.items())
    wanted = sign * score
    for (size, value), (next_size, next_value) in zip(points, points[1:], strict=False):
        if value <= wanted <= next_value:
            share = 0.0 if next_value == value else (wanted - value) / (next_value - value)
            return math.exp(math.log(size) + share * (math.log(next_size) - math.log(size)))
    return None


COLUMNS = ("step", "with", "labels", "difference", "95% interval", "p (Holm)", "could be shown", "labels saved")
"""Of a table of attribution lines, before its verdict."""


def as_markdown(lines: Sequence[AttributionLine]) -> str:
    """A table, one line per step and budget."""
    head = [*COLUMNS, "verdict"]
    rows = [
        [
            line.step, line.fixed, str(line.budget), f"{line.difference.difference:+.3f}",
            f"[{line.difference.low:+.3f}, {line.difference.high:+.3f}]", f"{line.adjusted_p:.3g}",
            f"{line.minimum_detectable:.3f}", saved_text(line.labels_saved), line.verdict.word,
        ]
        for line in lines
    ]  # fmt: skip
    ruler = ["---", "---", *["---:"] * (len(head) - 3), "---"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ruler, *rows])


def saved_text(saved: Sequence[float | None] | None) -> str:
    """`12 (3 to 25)`; ends that the curve does not reach are left open."""
    if saved is None or saved[0] is None:
        return "–"
    low, high = ("?" if end is None else f"{end:.0f}" for end in saved[1:])
    return f"{saved[0]:.0f} ({low} to {high})"
