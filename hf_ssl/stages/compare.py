"""The stage that answers: did adapting help?"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import remove, write_json
from hf_ssl.data import DomainData, labeled_subset, open_test
from hf_ssl.evaluation import figures
from hf_ssl.evaluation.comparison import table as comparison
from hf_ssl.evaluation.probes import probes
from hf_ssl.models.pooling import Pooling
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.base import StageContext, StageResult, prepare_stage, start_of
from hf_ssl.stages.build import build_task, task_rows
from hf_ssl.stages.fit import fit_task, open_pool
from hf_ssl.training.trainer import predict

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

Arms = dict[str, CheckpointRef]
Subsets = dict[tuple[int, int], list[int]]
POOL = 3000  # unlabeled texts that the TF-IDF baseline takes the frequencies of words from


def compare(**options: Any) -> StageResult:
    """Did adapting help? Base against adapted: same labeled subsets, seeds and steps, one test set.

    Works for every task: classes are drawn evenly, several labels, amounts, tags and pairs at random. What is resampled
    for the interval is a test example (a whole sentence of tags), or a group of them where the data have groups.

    Returns:
        `path/table.md`, `table.json`, `label_efficiency_*.svg`, and the test predictions of every arm; `metrics["verdict"]` in words.
    """
    opening = prepare_stage("compare", options, after="pretrain", unless="adapted")
    if opening.done is not None:
        return opening.done
    config, run, data, modality = opening.config, opening.run, opening.data, opening.modality
    adapted = config.adapted or run.output("pretrain")
    if adapted is None:
        raise ConfigError(
            "There is nothing adapted to compare. Run `hf-ssl pretrain` with this --output, or give --adapted."
        )
    with opening.running() as (record, folder):
        arms: Arms = {"base": start_of(config, run), "adapted": CheckpointRef(str(adapted))}
        task = build_task(config.task, dataclasses.asdict(opening.resolved.plugin), modality, data)
        test = _limited(open_test(data, f"compare {config.output}"), config.test_limit, config.seed)
        subsets = {
            (budget, draw): labeled_subset(data["train"], budget, config.seed + draw)
            for budget in config.labels_per_class
            for draw in range(config.num_seeds)
        }
        # Both arms are pooled as the start is: they differ in one thing only.
        pooling = modality.pooling(arms["base"])
        twins = distributed.broadcast(one_model(arms, task, data["train"]) if distributed.is_main() else None)
        if twins:
            logger.info("  pre-training kept its start: both arms are one model, which is measured once")
            del arms["adapted"]
        frozen = distributed.broadcast(
            _frozen(arms, pooling, task, data, test, subsets) if distributed.is_main() else None
        )
        tuned = []
        if config.finetune_arms:
            tuned = list(_fine_tuned(arms, pooling, task, data["train"], test, subsets, opening))
        if twins:
            frozen, tuned = ([*rows, *_again(rows)] for rows in (frozen, tuned))
        for row in tuned:
            _keep(folder / f"finetuned-{row.arm}-{row.budget}-{row.seed}", row.predictions)
        if config.finetune_arms:
            tuned += _usual(task, data["train"], test, subsets)
        remove(folder / "work")
        if not tuned and not frozen:
            raise ConfigError(
                "Nothing is left to compare: this task has no frozen probe. Leave finetune_arms switched on."
            )
        record.metrics = _report(folder, tuned, frozen, task, test)
        opening.save_data_report()
        logger.info(f"{(folder / 'table.md').read_text(encoding='utf-8')}\ncompare: table in {folder / 'table.md'}")
    return StageResult(folder, record.metrics)


def one_model(arms: Arms, task: Task[Any], train: datasets.Dataset) -> bool:
    """Whether both arms load as the same weights and processor: then the same training gives the same answers."""
    from transformers import set_seed

    processors = [_settings(task.modality.load_processor(arm)) for arm in arms.values()]
    if processors[0] != processors[1]:
        return False
    for auto_class, options in ((task.auto_class, {"new_head": True, **task.model_options()}), ("AutoModel", {})):
        states = []
        for ref in arms.values():
            set_seed(0)  # what neither has must start alike
            states.append(task.modality.load(ref, auto_class, dataset=train, **options).model.state_dict())
        first, second = states
        if first.keys() != second.keys() or any(
            first[name].shape != second[name].shape or bool((first[name] != second[name]).any()) for name in first
        ):
            return False
    return True


def _settings(processor: Any) -> object:
    """What two processors must agree on to do the same."""
    if hasattr(processor, "get_vocab"):
        return processor.get_vocab(), processor.model_max_length
    return processor.to_dict() if hasattr(processor, "to_dict") else processor


def _again(rows: list[comparison.ResultRow]) -> list[comparison.ResultRow]:
    return [dataclasses.replace(row, arm="adapted") for row in rows if row.arm == "base"]


def _fine_tuned(
    arms: Arms, pooling: Pooling, task: Task[Any], train: datasets.Dataset, test: datasets.Dataset, subsets: Subsets,
    opening: StageContext,
) -> Iterator[comparison.ResultRow]:  # fmt: skip
    """Fine-tune every arm on every subset; both arms start from the same seed and take the same steps."""
    config = opening.config
    for arm, ref in arms.items():
        pool = open_pool(task, ref, opening.data, config, pooling)
        for (budget, draw), subset in subsets.items():
            logger.info(f"compare: {arm}, {_budget(budget, task)}, draw {draw + 1} of {config.num_seeds}")
            fit = fit_task(
                task, ref, train.select(subset), None, config, opening.resolved.training,
                opening.run.folder("compare", "work"), seed=config.seed + draw, pool=pool, pooling=pooling,
            )  # fmt: skip
            logits, _ = predict(fit.module, task_rows(task, fit.encoder, test), fit.args)
            yield comparison.ResultRow(arm, budget, draw, task.comparison_predictions(logits, test, fit.encoder))


def _frozen(
    arms: Arms, pooling: Pooling, task: Task[Any], data: DomainData, test: datasets.Dataset, subsets: Subsets
) -> list[comparison.ResultRow]:
    """Both arms with nothing trained but a linear probe, or nothing at all, and a baseline beside them.

    Returns:
        an empty list where a task can do neither (tags of words).
    """
    train, modality = data["train"], task.modality
    targets = task.probe_targets(train)
    needed = sorted({int(row) for subset in subsets.values() for row in subset})
    place = {row: number for number, row in enumerate(needed)}
    given = train.select(needed)[modality.column] if targets is not None else []
    rows = []
    for arm, ref in arms.items():
        encoder = modality.load(ref, dataset=train, pooling=pooling)
        answers = task.zero_shot(encoder, test)
        if answers is not None:
            rows.append(comparison.ResultRow(arm, "no", 0, answers))
        if targets is None:
            continue
        have, ask = (encoder.embed(values, max_length=256) for values in (given, test[modality.column]))
        for (budget, draw), subset in subsets.items():
            known = have[[place[int(row)] for row in subset]]
            guess = probes.linear_probe(
                known, targets[subset], ask, seed=draw, problem_type=_problem(task), groups=_groups(train, subset)
            )
            rows.append(comparison.ResultRow(arm, budget, draw, guess.predictions))
    if targets is not None and modality.baseline is not None:
        pool = list(data["unlabeled"][modality.column][:POOL]) if "unlabeled" in data else []
        rows += _baseline(
            modality, task, list(given), targets, list(test[modality.column]), subsets, place, pool, train
        )
    elif rows and (cheap := task.baseline_predictions(train, test)) is not None:
        rows.append(comparison.ResultRow(cheap[0], "no", 0, cheap[1]))
    return rows


def _usual(
    task: Task[Any], train: datasets.Dataset, test: datasets.Dataset, subsets: Subsets
) -> list[comparison.ResultRow]:
    """The task's own baseline on every subset."""
    found = {key: task.baseline_predictions(train.select(subset), test) for key, subset in subsets.items()}
    return [comparison.ResultRow(cheap[0], *key, cheap[1]) for key, cheap in found.items() if cheap is not None]


def _baseline(
    modality: Modality, task: Task[Any], given: list, targets: np.ndarray, ask: list, subsets: Subsets, place: dict[int, int],
    pool: list, train: datasets.Dataset,
) -> list[comparison.ResultRow]:  # fmt: skip
    """What needs no pretrained model: TF-IDF for text, the modality's own features (pixels …) for others."""
    if modality.name != "text":
        features, asked = modality.baseline_features(given), modality.baseline_features(ask)
    rows = []
    for (budget, draw), subset in subsets.items():
        chosen = [place[int(row)] for row in subset]
        options: dict[str, Any] = {"seed": draw, "problem_type": _problem(task), "groups": _groups(train, subset)}
        if modality.name == "text":
            texts = [given[row] for row in chosen]
            guess = probes.tfidf_probe(texts, targets[subset], ask, unlabeled=pool, **options)
        else:
            guess = probes.linear_probe(features[chosen], targets[subset], asked, **options)
        rows.append(comparison.ResultRow(str(modality.baseline), budget, draw, guess.predictions))
    return rows


def _groups(train: datasets.Dataset, subset: Any) -> list | None:
    """Of the labeled rows, where the data have groups: the test rows come from others."""
    if "group" not in train.column_names:
        return None
    return list(train.select_columns(["group"])[[int(row) for row in subset]]["group"])


def _report(
    folder: Path, tuned: list[comparison.ResultRow], frozen: list[comparison.ResultRow], task: Task[Any], test: Any
) -> dict[str, Any]:
    """Write the tables; the verdict of each, in a word."""
    truth, metric = task.comparison_references(test), task.comparison_metric
    groups = list(test["group"]) if "group" in test.column_names else None
    if groups is not None and len(set(groups)) < 2:
        groups = None
    kinds = {"Fine-tuned": tuned, "Frozen, without labels": [row for row in frozen if row.budget == "no"]}
    kinds["Frozen probe"] = [row for row in frozen if row.budget != "no"]
    if tuned:
        kinds["Fine-tuned"] = [*tuned, *(row for row in kinds["Frozen probe"] if row.arm not in ("base", "adapted"))]
    tables = {
        title: comparison.compare_arms(rows, truth, metric=metric, groups=groups)
        for title, rows in kinds.items()
        if rows
    }
    if distributed.is_main():
        text = "\n\n".join(f"### {title}\n\n{table.to_markdown()}" for title, table in tables.items())
        (folder / "table.md").write_text(text, encoding="utf-8")
        counted = "labels per class" if task.label_kind == "class" else "labeled examples"
        for title, table in tables.items():
            if svg := figures.label_efficiency(title, table.to_dict(), counted):
                (folder / figures.figure_name(title)).write_text(svg, encoding="utf-8")
    write_json(folder / "table.json", {title: table.to_dict() for title, table in tables.items()})
    distributed.barrier()
    return {
        "verdict": {title: table.overall.word for title, table in tables.items()},
        "metric": metric,
        "test_examples": len(truth),
    }


def _problem(task: Task[Any]) -> str:
    return task.problem_type or "single_label_classification"


def _budget(budget: int, task: Task[Any]) -> str:
    return f"{budget} labels per class" if task.label_kind == "class" else f"{budget} labeled examples"


def _keep(path: Path, predictions: Any) -> None:
    """Predictions of one arm: an array as `.npy`, tags of sentences as `.json`."""
    if isinstance(predictions, np.ndarray) and distributed.is_main():
        np.save(path.with_name(path.name + ".npy"), predictions)
    elif not isinstance(predictions, np.ndarray):
        write_json(path.with_name(path.name + ".json"), predictions)


def _limited(split: datasets.Dataset, limit: int | None, seed: int) -> datasets.Dataset:
    """A fixed random part of the test split."""
    if limit is None or limit >= len(split):
        return split
    return split.select(np.sort(np.random.default_rng(seed).permutation(len(split))[:limit]))
