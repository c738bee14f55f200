"""What a few labels and a pool are worth without training a network: every simple way tried, the best one the start.

Frozen vectors of the checkpoint and features that need none are cross-validated on the labels, alone and together, and
with what they teach each other on the pool (`hf_ssl.evaluation.probes.taught`). The winner that a single linear layer can
carry is written into the model: fine-tuning starts there, and may stay there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.evaluation.probes.answering import Conclusion, Material, concluded, scalings
from hf_ssl.evaluation.probes.selection import folds_of
from hf_ssl.evaluation.probes.soft import Head
from hf_ssl.evaluation.probes.taught import TAUGHT, Answered, learn, mixed
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.stages.reading import HEAD, frozen_rows, settable_layer
from hf_ssl.stages.teacher import Teacher, TeacherView
from hf_ssl.training.self_training import Pool

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.cheap import CheapFeatures
    from hf_ssl.modalities.encoder import Features
    from hf_ssl.tasks.base import Task, TaskModule

logger = logging.getLogger(__name__)

MOST_LABELS = 2000
"""Labels that the candidates are fitted and compared on, the same share of every class; more tell little more."""
MOST_ITEMS = 4000
"""Labels and pool together."""
FOLDS, ENOUGH = 3, 300
"""Trainings on parts of the labels before the real one; no more of them once so many labels were asked."""


@dataclass
class Fold:
    """Some labels held out of everything: what the rest of them make of the start and of the teacher.

    Args:
        kept, held: row numbers of the labeled split.
        head: to start from, fitted on the kept ones (and on what their teacher believes of the pool).
        believed: of the pool, by that teacher `(pool, classes)`.
        start, teacher: probabilities of the held ones `(len(held), classes)`.
    """

    kept: np.ndarray
    held: np.ndarray
    head: Head
    believed: np.ndarray
    start: np.ndarray
    teacher: np.ndarray


@dataclass
class Findings:
    """What the candidates' comparison leaves behind. Plain arrays and text, so that one process can tell the others.

    Args:
        head: of the model's last layer, on what reaches it; None where the model has no single one.
        saved: name of the candidate that `head` is.
        reason: why, in a sentence.
        ways: scores of every candidate by cross-validation; empty where nothing could be held out, so that nobody can judge.
        kept: row numbers of the pool that it may learn from, and what the teacher believes of them.
        believed: `(len(kept), classes)`.
        teacher: the vote, or what it became on the pool.
        teacher_ahead: whether the labels say that the teacher answers better than the head.
        labels: examples that were used.
        folds: to find out on whether training the network pays (`hf_ssl.stages.rehearsal`).
        network: scores of the trained network on them, once that was done.
        compared: with what the teacher is ahead of, and where.
    """

    head: Head | None
    saved: str
    reason: str
    ways: dict[str, dict[str, float]]
    kept: np.ndarray
    believed: np.ndarray
    teacher: Teacher
    teacher_ahead: bool
    labels: int
    folds: list[Fold] = field(default_factory=list)
    network: dict[str, float] = field(default_factory=dict)
    compared: str = "the model's start in cross-validation"

    def for_another_domain(self) -> Findings:
        """The same without the vote: labels of one domain cannot put it ahead on another one, which has none."""
        if not self.teacher_ahead:
            return self
        told = (
            "; the vote, ahead in the labels' own domain, does not answer: nothing says how good it is in the target"
        )
        return replace(self, teacher_ahead=False, reason=self.reason + told)

    def to_dict(self) -> dict[str, Any]:
        """What `candidates.json` and the run's ledger hold."""
        return {
            "start": self.saved, "reason": self.reason, "judged": bool(self.ways), "labels": self.labels, "pool": len(self.kept),
            "candidates": self.ways, "teacher": self.teacher.summary(), "teacher_ahead": self.teacher_ahead,
            **({"trained network": self.network} if self.network else {}), "answer": self.teacher.name if self.teacher_ahead else self.saved,
        }  # fmt: skip


def study(
    task: Task[Any],
    module: TaskModule,
    split: datasets.Dataset,
    features: list[Features],
    pool: Pool | None,
    seed: int,
    rehearses: bool = False,
) -> Findings:
    """Try every simple way on the labels, and find the head to start from.

    Args:
        task: with classes.
        module: its model as loaded, nothing trained.
        split, features: labeled examples, and the same encoded.
        pool: unlabeled examples, if there are any.
        seed: of folds and samples.
        rehearses: whether folds are wanted to train the network on.
    """
    classes, column = len(task.label_names), task.modality.column
    y = np.asarray(split[task.label_column])
    chosen = stratified(y, MOST_LABELS, seed)
    rest = pool.without(split["id"]) if pool is not None else None
    kept = _sampled(0 if rest is None else len(rest), MOST_ITEMS - len(chosen), seed)
    examples = rest.select(kept) if rest is not None else None
    vectors = _vectors(task, module, [features[row] for row in chosen], pool, examples)
    values = [*split.select(chosen)[column], *(examples[column] if examples is not None else [])]
    scaled = {name: scalings(rows, name != HEAD) for name, rows in vectors.items()}
    weights = {name: module.encoder.reading_weights.get(name, 1.0) for name in scaled}
    cheap = task.modality.cheap_features()
    for one in cheap:
        one.fit(values)
        scaled[one.name], weights[one.name] = scalings(one.rows(values), one.standardize), one.weight
    material = Material(
        scaled, HEAD, frozenset(vectors), weights, frozenset(one.name for one in cheap if one.ridge), module.encoder.frozen_share,
        _is_untrained(module),
    )  # fmt: skip
    groups = [str(split[int(row)]["group"]) for row in chosen] if "group" in split.column_names else None
    pooled = np.arange(len(chosen), len(values))
    said = concluded(material, y[chosen], pooled, classes, groups, seed)
    is_taught = said.saved == TAUGHT
    return Findings(
        said.spaces[HEAD].raw(said.head) if settable_layer(module, classes) is not None else None, said.saved, said.reason,
        {name: _scores(way) for name, way in said.trial.ways.items()},
        kept if is_taught else kept[:0], said.lesson.believed if is_taught else said.lesson.believed[:0],
        _teacher(module, said, material, cheap, [str(name) for name in task.label_names]), said.is_ahead, len(chosen),
        _folds(said, y, chosen, pooled, classes, groups, seed) if rehearses else [],
    )  # fmt: skip


def _vectors(
    task: Task[Any], module: TaskModule, features: list[Features], pool: Pool | None, examples: datasets.Dataset | None
) -> dict[str, np.ndarray]:
    """Frozen readings of labeled examples, then of the pool; `HEAD` is what reaches the last layer once the rest of it is set."""
    vectors, fits = frozen_rows(module, features), module.encoder.fits_head
    if pool is not None and examples is not None and len(examples):
        # What is fitted below takes the place of the one reading that another fit's random layers would have made.
        apart = pool.read(
            examples, lambda some: frozen_rows(module, task.encode(module.encoder, some)), fits or _is_pure(module)
        )
        vectors = {name: np.concatenate([rows, apart[name]]) for name, rows in vectors.items()}
    return module.encoder.fit_head(vectors, HEAD)


def _folds(
    said: Conclusion, y: np.ndarray, chosen: np.ndarray, pooled: np.ndarray, classes: int, groups: list[str] | None, seed: int
) -> list[Fold]:  # fmt: skip
    """As many as are needed to ask enough labels, each with what was learned without them."""
    found: list[Fold] = []
    truth, views, recipe = y[chosen], said.views, said.trial.recipe
    for kept, held in folds_of(truth, groups, seed, folds=FOLDS):
        if sum(len(fold.held) for fold in found) >= ENOUGH:
            break
        lesson = learn(views, recipe, kept, truth[kept], pooled, classes)
        head, heads = lesson.head if said.saved == TAUGHT else lesson.vote[HEAD], said.heads(lesson)
        answers = {name: one.answers(views[name][held]) for name, one in heads.items()}
        found.append(
            Fold(chosen[kept], chosen[held], said.spaces[HEAD].raw(head), lesson.believed, head.answers(views[HEAD][held]),
                 mixed(answers, recipe.shares))
        )  # fmt: skip
    return found


def _scores(way: Answered) -> dict[str, float]:
    return {
        "accuracy": round(way.accuracy, 4), "macro_f1": round(way.macro_f1, 4), "log_loss": round(way.log_loss, 4)
    }  # fmt: skip


def _teacher(
    module: TaskModule, said: Conclusion, material: Material, cheap: list[CheapFeatures], classes: list[str]
) -> Teacher:
    heads, shares = said.heads(said.lesson), said.trial.recipe.shares
    states = {one.name: one.state() for one in cheap}
    views = [
        TeacherView(name, material.kinds[name], shares[name], space.raw(heads[name]), states.get(name, {}))
        for name, space in said.spaces.items()
        if shares[name] > 0
    ]
    new = set(module.encoder.report.missing)
    extra = {name: one.detach().cpu().clone() for name, one in module.model.state_dict().items() if name in new}
    return Teacher(views, classes, said.asked, module.encoder.ref, extra)


def _is_untrained(module: TaskModule) -> bool:
    """Whether the checkpoint is random weights that `from_config` made."""
    own = module.encoder.ref.file(LINEAGE)
    return own is not None and bool(read_json(own).get("untrained"))


def stratified(y: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Row numbers, in order: all, or about `most` of them with the same share of every class and at least one of each."""
    if len(y) <= most:
        return np.arange(len(y))
    rng = np.random.default_rng(seed)
    share = most / len(y)
    parts = [rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
    return np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in parts]))


def _sampled(count: int, most: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(count)[: max(0, most)])


def _is_pure(module: TaskModule) -> bool:
    """Whether what reaches the last layer depends on the checkpoint alone, so that it may be kept for other fits."""
    layer = settable_layer(module, len(module.task.label_names))
    own = {name for name, one in module.model.named_modules() if one is layer}
    return all(name.rpartition(".")[0] in own for name in module.encoder.report.missing) or (
        getattr(module.encoder, "head", None)
        is not None  # the mean of the states, whatever the rest of the head holds
    )
