"""The stage that answers: what helped, and what to use?"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.compare_options import TUNED, CompareConfig
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import remove
from hf_ssl.core.timing import seconds_of
from hf_ssl.data import open_test
from hf_ssl.data.budgets import budgets_of, labels_in
from hf_ssl.data.label_kinds import kind_of
from hf_ssl.evaluation.comparison.results import ResultRow
from hf_ssl.models.pooling import Pooling
from hf_ssl.stages import arms as arms_of_run
from hf_ssl.stages.answers import Answers, answers_of
from hf_ssl.stages.arms import Arm
from hf_ssl.stages.base import StageContext, prepare_stage, start_of
from hf_ssl.stages.build import build_task, task_rows
from hf_ssl.stages.cells import Cell, CellStore, Clock, by_what_they_tell
from hf_ssl.stages.comparison_files import write_comparison, write_predictions
from hf_ssl.stages.fit import fit_task, open_pool
from hf_ssl.stages.forecast_answer import mixed_forecasts
from hf_ssl.stages.frozen import Frozen
from hf_ssl.stages.result import StageResult
from hf_ssl.training.trainer import predict

if TYPE_CHECKING:
    import datasets

    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

CHEAP_DRAWS, CHEAP_LABELS = 20, 4000
"""Frozen probes are repeated on so many subsets, or on fewer when they would have more labels than that in all."""


def compare(**options: object) -> StageResult:
    """What helped, and what to use? Arms that differ in one thing: same labeled subsets, seeds and steps, one test set.

    Works for every task but verification: classes are drawn evenly, several labels, amounts, tags and pairs at random. What is
    resampled for the interval is a test example (a whole sentence of tags, a block of a series), or a group of them where the
    data have groups. What was computed once is kept in the run folder: a call with more arms, labels or seeds computes only those.

    Args:
        options: those of `hf_ssl.core.compare_options.CompareConfig`, of the task, and of `transformers.TrainingArguments`.

    Returns:
        `path/table.md` (the verdict first), `table.json`, `contest.json`, `attribution.json`, `label_efficiency_*.svg`, and
        `predictions/`, one parquet file per arm and protocol; `metrics["verdict"]` and `metrics["use"]` in words.

    Example:
        >>> compare(data="reviews/", output="runs/reviews", arms=["base", "adapted", "random"], protocols=["linear-probe", "full"])
    """
    opening = prepare_stage("compare", options, after="pretrain", unless="adapted")
    if opening.done is not None:
        return opening.done
    config: CompareConfig = opening.config
    adapted = arms_of_run.from_run(config, opening.run)
    with opening.running() as (record, folder):
        work = _Work(opening, folder, adapted)
        rows = work.rows()
        record.metrics = write_comparison(
            folder, rows, work.answers, work.sizes, unfinished=work.unfinished, one_model=work.twins
        )
        write_predictions(folder / "predictions", rows, work.answers)
        work.maps()
        record.outputs = {"unfinished": work.unfinished}
        if work.unfinished:
            record.inputs = ""  # the same command goes on: it is not taken for one that has been run
        opening.save_data_report()
        logger.info(f"{(folder / 'table.md').read_text(encoding='utf-8')}\ncompare: table in {folder / 'table.md'}")
        if work.unfinished:
            logger.info(f"compare: {work.unfinished} models are left; the same command goes on with them")
    return StageResult(folder, record.metrics)


@dataclass
class _Work:
    """A comparison under way."""

    opening: StageContext
    folder: Path
    adapted: str

    def __post_init__(self) -> None:
        config: CompareConfig = self.opening.config
        data, modality = self.opening.data, self.opening.modality
        self.domains = arms_of_run.domains_of(config, data, self.opening.target, modality)
        data = data if self.domains is None else self.domains.data
        self.config, self.data, self.unfinished = config, data, 0
        self.clock = Clock(None if config.budget is None else seconds_of(config.budget))
        self.task: Task[Any] = build_task(
            config.task, dataclasses.asdict(self.opening.resolved.plugin), modality, data
        )
        self.train = data["train"]
        test = _limited(open_test(data, f"compare {config.output}"), config.test_limit, config.seed)
        self.answers: Answers = answers_of(self.task, data, test)
        self.budgets = budgets_of(self.train, config.labels_per_class or self.answers.usual)
        start = start_of(config, self.opening.run)
        self.task.look_at(start)
        self.arms = arms_of_run.arms_of(
            config, start, self.adapted, self.task, data, self.folder / "starts", self.domains
        )
        # Every arm is pooled as the start is: they differ in one thing only.
        self.pooling = modality.pooling(start)
        self.frozen_pooling = Pooling.parse(config.frozen_pooling) if config.frozen_pooling else self.pooling
        self.protocols = self._protocols()
        self.store = CellStore(
            self.folder / "cells", data.fingerprint, config.test_limit, config.seed, type(self.task).__name__,
            dataclasses.asdict(self.task.config), dataclasses.asdict(modality.config), str(self.pooling),
            str(self.frozen_pooling),
        )  # fmt: skip
        self.sizes = {budget: self.answers.size(budget) for budget in self.budgets}

    @property
    def twins(self) -> bool:
        """Whether pre-training kept its start."""
        identities = {arm.name: arm.identity for arm in self.arms}
        return identities["base"] == identities["adapted"]

    def _protocols(self) -> list[str]:
        """Those that were asked for; `peft` with --peft full is `full`."""
        chosen = [protocol for protocol in self.config.protocols if self.config.finetune_arms or protocol not in TUNED]
        if self.config.peft == "full":
            chosen = ["full" if protocol == "peft" else protocol for protocol in chosen]
        return list(dict.fromkeys(chosen))

    def _cells(self, draws: dict[Any, int]) -> list[Cell]:
        """Labeled subsets: nested over the numbers of labels, the same for every arm and protocol."""
        seed = self.config.seed
        return [
            Cell("", "", budget, draw, "", tuple(map(int, self.answers.rows(budget, seed + draw))))
            for budget in self.budgets
            for draw in range(draws[budget])
        ]

    def rows(self) -> list[ResultRow]:
        """All results: cheap ones first, then fine-tuning, what tells most first."""
        tuned = [protocol for protocol in self.protocols if protocol in TUNED]
        cheap = distributed.broadcast(self._cheap() if distributed.is_main() else None)
        self.unfinished += cheap[1]
        found = [*cheap[0], *self._fine_tuned(tuned)]
        if not found:
            raise ConfigError(
                "Nothing is left to compare: this task has no frozen probe. Leave finetune_arms switched on."
            )
        return found

    def _cheap_draws(self) -> dict[Any, int]:
        config = self.config
        if config.probe_draws is not None:
            return dict.fromkeys(self.budgets, config.probe_draws)
        return {
            budget: max(config.num_seeds, min(CHEAP_DRAWS, CHEAP_LABELS // max(1, labels_in(self.train, budget))))
            if budget != "all"
            else config.num_seeds
            for budget in self.budgets
        }

    def _cheap(self) -> tuple[list[ResultRow], int]:
        """Frozen probes, baselines and peers; how many could not be done in time."""
        cells = self._cells(self._cheap_draws())
        few = self._cells(dict.fromkeys(self.budgets, self.config.num_seeds))
        self.frozen = Frozen(self.task, self.data, self.answers.test, cells, self.store, self.folder / "cells", self.clock,
                             self.frozen_pooling)  # fmt: skip
        probing = [protocol for protocol in self.protocols if protocol in ("knn", "linear-probe")]
        found: list[ResultRow] = []
        left = 0
        for arm in self.arms:
            if arm.beside:
                continue
            if not self.clock.has_time("frozen"):
                left += 1
                continue
            began = time.monotonic()
            found += self.frozen.probed(arm, probing)
            self.clock.note("frozen", time.monotonic() - began)
        if self.frozen.targets is not None:
            found += self.frozen.baselines()
            base = next(arm for arm in self.arms if arm.name == "base")
            found += self.frozen.peers(self.config.peers, base)
        else:
            learns = bool({*TUNED} & {*self.protocols})
            if any(row.protocol == "zero-shot" for row in found):
                found += self.answers.baselines(few, self.store, without_labels=True)
            if learns or self.task.unit == "window":
                found += self.answers.baselines(few, self.store, without_labels=False)
            found += self.answers.peers(self.config.peers, few, self.store)
        return found, left + self.frozen.left

    def _fine_tuned(self, protocols: Sequence[str]) -> Iterator[ResultRow]:
        """Fine-tune every arm on every subset; all arms start from the same seed and take the same steps."""
        cells = [self._tuned(cell, arm, protocol) for protocol in protocols for arm in self.arms
                 for cell in self._cells(dict.fromkeys(self.budgets, self.config.num_seeds))]  # fmt: skip
        by_name = {arm.name: arm for arm in self.arms}
        ordered = by_what_they_tell(cells, list(by_name))
        stopped = False
        for number, cell in enumerate(ordered):
            row = distributed.broadcast(self.store.find(cell) if distributed.is_main() else None)
            if row is None:
                stopped = stopped or not self.clock.allows(cell.protocol)
                if stopped:
                    self.unfinished += 1
                    continue
                logger.info(f"compare: {cell.told} ({number + 1} of {len(ordered)})")
                row = self.store.keep(cell, self._fit(cell, by_name[cell.arm]))
                self.clock.note(cell.protocol, row.seconds)
            yield dataclasses.replace(row, arm=cell.arm)
        remove(self.folder / "work")

    def _tuned(self, cell: Cell, arm: Arm, protocol: str) -> Cell:
        config = self.config
        how = (protocol, *((config.peft, config.lora_r, config.lora_alpha, config.lora_dropout, config.target_modules)
                           if protocol != "full" else ()))  # fmt: skip
        beside = {
            "": (0,), arms_of_run.SELF_TRAINING: (config.self_training,),
            arms_of_run.ADVERSARIAL: (
                0, config.domain_method, config.domain_weight, config.domain_learning_rate, config.target_domains, config.domain_column,
                self.opening.target_fingerprint,
            ),
        }[arm.beside]  # fmt: skip
        key = self.store.key(
            "fit", arm.identity, *beside, how, cell.budget, cell.seed, cell.rows,
            self.opening.resolved.to_dict()["training"], config.dtype, config.head_pooling, config.warm_start,
        )  # fmt: skip
        return Cell(arm.name, protocol, cell.budget, cell.seed, key, cell.rows)

    def _fit(self, cell: Cell, arm: Arm) -> ResultRow:
        began = time.monotonic()
        config = dataclasses.replace(self.config, peft="full") if cell.protocol == "full" else self.config
        fit = fit_task(
            self.task, arm.ref, self.answers.labeled(cell), None, config, dict(self.opening.resolved.training),
            self.opening.run.folder("compare", "work"), seed=config.seed + cell.seed, pool=self._pool(arm), pooling=self.pooling,
            domains=self.domains if arm.beside == arms_of_run.ADVERSARIAL else None, rehearse=cell.protocol == "answer",
        )  # fmt: skip
        logits, _ = predict(fit.module, task_rows(self.task, fit.encoder, self.answers.test), fit.args)
        found = fit.found
        if cell.protocol == "answer" and self.task.unit == "window" and "validation" in self.data:
            held = predict(fit.module, task_rows(self.task, fit.encoder, self.data["validation"]), fit.args)
            found = mixed_forecasts(self.task, self.data, self.answers.labeled(cell), *held)
        if cell.protocol == "answer" and found is not None and found.teacher_ahead:
            teacher = found.teacher
            own = teacher.answers(self.task, self.answers.test) if distributed.is_main() else None
            logits = teacher.together(logits, distributed.broadcast(own))
        trainable = sum(parameter.numel() for parameter in fit.module.model.parameters() if parameter.requires_grad)
        return ResultRow(
            cell.arm, cell.budget, cell.seed, self.answers.predictions(logits, fit.encoder), cell.protocol,
            self.answers.probabilities(logits), time.monotonic() - began, trainable,
        )  # fmt: skip

    def _pool(self, arm: Arm) -> Any:
        if arm.beside != arms_of_run.SELF_TRAINING:
            return None
        known = self.__dict__.setdefault("_pools", {})
        if arm.name not in known:
            known[arm.name] = open_pool(self.task, self.data, self.config)
        return known[arm.name]

    def maps(self) -> None:
        """Vectors of the start and of the adapted model as pictures, by label and by domain, where they were made anyway."""
        if not distributed.is_main() or self.frozen.targets is None:
            return
        from hf_ssl.stages.comparison_files import write_map

        names = self.answers.readable(self.answers.references) if kind_of(self.task.label_kind).in_classes else None
        for arm in self.arms:
            if arm.name in ("base", "adapted") and {"knn", "linear-probe"} & set(self.protocols):
                labeled, asked = self.frozen.vectors(arm)
                write_map(self.folder / f"map_{arm.name}.svg", asked, names, f"Test vectors, {arm.name}")
                both, domains = np.concatenate([labeled, asked]), self._domain_names()
                write_map(self.folder / f"map_{arm.name}_domains.svg", both, domains, f"Domains, {arm.name}")

    def _domain_names(self) -> list[str]:
        """Domain of the labeled and of the test rows: what the column says, else which of the two they are."""
        column, test = self.config.domain_column, self.answers.test
        column = "group" if column is not None and column == self.config.group_column else column
        if column is not None and column in self.train.column_names and column in test.column_names:
            return [str(name) for name in [*self.train.select(self.frozen.needed)[column], *test[column]]]
        return ["labeled"] * len(self.frozen.needed) + ["test"] * len(test)


def _limited(split: datasets.Dataset, limit: int | None, seed: int) -> datasets.Dataset:
    """A fixed random part of the test split."""
    if limit is None or limit >= len(split):
        return split
    return split.select(np.sort(np.random.default_rng(seed).permutation(len(split))[:limit]))
