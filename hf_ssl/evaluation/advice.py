"""From what was measured between two domains to what is worth trying first, with reasons and doubts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

CHOICES = {
    "as-released": "use the checkpoint as it is: fine-tune it on the labels",
    "task-adaptive": "continue self-supervised pre-training on the pool, which is like the data you test on",
    "domain-adaptive": "continue self-supervised pre-training on the other domain's data",
    "adversarial": "fine-tune with domains made alike, beside continued pre-training",
    "another-checkpoint": "start from another checkpoint, one made for this kind of data",
}
APART, SURE = 0.5, 0.05
"""Proxy A-distance and p-value from which domains count as apart."""
SMALL_POOL, FEW = 500, 100
HIGH_FERTILITY, HIGH_UNKNOWN = 2.5, 0.02
CLEAR_MARGIN = 2


@dataclass(frozen=True)
class Evidence:
    """What the advice looks at; None: not measured.

    Args:
        between: `"pool and test"`, or other domains.
        distance, p_value: proxy A-distance of the checkpoint's features, and its permutation p-value.
        baseline_distance: that of features without a checkpoint.
        examples: of the smaller side.
        pool: unlabeled examples there are.
        has_labels: whether there are labels to fine-tune on.
        loss_shift, loss_error: of the checkpoint's own objective, second side minus first, and its standard error.
        own_kind, own_shift, own_error: the same against data of the kind that the checkpoint was made from, and what those are.
        fertility, unknown: tokens per word and share of unknown tokens on the worse side.
        probe, probe_error, baseline_probe: cross-validated scores of the labels on features of the checkpoint and without.
        tuned: why the start looks tuned with labels.
        duplicates: examples that the two sides share.
    """

    between: str
    distance: float
    p_value: float
    examples: int
    pool: int
    has_labels: bool
    baseline_distance: float | None = None
    loss_shift: float | None = None
    loss_error: float | None = None
    own_kind: str = ""
    own_shift: float | None = None
    own_error: float | None = None
    fertility: float | None = None
    unknown: float | None = None
    probe: float | None = None
    probe_error: float | None = None
    baseline_probe: float | None = None
    tuned: str | None = None
    duplicates: int = 0

    @property
    def apart(self) -> bool:
        """Whether the two sides are different to the checkpoint."""
        return self.p_value < SURE and self.distance > APART


@dataclass(frozen=True)
class Advice:
    """What to try first.

    Args:
        choice: one of `CHOICES`.
        confidence: `"low"`, `"medium"` or `"high"`: how clearly it stands before the next, and on how much.
        reasons: for every choice that has some, in the reader's words.
        doubts: what could make it wrong.
    """

    choice: str
    confidence: str
    reasons: dict[str, list[str]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def text(self) -> str:
        """A few lines for a reader."""
        lines = [f"Try first: {self.choice}: {CHOICES[self.choice]}. (confidence: {self.confidence})"]
        for name in sorted(self.reasons, key=lambda name: name != self.choice):
            lines += [f"  {'for' if name == self.choice else name}: {reason}" for reason in self.reasons[name]]
        return "\n".join([*lines, *(f"  doubt: {doubt}" for doubt in self.doubts)])


def advise(evidence: Evidence) -> Advice:
    """Weigh rules of thumb; each is a tendency of the literature, none has seen your task."""
    points = dict.fromkeys(CHOICES, 0)
    reasons: dict[str, list[str]] = {}
    for choice, weight, reason in _arguments(evidence):
        points[choice] += weight
        reasons.setdefault(choice, []).append(reason)
    ranked = sorted(points, key=lambda name: (-points[name], list(CHOICES).index(name)))
    margin = points[ranked[0]] - points[ranked[1]]
    unclear = SURE / 5 < evidence.p_value < 2 * SURE or evidence.examples < FEW
    confidence = "low" if unclear or margin == 0 else "high" if margin >= CLEAR_MARGIN + 1 else "medium"
    return Advice(ranked[0], confidence, reasons, list(_doubts(evidence)))


def _arguments(seen: Evidence) -> Iterator[tuple[str, int, str]]:
    apart = f"{seen.between} are apart (distance {seen.distance:.2f} of 2, p {seen.p_value:.3f})"
    if not seen.apart:
        alike = f"{seen.between} look alike to the checkpoint (distance {seen.distance:.2f}, p {seen.p_value:.3f})"
        if seen.between == "pool and test":
            yield "task-adaptive", 2, f"{alike}: what is learned on the pool holds there"
        else:
            yield "as-released", 2, f"{alike}: there is no gap to close"
    elif seen.between == "pool and test":
        yield (
            "domain-adaptive",
            2,
            f"{apart}: unlabeled data that are like the test data would help more than this pool",
        )
    else:
        yield "domain-adaptive", 2, f"{apart}; continued pre-training on the second is the steadier remedy"
        if seen.has_labels:
            yield (
                "adversarial",
                2,
                f"{apart}, and only the first has labels: features that hide the domain may carry over",
            )
    if seen.loss_shift is not None and seen.loss_error is not None and seen.loss_shift > 2 * seen.loss_error:
        yield (
            "domain-adaptive",
            2,
            f"its own objective does worse on the second by {seen.loss_shift:.3f} ± {seen.loss_error:.3f}",
        )
    if seen.own_shift is not None and seen.own_error is not None:
        told = f"than on {seen.own_kind}, by {seen.own_shift:+.3f} ± {seen.own_error:.3f}"
        if seen.own_shift > 2 * seen.own_error:
            there = "task-adaptive" if seen.between == "pool and test" and not seen.apart else "domain-adaptive"
            yield there, 1, f"its own objective does worse on these data {told}: there is something to learn"
        else:
            yield (
                "as-released",
                1,
                f"its own objective does no worse on these data {told}: there may be little to learn",
            )
    if (seen.fertility or 0) > HIGH_FERTILITY or (seen.unknown or 0) > HIGH_UNKNOWN:
        told = f"its vocabulary cuts the texts into {seen.fertility or 0:.2f} tokens a word, {seen.unknown or 0:.1%} unknown"
        yield "another-checkpoint", 2, f"{told} (or pretrain --new_words)"
    if seen.tuned:
        yield (
            "as-released",
            3,
            f"the start was tuned with labels ({seen.tuned}): unsupervised training usually hurts it",
        )
    if seen.pool < SMALL_POOL:
        yield "as-released", 2, f"a pool of {seen.pool:,} is small for continued pre-training"
    if seen.probe is not None and seen.baseline_probe is not None:
        told = f"a probe reaches {seen.probe:.3f} on its features, {seen.baseline_probe:.3f} without any checkpoint"
        if seen.baseline_probe >= seen.probe + (seen.probe_error or 0):
            yield "another-checkpoint", 3, told


def _doubts(seen: Evidence) -> Iterator[str]:
    yield "rules of thumb, not a measurement of your task: `hf-ssl compare` is one"
    if seen.duplicates:
        yield f"{seen.duplicates:,} examples are on both sides; without them the distance is larger and scores are lower"
    if seen.examples < FEW:
        yield f"{seen.examples} examples on the smaller side are few"
    if SURE / 5 < seen.p_value < 2 * SURE:
        yield f"p = {seen.p_value:.3f} is near the line; another --seed may fall on its other side"
    if seen.loss_shift is None:
        yield "the loss of its own objective was not measured"
    elif seen.own_shift is None:
        yield "its loss on the kind of data that it was made from is not known: --reference"
    if seen.apart and seen.baseline_distance is not None and seen.baseline_distance > APART:
        yield f"features without any checkpoint tell the two apart as well ({seen.baseline_distance:.2f}): the gap may be one of form"
    if seen.probe is None:
        yield "there were no labels to ask how good its features are"
