"""Several domains in one fine-tuning: who is of which, who keeps company with whom, what is told of it at the end."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import ConfigError, DataError, nearest
from hf_ssl.core.option_groups import DataOptions
from hf_ssl.core.options import CompareConfig, FinetuneConfig
from hf_ssl.core.run import append_jsonl
from hf_ssl.data import DomainData
from hf_ssl.evaluation.figures import embedding_map
from hf_ssl.evaluation.gap import DomainGap, proxy_a_distance
from hf_ssl.evaluation.monitor.health import collapsed, health
from hf_ssl.stages.inputs import inputs_of
from hf_ssl.tasks.base import Task, TaskModule, TaskRows, last_linear
from hf_ssl.tasks.heads import softmax
from hf_ssl.training.domain import selection
from hf_ssl.training.domain.module import DomainModule, journal_lines, last_critic_accuracy
from hf_ssl.training.domain.rows import DomainRows

if TYPE_CHECKING:
    import datasets
    from transformers import TrainingArguments

    from hf_ssl.modalities.base import Modality

logger = logging.getLogger(__name__)

MOST_DOMAINS = 16
"""Each labeled row has company from every other domain, so a step costs as many passes as there are domains."""
MOST_COMPANY = 5000
"""Unlabeled rows of a domain that take part, unless there are more labeled ones."""
MEASURED = 400
"""Rows of a side that the domains' distance and the rules of selection look at."""
AT_CHANCE, SURE = 0.05, 0.95
BLIND = ("infomax", "snd")
"""Rules of selection that do not look at the source."""
JOURNAL, JUDGED = "domains.jsonl", "selection.jsonl"


@dataclasses.dataclass
class Domains:
    """The domains of a fine-tuning.

    Args:
        names: by number, those with labels first.
        data: the labeled data, without what the labels of target domains would tell.
        pools: unlabeled rows by domain.
        targets: numbers of the domains that the model is meant for.
        column: where the labeled rows' domain is written; None: they are all of the first.
        config: options of the stage.
        modality: kind of data.
    """

    names: list[str]
    data: DomainData
    pools: dict[int, datasets.Dataset]
    targets: tuple[int, ...]
    column: str | None
    config: FinetuneConfig | CompareConfig
    modality: Modality

    def of(self, split: datasets.Dataset) -> list[int]:
        """Number of the domain of each labeled row."""
        if self.column is None:
            return [0] * len(split)
        return [self.names.index(str(value)) for value in split[self.column]]

    def adapt(
        self,
        task: Task[Any],
        module: TaskModule,
        rows: TaskRows,
        split: datasets.Dataset,
        folder: Path,
        seed: int,
        resume: bool = False,
    ) -> Adaptation:
        """Put the domains around a module that is ready to be trained.

        Args:
            split: the labeled rows, in the order of `rows.features`.
            folder: gets `domains.jsonl` and `selection.jsonl`.
            resume: go on with the journal that is there.
        """
        if not resume and distributed.is_main():
            for name in (JOURNAL, JUDGED):
                (folder / name).unlink(missing_ok=True)
        return Adaptation(self, task, module, rows, split, folder, seed)


def open_domains(
    config: FinetuneConfig | CompareConfig, data: DomainData, target: datasets.Dataset | None, modality: Modality
) -> Domains | None:
    """The domains that the options name; None where they name none.

    Raises:
        DataError: there is one domain only, none with labels, too many, or a row without.
    """
    if target is None and config.domain_column is None:
        return None
    if "train" not in data:
        raise DataError(f"Adapting to a domain needs labels of another; the splits are {', '.join(data)}.")
    if target is not None:
        return Domains(["source", "target"], data, {1: _bare(target, modality)}, (1,), None, config, modality)
    column = "group" if config.domain_column == config.group_column else str(config.domain_column)
    labeled, pooled = (_values(data, split, column, config) for split in ("train", "unlabeled"))
    hidden = list(dict.fromkeys(config.target_domains)) or sorted(set(pooled) - set(labeled))
    known = sorted({*labeled, *pooled})
    for name in hidden:
        if name not in known:
            raise DataError(f"target_domains: no row is of {name!r}.{nearest(name, known)} Domains: {_few(known)}.")
    names = [*sorted(set(labeled) - set(hidden)), *hidden]
    if len(names) == len(hidden):
        raise DataError(f"No labeled row is of another domain than {_few(hidden)}; there is nothing to learn from.")
    if not 2 <= len(names) <= MOST_DOMAINS:
        raise DataError(
            f"{config.domain_column} has {len(names)} values; adapting needs 2 to {MOST_DOMAINS} domains. "
            + ("Unlabeled rows of another one?" if len(names) < 2 else "Put values that are alike under one name.")
        )
    kept = {
        name: _without(data[name], column, hidden) if name in ("train", "validation") else data[name] for name in data
    }
    pools = {
        number: _company(data, column, name, (labeled, pooled), modality) for number, name in enumerate(names)
    }  # fmt: skip
    made = DomainData(
        {name: split for name, split in kept.items() if len(split)}, data.report, data.modality_name, modality
    )
    targets = tuple(range(len(names) - len(hidden), len(names)))
    return Domains(names, made, pools, targets, column, config, modality)


def _values(data: DomainData, split: str, column: str, config: DataOptions) -> list[str]:
    if split not in data:
        return []
    if column not in data[split].column_names:
        raise DataError(
            f"The {split} data were read without the column {config.domain_column!r}. Give domain_column where they are read: "
            "at the top of a recipe, or to load_data."
        )
    values = data[split][column]
    if without := sum(value is None for value in values):
        raise DataError(f"{without:,} rows of {split} have no {config.domain_column}; each row must be of a domain.")
    return [str(value) for value in values]


def _without(split: datasets.Dataset, column: str, hidden: list[str]) -> datasets.Dataset:
    kept = [row for row, value in enumerate(split[column]) if str(value) not in hidden]
    return split if len(kept) == len(split) else split.select(kept)


def _company(
    data: DomainData, column: str, name: str, values: tuple[list[str], list[str]], modality: Modality
) -> datasets.Dataset:
    """Rows of a domain, labels left aside: those of the pool, and of train what is not in the pool."""
    import datasets as library

    labeled, pooled = values
    pool = data.get("unlabeled")
    mine = [row for row, value in enumerate(pooled) if value == name]
    parts = [] if pool is None or not mine else [pool.select(mine)]
    known = {one for part in parts for one in part["id"]}
    train = data["train"]
    ids = train["id"]
    more = [row for row, value in enumerate(labeled) if value == name and ids[row] not in known]
    parts += [train.select(more)] if more else []
    return library.concatenate_datasets([_bare(part, modality) for part in parts])


def _bare(split: datasets.Dataset, modality: Modality) -> datasets.Dataset:
    """Content and group, nothing else."""
    import datasets as library

    names = [name for name in (modality.column, "text_pair", "group") if name in split.column_names]
    if modality.column in names:
        return split.select_columns(names)
    return library.Dataset.from_dict({modality.column: inputs_of(split, modality)})


class Adaptation:
    """One fine-tuning with domains: its module and rows, how its best point is picked, and what is said of it.

    Raises:
        ConfigError: the task's model has no last linear layer, or the method or the rule does not fit the labels.
    """

    def __init__(
        self, domains: Domains, task: Task[Any], module: TaskModule, rows: TaskRows, split: datasets.Dataset, folder: Path,
        seed: int,
    ) -> None:  # fmt: skip
        config, tap = domains.config, last_linear(module.model)
        if tap is None:
            raise ConfigError(
                f"{type(module.model).__name__} has no linear output layer, whose input domains are compared by."
            )
        kind = plugins.find("domain_methods", config.domain_method)
        classes = task.problem_type == "single_label_classification"
        if kind.needs_classes and not classes:
            raise ConfigError(
                f"domain_method {config.domain_method} needs one class per example. Take dann, coral or mmd."
            )
        asked = config.domain_selection if isinstance(config, FinetuneConfig) else None
        self.rule = asked or ("infomax" if classes and domains.targets else "source")
        if self.rule != "source" and not (classes and domains.targets):
            raise ConfigError(
                f"domain_selection {self.rule} needs one class per example, and a domain without labels."
            )
        self.domains, self.module_of_task, self.journal = domains, module, folder / JOURNAL
        self.classes = task.label_names
        self._guard: selection.SourceGuard | None = None
        self._pools = dict(domains.pools)  # the part of them that takes part here
        of_rows = domains.of(split)
        others = self._encoded(task, module, len(rows), seed)
        self._measured = self._samples(rows, of_rows, others, split, seed)
        self.rows = DomainRows(rows, of_rows, others, seed)
        outputs = tap.out_features
        method = kind(
            tap.in_features, outputs, len(domains.names), learning_rate=config.domain_learning_rate, seed=seed
        ).to(next(module.parameters()).device)  # fmt: skip
        self.module = DomainModule(module, tap, method, weight=config.domain_weight, journal=self.journal)
        self._before = self._look(64, False, "before")
        counts = ", ".join(f"{name} {len(others.get(n, ())):,}" for n, name in enumerate(domains.names) if n in others)
        logger.info(
            f"  domains: {config.domain_method} ({kind.paper}), unlabeled rows: {counts}; best point by {self.rule}"
        )
        logger.info("  self-training is off: the pool is the domains' company")

    def _encoded(
        self, task: Task[Any], module: TaskModule, labeled: int, seed: int
    ) -> dict[int, list[dict[str, Any]]]:
        found = {}
        for number, pool in self.domains.pools.items():
            most, rng = max(MOST_COMPANY, labeled), np.random.default_rng([seed, number])
            part = pool if len(pool) <= most else pool.select(np.sort(rng.permutation(len(pool))[:most]))
            found[number] = task.encode_unlabeled(module.encoder, part)
            self._pools[number] = part
        return found

    def _samples(
        self, rows: TaskRows, of_rows: list[int], others: Mapping[int, list[dict[str, Any]]], split: datasets.Dataset, seed: int
    ) -> dict[str, Any]:  # fmt: skip
        """Rows of the source and of the rest that are looked at before and after, and their groups."""
        rng = np.random.default_rng(seed)
        targets = self.domains.targets or tuple(sorted(set(others) - {0}))
        source = [row for row, number in enumerate(of_rows) if number not in targets]
        chosen = sorted(rng.permutation(source)[:MEASURED].tolist())
        rest = [(number, row) for number in targets for row in range(len(others[number]))]
        picked = sorted(rest[place] for place in rng.permutation(len(rest))[:MEASURED].tolist())
        pools = self._pools
        grouped = "group" in split.column_names and all("group" in pools[number].column_names for number in targets)
        groups_of = {number: pools[number]["group"] for number in targets} if grouped else {}
        names = split["group"] if grouped else []
        return {
            "source": [rows.features[row] for row in chosen], "target": [others[number][row] for number, row in picked],
            "source_groups": [names[row] for row in chosen] if grouped else None,
            "target_groups": [groups_of[number][row] for number, row in picked] if grouped else None,
        }  # fmt: skip

    @property
    def defaults(self) -> dict[str, Any]:
        """How the Trainer is told of the rule."""
        if self.rule == "source":
            return {}
        return {"metric_for_best_model": "domain_score", "greater_is_better": True}

    def scored(
        self, measured: Callable[[Any], dict[str, float]], args: TrainingArguments
    ) -> Callable[[Any], dict[str, float]]:
        """The metrics on the source's validation data, and the rule's score beside them."""

        if self.rule == "source":
            return measured
        guard = self._guard = selection.SourceGuard(len(self.classes), _judged(self.journal.with_name(JUDGED)))

        def both(output: Any) -> dict[str, float]:
            found, score = measured(output), self.score(output, args)
            if self.rule in BLIND:
                accuracy = float((np.asarray(output.predictions).argmax(-1) == np.asarray(output.label_ids)).mean())
                if distributed.is_main():
                    append_jsonl(self.journal.with_name(JUDGED), {"source_accuracy": accuracy, "score": score})
                score = guard.judge(accuracy, score)
            return {**found, "domain_score": score}

        return both

    def score(self, output: Any, args: TrainingArguments) -> float:
        """How good the model is for the target, by a rule that sees no label of it; higher is better."""
        batch, bf16 = args.eval_batch_size, bool(args.bf16)
        features, logits = self.module.read(self._measured["target"], batch, bf16)
        if self.rule == "infomax":
            return selection.infomax(softmax(logits))
        if self.rule == "snd":
            return selection.soft_neighborhood_density(softmax(logits))
        held: Any = self.module_of_task.held
        source, _ = self.module.read(held.features, batch, bf16)
        chances = softmax(np.asarray(output.predictions))
        labels = np.asarray(output.label_ids)
        losses = -np.log(np.clip(chances[np.arange(len(labels)), labels], 1e-12, None))
        weights = selection.importance_weights(source, features)
        if self.rule == "importance":
            return selection.importance_weighted(losses, weights)
        return selection.deep_embedded_validation(losses, weights)

    def report(self, args: TrainingArguments) -> dict[str, Any]:
        """What became of the domains: the distance before and after, the critic, what picked the point, and warnings."""
        after, config = self._look(args.eval_batch_size, bool(args.bf16), "after"), self.domains.config
        before, names = self._before, self.domains.names
        found: dict[str, Any] = {
            "method": config.domain_method, "weight": config.domain_weight, "domains": names,
            "targets": [names[number] for number in self.domains.targets], "selected_by": self.rule,
            "labels_used": "source only", "tap": "input of the last linear layer",
            "distance_before": before[0], "distance_after": after[0],
            "rank_before": before[1]["effective_rank"], "rank_after": after[1]["effective_rank"],
        }  # fmt: skip
        accuracy = last_critic_accuracy(self.journal)
        chance = 1 / len(names)
        if accuracy is not None:
            found |= {"critic_accuracy": accuracy, "critic_chance": chance}
        found["warnings"] = _warnings(found, before[1], after[1])
        if self._guard is not None and not self._guard.learned:
            found["warnings"].append(
                f"the source is not learned: at its best {self._guard.best:.2f} of its validation rows were right, {self._guard.chance:.2f} "
                "is chance, so no point was worth keeping. Lower --domain_weight, or take another --domain_method."
            )
        told = [
            f"  domains: a probe's distance {_written(before[0])} before, {_written(after[0])} after (0 alike, 2 apart)"
        ]
        told += (
            [f"  critic: right on {accuracy:.2f} of the rows, {chance:.2f} is chance"] if accuracy is not None else []
        )
        logger.info("\n".join(told))
        for text in found["warnings"]:
            logger.warning("domains: %s", text)
        return found

    def _look(self, batch: int, bf16: bool, when: str) -> tuple[dict[str, float] | None, dict[str, float]]:
        """Distance of the domains to a fresh probe of what the last layer reads, and the features' health; a map is drawn."""
        seen = {side: self.module.read(self._measured[side], batch, bf16)[0] for side in ("source", "target")}
        if isinstance(self.domains.config, FinetuneConfig) and distributed.is_main():
            sides = [side for side, rows in seen.items() for _ in rows]
            svg = embedding_map(np.concatenate([*seen.values()]), sides, f"What the last layer reads, {when}")
            self.journal.with_name(f"map_{when}.svg").write_text(svg, encoding="utf-8")
        groups = {name: self._measured[name] for name in ("source_groups", "target_groups")}
        try:
            gap: DomainGap | None = proxy_a_distance(seen["source"], seen["target"], **groups, n_permutations=100)
        except DataError as error:
            logger.info(f"  domains: no distance was measured: {error}")
            gap = None
        numbers = None if gap is None else {name: round(value, 4) for name, value in dataclasses.asdict(gap).items()}
        return numbers, health(np.concatenate([seen["source"], seen["target"]]))


def _warnings(found: Mapping[str, Any], before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What the numbers say that somebody should know."""
    told, distance = [], found["distance_after"]
    apart = distance is not None and distance["p_value"] < 0.05 and distance["distance"] > 0.5
    accuracy, chance = found.get("critic_accuracy"), found.get("critic_chance", 0.5)
    if accuracy is not None and accuracy < chance + AT_CHANCE and apart:
        told.append(
            f"the critic collapsed: it is right on {accuracy:.2f} of the rows ({chance:.2f} is chance) although a fresh probe tells "
            "the domains apart, so nothing pulled them together. Raise --domain_learning_rate, or take coral or mmd."
        )
    if accuracy is not None and accuracy > SURE and apart and found["weight"]:
        told.append(
            f"the critic wins: it is right on {accuracy:.2f} of the rows, the domains are as far apart as ever. Raise "
            "--domain_weight or --num_train_epochs, or take --peft full."
        )
    reason = collapsed(after, before)
    if reason:
        told.append(f"the features collapsed: {reason} Lower --domain_weight.")
    return told


def _judged(journal: Path) -> list[tuple[float, float]]:
    """Accuracy on the source and score of every point that a run which goes on has judged before."""
    found = [(line["source_accuracy"], line["score"]) for line in journal_lines(journal)]
    told: list[tuple[float, float]] = distributed.broadcast(found)
    return told


def _written(distance: Mapping[str, float] | None) -> str:
    return "unknown" if distance is None else f"{distance['distance']:.2f} (null {distance['null_high']:.2f})"


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
