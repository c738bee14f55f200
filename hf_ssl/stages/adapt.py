"""One command for the whole story: read, try what the time allows, keep the best, measure it once."""

from __future__ import annotations

import dataclasses
import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed
from hf_ssl.core.errors import HfSslError, RunFolderError, TrainingError
from hf_ssl.core.log import quietly
from hf_ssl.core.run import ATTEMPTS, RunDir, write_json
from hf_ssl.core.timing import seconds_of, told
from hf_ssl.data.domain import DomainData
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.attempts import BECOMES, LEFT_OUT, RELEASED, Attempt, Journal, promote, score_of
from hf_ssl.stages.auto_objective import (
    FOR_ALL,
    ObjectiveChoice,
    chosen_objective,
    forget,
    is_auto,
    objectives_for,
    trial_options,
    unjudged,
)
from hf_ssl.stages.base import prepare_stage
from hf_ssl.stages.embed import embed
from hf_ssl.stages.evaluate import evaluate
from hf_ssl.stages.finetune import finetune
from hf_ssl.stages.pace import Pace
from hf_ssl.stages.pretrain import pretrain
from hf_ssl.stages.result import StageResult
from hf_ssl.training.deadline import until
from hf_ssl.training.limit import limited

if TYPE_CHECKING:
    from hf_ssl.core.options import AdaptConfig
    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

FIRST_SHARE = 0.4
"""Of the budget, at most so much goes to the first fine-tuning: another way takes as long again, after its pre-training."""
FEWEST_STEPS = 20
"""A continued pre-training of fewer steps tells nothing."""
LONGER = 4
"""The last objective that is tried gets what time is left, up to so many times the steps that it would take by itself."""
SPARE = 1.15
"""Another fine-tuning may take so much longer than the first one did."""
ENOUGH_STEPS = 300
"""Of a small pool, so many are taken although they are more epochs than the objective would take by itself."""
TRIALS, LOOK = "trials", 6
CHOOSING_SHARE, TRIAL_STEPS = 0.3, 40
"""With `objective="auto"`: share of the time for trials of all objectives, and most steps of each."""


def adapt(**options: Any) -> StageResult:
    """Adapt a model to your data within a time budget, and keep what is best.

    In the order that tells most: the checkpoint as it was released is fine-tuned on the labels; then its pre-training is continued
    on the pool, by as many steps as the time allows, and the result is fine-tuned likewise. What wins on the labels (continued
    pre-training has to be better both by its own measurements and by the fine-tuned model's cross-validation) becomes the run's
    model, and is measured on the test split, once. Without labels, pre-training and vectors are all there is.

    Ctrl-C keeps the best so far; `resume` goes on with what was not tried, also for want of time, and `budget` counts anew. Without
    it a folder in which this was done is left as it is, and one in which it was stopped is refused.

    Args:
        options: those of `hf_ssl.core.options.AdaptConfig`.

    Returns:
        `path`: the run folder, where `predict`, `push`, `compare` and `embed` go on; `metrics`: the attempts, which one was kept, and
        its numbers on test data.

    Raises:
        HfSslError: the data or the checkpoint cannot be used.
        RunFolderError: the folder holds attempts with other data or options, stopped ones, or stages that would be replaced.
    """
    began = time.monotonic()
    opening = prepare_stage("adapt", options, extends=True)
    config: AdaptConfig = opening.config
    run = opening.run
    journal = Journal.open(run.path / "adapt" / ATTEMPTS, config.resume)
    if opening.done is not None:
        return replace(opening.done, path=run.path)
    _spare_other_work(run, config.overwrite)
    with opening.around() as record:
        if not journal.attempts:
            _clear(run)
        pace = Pace.measured(CheckpointRef(str(config.model), config.revision), opening.modality, opening.data)
        end = began + seconds_of(config.budget)
        work = _Work(config, opening.data, opening.modality, run, journal, end, pace)
        stopped = work.carry_out()
        record.metrics = work.finish()
        if stopped is not None:
            raise stopped
    return StageResult(run.path, record.metrics)


def _spare_other_work(run: RunDir, overwrite: bool) -> None:
    """What becomes the run's model takes the place of these stages, which must not be somebody's hours of work."""
    made = [name for name in BECOMES if run.stage(name).status != "absent"]
    if made and run.stage("adapt").status == "absent" and not overwrite:
        raise RunFolderError(
            f"{run.path} holds a {' and a '.join(made)} that adapt did not make and would replace. "
            "Name a new folder with --output, or let it be replaced with --overwrite."
        )


def _clear(run: RunDir) -> None:
    """Away with attempts that this call does not go on from."""
    if distributed.is_main():
        for name in (TRIALS, "adapt"):
            shutil.rmtree(run.path / name, ignore_errors=True)
    distributed.barrier()


@dataclass
class _Work:
    """What all attempts share."""

    config: AdaptConfig
    data: DomainData
    modality: Modality
    run: RunDir
    journal: Journal
    end: float
    pace: Pace
    wanted: float = 0.0  # seconds that the last objective looked at needs for the fewest steps; 0: not known

    @property
    def labeled(self) -> bool:
        return "train" in self.data

    @property
    def left(self) -> float:
        """Seconds until the test split has to be measured (or vectors made); the same in all processes."""
        last = (
            self.pace.whole(self.data, "test")
            if self.labeled
            else sum(self.pace.whole(self.data, name) for name in self.data)
        )
        return float(distributed.broadcast(self.end - time.monotonic() - 1.2 * last))

    def carry_out(self) -> KeyboardInterrupt | None:
        """All attempts; returns what stopped them, where one of them has a result by then."""
        try:
            for attempt in self.planned():
                self.make(attempt)
        except KeyboardInterrupt as stop:
            if self.journal.best is None:
                raise
            logger.warning("stopped: the best so far becomes the run's model")
            return stop
        return None

    def planned(self) -> Iterator[Attempt]:
        """Attempts that are worth their time, each made before the next is asked for."""
        done = self.journal.attempts
        first = done.get(RELEASED)
        if self.labeled and (first is None or not first.outcome):
            yield Attempt(RELEASED)
        if "unlabeled" not in self.data:
            logger.info("adapt: no unlabeled data, so pre-training cannot be continued. Name some with --unlabeled")
            return
        names = self._objectives()
        # Others take what time is left over, in this order.
        more = [name for name in FOR_ALL if name not in names] if self.labeled and not self.config.objective else []
        for place, name in enumerate([*names, *more]):
            if name in done and done[name].outcome:
                continue
            if not self.labeled and any(one.outcome == "done" for one in done.values()):
                return  # there is nothing to choose by, so one has had all the time
            again = SPARE * done[RELEASED].seconds if self.labeled else 0.0
            left = self.left - again
            if name in more and left < again:
                return  # not worth a word: nobody asked for it
            # A pre-training much shorter than a fine-tuning changes little: rather one objective than several such.
            several = int(left / (again / 2)) if again else 1
            others = min(len(names) - place, max(1, several)) if name in names else 1
            begun = done.get(name)
            steps = (
                begun.steps if begun is not None else self._steps(name, left / others, LONGER if others == 1 else 1)
            )
            share = left / others
            if steps < FEWEST_STEPS and begun is None:
                if name in more:
                    return
                said = f"{steps} of at least {FEWEST_STEPS} steps fit; try --resume --budget {self._enough(share, len(names) - place)}"
                self.journal.note(Attempt(name, outcome=f"{LEFT_OUT}{said}"))
                logger.info(f"adapt: {name} is not tried: into the {told(max(0, share))} that are left for it {said}")
                continue
            yield Attempt(name, steps)

    def _enough(self, share: float, objectives: int) -> str:
        """A budget in which as many objectives as are left get their fewest steps: by the pace of the last look.

        Without a look, each is taken to need what the first fine-tuning took, and its own fine-tuning as much again.
        """
        whole, first = seconds_of(self.config.budget), self.journal.attempts.get(RELEASED)
        needed = self.wanted - share if self.wanted else 2 * (first.seconds if first else 0.0)
        lacking = 1.2 * objectives * max(0.0, needed)
        return f"{math.ceil(max(2 * whole, whole + lacking) / 60)}m"

    def _objectives(self) -> list[str]:
        """The one that was asked for, those that suit, or what labels choose among them."""
        if not is_auto({"objective": self.config.objective}):
            return [self.config.objective] if self.config.objective else objectives_for(self.config, self.modality)
        file = self.run.path / "adapt" / "objective.json"
        if self.config.resume and file.is_file():
            return [str(read_json(file)["name"])]
        choice = self._choice([*objectives_for(self.config, self.modality), *FOR_ALL])
        logger.info(choice.told())
        write_json(file, asdict(choice))
        return [choice.name]

    def _choice(self, names: list[str]) -> ObjectiveChoice:
        """Short trials within a share of the time, all of them of as many steps."""
        if not self.labeled:
            return unjudged(names, "there are no labels")
        share = CHOOSING_SHARE * self.left / len(names)
        fitting = {name: self._steps(name, share) for name in names}
        able = [name for name in names if fitting[name] >= FEWEST_STEPS]
        if len(able) < 2:
            return unjudged(able or names, f"the time is too short to try {len(names)} objectives")
        steps = min(TRIAL_STEPS, *(fitting[name] for name in able))

        def begin(name: str) -> StageResult:
            place = self.run.path / TRIALS / f"{name}-trial"
            try:
                shared = {**self._shared(place), **self._start(), "objective": name}
                return pretrain(**{**shared, **trial_options(steps)})
            finally:
                forget(place)

        return chosen_objective(able, begin, steps)

    def make(self, attempt: Attempt) -> None:
        """Carry it out in its own folder; one that cannot be made is noted, and the others go on."""
        began = time.monotonic()
        logger.info(
            f"adapt: {attempt.name}"
            + (f", {attempt.steps:,} steps" if attempt.steps else "")
            + f", {told(self.left)} left"
        )
        self.journal.note(attempt)
        share = FIRST_SHARE if attempt.name == RELEASED and "unlabeled" in self.data else 1.0
        seconds = share * self.left
        try:
            with until(time.monotonic() + seconds):
                self._made(attempt, seconds)
        except HfSslError as error:
            if attempt.name == RELEASED:  # nothing can be made of these data
                raise
            attempt.outcome = f"failed: {str(error).splitlines()[0]}"
            logger.warning(f"{attempt.name} {attempt.outcome}")
        attempt.seconds = round(time.monotonic() - began, 1)
        self.journal.note(attempt)

    def _made(self, attempt: Attempt, seconds: float) -> None:
        folder = self.run.path / TRIALS / attempt.name
        shared, first = self._shared(folder), self.journal.attempts.get(RELEASED)
        if attempt.steps:
            there = RunDir(folder).stage("pretrain")
            if not there.done:
                resumed = {**shared, "resume": there.status != "absent"}
                with until(time.monotonic() + max(1.0, self.left - SPARE * (first.seconds if first else 0.0))):
                    pretrain(**resumed, **self._start(), objective=attempt.name, max_steps=attempt.steps)
            made = RunDir(folder).stage("pretrain").metrics
            attempt.kept = str(made.get("outcome", ""))
            if made.get("kept_step") == 0 and first is not None and first.outcome == "done":
                # The start was kept, and how good that is when it is fine-tuned is known.
                attempt.score, attempt.measured, attempt.outcome = first.score, first.measured, "done"
                return
        start = {} if attempt.steps else self._start()
        if self.labeled:
            there = RunDir(folder).stage("finetune")
            if not there.done:
                if not attempt.tuning:
                    # All attempts are tuned alike, so that they differ in one thing only: as the first one could be.
                    same = first is not None and first is not attempt and first.outcome == "done"
                    attempt.tuning = first.tuning if same and first else self._tuning(seconds)
                    self.journal.note(attempt)
                finetune(**{**shared, **start, **attempt.tuning, "resume": there.status != "absent"})
            attempt.score, attempt.measured = score_of(RunDir(folder).stage("finetune"))
        else:
            attempt.score, attempt.measured = 0.0, "no labels"
        attempt.outcome = "done"

    def _tuning(self, seconds: float) -> dict[str, Any]:
        given = {"peft": self.config.peft, **({} if self.config.task is None else {"task": self.config.task})}
        fitting = self.pace.tuning(self.data, seconds, self.config.peft)
        if fitting:
            shown = ", ".join(f"{name} {value}" for name, value in fitting.items())
            logger.info(f"adapt: a whole fine-tuning does not fit into {told(seconds)}; this one has {shown}")
        return {**given, **fitting}

    def _shared(self, folder: Path) -> dict[str, Any]:
        own = {item.name for item in dataclasses.fields(type(self.config))}
        kept = {"modality", "modality_options", "seed", "dtype", "text_pair_column"} & own
        return {**{name: getattr(self.config, name) for name in kept}, "data": self.data, "output": str(folder)}

    def _start(self) -> dict[str, Any]:
        return {"model": self.config.model, "revision": self.config.revision}

    def _steps(self, objective: str, seconds: float, longer: int = 1) -> int:
        """How many steps of pre-training fit, by trying a few.

        No more than the objective would take by itself, or `ENOUGH_STEPS`; `longer` times as many at the most.
        """
        self.wanted = 0.0
        if seconds <= 0:
            return 0
        began = time.monotonic()
        folder = self.run.path / TRIALS / f"{objective}-look"
        try:
            with limited(LOOK) as trial, until(time.monotonic() + seconds), quietly():
                pretrain(
                    **self._shared(folder), **self._start(), objective=objective, monitor_points=1, overwrite=True
                )
        except HfSslError as error:
            logger.info(f"adapt: {objective} cannot be tried ({str(error).splitlines()[0]})")
            return 0
        finally:
            forget(folder)
        took = time.monotonic() - began
        fit = trial.fits[0]
        opening = max(0.0, took - fit.seconds)  # loading, tokenizing, and the first measurements come again
        self.wanted = took + opening + 5 * fit.measured + FEWEST_STEPS * fit.per_step
        free = seconds - took - opening - 5 * fit.measured
        return int(
            distributed.broadcast(
                min(longer * max(fit.planned, ENOUGH_STEPS), int(max(0.0, free) / max(fit.per_step, 1e-6)))
            )
        )

    def finish(self) -> dict[str, Any]:
        """Make the best attempt the run's own, measure it, and say what was found."""
        best = self.journal.best
        if best is None:
            reasons = "; ".join(f"{one.name}: {one.outcome}" for one in self.journal.attempts.values())
            raise TrainingError(
                f"Nothing could be made within {self.config.budget} ({reasons}). Give a larger --budget."
            )
        promote(self.run.path / TRIALS / best.name, self.run)
        distributed.barrier()
        metrics: dict[str, Any] = {
            "kept": best.name,
            "why": self._why(best),
            "attempts": [asdict(one) for one in self.journal.attempts.values()],
        }
        if untrained := self.run.stage("finetune").outputs.get("untrained"):
            metrics["training"] = untrained
        shared = {**self._shared(self.run.path), "data": self.data}
        if self.labeled and "test" in self.data:
            metrics["test"] = evaluate(**shared).metrics
        elif not self.labeled:
            metrics["vectors"] = embed(**shared).metrics["vectors"]
        write_json(self.run.path / "adapt" / "result.json", metrics)
        self._tell(best, str(metrics["why"]))
        return metrics

    def _why(self, best: Attempt) -> str:
        if best.name != RELEASED:
            first = RELEASED in self.journal.attempts
            return "continued pre-training helped" if first else "there are no labels to compare by"
        others = [one for one in self.journal.attempts.values() if one.name != RELEASED and one.outcome == "done"]
        if others:
            return "continued pre-training was not shown to help"
        left = [one.outcome for one in self.journal.attempts.values() if "--budget" in one.outcome]
        return "no other way could be tried in this time" + (f" ({left[0].removeprefix(LEFT_OUT)})" if left else "")

    def _tell(self, best: Attempt, why: str) -> None:
        rows = [(one.name, "-" if one.score is None else f"{one.score:.3f}", told(one.seconds), one.kept or one.outcome)
                for one in self.journal.attempts.values()]  # fmt: skip
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = "\n".join(
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
            for row in rows
        )
        measured = f" ({best.measured})" if best.measured else ""
        logger.info(
            f"adapt: what was tried{measured}\n{table}\nkept: {best.name}; {why}. Model: {self.run.output('finetune') or self.run.output('pretrain')}"
        )
